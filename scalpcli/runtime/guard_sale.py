"""Takes a position out in the engine's place: its orders back, then what is held sold, once.

Decides the order of things and the limits of the sales. Whoever calls has ended the engine and holds the run's lock:
nobody else sends orders of this run. Every step may be done again, by a guard that is started in the middle:

    take back what works -> wait for the ends -> read the position -> write the sale down -> send it
      -> (filled | taken back, waited for, and again with the next id) -> read the position: nothing held

A sale never asks for more than the broker says is held, and the next one is not sent before the last has ended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.model.broker import Answer, BrokerOrder, BrokerSilent, Outcome
from scalpcli.model.instrument import Instrument, TickRule, parse_occ, round_to_tick, tick_e4
from scalpcli.model.order import Leg, OrderKind
from scalpcli.model.session import ns_to_new_york_date
from scalpcli.runtime.desk import Desk
from scalpcli.runtime.guard_fence import FenceKeeper, Phase, Sale
from scalpcli.runtime.guard_journal import JournalBook
from scalpcli.runtime.guard_ports import GuardClock, GuardRules
from scalpcli.units import NS_PER_MIN, e4_to_usd

_Value = TypeVar("_Value")
_REREADS_MAX: Final = 5
"""Times a position is read again that does not yet know of our own sale."""
_POLL_S_MAX: Final = 2.0
_GROWING_LOOKS: Final = 20
_REFUSED_S_MAX: Final = 30.0
"""Longest wait after something that the broker refused."""
_UNKNOWN_LOOKS: Final = 3
"""Look-ups that find no order before the same one, same id, is sent again."""


class AfterClose(Exception):
    """The session is over: nothing can be sold any more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stake:
    """What an engine that is gone leaves behind, by the broker.

    Attributes:
        held: Contracts of the run held, by symbol.
        orders: Its orders that work.
    """

    held: dict[str, int]
    orders: list[BrokerOrder]

    def __bool__(self) -> bool:
        return bool(self.held or self.orders)

    def __str__(self) -> str:
        held = ", ".join(f"{quantity} {symbol}" for symbol, quantity in self.held.items())
        working = f"{len(self.orders)} working order{'' if len(self.orders) == 1 else 's'}" if self.orders else ""
        return " and ".join(part for part in (held, working) if part) or "nothing"


