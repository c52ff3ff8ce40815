"""`scalpcli record` as a shell sees it, over a local exchange."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.errors import DataError
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.lock import read_owner
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_verify import verify
from tests.tape_samples import OPEN, SESSION

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tapes" / "TSLA" / "2026-11-20"
CLEARED = {name: None for name in os.environ if name.startswith(("SCALPCLI", "ALPACA_", "APCA_", "ORATS_"))}
TWO_MINUTES_NS = 120 * 1_000_000_000


def environ(**more: str) -> dict[str, str]:
    """An environment without settings or keys of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if name not in CLEARED} | more


def free_ports() -> int:
    """The first of two free ports side by side."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two free ports")


def scalpcli(*words, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scalpcli", *map(str, words)],
        env=environ(**options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def exchange():
    """A local exchange that plays the example at sixty times its speed; its address."""
    port = free_ports()
    process = scalpcli(
        "exchange", EXAMPLE, "--port", port, "--speed", "60", "--wait-for", "2", "--start", "09:30", "--quiet"
    )
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.communicate()


def rows_on_disk(folder: Path) -> int:
    """Rows of the recordings in progress that can be read: one killed before the first has nothing to seal."""
    found = 0
    for recording in folder.glob("TSLA/.*.recording"):
        with contextlib.suppress(DataError):
            found += SegmentReader(recording).rows_read
    return found


class Recording:
    """A recorder at work."""

    def __init__(self, exchange: str, folder: Path, *flags) -> None:
        self.folder = folder
        self.rows_before = rows_on_disk(folder)
        self.process = scalpcli("record", "--rehearse", exchange, "--out", folder, "--dte", "0", *flags)

    def wait_for_tap(self) -> Recording:
        """Until rows of its own are on disk."""
        for _ in range(400):
            owner = read_owner(self.folder / "TSLA", "sip")
            if owner.tap and owner.pid == self.process.pid and self._has_rows():
                return self
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        raise AssertionError("the recorder did not begin")

    def _has_rows(self) -> bool:
        return rows_on_disk(self.folder) > self.rows_before

    def end(self, number: int = signal.SIGTERM) -> tuple[int, dict, str]:
        """Exit code, summary and words."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> tuple[int, dict, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, json.loads(out) if out else {}, err


def test_a_session_is_recorded_sealed_and_summed_up(exchange, tmp_path):
    """A fresh folder, a minute and a half of the market: a sound tape with prices, quotes and the levels of the day before."""
    beaten = tmp_path / "beaten"

    code, summary, _ = Recording(exchange, tmp_path, "--until", "90s", "--heartbeat-file", beaten).finish()

    tape = Tape.open(tmp_path / "TSLA" / "2026-11-20")
    assert code == 0
    assert (summary["ended"], summary["rehearsal"]) == ("until", True)
    assert summary["tapes"][0]["tape"] == str(tape.path)
    assert summary["tapes"][0]["rows"] == tape.manifest.rows
    assert beaten.exists()
    assert tape.manifest.counts["option_quote"] > 0
    assert tape.manifest.feeds == {"stock": "alpaca sip", "options": "alpaca opra"}
    assert tape.manifest.synthetic
    assert [note.kind for note in tape.notes()][:1] == ["previous_levels"]
    assert not verify(tape.path).findings


def test_ctrl_c_writes_seals_and_sums_up(exchange, tmp_path):
    """Exit code 130, and the tape is whole."""
    code, summary, _ = Recording(exchange, tmp_path).wait_for_tap().end(signal.SIGINT)

    assert (code, summary["ended"]) == (130, "interrupted")
    assert not verify(Path(summary["tapes"][0]["tape"])).findings


