"""Volume by hand: values of definitions section 4."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hand_rows import (
    CALL_SYMBOL,
    KERNELS,
    MS,
    OPEN,
    OTHER_SYMBOL,
    SESSION,
    after,
    kernel,
)

from scalpcli import ScalpConfig, VolumeAnalyzer
from scalpcli.core import volume_analyzer
from scalpcli.errors import DataError, UsageError

MINUTE = 60


def analyzer(*trades: tuple[float, int], hot: str = "interpreted", **arguments) -> VolumeAnalyzer:
    """An analyzer fed with (seconds after the open, contracts) of one call."""
    made = VolumeAnalyzer(hot=kernel(hot), **arguments)
    for seconds, contracts in trades:
        made.add_trade(CALL_SYMBOL, contracts, after(seconds))
    return made


def quoted(bid: float = 2.00, ask: float = 2.10, **arguments) -> VolumeAnalyzer:
    """An analyzer that knows a quote of one call at the open."""
    made = VolumeAnalyzer(**arguments)
    made.add_quote(CALL_SYMBOL, bid, ask, OPEN)
    return made


def trade(fed: VolumeAnalyzer, at_ms: int, contracts: int, price: float | None, **arguments) -> None:
    fed.add_trade(CALL_SYMBOL, contracts, after(at_ms / 1000), price, **arguments)


# --- ratio -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", KERNELS)
def test_ratio_is_the_windows_pace_against_the_pace_before_it(hot):
    """100 contracts in the 5 minutes before the window, 150 in the 5 of the window: one and a half times."""
    fed = analyzer((10, 60), (4 * MINUTE, 40), (6 * MINUTE, 100), (10 * MINUTE, 50), hot=hot)

    ratio = fed.get_volume_ratio(CALL_SYMBOL)

    assert ratio == 1.5


def test_a_shorter_window_has_a_baseline_of_its_own():
    """In the last minute 50 contracts; in the 9 minutes before it 200."""
    fed = analyzer((10, 60), (4 * MINUTE, 40), (6 * MINUTE, 100), (10 * MINUTE, 50))

    ratio = fed.get_volume_ratio(CALL_SYMBOL, 1)

    assert ratio == (50 / 60.0) / (200 / 540.0)


def test_a_print_at_the_start_of_the_window_belongs_to_the_baseline():
    """The window is open on its left: a print exactly five minutes ago is before it."""
    fed = analyzer((5 * MINUTE, 100), (10 * MINUTE, 50))

    ratio = fed.get_volume_ratio(CALL_SYMBOL)

    assert ratio == 0.5


def test_the_window_slides_on_while_nothing_trades():
    """At 16 minutes nothing has traded for five, and zero is a number."""
    fed = analyzer((1 * MINUTE, 100), (10 * MINUTE, 50))

    ratio = fed.get_volume_ratio(CALL_SYMBOL, 5, after(16 * MINUTE))

    assert ratio == 0.0


def test_the_ratio_stands_at_the_last_time_stamp_of_any_contract():
    """Another contract's trade at 16 minutes shows that this one has been silent."""
    fed = analyzer((1 * MINUTE, 100), (10 * MINUTE, 50))
    fed.add_trade(OTHER_SYMBOL, 1, after(16 * MINUTE))

    ratio = fed.get_volume_ratio(CALL_SYMBOL)

    assert ratio == 0.0


def test_the_ratio_is_unknown_before_two_windows_of_session():
    """Five minutes of baseline, then five of window."""
    fed = analyzer((1, 100), (9 * MINUTE, 50))

    ratios = [fed.get_volume_ratio(CALL_SYMBOL, 5, after(seconds)) for seconds in (599.999, 600)]

    assert ratios == [None, 0.5]


def test_the_ratio_of_a_short_window_is_unknown_before_the_least_baseline():
    """`volume_baseline_min_s` is 300 s; shorter when the config says so."""
    trades, at = ((1, 100), (2 * MINUTE, 50)), after(3 * MINUTE)
    usual, short = analyzer(*trades), analyzer(*trades, config=ScalpConfig(volume_baseline_min_s=60))

    ratios = usual.get_volume_ratio(CALL_SYMBOL, 1, at), short.get_volume_ratio(CALL_SYMBOL, 1, at)

    assert ratios == (None, 0.0)


