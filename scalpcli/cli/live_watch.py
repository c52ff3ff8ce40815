"""`scalpcli live watch` and `scalpcli live signals`: what the running process tells, on a screen or as data."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from scalpcli.cli.options import Json, Quiet, Verbose
from scalpcli.cli.output import TABLE_COLUMNS, say
from scalpcli.errors import UpstreamUnavailable, UsageError

WATCH_EXAMPLE: Final = "scalpcli live watch"
SIGNALS_EXAMPLE: Final = "scalpcli live signals --schema"
_DEFAULT_OUT: Final = Path("live")
_INTERVAL_MS_MIN: Final = 50

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of live runs, where `--run` is not given")]
Run = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A run's own folder, like live/paper/TSLA/2026-11-20", show_default=False),
]
Symbol = Annotated[str, typer.Option(help="Only runs of this underlying; empty = of any")]


def watch(
    out: Out = _DEFAULT_OUT,
    run: Run = None,
    symbol: Symbol = "",
    interval_ms: Annotated[int, typer.Option(help="Milliseconds between two snapshots, from 50 to 60000")] = 250,
    once: Annotated[bool, typer.Option("--once", help="Print one snapshot as text and leave, as for a mail")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Watch the running process: price, velocity, signals, position, gates, feed, protections, alarms.

    A process of its own: drawing never makes trading late. Keys: q leaves; f flattens, s stops entries and k kills,
    each asked for once more before it is sent. When the process restarts, it is found again.

    Not on a terminal, or with --json: JSON lines with `state` and `event`, each with its `mode`.
    """
    del verbose
    if interval_ms < _INTERVAL_MS_MIN:
        raise UsageError(
            f"`--interval-ms {interval_ms}` is below its limit: {_INTERVAL_MS_MIN}",
            hint="drawing more often takes time from the process that trades",
        )
    import asyncio

    from scalpcli.cli.live_watch_source import Source, first_state

    find = finder(out, run, symbol)
    if once:
        state = asyncio.run(first_state(find))
        sys.stdout.write(json_module.dumps(state) + "\n" if json else _as_text(state))
        return
    source = Source(find, interval_ms=interval_ms)
    if json or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        # Nothing to follow is an error for a script; a screen waits for it.
        find()
        asyncio.run(_print_lines(source, quiet=quiet))
        return
    from scalpcli.cli.live_watch_app import WatchApp

    WatchApp(source).run(mouse=False)


def signals(
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of every message and leave")] = False,
    out: Out = _DEFAULT_OUT,
    run: Run = None,
    symbol: Symbol = "",
    verbose: Verbose = False,
) -> None:
    """Print where the running process offers its signals, and the file that holds the token.

    A WebSocket on this machine tells `scalp_signal`, `fill`, `positions`, `state` and `alarm` as JSON, to whoever
    brings the token: as `Authorization: Bearer`, as `?token=`, or as the first message, {"token": "…"}. It takes
    nothing else, and drops who reads too slowly.
    """
    del verbose
    from scalpcli.adapters.signals_schema import signals_schema

    if schema:
        sys.stdout.write(json_module.dumps(signals_schema(), indent=2) + "\n")
        return
    from scalpcli.adapters.signal_feed import ACCESS_FILE
    from scalpcli.cli.live_find import find_run

    path = find_run(out, run, symbol).folder / ACCESS_FILE
    try:
        url = json_module.loads(path.read_bytes())["url"]
    except (OSError, ValueError, KeyError):
        raise UpstreamUnavailable(
            "no process offers signals there", place=f"`{path}`", hint="begin one with `scalpcli live run`"
        ) from None
    # The token stays in its file: what is printed may end in a log.
    sys.stdout.write(f"{json_module.dumps({'url': url, 'token_file': str(path)})}\n")


def finder(out: Path, run: Path | None, symbol: str) -> Callable[[], str]:
    """What tells the control socket of the process that trades now, asked again after each restart.

    Args:
        out: Folder of runs.
        run: A run's own folder.
        symbol: Only runs of this underlying; empty = of any.
    """
    from scalpcli.cli.live_find import find_run
    from scalpcli.runtime.run_lock import read_run_owner

    known: Path | None = None

    def find() -> str:
        nonlocal known
        if known is not None and (control := read_run_owner(known).control):
            # Looking at its lock again and again could be in the way of a process that restarts.
            return control
        found = find_run(out, run, symbol)
        if not found.control:
            raise UpstreamUnavailable(
                f"nobody trades {found.mark} in `{found.folder}` now",
                hint="begin with `scalpcli live run`; `scalpcli live status` tells what its files say",
            )
        known = found.folder
        return found.control

    return find


def _as_text(state: dict[str, Any]) -> str:
    from rich.console import Console

    from scalpcli.cli.live_watch_layout import snapshot_lines
    from scalpcli.cli.live_watch_text import plain

    width = Console().width if sys.stdout.isatty() else TABLE_COLUMNS
    return plain(snapshot_lines(state, width))


async def _print_lines(source: Any, *, quiet: bool) -> None:
    """Every update with its mode, until the reader leaves; what is no data goes to stderr."""
    mode = ""
    async for update in source.updates():
        if "lost" in update:
            say(f"{mode or 'live'}: {update['lost']}; looking for it again", quiet=quiet)
        elif "silent_s" in update:
            say(f"{mode or 'live'}: the engine says nothing for {update['silent_s']:.0f} s", quiet=quiet)
        else:
            mode = update.get("state", {}).get("mode", mode.lower()).upper()
            sys.stdout.write(json_module.dumps({"mode": mode, **update}) + "\n")
            sys.stdout.flush()
