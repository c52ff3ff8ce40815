"""One instant of a market, as the engine sees it.

Decides how rows become that instant: they are folded by the engine's own loop, without a broker and without
trades, so that chain, greeks and gates are exactly what a replay would have there. Leaves where rows come from to
`sources` and what is made of the instant to `rank`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.executor import Command
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.core.option_selection import OptionSelector
from scalpcli.core.view import MarketView
from scalpcli.errors import DataError
from scalpcli.model.fees import FeeSchedule, schedule_for
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GREEKS, OPEN_INTEREST, Note
from scalpcli.model.order import Reply
from scalpcli.model.params import Blackout, Params
from scalpcli.model.row import RowBatch
from scalpcli.model.session import Session
from scalpcli.runtime.runner import Runner


@dataclass(frozen=True, slots=True)
class Told:
    """Greeks of one contract as a feed told them; `None` where it did not. Units are the feed's own."""

    source: str
    ts_ns: int
    delta: float | None
    iv: float | None
    gamma: float | None
    theta: float | None
    vega: float | None


@dataclass(slots=True)
class Heard:
    """What cold rows told of contracts up to the instant, by symbol."""

    greeks: dict[str, Told] = field(default_factory=dict)
    interest_dates: dict[str, dt.date] = field(default_factory=dict)

    def listen(self, notes: Iterable[Note]) -> Iterator[Note]:
        """Pass notes on; each is taken when the engine asks for it, so none from after the instant is."""
        for note in notes:
            if note.kind == GREEKS:
                self._take_greeks(note)
            elif note.kind == OPEN_INTEREST and "date" in note.body:
                date = dt.date.fromisoformat(str(note.body["date"]))
                self.interest_dates.update(dict.fromkeys(note.body["contracts"], date))
            yield note

    def _take_greeks(self, note: Note) -> None:
        for symbol, greeks in note.body["contracts"].items():
            values = [greeks.get(name) for name in ("delta", "iv", "gamma", "theta", "vega")]
            source = str(note.body.get("source", "feed"))
            self.greeks[symbol] = Told(source, note.ts_recv_ns, *values)


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows to fold, and what is known of them.

    Attributes:
        symbol: The underlying.
        session: Whose rows they are.
        instruments: By `instrument_id`, the underlying first.
        batches: Rows in order, none after the instant.
        notes: Cold rows, in the order of their markers.
        t_ns: The instant.
        source: Where they come from, for people.
        kind: `tape`, `file` or `live`.
        synthetic: Whether they were made up.
        notices: What a reader must know first.
    """

    symbol: str
    session: Session
    instruments: tuple[Instrument, ...]
    batches: Iterable[RowBatch]
    notes: Iterable[Note]
    t_ns: int
    source: str
    kind: str
    synthetic: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A market at one instant; for the first fields see `Feed`."""

    feed: Feed
    params: Params
    blackouts: tuple[Blackout, ...]
    engine: Engine
    heard: Heard
    fees: FeeSchedule | None
    """`None` where the fees of the day are unknown."""

    @property
    def view(self) -> MarketView:
        """The market."""
        return self.engine.view

    @property
    def selector(self) -> OptionSelector:
        """The chain."""
        return self.engine.parts.selector


class _NoBroker:
    """Nothing is ordered in a scan."""

    def send(self, command: Command, t_ns: int) -> None:
        """Refuse: the engine was asked for triggers only."""
        raise AssertionError(f"a scan sent an order at {t_ns}: {command}")

    def next_ns(self) -> int:
        """Nothing is ever due."""
        return NEVER_NS

    def run(self, t_ns: int) -> list[Reply]:
        """Nothing happens."""
        del t_ns
        return []

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """See nothing."""

    def watched(self) -> set[int]:
        """No contract is followed."""
        return set()


def play(feed: Feed, params: Params, blackouts: tuple[Blackout, ...], hot: Kernel) -> Moment:
    """Fold rows up to the instant.

    Args:
        feed: Rows, and what is known of them.
        params: All settings.
        blackouts: Dated windows without entries.
        hot: The compiled or the interpreted kernel.

    Raises:
        DataError: rows or notes are damaged.
        UsageError: the fee schedule is unknown.
    """
    # A gap stops a replay where that is asked for; a scan shows it as a gate.
    params = dataclasses.replace(params, replay=dataclasses.replace(params.replay, gaps="ignore"))
    fees = _fees(params, feed.session.date)
    setup = Setup(
        params,
        feed.symbol,
        feed.session,
        feed.instruments,
        fees or schedule_for(feed.session.date, "none"),
        blackouts,
        synthetic=feed.synthetic,
        triggers_only=True,
    )
    market = MarketState(params, feed.session, feed.instruments, hot)
    engine = Engine(setup, market, hot)
    heard = Heard()

    def forget() -> None:
        engine.take_decisions()

    runner = Runner(engine, market, _NoBroker(), heard.listen(feed.notes), forget)
    runner.run(feed.batches, feed.t_ns)
    return Moment(feed, params, blackouts, engine, heard, fees)


def _fees(params: Params, date: dt.date) -> FeeSchedule | None:
    as_of = dt.date.fromisoformat(params.fees.as_of) if params.fees.as_of else None
    try:
        return schedule_for(date, params.fees.schedule, as_of)
    except DataError:
        # Named days are a wish that cannot be met; the session's own day is a price not known, shown as such.
        if as_of is not None:
            raise
        return None