def test_the_ratio_is_unknown_where_nothing_traded_before_the_window():
    """A contract without a past has no usual volume."""
    fed = analyzer((14 * MINUTE, 500))

    ratios = fed.get_volume_ratio(CALL_SYMBOL, 5, after(15 * MINUTE)), fed.get_volume_ratio(OTHER_SYMBOL)

    assert ratios == (None, None)


def test_contracts_are_told_apart():
    """The other contract's burst is not this one's."""
    fed = VolumeAnalyzer()
    for seconds, contracts, others in ((60, 100, 10), (9 * MINUTE, 100, 90)):
        fed.add_trade(CALL_SYMBOL, contracts, after(seconds))
        fed.add_trade(OTHER_SYMBOL, others, after(seconds))

    ratios = [fed.get_volume_ratio(contract, 5, after(10 * MINUTE)) for contract in (CALL_SYMBOL, OTHER_SYMBOL)]

    assert ratios == [1.0, 9.0]


def test_prints_outside_the_session_are_not_counted():
    """What traded before the open is no baseline; at the open it is."""
    fed = VolumeAnalyzer()
    fed.add_trade(CALL_SYMBOL, 900, OPEN - dt.timedelta(microseconds=1))
    fed.add_trade(CALL_SYMBOL, 100, OPEN)
    fed.add_trade(CALL_SYMBOL, 100, after(9 * MINUTE))

    ratio = fed.get_volume_ratio(CALL_SYMBOL, 5, after(10 * MINUTE))

    assert ratio == 1.0


def test_a_print_without_the_volume_flag_is_not_counted():
    """A cancelled print moved nothing."""
    fed = analyzer((60, 100))
    fed.add_trade(CALL_SYMBOL, 500, after(9 * MINUTE), flags=0)

    ratio = fed.get_volume_ratio(CALL_SYMBOL, 5, after(10 * MINUTE))

    assert ratio == 0.0


def test_a_question_changes_no_answer():
    """Other windows and later moments first, then the usual window now."""
    trades = ((60, 100), (6 * MINUTE, 30), (10 * MINUTE, 50))
    asked, plain = analyzer(*trades), analyzer(*trades)

    asked.get_volume_ratio(CALL_SYMBOL, 0.5, after(40 * MINUTE))
    asked.get_volume_ratio(CALL_SYMBOL, 30, after(90 * MINUTE))

    assert asked.get_volume_ratio(CALL_SYMBOL) == plain.get_volume_ratio(CALL_SYMBOL) == 0.8


def test_the_ring_lets_go_of_what_no_window_needs():
    """Of twelve thousand prints, ten a second, a window of a minute needs 601: the next power of two is 1024."""
    fed = VolumeAnalyzer(window_minutes_max=1, hot=kernel("compiled"))

    for number in range(12_000):
        fed.add_trade(CALL_SYMBOL, 1 + (number >= 11_700), after(number / 10))

    assert len(fed._contracts[CALL_SYMBOL].feed._market.state.option_prints) == 2 * 1024
    assert fed.get_volume_ratio(CALL_SYMBOL, 0.5) == pytest.approx(2.0, rel=1e-3)


def test_a_given_session_sets_the_open():
    """The calendar is asked only where no session is given."""
    late = type(SESSION)(SESSION.date, SESSION.open_ns + 10 * MINUTE * 10**9, SESSION.close_ns, is_early_close=False)
    fed = VolumeAnalyzer(session=late)
    fed.add_trade(CALL_SYMBOL, 100, after(11 * MINUTE))
    fed.add_trade(CALL_SYMBOL, 100, after(19 * MINUTE))

    ratio = fed.get_volume_ratio(CALL_SYMBOL, 5, after(20 * MINUTE))

    assert ratio == 1.0


# --- what is refused ---------------------------------------------------------------------------------------

