"""Every snapshot that the real trader tells in a session, on the screen and in the signals' schema."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Final

import pytest

from scalpcli.adapters.signal_feed import SignalFeed
from scalpcli.adapters.signals_schema import signals_schema
from scalpcli.cli.live_watch_layout import Watched, screen, snapshot_lines
from scalpcli.cli.live_watch_text import plain
from tests.json_schema import schema_faults
from tests.live_samples import live_state
from tests.unit.runtime.live_bench import Bench

MINUTES: Final = 16.0
"""Until the first positions of the example tape were opened and sold."""
LOOKS: Final = 40
"""Every so-many looks, two seconds of virtual time, a state is kept, and whenever an order begins or ends."""


@pytest.fixture(scope="module")
def session():
    """States of a session in virtual time, one in a while, and every event of it."""
    bench, states, events = Bench(minutes=MINUTES), [], []
    bench.start()
    looks, working = itertools.count(), -1

    def look() -> bool:
        nonlocal working
        before, working = working, len(bench.trader.tracker.working)
        if not events:
            events.append({"kind": "begins"})
            bench.trader.listen(events.append)
        if next(looks) % LOOKS == 0 or working != before:
            states.append(json.loads(json.dumps(bench.trader.state(), allow_nan=False)))
        return False

    bench.play(until=look)
    asyncio.set_event_loop(None)
    bench.loop.close()
    return states, events


def test_the_session_holds_what_the_screen_is_for(session):
    """Else the tests below would hold for a session without a position, an order, a closed gate."""
    states, events = session

    assert any(state["positions"] for state in states)
    assert any(state["orders"] for state in states)
    assert any(not gate["open"] for state in states for gate in state["gates"])
    assert {"signal", "fill", "trade"} <= {event["kind"] for event in events}


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_every_state_fills_the_screen(session, size):
    """From waiting over catching up to the end: no line too long, none missing, nothing the screen cannot tell."""
    states, _ = session
    width, height = size

    sizes = {
        (len(lines), *{sum(len(span.text) for span in line) for line in lines})
        for lines in (screen(Watched(state), width, height) for state in states)
    }

    assert sizes == {(height, width)}


def test_a_position_is_never_pushed_off_the_screen(session):
    """Whatever else there is to tell: what is held stands on 24 lines."""
    states, _ = session
    held = [state for state in states if state["positions"]]

    missing = [
        state["now_ns"]
        for state in held
        if state["positions"][0]["symbol"] not in plain(screen(Watched(state), 80, 24)[:12])
    ]

    assert missing == []


def test_one_snapshot_tells_every_state(session):
    """The mail's text has no bound of lines, so it has none of what is told either."""
    states, _ = session

    texts = [plain(snapshot_lines(state, 80)) for state in states]

    assert all(text.startswith(" PAPER") for text in texts)


def test_every_message_of_the_session_is_as_the_schema_says(session):
    """Signals, fills, alarms, positions and states as the real trader makes them."""
    states, events = session
    told = []

    class Listening:
        count = 1
        publish = staticmethod(told.append)

    feed = SignalFeed(Listening(), "TSLA", "paper", lambda: 0)
    for event in events:
        feed.event(event)
    for state in states:
        feed.state(state)

    schemas = {schema["title"]: schema for schema in signals_schema()["oneOf"]}
    assert [fault for message in told for fault in schema_faults(message, schemas[message["type"]])] == []
    assert {"scalp_signal", "fill", "positions", "state"} <= {message["type"] for message in told}


def test_the_sample_that_other_tests_use_is_what_the_trader_tells(session):
    """A snapshot made by hand would else stay as it was when the trader's changes."""
    states, _ = session
    sample, real = live_state(), next(state for state in states if state["positions"] and state["gates"])

    def names(state):
        parts = {name: sorted(part) for name, part in state.items() if isinstance(part, dict)}
        rows = {name: sorted(state[name][0]) for name in ("gates", "positions", "protections", "next")}
        return {"": sorted(state), **parts, **rows}

    sampled, told = names(sample), names(real)

    assert sampled == {name: told.get(name) for name in sampled}
