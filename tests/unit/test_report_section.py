"""Cells and tables of a report for people."""

from __future__ import annotations

import pytest

from scalpcli.report.section import Head, Section, number, section_markdown, table


@pytest.mark.parametrize(
    ("value", "digits", "unit", "text"),
    [
        (None, 2, "USD", "-"),
        (1234.5, 2, "USD", "1,234.50 USD"),
        (-1234.5, 0, "", "-1,234"),
        (-0.004, 2, "USD", "0.00 USD"),
        (-0.006, 2, "", "-0.01"),
        (-0.0, 0, "", "0"),
    ],
)
def test_a_number_is_written_as_people_read_it(value, digits, unit, text):
    """Thousands apart, the unit behind, a dash for unknown, and no negative zero."""
    assert number(value, digits, unit) == text


def test_markdown_takes_no_cell_for_its_own_marks():
    """Names with bars, stars and underscores come out as they are."""
    section = Section("T", (Head("a", "name", right=False), Head("b", "n")), ({"a": "x|y_z*<b>", "b": "1"},), "n_o")

    text = section_markdown(section, ["MADE_UP"])

    assert text.splitlines() == [
        "> **MADE\\_UP**",
        "",
        "## T",
        "",
        "| name | n |",
        "| --- | ---: |",
        "| x\\|y\\_z\\*&lt;b> | 1 |",
        "",
        "n\\_o",
    ]


def test_a_table_at_its_limit_is_whole():
    """Forty rows are shown without a word; forty-one say what is missing."""
    rows = [{"a": str(row)} for row in range(41)]

    whole, cut = table("T", [Head("a")], rows[:40], "note"), table("T", [Head("a")], rows, "note")

    assert (len(whole.rows), whole.note) == (40, "note")
    assert (len(cut.rows), cut.note) == (40, "note; 40 of 41 rows; --format json has all")