NAIVE = dt.datetime(2026, 11, 20, 14, 30)  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    ("volume", "timestamp", "error", "found"),
    [
        (1, NAIVE, UsageError, "the time stamp datetime.datetime(2026, 11, 20, 14, 30) has no time zone"),
        (
            1,
            after(9),
            DataError,
            "the time stamp 2026-11-20T14:30:09+00:00 lies before the last one, 2026-11-20T14:30:10+00:00",
        ),
        (
            1,
            after(3 * 86_400),
            DataError,
            "2026-11-23T14:30:00+00:00 belongs to 2026-11-23, the session served is that of 2026-11-20",
        ),
        (-1, after(11), DataError, "the volume is -1, not a whole number from 0 to 2147483647"),
        (2**31, after(11), DataError, "the volume is 2147483648, not a whole number from 0 to 2147483647"),
        (1.5, after(11), DataError, "the volume is 1.5, not a whole number from 0 to 2147483647"),
        (math.nan, after(11), DataError, "the volume is nan, not a whole number from 0 to 2147483647"),
    ],
)
def test_what_is_no_trade_is_refused_and_changes_nothing(volume, timestamp, error, found):
    """The message says what was found; the analyzer goes on from the trade before."""
    fed = analyzer((10, 100))

    with pytest.raises(error) as refused:
        fed.add_trade(OTHER_SYMBOL, volume, timestamp)

    assert refused.value.found == found
    assert refused.value.hint
    assert (fed.last_ns, list(fed._contracts)) == (SESSION.open_ns + 10_000 * MS, [CALL_SYMBOL])


def test_a_price_that_is_none_is_refused():
    """A trade at nothing and a quote below nothing."""
    fed = quoted()

    with pytest.raises(DataError) as no_price:
        trade(fed, 1000, 1, 0.0)
    with pytest.raises(DataError) as no_bid:
        fed.add_quote(CALL_SYMBOL, -0.01, 2.0, after(1))

    assert no_price.value.found == "the price is 0.0, outside its limits: 0.0001 to 900719925474 USD"
    assert no_bid.value.found == "the bid is -0.01, outside its limits: 0.0001 to 900719925474 USD"


def test_a_day_without_a_session_is_refused():
    """The calendar names its neighbours."""
    fed = VolumeAnalyzer()

    with pytest.raises(DataError) as refused:
        fed.add_trade(CALL_SYMBOL, 1, after(86_400))

    assert refused.value.found == "2026-11-21 is a weekend: the New York Stock Exchange has no session that day"


def test_a_question_about_the_past_is_refused():
    """What stood before the last time stamp is not kept."""
    fed = analyzer((10, 100))

    with pytest.raises(UsageError) as refused:
        fed.get_volume_ratio(CALL_SYMBOL, 5, after(9))

    assert refused.value.found.startswith("asked about 2026-11-20T14:30:09+00:00, before the last time stamp")


@pytest.mark.parametrize("window", [0, -1, 30.5, math.nan])
def test_a_window_that_is_not_kept_is_refused(window):
    """Prints are kept for `window_minutes_max`."""
    fed = analyzer((10, 100))

    with pytest.raises(UsageError) as refused:
        fed.get_volume_ratio(CALL_SYMBOL, window)

    assert refused.value.found == f"the window is {window} minutes, outside its limits: above 0, at most 30.0"


def test_more_contracts_and_exchanges_than_are_followed_are_refused(monkeypatch):
    """Both have a bound; what is known goes on."""
    monkeypatch.setattr(volume_analyzer, "CONTRACTS_MAX", 1)
    monkeypatch.setattr(volume_analyzer, "EXCHANGES_MAX", 1)
    fed = quoted()
    trade(fed, 1000, 1, 2.10, exchange="C")

    with pytest.raises(UsageError) as contract:
        fed.add_trade(OTHER_SYMBOL, 1, after(2))
    with pytest.raises(UsageError) as exchange:
        trade(fed, 2000, 1, 2.10, exchange="N")
    trade(fed, 2000, 1, 2.10, exchange="C")

    assert contract.value.found == f"`{OTHER_SYMBOL}` would be one contract more than are followed: 1"
    assert exchange.value.found == "`N` would be one exchange more than are told apart: 1"
