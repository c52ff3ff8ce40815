"""The same sessions at other latencies and at worse prices: where the edge breaks even.

Decides the grid. Latencies are replayed, each a whole session anew, because a late order meets another quote.
Worse prices are taken off every fill afterwards, a tick of its contract at its price: decisions stay as they
were.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scalpcli.core.market_state import Kernel
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument, tick_e4
from scalpcli.model.params import Blackout, Params
from scalpcli.runtime.replay import ReplayOptions, SessionResult, replay_session
from scalpcli.runtime.tape import Tape
from scalpcli.units import E4_PER_USD, usd_to_e4

LATENCIES_MS: Final = (0.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
TICKS: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Point:
    """One session at one latency and so many ticks worse.

    Args:
        latency_ms: From decision to market.
        ticks: Worse at every fill, entries and exits.
        trades: Closed trades.
        net_usd: Their net.
    """

    latency_ms: float
    ticks: int
    trades: int
    net_usd: float


def sensitivity(
    path: Path,
    params: Params,
    blackouts: tuple[Blackout, ...],
    hot: Kernel,
    latencies_ms: Sequence[float] = LATENCIES_MS,
) -> Iterator[Point]:
    """Play one tape at every latency of the grid.

    Raises:
        DataError: as `replay_session`.
    """
    instruments = {each.symbol: each for each in Tape.open(path).instruments}
    for latency_ms in latencies_ms:
        broker = dataclasses.replace(params.simulated_broker, order_latency_ms=latency_ms, latency_file="")
        played = dataclasses.replace(params, simulated_broker=broker)
        result = replay_session(path, played, blackouts, hot, ReplayOptions())
        net_usd = math.fsum(result.trades["net_pnl_usd"])
        for ticks in TICKS:
            worse_usd = ticks * ticks_usd(result, instruments)
            yield Point(latency_ms, ticks, result.trades.height, round(net_usd - worse_usd, 4))


def ticks_usd(result: SessionResult, instruments: dict[str, Instrument]) -> float:
    """What one tick at every fill of every trade is worth, USD."""
    ticks_e4 = 0
    columns = ("option_symbol", "quantity", "entry_price", "exit_price")
    for symbol, quantity, *prices in result.trades.select(columns).iter_rows():
        rule = instruments[symbol].tick_rule
        ticks_e4 += sum(tick_e4(rule, usd_to_e4(price)) for price in prices) * quantity * STANDARD_MULTIPLIER
    return ticks_e4 / E4_PER_USD
