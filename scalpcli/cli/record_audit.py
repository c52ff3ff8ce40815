"""`scalpcli record audit`: a tape against the prints that history has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.alpaca_access import Rehearse
from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import CheckFailed, DataError

if TYPE_CHECKING:
    from scalpcli.adapters.audit import Minute

EXAMPLE = "Example: scalpcli record audit tapes/TSLA/2026-11-20 --require 99.9"


def audit(
    tape: Annotated[Path, typer.Argument(metavar="TAPE", help="Folder of the tape")],
    feed: Annotated[
        str | None, typer.Option(metavar="sip|iex", help="Stock feed of the history; the tape's own by default")
    ] = None,
    require: Annotated[
        float | None,
        typer.Option(min=0.0, max=100.0, help="Leave with exit code 5 below so many percent of the prints"),
    ] = None,
    differing: Annotated[bool, typer.Option("--differing", help="Print only minutes that differ from history")] = False,
    rehearse: Rehearse = "",
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare a tape's prints of the stock with Alpaca's history, minute by minute.

    A print is the same when time, price, size, exchange and id are. What is missing in a minute in which the tape
    says itself that it was blind is explained by its gap.
    """
    from scalpcli.cli.output import emit, say

    del verbose
    minutes = _minutes(tape, feed, rehearse, config, param)
    history, missing = (sum(getattr(one, name) for one in minutes) for name in ("history", "missing"))
    extra = sum(one.extra for one in minutes)
    pct = 100.0 * (history - missing) / history
    shown = [one for one in minutes if not differing or one.missing or one.extra]
    emit([_row(one) for one in shown], chosen_format(form, json), columns=_columns())
    unexplained = sum(one.missing for one in minutes if not one.is_explained)
    say(
        f"{pct:.3f} % complete: {history - missing:,} of {history:,} prints; {missing:,} missing "
        f"({unexplained:,} outside of gaps), {extra:,} extra",
        quiet=quiet,
    )
    if require is not None and pct < require:
        raise CheckFailed(
            f"the tape has {pct:.3f} percent of the prints, below its limit: {require:g}",
            place=f"`{tape}`",
            hint="`--differing` shows the minutes; what lies in a gap is explained by it",
        )


def _minutes(
    tape: Path, feed: str | None, rehearse: str, config: list[str] | None, param: list[str] | None
) -> list[Minute]:
    import os

    from scalpcli.adapters.alpaca_history import stock_trades
    from scalpcli.adapters.alpaca_rest import AlpacaRest
    from scalpcli.adapters.audit import COLUMNS_READ
    from scalpcli.adapters.audit import audit as compare
    from scalpcli.cli.alpaca_access import access
    from scalpcli.config import load
    from scalpcli.runtime.tape import Tape

    params = load(config, param, {"record.feed": feed}).params
    opened = Tape.open(tape)
    stock = opened.manifest.feeds.get("stock", "")
    used = feed or ("iex" if "iex" in stock else "sip" if "sip" in stock else params.record.feed)
    reach = access(params, os.environ, rehearse)
    rest = AlpacaRest(reach.params, reach.key, reach.secret)
    try:
        session = opened.session
        pages = stock_trades(rest, opened.manifest.symbol, session.open_ns, session.close_ns, used, with_void=True)
        minutes = compare(opened.batches(columns=COLUMNS_READ), opened.manifest.exchanges, pages, session)
    finally:
        rest.close()
    if not any(one.history for one in minutes):
        raise DataError(
            f"history has no prints of {opened.manifest.symbol} on {session.date}",
            place=f"`{tape}`",
            hint="a synthetic tape has no history; the free plan has none of the last 15 minutes",
        )
    return minutes


def _row(minute: Minute) -> dict[str, Any]:
    from scalpcli.model.session import ns_to_new_york

    return {
        "minute": ns_to_new_york(minute.start_ns)[:5],
        "history": minute.history,
        "tape": minute.tape,
        "missing": minute.missing,
        "extra": minute.extra,
        "backfilled": minute.backfilled,
        "completeness_pct": round(minute.completeness_pct, 4),
        "gap_s": round(minute.gap_s, 3),
    }


def _columns() -> list[Any]:
    from scalpcli.cli.output import Column

    heads = {"completeness_pct": "complete %", "gap_s": "gap, s", "minute": "New York"}
    names = ("minute", "history", "tape", "missing", "extra", "backfilled", "completeness_pct", "gap_s")
    return [Column(name, heads.get(name, ""), digits=2) for name in names]