def test_a_killed_recorder_is_repaired_or_gone_on_with(exchange, tmp_path):
    """A day that nobody goes on with is sealed; one that is continued has a gap from the last row on."""
    first = Recording(exchange, tmp_path / "a").wait_for_tap()
    first.process.kill()
    first.process.communicate()
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    repaired = invoke("record", "repair", tmp_path / "b", "--json")
    code, summary, words = Recording(exchange, tmp_path / "a").wait_for_tap().end()

    sealed = tmp_path / "b" / "TSLA" / "2026-11-20"
    assert repaired.exit_code == 0
    assert [row["tape"] for row in json.loads(repaired.stdout)] == [str(sealed)]
    assert not verify(sealed).findings
    tape = Tape.open(Path(summary["tapes"][0]["tape"]))
    assert code == 0
    assert "TSLA: goes on with 2026-11-20" in words
    assert "recorder was down" in [note.body.get("cause") for note in tape.notes()]
    assert tape.manifest.source["restarts"] == 1
    assert not verify(tape.path).findings


def test_a_repair_during_the_session_leaves_the_recording_to_go_on_with(exchange, tmp_path, monkeypatch):
    """Else cron's next call would find a tape of the morning, take it for the day's and record no more."""
    first = Recording(exchange, tmp_path).wait_for_tap()
    first.process.kill()
    first.process.communicate()
    monkeypatch.setattr(MarketClock, "now_ns", lambda _self: OPEN + TWO_MINUTES_NS)

    repaired = invoke("record", "repair", tmp_path)

    assert repaired.exit_code == 0
    assert "stays: its session is not over" in repaired.stderr
    assert (tmp_path / "TSLA" / "2026-11-20" / "manifest.json").exists()
    monkeypatch.setattr(MarketClock, "now_ns", lambda _self: SESSION.close_ns + TWO_MINUTES_NS)
    assert invoke("record", "repair", tmp_path).exit_code == 0
    assert not list(tmp_path.glob("TSLA/.*.recording"))


def test_a_second_start_leaves_with_0_and_the_tap_shows_the_rows(exchange, tmp_path):
    """Cron may fire while one runs; whoever wants rows listens. SIGTERM then ends it in order."""
    first = Recording(exchange, tmp_path, "--raw").wait_for_tap()

    second, _, words = Recording(exchange, tmp_path).finish()
    tap = scalpcli("record", "tap", "--out", tmp_path, "-n", "3", "--kind", "option_quote")
    lines, _ = tap.communicate(timeout=20)
    code, summary, _ = first.end()

    assert (second, tap.returncode, code, summary["ended"]) == (0, 0, 0, "terminated")
    assert words.startswith(f"TSLA is being recorded from sip already, by process {first.process.pid}")
    assert [json.loads(line)["symbol"][:4] for line in lines.splitlines()] == ["TSLA"] * 3
    assert (tmp_path / "TSLA" / "2026-11-20.raw" / "0001.frames.zst").stat().st_size > 0


# --- what goes wrong ---------------------------------------------------------------------------------------


def invoke(*words, **more):
    return CliRunner().invoke(app, [*map(str, words)], env={**CLEARED, **more}, prog_name="scalpcli")


