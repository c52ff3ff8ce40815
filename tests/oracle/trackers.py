"""What is known at each instant: price, velocity, volume ratio, VWAP, extremes (definitions, sections 1 and 3 to 5).

Every function takes the instants `times` and answers with one value for each, NaN where unknown.
Prices are in 1/10000 USD.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scalpcli.model import row

S = 1_000_000_000
Columns = Mapping[str, Any]


class Series(NamedTuple):
    """Values in tape order with the times they were received."""

    times: Any
    values: Any

    def at(self, instants: Any) -> tuple[Any, Any]:
        """The last value at or before each instant and the time it was received; NaN and 0 before the first."""
        position = np.searchsorted(self.times, instants, side="right") - 1
        known = position >= 0
        if not len(self.times):
            return np.full(len(instants), math.nan), np.zeros(len(instants), np.int64)
        return np.where(known, self.values[position], math.nan), np.where(known, self.times[position], 0)

    def up_to(self, instants: Any) -> Any:
        """Sum of the values received at or before each instant."""
        total = np.concatenate([[0], np.cumsum(self.values, dtype=np.int64)])
        return total[np.searchsorted(self.times, instants, side="right")]

    def before(self, instants: Any) -> Any:
        """Sum of the values received before each instant."""
        total = np.concatenate([[0], np.cumsum(self.values, dtype=np.int64)])
        return total[np.searchsorted(self.times, instants, side="left")]


def regular(columns: Columns, open_ns: int, close_ns: int) -> Any:
    """Rows whose event lies in the session, both ends included."""
    return (columns["ts_event_ns"] >= open_ns) & (columns["ts_event_ns"] <= close_ns)


def prints(columns: Columns, flag: int, open_ns: int, close_ns: int) -> Any:
    """Regular stock trades that carry `flag`; a backfilled print never sets the last price."""
    chosen = (columns["kind"] == row.STOCK_TRADE) & (columns["flags"] & flag != 0) & regular(columns, open_ns, close_ns)
    if flag == row.LAST:
        chosen &= columns["flags"] & row.BACKFILLED == 0
    return chosen


def price_only(columns: Columns, open_ns: int, close_ns: int) -> Any:
    """Regular rows that carry a price and nothing else."""
    return (columns["kind"] == row.PRICE_ONLY) & regular(columns, open_ns, close_ns)


def instants(columns: Columns, interval_ms: int, open_ns: int, close_ns: int) -> Any:
    """The times at which the engine looks, after the open and up to and including the close."""
    if interval_ms > 0:
        step = interval_ms * 1_000_000
        return np.arange(open_ns + step, close_ns + 1, step, dtype=np.int64)
    movers = prints(columns, row.LAST, open_ns, close_ns) | (
        price_only(columns, open_ns, close_ns) & (columns["flags"] & row.BACKFILLED == 0)
    )
    times = np.unique(columns["ts_recv_ns"][movers])
    return times[(times > open_ns) & (times <= close_ns)]


def price_series(columns: Columns, source: str, open_ns: int, close_ns: int) -> Series:
    """All values `P` takes: prices of last-eligible prints and price-only rows, or mids of usable quotes."""
    received, price, ask = columns["ts_recv_ns"], columns["price_e4"].astype(np.float64), columns["ask_e4"]
    if source == "mid":
        chosen = (columns["kind"] == row.STOCK_QUOTE) & regular(columns, open_ns, close_ns)
        chosen &= (columns["price_e4"] > 0) & (ask > 0) & (columns["price_e4"] < ask)
        value = (price + ask) / 2.0
    else:
        chosen = prints(columns, row.LAST, open_ns, close_ns) | price_only(columns, open_ns, close_ns)
        value = price
    chosen &= columns["flags"] & row.BACKFILLED == 0
    return Series(received[chosen], value[chosen])


def blind_until(columns: Columns, channels: int, times: Any) -> Any:
    """End of the last gap of any of `channels` known at each instant; the far future while one is open.

    Every channel is followed on its own, so that an end for one does not open the eyes of another.
    """
    gaps = np.flatnonzero(columns["kind"] == row.GAP)
    never, forever = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    result = np.full(len(times), never, np.int64)
    for channel in (bit for bit in row.CHANNEL_NAMES if bit & channels):
        of_channel = [k for k in gaps if int(columns["size"][k]) & channel]
        known_from = np.array([columns["ts_recv_ns"][k] for k in of_channel], np.int64)
        ends, last_end = [], never
        for k in of_channel:
            ended = int(columns["flags"][k]) & row.GAP_END != 0
            last_end = int(columns["ts_recv_ns"][k]) if ended else forever
            ends.append(last_end)
        position = np.searchsorted(known_from, times, side="right")
        result = np.maximum(result, np.array([never, *ends], np.int64)[position])
    return result


def velocity(series: Series, window_s: int, times: Any, blind: Any) -> Any:
    """`v_w` in percent."""
    window = window_s * S
    now, now_since = series.at(times)
    then, then_since = series.at(times - window)
    value = (now - then) * 100.0 / then
    stale = (times - now_since > window) | (times - window - then_since > window)
    return np.where(stale | (blind > times - window), math.nan, value)


def volume_ratio(volume: Series, window_s: int, times: Any, baseline: Any) -> Any:
    """`(V(t-w, t] / w) / baseline(t)`."""
    recent = volume.up_to(times) - volume.up_to(times - window_s * S)
    usable = np.where(baseline > 0, baseline, math.nan)
    return (recent / window_s) / usable


def session_baseline(volume: Series, window_s: int, minimum_s: int, times: Any, open_ns: int) -> Any:
    """Volume per second from the open until the window begins."""
    elapsed = times - window_s * S - open_ns
    traded = volume.up_to(times - window_s * S) - volume.before(np.array([open_ns]))[0]
    known = times >= open_ns + max(2 * window_s, minimum_s) * S
    seconds = np.where(known & (elapsed > 0), elapsed / S, math.nan)
    return traded / seconds


def profile_baseline(profile: Sequence[Sequence[int]], window_s: int, times: Any, open_ns: int) -> Any:
    """Median of earlier sessions' volume in the same seconds of the clock, divided by the window."""
    last = (times - open_ns) // S
    first = np.maximum(last - window_s, 0)
    sums = []
    for volumes in profile:
        total = np.concatenate([[0], np.cumsum(np.asarray(volumes, np.int64))])
        sums.append(total[np.minimum(last, len(volumes))] - total[np.minimum(first, len(volumes))])
    return np.median(np.array(sums, np.float64), axis=0) / window_s


