"""What is told while trading goes on: decisions, alarms, and what stands in the way of entries.

Decides what is said once and what is said again. Leaves where words go to whoever listens.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from scalpcli.runtime.clock import MarketClock

DECISIONS_KEPT: Final = 30
ALARMS_KEPT: Final = 20
Listener = Callable[[dict[str, Any]], None]


class News:
    """Decisions and alarms of a session, for whoever listens.

    Args:
        clock: Time at the market.
        say: Takes words for people.

    Attributes:
        decisions: The last decisions, oldest first.
        alarms: The last alarms, oldest first.
    """

    def __init__(self, clock: MarketClock, say: Callable[[str], None]) -> None:
        self.decisions: deque[dict[str, Any]] = deque(maxlen=DECISIONS_KEPT)
        self.alarms: deque[dict[str, Any]] = deque(maxlen=ALARMS_KEPT)
        self._clock = clock
        self._say = say
        self._listeners: list[Listener] = []
        self._standing = ""
        self._alarmed = ""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hand over what is told from now on; the result ends it."""
        self._listeners.append(listener)

        def leave() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return leave

    def decided(self, decision: dict[str, Any]) -> None:
        """Tell a decision; one that is an alarm is told as such too."""
        self.decisions.append(decision)
        self._tell(decision)
        if decision["kind"] == "alarm":
            self.alarm(str(decision["text"]))

    def alarm(self, text: str) -> None:
        """Tell what somebody must look at."""
        now_ns = self._clock.now_ns()
        self.alarms.append({"ts_ns": now_ns, "text": text})
        self.words(text)
        self._tell({"ts_ns": now_ns, "kind": "alarm", "text": text})

    def standing_alarm(self, text: str) -> None:
        """Tell an alarm that would come again and again, once."""
        if text != self._alarmed:
            self._alarmed = text
            self.alarm(text)

    def words(self, text: str) -> None:
        """Say words for people."""
        # Wherever they go may be gone; trading goes on.
        with contextlib.suppress(Exception):
            self._say(text)

    def standing(self, why: str) -> None:
        """Say what stands in the way of entries, when it changes."""
        if why != self._standing:
            self._standing = why
            self.words(f"no entries: {why}" if why else "entries may be made")

    def _tell(self, event: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            # Whoever listens may fail; trading goes on.
            with contextlib.suppress(Exception):
                listener(event)