class Evacuation:
    """Orders and positions of one run, in the hands of its guard.

    Args:
        book: The run's journal.
        keeper: Its fence.
        desk: The broker.
        bid_e4: Asks for the best bid of a contract, 1/10000 USD; 0 where nobody knows.
        clock: Time.
        rules: How patient it is.
        say: Takes words for people.
    """

    def __init__(
        self,
        book: JournalBook,
        keeper: FenceKeeper,
        desk: Desk,
        bid_e4: Callable[[str], Awaitable[int]],
        clock: GuardClock,
        rules: GuardRules,
        say: Callable[[str], None],
    ) -> None:
        self._book = book
        self._keeper = keeper
        self._desk = desk
        self._bid_e4 = bid_e4
        self._clock = clock
        self._rules = rules
        self._say = say
        self._expected: dict[str, int] = {}
        """Contracts that must be left after our own sale, until the broker's position says so too."""
        self._ask_again_s: dict[str, float] = {}
        """When the broker is asked again not to exercise what it would not promise."""
        self._is_silent = False

    async def stake(self) -> Stake:
        """What is held and what works now.

        Raises:
            BrokerSilent: the broker does not say.
        """
        held = {}
        for position in await self._desk.positions():
            if position.symbol in self._book.symbols and position.quantity > 0:
                held[position.symbol] = await self._of_ours(position.symbol, position.quantity)
        orders = [order for order in await self._desk.open_orders() if self._is_ours(order)]
        return Stake({symbol: quantity for symbol, quantity in held.items() if quantity > 0}, orders)

    async def run(self) -> None:
        """Take everything out; returns when the broker says that nothing is held and nothing works.

        Raises:
            AfterClose: the close came first.
        """
        await self._pause(self._rules.settle_s)
        while True:
            self._keeper.update(phase=Phase.CANCELLING)
            await self._cancel_all()
            self._keeper.update(phase=Phase.SELLING)
            for symbol in self._book.symbols:
                await self._sell_out(symbol)
            left = await self._told(self.stake)
            if not left:
                return
            self._say(f"still there: {left}")

    # --- taking back -----------------------------------------------------------------------------------

    async def _cancel_all(self) -> None:
        """Take every order of the run back, and wait until each has ended."""
        asked: dict[str, float] = {}
        looks = 0
        while working := await self._working():
            for order in working:
                # Asked again now and then: the broker may have lost the first one.
                if self._clock.seconds() - asked.get(order.broker_id, float("-inf")) >= self._rules.reprice_s:
                    asked[order.broker_id] = self._clock.seconds()
                    await self._cancel(order)
            looks += 1
            await self._pause(self._poll_s(looks))

    async def _working(self) -> list[BrokerOrder]:
        """Orders of the run that have not ended: those the broker lists, and those of which we know no end."""
        listed = await self._told(self._desk.open_orders)
        found = {order.order_id: order for order in listed if self._is_ours(order)}
        for order_id in self._ids_without_end():
            if order_id not in found:
                told = await self._look_up(order_id)
                if told is not None:
                    found[order_id] = told
        return [order for order in found.values() if not order.is_ended]

    def _ids_without_end(self) -> list[str]:
        sales = self._keeper.fence.sales if self._keeper.fence else ()
        return [*self._book.open_order_ids, *(sale.order_id for sale in sales if not sale.is_ended)]

    def _is_ours(self, order: BrokerOrder) -> bool:
        return bool(self._book.prefix) and order.order_id.startswith(self._book.prefix)

    # --- selling ---------------------------------------------------------------------------------------

    async def _sell_out(self, symbol: str) -> None:
        """Sell a contract until the broker says that none is held."""
        tries = 0
        while quantity := await self._sellable(symbol):
            tries += 1
            sale, order = await self._next_sale(symbol, quantity, tries)
            self._keeper.put_sale(sale)
            sale = await self._work(sale, order, may_rest=tries > 1)
            self._keeper.put_sale(sale)
            self._expected[symbol] = quantity - sale.filled
            self._say(_words_of(sale))
            if sale.reason:
                # What refused it a moment ago would refuse it now.
                await self._pause(min(self._rules.retry_s * tries, _REFUSED_S_MAX))

    async def _sellable(self, symbol: str) -> int:
        """Contracts of the run held now; read again while our own sale is not in it yet."""
        for _ in range(_REREADS_MAX):
            held = await self._told(lambda: self._desk.position(symbol))
            if held <= self._expected.get(symbol, held):
                break
            await self._pause(self._rules.settle_s)
        return max(0, await self._told(lambda: self._of_ours(symbol, held)))

    async def _of_ours(self, symbol: str, held: int) -> int:
        """Contracts held that came by orders of this run; all, where nobody else trades the account.

        Raises:
            BrokerSilent: the broker does not say.
        """
        if not self._rules.is_shared:
            return held
        ours = 0
        for order in self._book.orders.values():
            if order.symbol == symbol:
                told = None if order.is_ended else await self._desk.order(order.order_id)
                filled = order.filled if told is None else told.filled
                ours += filled if order.is_buy else -filled
        fence = self._keeper.fence
        ours -= sum(sale.filled for sale in (fence.sales if fence else ()) if sale.symbol == symbol)
        return min(held, ours)

    async def _next_sale(self, symbol: str, quantity: int, tries: int) -> tuple[Sale, ApprovedOrder]:
        fence = self._keeper.fence
        assert fence is not None
        signal = self._book.signal_of(symbol)
        limit_e4 = await self._limit_e4(symbol, tries)
        told = parse_occ(symbol)
        instrument = Instrument(1, symbol, told.expiry, told.strike_e4, told.right, tick_rule=self._rules.tick_rule)
        attempt = fence.attempts(signal) + 1
        prefix = self._book.prefix.removesuffix("-")
        kind = OrderKind.LIMIT if limit_e4 else OrderKind.MARKET
        order = approve(prefix, signal, Leg.GUARD, attempt, instrument, quantity, limit_e4, kind)
        return Sale(order.order_id, symbol, signal, attempt, quantity, limit_e4), order

    async def _limit_e4(self, symbol: str, tries: int) -> int:
        """Limit of a sale: the first through the bid, every further one at any price; 0 = a market order."""
        lowest_e4 = tick_e4(self._rules.tick_rule, 0)
        bid_e4 = await self._bid_e4(symbol) if tries == 1 else 0
        if bid_e4 <= 0:
            # In turn: a market order may be refused where a limit is not, outside the session's hours for one.
            return lowest_e4 if tries % 2 else 0
        # On the coarser grid, which every class of contracts takes.
        limit_e4 = bid_e4 - self._rules.through_ticks * tick_e4(TickRule.NICKEL, bid_e4)
        return max(round_to_tick(TickRule.NICKEL, limit_e4, up=False), lowest_e4)

    async def _work(self, sale: Sale, order: ApprovedOrder, *, may_rest: bool) -> Sale:
        """Send a sale and wait for its end; one that asks for any price may rest, as none goes lower."""
        answer = await self._submit(order)
        ask_back_s = float("inf") if may_rest else self._clock.seconds() + self._rules.reprice_s
        looks = misses = 0
        while answer.outcome is not Outcome.REJECTED:
            await self._refuse_exercise(sale.symbol)
            told = await self._look_up(sale.order_id)
            if told is None:
                misses += 1
                if misses % _UNKNOWN_LOOKS == 0:
                    # The same order with the same id: should the first one have come, the broker takes no second.
                    answer = await self._submit(order)
            elif told.is_ended:
                return dataclasses.replace(sale, is_ended=True, filled=told.filled, filled_sum_e4=told.filled_sum_e4)
            elif self._clock.seconds() >= ask_back_s:
                ask_back_s = self._clock.seconds() + self._rules.reprice_s
                await self._cancel(told)
            looks += 1
            await self._pause(self._poll_s(looks))
        filled, filled_sum_e4 = (answer.order.filled, answer.order.filled_sum_e4) if answer.order else (0, 0)
        return dataclasses.replace(
            sale, is_ended=True, filled=filled, filled_sum_e4=filled_sum_e4, reason=answer.reason or "refused"
        )

    async def _refuse_exercise(self, symbol: str) -> None:
        """Near the close of its last day: let what is still held expire rather than become shares."""
        fence = self._keeper.fence
        assert fence is not None
        close_ns, now_s = self._book.close_ns, self._clock.seconds()
        is_near = bool(close_ns) and self._clock.now_ns() >= close_ns - self._rules.last_rung_min * NS_PER_MIN
        if not is_near or symbol in fence.not_exercised or now_s < self._ask_again_s.get(symbol, 0.0):
            return
        if parse_occ(symbol).expiry != ns_to_new_york_date(close_ns):
            return
        try:
            answer = await self._desk.do_not_exercise(symbol)
        except BrokerSilent as silent:
            answer = Answer(Outcome.UNKNOWN, reason=silent.reason)
        if answer.outcome is Outcome.ACCEPTED:
            self._keeper.update(not_exercised=(*fence.not_exercised, symbol))
            self._say(f"{symbol} is still held near the close: the broker will not exercise it")
        else:
            self._ask_again_s[symbol] = now_s + _REFUSED_S_MAX
            self._say(f"{symbol} is still held near the close, and the broker may exercise it: {answer.reason}")

    # --- asking ----------------------------------------------------------------------------------------

    async def _submit(self, order: ApprovedOrder) -> Answer:
        try:
            return await self._desk.submit(order)
        except BrokerSilent as silent:
            return Answer(Outcome.UNKNOWN, reason=silent.reason)

    async def _cancel(self, order: BrokerOrder) -> None:
        """Ask for an order back; what becomes of it is looked up in any case."""
        await self._told(lambda: self._desk.cancel(order.broker_id))

    async def _look_up(self, order_id: str) -> BrokerOrder | None:
        return await self._told(lambda: self._desk.order(order_id))

    async def _told(self, question: Callable[[], Awaitable[_Value]]) -> _Value:
        """Ask until the broker answers.

        Raises:
            AfterClose: it did not before the session was over.
        """
        while True:
            try:
                answer = await question()
            except BrokerSilent as silent:
                if not self._is_silent:
                    self._say(f"the broker does not answer: {silent.reason}; asking on")
                self._is_silent = True
                await self._pause(max(self._rules.retry_s, silent.wait_s))
            else:
                self._is_silent = False
                return answer

    def _poll_s(self, looks: int) -> float:
        """Seconds until the next look at an order: longer and longer, as requests of a minute are counted."""
        return min(self._rules.poll_s * 1.5 ** min(looks, _GROWING_LOOKS), _POLL_S_MAX)

    async def _pause(self, seconds: float) -> None:
        if self._book.close_ns and self._clock.now_ns() >= self._book.close_ns:
            raise AfterClose
        await self._clock.sleep(seconds)


def _words_of(sale: Sale) -> str:
    limit = f"limit {e4_to_usd(sale.limit_e4):.2f} USD" if sale.limit_e4 else "at the market"
    if sale.reason:
        return f"the broker refused to sell {sale.quantity} {sale.symbol} ({limit}): {sale.reason}"
    if sale.filled == 0:
        return f"sold none of {sale.quantity} {sale.symbol} ({limit})"
    mean = e4_to_usd(sale.filled_sum_e4) / sale.filled
    return f"sold {sale.filled} of {sale.quantity} {sale.symbol} at {mean:.2f} USD ({limit})"
