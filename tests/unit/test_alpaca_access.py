"""Where and as whom a command asks: Alpaca with keys, or a local exchange in its place."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import uuid

import pytest
from alpaca_day import OPEN_NS, S, routes
from alpaca_server import serving

from scalpcli.cli.alpaca_access import access
from scalpcli.errors import CredentialsError, UpstreamUnavailable, UsageError
from scalpcli.model.params import Params

KEY, SECRET, TOKEN = (uuid.uuid4().hex for _ in range(3))


@pytest.fixture(autouse=True)
def no_secrets_file(monkeypatch, tmp_path):
    """The tester's own keys stay out of it."""
    monkeypatch.setenv("HOME", str(tmp_path))


def test_keys_come_from_the_environment_and_show_in_no_text():
    """Under Alpaca's own names too."""
    reach = access(Params(), {"APCA_API_KEY_ID": KEY, "ALPACA_SECRET_KEY": SECRET, "ORATS_TOKEN": TOKEN})

    assert (reach.key, reach.secret, reach.orats_token) == (KEY, SECRET, TOKEN)
    assert reach.params == Params().alpaca
    assert not any(value in repr(reach) for value in (KEY, SECRET, TOKEN))


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, "`ALPACA_API_KEY` and `ALPACA_SECRET_KEY` are not set"),
        ({"ALPACA_API_KEY": KEY}, "`ALPACA_SECRET_KEY` is not set"),
        ({"ALPACA_SECRET_KEY": SECRET}, "`ALPACA_API_KEY` is not set"),
    ],
)
def test_missing_keys_are_named(environ, found):
    """Exit code 3; a key that is there is not shown."""
    with pytest.raises(CredentialsError) as raised:
        access(Params(), environ)

    assert raised.value.found == found
    assert not any(value in raised.value.render() for value in environ.values())


def test_a_rehearsal_replaces_all_four_hosts_and_the_clock():
    """Nothing of it reaches Alpaca, and nothing needs a key."""
    with serving(routes(now_s=600, url="ws://127.0.0.1:18081")) as server:
        reach = access(Params(), {"ORATS_TOKEN": TOKEN}, server.url)

    assert (reach.params.trading_url, reach.params.data_url) == (server.url, server.url)
    assert (reach.params.stream_url, reach.params.trading_stream_url) == ("ws://127.0.0.1:18081",) * 2
    assert (reach.key, reach.secret, reach.orats_token) == ("rehearsal", "rehearsal", "")
    assert 0 <= reach.clock.now_ns() - OPEN_NS - 600 * S < 10 * S
    assert (reach.is_rehearsal, reach.session, reach.symbol) == (True, dt.date(2026, 11, 20), "TSLA")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com:18080",
        "https://127.0.0.1:1",
        "ftp://127.0.0.1",
        "127.0.0.1:18080",
        'http://127.0.0.1:1", "s',
    ],
)
def test_a_rehearsal_is_on_this_machine(url):
    """Keys are sent to it."""
    with pytest.raises(UsageError, match="not an address on this machine"):
        access(Params(), {}, url)


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        [1],
        {"speed": 1},
        (500, "broken"),
        {"now_ns": 1, "speed": 0, "session": "2026-11-20", "symbol": "TSLA", "stream_url": "ws://127.0.0.1:1"},
        {"now_ns": 1, "speed": "nan", "session": "2026-11-20", "symbol": "TSLA", "stream_url": "ws://127.0.0.1:1"},
        {"now_ns": 1, "speed": 1, "session": "2026-11-20", "symbol": "TSLA", "stream_url": "ws://example.com:1"},
    ],
)
def test_another_program_on_the_port_is_recognised(body):
    """Exit code 6, with what to start; no stream elsewhere is ever named by it."""
    with serving({"/rehearsal": lambda _query: body}) as server, pytest.raises(UpstreamUnavailable) as raised:
        access(Params(), {}, server.url)

    assert "scalpcli exchange" in raised.value.hint


def test_what_answers_without_http_is_no_local_exchange():
    """A stray service on the port; the message says what to start instead."""

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"SSH-2.0-stray\r\n")
            connection.recv(1024)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(UpstreamUnavailable) as raised:
            access(Params(), {}, f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert raised.value.found == "no local exchange answers: its answer is not HTTP"
