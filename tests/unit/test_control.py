"""The control socket: the same user's other shells reach the trader, and nobody holds it up."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from scalpcli.errors import UpstreamUnavailable, UsageError
from scalpcli.model.broker import BrokerSilent
from scalpcli.runtime.control import CLIENTS_MAX, ControlClient, ControlServer, ask, remove_control_leftover


class Trader:
    """Stands for the trader: remembers what it was told."""

    def __init__(self):
        self.commands = []
        self.listeners = []
        self.asked = 0
        self.found = {"differences": []}
        self.told = {"mode": "paper", "positions": []}

    def state(self):
        self.asked += 1
        return self.told

    def command(self, command, *, by):
        if command == "arm":
            raise UsageError("nothing to arm", hint="entries are allowed")
        self.commands.append((command, by))

    async def reconcile(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def listen(self, listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, event):
        for listener in self.listeners:
            listener(event)


def run(play, trader=None, **options):
    """Play with an open server, which is closed afterwards."""

    async def whole():
        server = ControlServer(trader or Trader(), **options)
        await server.open()
        try:
            return await asyncio.wait_for(play(server), 10)
        finally:
            await server.close()

    return asyncio.run(whole())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


def mode_of(path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


async def one(server, command, **more):
    client = await ControlClient.open(server.path)
    try:
        return await client.ask(command, **more)
    finally:
        await client.close()


def test_its_user_alone_may_reach_the_socket():
    """The folder keeps others out, and the socket's own mode says it again."""

    async def play(server):
        return mode_of(server.path), mode_of(Path(server.path).parent)

    assert run(play) == (0o600, 0o700)


def test_another_user_gets_no_answer():
    """Where modes are not honoured the kernel still tells who connects."""
    trader = Trader()

    async def play(server):
        with pytest.raises(UpstreamUnavailable):
            await one(server, "kill")
        return server.refused

    assert run(play, trader, user=os.getuid() + 1) == 1
    assert trader.commands == []


def test_a_command_reaches_the_trader_with_who_gave_it():
    """Who flattened stands on the tape: the process that the kernel saw."""
    trader = Trader()

    answer = run(lambda server: one(server, "flatten"), trader)

    assert answer == {"command": "flatten"}
    assert trader.commands == [("flatten", f"process {os.getpid()}")]


def test_a_refused_command_tells_the_reason():
    """The trader's reason reaches the other shell, with its hint."""
    with pytest.raises(UsageError, match="nothing to arm") as refused:
        run(lambda server: one(server, "arm"))

    assert refused.value.hint == "entries are allowed"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b'{"command": "buy"}\n', "unknown command"),
        (b"kill\n", "unknown command"),
        (b"[1]\n", "unknown command"),
        (b'{"command": ["kill"]}\n', "unknown command"),
        (b"\xff\xfe\n", "unknown command"),
        (b"[" * 10_000 + b"\n", "unknown command"),
    ],
)
def test_what_is_no_request_is_told_so(sent, error):
    """A command is taken only where it is spelled out; anything else changes nothing."""
    trader = Trader()

    async def play(server):
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(sent)
        answer = json.loads(await reader.readline())
        writer.close()
        return answer

    answer = run(play, trader)

    assert (answer["ok"], answer["error"], trader.commands) == (False, error, [])


def test_state_and_reconciliation_are_told_over_one_connection():
    """A shell may ask more than once."""

    async def play(server):
        client = await ControlClient.open(server.path)
        answers = [await client.ask("ping"), await client.ask("status"), await client.ask("reconcile")]
        await client.close()
        return answers

    assert run(play) == [
        {"pid": os.getpid()},
        {"state": {"mode": "paper", "positions": []}},
        {"found": {"differences": []}},
    ]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(BrokerSilent("no answer in 5 s"), "the broker does not answer: no answer in 5 s"), (KeyError("x"), "KeyError")],
)
def test_a_question_that_fails_is_answered(fault, words):
    """Whoever asks when something is wrong gets words, and trading goes on."""
    trader = Trader()
    trader.found = fault

    async def play(server):
        with pytest.raises(UsageError, match=words):
            await one(server, "reconcile")
        return await one(server, "ping")

    assert run(play, trader)


