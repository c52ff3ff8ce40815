"""Figures of runs: from trades, sessions and journals to the names of `figures.py`.

Decides what is a return, a day, a winner, and how sessions and runs are pooled. The arithmetic stands in
`statistics.py`, the meaning of every name in `figures.py`.

Pooling: trades of all runs count alike. A day's return is the net of all sessions of that day over the
equity they started at together, so one session replayed twice does not become two days.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.model import statistics
from scalpcli.report.certainty import day_intervals, trade_intervals
from scalpcli.report.figures import FIGURES, INTERVALS, TRADING_DAYS_PER_YEAR
from scalpcli.report.funnel import Step, total
from scalpcli.report.load import Results
from scalpcli.units import NS_PER_S

_CENT: Final = 0.01
_BEST: Final = 3


def figures(results: Results, trials: int = 0) -> dict[str, float | None]:
    """Every figure of `figures.FIGURES`, in its order; `None` where it is unknown.

    Args:
        results: What was read.
        trials: Settings tried before these were chosen, where more than the runs show.
    """
    counts = funnel_counts(results)
    found: dict[str, float | None] = {
        "runs": len(results.runs),
        "sessions": len(results.sessions),
        "days": len({session.day for session in results.sessions}),
        "synthetic_sessions": sum(session.is_synthetic for session in results.sessions),
        "coverage_pct": _least(session.quality.coverage_pct for session in results.sessions),
        "max_drawdown_usd": _largest(session.drawdown[0] for session in results.sessions),
        "max_drawdown_pct": _largest(session.drawdown[1] for session in results.sessions),
        "triggers": total(counts, "trigger"),
        "refusals": total(counts, "refusal"),
        "missed": total(counts, "missed"),
        "signals": total(counts, "signal"),
        "orders": total(counts, "entry_order") + total(counts, "exit_order"),
        "fills": total(counts, "entry_fill") + total(counts, "exit_fill"),
        "unfilled": total(counts, "unfilled"),
        "fill_rate": statistics.ratio(100.0 * total(counts, "entered"), total(counts, "ordered")),
    }
    found |= _trade_figures(results.trades) | _slippage_figures(results.trades) | _day_figures(results)
    found |= _path_figures(results) | sharpe_figures(results, trials)
    return {name: found[name] for name in FIGURES}


def bounds(results: Results) -> dict[str, float | None]:
    """Ends of the intervals of `figures.INTERVALS`, by the names of `figures.BOUNDS`; `None` where unknown."""
    trades = results.trades
    found = trade_intervals(trades["net_pnl_usd"].to_list(), returns_of(trades), trades["session"].to_list())
    found |= day_intervals(day_returns(results))
    return {
        f"{name}_{side}": getattr(found[name], side) if name in found else None
        for name in INTERVALS
        for side in ("low", "high")
    }


def returns_of(trades: pl.DataFrame) -> list[float]:
    """Net of each trade over the equity its session started at."""
    return [usd / equity for usd, equity in trades.select("net_pnl_usd", "starting_equity_usd").iter_rows()]


def sharpe_figures(results: Results, trials: int) -> dict[str, float | None]:
    """How likely the Sharpe of trades is no luck, for one choice of settings and for the best of several.

    Settings are told apart by their digest. With one digest only, the Sharpe ratios that other settings would
    have shown are unknown, and their variance is taken as what chance alone gives an estimate: 1 / (trades - 1).
    """
    returns = returns_of(results.trades)
    sharpe, shape = statistics.sharpe(returns), statistics.moments(returns)
    tried: dict[str, list[float]] = {}
    for key, part in results.trades.group_by("config", maintain_order=True):
        tried[str(key[0])] = returns_of(part)
    number = max(len({run.manifest["config_digest"] for run in results.runs}), trials, 1)
    found: dict[str, float | None] = {"trials": number, "psr_trades": None, "dsr_trades": None}
    if sharpe is None or shape is None:
        return found
    others = [each for each in map(statistics.sharpe, tried.values()) if each is not None]
    variance = float(np.var(others, ddof=1)) if len(others) > 1 else 1.0 / (len(returns) - 1)
    best = statistics.expected_best_sharpe(variance, number)
    found["psr_trades"] = statistics.probabilistic_sharpe(sharpe, len(returns), *shape)
    found["dsr_trades"] = statistics.probabilistic_sharpe(sharpe, len(returns), *shape, best)
    return found


def equity_path(results: Results) -> NDArray[np.float64]:
    """Equity over all sessions in order of their day, each going on where the one before ended; empty when unknown."""
    path: list[NDArray[np.float64]] = []
    for session in sorted(results.sessions, key=lambda each: (each.day, each.run)):
        if len(session.equity_usd):
            begin = path[-1][-1] if path else session.equity_usd[0]
            path.append(session.equity_usd - session.equity_usd[0] + begin)
    return np.concatenate(path) if path else np.empty(0)


def _path_figures(results: Results) -> dict[str, float | None]:
    """Drawdown over all sessions, and the share of time with an open position."""
    usd, pct = statistics.max_drawdown(equity_path(results))
    seconds = sum(session.tally.close_ns - session.tally.open_ns for session in results.sessions) / NS_PER_S
    held = math.fsum(_held_s(session.trades) for session in results.sessions)
    return {
        "max_drawdown_overall_usd": usd,
        "max_drawdown_overall_pct": pct,
        "exposure_pct": statistics.ratio(100.0 * held, seconds if seconds > 0 else None),
    }


def _held_s(trades: pl.DataFrame) -> float:
    """Seconds in which at least one position was open."""
    total_ns = end_ns = 0
    for opened_ns, closed_ns in trades.select("opened_ns", "closed_ns").sort("opened_ns").iter_rows():
        total_ns += max(0, closed_ns - max(opened_ns, end_ns))
        end_ns = max(end_ns, closed_ns)
    return total_ns / NS_PER_S


def funnel_counts(results: Results) -> Counter[Step]:
    """The funnels of all sessions, added."""
    counts: Counter[Step] = Counter()
    for session in results.sessions:
        counts.update(session.tally.counts)
    return counts


def _trade_figures(trades: pl.DataFrame) -> dict[str, float | None]:
    """Figures of the trades' net, and of how long they were held."""
    in_order = trades.sort("closed_ns", maintain_order=True)
    net = in_order["net_pnl_usd"].to_list()
    returns = returns_of(in_order)
    won = [usd for usd in net if usd > 0]
    lost = [usd for usd in net if usd < 0]
    held = trades["held_s"].to_list()
    average_winner, average_loser = statistics.mean(won), statistics.mean(lost)
    return {
        "trades": len(net),
        "winners": len(won),
        "losers": len(lost),
        "win_rate": statistics.ratio(100.0 * len(won), len(net)),
        "avg_winner_usd": average_winner,
        "avg_loser_usd": average_loser,
        "reward_risk": statistics.ratio(average_winner, None if average_loser is None else -average_loser),
        "profit_factor": statistics.ratio(math.fsum(won), -math.fsum(lost)),
        "expectancy_usd": statistics.mean(net),
        "net_pnl_usd": usd_sum(trades["net_pnl_usd"]),
        "gross_pnl_usd": usd_sum(trades["gross_pnl_usd"]),
        "fees_usd": usd_sum(trades["fees_usd"]),
        "best_trade_usd": _largest(net),
        "worst_trade_usd": _least(net),
        "expectancy_ticks": statistics.mean(
            [usd / number for usd, number in zip(net, in_order["quantity"], strict=True)]
        ),
        "best_three_pct": _best_three_pct(net),
        "losing_streak_max": statistics.losing_streak(net),
        "sharpe_trades": statistics.sharpe(returns),
        "sortino_trades": statistics.sortino(returns),
        "hold_s_median": statistics.median(held),
        "hold_s_mean": statistics.mean(held),
        "hold_s_max": _largest(held),
        **_excursion_figures(trades),
    }


