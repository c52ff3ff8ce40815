"""A seeded market written as a tape, for demos, tests and benchmarks.

Decides how many rows each minute and channel get and in which order they reach the tape. The market stands
in `synthetic_path.py`, rows in `synthetic_stock.py` and `synthetic_options.py`, rare events in
`synthetic_events.py`.

Equal specs give equal rows wherever NumPy has the same version: every part draws from a stream of its own,
blocks are minutes of the session whatever the memory, and no clock is read. One minute is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from scalpcli.model.params import TapeParams
from scalpcli.model.row import (
    CHANNEL_OPTION_QUOTES,
    CHANNEL_OPTION_TRADES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    STOCK_TRADE,
    UNDERLYING_ID,
)
from scalpcli.runtime import synthetic_options, synthetic_stock
from scalpcli.runtime.synthetic_chain import Chain, build_chain
from scalpcli.runtime.synthetic_events import Blind, Control, blind_rows, head_rows, plan_blind
from scalpcli.runtime.synthetic_options import OptionRows, Sweep, plan_sweeps
from scalpcli.runtime.synthetic_path import Burst, Floats, Market, build_market, plan_bursts
from scalpcli.runtime.synthetic_plan import (
    PREMARKET_S,
    US_PER_S,
    Frame,
    Part,
    Streams,
    SyntheticSpec,
    check_spec,
    frame_of,
)
from scalpcli.runtime.synthetic_rows import (
    EVENT_US,
    RECV_US,
    Columns,
    Feed,
    FeedShape,
    Ints,
    cut,
    empty_columns,
    finish,
    merge,
)
from scalpcli.runtime.synthetic_stock import StockRows
from scalpcli.runtime.tape_writer import TapeWriter

BLOCK_S: Final = 60
GENERATOR_VERSION: Final = 2
"""Raised when the same arguments begin to give other rows."""
CHANNEL_SHARES: Final = {
    CHANNEL_STOCK_TRADES: 0.10,
    CHANNEL_STOCK_QUOTES: 0.20,
    CHANNEL_OPTION_TRADES: 0.05,
    CHANNEL_OPTION_QUOTES: 0.65,
}
"""Share of each channel in the rows; without contracts the stock's channels share alone."""
_OPTION_CHANNELS: Final = (CHANNEL_OPTION_TRADES, CHANNEL_OPTION_QUOTES)
_QUIETER_IN_BURSTS: Final = {CHANNEL_STOCK_QUOTES: 0.35, CHANNEL_OPTION_QUOTES: 0.5}
"""Quotes rise less than trades in a burst."""
_STOCK_FEED: Final = FeedShape(latency_ms=3.0)
_OPTION_FEED: Final = FeedShape(latency_ms=6.0)

Progress = Callable[[int], None]
"""Called after each minute with how many more rows are written."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a synthetic session that is fixed before its first row.

    Args:
        counts: Channel -> rows of each block.
        rates: Channel -> relative rate of every second.
        controls: Rows that are neither trades nor quotes, in order of receipt.
    """

    spec: SyntheticSpec
    frame: Frame
    streams: Streams
    bursts: tuple[Burst, ...]
    blind: tuple[Blind, ...]
    market: Market
    chain: Chain
    counts: dict[int, Ints]
    rates: dict[int, Floats]
    controls: tuple[Control, ...]
    sweeps: tuple[Sweep, ...]


