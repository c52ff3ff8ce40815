"""What is searched: ranges, names and their errors; and how sessions are divided."""

from __future__ import annotations

import math

import pytest
from inline_snapshot import snapshot

from scalpcli.errors import DataError, UsageError
from scalpcli.optimize.folds import (
    Fold,
    WalkForward,
    folds,
    parse_holdout,
    parse_walk_forward,
    split_holdout,
    without_neighbours,
)
from scalpcli.optimize.space import parse_axis, parse_space


def test_steps_are_decimal():
    """0.2:1.0:0.1 is nine values, each as it is written."""
    axis = parse_axis("momentum_threshold_pct", "0.2:1.0:0.1", "")

    assert axis.key == "scalp.momentum_threshold_pct"
    assert axis.values == (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def test_kinds_of_ranges():
    """Lists, whole numbers, switches, words and ranges without steps."""
    assert parse_axis("scalp.prefer_0dte", "true,false", "").values == (True, False)
    assert parse_axis("scalp.max_daily_scalps", "2:6:2", "").values == (2, 4, 6)
    assert parse_axis("volume_source", "stock,both", "").values == ("stock", "both")
    endless = parse_axis("stop_loss_pct", "5:25", "")
    assert (endless.values, endless.low, endless.high, endless.is_whole) == ((), 5.0, 25.0, False)


def test_an_axis_is_read_back_as_it_is_written():
    """A plan keeps axes as text."""
    for name, text in (("stop_loss_pct", "8:25:0.5"), ("prefer_0dte", "true,false"), ("max_daily_scalps", "1:9")):
        axis = parse_axis(name, text, "")
        assert parse_axis(axis.key, axis.written(), "") == axis


def test_a_space_from_file_and_flags(tmp_path):
    """Both give axes; their product is the grid, the last axis fastest."""
    file = tmp_path / "space.toml"
    file.write_text("[scalp]\nstop_loss_pct = [10, 15]\n[exits]\nreversal_enabled = [true, false]\n")

    space = parse_space(["take_profit_pct=20:30:10"], file)

    assert space.keys == ("scalp.stop_loss_pct", "exits.reversal_enabled", "scalp.take_profit_pct")
    assert space.size == 8
    assert list(space.grid())[:3] == [(10.0, True, 20.0), (10.0, True, 30.0), (10.0, False, 20.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("momentum_treshold_pct=1:2:1", snapshot("the nearest is `momentum_threshold_pct`")),
        ("fees.schedule=none,alpaca", snapshot("settings of scalp, gates, selection, exits, risk may be searched")),
        ("stop_loss_pct=0:25:5", snapshot("it must be above 0")),
        ("stop_loss_pct=25:5:5", snapshot("write LOW:HIGH:STEP, LOW:HIGH or A,B,C, like `momentum_threshold_pct=0.2:1.0:0.1`")),
        ("max_daily_scalps=1:5:0.5", snapshot("this setting is a whole number")),
        ("prefer_0dte=yes,no", snapshot("write `true,false`")),
        ("volume_source=stock,bonds", snapshot("choose of stock, options, both")),
        ("stop_loss_pct=nan,1", snapshot("write LOW:HIGH:STEP, LOW:HIGH or A,B,C, like `momentum_threshold_pct=0.2:1.0:0.1`")),
        ("stop_loss_pct=1:99:0.0001", snapshot("widen the step")),
        ("stop_loss_pct", snapshot("write LOW:HIGH:STEP, LOW:HIGH or A,B,C, like `momentum_threshold_pct=0.2:1.0:0.1`")),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(text, message):
    """Each is refused before any work, with what to write instead."""
    with pytest.raises(UsageError) as error:
        parse_space([text], None)

    assert error.value.hint == message


def test_a_setting_is_searched_once_and_something_is():
    """Twice is one too many; nothing is too few."""
    with pytest.raises(UsageError, match="searched twice"):
        parse_space(["stop_loss_pct=1:2:1", "scalp.stop_loss_pct=1:2:1"], None)
    with pytest.raises(UsageError, match="nothing is searched"):
        parse_space([], None)


def test_an_endless_axis_has_no_grid():
    """A grid needs steps; a sampler does not."""
    space = parse_space(["stop_loss_pct=1:2"], None)

    assert math.isinf(space.size)
    with pytest.raises(UsageError, match="has no grid"):
        space.grid()


def test_windows_of_a_walk_forward():
    """Choose on four, leave one out, judge on two, go on by two."""
    found = folds(12, WalkForward(4, 2, 2), purge=1)

    assert found[0] == Fold((0, 1, 2, 3), (5, 6))
    assert found[-1] == Fold((4, 5, 6, 7), (9, 10))
    assert len(found) == 3


def test_too_few_sessions_for_a_window():
    """One window must fit."""
    with pytest.raises(DataError, match="6 sessions are too few"):
        folds(6, WalkForward(4, 2, 2), purge=1)


def test_words_of_time():
    """Days and percents as the help shows them."""
    assert parse_walk_forward("20d:5d:5d") == WalkForward(20, 5, 5)
    assert parse_walk_forward("8:4") == WalkForward(8, 4, 4)
    assert parse_holdout("20%") == 20.0
    assert split_holdout(24, 20.0) == (range(19), range(19, 24))
    for text in ("20d:0d:5d", "5d", "week:day"):
        with pytest.raises(UsageError):
            parse_walk_forward(text)
    for text in ("100%", "-1", "a"):
        with pytest.raises(UsageError):
            parse_holdout(text)


def test_neighbours_of_judged_sessions_are_left_out():
    """One before and two after each judged session may not be chosen on."""
    train = [True, True, True, False, True, True, True, True]

    assert without_neighbours(train, 1, 2) == [True, True, False, False, False, False, True, True]
