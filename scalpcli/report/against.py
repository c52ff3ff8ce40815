"""A live run and the simulated broker on the same rows: where the difference in result comes from.

Decides which part of the difference each trade and each fee belongs to. All money is whole 1/10000 USD, so the parts
add up to the difference exactly:

1. *Missed*: a trade that only one of the two made counts whole, before fees; why the other did not make it is told as
   far as its journal knows.
2. *Partial fills*: both made it, with other quantities: what simulation's result would be for live's quantity, less
   what it was. Rounded to the cent.
3. *Latency*: both made it, at other times: what the quotes that stood at live's fills (the ask for buys, the bid for
   sells) come to, less what those at the simulated fills come to, for live's quantity. Decisions to leave that fell
   at another time, because the position was another, are in it.
4. *Price*: the rest of such a trade: how much better or worse than the quote that stood the fills were. What stood at
   a live fill is told by the market's own clock, on the tape and in the broker's words.
5. *Fees*: the day's fees of one less the other's.

Trades are the same where side and contract agree and the signals are within `parity.WITHIN_MS` of one another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scalpcli.model.instrument import STANDARD_MULTIPLIER, parse_occ
from scalpcli.report.events import Life, Record, SessionEvents
from scalpcli.report.parity import WITHIN_MS, pairs
from scalpcli.units import E4_PER_USD, NS_PER_MS

CENT_E4: Final = E4_PER_USD // 100
QuoteAt = Callable[[str, int], tuple[int, int] | None]
"""Bid and ask of a contract at a time of the market's clock, 1/10000 USD; nothing where none is known."""
PARTS: Final = {
    "latency": "the market moved between the fills of the two",
    "price": "fills better or worse than the quote that stood",
    "missed": "trades that only one of the two made",
    "partial": "other quantities of the same trades",
    "fees": "the day's fees",
}


@dataclass(frozen=True, slots=True)
class Book:
    """What one play of a session came to.

    Attributes:
        events: Its records.
        gross_e4: Result of closed trades before fees.
        fees_e4: The day's fees.
    """

    events: SessionEvents
    gross_e4: int
    fees_e4: int

    @property
    def net_e4(self) -> int:
        """Result after fees."""
        return self.gross_e4 - self.fees_e4


@dataclass(frozen=True, slots=True)
class Compared:
    """One trade, or one that only one of the two made.

    Attributes:
        live: As live made it.
        simulated: As the simulated broker made it.
        latency_e4: Its share of each part; fees are the day's, so they are no trade's.
        why: Of a missed one, why the other did not make it, as far as its journal tells.
    """

    live: Life | None
    simulated: Life | None
    latency_e4: int = 0
    price_e4: int = 0
    missed_e4: int = 0
    partial_e4: int = 0
    why: str = ""

    @property
    def life(self) -> Life:
        """Whichever there is."""
        found = self.live or self.simulated
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Split:
    """The difference between live and simulated, live less simulated.

    Attributes:
        live: Live's book.
        simulated: The simulated broker's.
        trades: What each trade gave to it.
        unnamed_e4: Result that no signal's trade accounts for: positions adopted from the account.
    """

    live: Book
    simulated: Book
    trades: tuple[Compared, ...]
    unnamed_e4: int

    @property
    def difference_e4(self) -> int:
        """Live's result after fees less the simulated one."""
        return self.live.net_e4 - self.simulated.net_e4

    @property
    def parts_e4(self) -> dict[str, int]:
        """The parts by the names of `PARTS`; they add up to the difference."""
        return {
            "latency": sum(each.latency_e4 for each in self.trades),
            "price": sum(each.price_e4 for each in self.trades),
            "missed": sum(each.missed_e4 for each in self.trades) + self.unnamed_e4,
            "partial": sum(each.partial_e4 for each in self.trades),
            "fees": self.simulated.fees_e4 - self.live.fees_e4,
        }


def split(live: Book, simulated: Book, quote_at: QuoteAt) -> Split:
    """Split the difference in result between two plays of the same rows.

    Args:
        live: As the real broker filled.
        simulated: As the simulated one did.
        quote_at: Quotes that stood when live's orders filled.
    """
    left, right = _by_contract(live.events), _by_contract(simulated.events)
    found = [
        _compared(*pair, quote_at) if all(pair) else _missed(*pair, live, simulated)
        for key in left.keys() | right.keys()
        for pair in pairs(left.get(key, ()), right.get(key, ()))
    ]
    found.sort(key=lambda each: (each.life.signal["ts_ns"], each.live is None))
    unnamed_e4 = _unnamed(live) - _unnamed(simulated)
    return Split(live, simulated, tuple(found), unnamed_e4)


