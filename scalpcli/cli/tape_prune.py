"""`scalpcli tape prune`: remove old tapes, after showing which."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalpcli.cli.options import Format, FormatOption, Json, Quiet, Verbose, chosen_format
from scalpcli.errors import DataError

EPILOG = "Example: scalpcli tape prune tapes --keep 30d --yes"


def prune(
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Folder of tapes at FOLDER/SYMBOL/DATE", show_default="tapes")
    ] = Path("tapes"),
    keep: Annotated[
        str, typer.Option(metavar="N|DAYSd", help="Latest tapes of each symbol to keep, like 20, or days, like 30d")
    ],
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", metavar="TEXT", help="Only tapes of this symbol; repeatable")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it, only show what would go")] = False,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Remove old tapes. Nothing is removed without `--yes`: option quotes can be had nowhere again.

    Recordings in progress, and folders that are not FOLDER/SYMBOL/DATE, are left alone. Prints the tapes that go.
    """
    from scalpcli.cli.output import Column, emit, say
    from scalpcli.model.session import NEW_YORK
    from scalpcli.runtime import clock, disk

    del verbose
    rule = disk.parse_keep(keep)
    tapes = disk.tape_sizes(folder, symbol or ())
    if not tapes:
        of_symbols = f" of {', '.join(symbol)}" if symbol else ""
        raise DataError(
            f"there is no tape{of_symbols} in `{folder}`",
            place=f"`{folder}`",
            hint="name a folder with tapes at FOLDER/SYMBOL/DATE",
        )
    plan = disk.plan_prune(tapes, rule, clock.utc_now().astimezone(NEW_YORK).date())
    if yes:
        disk.prune(plan)
    rows = [
        {
            "path": str(tape.path),
            "symbol": tape.symbol,
            "session": tape.date,
            "bytes": tape.bytes,
            "size_mb": round(tape.bytes / 1e6, 1),
            "removed": yes,
        }
        for tape in plan.removed
    ]
    columns = [Column("session"), Column("symbol"), Column("size_mb", title="MB"), Column("path")]
    emit(rows, chosen_format(form, json), columns=columns)
    done = "removed" if yes else "would remove"
    freed, kept = plan.freed_bytes / disk.BYTES_PER_GB, len(plan.kept)
    say(f"{done} {_tapes(len(rows))} and free {freed:.3f} GB, {_tapes(kept)} stay", quiet=quiet)
    if rows and not yes:
        say("nothing was removed: add `--yes`", quiet=quiet)
    ahead = disk.forecast(folder)
    if ahead.sessions_left is not None:
        free = ahead.free_bytes / disk.BYTES_PER_GB
        say(f"{free:,.1f} GB are free, room for {ahead.sessions_left:,} more sessions", quiet=quiet)


def _tapes(count: int) -> str:
    return "1 tape" if count == 1 else f"{count} tapes"
