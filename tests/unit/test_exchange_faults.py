"""Fault scripts of the local exchange: read, begun in time, done to the message, and told in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import msgpack
import pytest

from scalpcli.errors import UsageError
from scalpcli.exchange.fault_script import Fault, FaultName, FaultScript, Scope, read_script
from scalpcli.exchange.faults import NO_TAGS, FaultEngine
from scalpcli.exchange.messages import Wire
from scalpcli.exchange.outlet import WAITING_BYTES_MAX, Outlet
from scalpcli.exchange.serving_log import ServingLog
from tests.tape_samples import OPEN, SESSION

# --- scripts


def script_of(tmp_path: Path, text: str, seed: int | None = None) -> FaultScript:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    return read_script(path, [], SESSION, seed)


def test_a_file_and_flags_make_one_script(tmp_path):
    """The file's faults come first; market times are New York's on the tape's day."""
    path = tmp_path / "faults.toml"
    path.write_text('seed = 4\n[[fault]]\nname = "stall"\nscope = "option"\nat = "09:31"\nduration_s = 2\n')

    script = read_script(path, ["drop=stock,after_messages=500,count=3"], SESSION)

    assert script == FaultScript(
        (
            Fault(FaultName.STALL, Scope.OPTION, at_ns=OPEN + 60 * 10**9, duration_s=2.0),
            Fault(FaultName.DROP, Scope.STOCK, after_messages=500, count=3),
        ),
        seed=4,
    )


def test_a_range_is_drawn_once_from_the_seed(tmp_path):
    """Equal seeds make equal scripts, another seed another one; a flag writes a range with two dots."""
    text = '[[fault]]\nname = "drop"\nscope = "stock"\nafter_messages = [1, 1000000]\n'

    drawn = [script_of(tmp_path, text, seed).faults[0].after_messages for seed in (1, 1, 2)]
    flag = read_script(None, ["delay=stock,delay_ms=5..9.5"], SESSION).faults[0].delay_ms

    assert drawn[0] == drawn[1] != drawn[2]
    assert 5 <= flag <= 9.5


@pytest.mark.parametrize(
    ("flag", "found"),
    [
        ("drop", "`--fault drop` is not NAME=SCOPE,KEY=VALUE,…"),
        ("explode=stock", "`explode` is no name of a fault"),
        ("drop=bond", "`bond` is no scope of a fault"),
        ("delay=rest", "`delay` cannot befall `rest`"),
        ("drop=stock,size=3", "a fault has no setting `size`"),
        ("drop=stock,count=-1", "`count` is `-1`"),
        ("drop=stock,count=9..2", "`count` is `[9, 2]`"),
        ("drop=stock,at=09:31,at_s=4", "a fault has more than one beginning"),
        ("refuse=rest,code=406", "`rest` cannot refuse with 406"),
        ("garbage=stock,form=poem", "`form` is `poem`"),
        ("drop=stock,at=soon", "`soon` is not a time of day"),
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused(flag, found):
    """The message names what was found; the hint what may stand there."""
    with pytest.raises(UsageError) as error:
        read_script(None, [flag], SESSION)

    assert error.value.found == found
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("seed = ", "the fault script is not TOML"),
        ("sead = 3", "`sead` is no part of a script"),
        ('seed = "x"', "the script is not a whole number"),
        ("[fault]\na = 1", "the script is not a whole number"),
    ],
)
def test_a_file_that_is_no_script_is_refused(tmp_path, text, found):
    """A slip of the pen must not run as a script without faults."""
    with pytest.raises(UsageError) as error:
        script_of(tmp_path, text)

    assert error.value.found.startswith(found)


