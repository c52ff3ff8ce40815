"""How much trades, against what is usual (definitions, section 4), and sweeps.

Decides the volume ratio and what a sweep is. Leaves how much is enough to `triggers`.
"""

from __future__ import annotations

import math
from typing import Any

from scalpcli.core.layout import VOLUME_FROM_BOTH, VOLUME_FROM_OPTIONS
from scalpcli.model.params import SWEEP_PRICES_MAX
from scalpcli.units import NS_PER_S

Record = Any
Records = Any


def volume_ratio(
    window_volume: int, before_volume: int, t_ns: int, open_ns: int, window_ns: int, baseline_min_ns: int
) -> float:
    """Volume of the window against the session's own pace before it; 1.0 is usual, nan is unknown.

    Args:
        window_volume: `V(t-w, t]`.
        before_volume: `V[O, t-w]`.
        t_ns: The instant.
        open_ns: Open of the session.
        window_ns: Length of the window.
        baseline_min_ns: Session time before which there is no baseline (at least two windows).

    Source: definitions, section 4, baseline `session`.
    """
    if t_ns - open_ns < max(2 * window_ns, baseline_min_ns) or before_volume <= 0:
        return math.nan
    before_s = float(t_ns - window_ns - open_ns) / float(NS_PER_S)
    baseline = float(before_volume) / before_s
    return (float(window_volume) / (float(window_ns) / float(NS_PER_S))) / baseline


def profile_ratio(window_volume: int, t_ns: int, open_ns: int, window_ns: int, profile: Any) -> float:
    """Volume of the window against the median of earlier sessions at the same clock; nan is unknown.

    Args:
        window_volume: `V(t-w, t]`.
        t_ns: The instant.
        open_ns: Open of the session.
        window_ns: Length of the window.
        profile: Baseline per second for windows ending in each whole second of the session.

    Source: definitions, section 4, baseline `profile` (TradingView, relative volume at time).
    """
    second = (t_ns - open_ns) // NS_PER_S
    if second < 0 or second >= len(profile) or not profile[second] > 0.0:
        return math.nan
    return (float(window_volume) / (float(window_ns) / float(NS_PER_S))) / float(profile[second])


def measure_stock_volume(tracker: Record, window: Record, prints: Records, profile: Any, t_ns: int) -> None:
    """Store the stock's volume ratio at `t_ns`; the window has been slid there."""
    volume_then = 0
    if window.tail >= 0:
        volume_then = prints[window.tail & tracker.prints_mask].volume
    window_volume = tracker.volume - volume_then
    if len(profile) > 0:
        tracker.stock_ratio = profile_ratio(window_volume, t_ns, tracker.open_ns, window.window_ns, profile)
    else:
        tracker.stock_ratio = volume_ratio(
            window_volume,
            volume_then - tracker.volume_before_open,
            t_ns,
            tracker.open_ns,
            window.window_ns,
            tracker.baseline_min_ns,
        )


def push_option_print(side: Record, right: int, tracker: Record, option_prints: Records, ts_ns: int) -> None:
    """Remember the contracts of one right printed so far."""
    base = right * (tracker.option_prints_mask + 1)
    head = side.head
    if head > 0 and option_prints[base + ((head - 1) & tracker.option_prints_mask)].ts_ns == ts_ns:
        head -= 1
    entry = option_prints[base + (head & tracker.option_prints_mask)]
    entry.ts_ns = ts_ns
    entry.volume = side.volume
    side.head = head + 1


def measure_option_volume(
    side: Record, right: int, tracker: Record, option_prints: Records, t_ns: int, window_ns: int
) -> None:
    """Slide one right's window to `t_ns` and store its volume ratio."""
    base = right * (tracker.option_prints_mask + 1)
    start_ns = t_ns - window_ns
    tail = side.tail
    while tail + 1 < side.head and option_prints[base + ((tail + 1) & tracker.option_prints_mask)].ts_ns <= start_ns:
        tail += 1
    side.tail = tail
    volume_then = 0
    if tail >= 0:
        volume_then = option_prints[base + (tail & tracker.option_prints_mask)].volume
    side.ratio = volume_ratio(
        side.volume - volume_then,
        volume_then - side.volume_before_open,
        t_ns,
        tracker.open_ns,
        window_ns,
        tracker.baseline_min_ns,
    )


