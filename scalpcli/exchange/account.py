"""The account behind the exchange: cash, positions, orders and what happens to them.

Decides which orders are taken, how they work, fill, end and are told of. An order meets the market by the rule of
replay (`runtime/fill_rules.py`) and by nothing else; it arrives at once, because the way here takes the time it takes.
As on Alpaca's paper account there are no fees. Assumptions beyond those of the fill rule:

1. Only what is held can be sold; there is no margin and no short position.
2. A working buy holds its limit's cost of the buying power, a market buy the ask's; a working sell holds its quantity.
3. A replaced order ends, and the new one works for what was not filled.
4. At the session's close every order ends, `gtc` too: the exchange plays one session.
5. What expires with the session is settled in cash at the value over the underlying's last print, at the close.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

from scalpcli.core.view import Quote
from scalpcli.exchange.activities import Activities
from scalpcli.exchange.checks import (
    AccountRules,
    check_cash,
    check_market,
    check_quantity,
    check_wash_trade,
    held_cash_e4,
)
from scalpcli.exchange.holdings import Position
from scalpcli.exchange.ids import ids_of
from scalpcli.exchange.market import NONE, ServedMarket
from scalpcli.exchange.order_faults import OrderFaults
from scalpcli.exchange.orders import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEW,
    OPEN,
    PARTIALLY_FILLED,
    PENDING_CANCEL,
    PENDING_NEW,
    REJECTED,
    REPLACED,
    WORKING,
    Order,
    OrderRequest,
    multiplier_of,
    tick_rule_of,
    update_body,
)
from scalpcli.exchange.rest_answer import (
    NOT_FOUND_CODE,
    NOT_UNIQUE_CODE,
    UNPROCESSABLE_CODE,
    Refusal,
    money_text,
)
from scalpcli.model.order import OrderSide
from scalpcli.model.row import STOCK_TRADE, UNDERLYING_ID
from scalpcli.runtime.fill_rules import ShownSizes, can_fill, refusal
from scalpcli.units import ms_to_ns, usd_to_e4

_Act = Callable[[Order, int, int], None]
"""What happens to an order at the market: order, rows known then, time in UTC nanoseconds."""


class SimulatedAccount:
    """One account at the exchange.

    Args:
        market: Where its orders work; the account sees the rows as they are served.
        rules: What it starts with and may do.
        seed: Of every id it gives; without one, no two runs have equal ids.

    Attributes:
        cash_e4: Cash, 1/10000 USD.
        positions: By instrument; only what is held.
        orders: By id, in order of submission.
        activities: What happened to cash and positions.
        faults: What befalls orders on purpose; nothing by default.
    """

    def __init__(self, market: ServedMarket, rules: AccountRules | None = None, *, seed: int | None = None) -> None:
        self.rules = rules or AccountRules()
        self.faults: OrderFaults | None = None
        self._new_id = ids_of(seed)
        self.account_id = self._new_id()
        self.cash_e4 = self.starting_e4 = usd_to_e4(self.rules.cash_usd)
        self.positions: dict[int, Position] = {}
        self.orders: dict[str, Order] = {}
        self.activities = Activities()
        self._market = market
        self._by_client_id: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._due: deque[tuple[Order, _Act]] = deque()
        """What was asked for and has not reached the market."""
        self._shown = ShownSizes()
        self._events = itertools.count()
        self._is_closed = False
        market.on_rows(self)

    # --- money

    @property
    def equity_e4(self) -> int:
        """Cash and what the positions are worth."""
        return self.cash_e4 + sum(self.value_e4(position) for position in self.positions.values())

    @property
    def buying_power_e4(self) -> int:
        """Cash that no working buy holds."""
        return self.cash_e4 - sum(held_cash_e4(order, self._market) for order in self._open.values())

    def price_e4(self, position: Position) -> float:
        """What one share of a position is marked at: the mid of its quote, else the side it has, else its cost."""
        quote = self._market.quote(position.instrument.instrument_id)
        sides = [price_e4 for price_e4 in (quote.bid_e4, quote.ask_e4) if price_e4 > 0]
        return sum(sides) / len(sides) if sides else position.cost_e4 / position.quantity

    def value_e4(self, position: Position) -> int:
        """What a position is worth."""
        return round(self.price_e4(position) * position.quantity) * multiplier_of(position.instrument)

    def available(self, instrument_id: int) -> int:
        """What may be sold: held, and in no working sell order."""
        position = self.positions.get(instrument_id)
        selling = sum(
            order.remaining
            for order in self._open.values()
            if order.instrument_id == instrument_id and order.request.side is OrderSide.SELL
        )
        return (position.quantity if position else 0) - selling

    # --- orders

    def find(self, order_id: str) -> Order:
        """An order by its id.

        Raises:
            Refusal: 404, there is none.
        """
        order = self.orders.get(order_id)
        if order is None:
            raise Refusal(404, f"order not found for {order_id}", NOT_FOUND_CODE)
        return order

    def find_by_client_id(self, client_order_id: str) -> Order:
        """An order by the client's id.

        Raises:
            Refusal: 404, there is none.
        """
        order = self._by_client_id.get(client_order_id)
        if order is None:
            raise Refusal(404, f"order not found for {client_order_id}", NOT_FOUND_CODE)
        return order

    def submit(self, request: OrderRequest) -> Order:
        """Take an order; it reaches the market with the next `run_due`.

        Raises:
            Refusal: its client id is used, or the account may not or cannot pay it.
        """
        self._check(request, without=None)
        return self._enter(request)

    def replace(self, order: Order, request: OrderRequest) -> Order:
        """Put a changed order in the place of a working one; returns the new one.

        Raises:
            Refusal: 422, the order does not work; or as `submit`.
        """
        if order.status not in WORKING:
            raise Refusal(422, f"cannot replace order in {order.status} status", UNPROCESSABLE_CODE)
        self._check(request, without=order)
        now_ns = self._market.market_ns()
        del self._open[order.order_id]
        new = self._enter(request)
        order.status, order.replaced_ns, order.replaced_by = REPLACED, now_ns, new.order_id
        new.replaces = order.order_id
        self._tell("replaced", order, now_ns)
        return new

    def cancel(self, order: Order) -> None:
        """Ask for an order back; it ends with the next `run_due`.

        Raises:
            Refusal: 422, it has ended or its end is asked for.
        """
        if order.status not in OPEN or order.status == PENDING_CANCEL:
            raise Refusal(422, f'order is already in "{order.status}" state', UNPROCESSABLE_CODE)
        if order.status in WORKING:
            order.status = PENDING_CANCEL
        self._due.append((order, self._end_canceled))

    def liquidate(self, instrument_id: int) -> None:
        """Sell a position as the broker itself does before an expiry: orders are taken back, then it goes at any price.

        Nobody asked for the order it sells with.
        """
        for order in self.open_orders():
            if order.instrument_id == instrument_id:
                # What is on its way arrives first, so that its end is told.
                self.run_due()
                if order.order_id in self._open:
                    self._end_canceled(order, self._market.known, self._market.market_ns())
        position = self.positions.get(instrument_id)
        if position is not None:
            sell = OrderRequest(
                self._new_id(), position.instrument, OrderSide.SELL, position.quantity, 0, "day", "sell_to_close"
            )
            self._enter(sell)
            self.run_due()

    def open_orders(self) -> list[Order]:
        """Orders that have not ended, in order of submission."""
        return list(self._open.values())

    def run_due(self) -> None:
        """Let what was asked for happen at the market as it stands."""
        self._run_due(self._market.known, self._market.market_ns())

    def on_rows(self, start: int, stop: int) -> None:
        """Let orders meet the quotes among rows `start` to `stop`, in their order."""
        times = self._market.rows["ts_recv_ns"]
        if self._due:
            self._run_due(start, int(times[start]))
        watched = self._shown.instruments() | {order.instrument_id for order in self._open.values()}
        if watched:
            for row in self._market.quotes_of(watched, start, stop):
                self._meet(row, int(times[row]))
        self._close_when_due(int(times[stop - 1]))

    # --- what happens at the market

    def _run_due(self, known: int, now_ns: int) -> None:
        while self._due:
            order, act = self._due.popleft()
            act(order, known, now_ns)
        self._close_when_due(now_ns)

    def _enter(self, request: OrderRequest) -> Order:
        order = Order(request, self._market.market_ns(), self._market.session.close_ns, self._new_id())
        self.orders[order.order_id] = order
        self._by_client_id[request.client_order_id] = order
        self._open[order.order_id] = order
        self._due.append((order, self._arrive))
        return order

    def _arrive(self, order: Order, known: int, now_ns: int) -> None:
        instrument = order.request.instrument
        reason = refusal(
            self._market.session,
            now_ns,
            expiry=instrument.expiry,
            tick_rule=tick_rule_of(instrument),
            limit_e4=order.request.stop_e4 or order.limit_e4,
        )
        if reason or (self.faults is not None and self.faults.rejects(order)):
            order.failed_ns = now_ns
            self._end(order, REJECTED, now_ns)
            return
        order.status = NEW
        self._tell("new", order, now_ns)
        self._match(order, self._market.quote(order.instrument_id, known), known, now_ns)

    def _end_canceled(self, order: Order, _known: int, now_ns: int) -> None:
        # It may have filled, or been refused, on the way.
        if order.order_id not in self._open:
            return
        if self.faults is not None and self.faults.fills_instead(order):
            quote = self._market.quote(order.instrument_id)
            shown_e4 = quote.ask_e4 if order.request.side is OrderSide.BUY else quote.bid_e4
            self._fill(order, order.remaining, order.request.limit_e4 or shown_e4, now_ns)
            return
        order.canceled_ns = now_ns
        self._end(order, CANCELED, now_ns)

    def _meet(self, row: int, now_ns: int) -> None:
        if now_ns >= self._market.session.close_ns:
            return
        instrument_id = int(self._market.rows["instrument_id"][row])
        quote = self._market.quote(instrument_id, row + 1)
        self._shown.on_quote(instrument_id, quote)
        for order in self.open_orders():
            if order.instrument_id == instrument_id and order.status in WORKING:
                self._match(order, quote, row + 1, now_ns)

    def _match(self, order: Order, quote: Quote, known: int, now_ns: int) -> None:
        """Fill what the quote that stands allows."""
        halts = [self._market.halt(number, known) for number in (order.instrument_id, UNDERLYING_ID)]
        blind = self._market.blind(order.instrument_id, known)
        if not can_fill(
            quote,
            now_ns=now_ns,
            age_ns_max=ms_to_ns(self.rules.quote_age_ms_max),
            is_halted=blind.is_halted or any(halt.is_halted for halt in halts),
            sees_since_ns=max(blind.end_ns, *(halt.end_ns for halt in halts)),
        ):
            return
        if order.rests(quote):
            return
        wanted = order.remaining
        if self.faults is not None:
            wanted = min(wanted, self.faults.contracts_max(order) or wanted)
        quantity, price_e4 = self._shown.take(order.instrument_id, order.request.side, order.limit_e4, wanted, quote)
        if quantity:
            self._fill(order, quantity, price_e4, now_ns)

    def _fill(self, order: Order, quantity: int, price_e4: int, now_ns: int) -> None:
        order.filled += quantity
        order.cost_e4 += price_e4 * quantity
        order.status = PARTIALLY_FILLED if order.remaining else FILLED
        self._book(order.request, quantity, price_e4)
        event = "partial_fill" if order.remaining else "fill"
        if not order.remaining:
            order.filled_ns = now_ns
            del self._open[order.order_id]
        execution_id = self._new_id()
        self.activities.add_fill(order, quantity, price_e4, now_ns, execution_id)
        price, size = money_text(price_e4), str(quantity)
        self._tell(event, order, now_ns, execution_id=execution_id, price=price, qty=size)

    def _book(self, request: OrderRequest, quantity: int, price_e4: int) -> None:
        """Move cash and position by a fill."""
        instrument = request.instrument
        position = self.positions.setdefault(instrument.instrument_id, Position(instrument))
        self.cash_e4 += position.trade(request.side, quantity, price_e4)
        if not position.quantity:
            del self.positions[instrument.instrument_id]

    def _close_when_due(self, now_ns: int) -> None:
        if self._is_closed or now_ns < self._market.session.close_ns:
            return
        self._is_closed = True
        for order in self.open_orders():
            # What is still on its way is rejected on arrival instead.
            if order.status != PENDING_NEW:
                order.expired_ns = now_ns
                self._end(order, EXPIRED, now_ns)
        for instrument_id, position in list(self.positions.items()):
            if position.instrument.expiry == self._market.session.date:
                del self.positions[instrument_id]
                self._settle(position, now_ns)

    def _settle(self, position: Position, now_ns: int) -> None:
        is_exercised, amount_e4 = position.settle(self._underlying_e4())
        self.cash_e4 += amount_e4
        kind = "OPEXC" if is_exercised else "OPEXP"
        self.activities.add_end(kind, position.instrument, position.quantity, amount_e4, now_ns, self._new_id())

    def _underlying_e4(self) -> int:
        row = self._market.last_row(STOCK_TRADE, UNDERLYING_ID)
        if row != NONE:
            return int(self._market.rows["price_e4"][row])
        quote = self._market.quote(UNDERLYING_ID)
        return (quote.bid_e4 + quote.ask_e4) // 2

    def _end(self, order: Order, status: str, now_ns: int) -> None:
        order.status = status
        del self._open[order.order_id]
        self._tell(status, order, now_ns)

    def _tell(self, event: str, order: Order, now_ns: int, execution_id: str = "", **more: str) -> None:
        order.updated_ns = now_ns
        position = self.positions.get(order.instrument_id)
        held = position.quantity if position else 0
        body = update_body(event, order, held, next(self._events), now_ns, execution_id or self._new_id())
        self._market.emit_order_event(body | more)

    # --- what is taken

    def _check(self, request: OrderRequest, *, without: Order | None) -> None:
        """Refuse what the account may not do; `without` is the order that a replacement ends."""
        if request.client_order_id in self._by_client_id:
            raise Refusal(422, "client_order_id must be unique", NOT_UNIQUE_CODE)
        others = [order for order in self._open.values() if order is not without]
        check_market(request, self._market, self.rules)
        check_wash_trade(request, others)
        if request.side is OrderSide.SELL:
            freed = without.remaining if without is not None else 0
            position = self.positions.get(request.instrument.instrument_id)
            available = self.available(request.instrument.instrument_id) + freed
            check_quantity(request, available, position.quantity if position else 0)
        else:
            freed = held_cash_e4(without, self._market) if without is not None else 0
            check_cash(request, self.buying_power_e4 + freed, self._market, self.rules)
