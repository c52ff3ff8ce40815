"""Law 6: every contract bought is sold or expires, cash adds up to the cent, nothing is left after the flatten time."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings

from scalpcli.model import row
from tests.property.law_book import Book
from tests.property.law_play import Case, Played, Record, Seen, cases, in_every_manner, lengths, play
from tests.property.law_sessions import MS, S

SHARES = 100
E4_PER_USD = 10_000
E4_PER_CENT = 100

# Alpaca's fees of November 2026, written down anew: USD a contract on both sides, a contract sold, a dollar sold.
PER_CONTRACT = {"orf": Fraction("0.015"), "occ": Fraction("0.025"), "cat": Fraction("0.000003") * SHARES}
PER_CONTRACT_SOLD = {"taf": Fraction("0.00329")}
PER_USD_SOLD = {"sec": Fraction("0.0000206")}


def fees_usd(fill: Record) -> dict[str, Fraction]:
    """Exact fees of one fill by type."""
    quantity, is_sale = fill["quantity"], fill["leg"] == "exit"
    premium = Fraction(fill["price_e4"] * quantity * SHARES, E4_PER_USD)
    fees = {name: rate * quantity for name, rate in PER_CONTRACT.items()}
    fees |= {name: rate * quantity * is_sale for name, rate in PER_CONTRACT_SOLD.items()}
    return fees | {name: rate * premium * is_sale for name, rate in PER_USD_SOLD.items()}


@dataclass
class Account:
    """One scalp's contracts and money as its records tell them."""

    bought: int = 0
    sold: int = 0
    paid_e4: int = 0
    received_e4: int = 0
    opened_ns: int = 0
    fees_usd: Fraction = Fraction(0)
    expired: int = 0
    exits: list[Record] = field(default_factory=list)
    fills: list[Record] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Contracts in hand."""
        return self.bought - self.sold - self.expired

    def fill(self, fill: Record) -> None:
        """Take one fill."""
        self.fills.append(fill)
        self.fees_usd += sum(fees_usd(fill).values())
        amount_e4 = fill["price_e4"] * fill["quantity"] * SHARES
        if fill["leg"] == "entry":
            self.opened_ns = self.opened_ns or fill["ts_ns"]
            self.bought += fill["quantity"]
            self.paid_e4 += amount_e4
        else:
            self.sold += fill["quantity"]
            self.received_e4 += amount_e4

    def expire(self, value_usd: float) -> None:
        """Settle what is left."""
        self.received_e4 += round(value_usd * E4_PER_USD) * self.held * SHARES
        self.expired = self.held


def booked(played: Played) -> dict[int, Account]:
    """Accounts by signal; every record of a fill and a trade is held against them on the way."""
    accounts: dict[int, Account] = defaultdict(Account)
    trades = 0
    for record in played.of("fill", "exit", "trade"):
        account = accounts[record["signal"]]
        if record["kind"] == "fill":
            assert record["quantity"] >= 1
            assert record["price_e4"] > 0
            account.fill(record)
            assert record["held"] == account.held >= 0, record
        elif record["kind"] == "exit":
            account.exits.append(record)
            if record["reason"] == "EXPIRED":
                account.expire(record["value"])
        else:
            check_trade(record, account, trades)
            trades += 1
    return accounts


def check_trade(trade: Record, account: Account, number: int) -> None:
    """A closed trade says what its fills say."""
    gross_e4 = account.received_e4 - account.paid_e4
    assert account.held == 0
    assert trade["trade"] == number
    assert trade["quantity"] == account.bought == account.sold + account.expired
    assert (trade["cost_e4"], trade["proceeds_e4"]) == (account.paid_e4, account.received_e4)
    assert trade["gross_e4"] == gross_e4
    assert trade["fees_estimate_e4"] == math.ceil(account.fees_usd * E4_PER_USD)
    assert trade["opened_ns"] == account.opened_ns
    assert trade["closed_ns"] == trade["ts_ns"]
    assert trade["exit_reason"] == account.exits[-1]["reason"]
    assert trade["pnl_pct"] == pytest.approx(100.0 * gross_e4 / account.paid_e4, abs=1e-9)


def day_fees_e4(fills: list[Record]) -> int:
    """The bill: each fee type summed over the day and rounded up to the cent once."""
    sums: Counter[str] = Counter()
    for fill in fills:
        sums.update(fees_usd(fill))
    return sum(math.ceil(usd * 100) for usd in sums.values()) * E4_PER_CENT


def check_sums(case: Case, played: Played, accounts: dict[int, Account]) -> None:
    """The last record is the sum of all others."""
    end = played.records[-1]
    gross_e4 = sum(account.received_e4 - account.paid_e4 for account in accounts.values())
    fees_e4 = day_fees_e4(played.of("fill"))
    start_e4 = round(case.params.risk.starting_equity_usd * E4_PER_USD)
    assert end["kind"] == "session_end"
    assert end["gross_e4"] == sum(trade["gross_e4"] for trade in played.of("trade")) == gross_e4
    assert end["fees_e4"] == fees_e4
    assert end["net_e4"] == gross_e4 - fees_e4
    assert end["equity_e4"] == start_e4 + gross_e4 - fees_e4
    assert end["triggers"] == dict(Counter(one["trigger"] for one in played.of("trigger")))
    assert end["refusals"] == dict(Counter(one["gate"] for one in played.of("refusal")))
    for name, kind in (("signals", "signal"), ("orders", "order"), ("fills", "fill"), ("trades", "trade")):
        assert end[name] == len(played.of(kind)), name
    shares_usd = played.journal.trades()["fees_usd"].sum()
    assert round(shares_usd * E4_PER_USD) == fees_e4
    assert round(played.journal.equity()["equity_usd"][-1] * E4_PER_USD) == end["equity_e4"]


@lengths(25, 1000)
def test_law_6_contracts_and_cash_add_up(length: settings) -> None:
    """Fills alone, summed anew with the fee table written down anew, give every trade and the end of the day."""
    seen = Seen("law 6")

    @length
    @given(case=cases())
    def adds_up(case: Case) -> None:
        for one in in_every_manner(case):
            played = play(one)

            accounts = booked(played)

            seen.add(played, contracts=sum(account.bought for account in accounts.values()))
            assert all(account.held == 0 for account in accounts.values())
            assert played.records[-1]["flat"] is True
            check_sums(one, played, accounts)

    adds_up()

    seen.check("partial_fill", "EXPIRED", "STOP_LOSS", "TAKE_PROFIT", "TIME_EXIT")


@lengths(25, 1000)
def test_law_6_nothing_is_held_where_the_market_bids(length: settings) -> None:
    """After an exit was decided, the flatten time's above all, only a market without a bid keeps a position open."""
    seen = Seen("law 6, flatten")

    @length
    @given(case=cases())
    def leaves(case: Case) -> None:
        book = Book(case.day)
        for one in in_every_manner(case):
            played = play(one)

            accounts = booked(played)

            seen.add(played)
            for signal, account in accounts.items():
                seen.counts["held into the flatten time"] += check_flatten(one, played, signal, account)
                seen.counts["good spans"] += check_sold_where_bid(one, played, book, signal, account)

    leaves()

    seen.check("held into the flatten time", "good spans", "EXPIRED", at_least=3)


