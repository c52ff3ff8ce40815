"""`scalpcli live run`: what it refuses, what it prints and leaves, and how it leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from test_canary import left_on_disk, shown
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.cli.live_access import Reached
from scalpcli.cli.live_job import LiveJob, Outcome, leave
from scalpcli.cli.live_mode import Asked, Mode
from scalpcli.cli.live_past import look_back
from scalpcli.cli.live_run import _aside
from scalpcli.cli.live_schedule import units_text
from scalpcli.cli.live_wire import tell_lines
from scalpcli.errors import DataError, ScalpcliError, UpstreamUnavailable, UsageError
from scalpcli.exchange.local_thread import exchange_thread
from scalpcli.exchange.serving import ServingRules
from scalpcli.model.params import AlpacaParams, Params
from scalpcli.model.session import at_ns, session_of
from scalpcli.runtime.clock import SteadyClock
from scalpcli.runtime.compiler import cache_folder
from scalpcli.runtime.live_ports import LiveEnd
from scalpcli.runtime.run_files import set_aside
from tests.exchange_samples import make_tape
from tests.live_runs import ENTRY, make_run, write_journal

DAY = session_of(dt.date(2026, 11, 20))
NAMES = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """The tester's keys, settings and runs stay out of it."""
    for name in [name for name in os.environ if name.startswith(("SCALPCLI", "ALPACA_", "APCA_", "ORATS_"))]:
        monkeypatch.delenv(name)
    # The engine, compiled before, may be used.
    monkeypatch.setenv("SCALPCLI_CACHE_DIR", str(cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def keys(monkeypatch):
    """A paper key and its secret, made up for this test, in the environment."""
    found = {"ALPACA_API_KEY": "PK" + uuid.uuid4().hex, "ALPACA_SECRET_KEY": uuid.uuid4().hex}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture(scope="module")
def tape(tmp_path_factory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 4000)


def call(*words):
    return CliRunner().invoke(app, ["live", *map(str, words)], prog_name="scalpcli")


# --- over sockets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["paper", "shadow"])
def test_a_session_is_traded_and_left_whole(tape, tmp_path, keys, mode):
    """Every line says the mode; journal, tape and results lie there and agree; no key shows in any of it."""
    flags = ["--shadow"] if mode == "shadow" else []
    settings = ["-p", "scalp.enabled=true", "-p", "live.guard_timeout_s=0", "-p", "record.dte=[0]"]
    with exchange_thread(tape, speed=120.0, serving=ServingRules(wait_for=2), keep_log=False) as thread:
        url = thread.exchange.rest_url
        done = call("run", "--rehearse", url, *flags, *settings, "--until", "10m", "--json", "-v")
    folder = tmp_path / "live" / "rehearsal" / mode / "TSLA" / "2026-11-20"
    again = call("run", "--shadow", "--rehearse", "http://127.0.0.1:9")

    assert done.exit_code == 0, done.output
    assert {line.split()[0] for line in done.stderr.splitlines()} == {mode.upper()}
    told = json.loads(done.stdout)
    assert (told["mode"], told["ended"], told["flat"]) == (mode.upper(), "until", True)
    facts = json.loads((folder / "live.json").read_bytes())
    assert (facts["mode"], facts["finished_ns"] > 0, facts["rehearse"]) == (mode, True, url)
    assert json.loads((folder / "manifest.json").read_bytes())["mode"] == mode
    assert (CliRunner().invoke(app, ["report", str(folder)]).exit_code) == 0
    proof = CliRunner().invoke(app, ["replay", "--against", str(folder)])
    assert proof.exit_code == 0, proof.output
    assert again.exit_code == 6
    assert shown(keys, done.output + done.stderr + left_on_disk(tmp_path)) == []


def test_addresses_with_tokens_are_for_the_user_alone(tape, tmp_path):
    """`live.json` has them, since the guard tells by them; the manifest, which is handed on, does not."""
    token = uuid.uuid4().hex
    with exchange_thread(tape, speed=120.0, serving=ServingRules(wait_for=2), keep_log=False) as thread:
        url = thread.exchange.rest_url
        told = ["--notify", f"http://127.0.0.1:9/{token}", "-p", "record.dte=[0]", "--until", "2m"]
        done = call("run", "--shadow", "--rehearse", url, "--out", tmp_path / "runs", *told)
    folder = tmp_path / "runs" / "shadow" / "TSLA" / "2026-11-20"

    assert done.exit_code == 0, done.output
    holding = [path.name for path in folder.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert holding == ["live.json"]
    assert (folder / "live.json").stat().st_mode & 0o077 == 0
    assert token not in done.output + done.stderr


@pytest.mark.parametrize("flags", [[], ["--shadow"]])
def test_refused_keys_leave_nothing_that_looks_like_a_run(tape, tmp_path, flags):
    """Exit 3, before anything is sent; the next command finds no run."""
    own = ("k" + uuid.uuid4().hex, "s" + uuid.uuid4().hex)
    with exchange_thread(tape, speed=120.0, serving=ServingRules(wait_for=2), keep_log=False, keys=own) as thread:
        done = call("run", *flags, "--rehearse", thread.exchange.rest_url, "--out", tmp_path / "runs")

    assert done.exit_code == 3, done.output
    assert [path.name for path in (tmp_path / "runs").rglob("*") if path.is_file()] == [".lock"]
    assert call("status", "--out", tmp_path / "runs").exit_code == 4


def test_a_run_that_has_ended_is_not_begun_again(tmp_path):
    """Its journal is closed; another one of the day must be asked for."""
    folder = make_run(tmp_path, ended={"ts_ns": 1, "reason": "close"})

    with pytest.raises(UsageError, match="has ended") as refused:
        look_back(folder, "TSLA", DAY.date)

    assert "--no-resume" in refused.value.hint


def test_decisions_without_their_rows_are_refused(tmp_path):
    """Nothing could hold the journal to what happened."""
    folder = make_run(tmp_path)
    write_journal(folder, ENTRY)

    with pytest.raises(DataError, match="no rows that they were decided on"):
        look_back(folder, "TSLA", DAY.date)


def test_an_earlier_run_of_the_day_is_kept(tmp_path):
    """Under the next free name beside it."""
    first = make_run(tmp_path)
    assert set_aside(first).name == "2026-11-20.1"
    second = make_run(tmp_path)

    assert set_aside(second).name == "2026-11-20.2"
    assert look_back(first, "TSLA", DAY.date).facts == {}


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        (["--live", "--shadow"], 2, "`--shadow` and `--live` contradict"),
        (["--live", "--rehearse", "http://127.0.0.1:9"], 2, "`--rehearse` and `--live` contradict"),
        (["--rehearse", ""], 2, "`--rehearse` is empty"),
        (["--rehearse", "https://example.com"], 2, "not an address on this machine"),
        ([], 3, "are not set"),
        (["--live"], 3, "are not set"),
        (["--notify", "nowhere"], 2, "takes a web address"),
        (["--on-stall", "wait"], 2, "'wait' is not one of 'flatten', 'hold'"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anyone_is_asked(words, code, found):
    """With its exit code."""
    done = call("run", *words)

    assert (done.exit_code, found in done.stderr) == (code, True), done.stderr


def test_live_keys_do_not_trade_on_paper(monkeypatch):
    """Whoever has them set gets PAPER with paper keys, or all four locks."""
    monkeypatch.setenv("ALPACA_API_KEY", "AK" + uuid.uuid4().hex)
    monkeypatch.setenv("ALPACA_SECRET_KEY", uuid.uuid4().hex)

    done = call("run")

    assert done.exit_code == 3
    assert "PAPER needs keys of a paper account; the key is of a live account" in done.stderr


@pytest.mark.parametrize("clock", ["08:00", "16:01"])
def test_outside_the_session_it_leaves_with_75(keys, monkeypatch, clock):
    """For a timer: try later."""
    monkeypatch.setattr(SteadyClock, "now_ns", lambda _self: at_ns(DAY, clock))

    done = call("run")

    assert done.exit_code == 75, done.stderr
    assert shown(keys, done.output + done.stderr) == []


def test_live_without_a_word_runs_it(keys, monkeypatch):
    """`scalpcli live` is `scalpcli live run`."""
    monkeypatch.setattr(SteadyClock, "now_ns", lambda _self: at_ns(DAY, "08:00"))

    assert (call().exit_code, call("--shadow").exit_code) == (75, 75)
    assert keys


def test_times_and_a_pipe_do_not_go_together(keys, monkeypatch):
    """The settings are read again once the session is known; a pipe would be empty then, and all of them defaults."""
    monkeypatch.setattr(SteadyClock, "now_ns", lambda _self: at_ns(DAY, "10:00"))

    done = CliRunner().invoke(app, ["live", "run", "-c", "-", "--flatten-at", "15:10"], input="", prog_name="scalpcli")

    assert (done.exit_code, "a pipe cannot be read twice" in done.stderr) == (2, True)
    assert keys


def test_times_of_the_flags_are_held_against_the_settings(keys, monkeypatch):
    """The last entry cannot come after everything is sold."""
    monkeypatch.setattr(SteadyClock, "now_ns", lambda _self: at_ns(DAY, "10:00"))

    done = call("run", "--no-entry-after", "15:30", "--flatten-at", "close-50m")

    assert done.exit_code == 2
    assert "flatten_before_close_minutes" in done.stderr
    assert keys


# --- how it leaves -----------------------------------------------------------------------------------------


def job(mode=Mode.PAPER):
    asked = Asked(False, mode is Mode.LIVE, "", False, False, "", AlpacaParams(), {}, "opra", "")
    return LiveJob(
        reached=Reached(mode, None, asked),
        params=Params(),
        blackouts=(),
        symbol="TSLA",
        session=DAY,
        until_ns=0,
        root=Path("live"),
        tapped=None,
        kill_file=Path("live/KILL"),
        is_resumed=True,
        is_watched=False,
        command="",
        environ={},
        out=lambda _line: None,
    )


HELD = LiveEnd("interrupted", is_flat=False, held={"TSLA261120C00400000": 2})
FLAT = LiveEnd("close", is_flat=True, held={})


@pytest.mark.parametrize(
    ("end", "failure", "code"),
    [
        (FLAT, None, 0),
        (dataclasses.replace(FLAT, ended="terminated"), None, 0),
        (dataclasses.replace(FLAT, ended="interrupted"), None, 130),
        (dataclasses.replace(FLAT, ended="left"), None, 130),
        (dataclasses.replace(FLAT, protection="daily loss"), None, 7),
        (FLAT, UpstreamUnavailable("the stream is gone"), 6),
        (dataclasses.replace(FLAT, ended="failed", failure="the disk is full"), None, 4),
        (HELD, None, 8),
        (dataclasses.replace(HELD, protection="daily loss"), UpstreamUnavailable("gone"), 8),
    ],
)
def test_the_exit_code_tells_what_matters_most(end, failure, code):
    """Something held comes before every other reason."""
    try:
        leave(job(), Outcome(Path("live/paper/TSLA/2026-11-20"), end, failure))
        found = 0
    except ScalpcliError as error:
        found = error.exit_code

    assert found == code


def test_what_is_still_held_is_told_with_the_ways_out():
    """Ours first, then by hand at the broker."""
    with pytest.raises(ScalpcliError) as raised:
        leave(job(Mode.LIVE), Outcome(Path("live/live/TSLA/2026-11-20"), HELD))

    assert raised.value.found == "LIVE: still held at the end (interrupted): 2 TSLA261120C00400000"
    assert "scalpcli live flatten --run live/live/TSLA/2026-11-20" in raised.value.hint
    assert "Sell 2, limit at the bid" in raised.value.hint


def test_a_shadow_holds_nothing():
    """What it would have held is no reason to wake somebody."""
    leave(job(Mode.SHADOW), Outcome(Path("live/shadow/TSLA/2026-11-20"), dataclasses.replace(HELD, ended="until")))


# --- what is told ------------------------------------------------------------------------------------------


class Notified:
    """Remembers what it is told."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def test_every_decision_worth_a_line_says_mode_and_time():
    """Triggers and refusals are in the journal; an alarm that is a decision comes once, by the trader's own words."""
    printed, notified = [], Notified()
    tell = tell_lines(dataclasses.replace(job(), out=printed.append), notified)
    at = at_ns(DAY, "10:31:07")
    fill = {"ts_ns": at, "kind": "fill", "order_id": "x1", "quantity": 2, "price_e4": 31_000, "held": 0}

    tell({"ts_ns": at, "kind": "refusal", "gate": "spread"})
    tell(fill)
    tell({"ts_ns": at, "kind": "alarm", "text": "not flat", "about": "x1", "value": None, "limit": None})
    tell({"ts_ns": at, "kind": "alarm", "text": "not flat"})

    assert printed == ["PAPER 10:31:07 fill x1: 2 at 3.10, 0 held"]
    assert notified.lines == ["scalpcli PAPER TSLA: fill x1: 2 at 3.10, 0 held", "scalpcli PAPER TSLA: ALARM: not flat"]


def test_what_trading_does_not_need_ends_nothing():
    """A heartbeat that fails is told, and that is all."""
    printed = []

    async def fails():
        raise KeyError("x")

    asyncio.run(_aside(dataclasses.replace(job(), out=printed.append), "the heartbeat", fails()))

    assert printed == ["PAPER ALARM: the heartbeat ended: KeyError"]


# --- systemd -----------------------------------------------------------------------------------------------


def units(text: str) -> dict[str, str]:
    """The printed units by file name."""
    parts = re.split(r"^# ~/\.config/systemd/user/(\S+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_printed_units_hold_the_call(tmp_path):
    """The run as it was tried by hand, started again after a crash and not after what a person must see."""
    done = call(
        "run", "--print-systemd", "--live", "--account-ends", "12Z4", "--out", "my runs", "-p", "scalp.enabled=true"
    )

    found = units(done.stdout)
    assert set(found) == {"scalpcli-live.service", "scalpcli-live-guard.service", "scalpcli-live.timer"}
    run = found["scalpcli-live.service"]
    assert 'live run --no-watch --live --account-ends 12Z4 --out "my runs" --param scalp.enabled=true\n' in run
    assert "Restart=on-failure\n" in run
    assert "RestartPreventExitStatus=2 3 4 5 7 8 75 130\n" in run
    assert (
        "'my runs/live/TSLA/'$$(TZ=America/New_York date +%%F) --account-ends 12Z4"
        in found["scalpcli-live-guard.service"]
    )
    assert f"WorkingDirectory={tmp_path}" in run


def test_a_shadow_needs_no_guard():
    """It holds nothing."""
    assert "scalpcli-live-guard.service" not in units(units_text(["--shadow"], Path("/data"), "/bin/true"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path):
    """`systemd-analyze verify` finds nothing to say."""
    for name, text in units(units_text(["--account-ends", "12Z4", "--out", "a b"], tmp_path, "/bin/true")).items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.glob("scalpcli-*")))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
