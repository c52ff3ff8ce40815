"""What is known of the market now: allocates the kernel's arrays and drives `advance` over them.

Decides how settings become the kernel's numbers and how long arrays are. Leaves the folding itself to
`kernel` and every decision to `engine`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from scalpcli.core import kernel
from scalpcli.core.book import is_valid_quote
from scalpcli.core.greeks import chain_greeks
from scalpcli.core.layout import (
    BOOK,
    BREAKOUT_BIT,
    CALL,
    CHANNEL,
    CHANNELS,
    DISORDER,
    GROW,
    LEVEL_SLOTS,
    MOMENTUM_BIT,
    NEVER_NS,
    NO_TIME_NS,
    PRINTS_MAX,
    PRINTS_START,
    PUT,
    REJECTION_BIT,
    SIDES,
    STATE_ARRAYS,
    TRACE,
    TRACE_COLUMNS,
    TRACKER,
    VOLUME_FROM_BOTH,
    VOLUME_FROM_OPTIONS,
    VOLUME_FROM_STOCK,
    State,
)
from scalpcli.core.levels import set_previous_levels
from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params, ScalpConfig
from scalpcli.model.row import INSTRUMENT_ID_MAX, RowBatch
from scalpcli.model.session import Session
from scalpcli.units import E4_PER_USD, NS_PER_MIN, NS_PER_MS, NS_PER_S, min_to_ns, ms_to_ns, s_to_ns

BoundAdvance = Callable[[RowBatch, int, int, int], int]
TRACE_ROWS: Final = 4096


class Kernel(Protocol):
    """The hot functions, compiled or interpreted; both are the same source."""

    def bind(self, state: State) -> BoundAdvance:
        """`kernel.advance` over this state."""

    def chain_greeks(self, *arguments: Any) -> float:
        """`greeks.chain_greeks`."""


class InterpretedKernel:
    """The kernel as plain Python: slow, and the judge of the compiled one (law 2)."""

    def bind(self, state: State) -> BoundAdvance:
        """`kernel.advance` over this state."""

        def bound(batch: RowBatch, start: int, until_ns: int, known_ns: int) -> int:
            return kernel.advance(state, batch, start, until_ns, known_ns)

        return bound

    def chain_greeks(self, *arguments: Any) -> float:
        """`greeks.chain_greeks`."""
        return chain_greeks(*arguments)


_LENGTHS_FIXED: Final = {
    "tracker": 1,
    "option_sides": SIDES,
    "channels": CHANNELS,
    "levels": SIDES * LEVEL_SLOTS,
    "level_sides": SIDES,
}
_VOLUME_SOURCES: Final = {"stock": VOLUME_FROM_STOCK, "options": VOLUME_FROM_OPTIONS, "both": VOLUME_FROM_BOTH}


def windows_s(params: Params) -> tuple[int, ...]:
    """Every window that is measured, those traced first, each once."""
    scalp = params.scalp
    others = (
        scalp.momentum_window_seconds,
        scalp.momentum_confirm_window_seconds,
        params.exits.reversal_window_seconds,
        scalp.volume_confirm_window_s,
    )
    return tuple(dict.fromkeys((*scalp.velocity_windows_seconds, *others)))


class MarketState:
    """The market's state of one session.

    Args:
        params: All settings; trackers take theirs here once.
        session: Whose rows will come.
        instruments: By `instrument_id`, the underlying first.
        hot: The compiled or the interpreted kernel.
        on_trace: Takes blocks of trace rows, shape ``(n, 7 + windows)``, 1/10000 USD, times from the open.
        prints_start: Prints a ring has room for before it grows, a power of two.
        lanes: One set of trigger thresholds a lane; `None` = those of `params` alone.

    Raises:
        DataError: more instruments than a row can name.
    """

    def __init__(
        self,
        params: Params,
        session: Session,
        instruments: tuple[Instrument, ...],
        hot: Kernel,
        on_trace: Callable[[NDArray[np.float64]], None] | None = None,
        prints_start: int = PRINTS_START,
        lanes: Sequence[ScalpConfig] | None = None,
    ) -> None:
        if len(instruments) > INSTRUMENT_ID_MAX + 1:
            raise DataError(
                f"the tape names {len(instruments)} instruments, above the limit: {INSTRUMENT_ID_MAX + 1}",
                hint="import fewer expiries or strikes: --expiries-max-days, --strike-range-pct",
            )
        self.session = session
        self.windows_s = windows_s(params)
        self.traced_windows_s = tuple(dict.fromkeys(params.scalp.velocity_windows_seconds))
        self.hot = hot
        self._on_trace = on_trace
        lanes = [params.scalp] if lanes is None else lanes
        minutes = (session.close_ns - session.open_ns) // NS_PER_MIN + 2
        lengths = _LENGTHS_FIXED | {
            "windows": len(self.windows_s),
            "prints": prints_start,
            "option_prints": SIDES * prints_start,
            "book": len(instruments),
            "sweeps": len(instruments),
            "minutes": minutes,
            "lanes": len(lanes),
            "lane_sides": len(lanes) * SIDES,
            "lane_levels": len(lanes) * SIDES * LEVEL_SLOTS,
            "profile": 0,
            "trace": TRACE_ROWS * (TRACE_COLUMNS + len(self.windows_s)) if on_trace else 0,
        }
        self.state = State(
            *(_zeros(lengths[name], kind) for name, kind in zip(State._fields, STATE_ARRAYS, strict=True))
        )
        # The same memory without NumPy's record class, whose attributes cost a microsecond each to read.
        self.tracker: Any = self.state.tracker.view(TRACKER, np.ndarray)[0]
        self.book: Any = self.state.book.view(BOOK, np.ndarray)
        self.channels: Any = self.state.channels.view(CHANNEL, np.ndarray)
        self._fill(params, instruments)
        fill_lanes(self.state, lanes)
        self.tracker["prints_mask"] = prints_start - 1
        self.tracker["option_prints_mask"] = prints_start - 1
        self._bound = hot.bind(self.state)

    def _fill(self, params: Params, instruments: tuple[Instrument, ...]) -> None:
        fill_tracker(self.state.tracker[0], params, self.session, self.windows_s)
        for window, seconds in zip(self.state.windows, self.windows_s, strict=True):
            window.window_ns = seconds * NS_PER_S
            window.tail = -1
            window.velocity_pct = math.nan
        for side in self.state.option_sides:
            side.tail = -1
            side.ratio = math.nan
            side.sweep_ns = NO_TIME_NS
        for channel in self.state.channels:
            channel.last_ns = NO_TIME_NS
            channel.gap_end_ns = NO_TIME_NS
        for quote, instrument in zip(self.state.book, instruments, strict=True):
            quote.quote_ns = NO_TIME_NS
            quote.last_ns = NO_TIME_NS
            quote.halt_end_ns = NO_TIME_NS
            quote.right = {"C": CALL, "P": PUT}.get(instrument.right, CALL)

    def advance(self, batch: RowBatch, start: int, until_ns: int, known_ns: int) -> tuple[int, int]:
        """Fold rows until Python has something to decide; see `kernel.advance`.

        Returns:
            The next row to fold, and why it came back (`layout.END` and its neighbours).

        Raises:
            DataError: a row out of order or of no known instrument or kind; a window that outgrew its ring.
        """
        while True:
            start = self._bound(batch, start, until_ns, known_ns)
            reason = int(self.tracker["reason"])
            if reason == TRACE:
                self.flush_trace()
            elif reason == GROW:
                self._grow()
            elif reason == DISORDER:
                raise DataError(
                    "a row was received before the one ahead of it, or names no known instrument or kind",
                    place=f"the row received at {int(batch.ts_recv_ns[start])} ns",
                    hint="run `scalpcli tape verify` on the tape",
                )
            else:
                return start, reason

    def _grow(self) -> None:
        """Double both rings; positions are absolute, so each print moves to its place in the larger ring."""
        tracker = self.state.tracker[0]
        capacity = int(tracker.prints_mask) + 1
        if capacity * 2 > PRINTS_MAX:
            raise DataError(
                f"a window holds more than {capacity} prints, the limit",
                hint="shorten scalp.momentum_window_seconds or scalp.velocity_windows_seconds",
            )
        prints = _regrow(self.state.prints, capacity, int(tracker.prints_head))
        halves = [
            _regrow(self.state.option_prints[right * capacity : (right + 1) * capacity], capacity, int(side.head))
            for right, side in enumerate(self.state.option_sides)
        ]
        option_prints = np.concatenate(halves).view(np.recarray)
        tracker.prints_mask = capacity * 2 - 1
        tracker.option_prints_mask = capacity * 2 - 1
        self.state = self.state._replace(prints=prints, option_prints=option_prints)
        self._bound = self.hot.bind(self.state)

    def flush_trace(self) -> None:
        """Hand what was traced so far to its taker."""
        tracker = self.state.tracker[0]
        rows = int(tracker.trace_rows)
        if self._on_trace is not None and rows:
            width = TRACE_COLUMNS + len(self.windows_s)
            self._on_trace(self.state.trace[: rows * width].reshape(rows, width).copy())
        tracker.trace_rows = 0

    def set_watch(self, instrument_id: int, bits: int, low_e4: int, high_e4: int) -> None:
        """Wait for quotes of one contract (`layout.WATCH_*`); 0 bits end it.

        The extremes of the bid are followed from the quote that stands when a watch begins.
        """
        quote = self.state.book[instrument_id]
        if quote.watch == 0 and bits != 0:
            self.restart_bid_extremes(instrument_id)
        quote.watch = bits
        quote.watch_low_e4 = low_e4
        quote.watch_high_e4 = high_e4

    def restart_bid_extremes(self, instrument_id: int) -> None:
        """Follow the extremes of one contract's bid from the quote that stands."""
        quote = self.state.book[instrument_id]
        stands = is_valid_quote(quote.bid_e4, quote.ask_e4)
        quote.bid_low_e4 = quote.bid_e4 if stands else NEVER_NS
        quote.bid_high_e4 = quote.bid_e4 if stands else 0

    def set_previous_levels(self, high_e4: int, low_e4: int, close_e4: int) -> None:
        """Let the previous session's levels stand (a cold row at the tape's head)."""
        set_previous_levels(self.state.levels, high_e4, low_e4, close_e4)

    def set_volume_profile(self, volumes: list[list[int]]) -> None:
        """Let the baseline come from earlier sessions (a cold row at the tape's head).

        Args:
            volumes: Per session, volume of each whole second since the open.
        """
        tracker = self.state.tracker[0]
        window_s = int(self.state.windows[tracker.volume_window].window_ns) // NS_PER_S
        seconds = (self.session.close_ns - self.session.open_ns) // NS_PER_S
        profile = profile_baseline(volumes, window_s, seconds)
        self.state = self.state._replace(profile=profile)
        self._bound = self.hot.bind(self.state)


