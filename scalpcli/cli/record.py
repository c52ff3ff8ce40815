"""`scalpcli record`: writes the session's tape, unattended, without losing rows."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli import record_audit, record_backfill, record_repair, record_tap
from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.cli.shell import new_app
from scalpcli.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from scalpcli.cli.alpaca_access import Access
    from scalpcli.cli.record_session import Job, Session
    from scalpcli.model.params import Params

EXAMPLE = "scalpcli record --symbol TSLA --dte 0,1 --strikes 12 --until close"
DEFAULT_SYMBOL = "TSLA"
REHEARSAL_FOLDER = "rehearsal"

app = new_app("Record the session: stock and near-money options, to a tape", example=EXAMPLE)
app.info.no_args_is_help = False
app.command("tap", epilog=record_tap.EXAMPLE)(record_tap.tap)
app.command("repair", epilog=record_repair.EXAMPLE)(record_repair.repair)
app.command("backfill", epilog=record_backfill.EXAMPLE)(record_backfill.backfill)
app.command("audit", epilog=record_audit.EXAMPLE)(record_audit.audit)


class StockFeed(StrEnum):
    """Stock feeds."""

    SIP = "sip"
    IEX = "iex"


class OptionFeed(StrEnum):
    """Option feeds."""

    OPRA = "opra"
    INDICATIVE = "indicative"


class Fsync(StrEnum):
    """When the disk is waited for."""

    NEVER = "never"
    INTERVAL = "interval"
    ALWAYS = "always"


@app.callback(invoke_without_command=True)
def record(
    ctx: typer.Context,
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", metavar="TEXT", help="Underlying; repeatable  [default: TSLA]")
    ] = None,
    feed: Annotated[StockFeed | None, typer.Option(help="Stock feed", show_default=False)] = None,
    option_feed: Annotated[
        OptionFeed | None, typer.Option(help="Option feed; indicative is NOT the NBBO", show_default=False)
    ] = None,
    dte: Annotated[
        str | None, typer.Option(metavar="DAYS", help="Days to expiry that are recorded, like 0,1", show_default=False)
    ] = None,
    strikes: Annotated[int | None, typer.Option(help="Strikes on each side of the money", show_default=False)] = None,
    atm_pct: Annotated[
        float | None,
        typer.Option(help="Strikes within so many percent of the money instead", show_default=False),
    ] = None,
    max_contracts: Annotated[
        int | None, typer.Option(help="Contracts at most, of all symbols together", show_default=False)
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also keep every frame as it came, in DATE.raw")] = False,
    until: Annotated[
        str, typer.Option(metavar="WHEN", help="close, a New York time like 15:30, or a duration like 20m")
    ] = "close",
    wait: Annotated[
        bool, typer.Option("--wait", help="Outside the session wait for the next one, instead of leaving with 75")
    ] = False,
    segment: Annotated[
        int | None, typer.Option(metavar="MB", help="Size at which a new segment is begun, MB", show_default=False)
    ] = None,
    fsync: Annotated[Fsync | None, typer.Option(help="When the disk itself is waited for", show_default=False)] = None,
    min_free_gb: Annotated[
        float | None, typer.Option(help="Free disk at which recording stops with exit 4, GB", show_default=False)
    ] = None,
    heartbeat_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Touched while rows are written", show_default=False)
    ] = None,
    heartbeat_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Asked while rows are written", show_default=False)
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Told when recording starts, is blind, or ends", show_default=False),
    ] = None,
    rehearse: Annotated[
        str, typer.Option(metavar="URL", help="Record the local exchange there instead of Alpaca", show_default=False)
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder of tapes; the tape goes to OUT/SYMBOL/DATE", show_default=False)
    ] = None,
    print_cron: Annotated[
        bool, typer.Option("--print-cron", help="Print a crontab that records every session, and leave")
    ] = False,
    print_systemd: Annotated[
        bool, typer.Option("--print-systemd", help="Print a systemd service and timer, and leave")
    ] = False,
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.JSON,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Record the session: stock and near-money options, to a tape.

    Started by cron or by hand; a second start while one runs leaves with 0. What is written survives whatever
    happens to the process; a start later that day goes on. SIGTERM and Ctrl-C write, seal and sum up. Outside the
    session it leaves with 75. Keys come from ALPACA_API_KEY and ALPACA_SECRET_KEY, or from the secrets file.
    """
    del verbose
    if ctx.invoked_subcommand is not None:
        return
    from scalpcli.config import Flag, load

    flags = {
        "record.feed": Flag("--feed", feed and feed.value),
        "record.option_feed": Flag("--option-feed", option_feed and option_feed.value),
        "record.dte": Flag("--dte", None if dte is None else _days(dte)),
        "record.strikes": Flag("--strikes", strikes),
        "record.atm_pct": Flag("--atm-pct", atm_pct),
        "record.max_contracts": Flag("--max-contracts", max_contracts),
        "record.raw": Flag("--raw", raw or None),
        "record.segment_mb": Flag("--segment", segment),
        "record.fsync": Flag("--fsync", fsync and fsync.value),
        "record.min_free_gb": Flag("--min-free-gb", min_free_gb),
        "record.heartbeat_file": Flag("--heartbeat-file", heartbeat_file),
        "record.heartbeat_url": Flag("--heartbeat-url", heartbeat_url),
        "record.notify": Flag("--notify", notify),
        "record.out": Flag("--out", None if out is None else str(out)),
    }
    params = load(config, param, {key: flag for key, flag in flags.items() if flag.value is not None}).params
    _check(params, symbol or [], until)
    if print_cron or print_systemd:
        _print_schedule(ctx, is_cron=print_cron)
        return
    _record(params, symbol or [], until, rehearse, is_out_given=out is not None, wait=wait, quiet=quiet,
            form=chosen_format(form, json))  # fmt: skip


