"""`scalpcli tape`: make, look at, check, export and list tapes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scalpcli.cli import tape_import, tape_synth
from scalpcli.cli.options import Format, FormatOption, Json, Quiet, Verbose, chosen_format
from scalpcli.cli.shell import new_app
from scalpcli.errors import DataError, ScalpcliError

if TYPE_CHECKING:
    from scalpcli.model.session import Session
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_plain import RowFilter
    from scalpcli.runtime.tape_verify import Finding

app = new_app(
    "Make, look at, check, export and list tapes",
    example="scalpcli tape info tapes/TSLA/2026-11-20",
)
app.command("import", epilog=tape_import.EPILOG)(tape_import.import_)
app.command("synth", epilog=tape_synth.EXAMPLE)(tape_synth.synth)

_BYTES_PER_MB: Final = 1e6


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
    from scalpcli.runtime.tape import Tape

    del verbose
    opened = Tape.open(tape, allow_empty=True)
    chosen = chosen_format(form, json)
    if chosen in (Format.JSON, Format.JSONL):
        emit_object(_as_object(opened), chosen)
    else:
        rows = [{"name": name, "value": value} for name, value in _figures(opened).items()]
        emit(rows, chosen, title=f"{opened.manifest.symbol} {opened.manifest.session}" * (chosen is Format.TABLE))


def _as_object(tape: Tape) -> dict[str, Any]:
    import dataclasses

    value = dataclasses.asdict(tape.manifest)
    for digest in value["files"].values():
        del digest["chunk_crc32"]
    return {
        "path": str(tape.path),
        **value,
        "contracts": len(tape.instruments) - 1,
        "expiries": _expiries(tape),
        "bytes_per_row": _bytes_per_row(tape),
    }


def _figures(tape: Tape) -> dict[str, str]:
    """Name -> text, in the order people ask."""
    from scalpcli.model.session import ns_to_new_york

    manifest, quality, session = tape.manifest, tape.manifest.quality, tape.session
    close = ", early close" if session.is_early_close else ""
    gaps, skew = quality["gaps"], quality["clock_skew_ms"]
    ends = [ns_to_new_york(quality[end]) for end in ("first_ts_ns", "last_ts_ns") if quality[end] is not None]
    figures = {
        "tape": str(tape.path),
        "session": f"{ns_to_new_york(session.open_ns)} to {ns_to_new_york(session.close_ns)} New York{close}",
        "synthetic": "yes: an invented market" if manifest.synthetic else "no",
        "feeds": ", ".join(f"{name} {feed}" for name, feed in manifest.feeds.items()) or "-",
        "rows": f"{manifest.rows:,}",
        **{f"  {kind}": f"{count:,}" for kind, count in manifest.counts.items() if count},
        "contracts": f"{len(tape.instruments) - 1:,}" + "".join(f", {day}" for day in _expiries(tape)[:4]),
        "first to last row": " to ".join(ends) or "-",
        "coverage": f"{quality['coverage_pct']:.2f} % of the session",
        "gaps": f"{gaps['count']}, {gaps['seconds']:.1f} s in all, longest {gaps['longest_s']:.1f} s",
    }
    for channel in ("stock_quotes", "option_quotes"):
        counts = quality[channel]
        if counts["two_sided"] + counts["one_sided"]:
            shares = f"{counts['crossed_pct']:.2f} % crossed, {counts['locked_pct']:.2f} % locked"
            figures[channel.replace("_", " ")] = f"{shares}, {counts['one_sided']:,} without two sides"
    stale = (f"{name.replace('_', ' ')} {share:.2f} %" for name, share in quality["stale_pct"].items())
    return figures | {
        "silent over 5 s": ", ".join(stale) or "-",
        "clock skew": "-"
        if skew["median"] is None
        else f"median {skew['median']:.3f} ms, p99 {skew['p99']:.3f} ms, {skew['negative']:,} negative",
        "receive delay": _receive_delay(manifest.source),
        "out of order": f"{quality['out_of_order']:,}",
        "unknown conditions": f"{quality['unknown_conditions']:,}",
        "backfilled": f"{quality['backfilled']:,}",
        "outside the session": f"{quality['outside_session']:,}",
        "prices rounded": f"{quality['prices_rounded']:,}",
        "size": f"{_size(tape) / _BYTES_PER_MB:,.1f} MB, {_bytes_per_row(tape):.1f} bytes a row",
        "digest": manifest.rows_digest,
        "written by": ", ".join(f"{name} {version}" for name, version in manifest.written_by.items()),
    }


def _receive_delay(source: dict[str, Any]) -> str:
    delay = source.get("recv_delay_ms")
    return "receive times are the source's own" if delay is None else f"{delay:g} ms after the event, assumed"


def _expiries(tape: Tape) -> list[str]:
    return sorted({contract.expiry.isoformat() for contract in tape.instruments if contract.expiry})


def _size(tape: Tape) -> int:
    return sum(digest.bytes for digest in tape.manifest.files.values())


def _bytes_per_row(tape: Tape) -> float:
    from scalpcli.runtime.manifest import ROWS_FILE

    return round(tape.manifest.files[ROWS_FILE].bytes / max(1, tape.manifest.rows), 2)


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

    `received` is when we learned of it, `late ms` how long after it happened. JSON and CSV give every column.
    """
    from scalpcli.cli.output import Column, emit
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_plain import head_rows

    del verbose
    opened = Tape.open(tape)
    found = head_rows(opened, _filter(at, kind, symbol), rows)
    chosen = chosen_format(form, json)
    if chosen is not Format.TABLE:
        emit([_with_clock_times(row) for row in found], chosen)
        return
    title = f"{opened.manifest.symbol} {opened.manifest.session}" + " (synthetic)" * opened.manifest.synthetic
    texts = [_as_words(row) for row in found]
    right = {"late ms", "price", "size"}
    emit(texts, chosen, columns=[Column(name, right=name in right) for name in _WORD_COLUMNS], title=title)


