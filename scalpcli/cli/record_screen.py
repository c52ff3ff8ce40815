"""The live status of `scalpcli record` on a terminal: rates per channel, lag, last gap, contracts, disk.

Decides what is shown and how often. It only reads; it shows on stderr, so data on stdout stays data.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scalpcli.cli.record_session import Session, Track, disk_words
from scalpcli.model.session import ns_to_new_york
from scalpcli.runtime.recorder_figures import rates

_EVERY_S: Final = 1.0
_SHOWN: Final = ("stock_trade", "stock_quote", "option_trade", "option_quote")


@contextlib.asynccontextmanager
async def nothing(_session: Session) -> AsyncIterator[None]:
    """No screen: a file, a pipe, cron, or `-q`."""
    yield


@contextlib.asynccontextmanager
async def live(session: Session) -> AsyncIterator[None]:
    """Show the status until the recording ends."""
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as shown:
        task = asyncio.create_task(_refresh(session, shown))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def _refresh(session: Session, shown: Live) -> None:
    loop = asyncio.get_running_loop()
    before: dict[str, dict[str, int]] = {}
    before_s = loop.time()
    while True:
        now_s = loop.time()
        parts = []
        for track in session.tracks:
            counts = track.recorder.figures.by_name()
            parts.append(_track(track, rates(before.get(track.symbol, {}), counts, now_s - before_s)))
            before[track.symbol] = counts
        before_s = now_s
        shown.update(Group(_head(session), *parts, Text(_foot(session))), refresh=True)
        await asyncio.sleep(_EVERY_S)


def _head(session: Session) -> Text:
    now = ns_to_new_york(session.job.access.clock.now_ns())[:8]
    text = Text(f"recording {session.window.session.date}, {now} in New York", style="bold")
    if session.job.access.is_rehearsal:
        text.append("  REHEARSAL", style="yellow")
    if session.job.params.record.option_feed == "indicative":
        text.append("  option quotes are INDICATIVE, not the NBBO", style="yellow")
    return text


def _track(track: Track, per_s: dict[str, float]) -> Table:
    figures = track.recorder.figures
    table = Table.grid(padding=(0, 2))
    for label, value in _lines(track, figures.by_name(), per_s).items():
        table.add_row(label, Text(value, style="bold red" if label == "blind" else ""))
    return table


def _lines(track: Track, counts: dict[str, int], per_s: dict[str, float]) -> dict[str, str]:
    figures = track.recorder.figures
    lines = {track.symbol: f"{figures.rows:,} rows, {figures.contracts} contracts"}
    for name in _SHOWN:
        lines[name.replace("_", " ")] = f"{per_s.get(name, 0.0):>10,.0f} /s {counts[name]:>14,}"
    lines["lag"] = f"{figures.lag_ms:,.1f} ms, at most {figures.lag_ms_max:,.1f} ms"
    lines["written in"] = f"{track.recorder.write_ms:,.1f} ms, at most {track.recorder.write_ms_max:,.1f} ms"
    if figures.blind:
        lines["blind"] = ", ".join(figures.blind)
    lines["last gap"] = figures.last_gap or "none"
    dropped: Any = track.market.status().get("dropped", 0)
    lines["dropped"] = f"{dropped} rows; readers {track.tap.count}, dropped {track.tap.dropped}"
    return lines


def _foot(session: Session) -> str:
    disk = disk_words(session)
    late = session.watch.figures()
    return (
        f"disk {disk['recorded_mb']:,.1f} MB written, {disk['free_gb']:,.1f} GB free; "
        f"event loop late {late['loop_late_ms_p999']:.1f} ms (p99.9), at most {late['loop_late_ms_max']:.1f} ms"
    )