def profile_baseline(volumes: list[list[int]], window_s: int, seconds: int) -> NDArray[np.float64]:
    """Usual volume per second of the windows ending at each whole second of the session; nan = none.

    Args:
        volumes: Per session, volume of each whole second since the open.
        window_s: Window, seconds; it begins at the open at the earliest.
        seconds: Length of the session.

    Source: definitions, section 4, baseline `profile`.
    """
    sums = np.zeros((len(volumes), seconds + 1))
    for row, session in enumerate(volumes):
        known = np.cumsum(np.asarray(session[:seconds], dtype=np.float64))
        sums[row, 1 : len(known) + 1] = known
        sums[row, len(known) + 1 :] = known[-1] if len(known) else 0.0
    before = np.concatenate([np.zeros((len(volumes), min(window_s, seconds + 1))), sums], axis=1)[:, : seconds + 1]
    if not volumes:
        return np.full(seconds + 1, math.nan)
    baseline: NDArray[np.float64] = np.ascontiguousarray(np.median(sums - before, axis=0) / window_s)
    return baseline


def momentum_threshold_pct(scalp: ScalpConfig, right: int) -> float:
    """The burst threshold of one side; a threshold of its own goes before the common one."""
    own = scalp.momentum_threshold_call_pct if right == CALL else scalp.momentum_threshold_put_pct
    return own or scalp.momentum_threshold_pct


