"""The numbers behind the plots of a report's page, small enough for one file.

Decides what is drawn and how much of it: equity at `POINTS_MAX` points (least and largest of each stretch kept),
the last `DAYS_MAX` sessions with trades whose tapes are there, entries of these sessions. What is left out is said.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.session import ns_to_new_york
from scalpcli.report.events import SessionEvents, events_of
from scalpcli.report.execution import mark_outs
from scalpcli.report.fills import HORIZONS_S, fill_rows, markets_of
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.market import Market
from scalpcli.report.reliability import reliability
from scalpcli.units import E4_PER_USD, NS_PER_S

POINTS_MAX: Final = 4_000
DAYS_MAX: Final = 5
ENTRIES_MAX: Final = 60
BINS: Final = 24
_STEP_S: Final = 2
_AROUND_S: Final = np.arange(-60, 121, _STEP_S)
_VELOCITY_S: Final = 30
_OPENING_S: Final = 300

Floats = NDArray[np.float64]


def page_data(results: Results) -> tuple[dict[str, Any], list[str]]:
    """Everything `assets/page.js` draws, and what could not be had, in words."""
    recent = _recent(results)
    markets, missing = markets_of(recent)
    events = {id(session): found for session, found in events_of(recent)}
    days: list[dict[str, Any]] = []
    entries: list[_Entry] = []
    fills: list[dict[str, Any]] = []
    for position, session in enumerate(recent.sessions):
        # Everything of one tape at once: only one is held.
        market = markets.get(position)
        if market is not None:
            days.append(day(session, market, events[id(session)]))
            entries += _entries(session, market)
        fills += fill_rows(Results.of(results.runs, [session]), {} if market is None else {0: market})
    if sum(bool(len(session.trades)) for session in results.sessions) > DAYS_MAX:
        count = len(recent.sessions)
        missing.append(f"days, entries, slippage and mark-outs are those of the last {count} sessions with trades")
    data = {
        "equity": equity(results),
        "days": days,
        "around": around(entries[-ENTRIES_MAX:]),
        "pnl": histogram(results.trades["net_pnl_usd"].to_list()),
        "slippage": histogram(_slippage(fills)),
        "excursions": excursions(results),
        "markouts": _mark_out_lines(fills),
        "reliability": _reliability(results),
    }
    return data, missing


def _recent(results: Results) -> Results:
    """The last sessions with trades."""
    traded = sorted(
        (session for session in results.sessions if len(session.trades)), key=lambda each: (each.day, each.run)
    )
    return Results.of(results.runs, traded[-DAYS_MAX:])


def equity(results: Results) -> dict[str, Any]:
    """Equity and drawdown over sessions: each is one unit wide, so that nights and days off take no room."""
    xs: list[Floats] = []
    levels: list[Floats] = []
    names: list[str] = []
    lengths_s: list[int] = []
    for session in sorted(results.sessions, key=lambda each: (each.day, each.run)):
        names.append(f"{session.day} {session.symbol}")
        lengths_s.append((session.tally.close_ns - session.tally.open_ns) // NS_PER_S)
        if not len(session.equity_usd):
            continue
        begin = levels[-1][-1] if levels else session.equity_usd[0]
        length = max(1, session.tally.close_ns - session.tally.open_ns)
        share = np.clip((session.equity_ns - session.tally.open_ns) / length, 0.0, 0.999)
        xs.append(len(names) - 1 + share)
        levels.append(session.equity_usd - session.equity_usd[0] + begin)
    if not levels:
        return {"x": [], "usd": [], "drawdown_pct": [], "sessions": names, "lengths_s": lengths_s}
    x, usd = np.concatenate(xs), np.concatenate(levels)
    peaks = np.maximum.accumulate(usd)
    fall = -100.0 * (peaks - usd) / peaks
    kept = thinned(usd, POINTS_MAX)
    return {
        "x": rounded(x[kept], 4),
        "usd": rounded(usd[kept], 2),
        "drawdown_pct": rounded(fall[kept], 4),
        "sessions": names,
        "lengths_s": lengths_s,
    }


def thinned(values: Floats, most: int) -> NDArray[np.intp]:
    """Rows to keep so that at most `most` are left: the least and the largest of each stretch, first and last."""
    count = len(values)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, (most - 2) // 2 + 1).astype(np.intp)
    kept = {0, count - 1}
    for begin, end in itertools.pairwise(edges):
        stretch = values[begin:end]
        kept |= {int(begin + stretch.argmin()), int(begin + stretch.argmax())}
    return np.array(sorted(kept), dtype=np.intp)


def rounded(values: Floats, digits: int) -> list[float | None]:
    """Numbers for JSON; unknown is null."""
    return [None if math.isnan(value) else round(float(value), digits) for value in values]


def day(session: SessionResult, market: Market, events: SessionEvents) -> dict[str, Any]:
    """One session: the underlying's price with VWAP, the levels whose breaking was signalled, and its trades."""
    open_ns, close_ns = market.tape.session.open_ns, market.tape.session.close_ns
    times, prices, sizes = market.trades
    inside = (times >= open_ns) & (times <= close_ns)
    times, prices, sizes = times[inside], prices[inside], sizes[inside]
    if not len(times):
        times, prices = market.underlying.ts_ns, market.underlying.price
        sizes = np.ones(len(times))
    worth, volume = np.cumsum(prices * sizes), np.cumsum(sizes)
    vwap = np.divide(worth, volume, out=np.full(len(worth), np.nan), where=volume > 0)
    kept = thinned(prices, POINTS_MAX // 2)
    opening = prices[times <= open_ns + _OPENING_S * NS_PER_S]
    signalled = {life.signal["episode"] for life in events.lives.values()}
    levels = {
        round(record["level_e4"] / E4_PER_USD, 2): record["level_kind"].replace("_", " ")
        for record in events.episodes
        if record["kind"] == "trigger" and record["level_e4"] and record["episode"] in signalled
    }
    if len(opening):
        levels |= {round(float(opening.max()), 2): "opening high", round(float(opening.min()), 2): "opening low"}
    return {
        "name": f"{session.day} {session.symbol}, {session.run_name}",
        "x": rounded((times[kept] - open_ns) / NS_PER_S, 1),
        "price": rounded(prices[kept], 3),
        "vwap": rounded(vwap[kept], 3),
        "levels": [{"price": price, "name": name} for price, name in sorted(levels.items())],
        "trades": [_mark(trade, market, open_ns) for trade in session.trades.iter_rows(named=True)],
    }


def _mark(trade: Mapping[str, Any], market: Market, open_ns: int) -> dict[str, Any]:
    spots = market.underlying.at([trade["opened_ns"], trade["closed_ns"]])
    return {
        "x": round((trade["opened_ns"] - open_ns) / NS_PER_S, 1),
        "x_out": round((trade["closed_ns"] - open_ns) / NS_PER_S, 1),
        "price": rounded(spots, 3)[0],
        "price_out": rounded(spots, 3)[1],
        "net": trade["net_pnl_usd"],
    }


class _Entry(NamedTuple):
    """Velocity and volume around one signal, at the times of `_AROUND_S`."""

    number: int
    velocity_pct: Floats
    volume_ratio: Floats


def _entries(session: SessionResult, market: Market) -> list[_Entry]:
    """The entries of one session.

    Velocity is the change over 30 s in the trade's direction; volume is per second, against the session's mean.
    """
    times, _, sizes = market.trades
    total = np.concatenate([[0.0], np.cumsum(sizes)])
    usual = total[-1] / ((market.tape.session.close_ns - market.tape.session.open_ns) / NS_PER_S)
    found = []
    for number, signal_ns, side in session.trades.select("number", "signal_ns", "side").iter_rows():
        at = signal_ns + _AROUND_S * NS_PER_S
        now, then = market.underlying.at(at), market.underlying.at(at - _VELOCITY_S * NS_PER_S)
        until, since = (np.searchsorted(times, edge, side="right") for edge in (at, at - _STEP_S * NS_PER_S))
        per_second = (total[until] - total[since]) / _STEP_S
        velocity = (now - then) * 100.0 / then * (1.0 if side == "call" else -1.0)
        found.append(_Entry(number, velocity, per_second / usual if usual else np.full(len(at), np.nan)))
    return found


def around(entries: Sequence[_Entry]) -> dict[str, Any]:
    """Velocity and volume from a minute before each signal to two minutes after: a line a trade, and the mean."""
    return {
        "x": _AROUND_S.tolist(),
        "trades": [entry.number for entry in entries],
        "velocity_pct": [rounded(entry.velocity_pct, 4) for entry in entries],
        "velocity_pct_mean": _mean([entry.velocity_pct for entry in entries]),
        "volume_ratio": [rounded(entry.volume_ratio, 3) for entry in entries],
        "volume_ratio_mean": _mean([entry.volume_ratio for entry in entries]),
    }


def _mean(rows: Sequence[Floats]) -> list[float | None]:
    if not rows:
        return []
    table = np.stack(rows)
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0)
    return rounded(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0), 4)


