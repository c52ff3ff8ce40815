"""Views over the engine: what the readable classes say by hand, the engine says of the same rows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hand_rows import (
    ALL,
    CALL_SYMBOL,
    KERNELS,
    MS,
    OTHER_SYMBOL,
    SESSION,
    after,
    batch,
    instants,
    kernel,
    moment,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.market import Tick, stock_ticks
from oracle.oracle import recompute

from scalpcli import PriceVelocityTracker, ScalpConfig, TechnicalScalper, VolumeAnalyzer
from scalpcli.core.engine import Engine, Setup
from scalpcli.core.layout import CALL, INSTANT, LEVEL_SLOTS, NEVER_NS, PUT
from scalpcli.core.market_state import MarketState
from scalpcli.core.signals import known
from scalpcli.model.fees import schedule_for
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params
from scalpcli.model.row import COLUMNS, LAST, OPTION_QUOTE, OPTION_TRADE, STOCK_TRADE, VOLUME

WINDOWS = (5, 15, 30, 60)
CHECKS = ("check_momentum_burst", "check_vwap_rejection", "check_breakout")
QUICK = ScalpConfig(
    eval_interval_ms=500,
    momentum_threshold_pct=0.3,
    volume_spike_ratio=1.2,
    volume_baseline_min_s=60,
    opening_range_minutes=2,
    level_min_age_s=120,
    vwap_first_minutes=3,
)
"""Thresholds at which a quarter of an hour of scripted market shows every trigger."""

PRICE_GAPS_MS = st.sampled_from((0, 0, 1, 40, 200, 700, 1000, 4000, 9000, 31_000, 61_000))
STEPS_E4 = st.integers(-30_000, 30_000)


@pytest.mark.parametrize("hot", KERNELS)
@settings(deadline=None, max_examples=25)
@given(moves=st.lists(st.tuples(PRICE_GAPS_MS, STEPS_E4), min_size=1, max_size=60))
def test_velocities_are_the_engines(hot, moves):
    """At every instant of a random session, for every window, the same number or the same unknown."""
    at_ms, price, rows = 0, 4_000_000, []
    for gap_ms, step in moves:
        at_ms += gap_ms
        price += step
        rows.append({"at_ms": at_ms, "kind": STOCK_TRADE, "price_e4": price, "size": 1, "flags": ALL})
    params = Params(scalp=ScalpConfig(eval_interval_ms=1000))
    market = MarketState(params, SESSION, (Instrument(0, "TSLA"),), kernel(hot))
    fed = PriceVelocityTracker("TSLA", hot=kernel(hot))
    waiting = list(rows)

    for instant in instants(market, batch(rows), SESSION.open_ns + (at_ms + 2000) * MS):
        t_ns = int(instant.instant_ns)
        while waiting and SESSION.open_ns + waiting[0]["at_ms"] * MS <= t_ns:
            row = waiting.pop(0)
            fed.add_price(row["price_e4"] / 1e4, moment(SESSION.open_ns + row["at_ms"] * MS))
        engine = {w: float(market.state.windows[market.windows_s.index(w)].velocity_pct) for w in WINDOWS}
        by_hand = {w: fed.get_velocity(w, moment(t_ns)).change_pct for w in WINDOWS}

        assert by_hand == {w: None if math.isnan(value) else value for w, value in engine.items()}


CONTRACTS = (Instrument(0, "TSLA"), Instrument(1, CALL_SYMBOL, right="C"), Instrument(2, OTHER_SYMBOL, right="P"))
SYMBOLS = {1: CALL_SYMBOL, 2: OTHER_SYMBOL}
PRINT_GAPS_MS = st.sampled_from((0, 0, 1, 200, 1000, 5000, 20_000))


@pytest.mark.parametrize("hot", KERNELS)
@settings(deadline=None, max_examples=20)
@given(prints=st.lists(st.tuples(PRINT_GAPS_MS, st.sampled_from((1, 2)), st.integers(0, 500)), min_size=1, max_size=50))
def test_ratios_are_the_engines(hot, prints):
    """With one contract a side, the ratio of the side is the ratio of the contract, at every instant."""
    at_ms, rows = 0, []
    for gap_ms, contract, size in prints:
        at_ms += gap_ms
        fields = {"kind": OPTION_TRADE, "instrument_id": contract, "price_e4": 20_000, "flags": LAST | VOLUME}
        rows.append({"at_ms": at_ms, "size": size} | fields)
    config = ScalpConfig(
        eval_interval_ms=1000, volume_source="options", volume_confirm_window_s=15, volume_baseline_min_s=20
    )
    market = MarketState(Params(scalp=config), SESSION, CONTRACTS, kernel(hot))
    fed = VolumeAnalyzer(config, SESSION, hot=kernel(hot))
    waiting, until_ns = list(rows), SESSION.open_ns + (at_ms + 40_000) * MS

    for instant in instants(market, batch(rows), until_ns):
        t_ns = int(instant.instant_ns)
        while waiting and SESSION.open_ns + waiting[0]["at_ms"] * MS <= t_ns:
            row = waiting.pop(0)
            fed.add_trade(SYMBOLS[row["instrument_id"]], row["size"], after(row["at_ms"] / 1000), 2.0)
        engine = [float(side.ratio) for side in market.state.option_sides]
        by_hand = [fed.get_volume_ratio(contract, 0.25, moment(t_ns)) for contract in SYMBOLS.values()]

        assert by_hand == [None if math.isnan(ratio) else ratio for ratio in engine]


SWEEP_ROWS = st.lists(
    st.tuples(
        st.sampled_from((0, 5, 30, 50, 51)),
        st.sampled_from((1, 2)),
        st.sampled_from(("trade", "trade", "trade", "quote")),
        st.integers(0, 8),
        st.sampled_from((5, 40, 60, 100)),
        st.integers(0, 4),
    ),
    min_size=4,
    max_size=40,
)


@pytest.mark.parametrize("hot", KERNELS)
@settings(deadline=None, max_examples=40)
@given(events=SWEEP_ROWS)
def test_sweeps_are_the_engines(hot, events):
    """Row by row, the same contract, side and moment."""
    config = ScalpConfig(volume_source="options")
    market = MarketState(Params(scalp=config), SESSION, CONTRACTS, kernel(hot))
    fed = VolumeAnalyzer(config, hot=kernel(hot))
    at_ms, counts = 1000, {1: (0, 0), 2: (0, 0)}

    for gap_ms, contract, kind, ticks, size, exchange in events:
        at_ms += gap_ms
        bid_e4, at = 20_000 + 500 * ticks, after(at_ms / 1000)
        row = {"at_ms": at_ms, "instrument_id": contract, "price_e4": bid_e4, "size": size}
        if kind == "quote":
            row |= {"kind": OPTION_QUOTE, "ask_e4": bid_e4 + 1000}
            fed.add_quote(SYMBOLS[contract], bid_e4 / 1e4, (bid_e4 + 1000) / 1e4, at)
        else:
            row |= {"kind": OPTION_TRADE, "flags": LAST | VOLUME, "exchange": exchange}
            fed.add_trade(SYMBOLS[contract], size, at, bid_e4 / 1e4, exchange=str(exchange) if exchange else "")
        list(instants(market, batch([row]), SESSION.open_ns + at_ms * MS - 1))
        before, side = counts[contract], market.state.option_sides[contract - 1]
        counts[contract] = (int(side.sweeps), int(side.sell_sweeps))
        sweep = fed.detect_sweep()

        raised = {(1, 0): "buy", (0, 1): "sell"}.get((counts[contract][0] - before[0], counts[contract][1] - before[1]))
        told = None if sweep is None else (sweep.contract, sweep.side, sweep.timestamp)
        assert told == (None if raised is None else (SYMBOLS[contract], raised, at))


MINUTES = 15


@lru_cache(maxsize=4)
def script(seed: int) -> list[Tick]:
    """A quarter of an hour of bursts, rejections and breakouts."""
    return stock_ticks(np.random.default_rng(seed), MINUTES * 60)


def rows_of(ticks: list[Tick]) -> list[dict[str, int]]:
    return [
        {"at_ms": tick.at_ms, "kind": STOCK_TRADE, "price_e4": tick.price, "size": tick.size, "flags": ALL}
        for tick in ticks
    ]


END_NS = SESSION.open_ns + MINUTES * 60 * 1000 * MS


@pytest.mark.parametrize(
    ("hot", "seed"), [("interpreted", 12), ("compiled", 1), ("compiled", 2), ("compiled", 5), ("compiled", 12)]
)
def test_triggers_are_the_engines(hot, seed):
    """Fed trade by trade and asked now and then: the triggers of one batch, with the numbers they saw."""
    params, instruments = Params(scalp=QUICK), (Instrument(0, "TSLA"),)
    market = MarketState(params, SESSION, instruments, kernel(hot))
    setup = Setup(params, "TSLA", SESSION, instruments, schedule_for(SESSION.date, "none"), triggers_only=True)
    engine = Engine(setup, market, kernel(hot))
    rows, following, reason = batch(rows_of(script(seed))), 0, INSTANT
    while reason == INSTANT:
        following, reason = market.advance(rows, following, NEVER_NS, END_NS)
        if reason == INSTANT:
            engine.on_instant(int(market.state.tracker[0].now_ns))
    decisions = [each for each in engine.take_decisions() if each.kind == "trigger"]

    scalper, told = TechnicalScalper("TSLA", config=QUICK, hot=kernel(hot)), []
    for number, tick in enumerate(script(seed)):
        scalper.update(tick.price / 1e4, tick.size, after(tick.at_ms / 1000))
        if number % 7 == 0:
            told += [getattr(scalper, check)() for check in CHECKS]
    told += [getattr(scalper, check)(moment(END_NS)) for check in CHECKS * 3]

    by_hand = [
        (each.timestamp, each.trigger, each.side, each.price, each.velocity_pct, each.volume_ratio, each.vwap,
         each.sigma, each.level, each.level_kind)
        for each in told if each is not None
    ]  # fmt: skip
    engines = [
        (moment(each.ts_ns), each.body["trigger"], each.body["side"], each.body["price_e4"] / 1e4,
         each.body["velocity_pct"], each.body["volume_ratio"], each.body["vwap_e4"] / 1e4,
         each.body["sigma_e4"] / 1e4, each.body["level_e4"] and each.body["level_e4"] / 1e4, each.body["level_kind"])
        for each in decisions
    ]  # fmt: skip
    assert len(by_hand) >= 5
    assert sorted(by_hand, key=lambda each: each[:3]) == sorted(engines, key=lambda each: each[:3])


def test_triggers_are_those_of_the_definitions():
    """A recomputation that shares no code with the engine finds the same."""
    rows = batch(rows_of(script(14)))._asdict()
    columns = {name: rows.get(name, np.zeros(len(rows["size"]), kind)) for name, kind in COLUMNS.items()}
    expected = recompute(columns, SESSION.open_ns, SESSION.close_ns, QUICK, until_ns=END_NS).triggers

    scalper, told = TechnicalScalper("TSLA", config=QUICK, hot=kernel("compiled")), []
    for tick in script(14):
        scalper.update(tick.price / 1e4, tick.size, after(tick.at_ms / 1000))
    for check in CHECKS:
        while (trigger := getattr(scalper, check)(moment(END_NS))) is not None:
            told.append(trigger)

    by_hand = [(each.timestamp, each.trigger, each.side) for each in told]
    assert {trigger for _, trigger, _ in by_hand} == {"momentum_burst", "vwap_rejection", "breakout"}
    assert sorted(by_hand) == sorted((moment(each.ts_ns), each.trigger, each.side) for each in expected)


@pytest.mark.parametrize(("hot", "minutes"), [("interpreted", 4), ("compiled", MINUTES)])
def test_what_can_be_read_is_what_the_engine_saw(hot, minutes):
    """Every ten seconds: bands, extremes, velocity, ratio, and the levels."""
    market = MarketState(Params(scalp=QUICK), SESSION, (Instrument(0, "TSLA"),), kernel(hot))
    scalper = TechnicalScalper("TSLA", config=QUICK, hot=kernel(hot))
    waiting, compared = list(script(1)), 0

    for instant in instants(market, batch(rows_of(script(1))), SESSION.open_ns + minutes * 60_000 * MS):
        t_ns = int(instant.instant_ns)
        if (t_ns - SESSION.open_ns) % (10_000 * MS):
            continue
        while waiting and SESSION.open_ns + waiting[0].at_ms * MS <= t_ns:
            tick = waiting.pop(0)
            scalper.update(tick.price / 1e4, tick.size, after(tick.at_ms / 1000))
        scalper.check_breakout(moment(t_ns))
        by_hand = (
            [scalper.vwap, scalper.sigma, scalper.session_high, scalper.session_low],
            [scalper.velocity_tracker.get_velocity(window, moment(t_ns)).change_pct for window in WINDOWS],
            scalper.volume_analyzer.get_volume_ratio("TSLA", 0.5, moment(t_ns)),
            (scalper.resistance_levels, scalper.support_levels),
        )

        windows = [market.state.windows[market.windows_s.index(window)] for window in WINDOWS]
        dollars = [instant.vwap / 1e4, instant.sigma / 1e4, instant.session_high / 1e4, instant.session_low / 1e4]
        assert by_hand == (
            dollars,
            [known(float(window.velocity_pct)) for window in windows],
            known(float(instant.stock_ratio)),
            tuple(active_levels(market, side) for side in (CALL, PUT)),
        )
        compared += len(scalper.resistance_levels)
    assert compared > 10


def active_levels(market: MarketState, side: int) -> list[float]:
    levels = market.state.levels[side * LEVEL_SLOTS : (side + 1) * LEVEL_SLOTS]
    return sorted({float(level.value) / 1e4 for level in levels if level.active})
