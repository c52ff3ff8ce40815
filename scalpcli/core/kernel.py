"""The one loop over rows (design, section 4).

`advance` folds rows into the market's state and evaluates instants; it comes back only when Python has
something to decide. Everything it calls is a plain function on record arrays and numbers, so that the
same source runs compiled (`runtime/compiler.py`) and interpreted. Nothing here allocates, raises or
knows a file.
"""

from __future__ import annotations

import math
from typing import Any, Final

from scalpcli.core.book import gap_end_ns, meets_watch, set_gap, set_halt, set_last, set_quote
from scalpcli.core.layout import (
    CALL,
    DISORDER,
    END,
    GROW,
    INSTANT,
    NEVER_NS,
    OPTION_TRADES,
    PRICE_ONLY_CHANNEL,
    PUT,
    RARE,
    SIDES,
    STOCK_QUOTES,
    STOCK_TRADES,
    TRACE,
    TRACE_COLUMNS,
    UNTIL,
    VOLUME_FROM_STOCK,
    WATCH,
    State,
)
from scalpcli.core.levels import add_to_range, update_levels
from scalpcli.core.triggers import step_lane
from scalpcli.core.velocity import measure_window, push_print
from scalpcli.core.volume import (
    add_to_sweep,
    measure_option_volume,
    measure_stock_volume,
    push_option_print,
    side_ratio,
)
from scalpcli.core.vwap import add_to_vwap, measure_vwap
from scalpcli.model.row import (
    AUCTION,
    BACKFILLED,
    CANCELLED,
    COLD,
    GAP,
    LAST,
    LATE,
    MULTI_LEG,
    OPTION_QUOTE,
    OPTION_TRADE,
    PRICE_ONLY,
    RANGE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
    VOLUME,
    VWAP,
    RowBatch,
)

Record = Any
Records = Any

NOT_A_SWEEP: Final = MULTI_LEG | LATE | CANCELLED | AUCTION | BACKFILLED
GO_ON: Final = -1


def fold_price(state: State, price: float, ts_ns: int) -> None:
    """Let a new price stand for velocity and triggers."""
    tracker = state.tracker[0]
    tracker.price = price
    tracker.price_ns = ts_ns
    push_print(tracker, state.prints, ts_ns)


def is_regular(tracker: Record, event_ns: int) -> bool:
    """Whether something happened inside the regular session (definitions, section 1)."""
    return bool(tracker.open_ns <= event_ns <= tracker.close_ns)


def mark_instant(tracker: Record, ts_ns: int) -> None:
    """With interval 0, a last-eligible print of the session makes its receive time an instant."""
    if tracker.interval_ns == 0 and tracker.open_ns < ts_ns <= tracker.close_ns:
        tracker.next_instant_ns = ts_ns


def fold_stock_trade(state: State, batch: RowBatch, i: int, ts_ns: int) -> None:
    """Let a print of the underlying move what its conditions allow (definitions, section 2)."""
    tracker = state.tracker[0]
    flags = int(batch.flags[i])
    price = int(batch.price_e4[i])
    size = int(batch.size[i])
    moves_last = (flags & LAST) != 0 and (flags & BACKFILLED) == 0
    if (flags & BACKFILLED) == 0:
        state.channels[STOCK_TRADES].last_ns = ts_ns
    if moves_last:
        set_last(state.book[int(batch.instrument_id[i])], price, ts_ns)
    if not is_regular(tracker, int(batch.ts_event_ns[i])):
        return
    if flags & VOLUME:
        tracker.volume += size
        if ts_ns < tracker.open_ns:
            tracker.volume_before_open += size
    if flags & VWAP:
        add_to_vwap(tracker, float(price), float(size))
    if flags & RANGE:
        add_to_range(tracker, state.minutes, price, ts_ns)
    if moves_last and tracker.price_from_mid == 0:
        fold_price(state, float(price), ts_ns)
    elif flags & VOLUME:
        push_print(tracker, state.prints, ts_ns)
    if moves_last:
        mark_instant(tracker, ts_ns)


def fold_price_only(state: State, batch: RowBatch, i: int, ts_ns: int) -> None:
    """Let a bare price of the underlying stand: it moves last and range, it has no volume."""
    tracker = state.tracker[0]
    price = int(batch.price_e4[i])
    state.channels[PRICE_ONLY_CHANNEL].last_ns = ts_ns
    set_last(state.book[int(batch.instrument_id[i])], price, ts_ns)
    if not is_regular(tracker, int(batch.ts_event_ns[i])):
        return
    add_to_range(tracker, state.minutes, price, ts_ns)
    if tracker.price_from_mid == 0:
        fold_price(state, float(price), ts_ns)
    mark_instant(tracker, ts_ns)


def fold_stock_quote(state: State, quote: Record, ts_ns: int, event_ns: int) -> None:
    """With `price_source = "mid"`, a two-sided, uncrossed, unlocked quote moves the price."""
    if 0 < quote.bid_e4 < quote.ask_e4 and is_regular(state.tracker[0], event_ns):
        fold_price(state, float(quote.bid_e4 + quote.ask_e4) / 2.0, ts_ns)


