"""A market of a few rows, told by hand, and what the real engine makes of it.

A `Script` holds rows of a session of ten minutes, 10:30 to 10:40 New York time; `play` drives those up to
10:32 (or wherever told) through runner, engine and simulated broker with the interpreted kernel and tells
every decision in one line:

    10:31:00.000 signal call C400 x10 at 1.40
A decision's time, its kind, then what matters of it. Contracts are named by right and strike (`C400`), with
the days to expiry behind a slash where that is not today (`C400/3`); orders by signal, leg and try (`0e1` is
the first entry order of signal 0). Whatever a scenario is about, every play checks the journal's layout, its
clock, and that cash adds up.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.executor import Command
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.market_state import InterpretedKernel, MarketState
from scalpcli.model import note as notes
from scalpcli.model import row
from scalpcli.model.decision import DECISION_FIELDS, Decision
from scalpcli.model.fees import schedule_for
from scalpcli.model.instrument import Instrument, TickRule
from scalpcli.model.note import Note
from scalpcli.model.order import Leg
from scalpcli.model.params import Blackout, Params
from scalpcli.model.session import Session, at_ns, ns_to_new_york, session_of
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker
from tests.scenario.silent import Silent
from tests.scenario.telling import tell_all

DAY = dt.date(2026, 11, 20)
SYMBOL = "TSLA"
_REAL = session_of(DAY)
SESSION = Session(DAY, at_ns(_REAL, "10:30"), at_ns(_REAL, "10:40"), is_early_close=False)
"""Ten minutes of a Friday, so that a whole session plays in a second."""
TO_THE_CLOSE = ""

ALL = row.LAST | row.RANGE | row.VWAP | row.VOLUME
BURST = "10:31:00"
"""When the price jumps in a script made by `market`."""

QUIET: dict[str, dict[str, Any]] = {
    "scalp": {
        "eval_interval_ms": 1000,
        "momentum_threshold_pct": 0.1,
        "volume_spike_ratio": 0.0,
        "velocity_windows_seconds": (5, 15, 30),
        "trigger_vwap_rejection": False,
        "trigger_breakout": False,
        "max_hold_minutes": 5.0,
    },
    "gates": {
        "underlying_silence_ms_max": 600_000,
        "underlying_price_age_ms_max": 600_000,
        "option_silence_ms_max": 600_000,
        "option_quote_age_ms_max": 600_000,
        "last_entry_before_close_minutes": 2.0,
    },
    "selection": {"greeks_source": "tape", "greeks_age_s_max": 3600.0},
    "exits": {"flatten_before_close_minutes": 1.0, "last_rung_before_close_minutes": 0.0},
    "risk": {"contracts_max": 10, "duplicate_order_s": 0.0},
    "simulated_broker": {"quote_age_ms_max": 600_000},
    "replay": {"gaps": "flatten"},
}
"""Settings under which a script's one jump is one trigger and a single quote stays good; a test sets its own rule."""


def params(**sections: dict[str, Any]) -> Params:
    """`QUIET` with `sections` laid over it."""
    return Params(
        **{
            each.name: dataclasses.replace(
                getattr(Params(), each.name), **(QUIET.get(each.name, {}) | sections.get(each.name, {}))
            )
            for each in dataclasses.fields(Params)
        }
    )


def clock(text: str) -> int:
    """New York time of the session's day as UTC nanoseconds."""
    return at_ns(_REAL, text)


def e4(usd: float) -> int:
    """Dollars as 1/10000 USD."""
    return round(usd * 10_000)


@dataclass(frozen=True)
class Contract:
    """A contract of the chain, named `C400`, and the delta that is recorded of it."""

    name: str
    delta: float | None
    dte: int = 0
    open_interest: int | None = 1000
    tick_rule: TickRule = TickRule.PENNY_PROGRAM

    @property
    def expiry(self) -> dt.date:
        """Its last day."""
        return DAY + dt.timedelta(days=self.dte)

    @property
    def label(self) -> str:
        """How decisions name it."""
        return f"{self.name}/{self.dte}" if self.dte else self.name

    def instrument(self, number: int) -> Instrument:
        """It as the tape's `number`-th instrument."""
        strike_e4 = e4(float(self.name[1:]))
        symbol = f"{SYMBOL}{self.expiry:%y%m%d}{self.name[0]}{strike_e4 // 10:08d}"
        return Instrument(
            number, symbol, self.expiry, strike_e4, self.name[0], 100, self.tick_rule, self.open_interest, DAY
        )


