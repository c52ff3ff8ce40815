"""The dated fee table and the bill of a day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.errors import DataError, UsageError
from scalpcli.model.fees import RATES, DayFees, FeeFill, FeeType, covered_days, schedule_for

AUTUMN = dt.date(2026, 11, 20)
TWO_DOLLARS_E4 = 20_000
ALPACA = schedule_for(AUTUMN)
FILLS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 500),
        st.integers(0, 50_000),
        st.integers(0, 6),
    ),
    max_size=30,
)


def bill(fills):
    """A day of `(side, contracts, price_e4, trade)`."""
    day = DayFees(ALPACA)
    for side, quantity, price_e4, trade in fills:
        day.add(side, quantity, price_e4 * quantity * 100, trade)
    return day


def exact_usd(fee: FeeType, fills) -> Fraction:
    """Independent of the product: the rates of autumn 2026 as the facts state them, in dollars."""
    sold = [(quantity, price_e4) for side, quantity, price_e4, _ in fills if side == "sell"]
    contracts = sum(quantity for _, quantity, _, _ in fills)
    premium_usd = sum(Fraction(quantity * price_e4 * 100, 10_000) for quantity, price_e4 in sold)
    return {
        FeeType.ORF: Fraction("0.015") * contracts,
        FeeType.OCC: Fraction("0.025") * contracts,
        FeeType.CAT: Fraction("0.000003") * contracts * 100,
        FeeType.TAF: Fraction("0.00329") * sum(quantity for quantity, _ in sold),
        FeeType.SEC: Fraction("20.60") / 1_000_000 * premium_usd,
    }[fee]


def test_a_round_trip_at_two_dollars_costs_what_the_worked_example_says():
    """One contract bought and sold at 2.00: ORF 0.030, OCC 0.050, CAT 0.0006, TAF 0.00329, SEC 0.00412."""
    fills = [FeeFill("buy", 1, TWO_DOLLARS_E4 * 100), FeeFill("sell", 1, TWO_DOLLARS_E4 * 100)]

    by_type = [sum(ALPACA.fees_pico_usd(fill)[fee] for fill in fills) for fee in FeeType]

    assert [Decimal(pico) / 10**12 for pico in by_type] == [
        Decimal("0.030"),
        Decimal("0.050"),
        Decimal("0.0006"),
        Decimal("0.00329"),
        Decimal("0.00412"),
    ]
    assert ALPACA.unrounded_e4(fills) == Fraction("880.1")


def test_the_bill_rounds_each_fee_type_up_to_the_cent_once():
    """The same round trip is billed 0.03 + 0.05 + 0.01 + 0.01 + 0.01."""
    day = bill([("buy", 1, TWO_DOLLARS_E4, "a"), ("sell", 1, TWO_DOLLARS_E4, "a")])

    by_type = day.by_type_e4()

    assert by_type == {"orf": 300, "occ": 500, "cat": 100, "taf": 100, "sec": 100}
    assert day.total_e4() == 1100


def test_nine_sells_of_a_day_are_rounded_together():
    """Nine single contracts owe 0.02961 of TAF: 0.03 for the day, not nine times 0.01."""
    day = bill([("sell", 1, TWO_DOLLARS_E4, number) for number in range(9)])

    assert day.by_type_e4()[FeeType.TAF] == 300


def test_a_bill_of_whole_cents_is_not_rounded_further():
    """Two contracts bought owe exactly 0.03 of ORF and 0.05 of OCC."""
    day = bill([("buy", 2, TWO_DOLLARS_E4, "a")])

    assert (day.by_type_e4()[FeeType.ORF], day.by_type_e4()[FeeType.OCC]) == (300, 500)


def test_a_buy_pays_neither_taf_nor_sec():
    """Both are charged on sells only."""
    by_type = bill([("buy", 1, TWO_DOLLARS_E4, "a")]).by_type_e4()

    assert (by_type[FeeType.TAF], by_type[FeeType.SEC]) == (0, 0)


def test_equal_remainders_go_to_the_trade_that_filled_first():
    """One cent of CAT for two equal buys: the first bears it; the rest is equal."""
    day = bill([("buy", 2, TWO_DOLLARS_E4, "later name"), ("buy", 2, TWO_DOLLARS_E4, "earlier name")])

    assert day.shares_e4() == {"later name": 900, "earlier name": 800}


def test_the_cent_left_over_goes_to_the_larger_remainder():
    """One cent of CAT for two contracts and then four: the later trade caused two thirds of it."""
    day = bill([("buy", 2, TWO_DOLLARS_E4, "small"), ("buy", 4, TWO_DOLLARS_E4, "large")])

    assert day.shares_e4() == {"small": 800, "large": 1700}


def test_a_day_without_fills_costs_nothing():
    """No fills: no fee of any type, nobody to share it."""
    day = DayFees(ALPACA)

    assert set(day.by_type_e4().values()) == {0}
    assert (day.total_e4(), day.shares_e4()) == (0, {})


@given(fills=FILLS)
def test_each_fee_type_is_the_exact_sum_rounded_up_once(fills):
    """Whatever the fills: at least the exact fees, less than a cent above them, in whole cents."""
    by_type = bill(fills).by_type_e4()

    for fee in FeeType:
        above_e4 = by_type[fee] - exact_usd(fee, fills) * 10_000
        assert by_type[fee] % 100 == 0
        assert 0 <= above_e4 < 100


@given(fills=FILLS)
def test_shares_add_up_to_the_bill(fills):
    """To the cent, none negative, one for each trade that filled."""
    day = bill(fills)

    shares = day.shares_e4()

    assert sum(shares.values()) == day.total_e4()
    assert all(share >= 0 and share % 100 == 0 for share in shares.values())
    assert list(shares) == list(dict.fromkeys(trade for *_, trade in fills))


@given(fills=FILLS)
def test_a_share_is_within_a_cent_of_its_proportion_for_each_fee_type(fills):
    """Largest remainder gives a trade its quota rounded down or up, never more or less."""
    day = bill(fills)
    by_type = day.by_type_e4()

    for trade, share in day.shares_e4().items():
        own = [fill for fill in fills if fill[3] == trade]
        quota_e4 = sum(
            Fraction(by_type[fee]) * exact_usd(fee, own) / exact_usd(fee, fills)
            for fee in FeeType
            if exact_usd(fee, fills)
        )
        assert abs(share - quota_e4) < 100 * len(FeeType)


@given(fills=FILLS)
def test_unrounded_fees_equal_the_stated_rates(fills):
    """The figure that cooldowns use is exact: no rounding anywhere."""
    own = [FeeFill(side, quantity, price_e4 * quantity * 100) for side, quantity, price_e4, _ in fills]

    assert ALPACA.unrounded_e4(own) == 10_000 * sum(exact_usd(fee, fills) for fee in FeeType)


def test_an_estimate_is_rounded_up_to_a_ten_thousandth():
    """0.08801 a round trip of one contract, 0.8801 of ten; a buy alone is 0.0403."""
    estimates = [ALPACA.estimate_e4(1, TWO_DOLLARS_E4), ALPACA.estimate_e4(10, TWO_DOLLARS_E4)]

    assert estimates == [881, 8801]
    assert ALPACA.estimate_e4(1, TWO_DOLLARS_E4, ["buy"]) == 403


def test_none_charges_nothing_on_any_day():
    """Paper accounts pay no fees, whatever the table covers."""
    free = schedule_for(dt.date(2013, 10, 8), "none")
    day = DayFees(free)
    day.add("sell", 5, 1_000_000, "a")

    assert (day.total_e4(), day.by_type_e4(), day.shares_e4()) == (0, {}, {"a": 0})
    assert free.estimate_e4(5, TWO_DOLLARS_E4) == 0


def test_a_day_outside_the_table_is_refused_with_both_ways_out():
    """2013 has no rates: exit 4, naming the two flags."""
    with pytest.raises(DataError) as caught:
        schedule_for(dt.date(2013, 10, 8))

    assert caught.value.exit_code == 4
    assert caught.value.render() == (
        "error: the fee table has no rates for 2013-10-08; it covers 2026-07-20 to 2026-12-31\n"
        "  in fees of the session 2013-10-08\n"
        "\n"
        "hint: replay without fees (`--fees none`) or with the rates of a covered day (`--fees-as-of 2026-07-20`)"
    )


def test_a_day_for_which_two_rates_are_unknown_names_them():
    """On 2026-07-17 Alpaca's schedule of 2026-07-20 did not hold yet; its ORF and CAT are not known."""
    with pytest.raises(DataError, match="no rate of ORF, CAT for 2026-07-17"):
        schedule_for(dt.date(2026, 7, 17))


