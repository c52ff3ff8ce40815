"""Technical analysis by hand: trades of the underlying in, levels, bands and triggers out.

`TechnicalScalper` is the engine with `triggers_only`, fed one trade at a time: the same market state, the
same instants, the same trigger records. What a trigger is stands in `triggers.py`.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scalpcli.core.by_hand import (
    INTERPRETED,
    NO_ROWS,
    OneRow,
    SessionDay,
    asked_ns,
    check_order,
    moment_ns,
    moment_of,
    price_in_e4,
    whole_size,
)
from scalpcli.core.engine import Engine, Setup
from scalpcli.core.kernel import is_regular
from scalpcli.core.layout import CALL, INSTANT, LEVEL_SLOTS, NEVER_NS, NO_TIME_NS, PUT, State
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.core.signals import BREAKOUT, MOMENTUM_BURST, VWAP_REJECTION, known
from scalpcli.core.velocity_tracker import PriceVelocityTracker
from scalpcli.core.volume_analyzer import VolumeAnalyzer
from scalpcli.core.vwap import measure_vwap
from scalpcli.errors import UsageError
from scalpcli.model.decision import Decision
from scalpcli.model.fees import schedule_for
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params, ScalpConfig
from scalpcli.model.row import LAST, RANGE, STOCK_TRADE, VOLUME, VWAP, RowBatch
from scalpcli.model.session import Session
from scalpcli.units import e4_to_usd

TRIGGERS_KEPT_MAX: Final = 1024
"""Triggers of one kind that wait to be asked for at most; the oldest is dropped and counted."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A pattern that rose, with the numbers it saw; what was unknown is `None`.

    Args:
        timestamp: The instant at which it rose, UTC.
        symbol: The underlying.
        trigger: `momentum_burst`, `vwap_rejection` or `breakout`.
        side: `call` or `put`.
        price: Last price, USD.
        velocity_pct: Percent moved in the momentum window.
        confirm_velocity_pct: Percent moved in the short window that must agree.
        threshold_pct: Burst threshold of this side, percent.
        volume_ratio: Volume against its baseline; 1.0 = usual.
        required_ratio: What the ratio is held against; 0 asks for nothing.
        vwap: USD.
        sigma: Standard deviation of VWAP, USD.
        level: The level that broke, USD; of breakouts only.
        level_kind: Its kind (definitions, section 5); empty for other triggers.
    """

    timestamp: dt.datetime
    symbol: str
    trigger: str
    side: str
    price: float
    velocity_pct: float | None
    confirm_velocity_pct: float | None
    threshold_pct: float
    volume_ratio: float | None
    required_ratio: float
    vwap: float | None
    sigma: float | None
    level: float | None
    level_kind: str


class TechnicalScalper:
    """Follows one session of the underlying and tells what rose.

    Bands, high and low are those of everything handed in so far. Triggers rise at the engine's instants
    (every `eval_interval_ms` from the open), and levels are those of the last instant. An instant is
    evaluated once everything received up to it is known: when a later trade comes, or when a check is told
    that it is now `at`.

    The original design lets checks return a `ScalpSignal`; here they return the `Trigger`, and
    `ScalpSignalGenerator` makes a signal of it when gates, contract and size agree.

    Args:
        symbol: The underlying.
        velocity_tracker: Fed with every price that may move the last; `None` makes one.
        volume_analyzer: Fed with every trade, under `symbol`; `None` makes one. Trades of contracts may be
            added to it as well.
        config: Thresholds and windows. Trades alone come by hand, so `price_source` must be `trade` and
            `volume_source` `stock`.
        session: Which; `None` takes the calendar's on the day of the first trade.
        hot: The kernel; `runtime.compiler.load_kernel()` hands in the compiled one.

    Raises:
        UsageError: a configuration that needs more than trades of the underlying.
    """

    def __init__(
        self,
        symbol: str,
        velocity_tracker: PriceVelocityTracker | None = None,
        volume_analyzer: VolumeAnalyzer | None = None,
        *,
        config: ScalpConfig | None = None,
        session: Session | None = None,
        hot: Kernel = INTERPRETED,
    ) -> None:
        self.symbol = symbol
        self.config = config or ScalpConfig()
        _check_sources(self.config)
        self.velocity_tracker = velocity_tracker or PriceVelocityTracker(
            symbol, self.config.velocity_windows_seconds, hot=hot
        )
        self.volume_analyzer = volume_analyzer or VolumeAnalyzer(self.config, session, hot=hot)
        self._day = SessionDay(session)
        self._hot = hot
        self._row = OneRow()
        self._followed: _Followed | None = None
        self._last_ns = NO_TIME_NS
        self._passed_ns = NO_TIME_NS
        self._risen: dict[str, deque[Trigger]] = {kind: deque() for kind in (MOMENTUM_BURST, VWAP_REJECTION, BREAKOUT)}
        self.triggers_dropped = 0
        """Triggers nobody asked for in time."""

    def update(
        self, price: float, volume: int, timestamp: dt.datetime, *, flags: int = LAST | RANGE | VWAP | VOLUME
    ) -> None:
        """Take one trade of the underlying.

        Args:
            price: USD; rounded to 1/10000.
            volume: Shares.
            timestamp: When it was learned of; aware, and no earlier than anything before.
            flags: What it may move (`model.row`); an ordinary trade moves everything.

        Raises:
            DataError: no price or volume, a time stamp out of order or of another session.
            UsageError: a time stamp without a time zone, or one at or before a moment that was declared over.
        """
        price_e4, size, ts_ns = price_in_e4(price), whole_size(volume), moment_ns(timestamp)
        check_order(ts_ns, max(self._last_ns, self.velocity_tracker.last_ns, self.volume_analyzer.last_ns))
        if ts_ns <= self._passed_ns:
            over = moment_of(self._passed_ns).isoformat()
            raise UsageError(
                f"the time stamp {moment_of(ts_ns).isoformat()} is not after {over}, up to where instants are over",
                hint="check with `at` only when everything received up to it has been handed in",
            )
        followed = self._follow(ts_ns)
        # Whatever may refuse the trade comes first, so that none of the three takes what another refuses.
        self.volume_analyzer.add_trade(self.symbol, size, timestamp, flags=flags)
        if flags & LAST and is_regular(followed.state.tracker[0], ts_ns):
            self.velocity_tracker.add_price(price, timestamp)
        fields = {"price_e4": price_e4, "size": size, "flags": flags}
        self._advance(followed, self._row.fill(STOCK_TRADE, ts_ns, fields), ts_ns - 1)
        self._last_ns = ts_ns

    def check_momentum_burst(self, at: dt.datetime | None = None) -> Trigger | None:
        """The oldest momentum burst that nobody was told of yet; each is told once.

        Args:
            at: Now: everything received up to here has been handed in, so every instant up to and
                including it is evaluated first. `None` = as far as the trades handed in reach.

        Raises:
            UsageError: `at` before the last trade or an earlier `at`, or without a time zone.
            DataError: `at` is on another day than the session's.
        """
        return self._told(MOMENTUM_BURST, at)

    def check_vwap_rejection(self, at: dt.datetime | None = None) -> Trigger | None:
        """The oldest VWAP rejection that nobody was told of yet; see `check_momentum_burst`."""
        return self._told(VWAP_REJECTION, at)

    def check_breakout(self, at: dt.datetime | None = None) -> Trigger | None:
        """The oldest breakout that nobody was told of yet; see `check_momentum_burst`."""
        return self._told(BREAKOUT, at)

    @property
    def vwap(self) -> float | None:
        """Volume-weighted average price of the session so far, USD."""
        return self._bands()[0]

    @property
    def sigma(self) -> float | None:
        """Its standard deviation, USD."""
        return self._bands()[1]

    @property
    def vwap_upper(self) -> float | None:
        """One standard deviation above VWAP, USD."""
        vwap, sigma = self._bands()
        return None if vwap is None or sigma is None else vwap + sigma

    @property
    def vwap_lower(self) -> float | None:
        """One standard deviation below VWAP, USD."""
        vwap, sigma = self._bands()
        return None if vwap is None or sigma is None else vwap - sigma

    @property
    def session_high(self) -> float | None:
        """Highest price of the session so far, USD."""
        return self._extreme("session_high")

    @property
    def session_low(self) -> float | None:
        """Lowest price of the session so far, USD."""
        return self._extreme("session_low")

    @property
    def resistance_levels(self) -> list[float]:
        """Levels whose breakout upwards is looked for, at the last instant, USD, each once, lowest first."""
        return self._levels(CALL)

    @property
    def support_levels(self) -> list[float]:
        """Levels whose breakout downwards is looked for, at the last instant, USD, each once, lowest first."""
        return self._levels(PUT)

    def _follow(self, ts_ns: int) -> _Followed:
        """The session's market and engine, made when the first trade tells which session it is."""
        session = self._day.session_at(ts_ns)
        if self._followed is None:
            self._followed = _Followed(self.symbol, self.config, session, self._hot)
        return self._followed

    def _advance(self, followed: _Followed, batch: RowBatch, known_ns: int) -> None:
        for decision in followed.advance(batch, known_ns):
            waiting = self._risen[decision.body["trigger"]]
            waiting.append(_trigger(self.symbol, decision))
            if len(waiting) > TRIGGERS_KEPT_MAX:
                waiting.popleft()
                self.triggers_dropped += 1

    def _told(self, kind: str, at: dt.datetime | None) -> Trigger | None:
        if at is not None:
            at_ns = asked_ns(at, max(self._last_ns, self._passed_ns))
            self._advance(self._follow(at_ns), NO_ROWS, at_ns)
            self._passed_ns = at_ns
        waiting = self._risen[kind]
        return waiting.popleft() if waiting else None

    def _bands(self) -> tuple[float | None, float | None]:
        if self._followed is None:
            return None, None
        # The engine measures at instants; measuring a copy shows the bands of now and changes nothing.
        tracker = self._followed.state.tracker.copy()[0]
        measure_vwap(tracker)
        return _usd(float(tracker.vwap)), _usd(float(tracker.sigma))

    def _extreme(self, name: str) -> float | None:
        if self._followed is None or not self._followed.state.tracker[0].has_range:
            return None
        return e4_to_usd(int(self._followed.state.tracker[0][name]))

    def _levels(self, side: int) -> list[float]:
        if self._followed is None:
            return []
        levels = self._followed.state.levels[side * LEVEL_SLOTS : (side + 1) * LEVEL_SLOTS]
        return [e4_to_usd(float(value)) for value in np.unique(levels.value[levels.active != 0])]


