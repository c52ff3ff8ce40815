"""`scalpcli record backfill`: tapes of past days from history."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.alpaca_access import Access, Rehearse
from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import CredentialsError, DataError, UsageError

if TYPE_CHECKING:
    from scalpcli.adapters.alpaca_rest import AlpacaRest
    from scalpcli.adapters.backfill import DayHistory, DayPlan
    from scalpcli.adapters.orats import Orats
    from scalpcli.model.params import Params
    from scalpcli.model.session import Session

EXAMPLE = "Example: scalpcli record backfill 2026-11-19 2026-11-20 --symbol TSLA"


class StockFeed(StrEnum):
    """Which prints and quotes of the stock."""

    SIP = "sip"
    IEX = "iex"


class OptionQuotes(StrEnum):
    """Where quotes of options come from."""

    NONE = "none"
    ORATS = "orats"


def backfill(
    dates: Annotated[list[str], typer.Argument(metavar="DATE...", help="Past sessions, YYYY-MM-DD")],
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="The underlying")] = "TSLA",
    options: Annotated[
        OptionQuotes,
        typer.Option(help="Quotes of options: Alpaca has none; orats fills in its one-minute chains, marked as such"),
    ] = OptionQuotes.NONE,
    feed: Annotated[
        StockFeed | None, typer.Option(help="Stock feed; record.feed by default", show_default=False)
    ] = None,
    dte: Annotated[
        str | None,
        typer.Option(metavar="N,…", help="Days to expiry, calendar days; record.dte by default", show_default=False),
    ] = None,
    strikes: Annotated[
        int | None,
        typer.Option(help="Strikes on each side of the day's prices; record.strikes by default", show_default=False),
    ] = None,
    recv_delay_ms: Annotated[
        float, typer.Option(min=0.0, max=60_000.0, help="Delay from event to receipt that rows are given, milliseconds")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Folder of tapes; record.out by default", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace tapes that are there")] = False,
    rehearse: Rehearse = "",
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Build the best possible tapes of past days from history.

    Stock prints and quotes and the prints of options come from Alpaca. Quotes of options are not to be had there:
    what was not recorded is gone, and the tape's manifest says so. A day whose tape exists is passed over.
    """
    import os

    from scalpcli.adapters.alpaca_rest import AlpacaRest
    from scalpcli.cli.alpaca_access import access
    from scalpcli.cli.output import emit, say
    from scalpcli.config import Flag, load
    from scalpcli.model.instrument import check_underlying

    del verbose
    flags = {
        "record.out": Flag("--out", str(out) if out else None),
        "record.feed": Flag("--feed", feed and feed.value),
        "record.dte": Flag("--dte", _days(dte) if dte else None),
        "record.strikes": Flag("--strikes", strikes),
    }
    params = load(config, param, {key: flag for key, flag in flags.items() if flag.value is not None}).params
    check_underlying(symbol)
    sessions = [_session(text) for text in dates]
    reach = access(params, os.environ, rehearse)
    for session in sessions:
        _check_over(session, reach)
    rest = AlpacaRest(reach.params, reach.key, reach.secret)
    orats = _orats(reach) if options is OptionQuotes.ORATS else None
    results = []
    try:
        for session in sessions:
            if not overwrite and (there := _tape_of(params, symbol, session)).exists():
                say(f"passed over {session.date}: `{there}` is there", quiet=quiet)
                continue
            results.append(
                _one_day(rest, orats, symbol, session, params, reach, recv_delay_ms, overwrite=overwrite, quiet=quiet)
            )
    finally:
        rest.close()
        if orats is not None:
            orats.close()
    emit(results, chosen_format(form, json))


def _days(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"`--dte {text}` is no list of days", hint="write whole numbers, like 0,1") from None


