"""Option symbols and the grid their prices stand on."""

from __future__ import annotations

import csv
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument, OccSymbol, TickRule, parse_occ, round_to_tick, tick_e4

RULES = st.sampled_from(TickRule)
PRICES_E4 = st.integers(0, 10_000_000)
SYMBOLS = st.builds(
    OccSymbol,
    root=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=6),
    expiry=st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)),
    right=st.sampled_from("CP"),
    strike_e4=st.integers(0, 99_999_999).map(lambda thousandths: thousandths * 10),
)


def test_every_listed_symbol_has_the_parts_the_exchange_states(shared):
    """13,492 SPY symbols of August 2023: expiry, right and strike, from the padded and the compact form."""
    with (shared / "reference" / "occ_symbols_spy_202308.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    expected = [
        OccSymbol("SPY", dt.date.fromisoformat(row["expiry"]), row["right"], round(float(row["strike"]) * 10_000))
        for row in rows
    ]

    assert len(rows) == 13_492
    assert [parse_occ(row["osi21"]) for row in rows] == expected
    assert [parse_occ(row["symbol_compact"]) for row in rows] == expected
    assert [symbol.compact for symbol in expected] == [row["symbol_compact"] for row in rows]


@given(symbol=SYMBOLS)
def test_a_symbol_reads_back_from_either_form(symbol):
    """Root, day, right and strike to a tenth of a cent survive writing and reading."""
    padded = f"{symbol.root:<6}{symbol.compact.removeprefix(symbol.root)}"

    assert len(padded) == 21
    assert parse_occ(symbol.compact) == symbol
    assert parse_occ(padded) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "",
        "TSLA",
        "tsla261120C00400000",
        "TSLA261120X00400000",
        "TSLA261120C0040000",
        "TSLA261120C004000000",
        "TSLA1261120C00400000",
        "TSLATSL261120C00400000",
        "TSLA\n261120C00400000",
        "TSLA26112\u0660C00400000",
        "261120C00400000",
    ],
)
def test_what_is_not_a_symbol_is_refused(text):
    """Adjusted roots (`TSLA1`) and foreign digits among them; the message shows the form."""
    with pytest.raises(DataError) as caught:
        parse_occ(text)

    assert caught.value.found == f"`{text}` is not an OCC option symbol"
    assert "TSLA261120C00400000" in caught.value.hint


@pytest.mark.parametrize(("text", "day"), [("TSLA261131C00400000", "26-11-31"), ("TSLA270229P00400000", "27-02-29")])
def test_a_symbol_of_a_day_that_does_not_exist_is_refused(text, day):
    """The 31st of November is not rounded to the 30th."""
    with pytest.raises(DataError, match=f"names the day {day}, which does not exist"):
        parse_occ(text)


def test_only_a_contract_has_an_expiry():
    """The underlying is instrument 0 of every tape and no option."""
    contract = Instrument(1, "TSLA261120C00400000", dt.date(2026, 11, 20), 4_000_000, "C")

    assert contract.is_option
    assert not Instrument(0, "TSLA").is_option


@pytest.mark.parametrize(
    ("rule", "below_three", "from_three"),
    [(TickRule.PENNY, 100, 100), (TickRule.PENNY_PROGRAM, 100, 500), (TickRule.NICKEL, 500, 1_000)],
)
def test_ticks_widen_at_three_dollars(rule, below_three, from_three):
    """2.99 stands on the fine grid, 3.00 on the coarse one; SPY has one grid."""
    assert (tick_e4(rule, 29_900), tick_e4(rule, 30_000)) == (below_three, from_three)


@pytest.mark.parametrize(
    ("rule", "price_e4", "down", "up"),
    [
        (TickRule.PENNY_PROGRAM, 29_950, 29_900, 30_000),
        (TickRule.PENNY_PROGRAM, 30_100, 30_000, 30_500),
        (TickRule.NICKEL, 29_900, 29_500, 30_000),
        (TickRule.NICKEL, 30_500, 30_000, 31_000),
        (TickRule.PENNY, 30_101, 30_100, 30_200),
        (TickRule.PENNY, 99, 0, 100),
    ],
)
def test_prices_between_two_ticks_go_to_the_nearest_on_the_side_asked_for(rule, price_e4, down, up):
    """Also across 3.00, where the grid changes."""
    assert (round_to_tick(rule, price_e4, up=False), round_to_tick(rule, price_e4, up=True)) == (down, up)


@given(rule=RULES, price_e4=PRICES_E4)
def test_rounding_lands_on_the_grid_next_to_the_price(rule, price_e4):
    """Both neighbours are on the grid, enclose the price, and nothing on the grid lies between them."""
    down, up = round_to_tick(rule, price_e4, up=False), round_to_tick(rule, price_e4, up=True)

    on_grid = [price for price in range(down, up + 1) if price % tick_e4(rule, price) == 0]

    assert down <= price_e4 <= up
    assert on_grid == sorted({down, up})


@given(rule=RULES, price_e4=PRICES_E4, up=st.booleans())
def test_a_price_on_the_grid_stays(rule, price_e4, up):
    """Rounding twice, in either direction, moves nothing."""
    on_grid = round_to_tick(rule, price_e4, up=up)

    assert round_to_tick(rule, on_grid, up=True) == on_grid == round_to_tick(rule, on_grid, up=False)
