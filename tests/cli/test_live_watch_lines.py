"""Lines for people beside a screen."""

from __future__ import annotations

from scalpcli.cli.live_watch_lines import LINES_MAX, Lines


def test_lines_are_kept_while_a_screen_has_the_terminal():
    """Two writers on one terminal spoil each other's lines; what happened meanwhile is said when it left."""
    said = []
    lines = Lines(said.append)

    lines("before")
    lines.hold()
    lines("a fill")
    lines("an exit")
    during = list(said)
    lines.release()
    lines("after")

    assert during == ["before"]
    assert said == ["before", "a fill", "an exit", "after"]


def test_what_is_kept_has_a_bound():
    """A screen may be open for a day; the latest lines are the ones that help."""
    said = []
    lines = Lines(said.append)

    lines.hold()
    for number in range(LINES_MAX + 3):
        lines(str(number))
    lines.release()

    assert said[0] == "3 lines before these were not kept; the journal has what they told"
    assert said[1:] == [str(number) for number in range(3, LINES_MAX + 3)]


def test_a_terminal_that_is_gone_stops_nobody():
    """Its window was closed: writing fails, and whoever wanted to say that selling begins goes on to sell."""

    def gone(_line):
        raise OSError(5, "Input/output error")

    lines = Lines(gone)

    lines("selling")
    lines.hold()
    lines("sold")

    lines.release()
