"""Two sets of runs side by side: what differs, and whether the difference is more than chance.

Decides which figures are compared. The difference of a figure of trades has an interval; days that both sets have
are drawn together, since both saw one market, so that the market's luck falls out of the difference.
"""

from __future__ import annotations

from typing import Final

from scalpcli.report.certainty import Interval, Sample, differences
from scalpcli.report.figures import FIGURES
from scalpcli.report.load import Results
from scalpcli.report.section import Head, Section, number
from scalpcli.report.summary import figures, returns_of
from scalpcli.report.view import View

COMPARED: Final = (
    "sessions",
    "trades",
    "win_rate",
    "reward_risk",
    "profit_factor",
    "expectancy_usd",
    "net_pnl_usd",
    "sharpe_trades",
    "sharpe_days",
    "max_drawdown_pct",
    "max_drawdown_overall_pct",
    "hold_s_median",
    "fees_usd",
    "slippage_per_contract_usd",
    "fill_rate",
    "exposure_pct",
)


def compare_view(first: Results, second: Results) -> View:
    """The answer to `--compare A B`: figures of both, B - A, and its interval where it is one of trades."""
    values = figures(first), figures(second)
    intervals = differences(_sample(first), _sample(second))
    rows, cells = [], []
    for name in COMPARED:
        left, right = values[0][name], values[1][name]
        gap = None if left is None or right is None else right - left
        interval = intervals.get(name)
        rows.append(
            {
                "figure": name,
                "a": left,
                "b": right,
                "difference": gap,
                "difference_low": interval.low if interval else None,
                "difference_high": interval.high if interval else None,
                "verdict": _verdict(interval),
            }
        )
        digits, unit = FIGURES[name].digits, FIGURES[name].unit
        cells.append(
            {
                "figure": f"{FIGURES[name].title}, {unit}" if unit else FIGURES[name].title,
                "a": number(left, digits),
                "b": number(right, digits),
                "gap": number(gap, digits),
                "interval": f"{number(interval.low, digits)} to {number(interval.high, digits)}" if interval else "",
                "told": _verdict(interval),
            }
        )
    heads = (
        Head("figure", "figure", right=False),
        Head("a", "A"),
        Head("b", "B"),
        Head("gap", "B - A"),
        Head("interval", "95 % interval"),
        Head("told", right=False),
    )
    shared = {session.day for session in first.sessions} & {session.day for session in second.sessions}
    note = f"days in both: {len(shared)}"
    heading = f"A: {_named(first)}\nB: {_named(second)}"
    section = Section("Comparison", heads, tuple(cells), note)
    return View("comparison", [section], rows, {"a": _named(first), "b": _named(second)}, heading)


def _sample(results: Results) -> Sample:
    trades = results.trades
    return Sample(trades["net_pnl_usd"].to_list(), returns_of(trades), trades["session"].to_list())


def _verdict(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return "chance" if interval.low <= 0 <= interval.high else "differs"


def _named(results: Results) -> str:
    names = [str(run.path) for run in results.runs]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
