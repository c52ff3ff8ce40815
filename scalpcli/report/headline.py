"""The headline of a report: each figure with the words it must not be read without.

Decides the order of the figures and when a target or a ratio rests on too little.
"""

from __future__ import annotations

from typing import Final

from scalpcli.report.figures import FIGURES, TARGETS, TRADES_MIN, Target, verdict
from scalpcli.report.section import Head, Section, shown

DAYS_MIN: Final = 30
"""Below so many days a Sharpe of days says little."""


def headline(values: dict[str, float | None]) -> Section:
    """The headline figures, each with what it needs beside it."""
    targets = {target.figure: _target_words(target, values) for target in TARGETS}

    def row(name: str, remark: str = "", title: str = "") -> dict[str, str]:
        return {"figure": title or FIGURES[name].title, "value": shown(values, name), "remark": remark}

    def of(name: str) -> str:
        return shown(values, name)

    rows = [row("trades", f"{of('winners')} won, {of('losers')} lost" if values["trades"] else "")]
    if values["trades"]:
        rows += [
            row("win_rate", targets["win_rate"]),
            row("reward_risk", targets["reward_risk"]),
            row("avg_winner_usd", f"best {of('best_trade_usd')}"),
            row(
                "avg_loser_usd",
                f"worst {of('worst_trade_usd')}, losing run of {of('losing_streak_max')}",
            ),
            row("profit_factor"),
            row("expectancy_usd", "after fees"),
            row("net_pnl_usd", f"gross {of('gross_pnl_usd')}, fees {of('fees_usd')}"),
            row("sharpe_trades", "a trade, not annualised"),
            row("sharpe_days", _days_words(values)),
        ]
    rows.append(row("max_drawdown_pct", f"{of('max_drawdown_usd')}, at fills and the close"))
    if values["trades"]:
        rows += [
            row("hold_s_median", f"mean {of('hold_s_mean')}, longest {of('hold_s_max')}"),
            row("slippage_usd", f"{of('slippage_per_contract_usd')} a contract, {of('contracts')} contracts"),
            row(
                "entry_slippage_usd",
                f"{of('entry_slippage_per_contract_usd')} a contract, against the ask",
                "  entries",
            ),
            row(
                "exit_slippage_usd",
                f"{of('exit_slippage_per_contract_usd')} a contract, against the bid",
                "  exits",
            ),
            row(
                "mid_slippage_usd",
                f"{of('mid_slippage_per_contract_usd')} a contract, spread included",
                "  entries, to mid",
            ),
        ]
    heads = (Head("figure", right=False), Head("value"), Head("remark", right=False))
    return Section("Result", heads, tuple(rows))


def _target_words(target: Target, values: dict[str, float | None]) -> str:
    """`target > 55 %: too few trades (12 of 30)`."""
    unit = f" {FIGURES[target.figure].unit}".rstrip()
    told = verdict(target, values)
    if told == "too few trades":
        told = f"too few trades ({values['trades']:.0f} of {TRADES_MIN})"
    elif told == "unknown":
        told = "unknown, one side has no trades"
    return f"target > {target.above:g}{unit}: {told}"


def _days_words(values: dict[str, float | None]) -> str:
    days = values["days"] or 0
    words = f"annualised from {days:.0f} {'day' if days == 1 else 'days'}"
    return f"{words}: too few" if days < DAYS_MIN else words
