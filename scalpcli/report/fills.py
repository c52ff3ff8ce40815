"""Every fill with what the market showed around it: slippage, price improvement, latencies and mark-outs.

Decides the reference prices. *Signal*: the quote the signal was made on (entries), the quote on which the exit
was decided (exits). *Submission*: the quote when the order that filled was sent. *Fill*: the quote it met. All
three stand in the journal; mark-outs, and the ask at an exit, come from the tape and are unknown without it.
Slippage is positive when worse: buys against the ask, sells against the bid, both against the mid. A mark-out
is what the position would have made from the fill to a later mid, positive when the fill was good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.report.events import Life, Record, SessionEvents, events_of
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.market import Market, Quotes, find_tape_of, read_market
from scalpcli.units import E4_PER_USD, NS_PER_MS, NS_PER_S

HORIZONS_S: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Times after a fill at which it is held against the mid."""
REFERENCES: Final = ("signal", "submission", "fill")


class Markets(Mapping[int, Market]):
    """Markets by position of their session, read when asked for; only the last one is kept.

    A session of five million rows takes about 100 MB, and a report may be of a year of them.

    Args:
        folders: Tape of each session that has one.
        symbols: Contracts to read from each tape.
    """

    def __init__(self, folders: Mapping[int, Path], symbols: Mapping[Path, set[str]]) -> None:
        self._folders = folders
        self._symbols = symbols
        self._last: tuple[Path, Market] | None = None

    def __getitem__(self, position: int) -> Market:
        folder = self._folders[position]
        if self._last is None or self._last[0] != folder:
            # Let go of the one before the next is read.
            self._last = None
            self._last = (folder, read_market(folder, self._symbols[folder]))
        return self._last[1]

    def __contains__(self, position: object) -> bool:
        return position in self._folders

    def __iter__(self) -> Iterator[int]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)


def markets_of(results: Results, *, with_missed: bool = False) -> tuple[Markets, list[str]]:
    """The market of every session that has trades and whose tape is there.

    Args:
        results: What was read.
        with_missed: Also read the contracts of signals that never filled.

    Returns:
        Markets by position of the session in `results.sessions`; why others are missing, in words.
    """
    missing = []
    symbols_of: dict[Path, set[str]] = {}
    folders: dict[int, Path] = {}
    for position, (session, symbols) in enumerate(_traded(results, with_missed=with_missed)):
        if not symbols:
            continue
        folder = find_tape_of(session)
        if isinstance(folder, str):
            missing.append(f"{session.symbol} {session.day}: {folder}; what needs its tape is left out")
            continue
        folders[position] = folder.resolve()
        symbols_of.setdefault(folders[position], set()).update(symbols)
    return Markets(folders, symbols_of), missing


def _traded(results: Results, *, with_missed: bool) -> list[tuple[SessionResult, set[str]]]:
    if not with_missed:
        return [(session, set(session.trades["option_symbol"])) for session in results.sessions]
    by_session = {id(session): events for session, events in events_of(results)}
    pairs = []
    for session in results.sessions:
        lives = by_session.get(id(session), SessionEvents()).lives.values()
        pairs.append((session, {life.signal["option_symbol"] for life in lives}))
    return pairs


def fill_rows(results: Results, markets: Mapping[int, Market]) -> list[dict[str, Any]]:
    """One row a fill, in order of the journal."""
    rows = []
    positions = {id(session): position for position, session in enumerate(results.sessions)}
    for session, events in events_of(results):
        market = markets.get(positions[id(session)])
        for number, life in sorted(events.lives.items()):
            quotes = market.contracts.get(life.signal["option_symbol"]) if market else None
            rows += [_row(session, number, life, fill, quotes, market) for fill in life.fills]
    return rows