class _Followed:
    """Market and engine of one session."""

    def __init__(self, symbol: str, config: ScalpConfig, session: Session, hot: Kernel) -> None:
        params, instruments = Params(scalp=config), (Instrument(0, symbol),)
        self._market = MarketState(params, session, instruments, hot)
        schedule = schedule_for(session.date, "none")
        setup = Setup(params, symbol, session, instruments, schedule, triggers_only=True)
        self._engine = Engine(setup, self._market, hot)

    @property
    def state(self) -> State:
        """The kernel's arrays."""
        return self._market.state

    def advance(self, batch: RowBatch, known_ns: int) -> list[Decision]:
        """Fold a batch and evaluate every instant up to `known_ns`; the triggers that rose."""
        following, reason = 0, INSTANT
        while reason == INSTANT:
            following, reason = self._market.advance(batch, following, NEVER_NS, known_ns)
            if reason == INSTANT:
                self._engine.on_instant(int(self.state.tracker[0].now_ns))
        return self._engine.take_decisions()


def _trigger(symbol: str, decision: Decision) -> Trigger:
    body: dict[str, Any] = decision.body
    return Trigger(
        timestamp=moment_of(decision.ts_ns),
        symbol=symbol,
        trigger=body["trigger"],
        side=body["side"],
        price=e4_to_usd(body["price_e4"]),
        velocity_pct=body["velocity_pct"],
        confirm_velocity_pct=body["confirm_velocity_pct"],
        threshold_pct=body["threshold_pct"],
        volume_ratio=body["volume_ratio"],
        required_ratio=body["required_ratio"],
        vwap=_usd(body["vwap_e4"]),
        sigma=_usd(body["sigma_e4"]),
        level=_usd(body["level_e4"]),
        level_kind=body["level_kind"],
    )


def _usd(price_e4: float | None) -> float | None:
    """Dollars; unknown stays unknown."""
    return None if price_e4 is None or known(price_e4) is None else e4_to_usd(price_e4)


def _check_sources(config: ScalpConfig) -> None:
    for name, needed in (("price_source", "trade"), ("volume_source", "stock")):
        found = getattr(config, name)
        if found != needed:
            raise UsageError(
                f"`{name}` is `{found}`; by hand only trades of the underlying come, so it must be `{needed}`",
                hint="replay a tape to use quotes and contracts: scalpcli replay TAPE",
            )
