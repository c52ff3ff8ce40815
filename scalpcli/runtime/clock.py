"""The only place that reads the wall clock: run names, timings, and the pace of a slowed-down replay.

No decision depends on it.
"""

from __future__ import annotations

import datetime as dt
import time


def utc_now() -> dt.datetime:
    """The time now, UTC."""
    return dt.datetime.now(dt.UTC)


def seconds() -> float:
    """A clock that only goes forward, for timings, seconds."""
    return time.perf_counter()


def thread_seconds() -> float:
    """Processor time of this thread, seconds: what it worked, whoever else ran beside it."""
    return time.thread_time()


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
