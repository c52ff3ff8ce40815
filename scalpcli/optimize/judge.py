"""Judges what a search chose: is it more than luck, and does it hold on sessions it was not chosen on.

Decides the figures of a verdict and their formulas, which `--accept-if` compares. Unknown is never zero and is
accepted by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from scalpcli.model.statistics import mean
from scalpcli.optimize.overfit import Overfit, deflated_sharpe, overfit_probability, plateau
from scalpcli.optimize.scores import Floats, figures, sharpe_rows
from scalpcli.optimize.search import Found, known
from scalpcli.optimize.space import Space

VERDICT: Final = {
    "objective": "objective of the chosen setting over the sessions it was chosen on",
    "trades": "its closed trades there",
    "win_rate": "100 * winners / trades there",
    "net_pnl_usd": "its net there, after fees",
    "expectancy_usd": "its net a trade there",
    "profit_factor": "net of its winners / -(net of its losers) there",
    "sharpe_days": "mean / standard deviation (n - 1) of its sessions' returns there; not annualised",
    "sessions_traded": "sessions with a trade there",
    "trials": "settings ever tried on these tapes, by the ledger",
    "trials_here": "settings tried in this search",
    "psr": "chance that its true Sharpe is above 0, as if it were the only one tried",
    "dsr": "chance that its true Sharpe is above the best that `trials` settings without skill would show",
    "sharpe_of_luck": "that best: expected largest Sharpe of `trials` settings without skill",
    "pbo": "share of half-and-half splits in which the best half is at or below the median of the other half",
    "pbo_loss": "share of these splits in which the choice loses on the other half",
    "pbo_slope": "slope of the choice's Sharpe on the other half against its Sharpe on its own",
    "plateau": "median objective of the neighbours / objective of the chosen setting",
    "oos_windows": "windows of the walk-forward in which a setting could be chosen",
    "oos_sessions": "sessions judged on by the walk-forward",
    "oos_trades": "closed trades there, each window by its own choice",
    "oos_net_pnl_usd": "net there, after fees",
    "oos_expectancy_usd": "net a trade there",
    "oos_profit_factor": "net of the winners / -(net of the losers) there",
    "oos_sharpe_days": "mean / standard deviation (n - 1) of the sessions' returns there; not annualised",
    "oos_ratio": "net a session there / net a session where each choice was made",
    "null_p": "chance that a random trader at the same times of day does as well (`--null-traders`)",
    "null_beaten_pct": "share of these random traders that made less, percent",
    "profitable_pct": "share of the settings tried here with a net above 0, percent",
}
"""Figures of a verdict by name, and how they are computed."""
QUANTILES: Final = (0, 5, 25, 50, 75, 95, 100)
"""Percentiles of the distribution that is shown."""

Figures = dict[str, float | None]


def verdict(found: Found, space: Space, trials: int, purge: int, embargo: int) -> tuple[Figures, Overfit | None]:
    """Every figure of a verdict, `None` where it has no value.

    Args:
        found: What the search found.
        space: What was searched.
        trials: Settings ever tried on the data.
        purge: Sessions left out of choosing before judged ones.
        embargo: Sessions left out after them.
    """
    values: Figures = dict.fromkeys(VERDICT)
    sums = found.table.sums(found.tried, found.seen)
    returns = sums[:, :, 5]
    values |= {"trials": float(trials), "trials_here": float(len(found.tried))}
    net = sums[:, :, 2].sum(axis=1)
    values["profitable_pct"] = 100.0 * float((net > 0).mean())
    overfit = overfit_probability(returns, purge, embargo)
    if overfit is not None:
        values |= {"pbo": overfit.pbo, "pbo_loss": overfit.loss_share, "pbo_slope": known(overfit.slope)}
    values |= _outside(found)
    if found.best is None:
        return values, overfit
    place = found.tried.index(found.best)
    columns = figures(sums[place : place + 1])
    values |= {name: known(float(column[0])) for name, column in columns.items() if name in VERDICT}
    values["objective"] = known(float(found.values[place]))
    deflated = deflated_sharpe(returns[place], sharpe_rows(returns), trials)
    if deflated is not None:
        values |= {"psr": deflated.psr, "dsr": deflated.dsr, "sharpe_of_luck": deflated.threshold}
    values["plateau"] = _plateau(found, space, place)
    return values, overfit


def _outside(found: Found) -> Figures:
    """Figures of the sessions judged on by the walk-forward, each window by its own choice."""
    if not found.windows:
        return {}
    chosen = [(fold, best) for fold, best, _ in found.windows if best is not None]
    parts = [found.table.sums([best], list(fold.test))[0] for fold, best in chosen]
    # A window in which nothing could be chosen trades nothing.
    values: Figures = {
        "oos_windows": float(len(chosen)),
        "oos_sessions": float(sum(len(fold.test) for fold, _, _ in found.windows)),
    }
    if not parts:
        return values
    columns = figures(np.concatenate(parts)[None])
    names = ("trades", "net_pnl_usd", "expectancy_usd", "profit_factor", "sharpe_days")
    values |= {f"oos_{name}": known(float(columns[name][0])) for name in names}
    inside = mean([float(found.table.sums([best], list(fold.train))[0, :, 2].mean()) for fold, best in chosen])
    outside = mean([float(part[:, 2].mean()) for part in parts])
    if inside is not None and outside is not None and inside > 0:
        values["oos_ratio"] = outside / inside
    return values


def _plateau(found: Found, space: Space, place: int) -> float | None:
    rows = [found.table.rows[number] for number in found.tried]
    places = np.array([[axis.place(value) for axis, value in zip(space.axes, row, strict=True)] for row in rows])
    steps = None
    if all(axis.values for axis in space.axes):
        steps = np.array(
            [[axis.values.index(value) for axis, value in zip(space.axes, row, strict=True)] for row in rows]
        )
    return plateau(places, steps, found.values, place)


def distribution(found: Found) -> list[dict[str, Any]]:
    """Percentiles of the objective, the net and the Sharpe of all settings tried, not of the chosen one alone."""
    sums = found.table.sums(found.tried, found.seen)
    columns: Mapping[str, Floats] = {"objective": found.values, **figures(sums)}
    names = ("objective", "trades", "net_pnl_usd", "expectancy_usd", "sharpe_days")
    rows = []
    for quantile in QUANTILES:
        row: dict[str, Any] = {"percentile": quantile}
        for name in names:
            finite = columns[name][np.isfinite(columns[name])]
            row[name] = float(np.percentile(finite, quantile)) if len(finite) else None
        rows.append(row)
    return rows


def ranking(found: Found, space: Space) -> list[dict[str, Any]]:
    """Every setting tried, the best first, with its figures."""
    sums = found.table.sums(found.tried, found.seen)
    columns = figures(sums)
    order = np.argsort(np.where(np.isfinite(found.values), -found.values, np.inf), kind="stable")
    rows = []
    for rank, place in enumerate(order, start=1):
        values = dict(zip(space.keys, found.table.rows[found.tried[place]], strict=True))
        row: dict[str, Any] = {"rank": rank} | values | {"objective": known(float(found.values[place]))}
        names = ("trades", "win_rate", "net_pnl_usd", "expectancy_usd", "profit_factor", "sharpe_days")
        rows.append(row | {name: known(float(columns[name][place])) for name in names})
    return rows
