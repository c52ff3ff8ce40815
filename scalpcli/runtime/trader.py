"""The live loop: rows in, decisions on disk, orders out, and what the broker says becomes rows.

Decides the order of things around one session with an account. Leaves deciding to the engine, rows to the source
and the recorder, and files to `live_run.py`.

Nothing reaches the engine but rows. A reply of the broker, a difference, a command of the operator is written as a cold
row first and folded with the others, so that the tape holds everything that can change a decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from scalpcli.core.executor import Command
from scalpcli.core.risk import ApprovedOrder
from scalpcli.errors import ScalpcliError
from scalpcli.model.block import Block
from scalpcli.model.broker import BrokerUpdate
from scalpcli.model.note import BROKER, OPERATOR
from scalpcli.model.order import Reply
from scalpcli.runtime.live_broker import broker_side
from scalpcli.runtime.live_chores import CLOSE, UNTIL, Chores, Job
from scalpcli.runtime.live_ending import Ending
from scalpcli.runtime.live_engine import LiveEngine, decision_of
from scalpcli.runtime.live_news import News
from scalpcli.runtime.live_orders import OrderTracker, is_entry, reply_body
from scalpcli.runtime.live_outlet import Outlet
from scalpcli.runtime.live_phase import CATCHING_UP, ENDED, STOPPING, TRADING, WAITING, Permission
from scalpcli.runtime.live_ports import LiveEnd, LiveParts
from scalpcli.runtime.live_reconcile import NOTHING_TO_COMPARE, Reconciler
from scalpcli.runtime.live_resume import Resumed, fold_past
from scalpcli.runtime.live_sender import NOBODY_TRADED, Sender
from scalpcli.runtime.live_state import state_of, stopped_by
from scalpcli.runtime.live_waker import Waker
from scalpcli.runtime.recorder_figures import LoopWatch

FAILED: Final = "failed"
LEFT: Final = "left"
_CLOCK_LOOK_S: Final = 0.02


class Trader:
    """Trades one session of one symbol.

    All of it runs in one event loop, from one thread, and may run in one with virtual time: it waits on asyncio
    alone and reads the market clock it is given.

    Args:
        parts: Everything it touches, see `LiveParts`. Its `keeper` must hand over rows of the same source that
            `maker` writes cold rows into, and `setup.instruments` are all the contracts there will be.

    Attributes:
        finished_ns: Up to when rows were folded before the sums were written; 0 = the session was not ended, so that
            a later process may go on.
    """

    def __init__(self, parts: LiveParts) -> None:
        self.parts = parts
        self.live = LiveEngine(parts.setup, parts.hot)
        self.tracker = OrderTracker()
        self.news = News(parts.clock, parts.say)
        self.permission = Permission(parts.maker, parts.clock, parts.setup.params.live, has_updates=parts.has_updates)
        self.watch = LoopWatch()
        self.phase = WAITING
        self.finished_ns = 0
        self.started_ns = parts.clock.now_ns()
        self._outlet = Outlet(parts.keeper, parts.store, self.live.lines, 0, self._send, self._refuse)
        self._blocks: list[Block] = []
        self._told = 0
        self._waker = Waker(parts.clock, self._pump)
        self._is_ready = self._is_pumping = False
        self._needs_rows = True
        self._gaps = 0
        self._look_event = asyncio.Event()
        self._ended = asyncio.Event()
        self._reason = ""
        self._fault: BaseException | None = None
        self._closing: asyncio.Task[None] | None = None
        self.sender: Sender | None
        self.reconciler: Reconciler | None
        self.sender, self.reconciler = broker_side(
            parts,
            self.live,
            self.tracker,
            tell=self._tell,
            note=self._note,
            alarm=self.news.alarm,
            look_soon=self._look_event.set,
        )
        self.ending = Ending(parts, self.live, self.tracker, self.sender, self.reconciler)
        parts.keeper.listen(self._blocks.append)

    # --- what others tell ----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Tell that a frame came: cheap, called by the source for every one."""
        if self._needs_rows and self._is_ready and not self._waker.is_due:
            self._waker.soon()

    def take_update(self, update: BrokerUpdate) -> None:
        """Take one message of the broker's stream of updates."""
        order = update.order
        tracked = self.tracker.find(order.order_id, order.broker_id)
        if tracked is None:
            # Somebody else's, or one of an earlier process that is folded soon: the next comparison tells.
            self._look_event.set()
            return
        replies = tracked.take_update(update)
        self.tracker.settle(tracked)
        self._tell(replies)

    def updates_ready(self) -> None:
        """The stream of updates is there (again): everything is compared with the broker at once."""
        self.permission.has_updates = True
        self._look_event.set()

    def updates_down(self, cause: str) -> None:
        """The stream of updates is gone: no entries until it is back; look-ups and exits go on."""
        self.permission.has_updates = False
        self.permission.pause(f"the stream of updates is gone ({cause})")
        self._soon()

    def command(self, command: str, *, by: str) -> None:
        """Write an operator's command down (one of `note.COMMANDS`); it acts as its row is read."""
        if command == "arm":
            self.permission.is_fenced = False
            self._look_event.set()
        self.news.words(f"{command} ({by})")
        self._note(OPERATOR, {"command": command, "by": by})

    def end(self, reason: str, *, flatten: bool = True) -> None:
        """End the run soon: entries stop; with `flatten` everything is sold first.

        Args:
            reason: `until` and `close` end the session for good; after any other a later process may go on with it.
            flatten: Sell what is held first; otherwise it is left to whoever goes on, or to the guard.
        """
        if not self._reason:
            self._reason = reason
            self.phase = STOPPING
            self.permission.is_ending = True
            self._closing = asyncio.create_task(self._close_out(flatten=flatten))

    def abandon(self) -> None:
        """Leave at once, whatever is held and on its way: whoever goes on looks it up."""
        self._reason = self._reason or LEFT
        self.ending.is_left = True
        self._ended.set()

    async def reconcile(self) -> dict[str, Any]:
        """Compare with the broker now; what was found: `differences`, `unknown`, `reconciled_ns`, `refused`."""
        if self.reconciler is None:
            return dict(NOTHING_TO_COMPARE)
        await self.reconciler.look()
        return self.reconciler.status()

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Hand over every decision as `{"ts_ns", "kind", ...}` and every alarm; the result ends it."""
        return self.news.listen(listener)

    def state(self) -> dict[str, Any]:
        """How everything stands, for `live status`, the screen and the signals."""
        return state_of(self)

    # --- the loop ------------------------------------------------------------------------------------------

    async def run(self) -> LiveEnd:
        """Trade until the end.

        Raises:
            DataError: the journal on disk is not what the rows of the run decide.
        """
        self.phase = CATCHING_UP
        resumed = fold_past(self.live, self.tracker, self.parts.past)
        self._outlet.written = resumed.written
        if resumed.is_over:
            # The earlier process wrote the sums, or began to, and did not come so far as to say so.
            await self._outlet.commit()
            self._outlet.sync()
            self.finished_ns = self.live.known_ns
            self._reason = CLOSE if self.finished_ns >= self.parts.setup.session.close_ns else UNTIL
            return self._tell_end()
        # Where the clock was set back meanwhile: what was decided must stay before what comes.
        if self.parts.maker.stamp() <= self.live.known_ns:
            self.news.alarm("the clock stands before what was decided last: nothing is done until it has passed that")
        while self.parts.maker.stamp() <= self.live.known_ns:  # noqa: ASYNC110 - only time ends it
            await asyncio.sleep(_CLOCK_LOOK_S)
        self._take_up(resumed)
        chores = Chores(
            self.parts,
            self.permission,
            self.news,
            self._outlet,
            self.reconciler,
            look_event=self._look_event,
            is_busy=lambda: self.ending.is_busy,
            has_missed=lambda: any(tracked.missed for tracked in self.tracker.working.values()),
            command=self.command,
            end=self.end,
            fold=self._pump_or_soon,
        )
        tasks = [asyncio.create_task(self._guarded(job)) for job in (*chores.jobs(), self.watch.run)]
        try:
            await self._ended.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._fault is not None and not isinstance(self._fault, ScalpcliError):
            raise self._fault
        return await self._finish()

    def _take_up(self, resumed: Resumed) -> None:
        """Go on where folding ended."""
        past = self.parts.past
        if self.reconciler is not None:
            self.reconciler.adopted.update(resumed.adopted)
        self.permission.is_fenced = past.fenced_ns > resumed.armed_ns
        self.permission.is_begun = resumed.is_begun
        if resumed.is_begun:
            self.permission.pause("another process goes on")
        if self.permission.is_fenced:
            self.news.alarm("the guard acted for this run: no entries until `scalpcli live arm`")
        # Decisions of an earlier process are no news, but its last alarm may have been heard by nobody.
        self._told = resumed.written
        for line in self.live.lines[: resumed.written]:
            if b'"kind":"alarm"' in line:
                self.news.alarm(f"before this start: {decision_of(line)['text']}")
        if self.live.outbox.simulated is not None:
            self.live.outbox.replies = self.live.outbox.replies[resumed.answered :]
            resumed.commands.clear()
            resumed.replies.clear()
        self._write_rows(resumed.replies)
        self._is_ready = True
        self._outlet.push(resumed.commands)
        self._pump()
        self.phase = TRADING if self.phase == CATCHING_UP else self.phase

    def _soon(self) -> None:
        if self._is_ready:
            self._waker.soon()

    def _pump(self) -> None:
        """Fold every row there is, decide what is due, and let orders out."""
        if not self._is_ready or self._is_pumping or self._ended.is_set():
            return
        self._is_pumping = True
        try:
            self._fold()
        except Exception as error:  # noqa: BLE001 - told by whoever waits for the end of the run
            self._fail(error)
            return
        finally:
            self._is_pumping = False
        self._waker.set(self.live.next_ns())

    def _fold(self) -> None:
        # The stamp first: whatever is written after it is stamped later, so all rows before it are taken here.
        known_ns = self.parts.maker.stamp() - 1
        self.parts.keeper.take()
        blocks, self._blocks[:] = self._blocks[:], []
        self.live.feed(blocks, known_ns)
        outbox = self.live.outbox
        commands, outbox.commands = outbox.commands, []
        going = [each for each in commands if self._goes_out(*each)]
        self._outlet.push(going if outbox.simulated is None else [])
        if outbox.replies:
            replies, outbox.replies = outbox.replies, []
            self._follow_simulated(replies)
        if self._told < len(self.live.lines):
            # After the orders, which are sent when the loop comes to it next.
            asyncio.get_running_loop().call_soon(self._tell_news)
        self._needs_rows = self.live.needs_every_row or bool(self.tracker.working)
        gaps = self.parts.maker.open_gaps
        if self._gaps and not gaps:
            self._look_event.set()
        self._gaps = gaps

    def _tell_news(self) -> None:
        news, self._told = self.live.lines[self._told :], len(self.live.lines)
        for line in news:
            self.news.decided(decision_of(line))

    def _goes_out(self, command: Command, decided_ns: int) -> bool:
        """Follow an order; whether it is sent: not an entry that was decided before this process was there."""
        if not isinstance(command, ApprovedOrder):
            return True
        tracked = self.tracker.add(command, decided_ns)
        if decided_ns >= self.started_ns or not is_entry(command) or self.sender is None:
            return True
        self._write_rows(tracked.reject(NOBODY_TRADED))
        self.tracker.settle(tracked)
        self._soon()
        return False

    def _follow_simulated(self, replies: list[Reply]) -> None:
        for reply in replies:
            tracked = self.tracker.find(reply.order_id)
            if tracked is not None:
                tracked.restore(reply)
                self.tracker.settle(tracked)
        self._write_rows(replies)
        self._soon()

    def _fail(self, error: BaseException) -> None:
        self._fault = self._fault or error
        self._reason = self._reason or FAILED
        words = error.found if isinstance(error, ScalpcliError) else f"{type(error).__name__}: {error}"
        self.news.alarm(f"trading failed: {words}")
        self._ended.set()

    # --- rows of our own -----------------------------------------------------------------------------------

    def _tell(self, replies: list[Reply]) -> None:
        """Make rows of replies, and fold them at once."""
        if replies:
            self._write_rows(replies)
            self._pump_or_soon()

    def _note(self, kind: str, body: dict[str, Any]) -> None:
        """Make a row, and fold it at once."""
        self.parts.maker.note(kind, body)
        self._pump_or_soon()

    def _write_rows(self, replies: list[Reply]) -> None:
        for reply in replies:
            self.parts.maker.note(BROKER, reply_body(reply))

    def _pump_or_soon(self) -> None:
        if self._is_pumping:
            self._soon()
        else:
            self._pump()

    def _send(self, command: Command, decided_ns: int) -> None:
        assert self.sender is not None
        self.sender.send(command, decided_ns)

    def _refuse(self, command: Command, decided_ns: int, error: ScalpcliError) -> None:
        """The disk refused: an entry is not sent; one must be able to leave, so all else is."""
        self.news.alarm(f"the disk refuses: {error.found}")
        self.permission.pause("the disk refuses")
        if isinstance(command, ApprovedOrder) and is_entry(command):
            tracked = self.tracker.orders[command.order_id]
            replies = tracked.reject("the journal cannot be written")
            self.tracker.settle(tracked)
            self._tell(replies)
        else:
            self._send(command, decided_ns)

    async def _guarded(self, job: Job) -> None:
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - told by whoever waits for the end of the run
            self._fail(error)

    # --- the end ---------------------------------------------------------------------------------------------

    async def _close_out(self, *, flatten: bool) -> None:
        self.permission.pause(f"the run ends ({self._reason})")
        if flatten and self.ending.is_busy:
            self._note(OPERATOR, {"command": "flatten", "by": f"the end of the run ({self._reason})"})
            await self.ending.until_flat()
        else:
            self._pump()
        await self.ending.until_agreed()
        self._ended.set()

    async def _finish(self) -> LiveEnd:
        is_session_over = self._reason in (UNTIL, CLOSE) and self._fault is None and not self.ending.is_left
        await self.ending.until_answered()
        self._waker.cancel()
        try:
            if self._fault is None:
                self._fold()
            if is_session_over:
                self.live.finish()
                self.finished_ns = self.live.known_ns
            await self._outlet.commit()
            self._outlet.sync()
        except ScalpcliError as error:
            self._fault = self._fault or error
        self._tell_news()
        return self._tell_end()

    def _tell_end(self) -> LiveEnd:
        self.phase = ENDED
        held = self.live.held()
        failure = self._fault.found if isinstance(self._fault, ScalpcliError) else ""
        # What still works may fill behind us, and what nobody knows of may have: after the close, neither.
        is_open = self.sender is not None and self.parts.clock.now_ns() < self.parts.setup.session.close_ns
        is_flat = not held and not (is_open and self.tracker.working)
        return LiveEnd(self._reason, is_flat, held, stopped_by(self.live), failure)