def test_a_missing_file_is_refused(tmp_path):
    """So is one that is not there."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_script(tmp_path / "none.toml", [], SESSION)


# --- the engine


class Seconds:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class FakeSocket:
    def __init__(self) -> None:
        self.done: list[str] = []

    def drop(self, hold_s: float) -> None:
        self.done.append(f"drop {hold_s}")

    def mute(self, until_s: float) -> None:
        self.done.append(f"mute {until_s}")

    def half_close(self) -> None:
        self.done.append("half_close")

    def fail_slow(self) -> None:
        self.done.append("fail_slow")


def engine_of(*flags: str, seed: int = 0) -> tuple[FaultEngine, Seconds, FakeSocket, ServingLog]:
    clock, socket = Seconds(), FakeSocket()
    log = ServingLog(clock, keep=True)
    engine = FaultEngine(read_script(None, flags, SESSION, seed), log, clock)
    engine.sockets = lambda _scope: [socket]
    return engine, clock, socket, log


def test_a_fault_begins_after_so_many_messages_of_its_scope_and_again_after_as_many():
    """`room` tells how many may still pass, so that the beginning is exact to the message."""
    engine, _clock, socket, _log = engine_of("drop=stock,after_messages=10,count=2,hold_s=3")
    engine.start()

    room = []
    for passed in (4, 6, 9, 1, 50):
        room.append(engine.room(Scope.STOCK))
        engine.passed(Scope.OPTION, 100)
        engine.passed(Scope.STOCK, passed)

    assert room[:4] == [10, 6, 10, 1]
    assert room[4] > 10**9
    assert socket.done == ["drop 3.0", "drop 3.0"]


def test_a_fault_begins_at_a_second_or_at_a_market_time():
    """Seconds count from the beginning of serving; what ends a duration is noted."""
    engine, clock, socket, log = engine_of("stall=stock,at_s=5,duration_s=2", "halt=stock,at=09:40,duration_s=1")
    halts: list[bool] = []
    engine.on_halt = halts.append
    engine.start()

    engine.tick(OPEN)
    clock.now_s += 5
    engine.tick(OPEN)
    engine.tick(OPEN + 600 * 10**9)
    is_halted = engine.is_halted()
    clock.now_s += 1
    engine.tick(OPEN + 601 * 10**9)

    assert socket.done == ["mute 1007.0"]
    assert (is_halted, engine.is_halted(), halts) == (True, False, [True, False])
    assert [(event["event"], event["name"]) for event in log.events] == [
        ("fault", "stall"),
        ("fault", "halt"),
        ("fault_end", "halt"),
    ]


def test_a_refusal_holds_from_the_start_for_so_many_attempts():
    """402 belongs to authentication, 405 to subscriptions, 503 to the upgrade; each is counted where it is said."""
    engine, *_ = engine_of("refuse=stock,code=402,count=2", "refuse=stock,code=405", "refuse=option,code=429,count=0")

    assert [engine.auth_refusal(Scope.STOCK) for _ in range(3)] == [402, 402, 0]
    assert [engine.subscribe_refusal(Scope.STOCK) for _ in range(2)] == [405, 0]
    assert [engine.upgrade_refusal(Scope.OPTION) for _ in range(9)] == [429] * 9
    assert engine.upgrade_refusal(Scope.STOCK) == 0


def test_a_request_is_refused_by_path_and_an_answer_lost_after_an_order():
    """504 in place of the answer to a POST of an order is the fault that makes doubles."""
    engine, *_ = engine_of("refuse=rest,code=500,path=/v2/options", "lose_answer=rest,count=1")

    assert engine.refusal(Scope.REST, (500,), "GET", "/v2/account") is None
    assert engine.refusal(Scope.REST, (500,), "GET", "/v2/options/contracts").code == 500
    assert engine.lost_answer("GET", "/v2/orders", NO_TAGS) is None
    assert engine.lost_answer("POST", "/v2/orders", NO_TAGS).code == 504
    assert engine.lost_answer("POST", "/v2/orders", NO_TAGS) is None


def test_a_stepped_clock_and_a_delay_last_as_long_as_said():
    """Without a duration a step stays; a delay ends."""
    engine, clock, _socket, _log = engine_of("clock_step=stock,delay_ms=-250", "delay=stock,delay_ms=40,duration_s=1")
    engine.start()

    during = (engine.shift_ns(Scope.STOCK), engine.delay_s(Scope.STOCK), engine.shift_ns(Scope.OPTION))
    clock.now_s += 2
    engine.tick(OPEN)

    assert during == (-250_000_000, 0.04, 0)
    assert (engine.shift_ns(Scope.STOCK), engine.delay_s(Scope.STOCK)) == (-250_000_000, 0.0)


# --- what goes out


class FakeWire:
    """Stands for a connection's socket: keeps what is written."""

    def __init__(self) -> None:
        self.number, self.scope = 1, Scope.STOCK
        self.lost_why = ""
        self.waiting_bytes = 0
        self.frames: list[bytes] = []
        self.is_cut = False

    def write(self, payloads: list[bytes], *, binary: bool) -> bool:
        assert binary
        self.frames += payloads
        return True

    def fail_slow(self) -> None:
        self.is_cut = True


@contextmanager
def outlet_of(*flags: str, seed: int = 1) -> Iterator[tuple[Outlet, FakeWire, ServingLog]]:
    engine, clock, _socket, log = engine_of(*flags, seed=seed)
    engine.start()
    wire = FakeWire()
    made: list[Outlet] = []

    async def build() -> None:
        made.append(Outlet(wire, Wire.MSGPACK, engine, log, 1))

    asyncio.run(build())
    made[0]._loop = type("Loop", (), {"time": staticmethod(clock)})()
    yield made[0], wire, log


def items(count: int) -> list[tuple[int, bytes]]:
    return [(row, msgpack.packb({"n": row})) for row in range(count)]