def _row(
    session: SessionResult, number: int, life: Life, fill: Record, quotes: Quotes | None, market: Market | None
) -> dict[str, Any]:
    is_entry = fill["leg"] == "entry"
    sign = 1.0 if is_entry else -1.0
    worth = fill["quantity"] * STANDARD_MULTIPLIER
    price = fill["price_e4"] / E4_PER_USD
    order = next((each for each in life.orders if each["order_id"] == fill["order_id"]), None)
    first = next((each for each in life.orders if each["leg"] == fill["leg"]), order)
    row: dict[str, Any] = {
        "run": session.run_name,
        "session": session.day,
        "symbol": session.symbol,
        "signal": number,
        "trade": None if life.trade is None else life.trade["trade"],
        "leg": fill["leg"],
        "option_symbol": life.signal["option_symbol"],
        "quantity": fill["quantity"],
        "price": price,
        "ts_market_ns": fill["ts_market_ns"],
        "attempt": None if order is None else order["try"],
    }
    for name, (bid, ask) in _references(life, fill, order, quotes).items():
        touch = ask if is_entry else bid
        row[f"{name}_bid"], row[f"{name}_ask"] = bid, ask
        row[f"{name}_slippage_usd"] = None if touch is None else round(sign * (price - touch) * worth, 4)
        mid = None if bid is None or ask is None else (bid + ask) / 2.0
        row[f"{name}_mid_slippage_usd"] = None if mid is None else round(sign * (price - mid) * worth, 4)
    # A market order has no limit, and the price at which a stop wakes up is none.
    has_limit = order is not None and order["limit_e4"] > 0 and order["leg"] != "protect"
    limit = order["limit_e4"] / E4_PER_USD if order is not None and has_limit else None
    row["improvement_usd"] = None if limit is None else round(sign * (limit - price) * worth, 4)
    row |= _latencies(life, fill, order, first)
    row |= _mark_outs(fill, sign, price, quotes, market)
    return row


def _references(
    life: Life, fill: Record, order: Record | None, quotes: Quotes | None
) -> dict[str, tuple[float | None, float | None]]:
    """Bid and ask by reference; `None` = unknown."""
    if fill["leg"] == "entry":
        signal = _pair(life.signal)
    else:
        decided = life.exits[-1] if life.exits else None
        bid = None if decided is None else decided["bid_e4"] / E4_PER_USD
        ask = None
        if decided is not None and quotes is not None:
            found = float(quotes.at(decided["ts_ns"])[1])
            ask = None if math.isnan(found) else found
        signal = (bid, ask)
    return {"signal": signal, "submission": _pair(order), "fill": _pair(fill)}


def _pair(record: Record | None) -> tuple[float | None, float | None]:
    if record is None:
        return None, None
    bid, ask = record["bid_e4"] / E4_PER_USD, record["ask_e4"] / E4_PER_USD
    return (bid if bid > 0 else None), (ask if ask > 0 else None)


def _latencies(life: Life, fill: Record, order: Record | None, first: Record | None) -> dict[str, float | None]:
    """Milliseconds: decision to market, market to our knowledge, first order of the leg to this fill."""
    accepted = next((each for each in life.accepted if each["order_id"] == fill["order_id"]), None)
    return {
        "to_market_ms": None if not order or not accepted else _ms(order["ts_ns"], accepted["ts_market_ns"]),
        "to_report_ms": _ms(fill["ts_market_ns"], fill["ts_ns"]),
        "to_fill_ms": None if first is None else _ms(first["ts_ns"], fill["ts_market_ns"]),
    }


def _ms(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / NS_PER_MS


def _mark_outs(
    fill: Record, sign: float, price: float, quotes: Quotes | None, market: Market | None
) -> dict[str, float | None]:
    """USD a contract from the fill to later mids."""
    found: dict[str, float | None] = {}
    for horizon_s in HORIZONS_S:
        name = f"markout_{horizon_s:g}s_usd"
        at_ns = fill["ts_market_ns"] + round(horizon_s * NS_PER_S)
        if quotes is None or market is None or at_ns > market.tape.session.close_ns:
            found[name] = None
            continue
        mid = float(quotes.mid(at_ns))
        found[name] = None if math.isnan(mid) else round(sign * (mid - price) * STANDARD_MULTIPLIER, 4)
    return found


def missed_rows(results: Results, markets: Mapping[int, Market]) -> list[dict[str, Any]]:
    """Entries that were given up without a fill, and what the contract did afterwards, USD of the whole wish.

    Bought at the ask of the signal and sold at the bid a minute and five minutes later: what was missed, or spared.
    """
    rows = []
    positions = {id(session): position for position, session in enumerate(results.sessions)}
    for session, events in events_of(results):
        market = markets.get(positions[id(session)])
        for number, life in sorted(events.lives.items()):
            if life.unfilled is None:
                continue
            signal = life.signal
            quotes = market.contracts.get(signal["option_symbol"]) if market else None
            row: dict[str, Any] = {
                "run": session.run_name,
                "session": session.day,
                "signal": number,
                "option_symbol": signal["option_symbol"],
                "contracts": signal["suggested_contracts"],
                "reason": life.unfilled["reason"],
            }
            for minutes in (1, 5):
                bid = math.nan if quotes is None else float(quotes.at(signal["ts_ns"] + minutes * 60 * NS_PER_S)[0])
                usd = (bid - signal["ask_e4"] / E4_PER_USD) * signal["suggested_contracts"] * STANDARD_MULTIPLIER
                row[f"missed_{minutes}m_usd"] = None if math.isnan(usd) else round(usd, 4)
            rows.append(row)
    return rows
