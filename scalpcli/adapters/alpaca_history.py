"""Alpaca's history as prints and quotes: the past in the words of the live feed.

Decides what of a page is a print and which prints were void. Cancelled and incorrect prints are left out
unless asked for: live they came, and were taken back by a message that history does not have. Leaves codes
and flags to those who write rows, which use the tables of the live feed. Bars give a session's levels and
volumes where no earlier tape does.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from scalpcli.adapters.aggregator_codes import PastQuote, PastTrade
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.alpaca_time import iso_to_ns
from scalpcli.errors import DataError
from scalpcli.model.note import PREVIOUS_LEVELS, VOLUME_PROFILE
from scalpcli.model.session import Session, ns_to_new_york_date, previous_session
from scalpcli.units import NS_PER_DAY, NS_PER_S, usd_to_e4

VOID: Final = frozenset({"canceled", "incorrect"})
"""What `u` of a print says when the print did not stand."""
_SHARES_SINCE: Final = dt.date(2025, 11, 3)
"""Until then sizes of stock quotes counted round lots of 100."""
_LOT: Final = 100
_BUCKET_S: Final = 1
_MINUTE_S: Final = 60


def stock_trades(
    rest: AlpacaRest,
    symbol: str,
    start_ns: int,
    end_ns: int,
    feed: str,
    *,
    with_void: bool = False,
    counts: Counter[str] | None = None,
) -> Iterator[list[PastTrade]]:
    """Prints of a stock, page by page, oldest first.

    Args:
        rest: Where to ask.
        symbol: The stock.
        start_ns: First instant, UTC nanoseconds.
        end_ns: First instant no more wanted.
        feed: `sip` or `iex`.
        with_void: Also prints that were cancelled or corrected later, as the live feed brought them.
        counts: Gets `void` and `unreadable`: rows left out.
    """
    counts = Counter() if counts is None else counts
    for page in rest.stock_pages("trades", symbol, start_ns, end_ns, feed):
        yield _trades(symbol, page, with_void=with_void, counts=counts)


def option_trades(
    rest: AlpacaRest, symbols: Sequence[str], start_ns: int, end_ns: int, *, counts: Counter[str] | None = None
) -> Iterator[list[PastTrade]]:
    """Prints of contracts, page by page; in order of time within one contract only."""
    counts = Counter() if counts is None else counts
    for page in rest.option_trade_pages(symbols, start_ns, end_ns):
        for symbol, prints in page.items():
            yield _trades(symbol, prints, with_void=False, counts=counts)


def stock_quotes(
    rest: AlpacaRest, symbol: str, start_ns: int, end_ns: int, feed: str, *, counts: Counter[str] | None = None
) -> Iterator[list[PastQuote]]:
    """Quotes of a stock, page by page, oldest first; sizes in shares."""
    counts = Counter() if counts is None else counts
    lot = _LOT if ns_to_new_york_date(start_ns) < _SHARES_SINCE else 1
    for page in rest.stock_pages("quotes", symbol, start_ns, end_ns, feed):
        result = []
        for row in page:
            try:
                result.append(
                    PastQuote(
                        symbol,
                        iso_to_ns(row["t"]),
                        float(row["bp"]),
                        float(row["bs"]) * lot,
                        str(row.get("bx") or ""),
                        float(row["ap"]),
                        float(row["as"]) * lot,
                        str(row.get("ax") or ""),
                        tuple(row.get("c") or ()),
                    )
                )
            except (DataError, KeyError, TypeError, ValueError):
                counts["unreadable"] += 1
        yield result


def _trades(
    symbol: str, page: Sequence[Mapping[str, Any]], *, with_void: bool, counts: Counter[str]
) -> list[PastTrade]:
    result = []
    for row in page:
        if not with_void and row.get("u") in VOID:
            counts["void"] += 1
            continue
        try:
            result.append(
                PastTrade(
                    symbol,
                    iso_to_ns(row["t"]),
                    float(row["p"]),
                    float(row["s"]),
                    str(row.get("x") or ""),
                    tuple(row.get("c") or ()),
                    int(row.get("i") or 0),
                )
            )
        except (DataError, KeyError, TypeError, ValueError):
            counts["unreadable"] += 1
    return result


def bar_notes(
    rest: AlpacaRest, symbol: str, session_date: dt.date, feed: str, *, sessions_max: int
) -> list[tuple[str, dict[str, Any]]]:
    """Head rows from Alpaca's bars, for who has no earlier tape.

    Levels come from the daily bar of the session before. The volume of each minute bar is spread evenly over its
    seconds: the profile is asked for sums from the open, which this changes within a minute only.

    Args:
        rest: Where to ask.
        symbol: The underlying.
        session_date: Day of the tape that gets the head rows.
        feed: `sip` or `iex`.
        sessions_max: Sessions of the volume profile.

    Returns:
        Kind and body of the notes; none of a kind for which Alpaca has no bars.
    """
    sessions = _earlier_sessions(session_date, sessions_max)
    notes: list[tuple[str, dict[str, Any]]] = []
    last = sessions[-1]
    midnight_ns = last.open_ns - NS_PER_DAY // 2
    daily = [bar for page in rest.bar_pages(symbol, "1Day", midnight_ns, last.close_ns, feed) for bar in page]
    # A daily bar is stamped at midnight in New York.
    of_day = [bar for bar in daily if ns_to_new_york_date(iso_to_ns(bar["t"])) == last.date]
    if of_day:
        levels = {f"{name}_e4": usd_to_e4(float(of_day[-1][name[0]])) for name in ("high", "low", "close")}
        notes.append((PREVIOUS_LEVELS, {"session": last.date.isoformat(), **levels}))
    volumes = {session.date: [0] * ((session.close_ns - session.open_ns) // NS_PER_S) for session in sessions}
    by_date = {session.date: session for session in sessions}
    for page in rest.bar_pages(symbol, "1Min", sessions[0].open_ns, last.close_ns, feed):
        for bar in page:
            _spread(bar, by_date, volumes)
    counted = [session.date for session in sessions if any(volumes[session.date])]
    if counted:
        profile = {
            "bucket_s": _BUCKET_S,
            "sessions": [date.isoformat() for date in counted],
            "volumes": [volumes[date] for date in counted],
        }
        notes.append((VOLUME_PROFILE, profile))
    return notes


def _earlier_sessions(session_date: dt.date, count: int) -> list[Session]:
    result = [previous_session(session_date)]
    while len(result) < count:
        result.insert(0, previous_session(result[0].date))
    return result


def _spread(bar: Mapping[str, Any], sessions: Mapping[dt.date, Session], volumes: dict[dt.date, list[int]]) -> None:
    """Add a minute's volume to its seconds; the remainder goes to the first ones."""
    start_ns = iso_to_ns(bar["t"])
    session = sessions.get(ns_to_new_york_date(start_ns))
    if session is None or not session.open_ns <= start_ns < session.close_ns:
        return
    first = (start_ns - session.open_ns) // NS_PER_S
    each, rest = divmod(int(bar["v"]), _MINUTE_S)
    seconds = volumes[session.date]
    for second in range(_MINUTE_S):
        if first + second < len(seconds):
            seconds[first + second] += each + (second < rest)


def day_prices_e4(rest: AlpacaRest, symbol: str, session: Session, feed: str) -> tuple[int, int, int]:
    """First, lowest and highest price of a past session, 1/10000 USD: what its contracts are chosen by.

    Raises:
        DataError: Alpaca has no bars of that day.
    """
    pages = rest.bar_pages(symbol, "1Min", session.open_ns, session.close_ns, feed)
    bars = [bar for page in pages for bar in page]
    if not bars:
        raise DataError(
            f"Alpaca has no bars of {symbol} on {session.date}",
            hint="check the symbol and the day; the free plan has none of the last 15 minutes",
        )
    low, high = min(float(bar["l"]) for bar in bars), max(float(bar["h"]) for bar in bars)
    return usd_to_e4(float(bars[0]["o"])), usd_to_e4(low), usd_to_e4(high)
