"""Law 7: no entry on a stale, crossed, halted, gapped or missing quote; no fill the market did not show."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

from hypothesis import given, settings

from scalpcli.model import row
from scalpcli.model.instrument import Instrument, TickRule
from tests.oracle.algoseek import merge
from tests.property.law_book import Book, Standing
from tests.property.law_play import Case, Played, Record, Seen, cases, crowded, in_every_manner, lengths, play
from tests.property.law_sessions import MS, Day, S, finished

CHANNELS = tuple(row.CHANNEL_NAMES)


def instrument_of(case: Case, symbol: str) -> Instrument:
    """The contract by its symbol."""
    return next(each for each in case.day.instruments if each.symbol == symbol)


def is_on_grid(instrument: Instrument, price_e4: int) -> bool:
    """Whether a price stands on the contract's tick grid."""
    steps = {TickRule.PENNY_PROGRAM: (100, 500), TickRule.NICKEL: (500, 1000)}[instrument.tick_rule]
    return price_e4 > 0 and price_e4 % steps[price_e4 >= 30_000] == 0


def check_market(case: Case, book: Book, order: Record, position: int) -> None:
    """The stock and both channels are alive, whole and open when a signal is ordered."""
    t_ns, gates = order["ts_ns"], case.params.gates
    stock = (row.STOCK_TRADE, row.STOCK_QUOTE, row.PRICE_ONLY)
    assert t_ns - book.last_row_ns(position, *stock) <= gates.underlying_silence_ms_max * MS
    assert t_ns - book.last_row_ns(position, row.OPTION_QUOTE) <= gates.option_silence_ms_max * MS
    _, price_ns = book.last_price(position, mid=case.params.scalp.price_source == "mid")
    assert t_ns - price_ns <= gates.underlying_price_age_ms_max * MS
    if book.last_row_ns(position, row.STOCK_QUOTE) > 0:
        spot = book.quote(row.UNDERLYING_ID, position)
        assert spot.is_two_sided
        assert t_ns - spot.ts_ns <= gates.underlying_price_age_ms_max * MS
        assert (spot.ask - spot.bid) * 200.0 / (spot.ask + spot.bid) <= gates.underlying_spread_pct_max
    assert not book.is_halted(row.UNDERLYING_ID, position)
    assert t_ns - book.halt_end_ns(row.UNDERLYING_ID, position) >= gates.halt_quiet_s * S
    for channel in CHANNELS:
        assert not book.is_blind(channel, position)
        assert t_ns - book.gap_end_ns(channel, position) >= gates.gap_quiet_s * S


def check_signal_order(case: Case, book: Book, order: Record, signal: Record) -> None:
    """The first order of a signal stands on a quote that may be bought at, and says which."""
    params, t_ns = case.params, order["ts_ns"]
    contract = instrument_of(case, order["symbol"])
    position = book.position(t_ns)
    quote = book.quote(contract.instrument_id, position)
    check_market(case, book, order, position)
    assert quote.is_two_sided
    assert t_ns - quote.ts_ns <= params.gates.option_quote_age_ms_max * MS
    assert quote.ts_ns >= book.gap_end_ns(row.CHANNEL_OPTION_QUOTES, position)
    assert not book.is_halted(contract.instrument_id, position)
    assert (quote.ask - quote.bid) * 200.0 / (quote.ask + quote.bid) <= params.scalp.max_spread_pct
    assert quote.ask_size >= params.gates.ask_size_min
    assert quote.ask <= params.scalp.max_contract_price * 10_000
    assert order["quantity"] <= quote.ask_size * params.risk.displayed_size_share_pct / 100
    assert (order["bid_e4"], order["ask_e4"]) == (quote.bid, quote.ask)
    assert (signal["bid_e4"], signal["ask_e4"]) == (quote.bid, quote.ask)
    assert (signal["bid_size"], signal["ask_size"]) == (quote.bid_size, quote.ask_size)
    assert signal["ts_ns"] == t_ns
    assert contract.right == {"call": "C", "put": "P"}[signal["side"]]


def meetings(book: Book, number: int, t_ns: int) -> Iterator[tuple[int, Standing]]:
    """Where an order may have met the market at `t_ns`: each quote row of that time, and what stands after all rows."""
    yield from book.quotes_between(number, t_ns, t_ns)
    position = book.position(t_ns)
    yield position, book.quote(number, position)