def histogram(values: Sequence[float]) -> dict[str, Any]:
    """Middles of the bins and how many values lie in each; nothing of nothing."""
    if not values:
        return {"x": [], "counts": []}
    counts, edges = np.histogram(np.asarray(values), bins=min(BINS, max(4, len(values))))
    return {"x": rounded((edges[:-1] + edges[1:]) / 2.0, 4), "counts": counts.tolist()}


def _slippage(fills: Sequence[Mapping[str, Any]]) -> list[float]:
    return [
        row["signal_slippage_usd"] / row["quantity"]
        for row in fills
        if row["signal_slippage_usd"] is not None and row["quantity"]
    ]


def excursions(results: Results) -> dict[str, Any]:
    """Worst and best profit while held, in order of the worst, winners and losers apart."""
    columns = ("mae_pct", "mfe_pct", "net_pnl_usd")
    rows = sorted(results.trades.select(columns).drop_nulls().iter_rows())
    return {
        "x": [round(mae, 3) for mae, _, _ in rows],
        "won": [round(mfe, 3) if net > 0 else None for _, mfe, net in rows],
        "lost": [round(mfe, 3) if net <= 0 else None for _, mfe, net in rows],
    }


def _mark_out_lines(fills: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, low and high of both legs by horizon; nothing without a tape."""
    found = {(each["leg"], each["horizon_s"]): each for each in mark_outs(fills)}
    if not any(each["fills"] for each in found.values()):
        return {"x": [], "lines": []}
    names = ("mean_usd", "low_usd", "high_usd")
    lines = [[found[leg, s][name] for s in HORIZONS_S] for leg in ("entry", "exit") for name in names]
    return {"x": list(HORIZONS_S), "lines": lines}


def _reliability(results: Results) -> dict[str, Any]:
    bins = reliability(results.trades)
    return {
        "x": [round(each.score_mean, 2) for each in bins],
        "won": [round(each.win_rate, 2) for each in bins],
        "low": [round(each.interval.low, 2) for each in bins],
        "high": [round(each.interval.high, 2) for each in bins],
    }


def heat(results: Results) -> dict[tuple[str, str], tuple[int, float]]:
    """Trades and net by weekday and New York hour of the opening."""
    cells: dict[tuple[str, str], tuple[int, float]] = {}
    for session, opened_ns, usd in results.trades.select("session", "opened_ns", "net_pnl_usd").iter_rows():
        key = (_weekday(session), ns_to_new_york(opened_ns)[:2])
        count, net = cells.get(key, (0, 0.0))
        cells[key] = (count + 1, net + usd)
    return cells


WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _weekday(date: dt.date) -> str:
    return WEEKDAYS[date.weekday()]