def fill_tracker(tracker: Any, params: Params, session: Session, windows_s: tuple[int, ...]) -> None:
    """Write session and tracker settings into the session's record."""
    scalp = params.scalp
    tracker.open_ns = session.open_ns
    tracker.close_ns = session.close_ns
    tracker.interval_ns = scalp.eval_interval_ms * NS_PER_MS
    tracker.next_instant_ns = session.open_ns + tracker.interval_ns if scalp.eval_interval_ms else NEVER_NS
    tracker.instant_ns = NO_TIME_NS
    tracker.now_ns = NO_TIME_NS
    tracker.wake_ns = NEVER_NS
    tracker.rare_row = -1
    tracker.price_from_mid = int(scalp.price_source == "mid")
    tracker.price = math.nan
    tracker.price_ns = NO_TIME_NS
    tracker.momentum_window = windows_s.index(scalp.momentum_window_seconds)
    tracker.confirm_window = windows_s.index(scalp.momentum_confirm_window_seconds)
    tracker.reversal_window = windows_s.index(params.exits.reversal_window_seconds)
    tracker.volume_window = windows_s.index(scalp.volume_confirm_window_s)
    tracker.volume_source = _VOLUME_SOURCES[scalp.volume_source]
    tracker.baseline_min_ns = s_to_ns(scalp.volume_baseline_min_s)
    tracker.stock_ratio = math.nan
    tracker.sweep_size_min = scalp.min_sweep_contracts
    tracker.sweep_gap_ns_max = ms_to_ns(scalp.sweep_gap_ms_max)
    tracker.sweep_run_ns_max = ms_to_ns(scalp.sweep_run_ms_max)
    tracker.sweep_prices_min = scalp.sweep_prices_min
    tracker.sweep_exchanges_min = scalp.sweep_exchanges_min
    tracker.vwap = math.nan
    tracker.sigma = math.nan
    tracker.opening_end_ns = session.open_ns + min_to_ns(scalp.opening_range_minutes)
    tracker.pivot_minute = 2
    tracker.level_merge_pct = scalp.level_merge_pct
    tracker.level_min_touches = scalp.level_min_touches
    tracker.level_min_age_ns = s_to_ns(scalp.level_min_age_s)


