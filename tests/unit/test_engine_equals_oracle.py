"""The engine gives what an independent recomputation of the definitions gives, on generated and recorded days."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.market_state import MarketState
from scalpcli.model import note, row
from scalpcli.model.fees import schedule_for
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import Note
from scalpcli.model.params import Params, ScalpConfig
from scalpcli.model.row import RowBatch
from scalpcli.model.session import session_of
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.replay import trace_table
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker
from tests.oracle import algoseek, oracle, sessions, triggers

PLAIN = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
LENGTHS = pytest.mark.parametrize(
    "length",
    [
        # Shrinking a session of minutes takes minutes; the long run does it.
        pytest.param(settings(PLAIN, max_examples=60, derandomize=True, phases=[Phase.generate]), id="quick"),
        pytest.param(settings(PLAIN, max_examples=2000), id="long", marks=pytest.mark.full),
    ],
)
TRIGGERS = ("momentum_burst", "vwap_rejection", "breakout")
RISES = [f"{trigger} {side}" for trigger in TRIGGERS for side in ("call", "put")]
NEEDED = [*RISES, "interval 0", "mid", "options", "both", "profile", "gaps", "sweeps", "own thresholds"]
kernel = functools.cache(load_kernel)


class Engined(NamedTuple):
    """What the engine saw and said: trackers per instant, triggers, sweeps by side of contract and of print."""

    trackers: pl.DataFrame
    triggers: list[dict[str, Any]]
    sweeps: dict[str, int]


def run_engine(
    columns: dict[str, Any],
    day: dt.date,
    config: ScalpConfig,
    *,
    instruments: tuple[Instrument, ...],
    head: tuple[tuple[str, dict[str, Any]], ...] = (),
    until_ns: int | None = None,
) -> Engined:
    """Play rows through the compiled engine, triggers only.

    Args:
        columns: Rows in tape order.
        day: Their session.
        config: Trackers and triggers.
        instruments: By number.
        head: Kind and body of the cold rows at the tape's head.
        until_ns: Last instant wanted.
    """
    session = session_of(day)
    params = dataclasses.replace(Params(), scalp=config)
    last_ns = session.close_ns if until_ns is None else until_ns
    market_rows = {name: column[columns["ts_recv_ns"] <= last_ns] for name, column in columns.items()}
    whole = algoseek.merge(head_rows(len(head), int(columns["ts_recv_ns"][0])), market_rows)
    blocks: list[Any] = []
    market = MarketState(params, session, instruments, kernel(), blocks.append)
    setup = Setup(params, "TSLA", session, instruments, schedule_for(day, "none"), triggers_only=True)
    engine = Engine(setup, market, kernel())
    broker = SimulatedBroker(params.simulated_broker, session, engine.view, Latencies(params.simulated_broker, None))
    journal = SessionJournal(engine, day, "TSLA")
    notes = [Note(seq, int(whole["ts_recv_ns"][seq]), *body) for seq, body in enumerate(head)]

    engine.start()
    Runner(engine, market, broker, notes, journal.step).run([RowBatch.from_columns(whole)], last_ns)
    market.flush_trace()

    records = [json.loads(line) for line in journal.lines]
    sides = market.state.option_sides
    counters = (("buy", "sweeps"), ("sell", "sell_sweeps"))
    sweeps = {
        f"{right} {name}": int(side[counter])
        for right, side in zip("CP", sides, strict=True)
        for name, counter in counters
    }
    rises = [record for record in records if record["kind"] == "trigger"]
    return Engined(trace_table(blocks, market, session.open_ns), rises, sweeps)


def head_rows(count: int, ts_ns: int) -> dict[str, Any]:
    """Cold rows received before everything else."""
    columns = algoseek.empty_columns(count)
    columns["kind"][:] = row.COLD
    columns["ts_recv_ns"][:] = ts_ns
    columns["ts_event_ns"][:] = ts_ns
    return columns


def head_of(session: sessions.Session) -> tuple[tuple[str, dict[str, Any]], ...]:
    """What a generated session knows of earlier ones, as cold rows say it."""
    head: list[tuple[str, dict[str, Any]]] = []
    if session.previous is not None:
        names = ("high_e4", "low_e4", "close_e4")
        head.append((note.PREVIOUS_LEVELS, dict(zip(names, session.previous, strict=True))))
    if session.profile is not None:
        head.append((note.VOLUME_PROFILE, {"volumes": [list(volumes) for volumes in session.profile]}))
    return tuple(head)


def assert_same_trackers(got: pl.DataFrame, want: pl.DataFrame) -> None:
    """Unknown together; velocities and ratios to 1e-9, prices, VWAP and sigma to 1e-9 relative."""
    assert got["ts_ns"].equals(want["ts_ns"])
    assert set(got.columns) == set(want.columns)
    for name in want.columns[1:]:
        assert got[name].is_null().equals(want[name].is_null()), name
        is_relative = name in ("price", "vwap", "sigma", "session_high", "session_low")
        tolerance = {"rtol": 1e-9, "atol": 1e-12} if is_relative else {"rtol": 0.0, "atol": 1e-9}
        ours, theirs = (frame[name].fill_null(0.0).to_numpy() for frame in (got, want))
        np.testing.assert_allclose(ours, theirs, err_msg=name, **tolerance)


def assert_same_triggers(got: list[dict[str, Any]], want: list[triggers.Rise]) -> None:
    """The same triggers at the same instants in the same order, each with the numbers it saw."""
    assert [(each["ts_ns"], each["trigger"], each["side"]) for each in got] == [rise[:3] for rise in want]
    for ours, rise in zip(got, want, strict=True):
        if rise.trigger == "momentum_burst":
            assert ours["velocity_pct"] == pytest.approx(rise.value, abs=1e-9)
        elif rise.trigger == "vwap_rejection":
            assert ours["price_e4"] / 1e4 == pytest.approx(rise.value, rel=1e-9)
            assert ours["vwap_e4"] / 1e4 == pytest.approx(rise.reference, rel=1e-9)
        else:
            assert ours["level_e4"] / 1e4 == pytest.approx(rise.value, rel=1e-9)
            # The recomputation does not tell the close from the other levels of the day before.
            assert ours["level_kind"].removesuffix("_close") == rise.reference


@LENGTHS
def test_engine_equals_the_recomputation_on_generated_sessions(length: settings) -> None:
    """Options, gaps, halts, late prints, profiles, every interval and source: same trackers, triggers and sweeps."""
    seen: Counter[str] = Counter()

    @length
    @given(
        seed=st.integers(0, 2**32 - 1),
        minutes=st.sampled_from([12, 20]),
        features=st.sets(st.sampled_from(sessions.FEATURES)),
        config=sessions.configs(),
    )
    def is_equal(seed: int, minutes: int, features: set[str], config: ScalpConfig) -> None:
        session = sessions.generate_session(seed, minutes=minutes, features=sorted(features))
        compare(session, config, seen)

    for seed in (1, 4, 6):
        compare(sessions.generate_session(seed), sessions.LIVELY, seen)
    compare(sessions.generate_session(2, minutes=60), sessions.LIVELY, seen)
    slow = dataclasses.replace(sessions.LIVELY, eval_interval_ms=5000)
    compare(sessions.generate_session(3, minutes=12, to_close=True), slow, seen)
    is_equal()

    print(dict(seen))
    scarce = [name for name in NEEDED if seen[name] < 3]
    assert not scarce, f"too few of {scarce}: {dict(seen)}"
    assert sum(seen[name] for name in RISES) >= 100


def compare(session: sessions.Session, config: ScalpConfig, seen: Counter[str]) -> None:
    """Hold the engine against the recomputation, and note what was put to the test."""
    want = oracle.recompute(
        session.columns, session.open_ns, session.close_ns, config, previous=session.previous,
        profile=session.profile, rights=session.rights, until_ns=session.until_ns,
    )  # fmt: skip
    got = run_engine(
        session.columns, sessions.DAY, config, instruments=session.instruments, head=head_of(session),
        until_ns=session.until_ns,
    )  # fmt: skip

    assert_same_trackers(got.trackers, want.trackers)
    assert_same_triggers(got.triggers, want.triggers)
    swept = Counter(f"{session.rights[each.instrument_id]} {each.side}" for each in want.sweeps)
    assert got.sweeps == {name: swept[name] for name in got.sweeps}
    count(seen, session, config, want)


@LENGTHS
def test_engine_equals_the_recomputation_on_the_bounds(length: settings) -> None:
    """Prints on whole seconds and few prices, windows of seconds: ages, runs, touches and buffers meet their bounds."""
    seen: Counter[str] = Counter()

    @settings(length, max_examples=2 * length.max_examples)
    @given(seed=st.integers(0, 2**32 - 1))
    def is_equal(seed: int) -> None:
        compare(coarse_session(seed), coarse_config(seed), seen)

    is_equal()

    print(dict(seen))
    assert all(seen[name] >= 20 for name in RISES), dict(seen)


def coarse_session(seed: int) -> sessions.Session:
    """Twelve minutes of prints on whole seconds at few prices, with silences and ties."""
    rng = np.random.default_rng(seed)
    second, price, steps = 0, 4_000_000, np.array([-1200, -600, -300, 0, 0, 300, 600, 1200])
    rows: list[tuple[int, int, int]] = []
    while second < 720:
        back = 0.08 * (4_000_000 - price)
        price += int(rng.choice(steps)) + round(back / 300) * 300
        rows += [(second, price, int(rng.integers(1, 4)))] * int(rng.choice([1, 1, 1, 2]))
        second += int(rng.choice([1, 1, 1, 1, 1, 2, 3, 5, 6, 11]))
    columns = algoseek.empty_columns(len(rows))
    open_ns, close_ns = algoseek.session_times(sessions.DAY)
    columns["kind"][:] = row.STOCK_TRADE
    columns["flags"][:] = row.LAST | row.RANGE | row.VWAP | row.VOLUME
    columns["price_e4"][:] = [price for _, price, _ in rows]
    columns["size"][:] = [size for _, _, size in rows]
    for clock in ("ts_recv_ns", "ts_event_ns"):
        columns[clock][:] = [open_ns + second * sessions.S for second, _, _ in rows]
    listed = (Instrument(row.UNDERLYING_ID, sessions.SYMBOL),)
    return sessions.Session(columns, open_ns, close_ns, open_ns + 720 * sessions.S, listed, None, None)


def coarse_config(seed: int) -> ScalpConfig:
    """Windows of a few whole seconds."""
    rng = np.random.default_rng([seed, 1])

    def pick(*options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    return ScalpConfig(
        eval_interval_ms=pick(1000, 1000, 0, 500),
        momentum_threshold_pct=pick(0.03, 0.06),
        momentum_window_seconds=5,
        momentum_confirm_window_seconds=pick(2, 3),
        momentum_rearm_ratio=pick(0.6, 0.0, 1.0),
        velocity_windows_seconds=(1, 2, 5),
        volume_spike_ratio=pick(0.0, 1.0),
        vwap_volume_ratio=pick(0.0, 1.0),
        volume_confirm_window_s=5,
        volume_baseline_min_s=pick(0, 10, 30),
        vwap_far_s=pick(0, 1, 2),
        vwap_far_sigma=pick(0.2, 0.5),
        vwap_tolerance_pct=pick(0.03, 0.01),
        vwap_touch_s=pick(1, 2, 3),
        vwap_bounce_tolerance_ratio=pick(1.0, 2.0),
        vwap_first_minutes=pick(0, 1),
        level_rearm_s=pick(0, 1, 2, 3),
        level_min_age_s=pick(0, 3, 5, 20),
        level_merge_pct=pick(0.0075, 0.015, 0.03),
        level_min_touches=pick(1, 2),
        opening_range_minutes=1,
        breakout_hold_ms=pick(0, 1000, 2000),
        breakout_confirm_s=pick(0, 1, 2, 3),
    )


def count(seen: Counter[str], session: sessions.Session, config: ScalpConfig, result: oracle.Recomputed) -> None:
    """Note what a session and its settings put to the test."""
    seen["sessions"] += 1
    seen["instants"] += result.trackers.height
    seen["sweeps"] += len(result.sweeps)
    seen["gaps"] += int((session.columns["kind"] == row.GAP).any())
    seen["profile"] += session.profile is not None
    seen["interval 0"] += config.eval_interval_ms == 0
    seen["own thresholds"] += config.momentum_threshold_call_pct > 0 or config.momentum_threshold_put_pct > 0
    seen.update([config.price_source, config.volume_source])
    seen.update(f"{rise.trigger} {rise.side}" for rise in result.triggers)


@pytest.mark.parametrize("mode", ["confirmed", "unconfirmed"])
def test_engine_equals_the_recomputation_on_a_recorded_day(shared: Path, mode: str) -> None:
    """IBM 2013-10-08, tick for tick, with volume confirmation and without."""
    day = dt.date(2013, 10, 8)
    columns = algoseek.read_ticks(shared / "data" / "equity_ticks_2013" / "ibm_20131008_trades.parquet")
    needed = {} if mode == "confirmed" else {"volume_spike_ratio": 0.0, "vwap_volume_ratio": 0.0}
    config = ScalpConfig(momentum_threshold_pct=0.1, **needed)

    want = oracle.recompute(columns, *algoseek.session_times(day), config)
    got = run_engine(columns, day, config, instruments=(Instrument(0, "IBM"),))

    assert_same_trackers(got.trackers, want.trackers)
    assert_same_triggers(got.triggers, want.triggers)
    assert len(want.triggers) >= 10