_WORD_COLUMNS: Final = ("received", "late ms", "kind", "symbol", "price", "size", "at", "what")


def _filter(at: str, kinds: list[KindName] | None, symbols: list[str] | None) -> RowFilter:
    from scalpcli.runtime.tape_plain import RowFilter

    return RowFilter(at, [kind.value for kind in kinds or ()], symbols or ())


def _with_clock_times(row: dict[str, Any]) -> dict[str, Any]:
    return {**{name: _clock(row[name]) for name in ("ts_recv", "ts_event")}, **_without(row, "ts_recv", "ts_event")}


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _clock(ns: int) -> str:
    """New York time with microseconds; a tape's stamps are finer than its clocks are right."""
    from scalpcli.model.session import ns_to_new_york

    return f"{ns_to_new_york(ns)}{ns // 1000 % 1000:03d}"


def _as_words(row: dict[str, Any]) -> dict[str, str]:
    """One row in eight short columns: a quote reads `bid x ask`, `bid size x ask size`."""
    is_quote = row["kind"].endswith("_quote")
    price = f"{_usd(row['bid'])} x {_usd(row['ask'])}" if is_quote else _usd(row["price"])
    size = f"{row['bid_size'] or 0} x {row['ask_size'] or 0}" if is_quote else f"{row['size'] or '-'}"
    sides = (row["bid_exchange"], row["ask_exchange"]) if is_quote else (row["exchange"],)
    what = (row["conditions"], row["flags"].replace("|", " "), row["channels"].replace("|", " "), row["note"])
    return {
        "received": _clock(row["ts_recv"]),
        "late ms": f"{(row['ts_recv'] - row['ts_event']) / 1e6:,.3f}",
        "kind": row["kind"].replace("_", " "),
        "symbol": row["symbol"] or "-",
        "price": price,
        "size": size,
        "at": " x ".join(side for side in sides if side) or "-",
        "what": "; ".join(text for text in what if text),
    }


def _usd(price: float | None) -> str:
    if price is None:
        return "-"
    text = f"{price:.4f}"
    return text[:-2] if text.endswith("00") else text


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
    from scalpcli.cli.output import Column, emit, say
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
    columns = [
        Column("symbol"),
        Column("session"),
        Column("rows"),
        Column("contracts"),
        Column("coverage_pct", title="coverage %", digits=1),
        Column("gaps"),
        Column("bursts"),
        Column("largest_pct", title=f"max {burst_window} s %", digits=3),
        Column("size_mb", title="MB", digits=1),
        Column("synthetic", title="synth"),
    ]
    broken = [row for row in rows if row["error"]]
    emit(rows, chosen_format(form, json), columns=[*columns, Column("error")] if broken else columns)
    if broken:
        raise DataError(
            f"{len(broken)} of {len(rows)} tapes cannot be read: {broken[0]['error']}",
            place=f"`{broken[0]['path']}`",
            hint=f"`scalpcli tape verify {broken[0]['path']}` tells more",
        )
    say(f"{len(rows)} tapes, {sum(row['bursts'] for row in rows)} bursts of {burst_pct:g} %", quiet=quiet)


def _listed(path: Path, burst_pct: float, burst_window: int) -> dict[str, Any]:
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_bursts import count_bursts

    row: dict[str, Any] = {"path": str(path), "symbol": path.parent.name, "session": path.name, "error": ""}
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
        "size_mb": _size(tape) / _BYTES_PER_MB,
    }
