"""The difference between live and simulated is split into parts that add up, each with its meaning."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.report.against import Book, scaled, split
from scalpcli.report.against_view import keep, kept, result_object, trade_rows
from scalpcli.report.events import Life, SessionEvents

SECOND_NS = 1_000_000_000
CALL = "TSLA261120C00400000"
PUT = "TSLA261120P00400000"


def fill(leg, quantity, price_e4, market_ns, bid_e4=0, ask_e4=0):
    """A fill's record."""
    return {
        "leg": leg, "quantity": quantity, "price_e4": price_e4, "ts_market_ns": market_ns, "ts_ns": market_ns,
        "bid_e4": bid_e4, "ask_e4": ask_e4,
    }  # fmt: skip


def life(fills, *, at_ns=SECOND_NS, symbol=CALL):
    """A signal's life with one closed trade of these fills."""
    bought = [each for each in fills if each["leg"] == "entry"]
    sold = [each for each in fills if each["leg"] != "entry"]
    cost_e4, proceeds_e4 = (sum(each["price_e4"] * each["quantity"] * 100 for each in part) for part in (bought, sold))
    signal = {"ts_ns": at_ns, "side": "call" if symbol == CALL else "put", "option_symbol": symbol}
    trade = {
        "symbol": symbol,
        "quantity": sum(each["quantity"] for each in bought),
        "cost_e4": cost_e4,
        "proceeds_e4": proceeds_e4,
        "gross_e4": proceeds_e4 - cost_e4,
    }
    return Life(signal, fills=list(fills), trade=trade)


def book(*lives, fees_e4=0):
    """A session of these trades."""
    events = SessionEvents(dict(enumerate(lives)))
    return Book(events, sum(each.trade["gross_e4"] for each in lives), fees_e4)


def simulated_trade(quantity=10, *, at_ns=SECOND_NS, symbol=CALL):
    """Bought at an ask of 1.02, sold at a bid of 1.30."""
    return life(
        [
            fill("entry", quantity, 10_200, 2 * SECOND_NS, 10_000, 10_200),
            fill("exit", quantity, 13_000, 60 * SECOND_NS, 13_000, 13_200),
        ],
        at_ns=at_ns,
        symbol=symbol,
    )


def quotes(*known):
    """Quotes by time of the market: from each time on, bid and ask."""

    def at(symbol, market_ns):
        del symbol
        found = [quote for since_ns, *quote in known if since_ns <= market_ns]
        return tuple(found[-1]) if found else None

    return at


def test_a_later_and_dearer_fill_is_latency():
    """Live bought 300 ms later, when the ask was two cents higher, at that ask."""
    live = life([fill("entry", 10, 10_400, 2 * SECOND_NS + 300_000_000), fill("exit", 10, 13_000, 60 * SECOND_NS)])
    stood = quotes((0, 10_000, 10_200), (2 * SECOND_NS + 100_000_000, 10_200, 10_400), (50 * SECOND_NS, 13_000, 13_200))

    found = split(book(live), book(simulated_trade()), stood)

    assert found.parts_e4 == {"latency": -200 * 10 * 100, "price": 0, "missed": 0, "partial": 0, "fees": 0}


def test_a_fill_inside_the_spread_is_price():
    """Live bought at 1.01 while the ask was 1.02: a cent better for each of 1,000 shares."""
    live = life([fill("entry", 10, 10_100, 2 * SECOND_NS), fill("exit", 10, 13_000, 60 * SECOND_NS)])
    stood = quotes((0, 10_000, 10_200), (50 * SECOND_NS, 13_000, 13_200))

    found = split(book(live), book(simulated_trade()), stood)

    assert found.parts_e4 == {"latency": 0, "price": 100 * 10 * 100, "missed": 0, "partial": 0, "fees": 0}


def test_fewer_contracts_are_partial_fills():
    """Live got 4 of the 10 contracts at the same prices: six tenths of the gain are gone."""
    live = life([fill("entry", 4, 10_200, 2 * SECOND_NS), fill("exit", 4, 13_000, 60 * SECOND_NS)])
    stood = quotes((0, 10_000, 10_200), (50 * SECOND_NS, 13_000, 13_200))

    found = split(book(live), book(simulated_trade()), stood)

    assert found.parts_e4 == {"latency": 0, "price": 0, "missed": 0, "partial": -2_800 * 6 * 100, "fees": 0}


def test_a_trade_that_only_one_made_is_missed():
    """Live missed a call and made a put that the simulation did not."""
    alone = life([fill("entry", 1, 5_000, 0), fill("exit", 1, 4_000, 0)], symbol=PUT)

    found = split(book(alone), book(simulated_trade()), quotes())

    assert found.parts_e4["missed"] == -1_000 * 100 - 2_800 * 10 * 100
    assert [(row["in_live"], row["in_simulated"]) for row in trade_rows(found)] == [(True, False), (False, True)]