def plan_session(spec: SyntheticSpec) -> Plan:
    """Path, events, chain and row counts of a spec.

    Raises:
        UsageError: an argument lies outside its bounds.
        DataError: the calendar has no session on that day.
    """
    check_spec(spec)
    frame, streams = frame_of(spec), Streams(spec)
    blind, bursts = plan_blind(spec, frame, plan_bursts(spec, frame, streams), streams)
    reopening_s = [window.end_s for window in blind if window.kind == "halt"]
    market = build_market(spec, frame, bursts, streams, reopening_s)
    rates = _rates(market, blind, has_options=spec.contracts > 0)
    told = blind_rows(blind)
    head_count = 3 if spec.profile else 2
    wanted = _channel_rows(spec.rows - len(told) - head_count, has_options=spec.contracts > 0)
    per_rate = wanted[CHANNEL_STOCK_TRADES] / rates[CHANNEL_STOCK_TRADES].sum() * synthetic_stock.MEAN_SHARES
    head = head_rows(spec, market.shape * per_rate, streams)
    active = rates.get(CHANNEL_OPTION_TRADES, np.zeros(frame.total_s))
    return Plan(
        spec=spec,
        frame=frame,
        streams=streams,
        bursts=tuple(bursts),
        blind=tuple(blind),
        market=market,
        chain=build_chain(spec, frame, streams),
        counts={channel: _spread(rates[channel], rows) for channel, rows in wanted.items()},
        rates=rates,
        controls=tuple(sorted([*head, *told], key=lambda row: row.recv_us)),
        sweeps=tuple(one for one in plan_sweeps(frame, market, streams) if active[int(one.at_s)] > 0.0),
    )


def _rates(market: Market, blind: Sequence[Blind], *, has_options: bool) -> dict[int, Floats]:
    rates: dict[int, Floats] = {}
    for channel in CHANNEL_SHARES:
        if channel in _OPTION_CHANNELS and not has_options:
            continue
        rate = market.busy * (1.0 - _QUIETER_IN_BURSTS.get(channel, 0.0) * market.heat)
        if channel in _OPTION_CHANNELS:
            rate[:PREMARKET_S] = 0.0
        for window in blind:
            if window.channels & channel:
                rate[window.start_s : window.end_s] = 0.0
        rates[channel] = rate
    return rates


def _channel_rows(rows: int, *, has_options: bool) -> dict[int, int]:
    """Rows of each channel, adding up to `rows`; quotes take what rounding leaves."""
    shares = {
        channel: share for channel, share in CHANNEL_SHARES.items() if has_options or channel not in _OPTION_CHANNELS
    }
    total = sum(shares.values())
    wanted = {channel: int(rows * share / total) for channel, share in shares.items()}
    wanted[CHANNEL_OPTION_QUOTES if has_options else CHANNEL_STOCK_QUOTES] += rows - sum(wanted.values())
    return wanted


def _spread(rate: Floats, rows: int) -> Ints:
    """Rows of each block in proportion to its rate, adding up to `rows` exactly."""
    reached = np.concatenate([[0.0], np.cumsum(rate)])
    edges = [*range(0, rate.size, BLOCK_S), rate.size]
    upto = np.floor(rows * (reached[edges] / reached[-1]) + 0.5).astype(np.int64)
    counts: Ints = np.diff(upto)
    return counts


