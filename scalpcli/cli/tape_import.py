"""`scalpcli tape import`: turn ticks, bars or chains that others recorded into a tape."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import UsageError

if TYPE_CHECKING:
    from scalpcli.adapters.import_job import ImportPlan, ImportRequest
    from scalpcli.model.params import TapeParams
    from scalpcli.runtime.tape_writer import TapeWriter

Columns = Mapping[str, Any]
_SYMBOL: Final = re.compile(r"[A-Z]{1,6}([./][A-Z]{1,2})?")
EPILOG: Final = (
    "Example: scalpcli tape import tapes --symbol IBM --date 2013-10-08 "
    "--trades ibm_20131008_trades.parquet --quotes ibm_20131008_quotes.parquet"
)


class ProfileName(StrEnum):
    """What the times of the files mean."""

    TICKS = "ticks"
    BARS = "bars"
    CHAIN = "chain"


class ConditionName(StrEnum):
    """How the files spell trade conditions."""

    SIP = "sip"
    ALGOSEEK = "algoseek"
    THETADATA = "thetadata"
    OPRA = "opra"
    THETADATA_OPTIONS = "thetadata-options"


class TickRuleName(StrEnum):
    """The grid of the class's option prices."""

    PENNY = "penny"
    PENNY_PROGRAM = "penny_program"
    NICKEL = "nickel"


def _files(words: str) -> Any:
    return typer.Option(metavar="FILE", help=f"{words}, Parquet or CSV; repeatable", show_default=False)


