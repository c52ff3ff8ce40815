"""`scalpcli tape`: make, look at, check, export and list tapes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli import tape_import, tape_prune, tape_synth
from scalpcli.cli.options import Format, FormatOption, Json, Quiet, Verbose, chosen_format
from scalpcli.cli.shell import new_app
from scalpcli.errors import DataError, ScalpcliError

if TYPE_CHECKING:
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_plain import RowFilter
    from scalpcli.runtime.tape_verify import Finding

app = new_app(
    "Make, look at, check, export and list tapes",
    example="scalpcli tape info tapes/TSLA/2026-11-20",
)
app.command("import", epilog=tape_import.EPILOG)(tape_import.import_)
app.command("synth", epilog=tape_synth.EXAMPLE)(tape_synth.synth)
app.command("prune", epilog=tape_prune.EPILOG)(tape_prune.prune)


class KindName(StrEnum):
    """Kinds of rows; `model/row.py` is not read here, since it needs NumPy."""

    STOCK_TRADE = "stock_trade"
    STOCK_QUOTE = "stock_quote"
    OPTION_TRADE = "option_trade"
    OPTION_QUOTE = "option_quote"
    PRICE_ONLY = "price_only"
    STATUS = "status"
    GAP = "gap"
    COLD = "cold"


TapeArgument = Annotated[Path, typer.Argument(metavar="TAPE", help="A tape's folder, or a folder with exactly one")]
At = Annotated[str, typer.Option(metavar="HH:MM:SS.fff", help="Start at this New York time", show_default=False)]
Kinds = Annotated[list[KindName] | None, typer.Option("--kind", help="Only rows of this kind; repeatable")]
Symbols = Annotated[
    list[str] | None,
    typer.Option("--symbol", metavar="TEXT", help="Only rows of this stock or contract; repeatable"),
]


@app.command(epilog="Example: scalpcli tape info tapes/TSLA/2026-11-20")
def info(tape: TapeArgument, form: FormatOption = Format.TABLE, json: Json = False, verbose: Verbose = False) -> None:
    """Show what a tape holds and how good it is.

    JSON gives the whole manifest.
    """
    from scalpcli.cli.output import emit, emit_object
    from scalpcli.cli.tape_words import figures
    from scalpcli.runtime.tape import Tape

    del verbose
    opened = Tape.open(tape, allow_empty=True)
    chosen = chosen_format(form, json)
    if chosen in (Format.JSON, Format.JSONL):
        emit_object(_as_object(opened), chosen)
    else:
        rows = [{"name": name, "value": value} for name, value in figures(opened).items()]
        emit(rows, chosen, title=f"{opened.manifest.symbol} {opened.manifest.session}" * (chosen is Format.TABLE))


def _as_object(tape: Tape) -> dict[str, Any]:
    import dataclasses

    from scalpcli.cli.tape_words import bytes_per_row, expiries

    value = dataclasses.asdict(tape.manifest)
    for digest in value["files"].values():
        del digest["chunk_crc32"]
    return {
        "path": str(tape.path),
        **value,
        "contracts": len(tape.instruments) - 1,
        "expiries": expiries(tape),
        "bytes_per_row": bytes_per_row(tape),
    }


@app.command(epilog="Example: scalpcli tape verify tapes/TSLA/2026-11-20")
def verify(
    tape: TapeArgument,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check every byte and every row of a tape and say where it is damaged.

    Leaves with 0 when the tape is what was written, and with 4 when it is not.
    """
    from scalpcli.cli.output import emit, emit_object, say
    from scalpcli.runtime.tape_verify import verify as verify_tape

    del verbose
    result = verify_tape(tape)
    chosen = chosen_format(form, json)
    findings = [{"file": found.file, "place": found.place, "found": found.found} for found in result.findings]
    if chosen is Format.JSON:
        emit_object({"path": str(result.path), "rows": result.rows, "ok": not findings, "findings": findings}, chosen)
    elif findings:
        emit(findings, chosen)
    if findings:
        raise _damaged(result.path, result.findings)
    say(f"{result.rows:,} rows are what was written: {result.path}", quiet=quiet)


def _damaged(path: Path, findings: list[Finding]) -> DataError:
    first = findings[0]
    more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
    return DataError(
        f"the tape is damaged: `{first.file}` {first.found}{more}",
        place=f"`{path / first.file}`" + (f", {first.place}" if first.place else ""),
        hint="restore the folder from a copy, or import or record the session again",
    )