def _best_three_pct(net: Sequence[float]) -> float | None:
    whole = usd_sum(net)
    return 100.0 * math.fsum(sorted(net)[-_BEST:]) / whole if whole > 0 else None


def _excursion_figures(trades: pl.DataFrame) -> dict[str, float | None]:
    """How far trades went against and for us while held, and whether the confidence told winners from losers."""
    won, lost = trades.filter(pl.col("net_pnl_usd") > 0), trades.filter(pl.col("net_pnl_usd") < 0)

    def known(part: pl.DataFrame, name: str) -> list[float]:
        return part[name].drop_nulls().to_list()

    return {
        "confidence_auc": statistics.pair_share(known(won, "confidence"), known(lost, "confidence")),
        "mae_pct_mean": statistics.mean(known(trades, "mae_pct")),
        "mfe_pct_mean": statistics.mean(known(trades, "mfe_pct")),
        "winner_mae_pct_mean": statistics.mean(known(won, "mae_pct")),
        "loser_mfe_pct_mean": statistics.mean(known(lost, "mfe_pct")),
    }


def _slippage_figures(trades: pl.DataFrame) -> dict[str, float | None]:
    """Slippage in all and a contract; unknown without trades, and where no trade has a reference price."""
    quantities = trades["quantity"].to_list()
    contracts = sum(quantities)
    found: dict[str, float | None] = {"contracts": contracts}
    for name in ("entry", "exit", "mid"):
        amounts = trades[f"{name}_slippage_usd"].to_list()
        known = [(usd, quantity) for usd, quantity in zip(amounts, quantities, strict=True) if usd is not None]
        usd = usd_sum(usd for usd, _ in known) if known else None
        found[f"{name}_slippage_usd"] = usd
        found[f"{name}_slippage_per_contract_usd"] = statistics.ratio(usd, sum(quantity for _, quantity in known))
    entry, leave = found["entry_slippage_usd"], found["exit_slippage_usd"]
    found["slippage_usd"] = None if entry is None or leave is None else entry + leave
    found["slippage_per_contract_usd"] = statistics.ratio(found["slippage_usd"], contracts)
    return found


def _day_figures(results: Results) -> dict[str, float | None]:
    returns = day_returns(results)
    return {
        "sharpe_days": statistics.sharpe(returns, TRADING_DAYS_PER_YEAR),
        "sortino_days": statistics.sortino(returns, TRADING_DAYS_PER_YEAR),
    }


def day_returns(results: Results) -> list[float]:
    """Net over starting equity of each day, in order; days without trades count as 0."""
    equity: dict[dt.date, float] = {}
    for session in results.sessions:
        equity[session.day] = equity.get(session.day, 0.0) + session.starting_equity_usd
    net: dict[dt.date, list[float]] = {}
    for day, usd in results.trades.select("session", "net_pnl_usd").iter_rows():
        net.setdefault(day, []).append(usd)
    return [math.fsum(net.get(day, ())) / equity[day] for day in sorted(equity)]


def usd_sum(values: Iterable[float]) -> float:
    """Sum of amounts, to the 1/10000 USD they are whole in."""
    return round(math.fsum(values), 4)


def _least(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
