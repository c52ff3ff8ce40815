"""What settings earned, by session, and the figures of it.

A table of sums by setting and session is all a search needs: every figure here is a function of sums over the
sessions it is asked about, so any split of the sessions costs no further replay.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.errors import UsageError
from scalpcli.runtime.lane_replay import LaneResult
from scalpcli.units import E4_PER_USD

Floats = NDArray[np.float64]

PARTS: Final = ("trades", "winners", "net_usd", "won_usd", "lost_usd", "return")
"""Sums of one setting in one session; `return` is its net over the equity it started with."""
FIGURES: Final = {
    "trades": "closed trades",
    "winners": "trades with net > 0",
    "win_rate": "100 * winners / trades",
    "net_pnl_usd": "net of all trades, after fees",
    "expectancy_usd": "net_pnl_usd / trades",
    "profit_factor": "sum of net of the winners / -(sum of net of the losers)",
    "sharpe_days": "mean / standard deviation (n - 1) of the sessions' returns; not annualised",
    "sessions_traded": "sessions with a trade",
}
OBJECTIVES: Final = {"expectancy": "expectancy_usd", "sharpe": "sharpe_days", "profit_factor": "profit_factor"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a function of one's own is given: one setting over some sessions.

    Args:
        net_usd: Net of each session, after fees, shape `(sessions,)`.
        returns: The same over the equity it started with.
        trades: Closed trades of each session.
        figures: By name, as `FIGURES`; NaN = unknown.
    """

    net_usd: Floats
    returns: Floats
    trades: Floats
    figures: dict[str, float]


Objective = str | Callable[[Sample], float]


def sums_of(results: Sequence[LaneResult]) -> Floats:
    """One session's sums, shape `(settings, PARTS)`."""
    rows = []
    for result in results:
        net = [trade.net_e4 / E4_PER_USD for trade in result.trades]
        won, lost = [value for value in net if value > 0], [value for value in net if value < 0]
        earned = result.net_e4 / E4_PER_USD
        equity = result.starting_equity_e4 / E4_PER_USD
        rows.append((len(net), len(won), earned, sum(won), sum(lost), earned / equity))
    return np.array(rows, np.float64).reshape(len(results), len(PARTS))


def figures(sums: Floats) -> dict[str, Floats]:
    """Figures of settings over sessions.

    Args:
        sums: Shape `(settings, sessions, PARTS)`.

    Returns:
        Values by name, shape `(settings,)`; NaN where a formula has no value.
    """
    trades, winners, net, won, lost, _ = np.moveaxis(sums.sum(axis=1), 1, 0)
    return {
        "trades": trades,
        "winners": winners,
        "win_rate": 100.0 * quotient(winners, trades),
        "net_pnl_usd": net,
        "expectancy_usd": quotient(net, trades),
        "profit_factor": quotient(won, -lost),
        "sharpe_days": sharpe_rows(sums[:, :, 5]),
        "sessions_traded": (sums[:, :, 0] > 0).sum(axis=1).astype(np.float64),
    }


def sharpe_rows(returns: Floats) -> Floats:
    """Mean over standard deviation (n - 1) of each row; NaN below two values or where all are equal."""
    if returns.shape[1] < 2:
        return np.full(len(returns), np.nan)
    spread = returns.std(axis=1, ddof=1)
    # Equal returns may leave a deviation of rounding errors.
    is_spread = returns.max(axis=1) > returns.min(axis=1)
    return quotient(returns.mean(axis=1), np.where(is_spread, spread, 0.0))


def quotient(above: Floats, below: Floats) -> Floats:
    """A quotient, NaN where `below` is 0."""
    result = np.full(len(above), np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def objective_values(objective: Objective, sums: Floats) -> Floats:
    """What is to be made large, by setting; NaN = unknown, which loses to everything.

    Raises:
        UsageError: the function of one's own fails or gives no number.
    """
    found = figures(sums)
    if isinstance(objective, str):
        return found[OBJECTIVES[objective]]
    values = np.full(len(sums), np.nan)
    for number in range(len(sums)):
        one = {name: float(column[number]) for name, column in found.items()}
        sample = Sample(sums[number, :, 2], sums[number, :, 5], sums[number, :, 0], one)
        try:
            values[number] = float(objective(sample))
        except Exception as error:
            name = getattr(objective, "__name__", "the function")
            raise UsageError(
                f"`{name}` failed: {type(error).__name__}: {error}",
                place="`--objective`",
                hint="it is given a sample with net_usd, returns, trades and figures, and gives one number",
            ) from error
    return np.where(np.isfinite(values), values, np.nan)


def read_objective(text: str) -> Objective:
    """Read `expectancy`, `sharpe`, `profit_factor` or `FILE:function`.

    Raises:
        UsageError: it is none of them, or the file has no such function.
    """
    if text in OBJECTIVES:
        return text
    file, colon, name = text.rpartition(":")
    if not colon:
        hint = f"write {', '.join(OBJECTIVES)}, or FILE:function"
        raise UsageError(f"no objective is named `{text}`", place="`--objective`", hint=hint)
    spec = importlib.util.spec_from_file_location("scalpcli_objective", Path(file))
    function: Any = None
    if spec is not None and spec.loader is not None and Path(file).is_file():
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = getattr(module, name, None)
    if not callable(function):
        hint = f"write a Python file with `def {name or 'score'}(sample): ...`"
        raise UsageError(f"`{file}` has no function `{name}`", place="`--objective`", hint=hint)
    chosen: Objective = function
    return chosen