def test_rates_as_of_a_day_serve_any_session():
    """A session of 2015 with the fees of autumn 2026."""
    assert schedule_for(dt.date(2015, 12, 24), "alpaca", AUTUMN) == ALPACA


def test_as_of_a_day_outside_the_table_is_refused():
    """The flag itself is named as the place, also where the session is covered."""
    with pytest.raises(DataError) as caught:
        schedule_for(AUTUMN, "alpaca", dt.date(2027, 1, 4))

    assert caught.value.place == "`--fees-as-of`"


def test_an_unknown_schedule_is_refused():
    """The message names the two that exist."""
    with pytest.raises(UsageError, match="`ibkr` is no fee schedule") as caught:
        schedule_for(AUTUMN, "ibkr")

    assert caught.value.hint == "write `alpaca` or `none`"


@pytest.mark.parametrize("fill", [("hold", 1, 100), ("buy", -1, 100), ("sell", 1, -100)])
def test_what_is_not_a_fill_is_refused(fill):
    """A wrong side or a negative number would silently make fees smaller."""
    with pytest.raises(ValueError, match="not a fill"):
        DayFees(ALPACA).add(*fill, "a")


def test_every_covered_day_has_exactly_one_rate_of_each_type():
    """No day is charged twice and none has a hole between two lines of the table."""
    first, last = covered_days()
    days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]

    counts = {tuple(rate.fee for rate in schedule_for(day).rates) for day in days}

    assert counts == {tuple(FeeType)}
    assert (first, last) == (dt.date(2026, 7, 20), dt.date(2026, 12, 31))


