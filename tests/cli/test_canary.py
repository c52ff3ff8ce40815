"""No key, secret or token appears in anything that is printed, logged or left on the disk."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.exchange.local_thread import exchange_thread
from scalpcli.exchange.serving import ServingRules
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.lock import read_owner
from scalpcli.runtime.segment_read import SegmentReader
from tests.alpaca_server import serving
from tests.exchange_samples import make_tape
from tests.tape_samples import OPEN

NAMES = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "ORATS_TOKEN")
ADDRESSES = ("trading_url", "data_url", "stream_url", "trading_stream_url", "orats_url")
SHOWN_AT_MOST = 7
"""Characters of a secret that a message may hold by chance."""


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 4000)


@pytest.fixture
def canaries(monkeypatch, tmp_path) -> dict[str, str]:
    """A key, a secret and a token made up for this test, in the environment."""
    found = {name: uuid.uuid4().hex for name in NAMES}
    for name in [name for name in os.environ if name.startswith(("SCALPCLI", "ALPACA_", "APCA_", "ORATS_"))]:
        monkeypatch.delenv(name)
    for name, value in {**found, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return found


def start(*words: object, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scalpcli", *map(str, words)]
    return subprocess.Popen(
        command, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="scalpcli")


def printed(process: subprocess.Popen[str]) -> str:
    return "\n".join(process.communicate(timeout=60))


def left_on_disk(folder: Path) -> str:
    """Names and contents of all files below a folder, what is packed unpacked."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        found.append(str(path))
        if path.suffix == ".recording":
            found += [str(part) for part in SegmentReader(path).blocks()]
        if path.suffix == ".parquet":
            found.append(pl.read_parquet(path).write_csv())
        if path.suffix == ".zst":
            with path.open("rb") as packed:
                reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
                found.append(reader.read().decode("latin-1"))
        if path.is_file():
            found.append(path.read_bytes().decode("latin-1"))
    return "\n".join(found)


def shown(canaries: dict[str, str], everything: str) -> list[str]:
    """Names of the canaries that show, whole or in a long part."""
    parts = {name: [value[at : at + SHOWN_AT_MOST + 1] for at in range(24)] for name, value in canaries.items()}
    return [name for name, texts in parts.items() if any(text in everything for text in texts)]


def wait_for_rows(recorder: subprocess.Popen[str], out: Path) -> str:
    """Until a recorder offers its rows; where."""
    for _ in range(600):
        owner = read_owner(out / "TSLA", "sip")
        if owner.tap and owner.pid == recorder.pid and any(out.glob("TSLA/.*.recording/*.log")):
            return str(owner.tap)
        assert recorder.poll() is None, recorder.communicate()
        with pytest.raises(subprocess.TimeoutExpired):
            recorder.wait(0.05)
    raise AssertionError("the recorder did not begin")


