"""Generated sessions: lively, dirty and repeatable; and the recomputation never looks ahead on them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from scalpcli.model import row
from scalpcli.model.params import ScalpConfig
from tests.oracle import lattice, levels, oracle, sessions

GENERATED = [sessions.generate_session(seed) for seed in range(20)]


def recompute(session: sessions.Session, config: ScalpConfig, **more: Any) -> oracle.Recomputed:
    """Everything of a generated session."""
    fields = {
        "columns": session.columns, "open_ns": session.open_ns, "close_ns": session.close_ns,
        "previous": session.previous, "profile": session.profile, "rights": session.rights,
        "until_ns": session.until_ns,
    }  # fmt: skip
    return oracle.recompute(params=config, **(fields | more))


def test_generated_sessions_are_lively() -> None:
    """Property tests mean something only where every trigger of both sides and sweeps do happen."""
    results = [recompute(session, sessions.LIVELY) for session in GENERATED]

    counts = Counter((rise.trigger, rise.side) for result in results for rise in result.triggers)
    named = Counter(str(rise.reference) for result in results for rise in result.triggers if rise.trigger == "breakout")
    swept_sides = Counter(sweep.side for result in results for sweep in result.sweeps)
    summary = f"{dict(counts)} {dict(named)} {dict(swept_sides)}"
    for side in ("call", "put"):
        assert counts["momentum_burst", side] >= 60, summary
        assert counts["breakout", side] >= 60, summary
        assert counts["vwap_rejection", side] >= 12, summary
    assert all(named[kind] >= 5 for kind in levels.KINDS), summary
    assert min(swept_sides["buy"], swept_sides["sell"]) >= 100, summary


def test_generated_sessions_hold_every_kind_of_dirt() -> None:
    """Gaps known while open and afterwards, halts, late and unknown prints, ties, and receive times that never fall."""
    joined = {name: np.concatenate([each.columns[name] for each in GENERATED]) for name in row.COLUMNS}

    kinds = Counter(joined["kind"].tolist())
    flags = {bit: int(((joined["flags"] & bit != 0) & (joined["kind"] != row.GAP)).sum()) for bit in row.FLAG_NAMES}
    gaps = Counter(joined["flags"][joined["kind"] == row.GAP].tolist())
    assert set(kinds) == set(row.KIND_NAMES) - {row.COLD}
    assert set(gaps) == {row.GAP_BEGIN, row.GAP_END, row.GAP_BEGIN | row.GAP_END}
    assert all(flags[bit] >= 20 for bit in (row.BACKFILLED, row.UNKNOWN_CONDITION, row.MULTI_LEG, row.HALT_END))
    for session in GENERATED:
        steps = np.diff(session.columns["ts_recv_ns"])
        assert steps.min() >= 0
        assert (steps == 0).sum() >= 100
        assert session.columns["price_e4"][session.columns["kind"] == row.STOCK_TRADE].min() > 0


def test_generated_session_is_a_function_of_its_seed() -> None:
    """The same seed gives the same rows, another seed others."""
    again, other = sessions.generate_session(3), sessions.generate_session(4)

    assert all(np.array_equal(again.columns[name], GENERATED[3].columns[name]) for name in row.COLUMNS)
    assert not np.array_equal(again.columns["ts_recv_ns"], other.columns["ts_recv_ns"])


def test_generated_session_may_reach_the_close() -> None:
    """Prints stand before, at and after the close; the close is the last instant and sees the one at it."""
    session = sessions.generate_session(5, minutes=5, features=(), to_close=True)
    is_trade = session.columns["kind"] == row.STOCK_TRADE
    around = session.columns["ts_recv_ns"][is_trade] - session.close_ns

    result = recompute(session, ScalpConfig(eval_interval_ms=1000))

    assert {-1, 0, 1} == set(np.sign(around).tolist())
    assert result.trackers["ts_ns"][-1] == session.close_ns
    assert result.trackers["price"][-1] == session.columns["price_e4"][is_trade][around == 0][-1] / 10_000


def test_lattice_sessions_run_the_machines_often() -> None:
    """Under short settings every machine comes back to its bounds many times, and swings are pushed out."""
    config = ScalpConfig(
        eval_interval_ms=1000, momentum_threshold_pct=0.1, momentum_window_seconds=5, volume_spike_ratio=0.0,
        vwap_volume_ratio=0.0, vwap_far_s=2, vwap_touch_s=5, vwap_far_sigma=0.2, vwap_first_minutes=1,
        level_merge_pct=0.0, level_min_touches=1, level_rearm_s=2,
    )  # fmt: skip

    results = [recompute(lattice.lattice_session(seed), config) for seed in range(5)]

    counts = Counter((rise.trigger, rise.side) for result in results for rise in result.triggers)
    for side in ("call", "put"):
        assert counts["momentum_burst", side] >= 200, counts
        assert counts["breakout", side] >= 50, counts
        assert counts["vwap_rejection", side] >= 10, counts


def assert_no_lookahead(session: sessions.Session, config: ScalpConfig, share: float) -> None:
    """Rows after an instant are cut off; everything up to it stays as it was."""
    cut_ns = session.open_ns + int(share * (session.until_ns - session.open_ns))
    kept = session.columns["ts_recv_ns"] <= cut_ns
    past = {name: column[kept] for name, column in session.columns.items()}

    whole = recompute(session, config)
    short = recompute(session, config, columns=past, until_ns=cut_ns)

    assert short.trackers.equals(whole.trackers.filter(pl.col("ts_ns") <= cut_ns))
    assert short.triggers == [rise for rise in whole.triggers if rise.ts_ns <= cut_ns]
    assert short.sweeps == [sweep for sweep in whole.sweeps if sweep.ts_ns <= cut_ns]


@settings(max_examples=15, deadline=None)
@given(session=sessions.sessions(minutes=(8, 12)), config=sessions.configs(), share=st.floats(0.1, 0.9))
def test_the_future_changes_nothing(session: sessions.Session, config: ScalpConfig, share: float) -> None:
    """What was told later, a gap or a late print, never changes an earlier answer."""
    assert_no_lookahead(session, config, share)


@settings(max_examples=10, deadline=None)
@given(session=lattice.lattice_sessions(minutes=20), config=lattice.short_configs(), share=st.floats(0.1, 0.9))
def test_the_future_changes_no_state_machine(session: sessions.Session, config: ScalpConfig, share: float) -> None:
    """The same on sessions that run the machines through all their states."""
    assert_no_lookahead(session, config, share)