def without_trade(reason=None, *, symbol=CALL):
    """A signal's life in which nothing was closed."""
    found = life([fill("entry", 1, 1, 0), fill("exit", 1, 1, 0)], symbol=symbol)
    found.trade, found.unfilled = None, None if reason is None else {"reason": reason}
    return found


def episode(gate, detail="", *, at_ns=SECOND_NS, side="call", kind="missed"):
    """A record of a trigger that became no signal."""
    return {"kind": kind, "side": side, "ts_ns": at_ns, "gate": gate, "detail": detail}


@pytest.mark.parametrize(
    ("lives", "episodes", "why"),
    [
        ([without_trade("decided 2286 ms ago")], [], "decided 2286 ms ago"),
        ([without_trade()], [], "bought and not closed"),
        ([without_trade(symbol=PUT)], [episode("kill", "killed")], "kill killed"),
        ([], [episode("cooldown", at_ns=9 * SECOND_NS), episode("open_position")], "open_position"),
        ([], [episode("cooldown", side="put"), episode("spread", kind="refusal")], "no trigger rose"),
    ],
)
def test_why_a_trade_was_missed_is_told(lives, episodes, why):
    """What the journal of the other says of the same moment and side: an order unfilled before a gate."""
    live = Book(SessionEvents(dict(enumerate(lives)), episodes), 0, 0)

    found = split(live, book(simulated_trade()), quotes())

    assert [row["why"] for row in trade_rows(found)] == [why]


def test_another_contract_of_the_same_signal_is_told():
    """Live chose the next strike: each trade is missed by the other, for that reason."""
    other = simulated_trade()
    other.signal["option_symbol"] = other.trade["symbol"] = "TSLA261120C00405000"

    found = split(book(other), book(simulated_trade()), quotes())

    assert sorted(row["why"] for row in trade_rows(found)) == ["took 400C instead", "took 405C instead"]


def test_signals_far_apart_are_two_trades():
    """The same contract bought two seconds apart is not the same trade."""
    found = split(book(simulated_trade(at_ns=4 * SECOND_NS)), book(simulated_trade()), quotes())

    assert len(found.trades) == 2


def test_fees_are_the_days():
    """Fees are summed and rounded by the day, so that they are no trade's."""
    found = split(book(fees_e4=300), book(fees_e4=200), quotes())

    assert found.parts_e4["fees"] == -100
    assert found.difference_e4 == -100


def test_what_no_trade_accounts_for_is_missed():
    """A position adopted from the account was closed: the simulation never had it."""
    live = Book(SessionEvents(), -5_000, 0)

    found = split(live, book(), quotes())

    assert found.parts_e4["missed"] == -5_000


@pytest.mark.parametrize(
    ("sum_e4", "quantity", "of", "found"),
    [(1_000, 1, 3, 300), (-1_000, 1, 3, -300), (500, 1, 10, 100), (-500, 1, 10, -100), (777, 5, 5, 777)],
)
def test_a_share_is_rounded_to_the_cent(sum_e4, quantity, of, found):
    """Halves go away from zero, on both sides alike; the whole stays what it is."""
    assert scaled(sum_e4, quantity, of) == found


prices = st.integers(1, 50_000).map(lambda cents: cents * 100)
times = st.integers(0, 100).map(lambda second: second * SECOND_NS)


@st.composite
def trades(draw):
    """A closed trade in pieces."""
    bought = draw(st.lists(st.integers(1, 30), min_size=1, max_size=3))
    legs = [("entry", quantity) for quantity in bought] + [("exit", quantity) for quantity in reversed(bought)]
    fills = [fill(leg, quantity, draw(prices), draw(times), draw(prices), draw(prices)) for leg, quantity in legs]
    at_ns, symbol = draw(st.integers(0, 5)) * SECOND_NS // 2, draw(st.sampled_from([CALL, PUT]))
    return life(fills, at_ns=at_ns, symbol=symbol)


books = st.builds(lambda lives, fees: book(*lives, fees_e4=fees), st.lists(trades(), max_size=4), st.integers(0, 9_999))
stood = st.lists(st.tuples(times, prices, prices), max_size=5).map(lambda known: quotes(*sorted(known)))


@given(live=books, simulated=books, quote_at=stood)
def test_the_parts_add_up_to_the_difference(live, simulated, quote_at):
    """Whatever the fills, the quotes and the matches were, to 1/10000 USD."""
    found = split(live, simulated, quote_at)

    assert sum(found.parts_e4.values()) == found.difference_e4
    told = result_object(found)
    assert sum(round(told[f"{name}_usd"] * 10_000) for name in found.parts_e4) == round(told["difference_usd"] * 10_000)


def test_what_was_found_is_kept_for_its_journal_alone(tmp_path: Path):
    """Another journal, another version, or nothing there: it is found again."""
    keep(tmp_path, "digest", {"result": {"difference_usd": 1.0}})

    assert kept(tmp_path, "digest")["result"] == {"difference_usd": 1.0}
    assert kept(tmp_path, "other") is None
    shutil.rmtree(tmp_path)
    assert kept(tmp_path, "digest") is None
