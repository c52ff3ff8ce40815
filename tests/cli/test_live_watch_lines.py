"""Lines for people beside a screen."""

from __future__ import annotations

import io
import os

from scalpcli.cli.live_watch_lines import LINES_MAX, Lines, can_write


def test_lines_are_kept_while_a_screen_has_the_terminal():
    """Two writers on one terminal spoil each other's lines; what happened meanwhile is said when it left."""
    said = []
    lines = Lines(said.append, lambda: True)

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
    lines = Lines(said.append, lambda: True)

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

    lines = Lines(gone, lambda: True)

    lines("selling")
    lines.hold()
    lines("sold")

    lines.release()


def test_a_terminal_that_is_stopped_keeps_nobody_waiting():
    """Ctrl-S, or a pager that reads no further: lines wait, the caller does not; then all are said in their order."""
    said, is_ready = [], False
    lines = Lines(said.append, lambda: is_ready)

    lines("one")
    lines("two")
    while_stopped = list(said)
    is_ready = True
    lines("three")

    assert while_stopped == []
    assert said == ["one", "two", "three"]


def test_a_full_pipe_is_known_before_it_is_written_to():
    """Writing to it would block; with room for a line again, it would not."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as writer:
        was_ready = can_write(writer)
        os.set_blocking(writing, False)
        size = os.write(writing, b"x" * (1 << 22))
        while_full = can_write(writer)
        reader.read(size)

        assert (was_ready, while_full, can_write(writer)) == (True, False, True)


def test_text_in_memory_can_always_be_written():
    """There is no descriptor to ask, and nothing to wait for."""
    assert can_write(io.StringIO())
