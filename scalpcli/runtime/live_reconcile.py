"""Compares what we believe with what the broker says, and makes rows of what stays different.

Decides what counts as a difference: one that two looks show alike, with nothing of ours on its way between them. Fewer
contracts than we believe are adopted (they are gone, whoever sold them); more than we believe end entries until they
are explained: what we did not buy is not ours to sell. A broker that is silent says nothing, least of all "flat".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from scalpcli.model.broker import BrokerAccount, BrokerFill, BrokerOrder, BrokerPosition, BrokerSilent
from scalpcli.model.live_params import LiveParams
from scalpcli.model.note import RECONCILE
from scalpcli.model.order import Reply
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.desk import Desk
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.live_orders import OrderTracker, TrackedOrder
from scalpcli.runtime.live_sender import Sender
from scalpcli.units import s_to_ns

NOTHING_TO_COMPARE: Final[dict[str, Any]] = {
    "reconciled_ns": None,
    "differences": [],
    "unknown": [],
    "foreign": {},
    "silent": "",
    "refused": False,
}
"""What a comparison finds where nothing is sent."""
_MISSED_MAX: Final = 2
"""Look-ups in a row that must not know an order before it counts as never arrived."""
_ADOPTIONS_MAX: Final = 3
"""Times the same difference is adopted; one that stays all the same is for a person."""
_BUYS_OPTIONS: Final = 2
"""Options level from which on options may be bought."""


class Reconciler:
    """Looks at the broker for one session.

    Args:
        desk: The broker.
        engine: What we believe.
        tracker: What is known of our orders.
        sender: What is on its way; sends cancels again.
        params: `[live]`.
        clock: Time at the market.
        tell: Takes replies, which become rows and are folded before it returns.
        note: Takes rows of differences, which are folded before it returns.
        alarm: Takes words for people.
    """

    def __init__(
        self,
        desk: Desk,
        engine: LiveEngine,
        tracker: OrderTracker,
        sender: Sender,
        params: LiveParams,
        clock: MarketClock,
        *,
        tell: Callable[[list[Reply]], None],
        note: Callable[[str, dict[str, Any]], None],
        alarm: Callable[[str], None],
    ) -> None:
        self.account: BrokerAccount | None = None
        self.reconciled_ns = 0
        """Last look that could be compared and showed no difference, market time; 0 = none yet."""
        self.compared_ns = 0
        """Last look that could be compared."""
        self.audited_ns = 0
        """Last time every execution was held against what was told."""
        self.differences: dict[str, tuple[int, int]] = {}
        """Symbol -> contracts we believe are held, contracts the broker says."""
        self.foreign: dict[str, int] = {}
        """Contracts of the account that are not ours."""
        self.silent = ""
        """Why the last look failed; empty where it did not."""
        self.wait_s = 0.0
        """Seconds the broker asked to wait."""
        self.is_refused = False
        """Whether the broker refuses our keys."""
        self._desk = desk
        self._engine = engine
        self._tracker = tracker
        self._sender = sender
        self._params = params
        self._clock = clock
        self._tell = tell
        self._note = note
        self._alarm = alarm
        self._seen: dict[str, tuple[int, tuple[int, int]]] = {}
        """Symbol -> moves and difference of the last look."""
        self._stopped: dict[str, tuple[int, int]] = {}
        self._strangers: set[str] = set()
        self._acts = Counter[tuple[str, int, int]]()
        self._expired: set[str] = set()
        """Contracts that are gone because they expired."""
        self.adopted: dict[str, int] = {}
        """Symbol -> contracts that others sold and that were adopted at their price."""
        self._is_first = True
        self._unanswered = ""
        self._looking = asyncio.Lock()
        sender.saw_position = self.saw_position

    async def look(self) -> None:
        """Look at orders and positions once; news becomes rows, a difference that stands too."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        self._unanswered = ""
        moves = self._tracker.moves
        is_quiet = not self._sender.in_flight
        try:
            orders = await self._desk.open_orders()
            await self._look_at_orders(orders)
            if self._is_still(moves, is_quiet=is_quiet):
                await self._cancel_strangers(orders)
            positions = await self._desk.positions()
            self.silent, self.wait_s, self.is_refused = self._unanswered, 0.0, False
            if self._is_still(moves, is_quiet=is_quiet):
                await self._compare(positions)
        except BrokerSilent as silent:
            self._note_silence(silent)
        except Exception as error:  # noqa: BLE001 - a fault of ours here must not end a run that holds something
            words = f"{type(error).__name__}: {error}"
            if words != self.silent:
                self._alarm(f"comparing with the broker failed ({words})")
            self._note_silence(BrokerSilent(words))

    def _is_still(self, moves: int, *, is_quiet: bool) -> bool:
        """Whether nothing of ours was on its way since the look began."""
        return is_quiet and not self._sender.in_flight and self._tracker.moves == moves

    def saw_position(self, symbol: str, broker: int) -> None:
        """Take in what the broker said of one symbol when a sell was about to be sent: a look of its own."""
        held = self._engine.held().get(symbol, 0)
        self._seen[symbol] = (self._tracker.moves, (held, broker - self.foreign.get(symbol, 0)))

    async def look_at_account(self) -> str:
        """Why the account may not trade; empty where it may."""
        try:
            self.account = account = await self._desk.account()
        except BrokerSilent as silent:
            self._note_silence(silent)
            return f"the broker does not tell of the account ({silent.reason})"
        if account.status != "ACTIVE":
            return f"the account is `{account.status}`, not `ACTIVE`"
        if account.is_blocked:
            return "the account is blocked from trading"
        if account.options_level < _BUYS_OPTIONS:
            return f"the account's options level is {account.options_level}, below the limit: {_BUYS_OPTIONS}"
        if account.buying_power_e4 <= 0:
            return "the account has no buying power for options"
        return ""

    @property
    def is_settling(self) -> bool:
        """Whether there is a difference that was not acted on yet."""
        return any(self._stopped.get(symbol) != pair for symbol, pair in self.differences.items())

    def status(self) -> dict[str, Any]:
        """What was found, for people."""
        return {
            "reconciled_ns": self.reconciled_ns or None,
            "differences": [
                {"symbol": symbol, "held": held, "broker": broker}
                for symbol, (held, broker) in sorted(self.differences.items())
            ],
            "unknown": self._tracker.unknown,
            "foreign": dict(self.foreign),
            "silent": self.silent,
            "refused": self.is_refused,
        }

    # --- orders ------------------------------------------------------------------------------------------

    async def _look_at_orders(self, listed: list[BrokerOrder]) -> None:
        by_id = {order.order_id: order for order in listed if order.order_id}
        for tracked in list(self._tracker.working.values()):
            if not tracked.sent_ns:
                continue
            try:
                found = by_id.get(tracked.order_id) or await self._desk.order(tracked.order_id)
            except BrokerSilent as silent:
                if silent.is_refused:
                    raise
                # The others, and what is held, may be told all the same.
                self._unanswered = silent.reason
                continue
            replies = tracked.take_order(found) if found is not None else self._miss(tracked)
            if replies:
                self._tracker.settle(tracked)
                self._tell(replies)
            if tracked.is_cancelling and not tracked.is_ended and self._sender.is_idle:
                self._sender.cancel(tracked)

    def _miss(self, tracked: TrackedOrder) -> list[Reply]:
        """The broker knows no such order: it never arrived, where it says so again a little later."""
        if self._sender.in_flight:
            return []
        tracked.missed += 1
        if tracked.is_accepted:
            self._alarm(f"the broker does not know {tracked.order_id} any more, which it had accepted")
            return []
        is_old = self._clock.now_ns() - tracked.sent_ns >= s_to_ns(self._params.look_up_s)
        if tracked.missed < _MISSED_MAX or not is_old:
            return tracked.lose("the broker does not know it yet")
        return tracked.reject("the broker never had it")

    async def _cancel_strangers(self, listed: list[BrokerOrder]) -> None:
        """Take back orders that carry our prefix and that nobody here follows."""
        prefix = f"{self._engine.engine.order_prefix}-"
        for order in listed:
            tracked = self._tracker.find(order.order_id)
            if tracked is not None and tracked.is_ended:
                self._tell(tracked.take_order(order))
            is_followed = tracked is not None and not tracked.is_ended
            if order.is_ended or is_followed or not order.order_id.startswith(prefix):
                continue
            if order.order_id not in self._strangers:
                self._strangers.add(order.order_id)
                self._alarm(f"{order.order_id} works at the broker and nobody follows it: it is taken back")
            answer = await self._desk.cancel(order.broker_id)
            if tracked is not None and answer.order is not None:
                self._tell(tracked.take_order(answer.order))

    # --- positions ---------------------------------------------------------------------------------------

    async def _compare(self, positions: list[BrokerPosition]) -> None:
        self.compared_ns = self._clock.now_ns()
        told = {each.symbol: each.quantity for each in positions if each.quantity}
        if self._is_first:
            self._is_first = False
            ours = {each.order.instrument.symbol for each in self._tracker.orders.values()}
            self.foreign = {symbol: quantity for symbol, quantity in told.items() if symbol not in ours}
        self.differences = found = self._difference(told)
        for symbol in self._stopped.keys() - found.keys():
            held, broker = self._stopped.pop(symbol)
            self._write(symbol, held, broker, "clear", 0, "the difference is gone")
        for symbol in {*told, *self._engine.held()}:
            self._sender.note_position(symbol, told.get(symbol, 0))
        now = {symbol: (self._tracker.moves, pair) for symbol, pair in found.items()}
        standing = {symbol: pair for symbol, pair in found.items() if self._seen.get(symbol) == now[symbol]}
        self._seen = now
        news = {symbol: pair for symbol, pair in standing.items() if self._stopped.get(symbol) != pair}
        if news:
            await self._settle(news)
        if not found and not self._unanswered and await self._has_audited():
            self.reconciled_ns = self.compared_ns

    def _difference(self, told: dict[str, int]) -> dict[str, tuple[int, int]]:
        held = self._engine.held()
        found = {}
        for symbol in sorted(held.keys() | told.keys() | self.foreign.keys()):
            pair = (held.get(symbol, 0), told.get(symbol, 0) - self.foreign.get(symbol, 0))
            if pair[0] != pair[1] and symbol not in self._expired:
                found[symbol] = pair
        return found

    def _has_expired(self, symbol: str) -> bool:
        """Whether a contract was settled at the close: it is gone, and nobody sold it."""
        session = self._engine.setup.session
        is_over = self._clock.now_ns() >= session.close_ns
        return is_over and any(
            each.expiry == session.date for each in self._engine.setup.instruments if each.symbol == symbol
        )

    async def audit(self) -> list[BrokerFill]:
        """Hold the broker's executions against what was told of our orders, ended ones too; those of others.

        Raises:
            BrokerSilent: no answer.
        """
        fills = await self._desk.fills(self._engine.setup.session.open_ns)
        sums, others = Counter[str](), []
        for fill in fills:
            tracked = self._tracker.find(fill.order_id, fill.broker_id)
            if tracked is None:
                others.append(fill)
            else:
                sums[tracked.order_id] += fill.quantity
        for order_id, quantity in sums.items():
            tracked = self._tracker.orders[order_id]
            if quantity > tracked.told_quantity:
                found = await self._desk.order(order_id)
                replies = tracked.take_order(found) if found is not None else []
                # Equal positions were chance: what came to light is compared anew.
                self.reconciled_ns = 0
                self._tracker.settle(tracked)
                self._tell(replies)
        self.audited_ns = self._clock.now_ns()
        return others

    async def _has_audited(self) -> bool:
        """Whether nothing stands against positions that agree: once in each process executions are looked at too."""
        moves = self._tracker.moves
        if not self.audited_ns:
            await self.audit()
        return self._tracker.moves == moves

    async def _settle(self, standing: dict[str, tuple[int, int]]) -> None:
        """Act on differences that stand: first by what our own orders did after all."""
        moves = self._tracker.moves
        others = await self.audit()
        for symbol, (held, broker) in standing.items():
            if self._tracker.moves == moves and self._engine.held().get(symbol, 0) == held:
                self._act(symbol, held, broker, others)

    def _act(self, symbol: str, held: int, broker: int, others: list[BrokerFill]) -> None:
        if symbol in self.foreign and held == 0:
            # Somebody else's contracts became more or fewer: not ours, then as now.
            self.foreign[symbol] += broker
            return
        parts = self._parts(symbol, broker - held, others)
        missing = abs(broker - held) - sum(quantity for quantity, _ in parts)
        if missing and self._has_expired(symbol):
            # What nobody sold was settled at the close; the engine does so too.
            self._expired.add(symbol)
            missing = 0
            if not parts:
                return
        self._acts[symbol, held, broker] += 1
        if 0 <= broker < held and self._acts[symbol, held, broker] <= _ADOPTIONS_MAX:
            self._adopt(symbol, held, [*parts, *([(missing, 0)] if missing else [])])
        elif held == 0 and broker > 0 and self._params.foreign == "ignore":
            self.foreign[symbol] = broker
            self._alarm(f"{broker} x {symbol} were bought by somebody else: they are left alone")
            return
        else:
            self._stopped[symbol] = (held, broker)
            self._write(symbol, held, broker, "stop", 0, "the broker holds something else, and nothing explains it")
        self._alarm(f"{symbol}: we believed to hold {held}, the broker says {broker}")

    def _adopt(self, symbol: str, held: int, parts: list[tuple[int, int]]) -> None:
        """Write that contracts are gone, one row a price: what was got for them adds up to the cent."""
        for quantity, price_e4 in parts:
            if price_e4:
                self.adopted[symbol] = self.adopted.get(symbol, 0) + quantity
            self._write(symbol, held, held - quantity, "adopt", price_e4, "the broker holds fewer than we believed")
            held -= quantity

    def _parts(self, symbol: str, more: int, others: list[BrokerFill]) -> list[tuple[int, int]]:
        """Contracts and price of others' executions that were not adopted yet and explain `more` contracts."""
        side = "buy" if more > 0 else "sell"
        mine = [fill for fill in others if fill.symbol == symbol and fill.side == side]
        known, missing, parts = self.adopted.get(symbol, 0) if more < 0 else 0, abs(more), []
        for fill in sorted(mine, key=lambda fill: fill.ts_market_ns):
            skipped = min(known, fill.quantity)
            taken = min(missing, fill.quantity - skipped)
            known, missing = known - skipped, missing - taken
            if taken:
                parts.append((taken, fill.price_e4))
        return parts

    def _write(self, symbol: str, held: int, broker: int, action: str, price_e4: int, reason: str) -> None:
        body = {
            "symbol": symbol,
            "held": held,
            "broker": broker,
            "action": action,
            "price_e4": price_e4,
            "reason": reason,
        }
        self._note(RECONCILE, body)

    def _note_silence(self, silent: BrokerSilent) -> None:
        if silent.is_refused and not self.is_refused:
            self._alarm(f"the broker refuses our keys ({silent.reason}): no entries, exits are tried on")
        self.silent, self.wait_s = silent.reason, silent.wait_s
        self.is_refused = self.is_refused or silent.is_refused
