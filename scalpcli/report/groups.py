"""Trades by something they have in common: the day, the hour, the trigger, a tag.

Decides what can be grouped by and how a group is named and ordered.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from scalpcli.model import statistics
from scalpcli.report.certainty import Interval, trade_intervals
from scalpcli.report.section import Head, number, table
from scalpcli.report.view import View

UNTAGGED: Final = "untagged"
_SPREADS_PCT: Final = (1.0, 2.0, 3.0, 5.0)
_NEW_YORK: Final = "America/New_York"


def _hour() -> pl.Expr:
    opened = pl.from_epoch(pl.col("opened_ns"), time_unit="ns").dt.replace_time_zone("UTC")
    return opened.dt.convert_time_zone(_NEW_YORK).dt.strftime("%H:00")


def _spread() -> pl.Expr:
    """`1 to 2 %` of the mid at the signal."""
    chosen: Any = pl.when(pl.col("spread_pct").is_null()).then(pl.lit("unknown"))
    low = 0.0
    for high in _SPREADS_PCT:
        chosen = chosen.when(pl.col("spread_pct") <= high).then(pl.lit(f"{low:g} to {high:g} %"))
        low = high
    named: pl.Expr = chosen.otherwise(pl.lit(f"above {low:g} %"))
    return named


def _confidence() -> pl.Expr:
    low = (pl.col("confidence") // 10).clip(0, 9) * 10
    return low.cast(pl.String).str.zfill(2) + " to " + (low + 9).cast(pl.String)


KEYS: Final[dict[str, pl.Expr]] = {
    "day": pl.col("session").dt.strftime("%Y-%m-%d"),
    "hour": _hour(),
    "trigger": pl.col("trigger"),
    "dte": pl.col("dte").cast(pl.String),
    "side": pl.col("side"),
    "contract": pl.col("option_symbol"),
    "exit-reason": pl.col("exit_reason"),
    "spread-bucket": _spread(),
    "confidence": _confidence(),
    "strategy": pl.col("config").str.slice(0, 12),
    "tag": pl.col("tag"),
    "symbol": pl.col("symbol"),
    "source": pl.when("synthetic").then(pl.lit("SYNTHETIC")).otherwise(pl.lit("recorded")),
}
"""What `--group-by` knows; a strategy is the settings a run was played with, by their digest."""
_BY_NAME: Final = ("day", "hour", "dte", "spread-bucket", "confidence")
"""Keys whose groups have an order of their own; the others tell the largest first."""


@dataclass(frozen=True, slots=True)
class Group:
    """Trades that have something in common.

    Args:
        name: What it is.
        trades: How many.
        win_rate: Percent with net > 0.
        net_pnl_usd: Their net.
        expectancy_usd: Their mean net.
        expectancy_interval: Where the true mean lies with 95 percent; `None` with too few trades.
        profit_factor: Net won over net lost.
        hold_s_median: Median holding time.
        fees_usd: Their fees.
    """

    name: str
    trades: int
    win_rate: float | None
    net_pnl_usd: float
    expectancy_usd: float | None
    expectancy_interval: Interval | None
    profit_factor: float | None
    hold_s_median: float | None
    fees_usd: float


def grouped(trades: pl.DataFrame, by: str, tags: Mapping[tuple[int, int], Sequence[str]] | None = None) -> list[Group]:
    """Trades by one of `KEYS`.

    Args:
        trades: As a report read them.
        by: The key.
        tags: Tags by run and position of the trade in it; a trade with several counts in each.
    """
    if by == "tag":
        trades = _with_tags(trades, tags or {})
    named = trades.with_columns(group=KEYS[by].fill_null("unknown"))
    groups = [_group(str(key[0]), part) for key, part in named.group_by("group", maintain_order=True)]
    if by in _BY_NAME:
        return sorted(groups, key=lambda group: group.name)
    return sorted(groups, key=lambda group: (-group.trades, group.name))


def _with_tags(trades: pl.DataFrame, tags: Mapping[tuple[int, int], Sequence[str]]) -> pl.DataFrame:
    keys = zip(trades["run"], trades["number"], strict=True)
    words = pl.Series("tag", [list(tags.get(key, ())) or [UNTAGGED] for key in keys], dtype=pl.List(pl.String))
    return trades.with_columns(words).explode("tag")


def _group(name: str, trades: pl.DataFrame) -> Group:
    net = trades["net_pnl_usd"].to_list()
    intervals = trade_intervals(net, [0.0] * len(net), trades["session"].to_list())
    won, lost = [usd for usd in net if usd > 0], [usd for usd in net if usd < 0]
    return Group(
        name=name,
        trades=len(net),
        win_rate=statistics.ratio(100.0 * len(won), len(net)),
        net_pnl_usd=round(math.fsum(net), 4),
        expectancy_usd=statistics.mean(net),
        expectancy_interval=intervals.get("expectancy_usd"),
        profit_factor=statistics.ratio(math.fsum(won), -math.fsum(lost)),
        hold_s_median=statistics.median(trades["held_s"].to_list()),
        fees_usd=round(math.fsum(trades["fees_usd"]), 4),
    )


def groups_view(groups: Sequence[Group], by: str) -> View:
    """The answer to `--group-by`."""
    heads = (
        Head("name", by, right=False),
        Head("trades", "trades"),
        Head("win", "win %"),
        Head("net", "net USD"),
        Head("mean", "mean USD"),
        Head("interval", "95 % of mean"),
        Head("hold", "hold s"),
    )
    rows = [
        {
            "name": group.name,
            "trades": f"{group.trades:,}",
            "win": number(group.win_rate, 1),
            "net": number(group.net_pnl_usd, 2),
            "mean": number(group.expectancy_usd, 2),
            "interval": _between(group.expectancy_interval),
            "hold": number(group.hold_s_median, 1),
        }
        for group in groups
    ]
    note = "hours are New York's, of the opening" if by == "hour" else ""
    return View("groups", [table(f"Trades by {by}", heads, rows, note)], [_plain(group, by) for group in groups])


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"{number(interval.low, 2)} to {number(interval.high, 2)}"


def _plain(group: Group, by: str) -> dict[str, Any]:
    values = dataclasses.asdict(group)
    interval = values.pop("expectancy_interval")
    values["expectancy_usd_low"] = interval["low"] if interval else None
    values["expectancy_usd_high"] = interval["high"] if interval else None
    return {"by": by, **values}
