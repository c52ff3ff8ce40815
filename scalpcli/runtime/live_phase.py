"""Whether entries are made: what must be so before they begin, and what ends them.

Decides when a `live` row is written. Between `begins` and `pauses` the engine makes entries; it manages what is held
all the same. Leaves the gates to the engine and the comparison to `live_reconcile.py`.
"""

from __future__ import annotations

from typing import Final

from scalpcli.model.live_params import LiveParams
from scalpcli.model.note import LIVE
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.live_ports import RowMaker
from scalpcli.runtime.live_reconcile import Reconciler
from scalpcli.units import NS_PER_MS, NS_PER_S, s_to_ns

WAITING: Final = "waiting"
CATCHING_UP: Final = "catching_up"
TRADING: Final = "trading"
STOPPING: Final = "stopping"
ENDED: Final = "ended"
_STEP_NS_MAX: Final = 250 * NS_PER_MS
"""How far the machine's clock may be set before entries end."""


class Permission:
    """Whether entries are made.

    Args:
        maker: Takes the rows that say so.
        clock: Time at the market.
        params: `[live]`.
        has_updates: Whether the stream of updates is there.

    Attributes:
        is_begun: Whether the last row says `begins`.
        is_fenced: Whether the guard acted and no operator armed since.
        is_ending: Whether the run ends: no entries any more.
        has_updates: Whether the stream of updates is there.
        paused_ns: When entries were paused last, market time.
    """

    def __init__(self, maker: RowMaker, clock: MarketClock, params: LiveParams, *, has_updates: bool) -> None:
        self.is_begun = False
        self.is_fenced = False
        self.is_ending = False
        self.has_updates = has_updates
        self.paused_ns = 0
        self._maker = maker
        self._clock = clock
        self._silent_ns_max = s_to_ns(params.reconcile_s)
        self._silent_since_ns = 0

    def why_not(self, reconciler: Reconciler) -> str:
        """Why no entries are made; empty where they are."""
        now_ns = self._clock.now_ns()
        if not reconciler.silent:
            self._silent_since_ns = 0
        elif not self._silent_since_ns:
            self._silent_since_ns = now_ns
        if self.is_ending:
            return "the run ends"
        if self.is_fenced:
            return "the guard acted for this run; `scalpcli live arm` lets entries begin again"
        if abs(step_ns := self._clock.step_ns()) >= _STEP_NS_MAX:
            return (
                f"the machine's clock was set by {step_ns / NS_PER_S:+.1f} s: exits go on by time as it was; "
                "the next start follows it"
            )
        if reconciler.is_refused:
            return "the broker refuses our keys"
        if not self.has_updates:
            return "the stream of updates is not there"
        if reconciler.silent and (not self.is_begun or now_ns - self._silent_since_ns >= self._silent_ns_max):
            return f"the broker is silent ({reconciler.silent})"
        if not self.is_begun and reconciler.reconciled_ns <= self.paused_ns:
            return "not compared with the broker yet"
        return ""

    def begin(self, reason: str) -> None:
        """Let entries begin."""
        if not self.is_begun:
            self.is_begun = True
            self._maker.note(LIVE, {"phase": "begins", "reason": reason})

    def pause(self, reason: str) -> None:
        """Let no entries be made until `begin`."""
        self.paused_ns = self._clock.now_ns()
        if self.is_begun:
            self.is_begun = False
            self._maker.note(LIVE, {"phase": "pauses", "reason": reason})