def import_(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of tapes; the tape goes to OUT/SYMBOL/DATE")],
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="The underlying, like IBM")],
    date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The session; rows of other days are left out")],
    trades: Annotated[list[Path] | None, _files("Trades of the underlying")] = None,
    quotes: Annotated[list[Path] | None, _files("Quotes of the underlying")] = None,
    option_trades: Annotated[list[Path] | None, _files("Trades of contracts")] = None,
    option_quotes: Annotated[list[Path] | None, _files("Quotes of contracts")] = None,
    open_interest: Annotated[list[Path] | None, _files("Open interest of contracts")] = None,
    chain: Annotated[list[Path] | None, _files("Snapshots of the chain")] = None,
    profile: Annotated[
        ProfileName,
        typer.Option(help="What a time means: of the event, the end of a bar, or that of a snapshot"),
    ] = ProfileName.TICKS,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="KEY=COLUMN",
            help="Column of a field, like trades.price=px or ts=time:ms (ns, us, ms, s, iso), or a TOML file; "
            "repeatable",
        ),
    ] = None,
    recv_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Time of receipt; event time and delay without it")
    ] = None,
    recv_delay_ms: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", min=0.0, max=3_600_000.0, help="Delay of rows without a time of receipt, milliseconds"
        ),
    ] = 0.0,
    context: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="TAPE",
            help="Earlier sessions: previous levels and the volume profile; repeatable",
            show_default=False,
        ),
    ] = None,
    conditions: Annotated[
        list[ConditionName] | None,
        typer.Option(
            help="How trade conditions are spelled; found out where not given; repeatable", show_default=False
        ),
    ] = None,
    tick_rule: Annotated[
        TickRuleName | None, typer.Option(help="Grid of option prices; from a dated table where not given")
    ] = None,
    quote_lot: Annotated[
        int,
        typer.Option(metavar="INTEGER", min=1, max=10_000, help="Shares in one unit of the underlying's quote sizes"),
    ] = 1,
    expiries_max_days: Annotated[
        int | None,
        typer.Option(metavar="INTEGER", min=0, max=3_650, help="Leave out contracts that expire later, calendar days"),
    ] = None,
    strike_range_pct: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER", min=0.0, max=1_000.0, help="Leave out strikes farther from the first price, percent of it"
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on the first bad row instead of counting it")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the tape where there is one")] = False,
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn ticks, bars or chains that others recorded into a tape.

    Every file may hold other days and symbols; only rows of the session and the symbol are taken. A bad row is
    left out, told with file and row number (1 is the first row of data) and counted in the manifest.
    """
    from scalpcli.adapters.import_layout import Role
    from scalpcli.cli.output import emit_object, say
    from scalpcli.config import load

    del verbose
    files = {
        Role.TRADES: trades,
        Role.QUOTES: quotes,
        Role.OPTION_TRADES: option_trades,
        Role.OPTION_QUOTES: option_quotes,
        Role.OPEN_INTEREST: open_interest,
        Role.CHAIN: chain,
    }
    params = load(config, param).params.tape
    request = _request(
        symbol=symbol,
        date=date,
        files=[(role, path) for role, paths in files.items() for path in paths or ()],
        profile=profile,
        maps=[*(map_ or ()), *([f"ts_recv={recv_column}"] if recv_column else ())],
        recv_delay_ms=recv_delay_ms,
        quote_lot=quote_lot,
        conditions=conditions or (),
        tick_rule=tick_rule,
        expiries_max_days=expiries_max_days,
        strike_range_pct=strike_range_pct,
        strict=strict,
    )
    result = _write(request, out, context or (), params, overwrite=overwrite, quiet=quiet)
    say(_words(result), quiet=quiet)
    emit_object(result, chosen_format(form, json))


def _request(
    *,
    symbol: str,
    date: str,
    profile: ProfileName,
    maps: list[str],
    conditions: Sequence[ConditionName],
    tick_rule: TickRuleName | None,
    **others: Any,
) -> ImportRequest:
    """What the flags ask for, as the importer takes it."""
    import datetime as dt

    from scalpcli.adapters.import_job import ImportRequest
    from scalpcli.adapters.import_layout import Profile, parse_maps
    from scalpcli.model.conditions import ConditionEncoding
    from scalpcli.model.instrument import TickRule
    from scalpcli.model.session import session_of

    try:
        day = dt.date.fromisoformat(date)
    except ValueError:
        raise UsageError(f"`--date {date}` is not a day", hint="write YYYY-MM-DD, like 2013-10-08") from None
    if not _SYMBOL.fullmatch(symbol):
        raise UsageError(
            f"`--symbol {symbol}` is not a symbol",
            hint="write it as the exchange does, in capitals, like TSLA or BRK.B",
        )
    return ImportRequest(
        symbol=symbol,
        session=session_of(day),
        profile=Profile(profile.value),
        maps=parse_maps(maps),
        conditions=[ConditionEncoding(name.value) for name in conditions],
        tick_rule=TickRule(tick_rule.value) if tick_rule else None,
        **others,
    )


def _write(
    request: ImportRequest, out: Path, context: Sequence[Path], params: TapeParams, *, overwrite: bool, quiet: bool
) -> dict[str, Any]:
    """Import, write and seal; returns what was done.

    Raises:
        ScalpcliError: as the importer and the writer tell; nothing half-written stays.
    """
    from scalpcli.adapters.import_job import ImportPlan
    from scalpcli.cli.output import progress, say
    from scalpcli.runtime.context import head_notes, head_rows
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_writer import TapeWriter

    session = request.session
    head = head_notes(context, symbol=request.symbol, session=session.date, sessions_max=params.profile_sessions_max)
    plan = ImportPlan(request)
    for bad in plan.bad_rows:
        say(f"bad row: {bad}", quiet=quiet)
    writer = TapeWriter(
        out,
        request.symbol,
        session.date,
        params=params,
        synthetic=False,
        feeds=plan.feeds,
        source=plan.source,
        overwrite=overwrite,
    )
    with writer, progress(plan.rows, "importing", quiet=quiet) as advance:
        writer.add_instruments(plan.instruments)
        recode = _recoder(plan, writer)
        for columns, notes in plan.blocks():
            if head:
                writer.append(head_rows(len(head), int(columns["ts_recv_ns"][0])), head)
                head = []
            writer.append(recode(columns), notes)
            advance(len(columns["kind"]))
        path = writer.seal()
    manifest = Tape.open(path).manifest
    return {
        "tape": str(path),
        "symbol": manifest.symbol,
        "session": manifest.session,
        "rows": manifest.rows,
        "contracts": len(plan.instruments),
        "counts": {kind: count for kind, count in manifest.counts.items() if count},
        "bad_rows": plan.bad_count,
        "counters": manifest.source["counters"],
        "context_sessions": len(context),
    }


def _recoder(plan: ImportPlan, writer: TapeWriter) -> Callable[[Columns], Columns]:
    """A function that writes the tape's codes of conditions and exchanges in the place of the importer's."""
    import numpy as np

    conditions = np.array([0, *(writer.condition_code(text) for text in plan.codes.conditions[1:])], np.int16)
    exchanges = np.array([0, *(writer.exchange_code(text) for text in plan.codes.exchanges[1:])], np.int16)

    def recode(columns: Columns) -> Columns:
        return {
            **columns,
            "conditions": conditions[columns["conditions"]],
            "exchange": exchanges[columns["exchange"]],
            "ask_exchange": exchanges[columns["ask_exchange"]],
        }

    return recode


def _words(result: dict[str, Any]) -> str:
    """One line for people."""
    bad = f", {result['bad_rows']:,} bad rows left out" if result["bad_rows"] else ""
    return f"wrote {result['rows']:,} rows of {result['symbol']} {result['session']}{bad}: {result['tape']}"