def _session(text: str) -> Session:
    from scalpcli.model.session import session_of

    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{text}` is not a day", hint="write YYYY-MM-DD, like 2026-11-20") from None
    return session_of(date)


def _check_over(session: Session, reach: Access) -> None:
    if not reach.is_rehearsal and reach.clock.now_ns() < session.close_ns:
        raise DataError(
            f"the session of {session.date} is not over",
            hint="history is for past days; `scalpcli record` records a session while it runs",
        )


def _orats(reach: Access) -> Orats:
    from scalpcli.adapters.orats import Orats

    if not reach.orats_token:
        raise CredentialsError(
            "`ORATS_TOKEN` is not set", place="`--options orats`", hint="export the token, or leave the option away"
        )
    params = reach.params
    return Orats(params.orats_url, reach.orats_token, connect_s=params.connect_s, answer_s=params.answer_s)


def _tape_of(params: Params, symbol: str, session: Session) -> Path:
    return Path(params.record.out) / symbol.replace("/", ".") / session.date.isoformat()


def _one_day(
    rest: AlpacaRest,
    orats: Orats | None,
    symbol: str,
    session: Session,
    params: Params,
    reach: Access,
    recv_delay_ms: float,
    *,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Write one tape and say what it holds."""
    from scalpcli.adapters.backfill import DayHistory
    from scalpcli.cli.output import progress, say
    from scalpcli.runtime.tape_writer import TapeWriter

    plan = _plan(rest, symbol, session, params, recv_delay_ms, quiet=quiet)
    history = DayHistory(rest, plan, orats)
    source = {**history.source(), "rehearsal": reach.is_rehearsal}
    with TapeWriter(
        Path(params.record.out),
        symbol,
        session.date,
        params=params.tape,
        # What a local exchange plays may be an invented market; nothing of it passes for a record of the real one.
        synthetic=reach.is_rehearsal,
        feeds=history.feeds(),
        source=source,
        overwrite=overwrite,
    ) as writer:
        writer.add_instruments(plan.contracts)
        _write_head(writer, rest, symbol, session, params, plan)
        with progress(plan.end_ns - plan.start_ns, f"reading {session.date}", quiet=quiet) as advance:
            for block in history.blocks(advance):
                for text in block.conditions:
                    writer.condition_code(text)
                for text in block.exchanges:
                    writer.exchange_code(text)
                writer.append(block.columns, block.notes)
        if writer.rows == 0:
            raise DataError(f"history has nothing of {symbol} on {session.date}", hint="check symbol, day and feed")
        writer.source.update(history.source())
        path, rows = writer.seal(), writer.rows
    say(_words(rows, symbol, session, path, history), quiet=quiet)
    return {
        "tape": str(path),
        "symbol": symbol,
        "session": session.date.isoformat(),
        "rows": rows,
        "contracts": len(plan.contracts),
        "option_quotes": "orats one-minute" if orats else "none",
        "left_out": sum(history.counts[name] for name in ("void", "unreadable", "outside")),
    }


def _words(rows: int, symbol: str, session: Session, path: Path, history: DayHistory) -> str:
    quotes = "option quotes once a minute, of ORATS" if history.orats else "no option quotes: Alpaca keeps none"
    return f"wrote {rows:,} rows of {symbol} {session.date} ({quotes}): {path}"


def _plan(
    rest: AlpacaRest, symbol: str, session: Session, params: Params, recv_delay_ms: float, *, quiet: bool
) -> DayPlan:
    """The day's span and contracts: those near any price of the day."""
    from scalpcli.adapters.alpaca_history import day_prices_e4
    from scalpcli.adapters.backfill import DayPlan
    from scalpcli.adapters.contracts import ContractsPlan, describe_left_out, fetch_contracts, look_ahead_days, numbered
    from scalpcli.cli.output import say
    from scalpcli.units import min_to_ns, ms_to_ns

    record = params.record
    available = fetch_contracts(rest, symbol, session.date, look_ahead_days(record.dte), is_past=True)
    plan = ContractsPlan(
        symbol, session.date, available, record.dte, record.strikes, record.atm_pct, record.max_contracts
    )
    if 0 in plan.missing_dte:
        say(f"no contract of {symbol} expires on {session.date} itself", quiet=quiet)
    for price_e4 in day_prices_e4(rest, symbol, session, record.feed):
        if words := describe_left_out(plan.choose(price_e4)):
            say(words, quiet=quiet)
    chosen = sorted(plan.chosen.values(), key=lambda one: (str(one.expiry), one.strike_e4, one.right))
    return DayPlan(
        symbol,
        record.feed,
        numbered(chosen),
        session.open_ns - min_to_ns(record.start_before_open_minutes),
        session.close_ns + min_to_ns(record.stop_after_close_minutes),
        ms_to_ns(recv_delay_ms),
    )


def _write_head(writer: Any, rest: AlpacaRest, symbol: str, session: Session, params: Params, plan: DayPlan) -> None:
    """Write what earlier sessions tell: from the tapes beside this one, else from Alpaca's bars."""
    from scalpcli.adapters.alpaca_history import bar_notes
    from scalpcli.runtime.context import head_notes, head_rows

    sessions_max = params.tape.profile_sessions_max
    folder = _tape_of(params, symbol, session).parent
    earlier = sorted(path for path in folder.glob("????-??-??") if path.name < session.date.isoformat())
    try:
        head = head_notes(earlier[-sessions_max:], symbol=symbol, session=session.date, sessions_max=sessions_max)
    except DataError:
        # A damaged or synthetic tape beside it tells nothing; bars do.
        head = []
    if not head:
        head = bar_notes(rest, symbol, session.date, params.record.feed, sessions_max=sessions_max)
    if head:
        writer.append(head_rows(len(head), plan.start_ns), head)