@pytest.mark.parametrize(
    ("day", "fee", "usd"),
    [
        (dt.date(2025, 12, 31), FeeType.TAF, "0.00279"),
        (dt.date(2026, 1, 1), FeeType.TAF, "0.00329"),
        (dt.date(2026, 4, 3), FeeType.SEC, "0"),
        (dt.date(2026, 4, 4), FeeType.SEC, "0.0000206"),
        (dt.date(2025, 2, 14), FeeType.OCC, "0.025"),
    ],
)
def test_rates_change_on_their_day(day, fee, usd):
    """The table's dates are those of the orders and filings."""
    rates = [rate.usd for rate in RATES if rate.fee is fee and rate.first <= day <= rate.last]

    assert rates == [usd]


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.fee}-{rate.first}")
def test_every_rate_is_exact_in_the_table_s_unit(rate):
    """A rate finer than the integers it is computed in would be cut off in silence."""
    per_unit = {"contract": (1, 0), "share": (1, 0), "premium_usd": (0, 10_000)}[rate.basis]
    shares = 100 if rate.basis == "share" else 1

    pico = rate.pico_usd("sell", *per_unit)
    finest = rate.pico_usd("sell", per_unit[0], min(per_unit[1], 1))

    assert pico == Decimal(rate.usd) * shares * 10**12
    assert per_unit[1] == 0 or finest * 10_000 == pico
    assert rate.source
