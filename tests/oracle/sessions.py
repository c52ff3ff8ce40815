"""Generated sessions: small, lively and dirty, for tests that compare the engine with this recomputation.

`generate_session` is a pure function of its arguments. The hypothesis strategies draw its seed and features;
features shrink towards a plain session of stock trades and quotes, minutes towards a short one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from scalpcli.model import row
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import ScalpConfig
from tests.oracle.algoseek import empty_columns, session_times
from tests.oracle.chain import ALL_FOUR, chain_rows, instruments
from tests.oracle.market import CENTRE_E4, Tick, stock_ticks

DAY = dt.date(2026, 11, 20)
SYMBOL = "TSLA"
S, MS = 1_000_000_000, 1_000_000
FEATURES = ("backfilled", "dirty", "gaps", "halts", "options", "previous", "price_only", "profile", "spikes")

LIVELY = ScalpConfig(
    momentum_threshold_pct=0.2,
    volume_spike_ratio=1.5,
    vwap_volume_ratio=0.5,
    vwap_first_minutes=5,
    level_min_age_s=120,
)
"""Settings under which every trigger of both sides rises on generated sessions."""


@dataclass(frozen=True)
class Session:
    """A generated session and what belongs to its tape's head."""

    columns: dict[str, Any]
    open_ns: int
    close_ns: int
    until_ns: int
    instruments: tuple[Instrument, ...]
    previous: tuple[int, int, int] | None
    profile: tuple[tuple[int, ...], ...] | None

    @property
    def rights(self) -> dict[int, str]:
        """Instrument number -> `C` or `P`."""
        return {each.instrument_id: each.right for each in self.instruments if each.right}


def generate_session(
    seed: int,
    *,
    minutes: int = 30,
    features: Iterable[str] = FEATURES,
    strikes: int = 3,
    to_close: bool = False,
) -> Session:
    """A session of 2026-11-20 whose rows cover its first `minutes`.

    Args:
        seed: Every random choice follows from it.
        minutes: How long the market is alive.
        features: What beside stock trades and quotes is in it, out of `FEATURES`.
        strikes: Strikes of the chain, a call and a put on each.
        to_close: Adds prints around the close and makes the close the last instant.
    """
    rng = np.random.default_rng(seed)
    wanted = frozenset(features)
    open_ns, close_ns = session_times(DAY)
    ticks = stock_ticks(rng, minutes * 60)
    listed = instruments(SYMBOL, DAY, strikes if "options" in wanted else 0)
    close_ms = (close_ns - open_ns) // MS
    rows = _around_the_open(rng, dirty="dirty" in wanted) + _stock_rows(rng, ticks, dirty="dirty" in wanted)
    if "spikes" in wanted:
        rows += _spikes(rng, minutes)
    if "options" in wanted:
        rows += chain_rows(rng, ticks, listed, close_ms)
    if "price_only" in wanted:
        rows += _price_only_rows(rng, ticks)
    if to_close:
        rows += _around_the_close(rng, close_ms)
    _stamp(rng, rows, open_ns)
    if "halts" in wanted:
        rows = _with_halt(rng, rows, open_ns, minutes)
    if "gaps" in wanted:
        rows = _with_gaps(rng, rows, open_ns, minutes)
    if "backfilled" in wanted:
        _delay_some(rng, rows)
    return Session(
        columns=_as_columns(rows),
        open_ns=open_ns,
        close_ns=close_ns,
        until_ns=close_ns if to_close else open_ns + minutes * 60 * S,
        instruments=listed,
        previous=_previous(rng) if "previous" in wanted else None,
        profile=_profile(rng) if "profile" in wanted else None,
    )


def sessions(*, minutes: tuple[int, ...] = (12, 20, 30, 60), strikes: int = 3) -> st.SearchStrategy[Session]:
    """Generated sessions with any of the features."""
    return st.builds(
        generate_session,
        st.integers(0, 2**32 - 1),
        minutes=st.sampled_from(minutes),
        features=st.sets(st.sampled_from(FEATURES)).map(sorted),
        strikes=st.just(strikes),
    )