def numbers(frames: list[bytes]) -> list[list[int]]:
    return [[message["n"] for message in msgpack.unpackb(frame)] for frame in frames]


def test_without_faults_each_message_has_its_frame():
    """In the order they came."""
    with outlet_of() as (outlet, wire, log):
        outlet.offer(items(3))

    assert numbers(wire.frames) == [[0], [1], [2]]
    assert list(log.sent[1]) == [0, 1, 2]


def test_duplicates_come_once_more_within_the_window():
    """The first copy keeps its place; the log counts the second apart."""
    with outlet_of("duplicate=stock,messages=2,window=3") as (outlet, wire, log):
        outlet.offer(items(12))

    sent = [number for (number,) in numbers(wire.frames)]
    assert list(dict.fromkeys(sent)) == list(range(12))
    assert sorted(number for number in sent if sent.count(number) == 2) == [0, 0, 1, 1]
    assert all(sent[first + 1 : first + 6].count(sent[first]) == 1 for first in (0, sent.index(1)))
    assert (list(log.sent[1]), log.totals["sent_again"]) == (list(range(12)), 2)


def test_order_is_lost_within_each_window_and_nothing_else():
    """What comes after the befallen messages follows all of them."""
    with outlet_of("reorder=stock,messages=8,window=4") as (outlet, wire, _log):
        outlet.offer(items(12))

    sent = [number for (number,) in numbers(wire.frames)]
    assert sent[:8] != list(range(8))
    assert [sorted(sent[:4]), sorted(sent[4:8]), sent[8:]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_messages_share_frames():
    """So many to a frame, the last one short."""
    with outlet_of("coalesce=stock,messages=7,window=3") as (outlet, wire, _log):
        outlet.offer(items(9))
        outlet.tick()

    assert [number for frame in numbers(wire.frames) for number in frame] == list(range(9))
    assert [len(frame) for frame in numbers(wire.frames)][:2] == [3, 3]


@pytest.mark.parametrize("form", ["bytes", "unknown", "truncated"])
def test_garbage_comes_between_and_costs_no_message(form):
    """Random bytes, a message of an unknown type, one cut off: frames of their own."""
    with outlet_of(f"garbage=stock,form={form},messages=2") as (outlet, wire, log):
        outlet.offer(items(4))

    assert [event["form"] for event in log.events if event["event"] == "garbage"] == [form, form]
    good = [msgpack.packb([{"n": row}]) for row in range(4)]
    assert [frame for frame in wire.frames if frame in good] == good
    assert len(wire.frames) == 6


def test_late_messages_keep_their_order():
    """What follows a late message waits behind it, even when the delay is over."""
    with outlet_of("delay=stock,delay_ms=100,duration_s=0.05") as (outlet, wire, _log):
        clock = outlet._loop.time
        outlet.offer(items(2))
        clock.now_s += 0.06
        outlet._faults.tick(OPEN)
        outlet.offer([(2, msgpack.packb({"n": 2}))])
        outlet.tick()
        early = len(wire.frames)
        clock.now_s += 0.05
        outlet.tick()

    assert (early, numbers(wire.frames)) == (0, [[0], [1], [2]])


def test_a_slow_client_gets_larger_frames_and_then_none():
    """Messages wait while bytes do; what waits is bounded, and above the bound the client is let go."""
    with outlet_of() as (outlet, wire, _log):
        wire.waiting_bytes = 10**6
        outlet.offer(items(40))
        while_slow = list(wire.frames)
        wire.waiting_bytes = 0
        outlet.tick()
        frames = numbers(wire.frames)
        wire.waiting_bytes = WAITING_BYTES_MAX + 1
        outlet.offer(items(1))

    assert (while_slow, frames) == ([], [list(range(40))])
    assert wire.is_cut


def test_what_a_mute_connection_misses_is_lost_and_told():
    """The log names the row, the connection and the reason."""
    with outlet_of() as (outlet, wire, log):
        wire.lost_why = "stall"
        outlet.offer(items(2))

    assert wire.frames == []
    assert log.lost == {1: [(0, "stall"), (1, "stall")]}


def test_the_log_writes_lines():
    """Rows of one connection and fate share a line; an event ends it."""
    file = StringIO()
    log = ServingLog(Seconds(), file=file)

    log.rows_sent(1, [3, 4])
    log.rows_sent(1, [6])
    log.rows_lost(1, [7], "stall")
    log.event("fault", name="drop")

    assert [json.loads(line) for line in file.getvalue().splitlines()] == [
        {"event": "sent", "connection": 1, "rows": [3, 4, 6]},
        {"event": "lost: stall", "connection": 1, "rows": [7]},
        {"at_s": 0.0, "event": "fault", "name": "drop"},
    ]
