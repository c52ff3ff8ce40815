"""Which contracts are recorded: expiries from the list, strikes about the money, a budget, no silent drop."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from alpaca_server import serving

from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.contracts import (
    ContractsPlan,
    describe_left_out,
    fair_shares,
    fetch_contracts,
    numbered,
    option_budget,
)
from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument, OccSymbol, TickRule
from scalpcli.model.params import AlpacaParams

DAY = dt.date(2026, 11, 23)
NEXT = dt.date(2026, 11, 24)


def contract(strike, right="C", expiry=DAY):
    strike_e4 = round(strike * 10_000)
    return Instrument(0, OccSymbol("TSLA", expiry, right, strike_e4).compact, expiry, strike_e4, right)


def chain(*strikes, expiries=(DAY,)):
    return [contract(strike, right, expiry) for expiry in expiries for strike in strikes for right in "CP"]


def plan(available, **changes):
    given = {"dte": (0, 1), "strikes": 2, "atm_pct": 0.0, "contracts_max": 100, **changes}
    return ContractsPlan("TSLA", DAY, available, **given)


def strikes(choice):
    return sorted({one.strike_e4 // 10_000 for one in choice})


def test_so_many_strikes_on_each_side_of_the_money():
    """A strike at the price itself counts as below it; calls and puts come together."""
    choice = plan(chain(380, 390, 400, 410, 420, 430)).choose(4_000_000)

    assert strikes(choice.add) == [390, 400, 410, 420]
    assert len(choice.add) == 8


def test_percent_of_the_money_instead_of_a_number():
    """`--atm-pct 2.5` at 400 takes 390 to 410, both ends included."""
    choice = plan(chain(380, 390, 400, 410, 420), atm_pct=2.5).choose(4_000_000)

    assert strikes(choice.add) == [390, 400, 410]


def test_numbers_follow_expiry_strike_and_calls_first():
    """The recorder numbers contracts in this order, from 1."""
    choice = plan(list(reversed(chain(400, 410, expiries=(DAY, NEXT))))).choose(4_000_000)
    names = [one.symbol for one in numbered(choice.add)]

    assert names == [
        f"TSLA2611{day}{right}00{strike}000" for day in (23, 24) for strike in (400, 410) for right in "CP"
    ]
    assert [one.instrument_id for one in numbered(choice.add, 5)] == list(range(5, 13))


def test_what_was_chosen_stays_when_the_stock_moves():
    """Only what is new is added; nothing is ever taken away."""
    moving = plan(chain(*range(380, 450, 10)))
    first = moving.choose(4_000_000)
    second = moving.choose(4_200_000)

    assert strikes(first.add) == [390, 400, 410, 420]
    assert strikes(second.add) == [430, 440]
    assert strikes(moving.chosen.values()) == [390, 400, 410, 420, 430, 440]
    assert moving.choose(4_200_000).add == ()


def test_the_budget_keeps_the_nearest_and_names_the_rest():
    """What does not fit is said, never silently left out."""
    choice = plan(chain(390, 400, 410, expiries=(DAY, NEXT)), contracts_max=4).choose(4_010_000)

    assert strikes(choice.add) == [400]
    assert len(choice.add) == 4
    assert describe_left_out(choice) == "8 contracts are not recorded: the budget is full (strikes 390 to 410)"


def test_a_full_budget_adds_nothing_later():
    """Contracts once recorded are not dropped for new ones."""
    full = plan(chain(390, 400, 410, 420), strikes=1, contracts_max=4)
    full.choose(4_000_000)
    later = full.choose(4_150_000)

    assert later.add == ()
    assert strikes(later.left_out) == [420]


def test_a_day_without_its_own_expiry_uses_the_other_one_and_says_so():
    """TSLA lists no Tuesday expiry; `missing_dte` has the 0."""
    tuesday = plan(chain(400, expiries=(NEXT,)))

    assert tuesday.missing_dte == [0]
    assert tuesday.expiries == [NEXT]


@pytest.mark.parametrize(
    ("dte", "found"),
    [((0,), "no contract of TSLA expires today"), ((0, 1), "no contract of TSLA expires in 0 or 1 days")],
)
def test_no_expiry_at_all_names_the_next_ones(dte, found):
    """Exit code 4, with the days that exist."""
    with pytest.raises(DataError) as raised:
        plan(chain(400, expiries=(DAY + dt.timedelta(days=2), DAY + dt.timedelta(days=4))), dte=dte)

    assert raised.value.found == found
    assert raised.value.hint == "the next expiries are in 2, 4 days: `--dte 2`"


def test_no_options_at_all():
    """A symbol without a chain is told as such."""
    with pytest.raises(DataError, match="no contract of TSLA expires") as raised:
        plan([], dte=(0,))

    assert "may have no options" in raised.value.hint


def test_the_feeds_own_limit_holds_too():
    """The free feed gives 200 quotes at a time, whatever the settings say."""
    assert option_budget("indicative", 500) == 200
    assert option_budget("opra", 500) == 500


def told(symbol="TSLA261123C00400000", **changes):
    return {
        "symbol": symbol,
        "expiration_date": "2026-11-23",
        "strike_price": "400",
        "multiplier": "100",
        "size": "100",
        "open_interest": "2310",
        "open_interest_date": "2026-11-20",
        **changes,
    }


def fetched(*pages, **kwargs):
    def page(query):
        number = int(query.get("page_token", "0"))
        following = str(number + 1) if number + 1 < len(pages) else None
        return {"option_contracts": pages[number], "next_page_token": following}

    with serving({"/v2/options/contracts": page}) as server:
        params = dataclasses.replace(AlpacaParams(), trading_url=server.url, data_url=server.url)
        found = fetch_contracts(AlpacaRest(params, "key", "word"), "TSLA", DAY, 1, **kwargs)
    return found, server


def test_contracts_come_from_every_page_of_the_list():
    """The last day is always named: without it Alpaca ends the list at a weekend."""
    found, server = fetched([told("TSLA261124P00400000")], [], [told()])

    assert [one.symbol for one in found] == ["TSLA261123C00400000", "TSLA261124P00400000"]
    assert server.seen[0][2]["expiration_date_lte"] == "2026-11-24"
    assert found[0].open_interest == 2310
    assert found[0].open_interest_date == dt.date(2026, 11, 20)
    assert found[0].tick_rule is TickRule.PENNY_PROGRAM


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "TSLA1261123C00400000"},
        {"size": "10"},
        {"multiplier": "50"},
        {"symbol": "SPY261123C00400000"},
        {"symbol": "TSLA261130C00400000"},
        {"symbol": ""},
    ],
)
def test_what_is_no_plain_contract_of_the_day_is_left_out(wrong):
    """Adjusted deliverables, other roots, expiries nobody asked for."""
    found, _ = fetched([told(**wrong)])

    assert found == []


@pytest.mark.parametrize(
    "change", [{"open_interest": None}, {"open_interest_date": "2026-11-23"}, {"open_interest": "-1"}]
)
def test_open_interest_of_the_same_day_would_tell_the_future(change):
    """It is counted after the close; for a past day the list has today's."""
    found, _ = fetched([told(**change)])

    assert found[0].open_interest is None
    assert found[0].open_interest_date is None