@pytest.fixture
def keys(monkeypatch):
    """A clock that stands in the session, and keys that must show nowhere."""
    monkeypatch.setattr(MarketClock, "now_ns", lambda _self: OPEN + TWO_MINUTES_NS)
    return {name: uuid.uuid4().hex for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")}


def test_missing_keys_leave_with_3(tmp_path):
    """Before anything is asked or written."""
    done = invoke("record", "--out", tmp_path / "tapes", HOME=str(tmp_path))

    assert done.exit_code == 3
    assert done.stderr.startswith("error: `ALPACA_API_KEY` and `ALPACA_SECRET_KEY` are not set")
    assert not (tmp_path / "tapes").exists()


def test_outside_the_session_it_leaves_with_75(tmp_path, keys, monkeypatch):
    """The message says when the next one begins."""
    monkeypatch.setattr(MarketClock, "now_ns", lambda _self: SESSION.close_ns + TWO_MINUTES_NS)

    done = invoke("record", "--out", tmp_path / "tapes", **keys)

    assert done.exit_code == 75
    assert done.stderr == (
        "error: it is 2026-11-20 16:02 in New York: outside the session\n\n"
        "hint: the next recording begins 2026-11-23 09:25 New York time; `--wait` waits for it\n"
    )
    assert not (tmp_path / "tapes").exists()


@pytest.mark.parametrize(
    ("flags", "code", "found"),
    [
        (("--until", "noon"), 2, "`--until noon` is no time to stop at"),
        (("--dte", "today"), 2, "`--dte today` is no list of days"),
        (("--heartbeat-url", "ftp://host"), 2, "`--heartbeat-url` takes a web address"),
        (("--symbol", "SPY", "--symbol", "TSLA", "--symbol", "SPY"), 2, "`--symbol SPY` is given twice"),
        (("--symbol", "tsla"), 2, "write it in capitals, like `--symbol TSLA`"),
        (("--symbol", "../TSLA"), 2, "`--symbol ../TSLA` is no symbol of a stock"),
        (("--symbol", ""), 2, "is no symbol of a stock"),
        (("--strikes", "0"), 2, "`record.strikes` is 0, below its limit: 1"),
        (("--min-free-gb", "99999"), 4, "GB of disk are free, below the limit: 99999 GB"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_asked(tmp_path, keys, flags, code, found):
    """One message and an exit code, and no folder that looks like a session."""
    done = invoke("record", "--out", tmp_path / "tapes", *flags, **keys)

    assert done.exit_code == code
    assert found in done.stderr
    assert not list(tmp_path.glob("tapes/TSLA/[!.]*")) + list(tmp_path.glob("tapes/TSLA/.*.recording"))
    assert not any(key in done.stderr + done.stdout for key in keys.values())


def test_a_folder_that_cannot_be_written_is_named(tmp_path, keys):
    """A file stands in its place."""
    (tmp_path / "tapes").write_text("")

    done = invoke("record", "--out", tmp_path / "tapes", **keys)

    assert done.exit_code == 4
    assert "the folder of tapes cannot be written" in done.stderr


def test_a_session_without_the_wanted_expiry_leaves_with_4_and_nothing_behind(exchange, tmp_path):
    """Expiries come from the list of contracts; the message names those that exist."""
    code, _, words = Recording(exchange, tmp_path, "--dte", "5").finish()

    assert code == 4
    assert "no contract of TSLA expires in" in words
    assert not list(tmp_path.glob("TSLA/.*.recording"))


def test_another_symbol_than_the_exchanges_is_refused(exchange, tmp_path):
    """A rehearsal plays one underlying."""
    code, _, words = Recording(exchange, tmp_path, "--symbol", "NVDA").finish()

    assert code == 2
    assert words.startswith("error: the local exchange plays TSLA, not NVDA")


def test_a_session_that_is_recorded_is_left_alone(exchange, tmp_path):
    """A sealed tape is never modified; cron's next call leaves with 0."""
    shutil.copytree(EXAMPLE, tmp_path / "TSLA" / "2026-11-20")
    before = (tmp_path / "TSLA" / "2026-11-20" / "manifest.json").read_bytes()

    code, summary, words = Recording(exchange, tmp_path).finish()

    assert (code, summary) == (0, {})
    assert words == "the tape of TSLA on 2026-11-20 is there already: nothing to do\n"
    assert (tmp_path / "TSLA" / "2026-11-20" / "manifest.json").read_bytes() == before


def test_indicative_quotes_are_labelled_everywhere(exchange, tmp_path):
    """They are modified by the vendor: nobody may take them for the NBBO, now or from the tape."""
    code, summary, words = Recording(exchange, tmp_path, "--option-feed", "indicative").wait_for_tap().end()

    label = "alpaca indicative, not the NBBO"
    assert code == 0
    assert words.startswith("option quotes are INDICATIVE: modified by the vendor, not the NBBO")
    assert summary["tapes"][0]["feeds"]["options"] == label
    assert Tape.open(Path(summary["tapes"][0]["tape"])).manifest.feeds["options"] == label


def test_without_a_recorder_the_tap_says_so(tmp_path):
    """And names what would start one."""
    done = invoke("record", "tap", "--out", tmp_path)

    assert done.exit_code == 4
    assert done.stderr.startswith("error: no recorder of TSLA from sip is running")