@app.command(epilog="Example: scalpcli tape head tapes/TSLA/2026-11-20 -n 10 --at 10:31:05 --kind option_trade")
def head(
    tape: TapeArgument,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=100_000, help="Rows to show")] = 20,
    at: At = "",
    kind: Kinds = None,
    symbol: Symbols = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show rows as people read them: New York time, symbols, dollars and words.

    `received` is when we learned of it, `late ms` how long after it happened. Of a print's four rights (last,
    range, vwap, volume) only those it lacks are shown. JSON and CSV give every column.
    """
    from scalpcli.cli.output import emit
    from scalpcli.cli.tape_words import lines, row_words, with_clock_times
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_plain import head_rows

    del verbose
    opened = Tape.open(tape)
    found = head_rows(opened, _filter(at, kind, symbol), rows)
    chosen = chosen_format(form, json)
    if chosen is not Format.TABLE:
        emit([with_clock_times(row) for row in found], chosen)
        return
    manifest = opened.manifest
    typer.echo(f"{manifest.symbol} {manifest.session}, New York time" + ", synthetic" * manifest.synthetic)
    typer.echo("\n".join(lines([row_words(row) for row in found]) or ["no such row"]))


def _filter(at: str, kinds: list[KindName] | None, symbols: list[str] | None) -> RowFilter:
    from scalpcli.runtime.tape_plain import RowFilter

    return RowFilter(at, [kind.value for kind in kinds or ()], symbols or ())


@app.command(epilog="Example: scalpcli tape export tapes/TSLA/2026-11-20 rows.csv --kind stock_trade")
def export(
    tape: TapeArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .csv or .parquet")],
    at: At = "",
    kind: Kinds = None,
    symbol: Symbols = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where there is one")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write rows to CSV or Parquet with plain column names and dollars.

    Times are UTC with nanoseconds. Rows stream: memory does not grow with the tape.
    """
    from scalpcli.cli.output import say
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_plain import export_rows

    del verbose
    export_rows(Tape.open(tape, allow_empty=True), _filter(at, kind, symbol), out, overwrite=overwrite)
    say(f"wrote {out}", quiet=quiet)


@app.command("list", epilog="Example: scalpcli tape list tapes --burst-pct 0.3")
def list_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of tapes, like tapes or tapes/TSLA")],
    burst_pct: Annotated[float, typer.Option(min=0.001, max=100.0, help="Move that counts as a burst, percent")] = 0.5,
    burst_window: Annotated[int, typer.Option(min=1, max=7_200, help="Time for that move, seconds")] = 30,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List the tapes of a folder: session, rows, coverage, gaps, bursts, size.

    Bursts are looked for on whole seconds and without confirmation by volume: a survey, not the engine's
    count. A tape that cannot be opened is listed with what is wrong, and the command leaves with 4.
    """
    from scalpcli.cli.output import emit, say
    from scalpcli.cli.tape_words import lines, tape_words
    from scalpcli.runtime.tape import find_tapes

    del verbose
    found = find_tapes(folder) if folder.is_dir() else []
    if not found:
        raise DataError(
            f"there is no tape in `{folder}`",
            place=f"`{folder}`",
            hint="name a folder with tapes at FOLDER/SYMBOL/DATE; `scalpcli tape synth` makes one to try",
        )
    rows = [_listed(path, burst_pct, burst_window) for path in found]
    chosen = chosen_format(form, json)
    if chosen is Format.TABLE:
        typer.echo("\n".join(lines([tape_words(row, burst_window) for row in rows])))
    else:
        emit(rows, chosen)
    broken = [row for row in rows if row["error"]]
    if broken:
        raise DataError(
            f"{len(broken)} of {len(rows)} tapes cannot be read: {broken[0]['error']}",
            place=f"`{broken[0]['path']}`",
            hint=f"`scalpcli tape verify {broken[0]['path']}` tells more",
        )
    tapes = "1 tape" if len(rows) == 1 else f"{len(rows)} tapes"
    bursts = sum(row["bursts"] for row in rows)
    say(f"{tapes}, bursts of {burst_pct:g} % in {burst_window} s: {bursts}", quiet=quiet)


def _listed(path: Path, burst_pct: float, burst_window: int) -> dict[str, Any]:
    """One tape of a list; one that cannot be read keeps its name and tells why."""
    from scalpcli.cli.tape_words import size_mb
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_bursts import count_bursts

    row: dict[str, Any] = {"path": str(path), "symbol": path.parent.name, "session": path.name, "error": None}
    try:
        tape = Tape.open(path, allow_empty=True)
        bursts = count_bursts(tape, burst_pct, burst_window)
    except ScalpcliError as error:
        return row | {"error": error.found}
    manifest = tape.manifest
    return row | {
        "symbol": manifest.symbol,
        "session": manifest.session,
        "synthetic": manifest.synthetic,
        "rows": manifest.rows,
        "contracts": len(tape.instruments) - 1,
        "coverage_pct": manifest.quality["coverage_pct"],
        "gaps": manifest.quality["gaps"]["count"],
        "gap_seconds": manifest.quality["gaps"]["seconds"],
        "bursts": bursts.up + bursts.down,
        "bursts_up": bursts.up,
        "bursts_down": bursts.down,
        "largest_pct": bursts.largest_pct,
        "size_mb": size_mb(tape),
    }