def fold_option_trade(state: State, batch: RowBatch, i: int, ts_ns: int) -> None:
    """Count a contract's print, and look whether it is part of a sweep."""
    tracker = state.tracker[0]
    row_id = int(batch.instrument_id[i])
    quote = state.book[row_id]
    side = state.option_sides[quote.right]
    flags = int(batch.flags[i])
    price = int(batch.price_e4[i])
    size = int(batch.size[i])
    event_ns = int(batch.ts_event_ns[i])
    if (flags & BACKFILLED) == 0:
        state.channels[OPTION_TRADES].last_ns = ts_ns
        if flags & LAST:
            set_last(quote, price, ts_ns)
    if flags & VOLUME:
        quote.volume_today += size
        if is_regular(tracker, event_ns):
            side.volume += size
            if ts_ns < tracker.open_ns:
                side.volume_before_open += size
            if tracker.volume_source != VOLUME_FROM_STOCK:
                push_option_print(side, quote.right, tracker, state.option_prints, ts_ns)
    sweep = state.sweeps[row_id]
    if (flags & NOT_A_SWEEP) == 0 and add_to_sweep(
        sweep, tracker, quote, price, size, int(batch.exchange[i]), event_ns
    ):
        if sweep.side > 0:
            side.sweeps += 1
            side.sweep_ns = ts_ns
        else:
            side.sell_sweeps += 1


def rings_full(state: State) -> bool:
    """Whether the next print might push out one that a window still needs."""
    tracker = state.tracker[0]
    capacity = tracker.prints_mask + 1
    if tracker.prints_head - tracker.prints_floor >= capacity:
        floor = state.windows[0].tail
        for index in range(len(state.windows)):
            floor = min(floor, state.windows[index].tail)
        tracker.prints_floor = max(floor, 0)
        if tracker.prints_head - tracker.prints_floor >= capacity:
            return True
    option_capacity = tracker.option_prints_mask + 1
    for right in range(SIDES):
        side = state.option_sides[right]
        if side.head - side.floor >= option_capacity:
            side.floor = max(side.tail, 0)
            if side.head - side.floor >= option_capacity:
                return True
    return False


def price_gap_end_ns(state: State) -> int:
    """End of the latest gap of the channels the price comes from."""
    if state.tracker[0].price_from_mid != 0:
        return gap_end_ns(state.channels[STOCK_QUOTES])
    return max(gap_end_ns(state.channels[STOCK_TRADES]), gap_end_ns(state.channels[PRICE_ONLY_CHANNEL]))


def write_trace(state: State, t_ns: int) -> None:
    """Note what every tracker says at this instant (`replay --trace`); times count from the open."""
    tracker = state.tracker[0]
    base = tracker.trace_rows * (TRACE_COLUMNS + len(state.windows))
    unknown = tracker.has_range == 0
    state.trace[base] = float(t_ns - tracker.open_ns)
    state.trace[base + 1] = tracker.price
    state.trace[base + 2] = tracker.vwap
    state.trace[base + 3] = tracker.sigma
    state.trace[base + 4] = tracker.stock_ratio
    state.trace[base + 5] = math.nan if unknown else float(tracker.session_high)
    state.trace[base + 6] = math.nan if unknown else float(tracker.session_low)
    for index in range(len(state.windows)):
        state.trace[base + TRACE_COLUMNS + index] = state.windows[index].velocity_pct
    tracker.trace_rows += 1


def evaluate(state: State, t_ns: int) -> int:
    """Evaluate one instant: trackers first, then levels, then the triggers of every lane.

    Returns:
        How many sides of how many lanes saw a trigger rise.
    """
    tracker = state.tracker[0]
    blind_until_ns = price_gap_end_ns(state)
    for index in range(len(state.windows)):
        measure_window(state.windows[index], tracker, state.prints, t_ns, blind_until_ns)
    volume_window = state.windows[tracker.volume_window]
    measure_stock_volume(tracker, volume_window, state.prints, state.profile, t_ns)
    if tracker.volume_source != VOLUME_FROM_STOCK:
        for right in range(SIDES):
            measure_option_volume(
                state.option_sides[right], right, tracker, state.option_prints, t_ns, volume_window.window_ns
            )
    measure_vwap(tracker)
    update_levels(tracker, state.minutes, state.levels, state.level_sides, t_ns)
    call_ratio = side_ratio(tracker, state.option_sides, CALL)
    put_ratio = side_ratio(tracker, state.option_sides, PUT)
    rose = 0
    for lane in range(len(state.lanes)):
        rose += step_lane(state, lane, call_ratio, put_ratio, t_ns)
    return rose