BOUGHT = [
    "10:31:00.000 trigger momentum_burst call",
    "10:31:00.000 signal call C400 x10 at 1.40",
    "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
    "10:31:00.300 accepted 0e1",
    "10:31:00.300 fill 0e1 10 at 1.40 of :00.250, 10 held",
]
"""How every script of `market` begins that says nothing else: 250 ms to the market, 50 ms back."""
AT_ONCE = {"simulated_broker": {"order_latency_ms": 0.0, "report_latency_ms": 0.0}}
"""No latency."""
BOUGHT_AT_ONCE = [
    *BOUGHT[:3],
    "10:31:00.000 accepted 0e1",
    "10:31:00.000 fill 0e1 10 at 1.40 of :00.000, 10 held",
]
"""The same under `AT_ONCE`."""

CALL = Contract("C400", 0.35)
PUT = Contract("P400", -0.35)


def order_id(short: str) -> str:
    """`scalp-20261120-0-0000-e1` for `0e1`."""
    number = short.rstrip("0123456789")[:-1]
    return f"scalp-{DAY:%Y%m%d}-0-{int(number):04d}-{short[len(number) :]}"


class Script:
    """Rows of one session, in the order they are received; rows of one time in the order they are told."""

    def __init__(self, *contracts: Contract) -> None:
        self.contracts = contracts or (CALL, PUT)
        self.numbers = {each.label: number for number, each in enumerate(self.contracts, start=1)}
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.notes: list[tuple[int, str, dict[str, Any]]] = []
        deltas = {each.instrument(0).symbol: {"delta": each.delta} for each in self.contracts if each.delta is not None}
        self.note("10:29:00", notes.GREEKS, {"source": "test", "contracts": deltas})

    def _add(self, at: str, kind: int, **fields: int) -> None:
        self.rows.append((clock(at), {"kind": kind, "ts_event_ns": clock(at)} | fields))

    def print(self, at: str, price: float, size: int = 100, flags: int = ALL) -> Script:
        """A trade of the stock."""
        self._add(at, row.STOCK_TRADE, price_e4=e4(price), size=size, flags=flags)
        return self

    def stock(self, at: str, bid: float, ask: float) -> Script:
        """A quote of the stock."""
        self._add(at, row.STOCK_QUOTE, price_e4=e4(bid), ask_e4=e4(ask), size=3, ask_size=3)
        return self

    def option(self, name: str, at: str, bid: float, ask: float, sizes: tuple[int, int] = (50, 50)) -> Script:
        """A quote of a contract; an absent side is 0."""
        self._add(
            at, row.OPTION_QUOTE, instrument_id=self.numbers[name], price_e4=e4(bid), ask_e4=e4(ask),
            size=sizes[0], ask_size=sizes[1],
        )  # fmt: skip
        return self

    def option_print(self, name: str, at: str, price: float, size: int) -> Script:
        """A trade of a contract."""
        number = self.numbers[name]
        self._add(at, row.OPTION_TRADE, instrument_id=number, price_e4=e4(price), size=size, flags=ALL)
        return self

    def halt(self, begin: str, end: str = "", name: str = "") -> Script:
        """A halt of a contract, or of the stock."""
        number = self.numbers[name] if name else 0
        self._add(begin, row.STATUS, instrument_id=number, flags=row.HALT_BEGIN)
        if end:
            self._add(end, row.STATUS, instrument_id=number, flags=row.HALT_END)
        return self

    def gap(self, begin: str, end: str = "", channels: int = row.CHANNEL_OPTION_QUOTES) -> Script:
        """A blindness of some channels."""
        self._add(begin, row.GAP, size=channels, flags=row.GAP_BEGIN)
        if end:
            self._add(end, row.GAP, size=channels, flags=row.GAP_END)
        return self

    def gap_learned(self, at: str, channels: int = row.CHANNEL_OPTION_QUOTES) -> Script:
        """A blindness that is over when we learn of it."""
        self._add(at, row.GAP, size=channels, flags=row.GAP_BEGIN | row.GAP_END)
        return self

    def note(self, at: str, kind: str, body: dict[str, Any]) -> Script:
        """A cold row."""
        self._add(at, row.COLD)
        self.notes.append((clock(at), kind, body))
        return self

    def live(self, at: str, phase: str = "begins", why: str = "test") -> Script:
        """Trading with an account begins or pauses."""
        return self.note(at, notes.LIVE, {"phase": phase, "reason": why})

    def says(self, at: str, reply: str, order: str, quantity: int = 0, usd: float = 0.0, reason: str = "") -> Script:
        """What a true broker says of an order, `0e1` for the first entry order of signal 0."""
        numbers = {"quantity": quantity, "price_e4": e4(usd)} if quantity else {}
        body = {"reply": reply, "order_id": order_id(order), "ts_market_ns": clock(at)} | numbers
        return self.note(at, notes.BROKER, body | ({"reason": reason} if reason else {}))

    def compared(self, at: str, action: str, held: int, broker: int, usd: float = 0.0, name: str = "C400") -> Script:
        """What a comparison with a true broker found."""
        symbol = self.contracts[self.numbers[name] - 1].instrument(0).symbol if name in self.numbers else name
        body = {"held": held, "broker": broker, "action": action, "price_e4": e4(usd), "reason": "test"}
        return self.note(at, notes.RECONCILE, {"symbol": symbol} | body)

    def operator(self, at: str, command: str) -> Script:
        """An operator's command."""
        return self.note(at, notes.OPERATOR, {"command": command})

    def batch(self, until_ns: int) -> row.RowBatch:
        """Every row up to `until_ns` as columns."""
        ordered = sorted((each for each in self.rows if each[0] <= until_ns), key=lambda each: each[0])
        columns = {name: np.zeros(len(ordered), kind) for name, kind in row.COLUMNS.items()}
        for number, (ts_ns, fields) in enumerate(ordered):
            columns["ts_recv_ns"][number] = ts_ns
            for name, value in fields.items():
                columns[name][number] = value
        return row.RowBatch.from_columns(columns)

    def play(self, **options: Any) -> list[str]:
        """Every decision between the session's first line and its last, one line each; see `perform`."""
        return perform(self, **options).told


