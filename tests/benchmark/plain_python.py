"""What a script does: a plain-Python loop over a tape's rows, the measure for `replay_speed.py`."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path

import polars as pl

from scalpcli.model import row
from scalpcli.model.session import session_of

WINDOWS_NS = tuple(seconds * 1_000_000_000 for seconds in (5, 15, 30, 60))
STEP_NS = 200_000_000
BASELINE_MIN_NS = 300_000_000_000


def plain_python(tape: Path) -> tuple[float, list[float]]:  # noqa: C901 - one loop, as a script has it
    """Seconds a decent plain-Python loop takes from file to result that only tracks velocity and volume.

    It does of a replay's work what definitions 3 and 4 say, over the same rows and on the same grid: the four
    velocities and the volume ratio at every instant. No quotes, levels, triggers, contracts or orders.

    Returns:
        The seconds, and the sums of each velocity and of the ratio, which a trace of the replay confirms.
    """
    session = session_of(dt.date.fromisoformat(tape.name))
    columns = ["ts_recv_ns", "ts_event_ns", "kind", "price_e4", "size", "flags"]
    started_s = time.perf_counter()
    table = pl.read_parquet(tape / "rows.parquet", columns=columns)
    times, prices, price_times, volumes = [], [], [], []
    tails = [-1] * len(WINDOWS_NS)
    sums = [0.0] * (len(WINDOWS_NS) + 1)
    price, price_ns, volume, volume_early = 0, 0, 0, 0
    t_ns = session.open_ns + STEP_NS

    def evaluate() -> None:
        for index, window_ns in enumerate(WINDOWS_NS):
            start_ns, tail = t_ns - window_ns, tails[index]
            while tail + 1 < len(times) and times[tail + 1] <= start_ns:
                tail += 1
            tails[index] = tail
            if tail >= 0 and t_ns - price_ns <= window_ns and start_ns - price_times[tail] <= window_ns:
                sums[index] += (price - prices[tail]) * 100.0 / prices[tail]
            if window_ns == 30_000_000_000 and t_ns - session.open_ns >= BASELINE_MIN_NS:
                then = volumes[tail] if tail >= 0 else 0
                baseline = (then - volume_early) / ((start_ns - session.open_ns) / 1e9)
                sums[-1] += (volume - then) / 30.0 / baseline if baseline > 0.0 else 0.0

    for ts_ns, event_ns, kind, price_e4, size, flags in table.iter_rows():
        while t_ns < ts_ns and t_ns <= session.close_ns:
            evaluate()
            t_ns += STEP_NS
        if kind != row.STOCK_TRADE or not session.open_ns <= event_ns <= session.close_ns:
            continue
        if flags & row.VOLUME:
            volume += size
            volume_early += size if ts_ns < session.open_ns else 0
        if flags & row.LAST:
            price, price_ns = price_e4, ts_ns
        elif not flags & row.VOLUME:
            continue
        if times and times[-1] == ts_ns:
            prices[-1], price_times[-1], volumes[-1] = price, price_ns, volume
        elif price:
            times.append(ts_ns)
            prices.append(price)
            price_times.append(price_ns)
            volumes.append(volume)
    while t_ns <= session.close_ns:
        evaluate()
        t_ns += STEP_NS
    return time.perf_counter() - started_s, sums


if __name__ == "__main__":
    seconds, sums = plain_python(Path(sys.argv[1]))
    print(json.dumps([seconds, *sums]))
