"""How long orders took in a run: from the decision to the market, and from there back to us.

Decides which records of a journal measure a latency. They become a file that `simulated_broker.latency_file` names,
so that a replay draws what was measured. A cancel is told as one way there and back, for its end carries no time of
the market; a replay lets it take an order's latency and a report's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from scalpcli.errors import DataError
from scalpcli.runtime.run_folder import replace_file
from scalpcli.units import NS_PER_MS

COLUMNS: Final = ("order_latency_ms", "report_latency_ms")
_ANSWERS: Final = frozenset({"accepted", "fill"})
_ENDS: Final = frozenset({"cancelled", "expired"})


@dataclass(slots=True)
class Latencies:
    """What a journal's records measure, milliseconds.

    Attributes:
        orders: To the market and back, of each order that was answered.
        cancels: There and back, of each cancel after which the order ended.
        clipped: Orders of which one way came out below 0, for the clocks of the two differ; it is taken as 0, and the
            other way as both.
    """

    orders: list[tuple[float, float]] = field(default_factory=list)
    cancels: list[float] = field(default_factory=list)
    clipped: int = 0

    @property
    def words(self) -> str:
        """The middle and the slow ones in a line."""
        found = [f"{len(self.orders)} orders"]
        columns = list(zip(*self.orders, strict=True)) or [(), ()]
        for name, values in (("to the market", columns[0]), ("back", columns[1]), ("cancels", self.cancels)):
            if values:
                middle, slow = np.percentile(values, [50, 99])
                found.append(f"{name} {middle:.1f} ms (p99 {slow:.1f})")
        return ", ".join(found) + (f"; {self.clipped} by clocks that differ" if self.clipped else "")


def measure(lines: Iterable[bytes]) -> Latencies:
    """The latencies of a journal.

    Args:
        lines: Its lines, in order.
    """
    found = Latencies()
    sent: dict[str, int] = {}
    asked: dict[str, int] = {}
    for line in lines:
        record: dict[str, Any] = json.loads(line)
        kind, order_id, ts_ns = record["kind"], record.get("order_id", ""), record["ts_ns"]
        if kind == "order":
            sent[order_id] = ts_ns
        elif kind == "cancel":
            asked[order_id] = ts_ns
        if kind in _ANSWERS and record["ts_market_ns"] > 0 and order_id in sent:
            both_ns = ts_ns - sent[order_id]
            there_ns = record["ts_market_ns"] - sent.pop(order_id)
            found.clipped += not 0 <= there_ns <= both_ns
            # Our own clock measured both ways together; only how they share it rests on the market's.
            there_ns = min(max(there_ns, 0), both_ns)
            found.orders.append((there_ns / NS_PER_MS, (both_ns - there_ns) / NS_PER_MS))
        if kind in _ENDS and order_id in asked:
            found.cancels.append((ts_ns - asked.pop(order_id)) / NS_PER_MS)
    return found


def write_latencies(path: Path, found: Latencies) -> None:
    """Write the orders' latencies as `simulated_broker.latency_file` takes them.

    Raises:
        DataError: no order was answered.
    """
    if not found.orders:
        raise DataError(
            "no order of the run was answered by the market",
            place="`decisions.jsonl`",
            hint="there is nothing to measure; name a run that traded",
        )
    text = "\n".join([",".join(COLUMNS), *(f"{there:.3f},{back:.3f}" for there, back in found.orders)]) + "\n"
    replace_file(path, lambda work: work.write_text(text, encoding="utf-8"))
