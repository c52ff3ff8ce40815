"""Small tables of text: the pieces a report for people is made of.

Decides how a value becomes a cell and how a table becomes Markdown. `cli/output.py` draws the tables of a
terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scalpcli.report.figures import FIGURES

ROWS_MAX: Final = 40
"""Rows of a table for people at most; programs read all of them from `--format json`."""
ABSENT: Final = "-"


@dataclass(frozen=True, slots=True)
class Head:
    """A column: its name in the rows, its title, whether it is aligned right."""

    name: str
    title: str = ""
    right: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """One small table.

    Args:
        title: Line above it.
        heads: Its columns.
        rows: Cells by column, as text.
        note: Line below it.
    """

    title: str
    heads: tuple[Head, ...]
    rows: tuple[dict[str, str], ...]
    note: str = ""


def section_markdown(section: Section, notices: Sequence[str]) -> str:
    """One table as Markdown, below what a reader must know."""
    return "\n".join([*quoted(notices), *section_lines(section)]).rstrip() + "\n"


def quoted(notices: Sequence[str]) -> list[str]:
    """Notices as Markdown quotes that cannot be overlooked."""
    return [line for notice in notices for line in (f"> **{escaped(notice)}**", "")]


def section_lines(section: Section) -> list[str]:
    """Lines of one table in Markdown."""
    return [
        f"## {section.title}",
        "",
        "| " + " | ".join(head.title or " " for head in section.heads) + " |",
        "|" + "|".join(" ---: " if head.right else " --- " for head in section.heads) + "|",
        *("| " + " | ".join(escaped(row[head.name]) for head in section.heads) + " |" for row in section.rows),
        "",
        *([escaped(section.note), ""] if section.note else []),
    ]


def escaped(text: str) -> str:
    """Text that Markdown must not take for a table's border or for emphasis."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("_", "\\_").replace("*", "\\*").replace("<", "&lt;")


def table(title: str, heads: Iterable[Head], rows: Sequence[dict[str, str]], note: str = "") -> Section:
    """A section of at most `ROWS_MAX` rows, which says so."""
    if len(rows) > ROWS_MAX:
        cut = f"{ROWS_MAX} of {len(rows)} rows; --format json has all"
        note = f"{note}; {cut}" if note else cut
    return Section(title, tuple(heads), tuple(rows[:ROWS_MAX]), note)


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A value with its digits and unit; `-` when unknown."""
    if value is None:
        return ABSENT
    text = f"{value:,.{digits}f}"
    # A loss of a tenth of a cent is no negative zero.
    text = text.removeprefix("-") if not text.strip("-0.,") else text
    return f"{text} {unit}".rstrip()


def shown(values: dict[str, float | None], name: str) -> str:
    """A figure as `figures.py` wants it shown."""
    return number(values[name], FIGURES[name].digits, FIGURES[name].unit)
