"""What entries would have made that nobody took: the engine's own parts, asked at instants of our choosing.

Decides when an entry is wished for; selection, size, orders, fills, exits and fees are the engine's and the
simulated broker's, so a hypothetical trade is played by the same rules as a true one. All wishes of a session are
played in one pass over its tape. Their assumptions, beside the broker's:

1. Each wish is alone: it is sized on the starting equity and knows no other wish's position, count or cooldown.
2. Wishes share the market's displayed sizes; two that meet one quote of one contract do not both get its size.
3. Result is after fees as each fill causes them, before the day's rounding to the cent.

Used for the null trader (`null_trader.py`) and for what refused triggers would have made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.executor import Watch
from scalpcli.core.exits import stop_bid_e4, target_bid_e4
from scalpcli.core.gates import Gates, Refused, SessionTally
from scalpcli.core.layout import CALL, NEVER_NS, PUT, WATCH_EVERY, WATCH_HIGH, WATCH_LOW
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.core.position import Scalp
from scalpcli.core.risk import Ledger, size_entry
from scalpcli.core.signals import MOMENTUM_BURST, Episode, ScalpSignal, ScalpSignalGenerator
from scalpcli.model.params import Blackout, Params
from scalpcli.model.session import Session
from scalpcli.runtime.ahead import Ahead
from scalpcli.runtime.replay import ReplayOptions, fee_schedule, read_latencies, tape_batches
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker
from scalpcli.runtime.tape import Tape
from scalpcli.units import E4_PER_USD, usd_to_e4

_BLOCKS_AHEAD_MAX: Final = 4
RIGHT_OF: Final = {"call": CALL, "put": PUT}


@dataclass(frozen=True, slots=True)
class Wish:
    """An entry to try.

    Args:
        ts_ns: When; decided at the first instant at or after it.
        side: `call` or `put`.
    """

    ts_ns: int
    side: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish.

    Args:
        wish: The wish.
        gate: What refused it; empty when an order was sent.
        option_symbol: The contract, where one was chosen.
        quantity: Contracts bought; 0 when nothing filled.
        net_usd: Result after fees; `None` unless a position was opened and closed.
        exit_reason: Why it was left.
    """

    wish: Wish
    gate: str = ""
    option_symbol: str = ""
    quantity: int = 0
    net_usd: float | None = None
    exit_reason: str = ""


def relaxed(params: Params) -> Params:
    """The same settings with the gates of selection opened: what a refused trigger would have bought."""
    return dataclasses.replace(
        params,
        scalp=dataclasses.replace(params.scalp, max_spread_pct=100.0, min_open_interest=0, max_contract_price=1e6),
        gates=dataclasses.replace(params.gates, ask_size_min=0, option_quote_age_ms_max=60_000),
        selection=dataclasses.replace(params.selection, delta_min=0.01, delta_max=0.99),
        risk=dataclasses.replace(params.risk, displayed_size_share_pct=100.0),
    )


def _alone(params: Params) -> Params:
    """The same settings without what an account's other orders decide: each wish is alone."""
    return dataclasses.replace(
        params,
        gates=dataclasses.replace(params.gates, daily_loss_usd_max=0.0),
        risk=dataclasses.replace(params.risk, messages_per_minute_max=0, duplicate_order_s=0.0),
    )


