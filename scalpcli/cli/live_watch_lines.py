"""Lines for people that never hold up trading: what cannot be written now is kept, and said when it can.

Decides three things. While a screen has the terminal, lines wait until it left: two processes that write to one
terminal spoil each other's lines. A terminal that is stopped (Ctrl-S) or a pipe that nobody reads would block whoever
writes to it, and with it the loop that trades: lines wait for the next one that can be written. A terminal that is
gone (a closed window, a lost connection) takes no lines, and must not be in the way of selling. What waits is bounded;
the journal has all of it.
"""

from __future__ import annotations

import contextlib
import select
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

LINES_MAX: Final = 1_000


def can_write(stream: TextIO) -> bool:
    """Whether a line of ordinary length can be written without waiting: a pipe has room for a page, a terminal runs."""
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):
        # No descriptor: what is written stays in this process.
        return True


class Lines:
    """Says lines at once, or later.

    Args:
        out: Takes lines for people.
        is_ready: Whether `out` would take one without waiting; by default, whether stderr would.
    """

    def __init__(self, out: Callable[[str], None], is_ready: Callable[[], bool] | None = None) -> None:
        self._out = out
        self._is_ready = is_ready or (lambda: can_write(sys.stderr))
        self._waiting: deque[str] = deque(maxlen=LINES_MAX)
        self._is_held = False
        self._lost = 0

    def __call__(self, line: str) -> None:
        """Say a line, or keep it; lines that waited go first."""
        self._lost += len(self._waiting) == LINES_MAX
        self._waiting.append(line)
        self._say_waiting()

    def hold(self) -> None:
        """Keep lines from now on."""
        self._is_held = True

    def release(self) -> None:
        """Say what was kept, and lines at once again."""
        self._is_held = False
        self._say_waiting()

    def _say_waiting(self) -> None:
        while self._waiting and not self._is_held and self._is_ready():
            if self._lost:
                lost, self._lost = self._lost, 0
                self._say(f"{lost} lines before these were not kept; the journal has what they told")
            else:
                self._say(self._waiting.popleft())

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._out(line)