def test_nothing_a_rehearsal_prints_or_leaves_shows_a_key(tape, canaries, tmp_path, monkeypatch, caplog):
    """Recorder, tap, kill, repair, a second run, doctor, backfill, audit, and keys that are refused, all with `-v`."""
    caplog.set_level(logging.DEBUG)
    out = ["--out", tmp_path / "tapes"]
    own = {
        "SCALPCLI_EXCHANGE_KEY": canaries["ALPACA_API_KEY"],
        "SCALPCLI_EXCHANGE_SECRET": canaries["ALPACA_SECRET_KEY"],
    }
    exchange = start(
        "exchange", tape, "--port", "0", "--speed", "60", "--wait-for", "2", "--log", tmp_path / "sent", "--json", **own
    )
    assert exchange.stdout is not None
    told = ""
    while not told.rstrip().endswith("}"):
        told += exchange.stdout.readline()
    at = ["--rehearse", json.loads(told)["rest"], "-v"]
    wrong = uuid.uuid4().hex

    first = start("record", *at, *out, "--dte", "0", "--raw")
    names = wait_for_rows(first, tmp_path / "tapes")
    words = [call("record", *more, *out).output for more in (["tap", "-n", "2", "-v"], at)]
    first.kill()
    words += [printed(first), left_on_disk(tmp_path), call("record", "repair", tmp_path / "tapes", "-v").output]
    second = start("record", *at, "--out", tmp_path / "again", "--dte", "0", "--raw")
    names += wait_for_rows(second, tmp_path / "again")
    second.send_signal(signal.SIGTERM)
    words.append(printed(second))
    asked = [
        call("record", "backfill", "2026-11-20", *at, "--out", tmp_path / "history"),
        call("record", "audit", tmp_path / "again" / "TSLA" / "2026-11-20", *at),
        call("doctor", *at),
    ]
    monkeypatch.setenv("ALPACA_SECRET_KEY", wrong)
    asked.append(call("record", *at, "--out", tmp_path / "refused"))
    words += [done.output + done.stderr for done in asked]
    exchange.terminate()
    everything = "\n".join([told, names, *words, printed(exchange), caplog.text, left_on_disk(tmp_path)])

    assert "Alpaca does not accept the keys" in words[-1]
    assert "Traceback" in words[-1]
    assert (second.returncode, *(done.exit_code for done in asked)) == (0, 0, 0, 0, 3)
    assert (tmp_path / "history" / "TSLA" / "2026-11-20" / "manifest.json").exists()
    assert wrong not in everything
    assert shown(canaries, everything) == []


COMMANDS = {
    "record": ["record"],
    "backfill": ["record", "backfill", "2026-11-19", "--options", "orats"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_server_that_repeats_the_keys_makes_no_command_print_them(canaries, words, tmp_path, monkeypatch, caplog):
    """Every answer, its status 401 and its body, holds all that was sent; `-v` shows the traceback, logs are at debug."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(MarketClock, "now_ns", lambda _self: OPEN)
    everything = " ".join(canaries.values())
    refused = (401, {"message": everything, "code": 40110000}, {"X-Request-ID": everything})
    monkeypatch.setattr("tests.alpaca_server.Script.answer", lambda *_request: refused)

    with serving({}) as server:
        places = {f"alpaca.{name}": _address(name, server.url) for name in ADDRESSES}
        settings = _settings(places | {"record.out": str(tmp_path / "tapes")})
        done = call(*words, *settings, "-v")

    assert done.exit_code == 3
    assert "Traceback" in done.stderr
    assert shown(canaries, done.output + done.stderr + caplog.text + left_on_disk(tmp_path)) == []


def test_a_stream_that_repeats_the_keys_makes_the_recorder_print_none(canaries, tape, tmp_path, monkeypatch, caplog):
    """Requests are answered as they should; the streams' handshake is refused with a body that holds the keys."""
    caplog.set_level(logging.DEBUG)
    everything = " ".join(canaries.values())
    refused = (403, {"message": everything}, {"X-Request-ID": everything})
    monkeypatch.setattr("tests.alpaca_server.Script.answer", lambda *_request: refused)

    with exchange_thread(tape, speed=0, serving=ServingRules(wait_for=0)) as exchange, serving({}) as server:
        exchange.ended.wait(20)
        monkeypatch.setattr(MarketClock, "now_ns", lambda _self: exchange.exchange.market.now_ns())
        rest = exchange.exchange.rest_url
        asked = {f"alpaca.{name}": rest if name in ADDRESSES[:2] else _address(name, server.url) for name in ADDRESSES}
        words = ["record", "--out", str(tmp_path / "tapes"), "--dte", "0", "--raw", "-v", *_settings(asked)]
        done = call(*words)

    assert done.exit_code == 3
    assert shown(canaries, done.output + done.stderr + caplog.text + left_on_disk(tmp_path)) == []


def _address(name: str, url: str) -> str:
    return url.replace("http", "ws") if "stream" in name else url


def _settings(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", f'{name}="{value}"')]