def side_ratio(tracker: Record, option_sides: Records, right: int) -> float:
    """The ratio that confirms a trigger of this side; with `both`, the smaller one."""
    if tracker.volume_source == VOLUME_FROM_OPTIONS:
        return float(option_sides[right].ratio)
    if tracker.volume_source == VOLUME_FROM_BOTH:
        stock = tracker.stock_ratio
        options = option_sides[right].ratio
        if math.isnan(stock) or math.isnan(options):
            return math.nan
        return float(min(stock, options))
    return float(tracker.stock_ratio)


def count_bits(mask: int) -> int:
    """How many bits are set."""
    bits = 0
    while mask != 0:
        mask &= mask - 1
        bits += 1
    return bits


def quote_rule(price: int, bid_e4: int, ask_e4: int) -> int:
    """1 at or above the ask (bought), -1 at or below the bid (sold), 0 between, both, or without a quote.

    Source: Savickas and Wilson 2003: right in 83 percent of option prints.
    """
    side = 0
    if 0 < ask_e4 <= price:
        side += 1
    if bid_e4 > 0 and price <= bid_e4:
        side -= 1
    return side


def add_sweep_price(sweep: Record, price: int) -> None:
    """Count a price of a run, unless it has been seen; as many are told apart as any setting may ask for."""
    for index in range(sweep.price_levels):
        if sweep.prices_e4[index] == price:
            return
    if sweep.price_levels < SWEEP_PRICES_MAX:
        sweep.prices_e4[sweep.price_levels] = price
        sweep.price_levels += 1


def add_to_sweep(
    sweep: Record, tracker: Record, quote: Record, price: int, size: int, exchange: int, event_ns: int
) -> bool:
    """Take one single-leg print of a contract into its run; true when the run becomes a sweep.

    The side is judged against the quote that stood before the run's first print. A print between bid
    and ask, on the other side, or too late ends the run and may begin the next.
    """
    side = 0
    if (
        sweep.side != 0
        and abs(event_ns - sweep.last_event_ns) <= tracker.sweep_gap_ns_max
        and abs(event_ns - sweep.first_event_ns) <= tracker.sweep_run_ns_max
    ):
        side = quote_rule(price, sweep.bid_e4, sweep.ask_e4)
    if side != 0 and side == sweep.side:
        sweep.contracts += size
        add_sweep_price(sweep, price)
        sweep.price_min = min(sweep.price_min, price)
        sweep.price_max = max(sweep.price_max, price)
    else:
        sweep.side = quote_rule(price, quote.bid_e4, quote.ask_e4)
        sweep.contracts = size
        sweep.first_event_ns = event_ns
        sweep.price_levels = 0
        sweep.price_min = price
        sweep.price_max = price
        add_sweep_price(sweep, price)
        sweep.exchanges = 0
        sweep.bid_e4 = quote.bid_e4
        sweep.ask_e4 = quote.ask_e4
        sweep.raised = 0
    if exchange > 0:
        # 63 bits: the sign bit would differ between the compiled and the interpreted kernel (law 2).
        sweep.exchanges |= 1 << (exchange % 63)
    sweep.last_event_ns = event_ns
    if sweep.side == 0 or sweep.raised != 0 or sweep.contracts < tracker.sweep_size_min:
        return False
    is_sweep = bool(
        sweep.price_levels >= tracker.sweep_prices_min or count_bits(sweep.exchanges) >= tracker.sweep_exchanges_min
    )
    if is_sweep:
        sweep.raised = 1
    return is_sweep
