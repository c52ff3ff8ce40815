"""The synthetic session as a whole: reproducible, exact in number, in order, and full of what engines act on."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_market import FRIDAY, OPTION_KINDS, STOCK_KINDS, S, day, hour, make, moves_pct, rises, volume_ratios

from scalpcli.errors import DataError, UsageError
from scalpcli.model import row
from scalpcli.model.params import TapeParams
from scalpcli.runtime.synthetic import plan_session, write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from scalpcli.runtime.tape import Tape

SMALL = SyntheticSpec(FRIDAY, rows=20_000, contracts=8, minutes=20, seed=5, bursts=4)


def digest(root: Path, spec: SyntheticSpec, **more: Any) -> str:
    """Digest of the decoded rows of a spec's tape."""
    return Tape.open(write_synthetic(root, spec, **more)).manifest.rows_digest


def changed(**values: Any) -> SyntheticSpec:
    """`SMALL` with other arguments."""
    return SyntheticSpec(**{**{name: getattr(SMALL, name) for name in SMALL.__slots__}, **values})


def test_equal_arguments_make_the_same_rows_whatever_the_row_groups(tmp_path):
    """Nothing but the arguments enters: no clock, no place, no size of memory."""
    first = digest(tmp_path / "a", SMALL)

    second = digest(tmp_path / "b", SMALL, params=TapeParams(row_group_rows=4_096, compression_level=1))

    assert first == second


@pytest.mark.parametrize(
    "other",
    [{"seed": 6}, {"date": dt.date(2026, 11, 23)}, {"symbol": "NVDA"}, {"spot": 250.0}, {"volatility": 0.8}],
    ids=lambda other: next(iter(other)),
)
def test_another_argument_makes_other_rows(other):
    """Each argument of the market reaches the prices."""
    plain, made = make(**arguments(SMALL)), make(**arguments(changed(**other)))

    assert not np.array_equal(plain.kind(row.STOCK_TRADE)["price_e4"], made.kind(row.STOCK_TRADE)["price_e4"])


def arguments(spec: SyntheticSpec) -> dict[str, Any]:
    """A spec as keywords."""
    return {name: getattr(spec, name) for name in spec.__slots__}


@pytest.mark.parametrize(
    "spec",
    [
        {"rows": 1_000, "contracts": 2},
        {"rows": 12_345, "contracts": 7, "minutes": 11},
        {"rows": 20_001, "contracts": 0, "minutes": 30},
        {"rows": 30_000, "contracts": 20, "next_expiry": 6, "minutes": 60, "halt": True, "gap": True, "outage": True},
    ],
    ids=["tiny", "odd", "stock only", "with events"],
)
def test_the_tape_has_exactly_the_rows_asked_for(spec):
    """Halts and gaps move rows elsewhere and never cost any."""
    made = make(**spec)

    assert len(made.columns["kind"]) == spec["rows"]


def test_rows_are_received_in_order_and_after_they_happened():
    """The tape's first law, and both clocks."""
    columns = day().columns
    dense = hour(minutes=10, rows=400_000).columns

    assert (np.diff(columns["ts_recv_ns"]) >= 0).all()
    assert (np.diff(dense["ts_recv_ns"]) >= 0).all()
    assert (columns["ts_event_ns"] <= columns["ts_recv_ns"]).all()
    late_s = (columns["ts_recv_ns"] - columns["ts_event_ns"]) / S
    assert 0.001 < np.median(late_s) < 0.02


def test_channels_share_the_rows_as_in_life():
    """One stock trade to two stock quotes, half an option trade and six option quotes."""
    kinds = day().columns["kind"]

    shares = [np.mean(kinds == kind) for kind in (*STOCK_KINDS, *OPTION_KINDS)]

    assert shares == pytest.approx([0.10, 0.20, 0.05, 0.65], abs=0.001)


