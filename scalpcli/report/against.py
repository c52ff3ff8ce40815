"""A live run and the simulated broker on the same rows: where the difference in result comes from.

Decides which part of the difference each trade and each fee belongs to. All money is whole 1/10000 USD, so the parts
add up to the difference exactly:

1. *Missed*: a trade that only one of the two made; it counts whole, before fees. What is told of them is a trade of
   the other kind: live missed it, or live alone made it.
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

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli import __version__
from scalpcli.model.instrument import STANDARD_MULTIPLIER, parse_occ
from scalpcli.model.session import ns_to_new_york
from scalpcli.report.events import Life, Record, SessionEvents
from scalpcli.report.parity import pairs
from scalpcli.report.section import Head, Section, number, table
from scalpcli.runtime.run_folder import replace_file
from scalpcli.units import E4_PER_USD

KEPT_FILE: Final = "against.json"
_TITLE: Final = "Live against the simulated broker"
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
    """

    live: Life | None
    simulated: Life | None
    latency_e4: int = 0
    price_e4: int = 0
    missed_e4: int = 0
    partial_e4: int = 0

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
        _compared(*pair, quote_at)
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


def _compared(live: Life | None, simulated: Life | None, quote_at: QuoteAt) -> Compared:
    if simulated is None or live is None:
        gross_e4 = (_trade(live)["gross_e4"] if live else 0) - (_trade(simulated)["gross_e4"] if simulated else 0)
        return Compared(live, simulated, missed_e4=gross_e4)
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


# --- kept beside the run ---------------------------------------------------------------------------------------


def keep(folder: Path, digest: str, found: dict[str, Any]) -> None:
    """Keep what was found in the run's folder, whole or not at all.

    Args:
        folder: The run.
        digest: sha256 of its journal; what was found holds for that one alone.
        found: `proof`, `result`, `trades` and `notices`.

    Raises:
        OSError: the folder cannot be written to.
    """
    text = json.dumps({"decisions_digest": digest, "code_version": __version__, **found}, indent=2) + "\n"
    replace_file(folder / KEPT_FILE, lambda work: work.write_text(text, encoding="utf-8"))


def kept(folder: Path, digest: str) -> dict[str, Any] | None:
    """What this version found about a run before; nothing where it did not, or the journal is another one now."""
    try:
        found: dict[str, Any] = json.loads((folder / KEPT_FILE).read_bytes())
        is_same = found["decisions_digest"] == digest and found["code_version"] == __version__
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if is_same else None


# --- as tables and rows --------------------------------------------------------------------------------------


def usd(value_e4: int) -> float:
    """Money in USD."""
    return value_e4 / E4_PER_USD


def trade_rows(found: Split) -> list[dict[str, Any]]:
    """One row a trade, for programs; money in USD."""
    return [
        {
            "signal_ns": each.life.signal["ts_ns"],
            "side": each.life.signal["side"],
            "option_symbol": each.life.signal["option_symbol"],
            "in_live": each.live is not None,
            "in_simulated": each.simulated is not None,
            "quantity_live": _trade(each.live)["quantity"] if each.live else None,
            "quantity_simulated": _trade(each.simulated)["quantity"] if each.simulated else None,
            "gross_live_usd": usd(_trade(each.live)["gross_e4"]) if each.live else None,
            "gross_simulated_usd": usd(_trade(each.simulated)["gross_e4"]) if each.simulated else None,
            "latency_usd": usd(each.latency_e4),
            "price_usd": usd(each.price_e4),
            "missed_usd": usd(each.missed_e4),
            "partial_usd": usd(each.partial_e4),
        }
        for each in found.trades
    ]


def result_object(found: Split) -> dict[str, Any]:
    """Results and parts for programs; money in USD, parts add up to `difference_usd`."""
    return {
        "live_net_usd": usd(found.live.net_e4),
        "simulated_net_usd": usd(found.simulated.net_e4),
        "difference_usd": usd(found.difference_e4),
        **{f"{name}_usd": usd(value) for name, value in found.parts_e4.items()},
    }


def proof_words(proof: dict[str, Any]) -> str:
    """A proof in words.

    Args:
        proof: As `keep` was given it.
    """
    if not proof["equal"]:
        return f"DIFFERS at line {proof['difference']['line']}"
    return f"{proof['decisions']:,} decisions equal{'' if proof['finished'] else ', session not finished'}"


def kept_sections(found: Sequence[tuple[str, dict[str, Any]]]) -> list[Section]:
    """What was found about live runs before, as tables of a report.

    Args:
        found: Name of a run and what `kept` tells of it.
    """
    if len(found) == 1 and found[0][1]["proof"]["equal"]:
        told = found[0][1]
        return [result_section(told["result"], proof_words(told["proof"]))]
    heads = (
        Head("run", "run", right=False),
        Head("proof", "proof", right=False),
        Head("difference", "difference"),
        *(Head(name, name) for name in PARTS),
    )
    rows = []
    for name, told in found:
        result = told.get("result", {})
        parts = {each: number(result.get(f"{each}_usd"), 2) for each in ("difference", *PARTS)}
        rows.append({"run": name, "proof": proof_words(told["proof"]), **parts})
    return [table(_TITLE, heads, rows, "USD, live less simulated")] if rows else []


def result_section(result: dict[str, Any], note: str = "") -> Section:
    """The parts as a table.

    Args:
        result: As `result_object` tells it.
        note: Line below it.
    """
    heads = (Head("part", "", right=False), Head("usd", "USD"), Head("what", "what it is", right=False))
    rows = [
        {"part": "live", "usd": number(result["live_net_usd"], 2), "what": "result after fees"},
        {"part": "simulated", "usd": number(result["simulated_net_usd"], 2), "what": "same rows, simulated broker"},
        {"part": "difference", "usd": number(result["difference_usd"], 2), "what": "live less simulated; of this:"},
    ]
    rows += [
        {"part": f"  {name}", "usd": number(result[f"{name}_usd"], 2), "what": what} for name, what in PARTS.items()
    ]
    return table(_TITLE, heads, rows, note)


def trades_section(rows: Sequence[dict[str, Any]]) -> Section:
    """What each trade gave to the difference.

    Args:
        rows: As `trade_rows` tells them.
    """
    heads = (
        Head("at", "signal", right=False),
        Head("contract", "contract", right=False),
        Head("where", "in", right=False),
        Head("n", "n"),
        Head("live", "live"),
        Head("simulated", "sim."),
        Head("latency", "latency"),
        Head("price", "price"),
        Head("partial", "partial"),
    )
    cells = [
        {
            "at": ns_to_new_york(row["signal_ns"])[:8],
            "contract": _contract(row["option_symbol"]),
            "where": "both" if row["in_live"] and row["in_simulated"] else "live" if row["in_live"] else "sim.",
            "n": _quantities(row),
            "live": number(row["gross_live_usd"], 2),
            "simulated": number(row["gross_simulated_usd"], 2),
            "latency": number(row["latency_usd"], 2),
            "price": number(row["price_usd"], 2),
            "partial": number(row["partial_usd"], 2),
        }
        for row in rows
    ]
    return table("Trades, USD before fees", heads, cells)


def _contract(symbol: str) -> str:
    """`395P`, as people say it; trades of one session seldom differ in expiry, and programs get the symbol."""
    contract = parse_occ(symbol)
    return f"{contract.strike_e4 / E4_PER_USD:g}{contract.right}"


def _quantities(row: dict[str, Any]) -> str:
    told = [str(row[name]) for name in ("quantity_live", "quantity_simulated") if row[name] is not None]
    return "/".join(dict.fromkeys(told))
