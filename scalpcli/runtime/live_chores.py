"""What goes on beside the loop: looking at the broker, at the kill file, at the end of the day, writing lines.

Decides how often each is done. Leaves what is found to those who asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

from scalpcli.errors import DataError, ScalpcliError
from scalpcli.runtime.live_news import News
from scalpcli.runtime.live_outlet import Outlet
from scalpcli.runtime.live_phase import Permission
from scalpcli.runtime.live_ports import LiveParts
from scalpcli.runtime.live_reconcile import Reconciler

Job = Callable[[], Coroutine[Any, Any, None]]
UNTIL: Final = "until"
CLOSE: Final = "close"
KILL_LOOK_S: Final = 0.25
"""Seconds between two looks for the kill file."""
_COMMIT_S: Final = 0.2
_END_LOOK_S: Final = 0.5
_LOOK_AGAIN_S: Final = 0.25
"""Seconds until the broker is asked again for what it did not know, or was silent about while something is at stake."""
_LOOK_S_MIN: Final = 0.1


class Command(Protocol):
    """Writes an operator's command down."""

    def __call__(self, command: str, *, by: str) -> None:
        """One of `note.COMMANDS`, and who gave it."""


class End(Protocol):
    """Ends the run soon."""

    def __call__(self, reason: str, *, flatten: bool = True) -> None:
        """Why, and whether everything is sold first."""


class Chores:
    """The loops of one session beside the one that trades.

    Args:
        parts: What the trader is made of.
        permission: Whether entries are made.
        news: Takes words and alarms.
        outlet: Writes lines.
        reconciler: Looks at the broker; nothing in shadow mode.
        look_event: Set when somebody asks for a look at once.
        is_busy: Whether an order works or a position is open.
        has_missed: Whether the broker did not know one of our orders.
        command: Writes an operator's command down.
        end: Ends the run.
        fold: Folds the rows there are.
    """

    def __init__(
        self,
        parts: LiveParts,
        permission: Permission,
        news: News,
        outlet: Outlet,
        reconciler: Reconciler | None,
        *,
        look_event: asyncio.Event,
        is_busy: Callable[[], bool],
        has_missed: Callable[[], bool],
        command: Command,
        end: End,
        fold: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._permission = permission
        self._news = news
        self._outlet = outlet
        self._reconciler = reconciler
        self._look_event = look_event
        self._is_busy = is_busy
        self._has_missed = has_missed
        self._command = command
        self._end = end
        self._fold = fold
        self._is_killed = False

    def jobs(self) -> list[Job]:
        """The loops, each to be run until it is cancelled."""
        broker = self._shadow if self._reconciler is None else partial(self._watch_broker, self._reconciler)
        return [self._watch_end, self._watch_kill_file, self._commit_now_and_then, broker]

    async def _shadow(self) -> None:
        """Nothing is sent, so there is nothing to compare."""
        self._permission.begin("nothing is sent")
        self._fold()

    async def _watch_broker(self, reconciler: Reconciler) -> None:
        while True:
            self._look_event.clear()
            await reconciler.look()
            await self._consider_entries(reconciler)
            await asyncio.sleep(_LOOK_S_MIN)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_event.wait(), self._pause_s(reconciler))

    def _pause_s(self, reconciler: Reconciler) -> float:
        params, speed = self._parts.setup.params.live, self._parts.clock.speed
        if self._has_missed() or reconciler.is_settling or (reconciler.silent and self._is_busy()):
            return max(_LOOK_AGAIN_S, reconciler.wait_s)
        is_calm = self._permission.is_begun and not self._is_busy()
        return (params.reconcile_s if is_calm else params.reconcile_busy_s) / speed

    async def _consider_entries(self, reconciler: Reconciler) -> None:
        """Let entries begin, or pause, by what the broker says."""
        why = self._why_foreign(reconciler) or self._permission.why_not(reconciler)
        if self._permission.is_begun and not why and not self._is_busy():
            # Also while all is calm: an account may be blocked in the middle of a day.
            found = await reconciler.look_at_account()
            why = "" if reconciler.silent else found
        if self._permission.is_begun:
            if why:
                self._permission.pause(why)
                self._fold()
        elif not why:
            why = await reconciler.look_at_account()
            # Whatever came while the account was asked counts too.
            why = why or self._permission.why_not(reconciler)
            if not why:
                self._permission.begin("compared with the broker")
                self._fold()
        self._news.standing(why)

    def _why_foreign(self, reconciler: Reconciler) -> str:
        """Why what the account holds beside ours ends entries; empty where it does not.

        Raises:
            DataError: the run begins now: it must not.
        """
        if not reconciler.foreign or self._parts.setup.params.live.foreign != "refuse":
            return ""
        held = ", ".join(f"{quantity} x {symbol}" for symbol, quantity in sorted(reconciler.foreign.items()))
        found = f"the account holds what is not ours: {held}"
        if not self._parts.past.journal:
            raise DataError(
                found,
                place="the account's positions",
                hint="close them, use another account, or leave them alone with `--foreign ignore`",
            )
        # A process that goes on has positions of its own to look after.
        return found

    async def _watch_kill_file(self) -> None:
        while True:
            is_killed = self._parts.is_killed()
            if is_killed and not self._is_killed:
                self._command("kill", by="kill file")
            self._is_killed = is_killed
            await asyncio.sleep(KILL_LOOK_S)

    async def _watch_end(self) -> None:
        clock, until_ns = self._parts.clock, self._parts.limits.until_ns
        while (left_ns := until_ns - clock.now_ns()) > 0:  # noqa: ASYNC110 - a clock may be set meanwhile
            await asyncio.sleep(min(left_ns / 1e9 / clock.speed, _END_LOOK_S))
        is_over = clock.now_ns() >= self._parts.setup.session.close_ns
        self._end(CLOSE if is_over else UNTIL, flatten=not is_over)

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_S)
            # Before the open and after the close no instant is due; whoever looks wants to see the market all the same.
            self._fold()
            try:
                await self._outlet.commit()
            except ScalpcliError as error:
                self._news.standing_alarm(f"the disk refuses: {error.found}")
                self._permission.pause("the disk refuses")
                self._fold()
