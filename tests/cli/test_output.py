"""How data is printed."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path

import numpy as np
import pytest
from inline_snapshot import snapshot

from scalpcli.cli.options import Format, chosen_format
from scalpcli.cli.output import Column, emit, emit_object, plain, progress, say

ROWS = [
    {"symbol": "TSLA", "trades": 12, "net_pnl_usd": -1234.5, "won": True, "note": None},
    {"symbol": "[bold]", "trades": 3, "net_pnl_usd": float("nan"), "won": False, "note": 'a, "b"\nc'},
]


def printed(function, *args, **kwargs) -> str:
    out = io.StringIO()
    function(*args, file=out, **kwargs)
    return out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_shows_columns_as_people_read_them():
    """Numbers to the right with thousands, absent values as a dash, brackets as they are."""
    columns = [
        Column("symbol"),
        Column("trades"),
        Column("net_pnl_usd", "net P&L", digits=2),
        Column("won"),
    ]

    text = printed(emit, ROWS, Format.TABLE, columns=columns, title="Two symbols")

    assert [line.rstrip() for line in text.splitlines()] == snapshot(
        [
            "Two symbols",
            "symbol  trades    net P&L  won",
            "──────────────────────────────",
            "TSLA        12  -1,234.50  yes",
            "[bold]       3          -  no",
        ]
    )


def test_a_table_in_a_pipe_is_80_columns_wide_and_loses_nothing(monkeypatch):
    """Long words fold; numbers never do, half a number is another number."""
    monkeypatch.setenv("COLUMNS", "300")
    rows = [{"reason": "x" * 200, "ts_recv_ns": 1_800_000_000_000_000_000}]

    text = printed(emit, rows, Format.TABLE)

    assert max(map(len, text.splitlines())) <= 80
    assert text.count("x") == 200
    assert "1,800,000,000,000,000,000" in text


def test_an_empty_table_says_so():
    """No lines at all would look like a failure."""
    assert printed(emit, [], Format.TABLE, columns=[Column("symbol")]) == "nothing to show\n"


def test_no_color_is_honoured(monkeypatch):
    """https://no-color.org: any value, and no colour leaves the program; without it a terminal gets bold heads."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    styled, plainer = Terminal(), Terminal()

    emit(ROWS, Format.TABLE, title="Title", file=styled)
    monkeypatch.setenv("NO_COLOR", "1")
    emit(ROWS, Format.TABLE, title="Title", file=plainer)

    assert "\x1b[" in styled.getvalue()
    assert not [code for code in ("\x1b[3", "\x1b[9", "\x1b[4") if code in plainer.getvalue()]


def test_json_writes_what_other_programs_read():
    """Not-a-number is null: JSON has no other word for it."""
    parsed = json.loads(printed(emit, ROWS, Format.JSON), parse_constant=pytest.fail)

    assert parsed[0] == ROWS[0]
    assert parsed[1]["net_pnl_usd"] is None


def test_json_lines_are_one_row_each():
    """A line break inside a value stays inside its line."""
    lines = printed(emit, ROWS, Format.JSONL).splitlines()

    assert [json.loads(line)["symbol"] for line in lines] == ["TSLA", "[bold]"]


def test_csv_quotes_what_needs_quotes():
    """Commas, quotes and line breaks survive; absent values are empty."""
    rows = list(csv.DictReader(io.StringIO(printed(emit, ROWS, Format.CSV), newline="")))

    assert rows[0] == {"symbol": "TSLA", "trades": "12", "net_pnl_usd": "-1234.5", "won": "true", "note": ""}
    assert rows[1]["note"] == 'a, "b"\nc'
    assert rows[1]["net_pnl_usd"] == ""


def test_csv_of_no_rows_still_has_its_heads():
    """Whoever reads the file by column names must not fail on a quiet day."""
    assert printed(emit, [], Format.CSV, columns=[Column("symbol"), Column("trades")]) == "symbol,trades\n"


def test_csv_of_uneven_rows_has_every_column():
    """A value that the first row lacks is not dropped."""
    assert printed(emit, [{"a": 1}, {"b": 2}], Format.CSV) == "a,b\n1,\n,2\n"


def test_one_object_prints_in_every_format():
    """One object: names and values, one JSON object, one line, one row."""
    value = {"rows": 1_000, "refusals": {"spread": 2}}

    assert json.loads(printed(emit_object, value, Format.JSON)) == value
    assert json.loads(printed(emit_object, value, Format.JSONL)) == value
    assert printed(emit_object, value, Format.CSV) == 'rows,refusals\n1000,"{""spread"": 2}"\n'
    assert [line.split() for line in printed(emit_object, value, Format.TABLE).splitlines()] == [
        ["rows", "1,000"],
        ["refusals", '{"spread":', "2}"],
    ]


def test_values_of_numpy_and_the_calendar_become_plain():
    """Commands hand over what they have."""
    value = {"n": np.int64(3), "x": np.float64("nan"), "day": dt.date(2026, 11, 20), "path": Path("a"), "t": (1, 2)}

    assert plain(value) == {"n": 3, "x": None, "day": "2026-11-20", "path": "a", "t": [1, 2]}


def test_json_is_short_for_format_json():
    """--json wins over the default of --format."""
    assert chosen_format(Format.TABLE, json=True) is Format.JSON
    assert chosen_format(Format.CSV, json=False) is Format.CSV


def test_words_go_to_stderr_and_quiet_stops_them(capsys):
    """Data alone goes to stdout."""
    say("hello")
    say("not me", quiet=True)

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def test_progress_shows_on_a_terminal_only(capsys, monkeypatch):
    """A log file must not fill with bars; -q stops them on a terminal too."""
    with progress(10, "replaying") as step:
        step(10)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress(10, "replaying", quiet=True) as step:
        step(10)
    quiet = terminal.getvalue()
    with progress(10, "replaying") as step:
        step(10)

    assert capsys.readouterr().out == ""
    assert quiet == ""
    assert "replaying" in terminal.getvalue()