def configs() -> st.SearchStrategy[ScalpConfig]:
    """Settings that make generated sessions rise, with every switch that changes a tracker or a machine."""
    return st.builds(
        ScalpConfig,
        eval_interval_ms=st.sampled_from([200, 0, 100, 250, 1000, 5000, 15_000]),
        momentum_threshold_pct=st.sampled_from([0.2, 0.1, 0.3]),
        momentum_threshold_call_pct=st.sampled_from([0.0, 0.15]),
        momentum_threshold_put_pct=st.sampled_from([0.0, 0.25]),
        momentum_window_seconds=st.sampled_from([30, 10, 60]),
        momentum_confirm_window_seconds=st.sampled_from([5, 2, 15]),
        momentum_rearm_ratio=st.sampled_from([0.6, 0.0, 1.0]),
        volume_spike_ratio=st.sampled_from([1.5, 0.0, 1.0]),
        vwap_volume_ratio=st.sampled_from([0.5, 0.0, 1.2]),
        price_source=st.sampled_from(["trade", "mid"]),
        volume_source=st.sampled_from(["stock", "options", "both"]),
        volume_confirm_window_s=st.sampled_from([30, 10, 60]),
        volume_baseline_min_s=st.sampled_from([300, 120, 0]),
        min_sweep_contracts=st.sampled_from([100, 30, 250]),
        sweep_prices_min=st.sampled_from([2, 1, 4]),
        sweep_exchanges_min=st.sampled_from([3, 2, 6]),
        level_merge_pct=st.sampled_from([0.05, 0.01, 0.2]),
        level_min_touches=st.sampled_from([2, 1, 3]),
        level_min_age_s=st.sampled_from([120, 0, 300]),
        level_rearm_s=st.sampled_from([60, 20, 0]),
        opening_range_minutes=st.sampled_from([5, 1]),
        vwap_far_sigma=st.sampled_from([0.5, 0.2]),
        vwap_far_s=st.sampled_from([60, 20, 5]),
        vwap_touch_s=st.sampled_from([90, 10, 2]),
        vwap_first_minutes=st.sampled_from([5, 0, 15]),
        breakout_hold_ms=st.sampled_from([2000, 0, 1000]),
        breakout_confirm_s=st.sampled_from([10, 3, 1]),
    )


def _stock_rows(rng: np.random.Generator, ticks: list[Tick], *, dirty: bool) -> list[dict[str, Any]]:
    """Each print with its flags, a quote around most of them."""
    rows = []
    for tick in ticks:
        if rng.random() < 0.8:
            rows.append(_stock_quote(rng, tick))
        rows.append(_stock_print(tick, rng, dirty=dirty))
    return rows


def _stock_print(tick: Tick, rng: np.random.Generator, *, dirty: bool) -> dict[str, Any]:
    one = {"at_ms": tick.at_ms, "kind": row.STOCK_TRADE, "price_e4": tick.price, "size": tick.size}
    one |= {"flags": ALL_FOUR, "exchange": int(rng.integers(1, 9)), "late_ms": 0}
    dice = rng.random() if dirty else 1.0
    wild = round(tick.price * float(rng.uniform(0.985, 1.015)) / 100) * 100
    if dice < 0.12:
        one |= {"flags": row.VWAP | row.VOLUME, "size": min(tick.size, 99)}  # odd lot
    elif dice < 0.14:
        one |= {"flags": row.VOLUME, "price_e4": wild, "size": tick.size * 20}  # average price
    elif dice < 0.15:
        one |= {"flags": row.RANGE | row.VOLUME, "late_ms": int(rng.integers(100, 90_000))}  # out of sequence
    elif dice < 0.17:
        one |= {"flags": row.UNKNOWN_CONDITION, "price_e4": wild}
    elif dice < 0.18:
        one |= {"flags": 0, "price_e4": wild}  # official close and the like
    elif dice < 0.185:
        one |= {"late_ms": 10**7, "price_e4": wild}  # reported after the open, traded before it
    elif dice < 0.19:
        one |= {"flags": row.LAST | row.RANGE}
    return one


def _stock_quote(rng: np.random.Generator, tick: Tick) -> dict[str, Any]:
    bid, ask = tick.price - 100 * int(rng.integers(0, 3)), tick.price + 100 * int(rng.integers(1, 4))
    sizes = rng.integers(1, 20, 2).tolist()
    dice = rng.random()
    if dice < 0.03:
        bid, ask = ask, bid
    elif dice < 0.05:
        bid = ask
    elif dice < 0.06:
        bid, sizes[0] = 0, 0
    elif dice < 0.07:
        ask, sizes[1] = 0, 0
    return {
        "at_ms": tick.at_ms, "kind": row.STOCK_QUOTE, "price_e4": bid, "ask_e4": ask, "size": sizes[0],
        "ask_size": sizes[1], "exchange": 1, "ask_exchange": 2,
    }  # fmt: skip


