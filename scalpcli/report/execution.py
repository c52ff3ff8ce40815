"""How well orders were executed: the answer to `--execution` and `--decay`.

Decides how fills are pooled; the values of one fill come from `fills.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from scalpcli.model import statistics
from scalpcli.report.certainty import trade_intervals
from scalpcli.report.fills import HORIZONS_S, REFERENCES, fill_rows, markets_of, missed_rows
from scalpcli.report.funnel import total
from scalpcli.report.load import Results
from scalpcli.report.section import Head, Section, number, table
from scalpcli.report.summary import funnel_counts, usd_sum
from scalpcli.report.view import View

LEGS: Final = ("entry", "exit")
PERCENTILES: Final = (50, 90, 99)
_LATENCIES: Final = {
    "to_market_ms": "decision to market",
    "to_report_ms": "market to report",
    "to_fill_ms": "first order to fill",
}


def execution_view(results: Results) -> View:
    """Slippage, fills, latencies and mark-outs of every fill."""
    markets, missing = markets_of(results, with_missed=True)
    rows = fill_rows(results, markets)
    missed = missed_rows(results, markets)
    sections = [_slippage(rows), _orders(results, rows, missed), _latency(rows), mark_outs_section(rows)]
    more = {
        "notices": missing,
        "slippage": slippage(rows),
        "latencies_ms": latencies(rows),
        "mark_outs": mark_outs(rows),
        "missed_fills": missed,
    }
    return View("fills", [each for each in sections if each.rows], rows, more)


def slippage(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """USD and USD a contract, by leg and reference, against the touch and against the mid."""
    found = []
    for leg in LEGS:
        for reference in REFERENCES:
            entry: dict[str, Any] = {"leg": leg, "reference": reference}
            for name in ("slippage", "mid_slippage"):
                known = [
                    (row[f"{reference}_{name}_usd"], row["quantity"])
                    for row in rows
                    if row["leg"] == leg and row[f"{reference}_{name}_usd"] is not None
                ]
                usd = usd_sum(each for each, _ in known) if known else None
                entry[f"{name}_usd"] = usd
                entry[f"{name}_per_contract_usd"] = statistics.ratio(usd, sum(quantity for _, quantity in known))
            found.append(entry)
    return found


def _slippage(rows: Sequence[dict[str, Any]]) -> Section:
    cells = [
        {
            "leg": f"{each['leg']}, {_AT[each['reference']]}",
            "usd": number(each["slippage_usd"], 2),
            "one": number(each["slippage_per_contract_usd"], 2),
            "mid": number(each["mid_slippage_usd"], 2),
            "mid_one": number(each["mid_slippage_per_contract_usd"], 2),
        }
        for each in slippage(rows)
        if rows
    ]
    heads = (
        Head("leg", "against the quote", right=False),
        Head("usd", "touch USD"),
        Head("one", "a contract"),
        Head("mid", "mid USD"),
        Head("mid_one", "a contract"),
    )
    note = "touch: buys against the ask, sells against the bid; positive = worse"
    return table("Slippage", heads, cells, note)


_AT: Final = {"signal": "when decided", "submission": "when sent", "fill": "when filled"}


def _orders(results: Results, rows: Sequence[dict[str, Any]], missed: Sequence[dict[str, Any]]) -> Section:
    counts = funnel_counts(results)
    entered, ordered = total(counts, "entered"), total(counts, "ordered")
    partial = sum(1 for parts in _parts(rows).values() if parts > 1)
    improvement = usd_sum(row["improvement_usd"] for row in rows if row["improvement_usd"] is not None)
    waits = [row["to_fill_ms"] for row in rows if row["leg"] == "entry" and row["to_fill_ms"] is not None]
    cells = [
        {"what": "entries filled", "value": f"{entered:,} of {ordered:,}", "remark": _share(entered, ordered)},
        {"what": "orders filled in parts", "value": f"{partial:,} of {len(_parts(rows)):,}", "remark": ""},
        {"what": "time to fill, entries", "value": number(statistics.median(waits), 0, "ms"), "remark": "median"},
        {"what": "better than the limit", "value": number(improvement, 2, "USD"), "remark": "all fills"},
    ]
    if missed:
        for minutes in (1, 5):
            known = [row[f"missed_{minutes}m_usd"] for row in missed if row[f"missed_{minutes}m_usd"] is not None]
            value = number(usd_sum(known) if known else None, 2, "USD")
            remark = f"of {len(missed)}, bought at the signal's ask"
            cells.append({"what": f"missed fills, {minutes} min later", "value": value, "remark": remark})
    heads = (Head("what", right=False), Head("value"), Head("remark", right=False))
    return Section("Orders", heads, tuple(cells) if ordered else ())


def _share(part: int, whole: int) -> str:
    return number(statistics.ratio(100.0 * part, whole), 1, "%")


def _parts(rows: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], int]:
    """Fills by order."""
    parts: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = (row["run"], row["session"], row["symbol"], row["signal"], row["leg"], row["attempt"])
        parts[key] = parts.get(key, 0) + 1
    return parts


def latencies(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Percentiles and the largest of every latency, milliseconds."""
    found = {}
    for name in _LATENCIES:
        known = np.array([row[name] for row in rows if row[name] is not None])
        values: dict[str, float | None] = {
            f"p{percent}": float(np.percentile(known, percent)) if len(known) else None for percent in PERCENTILES
        }
        found[name] = values | {"max": float(known.max()) if len(known) else None, "count": float(len(known))}
    return found


