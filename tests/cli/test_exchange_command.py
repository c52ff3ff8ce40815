"""`scalpcli exchange` as a shell sees it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.exchange_samples import ALL_STOCK, STOCK_KINDS, client_of, expected, make_tape, rows_of

WAIT_S = 30


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 1000)


@contextmanager
def running(tape: Path, *flags: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The command in a process of its own, and what it said when it was ready."""
    words = [sys.executable, "-m", "scalpcli", "exchange", str(tape), "--port", "0", "--json", *flags]
    environ = {**os.environ, "PYTHONWARNINGS": "error", **environ}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def refused(*words: Any, **environ: str) -> tuple[int, str]:
    """Exit code and message of a call that must not start."""
    result = CliRunner().invoke(app, ["exchange", *map(str, words)], env=environ, prog_name="scalpcli")
    return result.exit_code, result.stderr


def test_a_client_reaches_what_the_first_line_says_and_the_last_line_counts(tape, tmp_path):
    """Addresses, the line to paste, the tape's messages, an end of its own, a log with each row."""
    log = tmp_path / "log.jsonl"

    async def listen(ready: dict[str, Any]) -> list[Any]:
        async with client_of(ready["streams"] + "/v2/sip") as client:
            await client.ask(**ALL_STOCK)
            return await client.hear_all(len(rows_of(tape, STOCK_KINDS)))

    with running(tape, "--speed", "max", "--exit-at-end", "--log", str(log)) as (process, ready):
        heard = asyncio.run(listen(ready))
        out, err = process.communicate(timeout=WAIT_S)

    assert heard == expected(tape, STOCK_KINDS)
    assert ready["record"] == f"scalpcli record --rehearse {ready['rest']}"
    assert (ready["symbol"], ready["session"], ready["rows"]) == ("TSLA", "2026-11-20", 1000)
    assert json.loads(out) == {"event": "end", "rows_served": 1000, "sent": len(heard)}
    assert process.returncode == 0
    assert "Traceback" not in err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row for line in lines if line["event"] == "sent" for row in line["rows"]] == rows_of(tape, STOCK_KINDS)


def test_a_client_finds_the_exchanges_clock(tape):
    """`GET /rehearsal` is what a recorder follows."""
    with running(tape, "--speed", "60") as (_process, ready):
        connection = http.client.HTTPConnection(ready["rest"].removeprefix("http://"), timeout=WAIT_S)
        connection.request("GET", "/rehearsal")
        body = json.load(connection.getresponse())
        connection.close()

    assert body["speed"] == 60.0
    assert body["stream_url"] == ready["streams"]
    assert body["session"] == "2026-11-20"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_with_clients_connected(tape, number, code):
    """Open streams do not hold it up; no traceback comes."""

    async def stop(process: subprocess.Popen[str], ready: dict[str, Any]) -> tuple[str, str]:
        async with client_of(ready["streams"] + "/v2/sip") as client:
            await client.ask(**ALL_STOCK)
            process.send_signal(number)
            return await asyncio.to_thread(process.communicate, None, WAIT_S)

    with running(tape, "--speed", "1") as (process, ready):
        out, err = asyncio.run(stop(process, ready))

    assert process.returncode == code
    assert json.loads(out)["event"] == "end"
    assert "Traceback" not in err


def test_only_the_keys_of_the_environment_open_it(tape):
    """And neither of them is printed."""
    key, secret = uuid.uuid4().hex, uuid.uuid4().hex

    async def knock(ready: dict[str, Any], given: dict[str, str]) -> Any:
        async with client_of(ready["streams"] + "/v2/sip", enter=False) as client:
            await client.hear()
            return await client.ask(action="auth", **given)

    environ = {"SCALPCLI_EXCHANGE_KEY": key, "SCALPCLI_EXCHANGE_SECRET": secret}
    with running(tape, **environ) as (process, ready):
        wrong = asyncio.run(knock(ready, {"key": key, "secret": uuid.uuid4().hex}))
        right = asyncio.run(knock(ready, {"key": key, "secret": secret}))
        process.terminate()
        out, err = process.communicate(timeout=WAIT_S)

    assert (wrong["code"], right["msg"]) == (402, "authenticated")
    assert key not in out + err
    assert secret not in out + err


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (("--speed", "0"), "`--speed 0` is no speed"),
        (("--speed", "fast"), "`--speed fast` is no speed"),
        (("--port", "70000"), "`--port 70000` is no port"),
        (("--plan", "gold"), "`--plan gold` is no plan"),
        (("--wait-for", "-1"), "`--wait-for` is below 0"),
        (("--start", "half ten"), "`half ten` is not a time of day"),
        (("--start", "11:00", "--until", "10:00"), "`--start 11:00` is not before `--until 10:00`"),
        (("--fault", "drop=bond"), "`bond` is no scope of a fault"),
        (("--faults", "none.toml"), "the fault script cannot be read"),
    ],
)
def test_a_flag_that_cannot_be_meant_is_refused(tape, flags, found):
    """With exit code 2, before anything listens."""
    code, message = refused(tape, *flags)

    assert (code, found in message) == (2, True), message


def test_one_key_alone_is_a_slip(tape):
    """It would let everybody in."""
    code, message = refused(tape, SCALPCLI_EXCHANGE_KEY=uuid.uuid4().hex, SCALPCLI_EXCHANGE_SECRET="")

    assert code == 2
    assert "`SCALPCLI_EXCHANGE_KEY` is set without `SCALPCLI_EXCHANGE_SECRET`" in message


def test_no_tape_and_a_taken_port_are_missing_data(tape, tmp_path):
    """Exit code 4 and what to do."""
    no_tape, message = refused(tmp_path / "none")
    assert (no_tape, "does not exist" in message) == (4, True)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, message = refused(tape, "--port", taken.getsockname()[1])

    assert code == 4
    assert "cannot be used" in message
