"""Time at the market while somebody sets the machine's clock."""

from __future__ import annotations

import pytest

from scalpcli.runtime import clock
from scalpcli.runtime.clock import SteadyClock
from tests.unit.runtime.live_bench import Bench, S

HOUR_NS = 3_600 * S


@pytest.fixture
def machine(monkeypatch):
    """The machine's two clocks: `wall` may be set, `booted` only goes on."""

    class Machine:
        wall_ns, booted_ns = 1_000 * HOUR_NS, 7 * HOUR_NS

        def sleep(self, ns: int) -> None:
            self.wall_ns += ns
            self.booted_ns += ns

    found = Machine()
    monkeypatch.setattr(clock.time, "time_ns", lambda: found.wall_ns)
    monkeypatch.setattr(clock.time, "clock_gettime_ns", lambda _: found.booted_ns)
    return found


@pytest.mark.parametrize("step_ns", [-HOUR_NS, HOUR_NS])
def test_time_of_trading_goes_on_however_the_machine_is_set(machine, step_ns):
    """Set back, no stop would fall due; set past the close, what is held would count as expired."""
    steady = SteadyClock()
    begun_ns = steady.now_ns()

    machine.sleep(5 * S)
    machine.wall_ns += step_ns
    machine.sleep(5 * S)

    assert steady.now_ns() == begun_ns + 10 * S
    assert steady.step_ns() == step_ns


def test_who_waits_for_a_session_follows_the_machine(machine):
    """A machine that was just started has its clock set a little later; nothing was stamped by then."""
    steady = SteadyClock()
    machine.wall_ns += HOUR_NS

    steady.follow()

    assert steady.now_ns() == machine.wall_ns
    assert steady.step_ns() == 0


def test_no_entry_is_made_once_the_clock_was_set():
    """Two clocks that differ are a reason to look first; what is held goes on by time as it was."""
    bench = Bench(start_minute=12.0, minutes=16.0)
    bench.clock.step_ns = lambda: -HOUR_NS
    bench.start()
    bench.play()
    bench.loop.bury()

    assert bench.broker.posts == []
    assert any("the machine's clock was set by -3600.0 s" in words for words in bench.said)
