"""What a recording looks like while it runs: counts, lag, blindness, and how late the event loop was.

Decides figures alone, folded from the blocks that are written, for the live screen, the summary at the end and the
lines that tell of gaps. Nothing here changes what is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from scalpcli.model.block import Block
from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_NAMES,
    CHANNELS_ALL,
    COLD,
    GAP,
    GAP_BEGIN,
    GAP_END,
    KIND_NAMES,
    PRICE_ONLY,
)
from scalpcli.model.session import ns_to_new_york
from scalpcli.units import NS_PER_MS, NS_PER_S

_KINDS: Final = max(KIND_NAMES) + 1
_ALL_CHANNELS: Final = "all channels"


class RecordingFigures:
    """Figures of one symbol's recording.

    Args:
        conditions: Condition texts that are known already, code 1 first: gap rows name their cause by code.
        say: Takes a line when the recording goes blind and when it sees again.
        contracts: How many a recording that is gone on with has already.
    """

    def __init__(
        self, conditions: Sequence[str] = (), say: Callable[[str], None] = lambda _line: None, contracts: int = 0
    ) -> None:
        self.counts = np.zeros(_KINDS, np.int64)
        self.contracts = contracts
        self.gaps = 0
        self.last_ns = 0
        self.lag_ms = 0.0
        self.lag_ms_max = 0.0
        self.last_gap = ""
        self._last_gap_begun = ""
        self._last_gap_channels = 0
        self._conditions = list(conditions)
        self._say = say
        self._blind_since: dict[int, int] = {}

    @property
    def rows(self) -> int:
        """Rows of all kinds."""
        return int(self.counts.sum())

    @property
    def market_rows(self) -> int:
        """Rows that came from the market: neither gaps nor cold rows."""
        return self.rows - int(self.counts[GAP]) - int(self.counts[COLD])

    @property
    def blind(self) -> list[str]:
        """Names of the channels that are blind now."""
        return [name for bit, name in CHANNEL_NAMES.items() if bit in self._blind_since]

    def by_name(self) -> dict[str, int]:
        """Rows by name of their kind."""
        return {name: int(self.counts[kind]) for kind, name in KIND_NAMES.items()}

    def take(self, block: Block) -> None:
        """Fold in the next block."""
        self._conditions += block.conditions
        self.contracts += len(block.instruments)
        if not block.rows:
            return
        kind = block.columns["kind"]
        self.counts += np.bincount(kind, minlength=_KINDS)[:_KINDS]
        self.last_ns = int(block.columns["ts_recv_ns"][-1])
        self._take_lag(block)
        for index in np.flatnonzero(kind == GAP).tolist():
            self._take_gap({name: int(values[index]) for name, values in block.columns.items()})

    def _take_lag(self, block: Block) -> None:
        columns = block.columns
        # What was fetched later is late by its nature.
        live = (columns["kind"] <= PRICE_ONLY) & (columns["flags"] & BACKFILLED == 0)
        if live.any():
            lags = (columns["ts_recv_ns"][live] - columns["ts_event_ns"][live]) / NS_PER_MS
            self.lag_ms = float(np.median(lags))
            self.lag_ms_max = max(self.lag_ms_max, float(lags.max()))

    def _take_gap(self, row: dict[str, int]) -> None:
        begins, ends = row["flags"] & GAP_BEGIN, row["flags"] & GAP_END
        bits = [bit for bit in CHANNEL_NAMES if row["size"] & bit]
        since_ns = row["ts_event_ns"]
        if begins:
            self.gaps += 1
            cause = self._cause(row["conditions"])
            self.last_gap = f"{_channels(row['size'])} from {ns_to_new_york(since_ns)}: {cause}"
            self._last_gap_begun, self._last_gap_channels = self.last_gap, row["size"]
            self._say(f"blind in {self.last_gap}")
            self._blind_since |= {bit: since_ns for bit in bits if bit not in self._blind_since}
        if ends:
            began = [self._blind_since.pop(bit) for bit in bits if bit in self._blind_since]
            blind_s = (row["ts_recv_ns"] - min(began, default=since_ns)) / NS_PER_S
            if row["size"] & self._last_gap_channels:
                # Channels of one gap may end one after another: the last of them tells how long it was.
                self.last_gap = f"{self._last_gap_begun}, for {blind_s:.1f} s"
            self._say(f"sees {_channels(row['size'])} again after {blind_s:.1f} s")

    def _cause(self, code: int) -> str:
        return self._conditions[code - 1] if 0 < code <= len(self._conditions) else "no cause given"


def _channels(mask: int) -> str:
    if mask & CHANNELS_ALL == CHANNELS_ALL:
        return _ALL_CHANNELS
    return ", ".join(name for bit, name in CHANNEL_NAMES.items() if mask & bit) or "no channel"


class LoopWatch:
    """How late the event loop runs what is due: a timer that asks for a fixed time and sees when it is woken.

    Keeps a histogram of fixed size: `BUCKETS` steps of `STEP_MS`, the last one takes everything later.
    """

    PERIOD_S: Final = 0.01
    STEP_MS: Final = 0.5
    BUCKETS: Final = 2_000

    def __init__(self) -> None:
        self._counts = np.zeros(self.BUCKETS, np.int64)
        self.late_ms_max = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + self.PERIOD_S
            await asyncio.sleep(self.PERIOD_S)
            self.take((loop.time() - due_s) * 1e3)

    def take(self, late_ms: float) -> None:
        """Count one wake-up that came `late_ms` after it was due."""
        late_ms = max(late_ms, 0.0)
        self.late_ms_max = max(self.late_ms_max, late_ms)
        self._counts[min(int(late_ms / self.STEP_MS), self.BUCKETS - 1)] += 1

    def figures(self) -> dict[str, float]:
        """Milliseconds late: the 99.9th percent, rounded up to a step, and the worst."""
        total = int(self._counts.sum())
        at = int(np.searchsorted(np.cumsum(self._counts), 0.999 * total)) if total else -1
        return {
            "loop_late_ms_p999": min((at + 1) * self.STEP_MS, self.late_ms_max),
            "loop_late_ms_max": self.late_ms_max,
        }

    def percents(self) -> dict[str, float | None]:
        """Milliseconds late: half of all, 99 percent, rounded up to a step, and the worst; nothing before the first."""
        total = int(self._counts.sum())
        if not total:
            return {"p50_ms": None, "p99_ms": None, "max_ms": None}
        places = np.searchsorted(np.cumsum(self._counts), [0.5 * total, 0.99 * total])
        half, most = (min((int(at) + 1) * self.STEP_MS, self.late_ms_max) for at in places)
        return {"p50_ms": round(half, 3), "p99_ms": round(most, 3), "max_ms": round(self.late_ms_max, 3)}


def rates(before: dict[str, int], now: dict[str, int], seconds: float) -> dict[str, float]:
    """Rows a second by name, from two counts that many seconds apart."""
    return {name: (count - before.get(name, 0)) / seconds if seconds > 0 else 0.0 for name, count in now.items()}


def summary_of(figures: RecordingFigures) -> dict[str, Any]:
    """The figures as one object of plain values."""
    return {
        "rows": figures.rows,
        "counts": figures.by_name(),
        "contracts": figures.contracts,
        "gaps": figures.gaps,
        "last_gap": figures.last_gap,
        "blind": figures.blind,
        "lag_ms": round(figures.lag_ms, 3),
        "lag_ms_max": round(figures.lag_ms_max, 3),
    }
