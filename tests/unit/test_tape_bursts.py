"""How often a session rose above a threshold, on whole seconds."""

from __future__ import annotations

import numpy as np
import pytest

from scalpcli.model.row import BACKFILLED, PRICE_ONLY, VOLUME
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_bursts import Bursts, count_bursts, moves_on_seconds
from tests.tape_samples import OPEN, SESSION, gap, one, trade, write, writer


def steps(*changes, begin=0, price=4_000_000, every=1):
    """A trade each `every` seconds; at each `(second, price)` the price changes."""
    level = dict(changes)
    rows = []
    for at in range(begin, max(level, default=0) + 200, every):
        price = level.get(at, price)
        rows.append(trade(at, price))
    return rows


def bursts(tmp_path, rows, pct=0.5, window_s=30):
    """Bursts of a tape of these rows."""
    return count_bursts(Tape.open(write(tmp_path, rows)), pct, window_s)


def test_a_rise_and_a_fall_count_once_each(tmp_path):
    """Up 1 % at 100 s, which stays for the window; down again at 200 s."""
    found = bursts(tmp_path, steps((100, 4_040_000), (200, 4_000_000)))

    assert (found.up, found.down) == (1, 1)
    assert found.largest_pct == pytest.approx(1.0)


def test_a_move_that_wavers_about_the_threshold_is_one_burst(tmp_path):
    """Between 0.6 of the threshold and the threshold nothing is armed again."""
    wavering = steps((100, 4_024_000), (103, 4_018_000), (106, 4_024_000))

    assert bursts(tmp_path, wavering).up == 1


def test_a_move_that_came_back_below_the_re_arm_share_counts_again(tmp_path):
    """Definitions, section 6: armed again below 0.6 of the threshold."""
    twice = steps((100, 4_024_000), (103, 4_008_000), (106, 4_024_000))

    assert bursts(tmp_path, twice).up == 2


def test_the_threshold_itself_is_reached(tmp_path):
    """At most and at least include the bound: 0.5 % exactly is a burst, a cent of a cent less is none."""
    assert bursts(tmp_path / "a", steps((100, 4_020_000))).up == 1
    assert bursts(tmp_path / "b", steps((100, 4_019_999))).up == 0


def test_the_move_at_a_second_is_from_a_window_earlier(tmp_path):
    """`(P(t) - P(t-w)) * 100 / P(t-w)` with prints up to and including each instant."""
    tape = Tape.open(write(tmp_path, steps((100, 4_040_000))))

    move = moves_on_seconds(tape, 30)

    assert move[99] == 0.0
    assert move[100:130].tolist() == [1.0] * 30
    assert move[130] == 0.0


def test_a_window_older_than_its_data_is_unknown(tmp_path):
    """Before the first print and a window after it there is no earlier price; after the last, none that is fresh."""
    tape = Tape.open(write(tmp_path, steps((0, 4_000_000), begin=50)))

    move = moves_on_seconds(tape, 30)

    known = np.flatnonzero(~np.isnan(move))
    assert (known[0], known[-1]) == (80, 199 + 30)


def test_a_gap_of_the_price_channel_makes_its_windows_unknown(tmp_path):
    """What moved while blind was not seen moving."""
    rows = [row for row in steps((110, 4_040_000)) if not OPEN + 100e9 <= row["ts_recv_ns"] < OPEN + 120e9]
    blind = sorted([*rows, gap(100, 120)], key=lambda row: row["ts_recv_ns"])
    tape = Tape.open(write(tmp_path, blind))

    move = moves_on_seconds(tape, 30)

    assert np.isnan(move[101:150]).all()
    assert move[100] == move[150] == 0.0


@pytest.mark.parametrize("flags", [VOLUME, BACKFILLED | 1])
def test_prints_that_may_not_set_the_price_do_not_move_it(tmp_path, flags):
    """An odd lot or a backfilled print far off is no burst."""
    rows = [*steps((0, 4_000_000))[:100], trade(99, 4_400_000, flags=flags)]

    assert bursts(tmp_path, rows) == Bursts(0, 0, 0.0)


def test_prices_without_prints_count_as_prices(tmp_path):
    """A chain that carries only a spot price has bursts too."""
    rows = [one(PRICE_ONLY, at, price_e4=4_000_000 + 40_000 * (at >= 100)) for at in range(200)]

    assert bursts(tmp_path, rows).up == 1


def test_a_tape_without_rows_has_no_moves(tmp_path):
    """It is listed with nothing in it, not refused."""
    with writer(tmp_path) as tape:
        path = tape.seal()

    found = count_bursts(Tape.open(path, allow_empty=True), 0.5, 30)

    assert found == Bursts(0, 0, None)


def test_a_print_between_two_seconds_counts_from_the_later(tmp_path):
    """An instant sees the rows received up to it, none after."""
    tape = Tape.open(write(tmp_path, [trade(0, ts_event_ns=OPEN), trade(30.5, 4_040_000)]))

    move = moves_on_seconds(tape, 30)

    assert move[30] == 0.0
    assert move[31] == 1.0
    assert len(move) == (SESSION.close_ns - SESSION.open_ns) // 10**9 + 1
