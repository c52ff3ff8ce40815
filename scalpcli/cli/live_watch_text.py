"""Lines of a screen: text with roles, cut and filled to a width; numbers, times and bars as text.

Decides how things look without colour: a sign, a light or a word says what a colour repeats. A role is a word;
`live_watch_app.py` turns roles into the terminal's styles, and `live watch --once` leaves them out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from scalpcli.model.session import ns_to_new_york
from scalpcli.units import NS_PER_S

ABSENT: Final = "-"
PLAIN, DIM, TITLE, GOOD, BAD, WARN = "plain", "dim", "title", "good", "bad", "warn"
_CUT: Final = "…"
_GAP: Final = "  "


class Span(NamedTuple):
    """Text that looks alike.

    Args:
        text: One cell a character.
        role: What it means: one of this module's names, or a mode.
    """

    text: str
    role: str = PLAIN


Line = tuple[Span, ...]


def line(*parts: str | Span | Line) -> Line:
    """A line of its parts; bare text is plain."""
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, str):
            spans.append(Span(part))
        elif isinstance(part, Span):
            spans.append(part)
        else:
            spans.extend(part)
    return tuple(span for span in spans if span.text)


def width_of(of: Line) -> int:
    """Cells of a line."""
    return sum(len(span.text) for span in of)


def fit(of: Line, width: int, role: str = PLAIN) -> Line:
    """A line of exactly `width` cells: what is too long ends with `…`, what is too short is filled with `role`."""
    missing = width - width_of(of)
    if missing >= 0:
        return line(of, Span(" " * missing, role))
    spans, left = [], max(width - 1, 0)
    for span in of:
        spans.append(Span(span.text[:left], span.role))
        left -= len(spans[-1].text)
    return line(tuple(spans), Span(_CUT[:width], DIM))


def flow(items: Iterable[Line], width: int, *, label: str = "") -> list[Line]:
    """Items beside each other, onto as many lines as they need; the first begins with `label`, others below it."""
    head = f"{label}{_GAP}" if label else ""
    rows: list[Line] = []
    row = line(Span(head, TITLE))
    is_empty = True
    for item in items:
        if not is_empty and width_of(row) + len(_GAP) + width_of(item) > width:
            rows.append(row)
            row, is_empty = line(" " * len(head)), True
        row = line(row, "" if is_empty else _GAP, item)
        is_empty = False
    return [*rows, row]


def grid(items: Sequence[Line], width: int, cell_min: int = 0) -> list[Line]:
    """Items in columns of equal width, filled row by row, so that each keeps its place while others change.

    Args:
        items: What to show.
        width: Cells of a row.
        cell_min: Cells of a column at least, so that none moves when an item grows.
    """
    if not items:
        return []
    cell = max(cell_min, *(width_of(item) for item in items)) + len(_GAP)
    across = max((width + len(_GAP)) // cell, 1)
    rows = [items[start : start + across] for start in range(0, len(items), across)]
    return [line(*(fit(item, cell) for item in row)) for row in rows]


def apart(left: Line, right: Line, width: int, role: str = PLAIN) -> Line:
    """Two parts at the two ends of a line; the right one is kept where both have no room."""
    room = max(width - width_of(right), 0)
    return fit(line(fit(left, room, role), right), width, role)


def rule(title: str, width: int) -> Line:
    """The head of a section."""
    return fit(line(Span(f"{title} ", TITLE), Span("─" * max(width - len(title) - 1, 0), DIM)), width)


def clean(text: object) -> str:
    """Words of others, one cell a character: what would move the cursor or take two cells becomes `?`."""
    return "".join(char if _is_narrow(char) else " " if char.isspace() else "?" for char in str(text))


def _is_narrow(char: str) -> bool:
    is_wide = unicodedata.east_asian_width(char) in "WF" or unicodedata.combining(char)
    return char.isprintable() and not is_wide


def number(value: float | None, digits: int | None = None, *, sign: bool = False) -> str:
    """A number, thousands apart.

    Args:
        value: The number, `None` = unknown.
        digits: Digits behind the point; as few as tell it where `None`: three significant ones, all of a whole number.
        sign: `+` before what is above zero.
    """
    if value is None:
        return ABSENT
    plus = "+" if sign else ""
    if digits is not None:
        return f"{value:{plus},.{digits}f}"
    return f"{value:{plus},.0f}" if abs(value) >= 100 else f"{value:{plus}.3g}"


def signed(value: float | None, digits: int, unit: str = "") -> Span:
    """A number whose sign is good or bad news."""
    role = PLAIN if not value else GOOD if value > 0 else BAD
    return Span(ABSENT, DIM) if value is None else Span(f"{number(value, digits, sign=True)}{unit}", role)


def clock(ts_ns: int | None) -> str:
    """A moment as New York time, whole seconds."""
    return ABSENT if ts_ns is None else ns_to_new_york(ts_ns)[:8]


def span_of(duration_ns: int) -> str:
    """A duration as `1:05` or `5:28:52`; what is over counts as zero."""
    seconds = max(duration_ns, 0) // NS_PER_S
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def track(low: float, high: float, marks: Sequence[tuple[float, str, str]], width: int) -> Line:
    """A line from `low` to `high` with marks on it.

    Args:
        low: Value of its left end.
        high: Value of its right end, above `low`.
        marks: Value, character and role; the last one wins a cell. What lies outside stands at the end.
        width: Cells.
    """
    cells = [("─", DIM)] * width
    for value, char, role in marks:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        cells[round(share * (width - 1))] = (char, role)
    return tuple(Span(char, role) for char, role in cells)


def bar(share: float, width: int, role: str = PLAIN) -> Line:
    """How much is over: 0.0 empty to 1.0 full."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return line(Span("█" * full, role), Span("░" * (width - full), DIM))


def merged(of: Line) -> Line:
    """The same line with neighbours of one role in one span: two lines that look alike are equal."""
    spans: list[Span] = []
    for span in of:
        if spans and spans[-1].role == span.role:
            spans[-1] = Span(spans[-1].text + span.text, span.role)
        elif span.text:
            spans.append(span)
    return tuple(spans)


def plain(lines: Iterable[Line]) -> str:
    """Lines as text without roles, for mails and files."""
    return "".join("".join(span.text for span in each).rstrip() + "\n" for each in lines)
