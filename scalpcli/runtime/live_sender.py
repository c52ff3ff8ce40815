"""Sends what was decided, and nothing that was not written down before.

Decides in which order commands of one scalp reach the broker, which entries are too old to be sent, and that a sell is
only sent for what the broker says is held. Commands of different scalps do not wait for each other: an entry whose
answer takes seconds holds up no exit. What the broker answers goes to the tracker, and from there into rows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from scalpcli.core.executor import Command
from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.broker import Answer, BrokerSilent, Outcome
from scalpcli.model.live_params import LiveParams
from scalpcli.model.order import CancelRequest, Leg, OrderSide, Reply
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.desk import Desk
from scalpcli.runtime.live_orders import OrderTracker, TrackedOrder
from scalpcli.units import NS_PER_MS

NOBODY_TRADED: Final = "decided while nobody traded"
_ASK_AGAIN_S: Final = 0.2
Tell = Callable[[list[Reply]], None]


class Sender:
    """Sends orders and cancels of one session.

    Args:
        desk: The broker.
        tracker: What is known of every order.
        params: `[live]`.
        clock: Time at the market.
        tell: Takes replies, which become rows.
        alarm: Takes words for people about what must not happen.
        look_soon: Asks for a comparison with the broker.
        is_resumed: Whether an earlier process, or the guard, may have traded before.
        close_ns: Close of the session: nothing is sold after it.
    """

    def __init__(
        self,
        desk: Desk,
        tracker: OrderTracker,
        params: LiveParams,
        clock: MarketClock,
        *,
        tell: Tell,
        alarm: Callable[[str], None],
        look_soon: Callable[[], None],
        is_resumed: bool,
        close_ns: int,
    ) -> None:
        self.in_flight = 0
        """Orders whose answer is not there yet."""
        self.saw_position: Callable[[str, int], None] = lambda _symbol, _held: None
        """Told what the broker holds of a symbol where that is too little for a sell."""
        self._desk = desk
        self._tracker = tracker
        self._params = params
        self._clock = clock
        self._tell = tell
        self._alarm = alarm
        self._look_soon = look_soon
        self._is_resumed = is_resumed
        self._close_ns = close_ns
        self._others: dict[str, int] = {}
        """Contracts the broker held beyond what our orders say, when it was asked last."""
        self._queues: dict[str, deque[tuple[Command, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent and every answer is there."""
        return not self._queues

    def send(self, command: Command, decided_ns: int) -> None:
        """Send a command after those of the same scalp; its order was added to the tracker and is on the disk."""
        key = self._key(command)
        queue = self._queues.get(key)
        if queue is not None:
            queue.append((command, decided_ns))
            return
        self._queues[key] = deque([(command, decided_ns)])
        task = asyncio.create_task(self._work(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, tracked: TrackedOrder) -> None:
        """Ask for an order back (again)."""
        self.send(CancelRequest(tracked.order_id), 0)

    async def close(self) -> None:
        """Give up what waits; what was sent already is looked up by whoever goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _key(self, command: Command) -> str:
        if isinstance(command, ApprovedOrder):
            return str(command.signal)
        if isinstance(command, CancelRequest):
            tracked = self._tracker.find(command.order_id)
            return str(tracked.order.signal) if tracked else command.order_id
        return command.symbol

    async def _work(self, key: str) -> None:
        """Send the commands of one scalp, one after another."""
        queue = self._queues[key]
        while queue:
            command, decided_ns = queue.popleft()
            try:
                await self._do(command, decided_ns)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not stop what follows, an exit perhaps
                self._alarm(f"sending failed: {type(error).__name__}: {error}; looked up now")
                self._look_soon()
        del self._queues[key]

    async def _do(self, command: Command, decided_ns: int) -> None:
        if isinstance(command, ApprovedOrder):
            tracked = self._tracker.orders[command.order_id]
            if CancelRequest(command.order_id) in {waiting for waiting, _ in self._queues[str(command.signal)]}:
                self._settle(tracked, tracked.withdraw("taken back before it was sent"))
                return
            replies = await self._submit(tracked, decided_ns)
            self._settle(tracked, replies)
        elif isinstance(command, CancelRequest):
            found = self._tracker.find(command.order_id)
            if found is not None and (not found.is_ended or found.is_stray):
                found.is_cancelling = True
                self._settle(found, await self._cancel(found))
        else:
            await self._do_not_exercise(command.symbol)

    def _settle(self, tracked: TrackedOrder, replies: list[Reply]) -> None:
        self._tracker.settle(tracked)
        self._tell(replies)
        if tracked.is_unknown:
            self._look_soon()

    async def _submit(self, tracked: TrackedOrder, decided_ns: int) -> list[Reply]:
        order, left_s = tracked.order, None
        if order.leg is Leg.ENTRY:
            limit_ms = self._params.late_entry_ms_max
            age_ms = (self._clock.now_ns() - decided_ns) // NS_PER_MS
            if age_ms > limit_ms:
                return tracked.reject(f"decided {age_ms} ms ago, above the limit: {limit_ms}")
            left_s = (limit_ms - age_ms) / 1e3 / self._clock.speed
        elif order.side is OrderSide.SELL:
            short = await self._missing(order)
            if short:
                self._look_soon()
                return tracked.reject(short)
        tracked.sent_ns = self._clock.now_ns()
        self.in_flight += 1
        self._tracker.moves += 1
        try:
            # An entry is not tried again when it is too old to be sent; whether it arrived is looked up.
            async with asyncio.timeout(left_s):
                return tracked.take_answer(await self._ask(self._desk.submit(order)))
        except TimeoutError:
            return tracked.lose("no answer while it was worth sending")
        finally:
            self.in_flight -= 1

    async def _missing(self, order: ApprovedOrder) -> str:
        """Why a sell may not be sent: the broker holds fewer contracts than it and our other sells would sell."""
        symbol = order.instrument.symbol
        others = self._tracker.is_held_back(symbol) - order.quantity
        while True:
            try:
                held = await self._desk.position(symbol)
                break
            except BrokerSilent as silent:
                known = self._known(symbol)
                if known is not None and known - others >= order.quantity:
                    # Unknown is not flat, and we must get out of what we bought ourselves.
                    self._alarm(f"{symbol} is sold though the broker does not say what is held ({silent.reason})")
                    return ""
                if self._clock.now_ns() >= self._close_ns:
                    return "the session is over"
                # An earlier process bought it, or it is gone: the guard may have sold it meanwhile.
                await asyncio.sleep(max(_ASK_AGAIN_S, silent.wait_s))
        self.note_position(symbol, held)
        if held - others >= order.quantity:
            return ""
        self.saw_position(symbol, held)
        return f"the broker holds {held}" + (f", of which other orders sell {others}" if others else "")

    def note_position(self, symbol: str, held: int) -> None:
        """Remember what the broker holds of a symbol."""
        self._others[symbol] = held - self._tracker.net(symbol)

    def _known(self, symbol: str) -> int | None:
        """Contracts of a symbol held by the broker's last word and what our orders did since; none = not known."""
        others = self._others.get(symbol, None if self._is_resumed else 0)
        return None if others is None else self._tracker.net(symbol) + others

    async def _do_not_exercise(self, symbol: str) -> None:
        answer = await self._ask(self._desk.do_not_exercise(symbol))
        if answer.outcome is Outcome.ACCEPTED:
            return
        with contextlib.suppress(BrokerSilent):
            if not await self._desk.position(symbol):
                # Sold meanwhile, or by the guard: there is nothing to exercise.
                return
        self._alarm(f"{symbol} may be exercised: the broker does not take it back ({answer.reason})")

    async def _cancel(self, tracked: TrackedOrder) -> list[Reply]:
        if not tracked.broker_id:
            # Its submission was answered, or it would not be our turn; the broker's id is not known all the same.
            return await self._look(tracked)
        answer = await self._ask(self._desk.cancel(tracked.broker_id))
        if answer.order is not None:
            return tracked.take_order(answer.order)
        if answer.outcome is Outcome.ACCEPTED:
            return []
        return await self._look(tracked)

    async def _look(self, tracked: TrackedOrder) -> list[Reply]:
        """Look an order up; where that fails too the next comparison asks again."""
        self._look_soon()
        try:
            found = await self._desk.order(tracked.order_id)
        except BrokerSilent:
            return []
        return tracked.take_order(found) if found is not None else []

    async def _ask(self, request: Awaitable[Answer]) -> Answer:
        """The answer; a broker that is silent has told nothing, and the order may be there."""
        try:
            return await request
        except BrokerSilent as silent:
            return Answer(Outcome.UNKNOWN, reason=silent.reason)
