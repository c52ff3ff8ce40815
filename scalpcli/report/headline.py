"""The headline of a report: each figure with how sure it is, and the words it must not be read without.

Decides the order of the figures and when a target or a ratio rests on too little.
"""

from __future__ import annotations

from typing import Final

from scalpcli.report.certainty import CLUSTER_DAYS_MIN, DRAWS, LEVEL_PCT, UNITS_MIN
from scalpcli.report.figures import FIGURES, TARGETS, TRADES_MIN, Target, verdict
from scalpcli.report.section import Head, Section, number, shown

DAYS_MIN: Final = 30
"""Below so many days a Sharpe of days says little."""

Values = dict[str, float | None]


def headline(values: Values) -> list[Section]:
    """The headline figures with their intervals, then what stands behind them.

    Args:
        values: Figures and their `BOUNDS`.
    """
    return [_result(values), _behind(values)] if values["trades"] else [_nothing(values)]


def _nothing(values: Values) -> Section:
    rows = (
        {"figure": FIGURES["trades"].title, "value": "0", "remark": ""},
        {
            "figure": FIGURES["max_drawdown_pct"].title,
            "value": shown(values, "max_drawdown_pct"),
            "remark": f"{shown(values, 'max_drawdown_usd')}, at fills and the close",
        },
    )
    return Section("Result", (Head("figure", right=False), Head("value"), Head("remark", right=False)), rows)


def _result(values: Values) -> Section:
    """What was earned, and between what and what it lies."""
    targets = {target.figure: _target_words(target, values) for target in TARGETS}

    def row(name: str, remark: str = "") -> dict[str, str]:
        title = FIGURES[name].title
        return {"figure": title, "value": shown(values, name), "interval": interval(values, name), "remark": remark}

    rows = (
        row("trades", f"{shown(values, 'winners')} won, {shown(values, 'losers')} lost"),
        row("win_rate", targets["win_rate"]),
        row("reward_risk", targets["reward_risk"]),
        row("avg_winner_usd"),
        row("avg_loser_usd"),
        row("profit_factor"),
        row("expectancy_usd", "after fees"),
        row("net_pnl_usd"),
        row("sharpe_trades", "a trade"),
        row("sharpe_days", _days_words(values)),
    )
    heads = (
        Head("figure", "figure", right=False),
        Head("value", "value"),
        Head("interval", f"{LEVEL_PCT:g} % interval"),
        Head("remark", right=False),
    )
    return Section("Result", heads, rows, _interval_note(values))


def interval(values: Values, name: str) -> str:
    """`45.5 to 73.0`; empty where there is none."""
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    digits = FIGURES[name].digits
    return "" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def _interval_note(values: Values) -> str:
    trades, days = values["trades"] or 0, values["days"] or 0
    if trades < UNITS_MIN:
        return f"too few trades: intervals take {UNITS_MIN}, targets are decided from {TRADES_MIN} on"
    unit = "days" if days >= CLUSTER_DAYS_MIN else "trades"
    words = f"intervals: bootstrap over {unit}, {DRAWS:,} draws, seeded"
    return words if trades >= TRADES_MIN else f"{words}; targets are decided from {TRADES_MIN} trades on"


def _behind(values: Values) -> Section:
    """What the result is made of."""

    def of(name: str) -> str:
        return shown(values, name)

    def row(name: str, remark: str = "", title: str = "") -> dict[str, str]:
        return {"figure": title or FIGURES[name].title, "value": of(name), "remark": remark}

    rows = (
        row("gross_pnl_usd", f"fees {of('fees_usd')}"),
        row("best_trade_usd", f"the best three are {of('best_three_pct')} of net"),
        row("worst_trade_usd", f"longest losing run {of('losing_streak_max')}"),
        row("expectancy_ticks", "a trade, after fees"),
        row("sortino_trades", f"of days {of('sortino_days')}"),
        row("psr_trades", _luck_words(values)),
        row("max_drawdown_pct", f"{of('max_drawdown_usd')}, at fills and the close"),
        row("max_drawdown_overall_pct", of("max_drawdown_overall_usd")),
        row("mae_pct_mean", f"of winners {of('winner_mae_pct_mean')}"),
        row("mfe_pct_mean", f"of losers {of('loser_mfe_pct_mean')}"),
        row("hold_s_median", f"mean {of('hold_s_mean')}, longest {of('hold_s_max')}"),
        row("exposure_pct", "of the sessions with an open position"),
        row("slippage_usd", f"{of('slippage_per_contract_usd')} a contract, {of('contracts')} contracts"),
        row("entry_slippage_usd", f"{of('entry_slippage_per_contract_usd')} a contract, against the ask", "  entries"),
        row("exit_slippage_usd", f"{of('exit_slippage_per_contract_usd')} a contract, against the bid", "  exits"),
        row(
            "mid_slippage_usd",
            f"{of('mid_slippage_per_contract_usd')} a contract, spread included",
            "  entries, to mid",
        ),
    )
    return Section("Behind it", (Head("figure", right=False), Head("value"), Head("remark", right=False)), rows)


def _luck_words(values: Values) -> str:
    trials = values["trials"] or 1
    if trials < 2:
        return "true Sharpe above 0; one setting tried"
    return f"deflated {shown(values, 'dsr_trades')}, best of {trials:.0f} settings"


def _target_words(target: Target, values: Values) -> str:
    """`> 55 %: undecided`."""
    unit = f" {FIGURES[target.figure].unit}".rstrip()
    return f"> {target.above:g}{unit}: {verdict(target, values)}"


def _days_words(values: Values) -> str:
    days = values["days"] or 0
    words = f"{days:.0f} {'day' if days == 1 else 'days'}"
    return f"{words}: too few" if days < DAYS_MIN else words
