"""What stands in the market now: quotes, halts, gaps (design, section 6).

Decides how a row changes the book. Leaves whether that is good enough to trade to `gates`.
"""

from __future__ import annotations

from typing import Any

from scalpcli.core.layout import (
    CHANNELS,
    NEVER_NS,
    WATCH_EVERY,
    WATCH_HIGH,
    WATCH_LOW,
    WATCH_RECOVERY,
)
from scalpcli.model.row import GAP_BEGIN, GAP_END, HALT_BEGIN, HALT_END

Record = Any
Records = Any


def set_quote(quote: Record, bid_e4: int, ask_e4: int, bid_size: int, ask_size: int, ts_ns: int) -> None:
    """Let a new best bid and offer stand."""
    quote.bid_e4 = bid_e4
    quote.ask_e4 = ask_e4
    quote.bid_size = bid_size
    quote.ask_size = ask_size
    quote.quote_ns = ts_ns


def set_last(quote: Record, price_e4: int, ts_ns: int) -> None:
    """Let a new last price stand."""
    quote.last_e4 = price_e4
    quote.last_ns = ts_ns


def is_valid_quote(bid_e4: int, ask_e4: int) -> bool:
    """Two-sided and uncrossed (definitions, section 8); a locked quote is valid."""
    return bool(bid_e4 > 0 and ask_e4 >= bid_e4)


def meets_watch(quote: Record) -> bool:
    """Whether the quote that was just set is one its watcher waits for; follows the extremes of its bid."""
    watch = quote.watch
    if is_valid_quote(quote.bid_e4, quote.ask_e4):
        quote.bid_low_e4 = min(quote.bid_low_e4, quote.bid_e4)
        quote.bid_high_e4 = max(quote.bid_high_e4, quote.bid_e4)
    if watch & WATCH_EVERY:
        return True
    if watch & WATCH_LOW and quote.bid_e4 <= quote.watch_low_e4:
        return bool(quote.bid_e4 <= 0 or is_valid_quote(quote.bid_e4, quote.ask_e4))
    if not is_valid_quote(quote.bid_e4, quote.ask_e4):
        return False
    if watch & WATCH_HIGH and quote.bid_e4 >= quote.watch_high_e4:
        return True
    return bool(watch & WATCH_RECOVERY and quote.bid_e4 > quote.watch_low_e4)


def set_halt(quote: Record, flags: int, ts_ns: int) -> None:
    """Follow a status row of one instrument."""
    if flags & HALT_BEGIN:
        quote.halted = 1
    elif flags & HALT_END:
        quote.halted = 0
        quote.halt_end_ns = ts_ns


def set_gap(channels: Records, mask: int, flags: int, start_ns: int, ts_ns: int) -> None:
    """Follow a gap row: blind from `start_ns`, or seeing again at `ts_ns`, or both in one."""
    for index in range(CHANNELS):
        if (mask >> index) & 1:
            channel = channels[index]
            if flags & GAP_BEGIN:
                channel.gap_start_ns = start_ns
                channel.gap_open = 1
            if flags & GAP_END:
                channel.gap_open = 0
                channel.gap_end_ns = ts_ns


def gap_end_ns(channel: Record) -> int:
    """End of the channel's latest gap; `NEVER_NS` while it lasts."""
    return NEVER_NS if channel.gap_open != 0 else int(channel.gap_end_ns)