class _Wishes(ScalpSignalGenerator):
    """Makes a signal of every wish that is due, instead of what rose."""

    def plan(self, wishes: Sequence[Wish], gates: Gates | None, setup: Setup) -> None:
        """Take the wishes, in order of time.

        Args:
            wishes: They.
            gates: Reasons to wait that hold for each alone; `None` = none.
            setup: What the session is played with.
        """
        self.pending = list(reversed(wishes))
        self.outcomes: dict[int, Outcome] = {}
        self.refused: list[Outcome] = []
        self._own_gates = gates
        self._setup = setup

    @property
    def next_ns(self) -> int:
        """When the next wish is due."""
        return self.pending[-1].ts_ns if self.pending else NEVER_NS

    @property
    def is_offering(self) -> bool:
        """Nothing is offered twice."""
        return False

    def note_rises(self, t_ns: int, *, only: bool = False) -> None:
        """Triggers decide nothing here."""

    def evaluate(self, t_ns: int) -> Iterator[ScalpSignal]:
        """Signals of the wishes due by now."""
        while self.pending and self.pending[-1].ts_ns <= t_ns:
            wish = self.pending.pop()
            offered = self._try(wish, t_ns)
            if isinstance(offered, Refused):
                self.refused.append(Outcome(wish, gate=offered.gate))
            else:
                symbol = offered.selection.instrument.symbol
                self.outcomes[offered.number] = Outcome(wish, option_symbol=symbol)
                yield offered

    def finish(self, t_ns: int) -> None:
        """Wishes after the last instant come to nothing."""
        del t_ns
        self.refused += [Outcome(wish, gate="session_window") for wish in self.pending]
        self.pending = []

    def _try(self, wish: Wish, t_ns: int) -> ScalpSignal | Refused:
        right = RIGHT_OF[wish.side]
        gates = self._own_gates
        if gates is not None:
            refused = gates.standing(t_ns, MOMENTUM_BURST, right, SessionTally(), self._view)
            refused = refused or gates.transient(t_ns, self._view)
            if refused is not None:
                return refused
        selection = self._selector.select(right, t_ns, self._view)
        if isinstance(selection, Refused):
            return selection
        ledger = Ledger(usd_to_e4(self._params.risk.starting_equity_usd), self._setup.schedule)
        sized = size_entry(selection, self._params, ledger)
        if isinstance(sized, Refused):
            return sized
        return self._signal(Episode(self._tally.signals, MOMENTUM_BURST, right, t_ns), selection, sized, 0, t_ns)


class _WishingEngine(Engine):
    """An engine whose entries are wishes; everything after the entry is its own."""

    def __init__(self, setup: Setup, market: MarketState, hot: Kernel, wishes: Sequence[Wish], gates: Any) -> None:
        super().__init__(setup, market, hot)
        self._plan = (wishes, gates)
        self._first_ns = wishes[0].ts_ns if wishes else NEVER_NS
        self._wishes: _Wishes | None = None
        self._bounds: dict[int, tuple[float, int, int]] = {}

    @property
    def parts(self) -> Any:
        """The parts, with the wishes as their generator."""
        parts = super().parts
        if self._wishes is None:
            setup = self._setup
            self._wishes = _Wishes(
                setup.params, setup.symbol, self.order_prefix, self.view,
                Gates(setup.params, setup.session, setup.blackouts, is_live=False),
                parts.selector, self.ledger, self.tally, self.emit,
            )  # fmt: skip
            self._wishes.plan(*self._plan, setup)
            parts.generator = self._wishes
        return parts

    @property
    def wishes(self) -> _Wishes:
        """The wishes and what became of them."""
        found = self.parts.generator
        assert isinstance(found, _Wishes)
        return found

    def wake_ns(self) -> int:
        """The next wish, or what positions wait for."""
        due_ns = self._first_ns if self._wishes is None else self._wishes.next_ns
        return min(super().wake_ns(), due_ns)

    def watches(self) -> dict[int, Watch]:
        """What each contract's quotes are watched for: of many positions in one, the nearest stop and target.

        The engine looks at every quote of a contract that two positions share; here dozens do, all day long, and
        a quote that meets nobody's limit changes nothing.
        """
        if self._setup.params.exits.trailing_stop_pct > 0.0:
            return super().watches()
        by_contract: dict[int, list[Scalp]] = {}
        for scalp in self.scalps:
            if scalp.held > 0:
                by_contract.setdefault(scalp.instrument.instrument_id, []).append(scalp)
        return {instrument_id: self._nearest(scalps) for instrument_id, scalps in by_contract.items()}

    def _nearest(self, scalps: list[Scalp]) -> Watch:
        held = [scalp for scalp in scalps if not scalp.is_leaving]
        if not held:
            return (WATCH_LOW, -1, 0)
        if any(scalp.is_stop_standing for scalp in held):
            return (WATCH_EVERY, 0, 0)
        limits = [self._limits(scalp) for scalp in held]
        return (WATCH_LOW | WATCH_HIGH, max(low for _, low, _ in limits), min(high for _, _, high in limits))

    def _limits(self, scalp: Scalp) -> tuple[float, int, int]:
        """Average premium, stop bid and target bid of one position; computed anew when it has bought more."""
        average_e4 = scalp.average_e4
        known = self._bounds.get(scalp.number)
        if known is None or known[0] != average_e4:
            rules = self._setup.params.scalp
            low, high = stop_bid_e4(average_e4, rules.stop_loss_pct), target_bid_e4(average_e4, rules.take_profit_pct)
            known = self._bounds[scalp.number] = (average_e4, low, high)
        return known


