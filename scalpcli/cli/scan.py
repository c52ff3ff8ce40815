"""`scalpcli scan-options`: parses, wires, scans, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scalpcli.cli.alpaca_access import Rehearse
from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import DataError, UpstreamUnavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalpcli.config import Loaded
    from scalpcli.core.market_state import Kernel
    from scalpcli.scan.moment import Feed
    from scalpcli.scan.rank import Query, Scan

EXAMPLE = "scalpcli scan-options --tape examples/tapes --at 10:02:30 --explain"
_WATCH_S_MIN: Final = 0.5


def scan_options(
    tape: Annotated[
        Path | None, typer.Option(metavar="TAPE", help="Scan this tape at --at", show_default=False)
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="HH:MM[:SS[.fff]]", help="Instant, New York; a file's last one without it")
    ] = "",
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scan this file of chain snapshots, Parquet or CSV")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="KEY=COLUMN", help="Column of a field of --snapshot, as in tape import"),
    ] = None,
    date: Annotated[str, typer.Option(metavar="DATE", help="Day of --snapshot; its last one without it")] = "",
    rehearse: Rehearse = "",
    feed: Annotated[str | None, typer.Option(metavar="sip|iex", help="Stock feed of Alpaca")] = None,
    option_feed: Annotated[str | None, typer.Option(metavar="opra|indicative", help="Option feed of Alpaca")] = None,
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="The underlying; TSLA when live")] = "",
    expiry: Annotated[
        str, typer.Option(metavar="0dte|1dte|DATE", help="Expiry; as the settings prefer without it")
    ] = "",
    type_: Annotated[str, typer.Option("--type", metavar="call|put|both", help="Which right")] = "both",
    delta: Annotated[str, typer.Option(metavar="LOW:HIGH", help="Absolute delta, like 0.30:0.40")] = "",
    target_delta: Annotated[float | None, typer.Option(help="Absolute delta looked for")] = None,
    max_spread_pct: Annotated[float | None, typer.Option(help="Widest spread, percent of the mid")] = None,
    max_spread_ticks: Annotated[
        float | None, typer.Option(min=0.0, help="Widest spread, price steps; not a gate of the engine")
    ] = None,
    min_oi: Annotated[int | None, typer.Option(help="Least open interest, contracts")] = None,
    min_volume: Annotated[
        int | None, typer.Option(help="Least volume today, asked instead of open interest; of both when both are given")
    ] = None,
    min_size: Annotated[int | None, typer.Option(help="Least size at the ask, contracts")] = None,
    max_price: Annotated[float | None, typer.Option(help="Dearest ask, USD a share")] = None,
    max_quote_age: Annotated[float | None, typer.Option(metavar="SECONDS", help="Oldest quote, seconds")] = None,
    greeks: Annotated[
        str | None,
        typer.Option(
            metavar="computed|feed|both", help="Whose delta decides; both = the feed's while fresh, else ours"
        ),
    ] = None,
    fees_as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Charge the rates of this day")] = None,
    sort: Annotated[str, typer.Option(metavar="[-]FIELD", help="Order by a field of --schema; - for falling")] = "",
    top: Annotated[int, typer.Option(metavar="INTEGER", min=1, help="Contracts shown at most")] = 10,
    all_: Annotated[bool, typer.Option("--all", help="Show refused contracts too, up to --top")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show every gate's value, limit and verdict")] = False,
    watch: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Scan again every so many seconds, until Ctrl-C")
    ] = None,
    columns: Annotated[str, typer.Option(metavar="FIELD,...", help="Fields of the table or CSV, of --schema")] = "",
    plot: Annotated[bool, typer.Option("--plot", help="Draw the smile and the candidates")] = False,
    fail_empty: Annotated[bool, typer.Option("--fail-empty", help="Exit 4 when no contract passes")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the output and leave")] = False,
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Rank the chain now, or at an instant of a tape or file, with every gate's verdict.

    Without --tape or --snapshot it asks Alpaca. The first contract of a right is the one a replay would buy there.
    Nothing is ordered. Unknown values print as - and are null in JSON. Where no contract passes, the nearest ones
    are shown with what keeps them out.
    """
    del verbose
    if schema:
        _print_schema()
        return
    from scalpcli.cli.scan_columns import named_columns
    from scalpcli.cli.scan_flags import loaded_settings
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.scan.rank import Query, check_sort

    shown = chosen_format(form, json)
    _check(tape, snapshot, rehearse, type_, watch, shown)
    names = named_columns(columns) if columns else None
    check_sort(sort)
    extra_interest = min_oi if min_oi is not None and min_volume else None
    query = Query(type_, sort, top, all_, explain, max_spread_ticks, extra_interest)
    loaded = loaded_settings(
        config,
        param,
        delta=delta,
        greeks=greeks,
        target_delta=target_delta,
        max_spread_pct=max_spread_pct,
        min_oi=min_oi,
        min_volume=min_volume,
        min_size=min_size,
        max_price=max_price,
        max_quote_age=max_quote_age,
        fees_as_of=fees_as_of,
        feed=feed,
        option_feed=option_feed,
    )
    feed_of = _source(loaded, tape, snapshot, tuple(map_ or ()), rehearse, symbol, date, at, expiry, quiet=quiet)
    hot = load_kernel()
    found = _scans(feed_of, loaded, hot, query, expiry, watch, shown, names, plot=plot, quiet=quiet)
    if fail_empty and not found.head["matching"]:
        raise DataError("no contract passes every filter", hint="the nearest misses say what kept them out")