def vwap_series(columns: Columns, open_ns: int, close_ns: int) -> tuple[Series, Series]:
    """Running VWAP and standard deviation after each print that enters them (West 1979)."""
    chosen = prints(columns, row.VWAP, open_ns, close_ns) & (columns["size"] > 0)
    weight, mean, squares = 0.0, 0.0, 0.0
    means, sigmas = [], []
    for price, size in zip(columns["price_e4"][chosen].tolist(), columns["size"][chosen].tolist(), strict=True):
        p, s = float(price), float(size)
        weight += s
        d = p - mean
        mean += d * s / weight
        squares += s * d * (p - mean)
        means.append(mean)
        sigmas.append(math.sqrt(squares / weight))
    received = columns["ts_recv_ns"][chosen]
    return Series(received, np.array(means)), Series(received, np.array(sigmas))


def range_series(columns: Columns, open_ns: int, close_ns: int) -> Series:
    """Prices that may move the high and the low, in tape order."""
    chosen = prints(columns, row.RANGE, open_ns, close_ns) | price_only(columns, open_ns, close_ns)
    return Series(columns["ts_recv_ns"][chosen], columns["price_e4"][chosen].astype(np.int64))


def extreme_series(ranges: Series, side: int) -> Series:
    """Each new session high (`side` +1) or low (-1) with the time its print was received."""
    if not len(ranges.values):
        return Series(ranges.times, ranges.values)
    running = np.maximum.accumulate(side * ranges.values)
    is_new = np.concatenate([[True], running[1:] > running[:-1]])
    return Series(ranges.times[is_new], ranges.values[is_new])


def stock_volume(columns: Columns, open_ns: int, close_ns: int) -> Series:
    """Sizes of the stock's volume-eligible prints."""
    chosen = prints(columns, row.VOLUME, open_ns, close_ns)
    return Series(columns["ts_recv_ns"][chosen], columns["size"][chosen])


def option_volume(columns: Columns, rights: Mapping[int, str], right: str, open_ns: int, close_ns: int) -> Series:
    """Sizes of the volume-eligible prints of every contract with this right."""
    wanted = [number for number, letter in rights.items() if letter == right]
    chosen = (columns["kind"] == row.OPTION_TRADE) & np.isin(columns["instrument_id"], wanted)
    chosen &= (columns["flags"] & row.VOLUME != 0) & regular(columns, open_ns, close_ns)
    return Series(columns["ts_recv_ns"][chosen], columns["size"][chosen])
