"""`scalpcli tape synth`: a seeded market for demos, tests and benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt

    from scalpcli.runtime.synthetic_plan import SyntheticSpec

EXAMPLE = "Example: scalpcli tape synth tapes --date 2026-11-20 --rows 200000 --contracts 20 --seed 7"


def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of tapes; the tape goes to OUT/SYMBOL/DATE")],
    date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The session to make")],
    rows: Annotated[int, typer.Option(help="Rows of the tape, exactly")] = 1_000_000,
    contracts: Annotated[
        int, typer.Option(help="Contracts of the first expiry, half calls, half puts; same-day where the day lists one")
    ] = 40,
    next_expiry: Annotated[int, typer.Option(help="Contracts of the expiry after it")] = 0,
    seed: Annotated[int, typer.Option(help="Source of all chance: equal arguments make equal tapes")] = 0,
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="Name of the underlying")] = "TSLA",
    spot: Annotated[float, typer.Option(help="Price about which the session moves, USD")] = 400.0,
    volatility: Annotated[float, typer.Option(help="Volatility per year of 252 sessions; 0.55 is 55 percent")] = 0.55,
    strike_step: Annotated[float, typer.Option(help="Distance of two strikes, USD")] = 2.5,
    bursts: Annotated[
        int | None,
        typer.Option(help="Momentum bursts to plant; one every 15 minutes where not given", show_default=False),
    ] = None,
    follow_through: Annotated[
        float, typer.Option(help="Bursts after which the move goes on, percent; the others stall or revert")
    ] = 45.0,
    minutes: Annotated[
        int | None, typer.Option(help="Only the first so many minutes of the session", show_default=False)
    ] = None,
    halt: Annotated[bool, typer.Option("--halt", help="Add a trading pause of five minutes")] = False,
    gap: Annotated[bool, typer.Option("--gap", help="Add three gaps of 20 to 60 seconds in some channels")] = False,
    outage: Annotated[bool, typer.Option("--outage", help="Add four minutes without any channel")] = False,
    early_close: Annotated[
        bool, typer.Option("--early-close", help="Take the first session from --date on that closes at 13:00")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Add the volumes of five earlier sessions to the tape's head")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the tape where there is one")] = False,
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a tape of a market that never was.

    Prices jump, burst and revert, volume is high at the open and the close, quotes of stock and options widen,
    thin out and flicker. The tape is marked synthetic, and so is every result made from it.
    """
    from scalpcli.cli.output import emit_object, say
    from scalpcli.runtime.synthetic_plan import SyntheticSpec

    del verbose
    day = _day(date, early_close=early_close)
    if early_close and day.isoformat() != date:
        say(f"the first session from {date} on that closes early is {day}", quiet=quiet)
    spec = SyntheticSpec(
        date=day,
        rows=rows,
        contracts=contracts,
        next_expiry=next_expiry,
        seed=seed,
        symbol=symbol,
        spot=spot,
        volatility=volatility,
        strike_step=strike_step,
        bursts=bursts,
        follow_through_pct=follow_through,
        minutes=minutes,
        halt=halt,
        gap=gap,
        outage=outage,
        profile=profile,
    )
    result = _write(spec, out, config, param, overwrite=overwrite, quiet=quiet)
    say(f"wrote {result['rows']:,} synthetic rows of {symbol} {day}: {result['tape']}", quiet=quiet)
    emit_object(result, chosen_format(form, json))


def _day(text: str, *, early_close: bool) -> dt.date:
    """The session asked for, or the first one from it on that closes early.

    Raises:
        UsageError: `text` is not a day.
        DataError: the calendar ends before such a session.
    """
    import datetime as dt

    from scalpcli.model.session import next_session

    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`--date {text}` is not a day", hint="write YYYY-MM-DD, like 2026-11-20") from None
    if not early_close:
        return day
    session = next_session(day - dt.timedelta(days=1))
    while not session.is_early_close:
        session = next_session(session.date)
    return session.date


def _write(
    spec: SyntheticSpec,
    out: Path,
    config: list[str] | None,
    param: list[str] | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Write the tape and say what it holds."""
    from scalpcli.cli.output import progress
    from scalpcli.config import load
    from scalpcli.runtime.synthetic import write_synthetic
    from scalpcli.runtime.tape import Tape

    params = load(config, param).params.tape
    with progress(spec.rows, "making", quiet=quiet) as advance:
        path = write_synthetic(out, spec, params=params, overwrite=overwrite, progress=advance)
    manifest = Tape.open(path).manifest
    return {
        "tape": str(path),
        "symbol": manifest.symbol,
        "session": manifest.session,
        "synthetic": manifest.synthetic,
        "seed": spec.seed,
        "rows": manifest.rows,
        "contracts": spec.contracts + spec.next_expiry,
        "counts": manifest.counts,
        "tape_digest": manifest.rows_digest,
    }
