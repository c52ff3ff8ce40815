"""The columns of a scan's table: heads, digits, and which stay where a terminal is narrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.errors import UsageError
from scalpcli.scan.fields import ROW_FIELDS

ABSENT: Final = "-"
_GAP: Final = 2
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """One column.

    Args:
        head: Its head.
        text: A row's cell.
        rank: Narrow terminals keep the lowest ones.
        is_text: Aligned left.
    """

    head: str
    text: Callable[[Row], str]
    rank: int
    is_text: bool = False


def _number(name: str, digits: int, *, sign: bool = False, scale: float = 1.0) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = row[name]
        if value is None:
            return ABSENT
        shown = f"{value * scale:{'+' if sign else ''},.{digits}f}"
        # A move of nothing has no direction.
        return shown.replace("-", "", 1) if float(shown.replace(",", "")) == 0.0 else shown

    return text


def short_name(row: Row) -> str:
    """Strike and right, with the days to expiry where it is not today: `405C`, `405C +3d`."""
    later = f" +{row['dte']}d" if row["dte"] else ""
    return f"{row['strike']:g}{row['right'][0].upper()}{later}"


def _quote(row: Row) -> str:
    bid, ask = (ABSENT if row[side] is None else f"{row[side]:.2f}" for side in ("bid", "ask"))
    return f"{bid} x {ask}"


def _sizes(row: Row) -> str:
    return f"{row['bid_size']:,} x {row['ask_size']:,}"


def _interest(row: Row) -> str:
    return ABSENT if row["open_interest"] is None else f"{row['open_interest']:,}"


def _verdict(row: Row) -> str:
    return f"{row['verdict']}{' !' if row['flags'] else ''}"


TABLE: Final[tuple[Shown, ...]] = (
    Shown("strike", short_name, 0, is_text=True),
    Shown("bid x ask", _quote, 3),
    Shown("sizes", _sizes, 13),
    Shown("spr%", _number("spread_pct", 1), 5),
    Shown("ticks", _number("spread_ticks", 0), 17),
    Shown("IV%", _number("iv", 1, scale=100.0), 10),
    Shown("delta", _number("delta", 3, sign=True), 2),
    Shown("feed", _number("feed_delta", 3, sign=True), 14),
    Shown("diff", _number("delta_difference", 3, sign=True), 15),
    Shown("gamma", _number("gamma", 4), 22),
    Shown("decay/min", _number("theta_per_minute_usd", 2), 20),
    Shown("vega", _number("vega_usd", 2), 23),
    Shown("OI", _interest, 12),
    Shown("OI of", lambda row: (row["open_interest_date"] or ABSENT)[5:] or ABSENT, 24),
    Shown("volume", lambda row: f"{row['volume']:,}", 19),
    Shown("age", _number("quote_age_s", 1), 18),
    Shown("premium", _number("premium_usd", 0), 21),
    Shown("n", lambda row: ABSENT if row["contracts"] is None else str(row["contracts"]), 9),
    Shown("cost", _number("round_trip_usd", 2), 11),
    Shown("pays%", _number("cost_move_pct", 2, sign=True), 15),
    Shown("tgt%", _number("target_move_pct", 2, sign=True), 6),
    Shown("stop%", _number("stop_move_pct", 2, sign=True), 7),
    Shown("taken%", _number("stop_taken_pct", 0), 16),
    Shown("odds%", _number("target_first_pct", 0), 8),
    Shown("verdict", _verdict, 1, is_text=True),
)
MISSES: Final[tuple[Shown, ...]] = (
    Shown("strike", short_name, 0, is_text=True),
    Shown("bid x ask", _quote, 2),
    Shown("delta", _number("delta", 3, sign=True), 1),
    Shown("OI", _interest, 4),
)


def fitting(columns: Sequence[Shown], rows: Sequence[Row], width: int) -> list[Shown]:
    """The columns that fit into `width` characters, the most wanted first, in their order; empty ones are left out."""
    wanted = [column for column in columns if column.rank < 2 or any(column.text(row) != ABSENT for row in rows)]
    chosen: set[str] = set()
    left = width + _GAP
    for column in sorted(wanted, key=lambda each: each.rank):
        needed = width_of(column, rows) + _GAP
        if needed <= left or not chosen:
            chosen.add(column.head)
            left -= needed
    return [column for column in wanted if column.head in chosen]


def width_of(column: Shown, rows: Sequence[Row]) -> int:
    """Characters of the widest cell or the head."""
    return max(len(column.head), *(len(column.text(row)) for row in rows)) if rows else len(column.head)


def layout(columns: Sequence[Shown], rows: Sequence[Row]) -> tuple[str, list[str]]:
    """Head and rows as lines."""
    widths = [width_of(column, rows) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column.is_text else cell.rjust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        return (" " * _GAP).join(padded).rstrip()

    return line([column.head for column in columns]), [line([column.text(row) for column in columns]) for row in rows]


def named_columns(text: str) -> list[str]:
    """The fields of `--columns`.

    Raises:
        UsageError: one is no field.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ROW_FIELDS:
            import difflib

            near = difflib.get_close_matches(name, ROW_FIELDS, 1)
            hint = f"did you mean `{near[0]}`?" if near else "`scalpcli scan-options --schema` lists them"
            raise UsageError(f"`--columns`: no field is called `{name}`", hint=hint)
    if not names:
        raise UsageError("`--columns` names no field", hint="write some, like `--columns contract,bid,ask,delta`")
    return names


def plain_column(name: str) -> Shown:
    """A field as it is, for `--columns`."""

    def text(row: Row) -> str:
        value = row[name]
        if value is None:
            return ABSENT
        if isinstance(value, list):
            return "; ".join(value) or ABSENT
        return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)

    kinds = ROW_FIELDS[name][0]
    return Shown(name, text, 0, is_text=kinds.startswith(("string", "array")))
