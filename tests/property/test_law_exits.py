"""Exits come when due: no target is let go by, no stop stands too long, no position outlives its time.

Read anew from the rows and the fills (definitions, section 8).
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.property.law_book import Book, Standing
from tests.property.law_play import Case, Played, Record, Seen, cases, in_every_manner, lengths, play
from tests.property.law_sessions import MS, S


def average_e4(fills: list[Record], before_ns: int) -> float:
    """Average premium of what was known to be bought before a time."""
    known = [fill for fill in fills if fill["leg"] == "entry" and fill["ts_ns"] < before_ns]
    return sum(fill["price_e4"] * fill["quantity"] for fill in known) / sum(fill["quantity"] for fill in known)


def profit_pct(quote: Standing, average: float) -> float | None:
    """Profit at the bid; an absent bid counts as 0; a crossed quote and one without an ask say nothing."""
    if quote.bid > 0 and quote.ask < quote.bid:
        return None
    return (max(quote.bid, 0) - average) * 100.0 / average


def moments(book: Book, number: int, fills: list[Record], decided_ns: int) -> list[tuple[int, float | None]]:
    """Times at which a position was judged before its exit was decided, and its profit then.

    These are the quote rows of its contract and the times its buys became known, which stand after all rows.
    """
    bought_ns = sorted({fill["ts_ns"] for fill in fills if fill["leg"] == "entry"})
    judged = [
        (quote.ts_ns, 0, profit_pct(quote, average_e4(fills, quote.ts_ns)))
        for _, quote in book.quotes_between(number, bought_ns[0] + 1, decided_ns - 1)
    ]
    judged += [
        (t_ns, 1, profit_pct(book.quote(number, book.position(t_ns)), average_e4(fills, t_ns + 1)))
        for t_ns in bought_ns
        if t_ns < decided_ns
    ]
    return [(t_ns, found) for t_ns, _, found in sorted(judged, key=lambda one: one[:2])]


def longest_stop_ns(judged: list[tuple[int, float | None]], stop_pct: float, decided_ns: int) -> int:
    """How long the stop condition stood at most without a break."""
    since_ns: int | None = None
    longest = 0
    for t_ns, found in judged:
        if found is None:
            continue
        if found <= -stop_pct:
            since_ns = t_ns if since_ns is None else since_ns
            continue
        longest = max(longest, 0 if since_ns is None else t_ns - since_ns)
        since_ns = None
    return max(longest, 0 if since_ns is None else decided_ns - since_ns)


@lengths(25, 1000)
def test_exits_come_when_they_are_due(length: settings) -> None:
    """Target at the row that meets it, stop when it has stood its time, the clock at the next instant."""
    seen = Seen("exits")

    @length
    @given(case=cases())
    def come(case: Case) -> None:
        book = Book(case.day)
        for one in in_every_manner(case):
            played = play(one)

            seen.add(played)
            for decided in played.of("exit"):
                if decided["reason"] != "EXPIRED":
                    seen.counts["judged"] += check_exit(one, book, played, decided)

    come()

    seen.check("TAKE_PROFIT", "STOP_LOSS", "TIME_EXIT", "judged", at_least=5)


def check_exit(case: Case, book: Book, played: Played, decided: Record) -> int:
    """Hold one exit against everything its position saw; how often the position was judged."""
    scalp, decided_ns = case.params.scalp, decided["ts_ns"]
    fills = [fill for fill in played.of("fill") if fill["signal"] == decided["signal"]]
    symbol = next(one["option_symbol"] for one in played.of("signal") if one["signal"] == decided["signal"])
    number = next(each.instrument_id for each in case.day.instruments if each.symbol == symbol)
    opened_ns = min(fill["ts_ns"] for fill in fills)

    judged = moments(book, number, fills, decided_ns)

    assert all(found is None or found < scalp.take_profit_pct for _, found in judged), decided
    stood_ns = longest_stop_ns(judged, scalp.stop_loss_pct, decided_ns)
    assert stood_ns <= case.params.exits.stop_confirm_ms * MS, decided
    step_ns = scalp.eval_interval_ms * MS or 20 * S
    assert decided_ns <= opened_ns + round(scalp.max_hold_minutes * 60) * S + step_ns, decided
    check_value(book, number, fills, decided)
    return len(judged)


def check_value(book: Book, number: int, fills: list[Record], decided: Record) -> None:
    """The exit's profit is the one at a bid of that moment on what was paid by then."""
    t_ns = decided["ts_ns"]
    stood = [book.quote(number, book.position(t_ns)), book.quote(number, book.position(t_ns - 1))]
    bids = {quote.bid for quote in stood} | {quote.bid for _, quote in book.quotes_between(number, t_ns, t_ns)}
    assert decided["bid_e4"] in bids, decided
    paid = {average_e4(fills, t_ns + 1)}
    if any(fill["ts_ns"] < t_ns for fill in fills):
        paid.add(average_e4(fills, t_ns))
    found = [(decided["bid_e4"] - average) * 100.0 / average for average in paid]
    assert any(decided["pnl_pct"] == pytest.approx(one, abs=1e-9) for one in found), decided
    if decided["reason"] == "TAKE_PROFIT":
        assert decided["value"] == decided["pnl_pct"], decided
    opened_ns = min(fill["ts_ns"] for fill in fills)
    assert decided["held_s"] == pytest.approx((t_ns - opened_ns) / S, abs=1e-9), decided