def fill_lane(lane: Any, scalp: ScalpConfig) -> None:
    """Write one set of thresholds into a lane's record."""
    switches = (
        (scalp.trigger_momentum_burst, MOMENTUM_BIT),
        (scalp.trigger_vwap_rejection, REJECTION_BIT),
        (scalp.trigger_breakout, BREAKOUT_BIT),
    )
    lane.enabled_bits = sum(bit for is_on, bit in switches if is_on)
    lane.momentum_rearm_ratio = scalp.momentum_rearm_ratio
    lane.volume_spike_ratio = scalp.volume_spike_ratio
    lane.vwap_volume_ratio = scalp.vwap_volume_ratio
    lane.vwap_tolerance_sigma = scalp.vwap_tolerance_sigma
    lane.vwap_tolerance_pct = scalp.vwap_tolerance_pct
    lane.vwap_far_sigma = scalp.vwap_far_sigma
    lane.vwap_far_ns = s_to_ns(scalp.vwap_far_s)
    lane.vwap_through_ratio = scalp.vwap_through_ratio
    lane.vwap_bounce_sigma = scalp.vwap_bounce_sigma
    lane.vwap_bounce_tolerance_ratio = scalp.vwap_bounce_tolerance_ratio
    lane.vwap_touch_ns = s_to_ns(scalp.vwap_touch_s)
    lane.vwap_first_ns = min_to_ns(scalp.vwap_first_minutes)
    lane.breakout_buffer_e4 = scalp.breakout_buffer_usd * E4_PER_USD
    lane.breakout_buffer_pct = scalp.breakout_buffer_pct
    lane.breakout_hold_ns = ms_to_ns(scalp.breakout_hold_ms)
    lane.breakout_confirm_ns = s_to_ns(scalp.breakout_confirm_s)
    lane.level_rearm_ns = s_to_ns(scalp.level_rearm_s)


def fill_lanes(state: State, lanes: Sequence[ScalpConfig]) -> None:
    """Write every lane's thresholds and let its trigger machines begin."""
    for number, scalp in enumerate(lanes):
        fill_lane(state.lanes[number], scalp)
        for right in range(SIDES):
            side = state.lane_sides[number * SIDES + right]
            side.threshold_pct = momentum_threshold_pct(scalp, right)
            side.armed = 1
            side.far_since_ns = NO_TIME_NS
            side.breakout_slot = -1


def _zeros(length: int, kind: np.dtype[Any]) -> Any:
    zeros = np.zeros(length, kind)
    return zeros.view(np.recarray) if kind.names else zeros


def _regrow(ring: Any, capacity: int, head: int) -> Any:
    """The same ring with twice the room; entry `n` moves from `n % capacity` to `n % (2 * capacity)`."""
    grown = _zeros(2 * capacity, ring.dtype)
    numbers = np.arange(max(0, head - capacity), head)
    grown[numbers % (2 * capacity)] = ring[numbers % capacity]
    return grown