def test_volume_is_high_at_the_open_and_the_close():
    """The U of the day: half an hour at either end trades more than one in the middle."""
    made = day(bursts=0)
    trades = made.kind(row.STOCK_TRADE)
    minute = (trades["ts_recv_ns"] - made.open_ns) // (60 * S)
    shares = np.bincount(np.clip(minute, 0, 389), weights=trades["size"], minlength=390)

    opening, midday, closing = shares[1:31].sum(), shares[180:210].sum(), shares[359:389].sum()

    assert opening > 1.8 * midday
    assert closing > 1.3 * midday


def test_a_session_holds_confirmed_bursts_on_both_sides_all_day():
    """Recounted from prints: half a percent in 30 s on twice the session's volume; some too late to enter."""
    made = day()
    seconds, move = moves_pct(made)
    ratio = np.where(seconds >= 300, volume_ratios(made, seconds), 0.0)

    calls, puts = (rises(move, ratio, side) for side in (1, -1))

    assert len(calls) + len(puts) >= 15
    assert min(len(calls), len(puts)) >= 5
    at = np.sort(seconds[np.concatenate([calls, puts])])
    assert (at > 19_800).any()
    assert ((np.diff(at) > 15) & (np.diff(at) < 60)).any()


def test_planted_bursts_carry_several_times_the_volume():
    """Three to seven times the session before, over the half minute that ends with the burst."""
    made = day()
    ends = np.array([burst.end_s + 5 - 300 for burst in made.plan.bursts if burst.start_s > 2_100])

    ratio = volume_ratios(made, ends)

    assert 3.0 < np.median(ratio) < 7.0


def test_bursts_go_on_stall_and_revert():
    """Targets, time exits and stops all need their kind of burst."""
    outcomes = {burst.outcome for seed in range(3) for burst in plan_session(SyntheticSpec(FRIDAY, seed=seed)).bursts}

    assert outcomes == {"on", "stall", "revert"}


@pytest.mark.parametrize("seed", range(6))
def test_every_seed_plants_bursts_that_reach_the_threshold(seed):
    """The wall that keeps the price near its strikes must not swallow a burst."""
    plan = plan_session(SyntheticSpec(FRIDAY, contracts=20, seed=seed))
    mid = plan.market.mid_e4[::10]

    moves = [abs(mid[burst.end_s] / mid[burst.start_s] - 1.0) * 100.0 for burst in plan.bursts]

    assert len(moves) == 26
    assert np.mean(np.array(moves) > 0.5) > 0.9


def test_without_bursts_the_market_is_noise():
    """`bursts=0` leaves diffusion and jumps: hardly ever half a percent in 30 s."""
    made = day(bursts=0)

    _, move = moves_pct(made)

    assert made.plan.bursts == ()
    assert np.mean(np.abs(move) > 0.5) < 0.001


def test_bursts_asked_for_are_planted_and_keep_apart():
    """Also when they are many: a short example needs them dense."""
    plan = plan_session(SyntheticSpec(FRIDAY, minutes=60, bursts=30, contracts=20))

    starts = [burst.start_s for burst in plan.bursts]

    assert len(starts) == 30
    assert min(np.diff(starts)) > 5


def test_minutes_cut_the_session_short():
    """All rows lie in the first minutes; the calendar's close stays where it is."""
    made = hour(minutes=15, rows=5_000)

    last_s = (made.columns["ts_event_ns"].max() - made.open_ns) / S

    assert 890 < last_s <= 900.5
    assert made.plan.frame.session_s == 23_400


def test_an_early_close_ends_the_tape_at_one(tmp_path):
    """The day after Thanksgiving closes at 13:00 and lists contracts of the day."""
    spec = changed(date=dt.date(2026, 11, 27), minutes=None, bursts=None)

    tape = Tape.open(write_synthetic(tmp_path, spec))

    last_ns = max(int(batch["ts_event_ns"].max()) for batch in tape.batches())
    assert tape.session.is_early_close
    assert 0 <= tape.session.close_ns - last_ns < S
    assert {one.expiry for one in tape.instruments if one.is_option} == {dt.date(2026, 11, 27)}