def write_synthetic(
    root: Path,
    spec: SyntheticSpec,
    *,
    params: TapeParams | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the session of `spec` below `root` and return its folder.

    Raises:
        UsageError: an argument lies outside its bounds.
        DataError: the calendar has no session on that day, or the tape exists and `overwrite` is false.
    """
    plan = plan_session(spec)
    writer = TapeWriter(
        root,
        spec.symbol,
        spec.date,
        params=params or TapeParams(),
        synthetic=True,
        feeds={"stock": "synthetic", "options": "synthetic"},
        source={
            "importer": "tape synth",
            "generator_version": GENERATOR_VERSION,
            "numpy": np.__version__,
            "arguments": spec.to_source(),
        },
        overwrite=overwrite,
    )
    with writer:
        writer.add_instruments(list(plan.chain.instruments))
        for columns, notes in Blocks(plan, writer.condition_code, writer.exchange_code):
            writer.append(columns, notes)
            if progress is not None:
                progress(len(columns["kind"]))
        return writer.seal()


class Blocks:
    """The rows of a plan, minute by minute, ready for a writer.

    Args:
        condition_code: Code of a text of conditions on the tape.
        exchange_code: Code of an exchange on the tape.
    """

    def __init__(self, plan: Plan, condition_code: Callable[[str], int], exchange_code: Callable[[str], int]) -> None:
        self._plan = plan
        self._condition_code = condition_code
        reopening_s = tuple(window.end_s for window in plan.blind if window.kind == "halt")
        self._stock = StockRows(plan.frame, plan.market, plan.streams, condition_code, exchange_code, reopening_s)
        self._options = OptionRows(
            plan.spec, plan.frame, plan.market, plan.chain, plan.streams, condition_code, exchange_code
        )
        codes = len(synthetic_stock.EXCHANGES) + len(synthetic_options.EXCHANGES)
        self._stock_feed, self._option_feed = Feed(_STOCK_FEED, codes), Feed(_OPTION_FEED, codes)

    def __iter__(self) -> Iterator[tuple[Columns, list[tuple[str, dict[str, Any]]]]]:
        """Pairs of columns and the notes of their cold rows."""
        plan = self._plan
        waiting = [empty_columns(0), empty_columns(0)]
        controls = list(plan.controls)
        blocks = len(next(iter(plan.counts.values())))
        for block in range(blocks):
            begin_s = block * BLOCK_S
            end_us = min(begin_s + BLOCK_S, plan.frame.total_s) * US_PER_S
            made = [self._stock_block(block, begin_s), self._option_block(block, begin_s)]
            ready: list[Columns] = []
            for feed, rows in enumerate(made):
                joined = {name: np.concatenate([values, rows[name]]) for name, values in waiting[feed].items()}
                # What arrives after the minute waits for the next one; nothing waits after the last.
                split = joined[RECV_US].size if block == blocks - 1 else np.searchsorted(joined[RECV_US], end_us)
                before, waiting[feed] = cut(joined, split)
                ready.append(before)
            due = [row for row in controls if row.recv_us < end_us or block == blocks - 1]
            controls = controls[len(due) :]
            rows = merge([self._control_rows(due), *ready], RECV_US)
            if rows["kind"].size == 0:
                continue
            yield finish(rows, plan.frame), [row.note for row in due if row.note is not None]

    def _stock_block(self, block: int, begin_s: int) -> Columns:
        parts = [
            make(block, *self._share(channel, block, begin_s))
            for channel, make in (
                (CHANNEL_STOCK_TRADES, self._stock.trades),
                (CHANNEL_STOCK_QUOTES, self._stock.quotes),
            )
        ]
        rows = merge(parts, EVENT_US)
        self._stock_feed.deliver(rows, self._plan.market, self._plan.streams.of(Part.STOCK_FEED, block))
        self._stock_feed.number(rows, rows["kind"] == STOCK_TRADE)
        return rows

    def _option_block(self, block: int, begin_s: int) -> Columns:
        if CHANNEL_OPTION_QUOTES not in self._plan.counts:
            return empty_columns(0)
        sweeps = [one for one in self._plan.sweeps if begin_s <= one.at_s < begin_s + BLOCK_S]
        trades = self._options.trades(block, *self._share(CHANNEL_OPTION_TRADES, block, begin_s), sweeps)
        quotes = self._options.quotes(block, *self._share(CHANNEL_OPTION_QUOTES, block, begin_s))
        rows = merge([trades, quotes], EVENT_US)
        self._option_feed.deliver(rows, self._plan.market, self._plan.streams.of(Part.OPTION_FEED, block))
        # Prints of options carry no number on the wire, and so none here.
        return rows

    def _share(self, channel: int, block: int, begin_s: int) -> tuple[int, int, Floats]:
        """Count, first second and rates of a channel in a block."""
        rate = self._plan.rates[channel][begin_s : begin_s + BLOCK_S]
        return int(self._plan.counts[channel][block]), begin_s, rate

    def _control_rows(self, controls: Sequence[Control]) -> Columns:
        rows = empty_columns(len(controls))
        rows[RECV_US][:] = [row.recv_us for row in controls]
        rows[EVENT_US][:] = [row.event_us for row in controls]
        rows["kind"][:] = [row.kind for row in controls]
        rows["flags"][:] = [row.flags for row in controls]
        rows["size"][:] = [row.size for row in controls]
        rows["conditions"][:] = [self._condition_code(row.condition) if row.condition else 0 for row in controls]
        rows["instrument_id"][:] = UNDERLYING_ID
        return rows
