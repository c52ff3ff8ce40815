"""Where an instant's rows come from: a tape, a file of snapshots, the live chain.

Decides which instant is meant and that no later row is seen. Leaves formats to `runtime.tape` and the adapters.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scalpcli.errors import UsageError
from scalpcli.model.row import RowBatch
from scalpcli.model.session import at_ns, is_session, ns_to_new_york, ns_to_new_york_date
from scalpcli.runtime.tape import Tape
from scalpcli.scan.moment import Feed
from scalpcli.units import NS_PER_S

if TYPE_CHECKING:
    from scalpcli.adapters.alpaca_chain import LiveChain
    from scalpcli.adapters.chain_file import ChainFile

TAPE: Final = "tape"
FILE: Final = "file"
LIVE: Final = "live"


def tape_feed(path: Path, at: str, symbol: str = "") -> Feed:
    """A tape up to an instant.

    Args:
        path: Its folder.
        at: New York time of day.
        symbol: The underlying it must be of; empty takes any.

    Raises:
        DataError: there is no tape, or it is damaged.
        UsageError: no instant is named, or the tape is of another underlying.
    """
    tape = Tape.open(path)
    hours = f"{ns_to_new_york(tape.session.open_ns)[:5]} to {ns_to_new_york(tape.session.close_ns)[:5]}"
    if not at:
        raise UsageError(
            f"`--tape` needs an instant of the session of {tape.session.date}",
            hint=f"name one from {hours} New York time, like `--at 10:31:05.250`",
        )
    if symbol and symbol != tape.manifest.symbol:
        raise UsageError(
            f"the tape is of {tape.manifest.symbol}, not of {symbol}",
            place=f"`{path}`",
            hint=f"leave `--symbol` out, or write `--symbol {tape.manifest.symbol}`",
        )
    t_ns = at_ns(tape.session, at)
    notices = []
    if not tape.session.open_ns <= t_ns <= tape.session.close_ns:
        notices.append(f"{ns_to_new_york(t_ns)} lies outside the session, which lasts from {hours}")
    return Feed(
        tape.manifest.symbol,
        tape.session,
        tape.instruments,
        _until(tape.batches(), t_ns),
        tape.notes(),
        t_ns,
        f"tape {path}",
        TAPE,
        tape.manifest.synthetic,
        tuple(notices),
    )


def _until(blocks: Iterable[dict[str, Any]], t_ns: int) -> Iterator[RowBatch]:
    """Rows up to and including `t_ns`; nothing behind them is decoded."""
    for columns in blocks:
        batch = RowBatch.from_columns(columns)
        if len(batch.ts_recv_ns) and int(batch.ts_recv_ns[-1]) > t_ns:
            yield batch.slice(0, int(np.searchsorted(batch.ts_recv_ns, t_ns, side="right")))
            return
        yield batch


def file_feed(path: Path, maps: tuple[str, ...], at: str, symbol: str, date: dt.date | None) -> Feed:
    """A file of snapshots up to an instant, by default its last one.

    Raises:
        DataError: the file is missing, damaged, or has nothing of that symbol and day.
        UsageError: the instant lies before the first snapshot, or several underlyings are in the file.
    """
    # Polars is not needed for a tape's first rows, but it is here.
    from scalpcli.adapters.chain_file import read_chain_file, rows_until  # noqa: PLC0415
    from scalpcli.adapters.import_layout import parse_maps  # noqa: PLC0415

    file: ChainFile = read_chain_file(path, parse_maps(maps), symbol, date)
    t_ns = at_ns(file.session, at) if at else file.times_ns[-1]
    if t_ns < file.times_ns[0]:
        raise UsageError(
            f"`--at {at}` lies before the first snapshot of {file.session.date}, "
            f"known at {ns_to_new_york(file.times_ns[0])}",
            place=f"`{path}`",
            hint=f"name a later instant, like `--at {ns_to_new_york(file.times_ns[0])}`, or another day with `--date`",
        )
    batches = [RowBatch.from_columns(rows_until(file, t_ns))]
    last_ns = max(ts for ts in file.times_ns if ts <= t_ns)
    aged = (
        (f"the last snapshot was known at {ns_to_new_york(last_ns)}, {(t_ns - last_ns) / NS_PER_S:.0f} s before",)
        if last_ns < t_ns
        else ()
    )
    bad = (
        (f"{file.bad_rows} row{'s' * (file.bad_rows > 1)} of the file cannot be read: left out",)
        if file.bad_rows
        else ()
    )
    return Feed(
        file.symbol, file.session, file.instruments, batches, file.notes, t_ns, f"file {path}", FILE, notices=aged + bad
    )


def live_feed(chain: LiveChain) -> Feed:
    """The chain as a poll of the live market found it."""
    day = ns_to_new_york_date(chain.t_ns)
    notices = list(chain.notices)
    if day != chain.session.date:
        why = f"the session of {day} is over" if is_session(day) else f"no session on {day}"
        notices.insert(0, f"{why}: days to expiry count from the next one, {chain.session.date}")
    return Feed(
        chain.symbol,
        chain.session,
        chain.instruments,
        [RowBatch.from_columns(dict(chain.columns))],
        chain.notes,
        chain.t_ns,
        chain.source,
        LIVE,
        notices=tuple(notices),
    )