def _latency(rows: Sequence[dict[str, Any]]) -> Section:
    cells = [
        {"what": _LATENCIES[name]} | {key: number(value, 0 if key == "count" else 1) for key, value in values.items()}
        for name, values in latencies(rows).items()
        if values["count"]
    ]
    heads = (
        Head("what", "latency, ms", right=False),
        *(Head(f"p{percent}", f"p{percent}") for percent in PERCENTILES),
        Head("max", "max"),
        Head("count", "fills"),
    )
    return table("Latency", heads, cells)


def mark_outs(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean mark-out, USD a contract, by leg and horizon, each fill weighted by its contracts, with its interval."""
    found = []
    for leg in LEGS:
        for horizon_s in HORIZONS_S:
            name = f"markout_{horizon_s:g}s_usd"
            known = [row for row in rows if row["leg"] == leg and row[name] is not None]
            contracts = sum(row["quantity"] for row in known)
            mean = statistics.ratio(math.fsum(row[name] * row["quantity"] for row in known), contracts)
            values = [row[name] for row in known]
            interval = trade_intervals(values, [0.0] * len(values), [row["session"] for row in known]).get(
                "expectancy_usd"
            )
            found.append(
                {
                    "leg": leg,
                    "horizon_s": horizon_s,
                    "fills": len(known),
                    "mean_usd": mean,
                    "low_usd": interval.low if interval else None,
                    "high_usd": interval.high if interval else None,
                }
            )
    return found


def mark_outs_section(rows: Sequence[dict[str, Any]]) -> Section:
    """Mark-outs of both legs side by side."""
    by_key = {(each["leg"], each["horizon_s"]): each for each in mark_outs(rows)}
    cells = []
    for horizon_s in HORIZONS_S:
        entry, leave = by_key["entry", horizon_s], by_key["exit", horizon_s]
        if entry["fills"] or leave["fills"]:
            cells.append(
                {
                    "after": f"{horizon_s:g} s",
                    "entry": number(entry["mean_usd"], 2),
                    "entry_interval": _between(entry),
                    "exit": number(leave["mean_usd"], 2),
                    "exit_interval": _between(leave),
                }
            )
    heads = (
        Head("after", "after"),
        Head("entry", "entries"),
        Head("entry_interval", "95 %"),
        Head("exit", "exits"),
        Head("exit_interval", "95 %"),
    )
    note = "USD a contract from the fill to a later mid; positive = the fill was good"
    return table("Mark-outs", heads, cells, note)


def _between(each: dict[str, Any]) -> str:
    return "" if each["low_usd"] is None else f"{number(each['low_usd'], 2)} to {number(each['high_usd'], 2)}"


def decay_view(results: Results) -> View:
    """How fast the edge goes: the mid against the mid at the signal, by the time a trader would have waited."""
    markets, missing = markets_of(results)
    rows: list[dict[str, Any]] = []
    for horizon_s in (0.0, *HORIZONS_S):
        moves = []
        for position, session in enumerate(results.sessions):
            market = markets.get(position)
            if market is None:
                continue
            for symbol, signal_ns in session.trades.select("option_symbol", "signal_ns").iter_rows():
                quotes = market.contracts.get(symbol)
                if quotes is not None and signal_ns is not None:
                    mids = quotes.mid([signal_ns, signal_ns + round(horizon_s * 1e9)])
                    moves.append(float(mids[1] - mids[0]) * 100.0)
        known = [move for move in moves if not math.isnan(move)]
        rows.append({"after_s": horizon_s, "trades": len(known), "mean_usd": statistics.mean(known)})
    rows = [row for row in rows if row["trades"]]
    cells = [
        {
            "after": f"{row['after_s']:g} s",
            "trades": f"{row['trades']:,}",
            "mean": number(row["mean_usd"], 2),
        }
        for row in rows
    ]
    heads = (Head("after", "after the signal"), Head("trades", "trades"), Head("mean", "mid moved, USD a contract"))
    note = "what whoever waits so long has already missed"
    return View("decay", [table("Decay of the edge", heads, cells, note)], rows, {"notices": missing})