def _around_the_open(rng: np.random.Generator, *, dirty: bool) -> list[dict[str, Any]]:
    """Prints and quotes before the open, and one print exactly at it, without size when `dirty`."""
    rows = []
    for at_ms in sorted(rng.integers(-60_000, 0, 12).tolist()):
        tick = Tick(at_ms, round(CENTRE_E4 * float(rng.uniform(0.99, 1.01)) / 100) * 100, 50)
        rows += [_stock_quote(rng, tick), _stock_print(tick, rng, dirty=False)]
    at_open = _stock_print(Tick(0, int(CENTRE_E4), 0 if dirty else 1000), rng, dirty=False)
    return [*rows, at_open | {"is_exact": True}]


def _spikes(rng: np.random.Generator, minutes: int) -> list[dict[str, Any]]:
    """A high and a low every third minute, so that an hour holds more swings than are kept.

    Some arrive exactly with their minute. Prices lie 0.20 apart: 0.05 percent of 400.00, the usual merge distance.
    """
    rows = []
    for minute in range(2, minutes, 3):
        for side in (1, -1):
            at_ms = minute * 60_000 + int(rng.choice([0, 20_000, 59_000]))
            price = int(CENTRE_E4) + side * 2000 * int(rng.integers(6, 14))
            one = _stock_print(Tick(at_ms, price, 1), rng, dirty=False)
            rows.append(one | {"flags": row.RANGE | row.VOLUME, "is_exact": True})
    return rows


def _around_the_close(rng: np.random.Generator, close_ms: int) -> list[dict[str, Any]]:
    """Prints in the last seconds, exactly at the close and after it."""
    rows = []
    for at_ms in [*sorted(rng.integers(close_ms - 20_000, close_ms, 40).tolist()), close_ms, close_ms + 1]:
        tick = Tick(at_ms, round(CENTRE_E4 * float(rng.uniform(0.998, 1.002)) / 100) * 100, 300)
        is_exact = {"is_exact": at_ms >= close_ms}
        rows += [_stock_quote(rng, tick) | is_exact, _stock_print(tick, rng, dirty=at_ms < close_ms) | is_exact]
    return rows


def _price_only_rows(rng: np.random.Generator, ticks: list[Tick]) -> list[dict[str, Any]]:
    chosen = rng.random(len(ticks)) < 0.02
    return [
        {"at_ms": tick.at_ms, "kind": row.PRICE_ONLY, "price_e4": tick.price + 100 * int(rng.integers(-4, 5))}
        for tick, is_chosen in zip(ticks, chosen.tolist(), strict=True)
        if is_chosen
    ]