def test_a_watcher_gets_states_and_events():
    """A screen of another process sees what happens, as it happens."""
    trader = Trader()

    async def play(server):
        client = await ControlClient.open(server.path)
        seen = []
        async for line in client.watch(50):
            seen.append(line)
            if len(seen) == 1:
                trader.tell({"kind": "alarm", "text": "blind"})
            if len(seen) == 3:
                break
        await client.close()
        await until(lambda: server.watchers == 0)
        return seen

    assert run(play, trader) == [
        {"state": trader.told},
        {"event": {"kind": "alarm", "text": "blind"}},
        {"state": trader.told},
    ]


def test_many_watchers_cost_one_state():
    """Screens must not slow the trader down: what one sees, all see."""
    trader = Trader()

    async def play(server):
        clients = [await ControlClient.open(server.path) for _ in range(20)]
        for client in clients:
            client._writer.write(b'{"command": "watch", "interval_ms": 60000}\n')
        lines = [await client._reader.readline() for client in clients]
        for client in clients:
            await client.close()
        return lines

    assert len(set(run(play, trader))) == 1
    assert trader.asked < 20


def test_a_slow_watcher_is_dropped():
    """Trading waits for nobody: who does not read is let go, and counted."""
    trader = Trader()

    async def play(server):
        slow, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b'{"command": "watch"}\n')
        await until(lambda: server.watchers == 1)
        while server.dropped == 0:
            trader.tell({"kind": "alarm", "text": "x" * 10_000})
        left = server.watchers
        writer.close()
        del slow
        return left

    assert run(play, trader, waiting_bytes_max=100_000) == 0


def test_a_silent_client_is_let_go():
    """A forgotten shell must not take a place for ever."""

    async def play(server):
        reader, writer = await asyncio.open_unix_connection(server.path)
        ended = await reader.read()
        writer.close()
        return ended

    assert run(play, idle_s=0.01) == b""


def test_a_line_without_end_ends_the_connection():
    """What one client may have us keep is bounded."""

    async def play(server):
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b"x" * 200_000)
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert run(play) == b""


def test_whoever_comes_last_is_answered_however_many_are_there():
    """Were the guard turned away, it would end a process that is well: the oldest makes room."""

    async def play(server):
        clients = [await ControlClient.open(server.path) for _ in range(CLIENTS_MAX)]
        for client in clients:
            await client.ask("ping")
        latest = await one(server, "ping")
        with pytest.raises(UpstreamUnavailable):
            await clients[0].ask("ping")
        second = await clients[1].ask("ping")
        for client in clients:
            await client.close()
        return latest, second, server.dropped

    assert run(play) == ({"pid": os.getpid()}, {"pid": os.getpid()}, 1)


def test_closing_ends_watchers_and_removes_the_socket():
    """A screen sees the end as an end, and nothing is left on disk."""
    trader = Trader()

    async def play(server):
        client = await ControlClient.open(server.path)
        lines = []
        async for line in client.watch():
            lines.append(line)
            folder = Path(server.path).parent
            await server.close()
        await client.close()
        return len(lines), folder.exists()

    assert run(play, trader) == (1, False)
    assert trader.listeners == []


def test_nobody_listening_is_told_with_a_way_out(tmp_path):
    """The hint names what works without a process."""
    with pytest.raises(UpstreamUnavailable) as silent:
        ask(str(tmp_path / "socket"), "status")

    assert "live kill" in silent.value.hint


def test_a_killed_traders_socket_is_removed_and_nothing_else(tmp_path):
    """A path in a damaged file must not remove a folder of somebody's."""
    ours, other = tmp_path / "scalpcli-control-x", tmp_path / "home"
    for folder in (ours, other):
        folder.mkdir()
        remove_control_leftover(str(folder / "socket"))

    assert (ours.exists(), other.exists()) == (False, True)