def test_a_class_outside_the_penny_program_trades_in_nickels():
    """`ppind` is believed where Alpaca sends it."""
    found, _ = fetched([told(ppind=False)])

    assert found[0].tick_rule is TickRule.NICKEL


def test_a_past_day_asks_for_expired_contracts_too():
    """Both lists are read, because expired contracts may still be called active; none comes twice."""
    found, server = fetched([told()], is_past=True)

    assert len(found) == 1
    assert [request[2]["status"] for request in server.seen] == ["active", "inactive"]


@pytest.mark.parametrize(("budget", "count", "shares"), [(200, 1, [200]), (200, 3, [67, 67, 66]), (1, 2, [1, 0])])
def test_a_budget_is_divided_evenly(budget, count, shares):
    """The sum is the budget: a plan's limit holds for all symbols of a connection together."""
    assert fair_shares(budget, count) == shares


def test_a_budget_that_shrinks_keeps_what_is_nearest_the_money():
    """A recording that goes on beside another symbol has to give contracts up; they are named and stay out."""
    shrinking = plan(chain(380, 390, 400, 410, 420))
    shrinking.choose(4_000_000)

    given_up = shrinking.limit(4, 4_000_000)

    assert strikes(given_up) == [410, 420]
    assert strikes(shrinking.chosen.values()) == [390, 400]
    assert shrinking.choose(4_000_000).add == ()
