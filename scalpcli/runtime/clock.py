"""The only place that reads the wall clock.

Decides what time it is at the market: the machine's own clock, or in a rehearsal the clock of the local
exchange, which may run faster and on another day. Receive stamps, run names, timings and the pace of a
slowed-down replay come from here; no decision of the engine depends on it but through rows.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Final

_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that nobody sets and that goes on while the machine sleeps, where the system has one."""


def utc_now() -> dt.datetime:
    """The time now, UTC."""
    return dt.datetime.now(dt.UTC)


def seconds() -> float:
    """A clock that only goes forward, for timings and time-outs, seconds."""
    return time.perf_counter()


def thread_seconds() -> float:
    """Processor time of this thread, seconds: what it worked, whoever else ran beside it."""
    return time.thread_time()


class MarketClock:
    """Time at the market: the machine's clock."""

    speed: float = 1.0
    """Market seconds in one second."""

    def now_ns(self) -> int:
        """Time at the market now, UTC nanoseconds. It follows the machine's clock, steps included."""
        return time.time_ns()

    def step_ns(self) -> int:
        """How far the machine's clock was set without this one following, nanoseconds."""
        return 0

    def follow(self) -> None:
        """Follow the machine's clock once, as it stands now: for who has stamped nothing yet."""


class SteadyClock(MarketClock):
    """Time at the market for who trades: the machine's clock as it stood at the start, going on since.

    A machine's clock may be set while something is held. Were that followed, nothing would fall due after it was set
    back until it had come so far again, no stop and no re-pricing; and set forward past the close, what is held would
    count as expired. So a step is told of and not followed; a machine that slept did let time pass.
    """

    def __init__(self) -> None:
        self._booted_ns = 0
        self.follow()

    def now_ns(self) -> int:
        """Time at the market now, UTC nanoseconds; it never goes back and never jumps."""
        return self._booted_ns + time.clock_gettime_ns(_SINCE_BOOT)

    def step_ns(self) -> int:
        """How far the machine's clock was set since, nanoseconds."""
        return time.time_ns() - self.now_ns()

    def follow(self) -> None:
        """Follow the machine's clock once, as it stands now: for who has stamped nothing yet."""
        self._booted_ns = time.time_ns() - time.clock_gettime_ns(_SINCE_BOOT)


class RehearsalClock(MarketClock):
    """Time at a local exchange that plays a tape.

    Args:
        market_ns: Time at the exchange now, UTC nanoseconds.
        speed: Market seconds in one second.
    """

    def __init__(self, market_ns: int, speed: float) -> None:
        self.speed = speed
        self._market_ns = market_ns
        self._started_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Time at the exchange now, UTC nanoseconds."""
        return self._market_ns + int((time.monotonic_ns() - self._started_ns) * self.speed)


class Pace:
    """Keeps a replay at `speed` times real time.

    Args:
        speed: 1.0 is real time; 60.0 plays an hour in a minute.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first_ns: int | None = None
        self._started_s = 0.0

    def wait_for(self, ts_ns: int) -> None:
        """Sleep until `ts_ns` of the tape is due."""
        if self._first_ns is None:
            self._first_ns, self._started_s = ts_ns, seconds()
        due_s = self._started_s + (ts_ns - self._first_ns) / 1e9 / self._speed
        remaining_s = due_s - seconds()
        if remaining_s > 0:
            time.sleep(remaining_s)
