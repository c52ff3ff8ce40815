"""A picture of one trade in a terminal: the contract's bid and ask while it was held, and what happened when.

Decides the grid: `COLUMNS` by `ROWS` characters. The band between bid and ask is drawn by its ends, fills and the
exit's decision by letters, stop and target by lines.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from scalpcli.model.session import ns_to_new_york
from scalpcli.report.attribution import PARTS, attribution_rows
from scalpcli.report.events import Life, events_of
from scalpcli.report.fills import markets_of
from scalpcli.report.load import Results
from scalpcli.report.market import Market
from scalpcli.report.section import Head, Section, number
from scalpcli.report.view import View
from scalpcli.report.words import read_words
from scalpcli.units import E4_PER_USD, NS_PER_S

COLUMNS: Final = 66
ROWS: Final = 16
_AROUND_S: Final = 20


def trade_view(results: Results, trade: int) -> View:
    """The answer to `report trade NUMBER`.

    Args:
        results: One run.
        trade: Number of the trade in it, from 1.
    """
    row = results.trades.row(trade - 1, named=True)
    session = next(each for each in results.sessions if trade in each.trades["number"])
    alone = Results.of(results.runs, [session])
    life = next(events.lives[row["signal"]] for _, events in events_of(alone))
    markets, missing = markets_of(alone)
    parts = next(each for each in attribution_rows(alone, markets) if each["number"] == trade)
    told = _facts(row, life, parts, results, trade)
    market = markets.get(0)
    heading = "\n".join(draw(row, life, market)) if market else ""
    heads = (Head("what", right=False), Head("value", right=False))
    rows = tuple({"what": name, "value": value} for name, value in told)
    return View("trade", [Section(f"Trade {trade}", heads, rows)], [row | parts], {"notices": missing}, heading)


def _facts(
    row: dict[str, Any], life: Life, parts: dict[str, Any], results: Results, trade: int
) -> list[tuple[str, str]]:
    signal, words = life.signal, read_words(results.runs[row["run"]].path).get(trade)
    last = life.exits[-1] if life.exits else None
    told = [
        ("contract", f"{row['option_symbol']}, {row['quantity']} contracts, delta {number(row['delta'], 2)}"),
        ("trigger", f"{row['trigger']}, {row['side']}, confidence {row['confidence']}"),
        (
            "signal",
            f"{ns_to_new_york(signal['ts_ns'])[:12]}, {_quoted(signal)}",
        ),
    ]
    told += [
        (
            fill["leg"],
            _filled(fill),
        )
        for fill in life.fills
    ]
    if last is not None:
        told.append(("left because", f"{last['message']} ({last['reason']}), held {row['held_s']:.1f} s"))
    told.append(("worst, best", f"{number(row['mae_pct'], 1, '%')}, {number(row['mfe_pct'], 1, '%')} at the bid"))
    told.append(("made of", ", ".join(f"{name} {number(parts[f'{name}_usd'], 2)}" for name in PARTS)))
    told.append(("net", number(row["net_pnl_usd"], 2, "USD")))
    if words is not None:
        told += [("tags", ", ".join(words.tags))] if words.tags else []
        told += [("note", note) for note in words.notes]
    return told


def _quoted(record: dict[str, Any]) -> str:
    return f"bid {_usd(record['bid_e4'])}, ask {_usd(record['ask_e4'])}"


def _filled(fill: dict[str, Any]) -> str:
    time = ns_to_new_york(fill["ts_market_ns"])[:12]
    return f"{time}, {fill['quantity']} at {_usd(fill['price_e4'])}, {_quoted(fill)}"


def _usd(price_e4: int) -> str:
    return f"{price_e4 / E4_PER_USD:.2f}"


def draw(row: dict[str, Any], life: Life, market: Market) -> list[str]:
    """Lines of the picture; empty where the contract has no quote around the trade."""
    quotes = market.contracts[row["option_symbol"]]
    around_ns = _AROUND_S * NS_PER_S
    first, last = row["signal_ns"] - around_ns, row["closed_ns"] + around_ns
    times = np.linspace(first, last, COLUMNS).astype(np.int64)
    bid, ask = quotes.at(times)
    fills = [(fill["ts_market_ns"], fill["price_e4"] / E4_PER_USD, fill["leg"]) for fill in life.fills]
    limits = _limits(row, life)
    levels = [*bid[~np.isnan(bid)], *ask[~np.isnan(ask)], *(price for _, price, _ in fills)]
    if not levels:
        return []
    low, high = min(levels), max(levels)
    span = max(high - low, 0.01)
    grid = [[" "] * COLUMNS for _ in range(ROWS)]

    def line(price: float) -> int:
        place: int = round((high - price) / span * (ROWS - 1))
        return place

    def column(ts_ns: int) -> int:
        return int(min(COLUMNS - 1, max(0, round((ts_ns - first) / max(1, last - first) * (COLUMNS - 1)))))

    for level in limits.values():
        if low <= level <= high:
            grid[line(level)] = ["·"] * COLUMNS
    for at in range(COLUMNS):
        for price, mark in ((bid[at], "_"), (ask[at], "‾")):
            if not math.isnan(price):
                grid[line(float(price))][at] = mark
    grid[ROWS - 1][column(row["signal_ns"])] = "^"
    for ts_ns, price, leg in fills:
        grid[line(price)][column(ts_ns)] = "B" if leg == "entry" else "S"
    names = {line(level): name for name, level in limits.items() if low <= level <= high}
    lines = []
    for at, cells in enumerate(grid):
        price = high - span * at / (ROWS - 1)
        lines.append(f"{price:7.2f} {''.join(cells)} {names.get(at, '')}".rstrip())
    begin, end = ns_to_new_york(int(times[0]))[:8], ns_to_new_york(int(times[-1]))[:8]
    lines.append(f"        {begin}{' ' * (COLUMNS - 16)}{end}")
    lines.append("        _ bid  ‾ ask  ^ signal  B bought  S sold  (New York time, USD a share)")
    return lines


def _limits(row: dict[str, Any], life: Life) -> dict[str, float]:
    """Bids at which stop and target stand."""
    stop, target = life.signal["stop_loss_pct"], life.signal["take_profit_pct"]
    return {
        "stop": row["entry_price"] * (1 - stop / 100.0),
        "target": row["entry_price"] * (1 + target / 100.0),
    }