def test_the_manifest_says_that_the_market_is_made_up(tmp_path):
    """Whoever finds the tape can tell, and can make it again."""
    tape = Tape.open(write_synthetic(tmp_path, SMALL))

    manifest = tape.manifest

    assert manifest.synthetic
    assert manifest.feeds == {"stock": "synthetic", "options": "synthetic"}
    assert manifest.source["arguments"] == {**arguments(SMALL), "date": "2026-11-20"}
    assert manifest.rows == SMALL.rows


def test_a_row_takes_less_than_twenty_bytes(tmp_path):
    """Stamps in whole microseconds and packets that share one keep the file small."""
    spec = SyntheticSpec(FRIDAY, rows=150_000, contracts=40, minutes=30)

    folder = write_synthetic(tmp_path, spec)

    assert (folder / "rows.parquet").stat().st_size <= 20 * spec.rows


def test_an_existing_tape_is_kept_unless_told(tmp_path):
    """Synthetic data must not take the place of a recording by accident."""
    digest(tmp_path, SMALL)

    with pytest.raises(DataError, match="exists already"):
        write_synthetic(tmp_path, changed(seed=9))

    assert digest(tmp_path, changed(seed=9), overwrite=True) == digest(tmp_path / "other", changed(seed=9))


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"rows": 999}, "`--rows` is 999, below its limit: 1000"),
        ({"contracts": -2}, "`--contracts` is -2, below its limit: 0"),
        ({"minutes": 5}, "`--minutes` is 5, below its limit: 10"),
        ({"minutes": 391}, "`--minutes` is 391, above its limit: 390"),
        ({"bursts": 27}, "`--bursts` is 27, above its limit: 26"),
        ({"spot": float("nan")}, "`--spot` is nan, not a number"),
        ({"symbol": "tsla"}, "`--symbol tsla` is not the symbol of a stock with options"),
        ({"contracts": 0, "next_expiry": 4}, "`--next-expiry` is 4 without contracts of the first expiry"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_arguments_that_cannot_be_meant_are_refused(tmp_path, wrong, found):
    """The message names flag, value and limit, and nothing is written."""
    with pytest.raises(UsageError) as caught:
        write_synthetic(tmp_path / "tapes", changed(**wrong))

    assert caught.value.found == found
    assert caught.value.hint
    assert not (tmp_path / "tapes").exists()


def test_a_day_without_a_session_is_refused(tmp_path):
    """Thanksgiving has no tape; the calendar's message names its neighbours."""
    with pytest.raises(DataError, match="2026-11-26 is a holiday"):
        write_synthetic(tmp_path, changed(date=dt.date(2026, 11, 26)))


def test_the_head_carries_levels_of_the_day_before_and_a_nonce_of_the_seed():
    """Prior levels and the run's nonce are rows, as in a recording."""
    first, second = hour(), hour(seed=4)

    (run, nonce), (levels, body) = first.notes

    assert (run, levels) == ("run", "previous_levels")
    assert nonce["nonce"] != second.notes[0][1]["nonce"]
    assert body["session"] == "2026-11-19"
    assert body["low_e4"] < body["close_e4"] < body["high_e4"]
    assert (first.columns["kind"][:2] == row.COLD).all()


def test_a_profile_holds_every_second_of_five_sessions():
    """As long as the session, at about the volume that the session itself will trade."""
    made = hour(profile=True, bursts=0)
    trades = made.kind(row.STOCK_TRADE)
    regular = trades["ts_event_ns"] >= made.open_ns

    body = dict(made.notes)["volume_profile"]

    assert body["bucket_s"] == 1
    assert body["sessions"] == ["2026-11-13", "2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19"]
    assert [len(volumes) for volumes in body["volumes"]] == [23_400] * 5
    hour_volumes = [sum(volumes[:3_600]) for volumes in body["volumes"]]
    assert 0.4 < np.median(hour_volumes) / trades["size"][regular].sum() < 1.6
    assert json.loads(json.dumps(body)) == body
