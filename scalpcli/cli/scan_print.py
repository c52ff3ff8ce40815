"""How a scan is shown: head, notices, contracts, nearest misses, every gate where asked."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from scalpcli.cli.options import Format
from scalpcli.cli.output import TABLE_COLUMNS, emit, emit_object, say
from scalpcli.cli.scan_columns import MISSES, TABLE, Row, fitting, layout, plain_column, short_name, width_of
from scalpcli.scan.checks import FLAGS
from scalpcli.scan.fields import PASS, ROW_FIELDS

if TYPE_CHECKING:
    from scalpcli.scan.rank import Scan

_REASON_WIDTH_MIN: Final = 24
Line = tuple[str, str]
"""Text and style."""


def print_scan(scan: Scan, form: Format, names: Sequence[str] | None, *, plot: bool, quiet: bool) -> None:
    """Print a scan to stdout.

    Args:
        scan: What was found.
        form: How.
        names: Fields of `--columns`; the usual columns where `None`.
        plot: Whether the smile is drawn below a table.
        quiet: `-q`.
    """
    if form is Format.TABLE:
        print_lines(_lines(scan, names, plot=plot))
        return
    if form is Format.JSON:
        emit_object(scan.document(), form)
        return
    # Lines have no place for words, and a made-up market must not pass unnoticed.
    for notice in _notices(scan):
        say(notice, quiet=quiet)
    if not scan.rows:
        for row in scan.misses:
            say(f"near miss: {row['contract']}: {'; '.join(row['reasons'])}", quiet=quiet)
    if form is Format.CSV and names:
        emit([{name: row[name] for name in names} for row in scan.rows], form, columns=_heads(names))
    else:
        emit(scan.rows, form, columns=_heads(list(ROW_FIELDS)))


def _heads(names: Sequence[str]) -> list[Any]:
    from scalpcli.cli.output import Column

    return [Column(name) for name in names]


def console() -> Console:
    """Where tables go: the terminal's width and colours, else 80 columns and none."""
    found = Console(file=sys.stdout, highlight=False, emoji=False, markup=False, soft_wrap=True)
    if not found.is_terminal:
        found.width = TABLE_COLUMNS
    return found


def clear_screen() -> None:
    """Begin at the top of an empty screen, on a terminal; elsewhere leave a blank line."""
    out = console()
    with out.capture() as capture:
        if out.is_terminal:
            out.clear()
    sys.stdout.write(capture.get() or "\n")


def print_lines(lines: Sequence[Line]) -> None:
    """Write lines with their styles."""
    out = console()
    with out.capture() as capture:
        for text, style in lines:
            out.print(Text(text, style=style))
    # Written by us: rich would answer a reader that left with exit code 1.
    sys.stdout.write(capture.get())


def _notices(scan: Scan) -> list[str]:
    made_up = ["the market is synthetic: made up, not recorded"] if scan.head["synthetic"] else []
    return [*made_up, *scan.head["notices"]]


def _lines(scan: Scan, names: Sequence[str] | None, *, plot: bool) -> list[Line]:
    width = console().width
    lines = _head_lines(scan, width)
    columns = [plain_column(name) for name in names] if names else None
    if scan.rows:
        chosen = columns or fitting(TABLE, scan.rows, width)
        head, rows = layout(chosen, scan.rows)
        lines.append((head, "bold"))
        lines += [(line, _style(row)) for line, row in zip(rows, scan.rows, strict=True)]
        lines += _reason_lines(scan.rows, width)
    else:
        lines.append(("nothing passes" + ("; nearest misses:" if scan.misses else ""), "bold yellow"))
        lines += _miss_lines(scan.misses, width) if columns is None else _table_lines(columns, scan.misses)
    selection = scan.moment.params.selection
    lines += _gate_lines([*scan.rows, *scan.misses], f"{selection.delta_min:g} to {selection.delta_max:g}")
    lines += [("", ""), *_foot_lines(scan, width)]
    if plot:
        from scalpcli.cli.scan_plot import smile_lines

        lines += [("", ""), *smile_lines(scan, width)]
    return lines


def _table_lines(columns: Any, rows: Sequence[Row]) -> list[Line]:
    head, lines = layout(columns, rows)
    return [(head, "bold"), *((line, "") for line in lines)]


def _style(row: Row) -> str:
    return "green" if row["verdict"] == PASS else "dim"