def _days(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"`--dte {text}` is no list of days", hint="write whole numbers, like 0,1") from None


def _check(params: Params, symbols: list[str], until: str) -> None:
    """What cannot be meant is told before anything is asked of anyone."""
    from scalpcli.model.instrument import check_underlying
    from scalpcli.runtime.record_window import parse_until

    parse_until(until)
    for symbol in symbols:
        check_underlying(symbol)
        if symbols.count(symbol) > 1:
            raise UsageError(f"`--symbol {symbol}` is given twice", hint="a symbol has one tape: name it once")
    if params.record.notify or params.record.heartbeat_url:
        from scalpcli.adapters.notify import check_url

        if params.record.notify:
            check_url(params.record.notify, "--notify", any_service=True)
        if params.record.heartbeat_url:
            check_url(params.record.heartbeat_url, "--heartbeat-url")


def _print_schedule(ctx: typer.Context, *, is_cron: bool) -> None:
    from scalpcli.cli.record_schedule import cron_text, machine_zone, systemd_text

    arguments = schedule_arguments(ctx)
    text = cron_text(arguments, Path.cwd(), machine_zone()) if is_cron else systemd_text(arguments, Path.cwd())
    typer.echo(text, nl=False)


def schedule_arguments(ctx: typer.Context) -> list[str]:
    """The flags of this call, but those that print a schedule and `--quiet`, in the order of the help."""
    left_out = {"print_cron", "print_systemd", "quiet", "verbose"}
    arguments: list[str] = []
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if param.name in left_out or source is None or source.name != "COMMANDLINE":
            continue
        value: Any = ctx.params[param.name or ""]
        flag = max(param.opts, key=len)
        if value is True:
            arguments.append(flag)
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            arguments += [flag, str(getattr(each, "value", each))]
    return arguments


def _record(
    params: Params,
    symbols: list[str],
    until: str,
    rehearse: str,
    *,
    is_out_given: bool,
    wait: bool,
    quiet: bool,
    form: Format,
) -> None:
    import asyncio
    import sys

    from scalpcli.cli.alpaca_access import access
    from scalpcli.cli.output import emit_object, say
    from scalpcli.cli.record_run import run
    from scalpcli.cli.record_screen import live, nothing
    from scalpcli.cli.record_session import Job
    from scalpcli.runtime.lock import Busy

    reached = access(params, os.environ, rehearse)
    job = Job(
        symbols=_symbols(symbols, reached),
        params=params,
        access=reached,
        # A rehearsal's tapes must not stand where the market's belong, unless that is asked for.
        root=Path(params.record.out) / (REHEARSAL_FOLDER if rehearse and not is_out_given else ""),
        until=until,
        wait=wait,
        say=lambda line: say(line, quiet=quiet),
    )
    _say_feed(job)
    try:
        session = asyncio.run(run(job, live if sys.stderr.isatty() and not quiet else nothing))
    except Busy as busy:
        say(str(busy), quiet=quiet)
        return
    if session is None or not session.tracks:
        if session is not None:
            _leave(session)
        return
    summary = session.summary()
    emit_object(summary, form)
    _leave(session)


def _symbols(given: list[str], reached: Access) -> list[str]:
    """What is recorded, in the order given."""
    symbols = given or [reached.symbol or DEFAULT_SYMBOL]
    if reached.symbol and symbols != [reached.symbol]:
        raise UsageError(
            f"the local exchange plays {reached.symbol}, not {' and '.join(symbols)}",
            hint=f"leave `--symbol` out, or write `--symbol {reached.symbol}`",
        )
    return symbols


def _say_feed(job: Job) -> None:
    if job.params.record.option_feed == "indicative":
        job.say("option quotes are INDICATIVE: modified by the vendor, not the NBBO; do not trade by them")


def _leave(session: Session) -> None:
    """The exit code of what ended the recording.

    Raises:
        ScalpcliError: why it failed.
        Interrupted: Ctrl-C.
    """
    from scalpcli.runtime.recorder import INTERRUPTED

    for track in session.tracks:
        if track.recorder.failure is not None:
            raise track.recorder.failure
    for error in session.refused.values():
        raise error
    if session.stopped == INTERRUPTED:
        raise Interrupted("interrupted: everything is written" + " and sealed" * bool(session.tracks))
