"""Many settings in one pass decide as each would alone, byte for byte."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from scalpcli.core.lanes import Machines, tracker_key, with_values
from scalpcli.core.layout import WATCH_EVERY, WATCH_HIGH, WATCH_LOW, WATCH_RECOVERY
from scalpcli.core.market_state import InterpretedKernel
from scalpcli.core.view import Quote
from scalpcli.errors import DataError
from scalpcli.model.params import Blackout, Params, TapeParams
from scalpcli.model.session import at_ns, session_of
from scalpcli.runtime.lane_replay import EVERY_KIND, replay_lanes
from scalpcli.runtime.lanes import _ContractWatch
from scalpcli.runtime.replay import ReplayOptions, replay_session
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from tests.lane_samples import compiled, random_settings, replayed
from tests.replay_samples import TAPE

DAY = dt.date(2026, 11, 23)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory) -> Path:
    """A session that trades, with a halt, gaps and volumes of earlier sessions at its head."""
    spec = SyntheticSpec(
        date=DAY, rows=60_000, contracts=12, next_expiry=6, seed=5, bursts=20, halt=True, gap=True, profile=True
    )
    return write_synthetic(tmp_path_factory.mktemp("tapes"), spec, params=TapeParams())


def differing(tape: Path, settings: list[Params]) -> tuple[list[int], int]:
    """Numbers of the lanes whose journal is not that of their own replay, and trades of all lanes."""
    played = replay_lanes(tape, settings, (), compiled(), EVERY_KIND)
    wrong = [
        number
        for number, (params, lane) in enumerate(zip(settings, played, strict=True))
        if lane.lines() != replayed(tape, params)
    ]
    return wrong, sum(len(lane.trades) for lane in played)


def test_lanes_of_the_example_equal_single_replays():
    """Thresholds, exits, gates, sizes and latencies differ between lanes; each journal is its own replay's."""
    wrong, trades = differing(TAPE, random_settings(14, seed=1))

    assert wrong == []
    assert trades > 50


def test_lanes_equal_single_replays_through_halts_and_gaps(troubled):
    """What every lane must be told (halts, gaps, cold rows) reaches each of them."""
    wrong, trades = differing(troubled, random_settings(14, seed=2))

    assert wrong == []
    assert trades > 20


@pytest.mark.full
@pytest.mark.parametrize("first_seed", range(0, 200, 50))
def test_two_hundred_settings_on_two_sessions_equal_single_replays(troubled, first_seed):
    """Done-when 1: 200 random settings on two sessions that trade."""
    for tape in (TAPE, troubled):
        wrong, trades = differing(tape, random_settings(50, seed=1000 + first_seed))

        assert wrong == []
        assert trades > 100


def test_neighbours_change_nothing():
    """A lane alone, and among lanes that trade the same contracts at the same time, decides alike."""
    settings = [
        with_values(Params(), {"scalp.stop_loss_pct": stop, "scalp.take_profit_pct": target})
        for stop in (5.0, 10.0, 15.0)
        for target in (10.0, 30.0)
    ]

    together = replay_lanes(TAPE, settings, (), compiled(), EVERY_KIND)
    alone = [replay_lanes(TAPE, [params], (), compiled(), EVERY_KIND)[0] for params in settings]

    assert [lane.lines() for lane in together] == [lane.lines() for lane in alone]


def test_the_interpreted_kernel_plays_the_same_lanes(tmp_path):
    """Law 2 holds for lanes too."""
    spec = SyntheticSpec(date=DAY, rows=4_000, contracts=6, seed=3, minutes=20)
    tape = write_synthetic(tmp_path, spec, params=TapeParams())
    # The interpreted kernel takes a millisecond an instant.
    coarse = with_values(Params(), {"scalp.eval_interval_ms": 30_000, "scalp.volume_spike_ratio": 0.0})
    settings = [
        with_values(coarse, {"scalp.momentum_threshold_pct": threshold, "scalp.stop_loss_pct": stop})
        for threshold, stop in ((0.1, 5.0), (0.1, 15.0), (0.3, 10.0))
    ]

    fast, slow = (replay_lanes(tape, settings, (), hot, EVERY_KIND) for hot in (compiled(), InterpretedKernel()))

    assert [lane.lines() for lane in fast] == [lane.lines() for lane in slow]


def test_results_are_those_of_the_replay():
    """Net, trades and their shares of the fees are what a replay's tables say."""
    params = Params()
    alone = replay_session(TAPE, params, (), compiled(), ReplayOptions())

    (lane,) = replay_lanes(TAPE, [params], (), compiled())

    assert lane.net_e4 == alone.ends["net_e4"]
    assert [trade.net_e4 / 1e4 for trade in lane.trades] == pytest.approx(alone.trades["net_pnl_usd"].to_list())
    assert [trade.signal_ns for trade in lane.trades] == alone.trades["signal_ns"].to_list()
    assert lane.decisions
    assert {decision.kind for decision in lane.decisions} == {"signal", "trade"}