def market(
    *contracts: Contract,
    jumps: dict[str, float] | None = None,
    quote: tuple[float, float] | None = (1.36, 1.40),
    sizes: tuple[int, int] = (50, 50),
) -> Script:
    """A stock at 400 that trades every second and jumps a dollar, a quarter percent; every contract quoted alike.

    Args:
        contracts: The chain; a call and a put at 400 with the target delta unless told.
        jumps: By how many dollars it jumps when, on whole seconds; one dollar up at 10:31:00 unless told.
        quote: Bid and ask of every contract from 10:30 on; `None` = no contract is quoted.
        sizes: Contracts shown at bid and ask.
    """
    script = Script(*contracts)
    steps = {BURST: 1.0} if jumps is None else jumps
    price = 400.0
    script.stock("10:30:00.5", price - 0.01, price + 0.01)
    for number in range(1, 600):
        text = ns_to_new_york(SESSION.open_ns + number * 1_000_000_000)[:8]
        if text in steps:
            price += steps[text]
            script.stock(text, price - 0.01, price + 0.01)
        script.print(text, price)
    for contract in script.contracts if quote else ():
        script.option(contract.label, "10:30:00.6", *(quote or (0.0, 0.0)), sizes)
    return script


@dataclass(slots=True)
class Played:
    """What came of a script."""

    told: list[str]
    decisions: list[Decision]
    engine: Engine
    journal: SessionJournal
    end: dict[str, Any] = field(default_factory=dict)
    sent: list[Command] = field(default_factory=list)
    """What went out; empty in a replay."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of every decision of one kind."""
        return [each.body for each in self.decisions if each.kind == kind]