def _by_contract(events: SessionEvents) -> dict[tuple[str, str], list[Life]]:
    found: dict[tuple[str, str], list[Life]] = {}
    for life in events.lives.values():
        # A signal without a closed trade has no result to compare.
        if life.trade is not None:
            found.setdefault((life.signal["side"], life.signal["option_symbol"]), []).append(life)
    return found


def _unnamed(book: Book) -> int:
    named_e4: int = sum(life.trade["gross_e4"] for life in book.events.lives.values() if life.trade is not None)
    return book.gross_e4 - named_e4


def _trade(life: Life) -> Record:
    assert life.trade is not None
    return life.trade


def _missed(made: Life | None, other: Life | None, live: Book, simulated: Book) -> Compared:
    if made is not None:
        return Compared(made, None, missed_e4=_trade(made)["gross_e4"], why=why_not(made, simulated.events))
    assert other is not None
    return Compared(None, other, missed_e4=-_trade(other)["gross_e4"], why=why_not(other, live.events))


def why_not(made: Life, other: SessionEvents) -> str:
    """Why another play of the same rows did not make a trade.

    Args:
        made: The trade's signal, as one play made it.
        other: The records of the other.
    """
    signal = made.signal
    near = [
        each for each in other.lives.values() if each.signal["side"] == signal["side"] and _is_near(each.signal, signal)
    ]
    same = [each for each in near if each.signal["option_symbol"] == signal["option_symbol"]]
    if same:
        return str(same[0].unfilled["reason"]) if same[0].unfilled is not None else "bought and not closed"
    if near:
        return f"took {short_name(near[0].signal['option_symbol'])} instead"
    for record in other.episodes:
        if record["kind"] == "missed" and record["side"] == signal["side"] and _is_near(record, signal):
            return " ".join(filter(None, (record["gate"], record["detail"])))
    return "no trigger rose"


def _is_near(one: Record, other: Record) -> bool:
    return bool(abs(one["ts_ns"] - other["ts_ns"]) <= WITHIN_MS * NS_PER_MS)


def _compared(live: Life | None, simulated: Life | None, quote_at: QuoteAt) -> Compared:
    assert live is not None
    assert simulated is not None
    ours, theirs = _trade(live), _trade(simulated)
    quantity, of = ours["quantity"], theirs["quantity"]
    # The simulated trade at live's quantity, as filled and at the quotes that stood.
    scaled_e4 = scaled(theirs["gross_e4"], quantity, of)
    scaled_market_e4 = scaled(_at_quotes(simulated, _quote_of_record), quantity, of)
    latency_e4 = _at_quotes(live, lambda fill: _quote_of_tape(fill, theirs["symbol"], quote_at)) - scaled_market_e4
    return Compared(
        live,
        simulated,
        latency_e4=latency_e4,
        price_e4=ours["gross_e4"] - scaled_e4 - latency_e4,
        partial_e4=scaled_e4 - theirs["gross_e4"],
    )


def scaled(sum_e4: int, quantity: int, of: int) -> int:
    """A sum of `of` contracts for `quantity` of them, to the cent; halves go away from zero."""
    if quantity == of:
        return sum_e4
    sign = -1 if sum_e4 < 0 else 1
    return sign * ((2 * abs(sum_e4) * quantity + of * CENT_E4) // (2 * of * CENT_E4)) * CENT_E4


def _at_quotes(life: Life, quote_of: Callable[[Record], tuple[int, int]]) -> int:
    """Result of a trade had each fill been at the quote that stood; what no fill tells stays as it was booked."""
    trade = _trade(life)
    gross_e4: int = trade["gross_e4"]
    for fill in life.fills:
        bid_e4, ask_e4 = quote_of(fill)
        contracts = fill["quantity"] * STANDARD_MULTIPLIER
        if fill["leg"] == "entry":
            gross_e4 += (fill["price_e4"] - ask_e4) * contracts
        else:
            gross_e4 += (bid_e4 - fill["price_e4"]) * contracts
    return gross_e4


def _quote_of_record(fill: Record) -> tuple[int, int]:
    return fill["bid_e4"], fill["ask_e4"]


def _quote_of_tape(fill: Record, symbol: str, quote_at: QuoteAt) -> tuple[int, int]:
    """The quote that stood at a live fill; for a side that is not known the fill's price, so that it is latency."""
    bid_e4, ask_e4 = quote_at(symbol, fill["ts_market_ns"] or fill["ts_ns"]) or (0, 0)
    return (bid_e4 if bid_e4 > 0 else fill["price_e4"]), (ask_e4 if ask_e4 > 0 else fill["price_e4"])


def short_name(symbol: str) -> str:
    """`395P`, as people say it; trades of one session seldom differ in expiry, and programs get the symbol."""
    contract = parse_occ(symbol)
    return f"{contract.strike_e4 / E4_PER_USD:g}{contract.right}"