def _stamp(rng: np.random.Generator, rows: list[dict[str, Any]], open_ns: int) -> None:
    """Both clocks. Every fifth row arrives exactly on a 200 ms mark, so that bounds and ties are met."""
    delays = rng.integers(0, 30 * MS, len(rows)).tolist()
    on_mark = (rng.random(len(rows)) < 0.2).tolist()
    for one, delay, is_on_mark in zip(rows, delays, on_mark, strict=True):
        event = open_ns + one["at_ms"] * MS
        received = event + (0 if one.get("is_exact") else delay)
        mark = 200 * MS
        one["ts_recv_ns"] = -(-received // mark) * mark if is_on_mark else received
        one["ts_event_ns"] = event - one.get("late_ms", 0) * MS


def _with_halt(
    rng: np.random.Generator, rows: list[dict[str, Any]], open_ns: int, minutes: int
) -> list[dict[str, Any]]:
    """A stretch without trades between two status rows."""
    begin = open_ns + int(rng.integers(120, max(minutes * 60, 240))) * S
    end = begin + int(rng.integers(10, 90)) * S
    trades = (row.STOCK_TRADE, row.OPTION_TRADE)
    kept = [one for one in rows if one["kind"] not in trades or not begin <= one["ts_recv_ns"] < end]
    for moment, flag in ((begin, row.HALT_BEGIN), (end, row.HALT_END)):
        kept.append({"kind": row.STATUS, "ts_recv_ns": moment, "ts_event_ns": moment, "flags": flag})
    return kept


_CHANNEL_OF = {
    row.STOCK_TRADE: row.CHANNEL_STOCK_TRADES,
    row.STOCK_QUOTE: row.CHANNEL_STOCK_QUOTES,
    row.OPTION_TRADE: row.CHANNEL_OPTION_TRADES,
    row.OPTION_QUOTE: row.CHANNEL_OPTION_QUOTES,
    row.PRICE_ONLY: row.CHANNEL_PRICE_ONLY,
}


def _with_gaps(
    rng: np.random.Generator, rows: list[dict[str, Any]], open_ns: int, minutes: int
) -> list[dict[str, Any]]:
    """Up to four gaps, known while open or only afterwards; what was lost is lost."""
    for _ in range(int(rng.integers(1, 5))):
        begin = open_ns + int(rng.integers(30_000, minutes * 60_000)) * MS
        end = begin + int(rng.integers(100, 40_000)) * MS
        if rng.random() < 0.5:
            end += -(end - open_ns) % (200 * MS)
        mask = int(rng.choice([row.CHANNELS_ALL, row.CHANNEL_STOCK_TRADES, row.CHANNEL_STOCK_QUOTES, 3, 12, 16]))
        rows = [
            one for one in rows if not (_CHANNEL_OF.get(one["kind"], 0) & mask and begin <= one["ts_recv_ns"] < end)
        ]
        if rng.random() < 0.5:
            rows.append(_gap(begin, end, mask, row.GAP_BEGIN | row.GAP_END))
            continue
        noticed = min(begin + int(rng.integers(0, 3000)) * MS, end)
        rows.append(_gap(begin, noticed, mask, row.GAP_BEGIN))
        if mask == 3:
            # The channels come back one after the other.
            rows.append(_gap(end, end, row.CHANNEL_STOCK_QUOTES, row.GAP_END))
            end += int(rng.integers(0, 20_000)) * MS
            mask = row.CHANNEL_STOCK_TRADES
        rows.append(_gap(end, end, mask, row.GAP_END))
    return rows


def _gap(event_ns: int, received_ns: int, mask: int, flags: int) -> dict[str, Any]:
    return {"kind": row.GAP, "ts_event_ns": event_ns, "ts_recv_ns": received_ns, "size": mask, "flags": flags}


def _delay_some(rng: np.random.Generator, rows: list[dict[str, Any]]) -> None:
    """Two percent of all rows arrive seconds or minutes after they happened, marked as backfilled."""
    movable = (row.STOCK_TRADE, row.STOCK_QUOTE, row.OPTION_TRADE, row.OPTION_QUOTE)
    chosen = (rng.random(len(rows)) < 0.02).tolist()
    for one, is_chosen in zip(rows, chosen, strict=True):
        if is_chosen and one["kind"] in movable:
            one["ts_recv_ns"] += int(rng.integers(1, 120_000)) * MS
            one["flags"] = one.get("flags", 0) | row.BACKFILLED


def _previous(rng: np.random.Generator) -> tuple[int, int, int]:
    """High, low and close near enough to be broken."""
    high, low, close = (
        CENTRE_E4 * (1 + float(rng.uniform(*ends))) for ends in ((0, 0.008), (-0.008, 0), (-0.004, 0.004))
    )
    return tuple(round(price / 100) * 100 for price in (high, low, close))  # type: ignore[return-value]


def _profile(rng: np.random.Generator) -> tuple[tuple[int, ...], ...]:
    """Volumes of a few earlier sessions, one of them a half day, with seconds and stretches without any."""
    found = []
    for k in range(int(rng.integers(1, 5))):
        seconds = 12_600 if k == 1 else 23_400
        volumes = rng.poisson(float(rng.uniform(60, 400)), seconds) * (rng.random(seconds) < 0.6)
        quiet = int(rng.integers(60, 1200))
        volumes[quiet : quiet + int(rng.integers(20, 200))] = 0
        found.append(tuple(volumes.tolist()))
    return tuple(found)


def _as_columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    rows = sorted(rows, key=lambda one: one["ts_recv_ns"])
    columns = empty_columns(len(rows))
    for name, column in columns.items():
        column[:] = [one.get(name, 0) for one in rows]
    trades = np.isin(columns["kind"], (row.STOCK_TRADE, row.OPTION_TRADE))
    columns["trade_id"][trades] = np.arange(1, int(trades.sum()) + 1)
    return columns