def play_wishes(
    path: Path,
    params: Params,
    blackouts: tuple[Blackout, ...],
    hot: Kernel,
    wishes: Sequence[Wish],
    *,
    gated: bool,
) -> list[Outcome]:
    """Play hypothetical entries over one tape, in one pass.

    Args:
        path: The tape.
        params: All settings.
        blackouts: Dated windows without entries.
        hot: The kernel.
        wishes: Entries to try, in any order.
        gated: Whether gates that do not depend on other trades may refuse them.

    Returns:
        One outcome a wish, in order of time.

    Raises:
        DataError: as `replay_session`.
    """
    params = _alone(params)
    tape = Tape.open(path)
    session = tape.session
    setup = Setup(
        params, tape.manifest.symbol, session, tape.instruments, fee_schedule(params, session.date), blackouts
    )
    ordered = sorted(wishes, key=lambda wish: (wish.ts_ns, wish.side))
    gates = Gates(params, session, blackouts, is_live=False) if gated else None
    market = MarketState(params, session, tape.instruments, hot, None)
    engine = _WishingEngine(setup, market, hot, ordered, gates)
    latencies = Latencies(params.simulated_broker, read_latencies(params.simulated_broker.latency_file))
    broker = SimulatedBroker(params.simulated_broker, session, engine.view, latencies)
    ends: dict[int, dict[str, Any]] = {}

    def collect() -> None:
        for decision in engine.take_decisions():
            if decision.kind == "trade":
                ends[decision.body["signal"]] = decision.body

    engine.start()
    runner = Runner(engine, market, broker, tape.notes(), collect)
    runner.run(Ahead(tape_batches(tape, params, ReplayOptions()), _BLOCKS_AHEAD_MAX))
    engine.finish(session.close_ns)
    collect()
    outcomes = [_ended(outcome, ends.get(number)) for number, outcome in engine.wishes.outcomes.items()]
    return sorted([*outcomes, *engine.wishes.refused], key=lambda each: (each.wish.ts_ns, each.wish.side))


def _ended(outcome: Outcome, trade: dict[str, Any] | None) -> Outcome:
    if trade is None:
        return outcome
    return dataclasses.replace(
        outcome,
        quantity=trade["quantity"],
        net_usd=(trade["gross_e4"] - trade["fees_estimate_e4"]) / E4_PER_USD,
        exit_reason=trade["exit_reason"],
    )


def every_minute(session: Session, step_s: int = 60) -> list[Wish]:
    """Wishes for a call and for a put at every minute of a session."""
    step_ns = step_s * 1_000_000_000
    return [
        Wish(ts_ns, side)
        for ts_ns in range(session.open_ns + step_ns, session.close_ns, step_ns)
        for side in ("call", "put")
    ]
