"""The funnel in detail: per hour, per gate with the numbers that were compared, and what refusals cost.

Decides how records of episodes are pooled. What refused triggers would have made is a replay's answer, handed in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scalpcli.model import statistics
from scalpcli.model.session import ns_to_new_york
from scalpcli.report.events import events_of
from scalpcli.report.load import Results
from scalpcli.report.section import Head, Section, number, table
from scalpcli.report.view import View

STEPS = ("trigger", "refusal", "missed", "signal", "order", "fill", "exit", "trade")


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What one missed trigger would have made.

    Args:
        gate: What had the last word on it.
        net_usd: Net of the trade it would have been; `None` where no contract or no fill was to be had.
    """

    gate: str
    net_usd: float | None


def hourly(results: Results) -> list[dict[str, Any]]:
    """How often each step was taken, by New York hour."""
    counts: Counter[tuple[str, str]] = Counter()
    net: dict[str, list[float]] = {}
    for _, events in events_of(results):
        for record in events.episodes:
            counts[_hour(record["ts_ns"]), record["kind"]] += 1
        for life in events.lives.values():
            records = [life.signal, *life.orders, *life.fills, *life.exits]
            for record in records:
                counts[_hour(record["ts_ns"]), record["kind"]] += 1
            if life.trade is not None:
                counts[_hour(life.trade["ts_ns"]), "trade"] += 1
    for closed_ns, usd in results.trades.select("closed_ns", "net_pnl_usd").iter_rows():
        net.setdefault(_hour(closed_ns), []).append(usd)
    hours = sorted({hour for hour, _ in counts})
    return [
        {
            "hour": hour,
            **{f"{step}s" if step != "missed" else step: counts[hour, step] for step in STEPS},
            "net_pnl_usd": round(math.fsum(net.get(hour, ())), 4),
        }
        for hour in hours
    ]


def _hour(ts_ns: int) -> str:
    return f"{ns_to_new_york(ts_ns)[:2]}:00"


def refusals(results: Results) -> list[dict[str, Any]]:
    """Refusals by gate: how many, and the middle of the numbers compared."""
    values: dict[str, list[float]] = {}
    limits: dict[str, list[float]] = {}
    counts: Counter[str] = Counter()
    for _, events in events_of(results):
        for record in events.episodes:
            if record["kind"] == "refusal":
                gate = record["gate"]
                counts[gate] += 1
                for name, into in (("value", values), ("limit", limits)):
                    if record[name] is not None:
                        into.setdefault(gate, []).append(float(record[name]))
    return [
        {
            "gate": gate,
            "refusals": count,
            "value_median": statistics.median(values.get(gate, [])),
            "limit_median": statistics.median(limits.get(gate, [])),
        }
        for gate, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def counterfactual_rows(found: Sequence[Counterfactual]) -> list[dict[str, Any]]:
    """What missed triggers would have made, by the gate that had the last word."""
    by_gate: dict[str, list[Counterfactual]] = {}
    for each in found:
        by_gate.setdefault(each.gate, []).append(each)
    rows = []
    for gate, members in sorted(by_gate.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        known = [each.net_usd for each in members if each.net_usd is not None]
        rows.append(
            {
                "gate": gate,
                "missed": len(members),
                "would_have_traded": len(known),
                "would_have_won_pct": statistics.ratio(100.0 * sum(usd > 0 for usd in known), len(known)),
                "would_have_made_usd": round(math.fsum(known), 4) if known else None,
                "mean_usd": statistics.mean(known),
            }
        )
    return rows


def funnel_view(results: Results, found: Sequence[Counterfactual], notices: Sequence[str]) -> View:
    """The answer to `--funnel`."""
    rows, gates, missed = hourly(results), refusals(results), counterfactual_rows(found)
    sections = [_by_hour(rows), _by_gate(gates), _missed(missed)]
    more = {"notices": list(notices), "refusals": gates, "counterfactual": missed}
    return View("hours", [each for each in sections if each.rows], rows, more)


def _by_hour(rows: Sequence[dict[str, Any]]) -> Section:
    names = ("triggers", "refusals", "missed", "signals", "orders", "fills", "trades")
    cells = [
        {"hour": row["hour"][:2], **{name: f"{row[name]:,}" for name in names}, "net": number(row["net_pnl_usd"], 2)}
        for row in rows
    ]
    heads = (Head("hour", "hour", right=False), *(Head(name, name) for name in names), Head("net", "net USD"))
    return table("Funnel by hour (New York)", heads, cells, "an hour is named by its beginning")


def _by_gate(rows: Sequence[dict[str, Any]]) -> Section:
    cells = [
        {
            "gate": row["gate"],
            "count": f"{row['refusals']:,}",
            "value": number(row["value_median"], 3),
            "limit": number(row["limit_median"], 3),
        }
        for row in rows
    ]
    heads = (
        Head("gate", "refused by", right=False),
        Head("count", "times"),
        Head("value", "found, median"),
        Head("limit", "limit"),
    )
    return table("Refusals", heads, cells, "numbers are in the unit of the gate's setting")


def _missed(rows: Sequence[dict[str, Any]]) -> Section:
    cells = [
        {
            "gate": row["gate"],
            "missed": f"{row['missed']:,}",
            "traded": f"{row['would_have_traded']:,}",
            "won": number(row["would_have_won_pct"], 1),
            "net": number(row["would_have_made_usd"], 2),
            "mean": number(row["mean_usd"], 2),
        }
        for row in rows
    ]
    heads = (
        Head("gate", "last word", right=False),
        Head("missed", "missed"),
        Head("traded", "would trade"),
        Head("won", "win %"),
        Head("net", "net USD"),
        Head("mean", "mean USD"),
    )
    note = "COUNTERFACTUAL: each alone, on starting equity, the gates of selection opened; nobody traded these"
    return table("What the missed ones would have made", heads, cells, note)