def check_flatten(case: Case, played: Played, signal: int, account: Account) -> bool:
    """An exit is decided at the flatten time at the latest; whether the position was held until then."""
    flatten_ns = case.day.session.close_ns - round(case.params.exits.flatten_before_close_minutes * 60) * S
    if account.opened_ns >= flatten_ns:
        return False
    # Decided at the first instant from the flatten time on; at interval 0 that needs a print.
    step_ns = case.params.scalp.eval_interval_ms * MS or 20 * S
    assert account.exits[0]["ts_ns"] <= flatten_ns + step_ns
    closed_ns = next(trade["closed_ns"] for trade in played.of("trade") if trade["signal"] == signal)
    return bool(closed_ns >= flatten_ns)


def check_sold_where_bid(case: Case, played: Played, book: Book, signal: int, account: Account) -> int:
    """No span of fresh bids that did not fall, longer than a few tries, passes without a sale; how many there were."""
    broker, risk = case.params.simulated_broker, case.params.risk
    slow_ms = max((sum(pair) for pair in case.drawn_ms), default=broker.order_latency_ms + broker.report_latency_ms)
    patience_ns = round((4 * slow_ms + 2 * risk.reprice_after_ms) * MS)
    sales_ns = [fill["ts_market_ns"] for fill in account.fills if fill["leg"] == "exit"]
    trade = next(one for one in played.of("trade") if one["signal"] == signal)
    same = {one["signal"] for one in played.of("trade") if one["symbol"] == trade["symbol"]}
    sales = [fill for fill in played.of("fill") if fill["leg"] == "exit" and fill["signal"] in same]
    spans = good_spans(case, book, trade, sales, account.exits[0]["ts_ns"])
    for begin, end in ((begin, end) for begin, end in spans if end - begin > patience_ns):
        assert any(begin <= sale <= end for sale in sales_ns), (signal, begin, end)
    return len(spans)


def good_spans(case: Case, book: Book, trade: Record, sales: list[Record], first_ns: int) -> list[tuple[int, int]]:
    """Spans in which somebody bids at a price that did not fall and was not sold at before, and nothing hinders."""
    number = next(each.instrument_id for each in case.day.instruments if each.symbol == trade["symbol"])
    last_ns = trade["closed_ns"]
    age_ns = case.params.simulated_broker.quote_age_ms_max * MS
    received = case.day.columns["ts_recv_ns"]
    kinds = case.day.columns["kind"]
    inside = (received >= first_ns) & (received <= last_ns)
    about = (case.day.columns["instrument_id"] == number) & (kinds == row.OPTION_QUOTE)
    matters = inside & (about | (kinds == row.STATUS) | (kinds == row.GAP))
    times = sorted({first_ns, *received[matters].tolist(), last_ns})
    spans: list[tuple[int, int]] = []
    begin, bid = None, 0
    # What was sold at a price is gone; what another scalp sells there may be all there is.
    own, others = (
        [(fill["ts_market_ns"], fill["price_e4"]) for fill in sales if (fill["signal"] == trade["signal"]) is is_own]
        for is_own in (True, False)
    )
    for at_ns, until_ns in itertools.pairwise(times):
        position = book.position(at_ns)
        quote = book.quote(number, position)
        is_good = (
            quote.bid > 0
            and quote.bid_size > 0
            and book.may_trade(number, position, quote, until_ns, age_ns)
            and not any(sale_ns < until_ns and price == quote.bid for sale_ns, price in others)
            and not any(sale_ns <= at_ns and price == quote.bid for sale_ns, price in own)
        )
        if begin is not None and (not is_good or quote.bid < bid):
            spans.append((begin, at_ns))
            begin = None
        if is_good and begin is None:
            begin = at_ns
        bid = quote.bid
    return [*spans, (begin, times[-1])] if begin is not None else spans