def next_instant(state: State) -> int:
    """Evaluate the instant that is due; why to go back to Python, or `GO_ON`."""
    tracker = state.tracker[0]
    tracing = len(state.trace) > 0
    if tracing and (tracker.trace_rows + 1) * (TRACE_COLUMNS + len(state.windows)) > len(state.trace):
        return TRACE
    t_ns = tracker.next_instant_ns
    tracker.instant_ns = t_ns
    tracker.now_ns = t_ns
    if tracker.interval_ns == 0 or t_ns + tracker.interval_ns > tracker.close_ns:
        tracker.next_instant_ns = NEVER_NS
    else:
        tracker.next_instant_ns = t_ns + tracker.interval_ns
    rose = evaluate(state, t_ns)
    if tracing:
        write_trace(state, t_ns)
    if rose > 0 or tracker.report_instants != 0 or t_ns >= tracker.wake_ns:
        return INSTANT
    return GO_ON


def fold_quote(state: State, batch: RowBatch, i: int, ts_ns: int, row_kind: int) -> int:
    """Fold one quote; `WATCH` when a watched contract's watch is met."""
    if int(batch.flags[i]) & BACKFILLED:
        return GO_ON
    row_id = int(batch.instrument_id[i])
    quote = state.book[row_id]
    set_quote(quote, int(batch.price_e4[i]), int(batch.ask_e4[i]), int(batch.size[i]), int(batch.ask_size[i]), ts_ns)
    # Stock and option quotes come mixed: choosing the channel by number leaves nothing to guess for the processor.
    state.channels[row_kind - 1].last_ns = ts_ns
    if quote.watch != 0 and row_kind == OPTION_QUOTE and meets_watch(quote):
        state.tracker[0].watched_id = row_id
        return WATCH
    return GO_ON


def fold_row(state: State, batch: RowBatch, i: int, ts_ns: int) -> int:
    """Fold one row; why to go back to Python, or `GO_ON`. `GROW` and `DISORDER` leave the row unfolded."""
    tracker = state.tracker[0]
    row_kind = int(batch.kind[i])
    row_id = int(batch.instrument_id[i])
    if ts_ns < tracker.now_ns or row_id < 0 or row_id >= len(state.book) or row_kind < 1 or row_kind > COLD:
        return DISORDER
    is_quote = (row_kind == OPTION_QUOTE) | (row_kind == STOCK_QUOTE)
    # Quotes, most rows by far, enter a ring only where they move the price.
    if is_quote and (tracker.price_from_mid == 0 or row_kind == OPTION_QUOTE):
        tracker.now_ns = ts_ns
        return fold_quote(state, batch, i, ts_ns, row_kind)
    if rings_full(state):
        return GROW
    tracker.now_ns = ts_ns
    if is_quote:
        reason = fold_quote(state, batch, i, ts_ns, row_kind)
        if (int(batch.flags[i]) & BACKFILLED) == 0:
            fold_stock_quote(state, state.book[row_id], ts_ns, int(batch.ts_event_ns[i]))
        return reason
    if row_kind == STOCK_TRADE:
        fold_stock_trade(state, batch, i, ts_ns)
    elif row_kind == OPTION_TRADE:
        fold_option_trade(state, batch, i, ts_ns)
    elif row_kind == PRICE_ONLY:
        fold_price_only(state, batch, i, ts_ns)
    else:
        if row_kind == STATUS:
            set_halt(state.book[row_id], int(batch.flags[i]), ts_ns)
        elif row_kind == GAP:
            set_gap(state.channels, int(batch.size[i]), int(batch.flags[i]), int(batch.ts_event_ns[i]), ts_ns)
        tracker.rare_row = i
        return RARE
    return GO_ON


def advance(state: State, batch: RowBatch, start: int, until_ns: int, known_ns: int) -> int:
    """Fold rows from `start` on and evaluate the instants between them.

    A row is folded after every instant before its receive time and before every instant at it. Rows up
    to and including `until_ns` are folded; instants at `until_ns` itself are left for the next call, so
    that what the caller knows of that time (a broker's reply) comes first.

    Args:
        state: The market's state, changed in place.
        batch: Rows, in tape order.
        start: First row of the batch not yet folded.
        until_ns: Where to stop; `NEVER_NS` for no limit.
        known_ns: Every row received up to here has been handed in, with this batch or before.

    Returns:
        The next row to fold. Why it came back stands in the tracker's `reason`.
    """
    tracker = state.tracker[0]
    rows = len(batch.ts_recv_ns)
    i = start
    while True:
        ts_ns = int(batch.ts_recv_ns[i]) if i < rows else known_ns + 1
        while tracker.next_instant_ns < ts_ns and tracker.next_instant_ns < until_ns:
            reason = next_instant(state)
            if reason != GO_ON:
                tracker.reason = reason
                return i
        if i >= rows:
            tracker.reason = UNTIL if until_ns <= known_ns else END
            return i
        if ts_ns > until_ns:
            tracker.reason = UNTIL
            return i
        reason = fold_row(state, batch, i, ts_ns)
        if reason == GO_ON:
            i += 1
        elif reason in (GROW, DISORDER):
            tracker.reason = reason
            return i
        else:
            tracker.reason = reason
            return i + 1
