"""Lines for people while a screen has their terminal: kept, and said when it left.

Two processes that write to one terminal spoil each other's lines. What is kept is bounded; the journal has all of it.
A terminal that is gone (a closed window, a lost connection) takes no lines, and must not be in the way of selling.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

LINES_MAX: Final = 1_000


class Lines:
    """Says lines at once, or later.

    Args:
        out: Takes lines for people.
    """

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out
        self._kept: deque[str] | None = None
        self._lost = 0

    def __call__(self, line: str) -> None:
        """Say a line, or keep it."""
        if self._kept is None:
            self._say(line)
            return
        self._lost += len(self._kept) == LINES_MAX
        self._kept.append(line)

    def hold(self) -> None:
        """Keep lines from now on."""
        self._kept = deque(maxlen=LINES_MAX)

    def release(self) -> None:
        """Say what was kept, and lines at once again."""
        kept, self._kept = self._kept or (), None
        if self._lost:
            self._say(f"{self._lost} lines before these were not kept; the journal has what they told")
            self._lost = 0
        for line in kept:
            self._say(line)

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._out(line)