def _print_schema() -> None:
    import json

    from scalpcli.scan.fields import scan_schema

    typer.echo(json.dumps(scan_schema(), indent=2))


def _check(
    tape: Path | None, snapshot: Path | None, rehearse: str, type_: str, watch: float | None, form: Format
) -> None:
    given = [name for name, value in (("--tape", tape), ("--snapshot", snapshot), ("--rehearse", rehearse)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(f'`{name}`' for name in given)} name two sources", hint="name one")
    if type_ not in ("call", "put", "both"):
        raise UsageError(f"`--type {type_}` is no right", hint="write call, put or both")
    if watch is None:
        return
    if tape is not None:
        raise UsageError("`--watch` with `--tape`: an instant of a tape does not change", hint="leave one out")
    if watch < _WATCH_S_MIN:
        raise UsageError(f"`--watch {watch:g}` is below its limit: {_WATCH_S_MIN:g}", hint="write seconds, like 5")
    if form is Format.JSON:
        raise UsageError("`--watch` with `--format json` would print many documents", hint="write `--format jsonl`")


def _source(
    loaded: Loaded,
    tape: Path | None,
    snapshot: Path | None,
    maps: tuple[str, ...],
    rehearse: str,
    symbol: str,
    date: str,
    at: str,
    expiry: str,
    *,
    quiet: bool,
) -> Callable[[], Feed]:
    """What gives the rows, each time it is called."""
    import datetime as dt

    from scalpcli.scan.sources import file_feed, tape_feed

    if snapshot is None and (maps or date):
        raise UsageError("`--map` and `--date` are for `--snapshot`", hint="name the file, or leave them out")
    if tape is not None:
        return lambda: tape_feed(tape, at, symbol)
    if snapshot is not None:
        try:
            day = dt.date.fromisoformat(date) if date else None
        except ValueError:
            raise UsageError(f"`--date {date}` is not a day", hint="write YYYY-MM-DD, like 2026-11-20") from None
        return lambda: file_feed(snapshot, maps, at, symbol, day)
    if at:
        raise UsageError("`--at` needs `--tape` or `--snapshot`", hint="leave it out to see the chain as it is now")
    from scalpcli.cli.scan_live import live_source

    return live_source(loaded, rehearse, symbol, expiry, quiet=quiet)


def _scans(
    feed_of: Callable[[], Feed],
    loaded: Loaded,
    hot: Kernel,
    query: Query,
    expiry: str,
    watch: float | None,
    form: Format,
    names: list[str] | None,
    *,
    plot: bool,
    quiet: bool,
) -> Scan:
    """Scan and print once, or until interrupted."""
    import sys

    from scalpcli.cli.output import say
    from scalpcli.cli.scan_print import clear_screen, print_scan
    from scalpcli.scan.expiries import choose_expiries
    from scalpcli.scan.moment import play
    from scalpcli.scan.rank import scan

    seen = False
    while True:
        try:
            feed = feed_of()
        except UpstreamUnavailable as error:
            # Who watches wants to see again when the service is back; the first answer must come.
            if watch is None or not seen:
                raise
            say(f"{error.found}; asking again in {watch:g} s", quiet=quiet)
            pause_s(watch)
            continue
        seen = True
        expiries = choose_expiries(loaded.params, feed.instruments, feed.session.date, expiry)
        moment = play(feed, expiries.params, tuple(loaded.blackouts), hot)
        found = scan(moment, query, expiries)
        if watch is not None and form is Format.TABLE:
            clear_screen()
        print_scan(found, form, names, plot=plot, quiet=quiet)
        sys.stdout.flush()
        if watch is None:
            return found
        pause_s(watch)


def pause_s(seconds: float) -> None:
    """Wait; Ctrl-C ends it."""
    import threading

    threading.Event().wait(seconds)