def check_fill(case: Case, book: Book, fill: Record, order: Record) -> int:
    """A fill is at the market's price, inside the limit, of a quote that was there; the position it met."""
    contract = instrument_of(case, order["symbol"])
    t_ns = fill["ts_market_ns"]
    is_entry = fill["leg"] == "entry"
    age_ns_max = case.params.simulated_broker.quote_age_ms_max * MS
    met = [
        position
        for position, quote in meetings(book, contract.instrument_id, t_ns)
        if (quote.bid, quote.ask) == (fill["bid_e4"], fill["ask_e4"])
        and fill["quantity"] <= (quote.ask_size if is_entry else quote.bid_size)
        and book.may_trade(contract.instrument_id, position, quote, t_ns, age_ns_max)
    ]
    assert met, fill
    assert fill["price_e4"] == fill["ask_e4" if is_entry else "bid_e4"] > 0
    if is_entry:
        assert fill["price_e4"] <= order["limit_e4"]
    else:
        assert fill["price_e4"] >= order["limit_e4"]
    assert order["ts_ns"] <= t_ns <= fill["ts_ns"]
    return met[0]


def check_size_once(case: Case, book: Book, played: Played) -> int:
    """While a price stands, no more is taken there than is shown; how many fills followed one at their price."""
    orders = {order["order_id"]: order for order in played.of("order")}
    by_side: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for fill in played.of("fill"):
        by_side[instrument_of(case, orders[fill["order_id"]]["symbol"]).instrument_id, fill["leg"]].append(fill)
    followed = 0
    for (number, leg), fills in by_side.items():
        fills.sort(key=lambda fill: fill["ts_market_ns"])
        taken, last = 0, fills[0]
        for fill in fills:
            stood = all(
                (quote.ask if leg == "entry" else quote.bid) == fill["price_e4"]
                for _, quote in book.quotes_between(number, last["ts_market_ns"] + 1, fill["ts_market_ns"])
            )
            is_same = fill is not last and stood and fill["price_e4"] == last["price_e4"]
            taken = fill["quantity"] + (taken if is_same else 0)
            followed += is_same
            sizes = [
                quote.ask_size if leg == "entry" else quote.bid_size
                for _, quote in meetings(book, number, fill["ts_market_ns"])
            ]
            assert taken <= max(sizes), (fill, taken, sizes)
            last = fill
    return followed


def check_run(case: Case, book: Book, played: Played) -> int:
    """Hold every order and every fill of a run against the market; how many fills followed one at their price."""
    orders = {order["order_id"]: order for order in played.of("order")}
    signals = {signal["signal"]: signal for signal in played.of("signal")}
    for order in orders.values():
        is_market = order["limit_e4"] == 0 and order["leg"] == "exit"
        assert is_market or is_on_grid(instrument_of(case, order["symbol"]), order["limit_e4"]), order
        if order["reason"] == "signal":
            check_signal_order(case, book, order, signals[order["signal"]])
    for fill in played.of("fill"):
        check_fill(case, book, fill, orders[fill["order_id"]])
    return check_size_once(case, book, played)


@lengths(28, 1000)
def test_law_7_entries_stand_on_quotes_that_may_be_traded(length: settings) -> None:
    """The market is read anew from the rows at every entry order and every fill, and must have been fit for it."""
    seen = Seen("law 7")

    @length
    @given(case=cases())
    def stands(case: Case) -> None:
        book = Book(case.day)
        for one in in_every_manner(case):
            played = play(one)
            seen.add(played, repeated=check_run(one, book, played))

    stands()

    seen.check("partial_fill", "reprice", "option_quote", "underlying_quote", "option_silence", "spread", "repeated")


@lengths(10, 300)
def test_law_7_no_entry_on_quotes_from_before_a_gap(length: settings) -> None:
    """Option quotes blink every few seconds, and no quiet time is asked for: only what was seen since then counts."""
    seen = Seen("law 7, blinks")

    @length
    @given(case=cases())
    def stands(case: Case) -> None:
        blinking = crowded(dataclasses.replace(case, day=with_blinks(case.day)))
        played = play(blinking)
        check_run(blinking, Book(blinking.day), played)
        seen.add(played)

    stands()

    seen.check("option_quote_age")


def with_blinks(day: Day) -> Day:
    """The day with gaps of option quotes every three seconds, each learned of when it is over."""
    times = range(day.session.open_ns + 2 * S, day.session.close_ns, 3 * S)
    both = row.GAP_BEGIN | row.GAP_END
    rows = [
        {
            "kind": row.GAP, "ts_recv_ns": t_ns + 1, "ts_event_ns": t_ns, "size": row.CHANNEL_OPTION_QUOTES,
            "flags": both,
        }
        for t_ns in times
    ]  # fmt: skip
    return dataclasses.replace(day, columns=merge(day.columns, finished(rows, day.session).columns))
