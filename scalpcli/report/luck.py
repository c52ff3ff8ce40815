"""Luck: how many random traders the entries beat, and what other latencies and prices would have left.

Decides how results of replays read; the replays themselves are wired by the command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.statistics import NORMAL, wilson
from scalpcli.report.certainty import LEVEL_PCT, Interval
from scalpcli.report.section import Head, Section, number, table
from scalpcli.report.view import View
from scalpcli.runtime.sensitivity import LATENCIES_MS, TICKS, Point


@dataclass(frozen=True, slots=True)
class Luck:
    """A trader among random ones.

    Args:
        traders: Random traders.
        entries: True entries that random ones stand against.
        net_usd: Net of the true ones.
        null_mean_usd: Mean net of a random trader.
        null_low_usd: Net that 2.5 percent of random traders stay below.
        null_high_usd: Net that 2.5 percent of them exceed.
        beaten_pct: Share of random traders that made less, ties half.
        interval: Of that share, percent.
        p_value: Chance that a random trader does as well or better, the true one counted.
    """

    traders: int
    entries: int
    net_usd: float
    null_mean_usd: float
    null_low_usd: float
    null_high_usd: float
    beaten_pct: float
    interval: Interval
    p_value: float


def luck_of(net_usd: float, totals: NDArray[np.float64], entries: int) -> Luck:
    """Where a net stands among those of random traders."""
    traders = len(totals)
    share = float((totals < net_usd).mean() + 0.5 * (totals == net_usd).mean())
    low, high = wilson(share, traders, -NORMAL.inv_cdf(0.5 - LEVEL_PCT / 200.0))
    tails = np.percentile(totals, [50.0 - LEVEL_PCT / 2.0, 50.0 + LEVEL_PCT / 2.0])
    return Luck(
        traders=traders,
        entries=entries,
        net_usd=net_usd,
        null_mean_usd=float(totals.mean()),
        null_low_usd=float(tails[0]),
        null_high_usd=float(tails[1]),
        beaten_pct=100.0 * share,
        interval=Interval(100.0 * low, 100.0 * high),
        p_value=(1 + int((totals >= net_usd).sum())) / (traders + 1),
    )


def luck_view(luck: Luck | None, notices: Sequence[str]) -> View:
    """The answer to `--null`."""
    heads = (Head("what", right=False), Head("value"), Head("remark", right=False))
    if luck is None:
        section = Section("Luck", heads, ({"what": "no entry to hold against chance", "value": "", "remark": ""},))
        return View("luck", [section], [], {"notices": list(notices)})
    rows = (
        {
            "what": "these entries",
            "value": number(luck.net_usd, 2, "USD"),
            "remark": f"{luck.entries:,} entries, after fees",
        },
        {
            "what": "random traders, mean",
            "value": number(luck.null_mean_usd, 2, "USD"),
            "remark": f"95 % within {number(luck.null_low_usd, 0)} to {number(luck.null_high_usd, 0)}",
        },
        {
            "what": "random traders beaten",
            "value": number(luck.beaten_pct, 1, "%"),
            "remark": f"{number(luck.interval.low, 1)} to {number(luck.interval.high, 1)} of {luck.traders:,}",
        },
        {
            "what": "p-value",
            "value": number(luck.p_value, 3),
            "remark": "chance of doing as well at random minutes",
        },
    )
    note = "same sessions, gates, selection, exits, sides and times of day; other minutes"
    return View("luck", [Section("Luck", heads, rows, note)], [dataclasses.asdict(luck)], {"notices": list(notices)})


def sensitivity_view(points: Sequence[Point], notices: Sequence[str]) -> View:
    """The answer to `--sensitivity`: net by latency and ticks worse, over all sessions."""
    sums: dict[tuple[float, int], list[float]] = {}
    for point in points:
        entry = sums.setdefault((point.latency_ms, point.ticks), [0.0, 0.0])
        entry[0] += point.trades
        entry[1] += point.net_usd
    rows: list[dict[str, Any]] = [
        {"latency_ms": latency, "ticks_worse": ticks, "trades": int(trades), "net_pnl_usd": round(net, 4)}
        for (latency, ticks), (trades, net) in sorted(sums.items())
    ]
    cells = [
        {
            "latency": f"{latency:g} ms",
            "trades": number(sums[latency, 0][0], 0),
            **{f"ticks{ticks}": number(sums[latency, ticks][1], 2) for ticks in TICKS},
            "even": number(_ticks_to_break_even(sums, latency), 1),
        }
        for latency in LATENCIES_MS
        if (latency, 0) in sums
    ]
    heads = (
        Head("latency", "latency"),
        Head("trades", "trades"),
        *(Head(f"ticks{ticks}", f"{ticks} ticks worse" if ticks != 1 else "1 tick worse") for ticks in TICKS),
        Head("even", "ticks to 0"),
    )
    note = "net USD; worse prices are taken off every fill, decisions as they were"
    section = table("Break-even by latency and price", heads, cells, note)
    return View("sensitivity", [section], rows, {"notices": list(notices)})


def _ticks_to_break_even(sums: dict[tuple[float, int], list[float]], latency: float) -> float | None:
    """Ticks worse at every fill that leave nothing; unknown without trades, or where there is nothing to lose."""
    net, one = sums[latency, 0][1], sums[latency, 0][1] - sums[latency, 1][1]
    return net / one if net > 0 and one > 0 else None
