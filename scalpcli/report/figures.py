"""The figures of a report: their names, units and formulas.

Decides what each name means; `summary.py` computes them, `require.py` compares them. Nothing heavy is
imported here, so that a command can judge `--require` before it starts work.

A figure is unknown (`None`) where its formula has no value, like a win rate without trades; unknown is
never zero and never infinite, and meets no requirement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TRADES_MIN: Final = 30
"""Below so many trades a success target is undecided: chance decides more than skill."""
TRADING_DAYS_PER_YEAR: Final = 252


@dataclass(frozen=True, slots=True)
class Figure:
    """What one figure means.

    Args:
        title: Its name in tables.
        unit: `USD`, `%`, `s` or empty for a number or a count.
        digits: Digits behind the point in tables.
        formula: How it is computed; net is after fees, a session one symbol on one day of one run.
    """

    title: str
    unit: str
    digits: int
    formula: str


FIGURES: Final[dict[str, Figure]] = {
    "runs": Figure("runs", "", 0, "runs read"),
    "sessions": Figure("sessions", "", 0, "sessions of all runs, those without a trade included"),
    "days": Figure("days", "", 0, "different days among the sessions"),
    "synthetic_sessions": Figure("synthetic sessions", "", 0, "sessions whose tape was made up"),
    "coverage_pct": Figure(
        "coverage, least", "%", 2, "least share of a session its tape covers; unknown when unstated"
    ),
    "trades": Figure("trades", "", 0, "closed trades"),
    "winners": Figure("winners", "", 0, "trades with net > 0"),
    "losers": Figure("losers", "", 0, "trades with net < 0"),
    "win_rate": Figure("win rate", "%", 1, "100 * winners / trades"),
    "avg_winner_usd": Figure("average winner", "USD", 2, "sum of net of the winners / winners"),
    "avg_loser_usd": Figure("average loser", "USD", 2, "sum of net of the losers / losers; negative"),
    "reward_risk": Figure("R:R", "", 2, "avg_winner_usd / -avg_loser_usd"),
    "profit_factor": Figure("profit factor", "", 2, "sum of net of the winners / -(sum of net of the losers)"),
    "expectancy_usd": Figure("mean of a trade", "USD", 2, "net_pnl_usd / trades"),
    "expectancy_ticks": Figure("expectancy, cents a share", "", 2, "mean of net / contracts: ticks of 0.01 USD"),
    "net_pnl_usd": Figure("net P&L", "USD", 2, "gross_pnl_usd - fees_usd"),
    "gross_pnl_usd": Figure("gross P&L", "USD", 2, "premium received - premium paid, all trades"),
    "fees_usd": Figure("fees", "USD", 2, "fees of all trades"),
    "best_trade_usd": Figure("best trade", "USD", 2, "largest net of a trade"),
    "worst_trade_usd": Figure("worst trade", "USD", 2, "least net of a trade"),
    "losing_streak_max": Figure("longest losing run", "", 0, "most trades in a row with net < 0, in order of closing"),
    "best_three_pct": Figure(
        "share of the best three", "%", 1, "100 * sum of the three largest net / net_pnl_usd; unknown without a profit"
    ),
    "sharpe_trades": Figure(
        "Sharpe of trades", "", 2, "mean / standard deviation (n - 1) of net over starting equity; not annualised"
    ),
    "sortino_trades": Figure(
        "Sortino of trades", "", 2, "mean / sqrt(mean(min(r, 0)^2)) of r = net over starting equity; not annualised"
    ),
    "sharpe_days": Figure(
        "Sharpe of days",
        "",
        2,
        "sqrt(252) * mean / standard deviation (n - 1) of the day's net over its starting equity, days without"
        " trades as 0",
    ),
    "sortino_days": Figure(
        "Sortino of days", "", 2, "sqrt(252) * mean / sqrt(mean(min(r, 0)^2)) of the returns of sharpe_days"
    ),
    "psr_trades": Figure(
        "P(Sharpe > 0)",
        "",
        3,
        "probabilistic Sharpe of trades: chance that their true Sharpe is above 0, by their skewness and kurtosis",
    ),
    "dsr_trades": Figure(
        "P, deflated",
        "",
        3,
        "deflated Sharpe of trades: chance that it is above what the best of `trials` settings shows without skill",
    ),
    "trials": Figure("settings tried", "", 0, "different settings among the runs, or --trials where that is larger"),
    "confidence_auc": Figure(
        "confidence, pairs right",
        "",
        2,
        "share of winner-loser pairs in which the winner had the higher confidence, ties half; 0.5 says nothing",
    ),
    "exposure_pct": Figure("exposure", "%", 2, "100 * time with an open position / length of the sessions"),
    "mae_pct_mean": Figure("MAE, mean", "%", 2, "mean of the worst profit at the bid while held, of the premium"),
    "mfe_pct_mean": Figure("MFE, mean", "%", 2, "mean of the best profit at the bid while held, of the premium"),
    "winner_mae_pct_mean": Figure("MAE of winners, mean", "%", 2, "mean of mae_pct of the winners"),
    "loser_mfe_pct_mean": Figure("MFE of losers, mean", "%", 2, "mean of mfe_pct of the losers"),
    "max_drawdown_overall_pct": Figure(
        "drawdown, overall",
        "%",
        2,
        "largest 100 * (peak - equity) / peak over all sessions, each going on where the one before ended",
    ),
    "max_drawdown_overall_usd": Figure("drawdown, overall", "USD", 2, "largest peak - equity of the same"),
    "max_drawdown_pct": Figure(
        "drawdown, worst day", "%", 2, "worst session's largest 100 * (peak - equity) / peak, its start a peak"
    ),
    "max_drawdown_usd": Figure(
        "drawdown, worst day", "USD", 2, "worst session's largest peak - equity, its start a peak"
    ),
    "hold_s_median": Figure("hold time, median", "s", 1, "median of closing fill - opening fill, as learned"),
    "hold_s_mean": Figure("hold time, mean", "s", 1, "mean of the same"),
    "hold_s_max": Figure("hold time, longest", "s", 1, "largest of the same"),
    "contracts": Figure("contracts", "", 0, "contracts bought"),
    "slippage_usd": Figure("slippage", "USD", 2, "entry_slippage_usd + exit_slippage_usd"),
    "entry_slippage_usd": Figure(
        "slippage of entries", "USD", 2, "sum of 100 * contracts * (price - ask at the signal)"
    ),
    "exit_slippage_usd": Figure(
        "slippage of exits", "USD", 2, "sum of 100 * contracts * (bid at the exit's decision - price)"
    ),
    "mid_slippage_usd": Figure(
        "entries against the mid", "USD", 2, "sum of 100 * contracts * (price - mid at the signal)"
    ),
    "slippage_per_contract_usd": Figure("slippage", "USD", 2, "slippage_usd / contracts"),
    "entry_slippage_per_contract_usd": Figure("slippage of entries", "USD", 2, "entry_slippage_usd / contracts"),
    "exit_slippage_per_contract_usd": Figure("slippage of exits", "USD", 2, "exit_slippage_usd / contracts"),
    "mid_slippage_per_contract_usd": Figure("entries against the mid", "USD", 2, "mid_slippage_usd / contracts"),
    "triggers": Figure("triggers", "", 0, "triggers that rose"),
    "refusals": Figure("refusals", "", 0, "refusals journalled, once an episode and reason"),
    "missed": Figure("missed", "", 0, "episodes that ended without a signal"),
    "signals": Figure("signals", "", 0, "signals made"),
    "orders": Figure("orders", "", 0, "orders sent, entries and exits, every try"),
    "fills": Figure("fills", "", 0, "fills, entries and exits, parts counted"),
    "unfilled": Figure("unfilled", "", 0, "signals whose entry was given up without a fill"),
    "fill_rate": Figure("fill rate", "%", 1, "100 * signals with an entry fill / signals with an entry order"),
}
"""Name -> meaning."""
INTERVALS: Final = (
    "win_rate",
    "reward_risk",
    "avg_winner_usd",
    "avg_loser_usd",
    "profit_factor",
    "expectancy_usd",
    "net_pnl_usd",
    "sharpe_trades",
    "sortino_trades",
    "sharpe_days",
    "sortino_days",
)
"""Figures that come with a bootstrap interval."""
BOUNDS: Final[dict[str, Figure]] = {
    f"{name}_{side}": Figure(
        f"{FIGURES[name].title}, {side}", FIGURES[name].unit, FIGURES[name].digits, f"{side} end of its 95 % interval"
    )
    for name in INTERVALS
    for side in ("low", "high")
}
"""The ends of these intervals."""
REPLAYED: Final[dict[str, Figure]] = {
    "beaten_pct": Figure("random traders beaten", "%", 1, "share of random traders that made less; with --null only"),
    "p_value": Figure("p-value", "", 3, "chance that random entries do as well or better; with --null only"),
}
"""Figures that take a replay; unknown without it."""
NAMES: Final = FIGURES | BOUNDS | REPLAYED
"""Everything `--require` knows."""


@dataclass(frozen=True, slots=True)
class Target:
    """A success target of the original design: `figure` shall exceed `above`."""

    figure: str
    above: float


TARGETS: Final = (Target("win_rate", 55.0), Target("reward_risk", 1.5))
"""Source: original design, Success Metrics."""


def verdict(target: Target, values: dict[str, float | None]) -> str:
    """Whether a target is `met`, `missed`, or `undecided` because the interval holds it; `no trades` without any.

    Args:
        target: What is asked for.
        values: Figures and `BOUNDS`; with an unknown interval, or too few trades, nothing is decided.
    """
    trades = values.get("trades") or 0
    if not trades:
        return "no trades"
    low, high = values.get(f"{target.figure}_low"), values.get(f"{target.figure}_high")
    if trades < TRADES_MIN or low is None or high is None or low <= target.above <= high:
        return "undecided"
    return "met" if low > target.above else "missed"
