"""How commands print: data to stdout as table, JSON, JSON lines or CSV; words and progress to stderr.

Decides layout only. A table fits the terminal, or 80 columns where there is none; `NO_COLOR` is honoured.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO

from scalpcli.cli.options import Format

TABLE_COLUMNS: Final = 80
"""Width of a table that goes to a file or a pipe."""
_ABSENT: Final = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: Key in the rows.
        title: Its head; the name with spaces where empty.
        digits: Digits behind the point of a float; 6 significant ones where `None`.
        show: Turns a value into text, instead of `digits`.
        right: Aligned right; decided by the values where `None`.
        whole: Never folded: a name that is typed again.
    """

    name: str
    title: str = ""
    digits: int | None = None
    show: Callable[[Any], str] | None = None
    right: bool | None = None
    whole: bool = False

    @property
    def head(self) -> str:
        """The head as printed."""
        return self.title or self.name.replace("_", " ")

    def text(self, value: Any) -> str:
        """A value as printed."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return _ABSENT
        if self.show is not None:
            return self.show(value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return f"{value:,}"
        if isinstance(value, float):
            return f"{value:,.6g}" if self.digits is None else f"{value:,.{self.digits}f}"
        if isinstance(value, Mapping | list | tuple):
            return json.dumps(plain(value), ensure_ascii=False)
        return str(value)


def emit(
    rows: Sequence[Mapping[str, Any]],
    form: Format,
    *,
    columns: Sequence[Column] | None = None,
    title: str = "",
    file: TextIO | None = None,
) -> None:
    """Print rows to stdout.

    Args:
        rows: Values by name. JSON, JSON lines and CSV print all of them, a table only `columns`.
        form: How.
        columns: Columns of the table; every name of the first row where `None`.
        title: Line above the table.
        file: Instead of stdout.
    """
    out = file or sys.stdout
    if form is Format.JSON:
        _write_json([plain(row) for row in rows], out)
    elif form is Format.JSONL:
        for row in rows:
            out.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
    elif form is Format.CSV:
        _write_csv(rows, columns, out)
    else:
        _print_table(rows, columns or [Column(name) for name in (rows[0] if rows else ())], title, out)


def emit_object(value: Mapping[str, Any], form: Format, *, title: str = "", file: TextIO | None = None) -> None:
    """Print one object: a JSON object, one JSON line, one CSV row, or a table of names and values."""
    out = file or sys.stdout
    if form is Format.JSON:
        _write_json(plain(value), out)
    elif form is Format.TABLE:
        rows = [{"name": name, "value": Column(name).text(item)} for name, item in value.items()]
        _print_table(rows, [Column("name", title=" "), Column("value", title=" ")], title, out)
    else:
        emit([value], form, file=out)


def plain(value: Any) -> Any:
    """A value as JSON can write it: NumPy scalars as numbers, days and paths as text, NaN as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):
        return plain(value.item())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def _write_json(value: Any, out: TextIO) -> None:
    out.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _write_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column] | None, out: TextIO) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row)) or [column.name for column in columns or ()]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in names])


def _csv_cell(value: Any) -> Any:
    cell = plain(value)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, dict | list) else cell


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], title: str, out: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = TABLE_COLUMNS
    # Captured and written by us: rich would answer a reader that left with exit code 1.
    with console.capture() as capture:
        if title:
            console.print(Text(title, style="bold"))
        if not rows:
            console.print(Text("nothing to show"))
        else:
            console.print(_table(rows, columns))
    out.write(capture.get())


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    has_heads = any(column.head.strip() for column in columns)
    table = Table(box=box.SIMPLE_HEAD, show_header=has_heads, pad_edge=False, show_edge=False, collapse_padding=True)
    for column in columns:
        right = _is_numeric(rows, column.name) if column.right is None else column.right
        # A number cut in two would be read as another number; words may fold.
        whole = right or column.whole
        table.add_column(Text(column.head), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(column.text(row.get(column.name))) for column in columns))
    return table


def _is_numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [row.get(name) for row in rows if row.get(name) is not None]
    return bool(values) and all(
        not isinstance(value, bool) and (isinstance(value, int | float) or hasattr(value, "item")) for value in values
    )


def say(words: str, *, quiet: bool = False) -> None:
    """Print words to stderr, unless `-q`."""
    if not quiet:
        print(words, file=sys.stderr, flush=True)  # noqa: T201 - words go to stderr


@contextmanager
def progress(total: float | None, label: str, *, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr while the block runs; nothing without a terminal or with `-q`.

    Args:
        total: Steps in all, `None` when unknown.
        label: What is done, like `replaying`.
        quiet: `-q`.

    Yields:
        A function that takes how many more steps are done.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)
