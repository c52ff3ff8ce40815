"""How `report` prints: a view or the whole report, in any format, to stdout or to a file.

Decides layout only; notices come first wherever words have a place, and on stderr where they have none.
"""

from __future__ import annotations

import contextlib
import io
import sys
import textwrap
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from scalpcli.cli.options import Format
from scalpcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from scalpcli.report.load import Results
    from scalpcli.report.section import Section
    from scalpcli.report.view import View


class ReportFormat(StrEnum):
    """How a report is printed; CSV, JSON lines and Parquet have one row a run, or one of the view asked for."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"
    PARQUET = "parquet"
    HTML = "html"


NOTICES_MAX: Final = 8
"""Lines of what a reader must know first; a year without tapes must not scroll the answer away."""
_SUFFIXES: Final = {
    ".json": ReportFormat.JSON,
    ".jsonl": ReportFormat.JSONL,
    ".csv": ReportFormat.CSV,
    ".md": ReportFormat.MARKDOWN,
    ".parquet": ReportFormat.PARQUET,
    ".html": ReportFormat.HTML,
    ".txt": ReportFormat.TABLE,
}


def chosen_form(form: ReportFormat | None, json: bool, out: Path | None) -> ReportFormat:
    """The format asked for, by `--json`, `--format` or the ending of `--out`.

    Raises:
        UsageError: Parquet or HTML would go to a terminal.
    """
    chosen = ReportFormat.JSON if json else form
    if chosen is None:
        chosen = ReportFormat.TABLE if out is None else _SUFFIXES.get(out.suffix.lower(), ReportFormat.TABLE)
    if chosen in (ReportFormat.PARQUET, ReportFormat.HTML) and out is None and sys.stdout.isatty():
        raise UsageError(
            f"{chosen} is nothing for a terminal",
            place="`--format`",
            hint=f"name a file: `--out report.{chosen}`, or send it to one with `>`",
        )
    return chosen


def print_view(view: View, form: ReportFormat, notices: Sequence[str], out: Path | None, *, quiet: bool) -> None:
    """Print one view in any format."""
    from scalpcli.cli.output import emit, emit_object
    from scalpcli.report.section import quoted, section_lines

    told = [*notices, *view.more.get("notices", ())]
    if form is not ReportFormat.JSON and len(told) > NOTICES_MAX:
        told = [*told[: NOTICES_MAX - 1], f"{len(told) - NOTICES_MAX + 1} more like these; --json has all"]
    if form is ReportFormat.HTML:
        raise UsageError(
            "a view has no page of its own", place="`--format`", hint="the whole report has: leave the view out"
        )
    if form is ReportFormat.PARQUET:
        write_parquet(view.rows, told, out, quiet=quiet)
        return
    with _output(out) as file:
        if form is ReportFormat.JSON:
            emit_object({"notices": told, **_without_notices(view), view.name: view.rows}, Format.JSON, file=file)
        elif form is ReportFormat.MARKDOWN:
            lines = [*quoted(told), *(line for section in view.sections for line in section_lines(section))]
            file.write("\n".join(lines).rstrip() + "\n")
        elif form is ReportFormat.TABLE:
            print_head(view.heading, told, file)
            for section in view.sections:
                print_section(section, file)
            if not view.sections:
                file.write("nothing to show\n")
        else:
            say_all(told, quiet=quiet)
            emit(view.rows, Format(form.value), file=file)


def _without_notices(view: View) -> dict[str, Any]:
    return {name: value for name, value in view.more.items() if name != "notices"}


def print_report(
    results: Results,
    form: ReportFormat,
    requirements: Sequence[str],
    trials: int,
    out: Path | None,
    *,
    quiet: bool,
) -> None:
    """Print the whole report."""
    from scalpcli.cli.output import emit, emit_object
    from scalpcli.report.document import document, run_rows
    from scalpcli.report.notices import notices
    from scalpcli.report.render import heading, markdown, sections

    if form is ReportFormat.HTML:
        _write_page(results, trials, out)
        return
    if form is ReportFormat.PARQUET:
        write_parquet(run_rows(results), notices(results), out, quiet=quiet)
        return
    with _output(out) as file:
        if form is ReportFormat.JSON:
            emit_object(document(results, requirements, trials), Format.JSON, file=file)
        elif form is ReportFormat.MARKDOWN:
            file.write(markdown(results, trials))
        elif form is ReportFormat.TABLE:
            print_head(heading(results), notices(results), file)
            for section in sections(results, trials):
                print_section(section, file)
        else:
            # Rows have no place for words, and a made-up market must not pass unnoticed.
            say_all(notices(results), quiet=quiet)
            emit(run_rows(results), Format(form.value), file=file)


def _write_page(results: Results, trials: int, out: Path | None) -> None:
    from scalpcli.report.page import page

    text = page(results, trials)
    with _output(out) as file:
        file.write(text)


def write_parquet(rows: Sequence[Any], notices: Sequence[str], out: Path | None, *, quiet: bool) -> None:
    """Rows as Parquet, to a file or to stdout; lists are written as text."""
    import polars as pl

    from scalpcli.runtime.run_folder import replace_file

    say_all(notices, quiet=quiet)
    plain = [{name: _flat(value) for name, value in row.items()} for row in rows]
    frame = pl.DataFrame(plain, infer_schema_length=None)
    # A number that is unknown in every row is still a number.
    frame = frame.with_columns(pl.col(pl.Null).cast(pl.Float64))
    if out is not None:
        with _writing(out):
            replace_file(out, frame.write_parquet)
        return
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    sys.stdout.buffer.write(buffer.getvalue())
    sys.stdout.buffer.flush()


def _flat(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears whole or not at all."""
    if out is None:
        yield sys.stdout
        return
    from scalpcli.runtime.run_folder import replace_file

    text = io.StringIO()
    yield text
    with _writing(out):
        replace_file(out, lambda path: path.write_text(text.getvalue(), encoding="utf-8"))


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Name the file that cannot be written as the user did."""
    try:
        yield
    except OSError as error:
        found = f"the report cannot be written: {(error.strerror or 'no reason given').lower()}"
        hint = "check that the folder exists, is writable and has room"
        raise DataError(found, place=f"`--out {out}`", hint=hint) from None


def say_all(notices: Sequence[str], *, quiet: bool) -> None:
    """Notices on stderr."""
    from scalpcli.cli.output import say

    for notice in notices:
        say(notice, quiet=quiet)


def print_head(heading: str, notices: Sequence[str], file: TextIO) -> None:
    """Which runs, and what a reader must know first: where a terminal has colours, red."""
    from rich.console import Console
    from rich.text import Text

    from scalpcli.cli.output import TABLE_COLUMNS

    lines = [Text(line) for line in heading.splitlines()]
    for notice in notices:
        wrapped = textwrap.wrap(f"! {notice}", TABLE_COLUMNS, subsequent_indent="  ", break_on_hyphens=False)
        lines += [Text(line, style="bold red") for line in wrapped]
    console = Console(file=file, highlight=False, soft_wrap=True)
    for line in [*lines, Text()] if lines else []:
        console.print(line)


def print_section(section: Section, file: TextIO) -> None:
    """One table."""
    from scalpcli.cli.output import TABLE_COLUMNS, Column, emit

    columns = [Column(head.name, title=head.title or " ", right=head.right) for head in section.heads]
    emit(section.rows, Format.TABLE, columns=columns, title=section.title, file=file)
    note = textwrap.fill(section.note, TABLE_COLUMNS, break_on_hyphens=False)
    file.write(f"{note}\n\n" if note else "\n")