def test_blackouts_hold_for_every_lane():
    """What is no setting is handed to every lane alike."""
    whole_day = Blackout("a day off", at_ns(session_of(dt.date(2026, 11, 20)), "09:30"), 2**62)

    played = replay_lanes(TAPE, random_settings(3, seed=4), (whole_day,), compiled())

    assert [lane.trades for lane in played] == [()] * 3


def test_a_gap_that_is_not_accepted_stops_all(troubled):
    """`gaps = "fail"` of one lane ends the pass as it ends a replay."""
    params = with_values(Params(), {"replay.gaps": "fail"})

    with pytest.raises(DataError, match="the tape has a gap"):
        replay_lanes(troubled, [params], (), compiled())


def test_trackers_decide_who_shares_a_pass():
    """Thresholds and exits do not divide lanes; a window, the grid and the source of volume do."""
    session = session_of(DAY)
    same = random_settings(1, seed=0)[0]
    other = with_values(same, {"scalp.stop_loss_pct": 9.0, "scalp.volume_spike_ratio": 1.1, "exits.stop_confirm_ms": 7})

    assert tracker_key(same, session) == tracker_key(other, session)
    for key, value in (
        ("scalp.momentum_window_seconds", 44),
        ("scalp.eval_interval_ms", 500),
        ("scalp.volume_source", "both"),
        ("exits.reversal_window_seconds", 9),
    ):
        assert tracker_key(with_values(same, {key: value}), session) != tracker_key(same, session)


def test_machines_are_shared_by_lanes_with_the_same_thresholds():
    """A grid of 4 thresholds and 25 exits has 4 burst machines, one for rejections and one for breakouts."""
    lanes = [
        with_values(Params(), {"scalp.momentum_threshold_pct": threshold, "scalp.stop_loss_pct": stop}).scalp
        for threshold in (0.2, 0.3, 0.4, 0.5)
        for stop in np.linspace(5, 25, 25).tolist()
    ]

    machines = Machines(lanes)

    assert len(machines.configs) == 6
    assert sorted(len(members) for members in machines.members) == [25, 25, 25, 25, 100, 100]


def test_machines_know_every_threshold_that_triggers_read():
    """A setting that only a lane's record carries must tell two machines apart."""
    base = Params().scalp
    read = ("momentum_threshold_pct", "momentum_rearm_ratio", "volume_spike_ratio", "vwap_volume_ratio",
            "vwap_tolerance_sigma", "vwap_tolerance_pct", "vwap_far_sigma", "vwap_far_s", "vwap_through_ratio",
            "vwap_bounce_sigma", "vwap_bounce_tolerance_ratio", "vwap_touch_s", "vwap_first_minutes",
            "breakout_buffer_usd", "breakout_buffer_pct", "breakout_hold_ms", "breakout_confirm_s",
            "level_rearm_s")  # fmt: skip

    for name in read:
        value = getattr(base, name)
        other = with_values(Params(), {f"scalp.{name}": value + 1}).scalp
        assert len(Machines([base, other]).configs) > 3, name


# --- who waits for a quote ---------------------------------------------------------------------------------


def quote(bid_e4: int, ask_e4: int) -> Quote:
    return Quote(bid_e4, ask_e4, 10, 10, 0)


def test_a_quote_calls_exactly_the_lanes_whose_limit_it_meets():
    """Of three stops and two targets, those beyond the bid."""
    watch = _ContractWatch()
    for lane, (low, high) in enumerate([(80, 130), (90, 120), (85, 130)]):
        watch.set(lane, (WATCH_LOW | WATCH_HIGH, low, high))

    assert watch.union() == (WATCH_LOW | WATCH_HIGH, 90, 120)
    assert watch.met_by(quote(100, 101)) == []
    assert watch.met_by(quote(85, 86)) == [1, 2]
    assert watch.met_by(quote(125, 126)) == [1]
    assert watch.met_by(quote(0, 90)) == [0, 1, 2]
    assert watch.met_by(quote(80, 79)) == []


def test_a_lane_that_goes_on_waiting_is_called_again():
    """A limit that was met stands until the lane waits for something else."""
    watch = _ContractWatch()
    watch.set(0, (WATCH_LOW, 90, 0))

    assert [watch.met_by(quote(85, 86)) for _ in range(2)] == [[0], [0]]

    watch.set(0, (WATCH_RECOVERY | WATCH_HIGH, 90, 120))
    assert watch.union()[0] & WATCH_EVERY
    assert watch.met_by(quote(85, 86)) == []
    assert watch.met_by(quote(95, 96)) == [0]

    watch.set(0, (WATCH_LOW | WATCH_HIGH, 90, 120))
    assert watch.met_by(quote(85, 86)) == [0]

    watch.set(0, None)
    assert watch.union() == (0, 0, 0)
    assert watch.met_by(quote(85, 86)) == []