def perform(
    script: Script,
    *,
    blackouts: tuple[Blackout, ...] = (),
    fees: str = "none",
    mode: str = "replay",
    until: str = "10:32",
    latencies_ms: list[tuple[float, float]] | None = None,
    batch_rows: int = 0,
    triggers_only: bool = False,
    **sections: dict[str, Any],
) -> Played:
    """Play a script.

    Args:
        script: Its rows.
        blackouts: Dated windows without entries.
        fees: `none` or `alpaca`.
        mode: As `Setup.mode`; in all but replay the script says what the broker does.
        until: Where to stop; `TO_THE_CLOSE` = after it.
        latencies_ms: Order and report latencies to draw from.
        batch_rows: How many rows are handed in at a time; 0 = all.
        triggers_only: As `Setup.triggers_only`.
        sections: Settings laid over `QUIET`.
    """
    settings = params(**sections)
    instruments = (Instrument(0, SYMBOL), *(each.instrument(n) for n, each in enumerate(script.contracts, start=1)))
    hot = InterpretedKernel()
    setup = Setup(settings, SYMBOL, SESSION, instruments, schedule_for(DAY, fees), blackouts, mode, True, triggers_only)
    state = MarketState(settings, SESSION, instruments, hot)
    engine = Engine(setup, state, hot)
    latencies = Latencies(settings.simulated_broker, latencies_ms and np.array(latencies_ms, np.float64))
    simulated = SimulatedBroker(settings.simulated_broker, SESSION, engine.view, latencies)
    silent = Silent()
    journal = SessionJournal(engine, DAY, SYMBOL)
    decisions: list[Decision] = []
    take = engine.take_decisions

    def taken() -> list[Decision]:
        new = take()
        decisions.extend(new)
        return new

    engine.take_decisions = taken  # type: ignore[method-assign]
    ordered = sorted(script.notes, key=lambda each: each[0])
    cold = [Note(seq, ts_ns, kind, body) for seq, (ts_ns, kind, body) in enumerate(ordered)]
    engine.start()
    until_ns = clock(until) if until else NEVER_NS - 1
    runner = Runner(engine, state, simulated if mode == "replay" else silent, cold, journal.step)
    runner.run(_cut(script.batch(until_ns), batch_rows), until_ns)
    engine.finish(min(until_ns, SESSION.close_ns))
    journal.step()
    played = Played(
        tell_all(decisions, {each.instrument(0).symbol: each.label for each in script.contracts}),
        decisions,
        engine,
        journal,
        decisions[-1].body,
        silent.sent,
    )
    _check(played)
    return played


def _cut(batch: row.RowBatch, rows: int) -> Iterable[row.RowBatch]:
    step = rows or max(1, len(batch.ts_recv_ns))
    return (batch.slice(start, start + step) for start in range(0, len(batch.ts_recv_ns), step))


def _check(played: Played) -> None:
    """What holds of every session: the layout, the clock, the money."""
    assert [each.kind for each in played.decisions[:: len(played.decisions) - 1]] == ["session", "session_end"]
    # The session's line carries its open; what the tape's head says may come before.
    times = [each.ts_ns for each in played.decisions[1:]]
    assert times == sorted(times)
    for decision, line in zip(played.decisions, played.journal.lines, strict=True):
        check_layout(decision)
        assert json.loads(line)["kind"] == decision.kind
    ledger, scalps = played.engine.ledger, played.engine.scalps
    assert all(each.held >= 0 for each in scalps)
    paid_e4 = sum((each.bought_sum_e4 - each.sold_sum_e4) * 100 for each in scalps)
    assert ledger.cash_e4 == ledger.starting_equity_e4 + ledger.gross_e4 - paid_e4 + ledger.unmatched_e4
    works = [each for each in played.engine.parts.executor.flow.sent.values() if not each.has_ended]
    entries = [each for each in works if each.order.leg is Leg.ENTRY]
    assert ledger.committed_e4 == sum(each.order.limit_e4 * each.remaining * 100 for each in entries)


def check_layout(decision: Decision) -> None:
    """Hold one decision against the documented fields."""
    python = {"integer": int, "string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    fields = DECISION_FIELDS[decision.kind]
    assert list(decision.body) == list(fields), decision.kind
    for name, (kinds, _) in fields.items():
        value = decision.body[name]
        allowed = tuple((int, float) if kind == "number" else (python[kind],) for kind in kinds.split("|"))
        assert type(value) in {each for group in allowed for each in group}, (decision.kind, name, value)