def _head_lines(scan: Scan, width: int) -> list[Line]:
    head = scan.head
    age = head["spot_age_s"]
    spot = "no price" if head["spot"] is None else f"{head['spot']:,.2f}, {_age(age)} old"
    lines = [
        (
            f"{head['symbol']} {head['session']} {head['at']} New York{'  SYNTHETIC' if head['synthetic'] else ''}",
            "bold",
        ),
        (f"{head['symbol']} {spot}; {head['source']}", ""),
    ]
    for each in head["expiries"]:
        when = "today" if each["dte"] == 0 else f"{each['expiry']}, in {each['dte']} day{'s' * (each['dte'] > 1)}"
        forward = "" if each["forward"] is None else f", forward {each['forward']:,.2f}"
        lines.append(
            (
                (
                    f"expires {when}: {_left(each['minutes_left'])} left{forward}, "
                    f"{each['contracts']} contracts, {each['passed']} pass"
                ),
                "",
            )
        )
    for notice in head["notices"]:
        wrapped = textwrap.wrap(f"! {notice}", width, subsequent_indent="  ", break_on_hyphens=False)
        lines += [(line, "bold yellow") for line in wrapped]
    return [*lines, ("", "")]


def _age(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def _left(minutes: float) -> str:
    return f"{minutes:.1f} min" if minutes < 600 else f"{minutes / 60:,.1f} h"


def _reason_lines(rows: Sequence[Row], width: int) -> list[Line]:
    """Reasons and doubts below a table with refused or flagged contracts."""
    lines: list[Line] = []
    for row in rows:
        told = [*_causes(row), *(["! " + ", ".join(row["flags"])] if row["flags"] else [])]
        if told:
            text = f"{short_name(row)}: {'; '.join(told)}"
            lines += [(line, "dim") for line in textwrap.wrap(text, width, subsequent_indent="  ")]
    used = {flag for row in rows for flag in row["flags"]}
    lines += [(f"! {flag}: {meaning}", "dim") for flag, meaning in FLAGS.items() if flag in used]
    return [("", ""), *lines] if lines else []


def _causes(row: Row) -> list[str]:
    """The reasons without those that follow from another: what has no quote has no spread and no delta either."""
    reasons: list[str] = row["reasons"]
    if row["bid"] is None and row["ask"] is None:
        return reasons[:1]
    causes = [reason for reason in reasons if not reason.endswith(" unknown")]
    return causes or reasons


def _miss_lines(rows: Sequence[Row], width: int) -> list[Line]:
    if not rows:
        return []
    chosen = fitting(MISSES, rows, width - _REASON_WIDTH_MIN - 2)
    head, lines = layout(chosen, rows)
    left = sum(width_of(column, rows) + 2 for column in chosen)
    result: list[Line] = [(f"{head.ljust(left)}kept out by", "bold")]
    for line, row in zip(lines, rows, strict=True):
        wrapped = textwrap.wrap("; ".join(_causes(row)), max(_REASON_WIDTH_MIN, width - left)) or [""]
        result.append((f"{line.ljust(left)}{wrapped[0]}", ""))
        result += [(" " * left + more, "") for more in wrapped[1:]]
    return result


def _gate_lines(rows: Sequence[Row], deltas: str) -> list[Line]:
    lines: list[Line] = []
    for row in rows:
        if "gates" not in row:
            continue
        lines += [("", ""), (f"{short_name(row)}  {row['contract']}  {row['verdict']}", "bold")]
        lines += [
            (
                (
                    f"  {_gate_name(gate['gate']):<26}{_value(gate['value']):>12}  {_limit(gate, deltas)}"
                    f"  {'ok' if gate['passed'] else 'refused'}"
                ),
                "" if gate["passed"] else "red",
            )
            for gate in row["gates"]
        ]
    return lines


_BOUNDS: Final = {
    "expiry": "at most",
    "option_quote": "ask",
    "option_quote_age": "at most",
    "option_halt": "at most",
    "spread": "at most",
    "spread_ticks": "at most",
    "ask_size": "at least",
    "open_interest": "at least",
    "volume_today": "at least",
    "price": "at most",
    "theta": "at most",
    "size_zero": "at least",
}


_UNITS: Final = {
    "expiry": "days",
    "option_quote": "USD",
    "option_quote_age": "ms",
    "spread": "%",
    "spread_ticks": "ticks",
    "ask_size": "contracts",
    "open_interest": "contracts",
    "volume_today": "contracts",
    "price": "USD",
    "theta": "%",
    "size_zero": "contracts",
}


def _gate_name(gate: str) -> str:
    return f"{gate}, {_UNITS[gate]}" if gate in _UNITS else gate


def _value(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.6g}"


def _limit(gate: dict[str, Any], deltas: str) -> str:
    if gate["gate"] == "delta":
        return f"{deltas:>19}"
    return f"{_BOUNDS.get(gate['gate'], 'limit'):>8} {_value(gate['limit']):<10}"


def _foot_lines(scan: Scan, width: int) -> list[Line]:
    scalp = scan.moment.params.scalp
    text = (
        f"Moves of {scan.head['symbol']} at once; target +{scalp.take_profit_pct:g} % "
        f"and stop -{scalp.stop_loss_pct:g} % of the ask, at the bid. "
        f"Odds: target before stop within {scan.head['hold_minutes']:g} min if the stock only diffuses "
        "at the implied volatility. cost: spread and fees of one contract's round trip, USD."
    )
    return [(line, "dim") for line in textwrap.wrap(text, width)]
