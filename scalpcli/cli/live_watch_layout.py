"""Where things stand on the screen of `live watch`: any width and height, two columns from 120 cells on.

Decides the order of the parts and which of them give way where there is no room: alarms first, then signals, never
the banner, the position or the line of keys. A screen is a tuple of lines as wide as the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.cli import live_watch_view as view
from scalpcli.cli.live_watch_state import completed
from scalpcli.cli.live_watch_stories import stories
from scalpcli.cli.live_watch_text import DIM, TITLE, WARN, Line, Span, fit, flow, grid, line, merged, rule

WIDE: Final = 120
_GATE_CELLS: Final = 22
"""A light and the longest name: a group that tells which of its gates closed moves no other light."""
_BETWEEN: Final = 2
_LEFT_SHARE: Final = 0.55
_SILENT_S: Final = 2.0
"""From this silence on the numbers are called old; the process speaks four times a second."""
KEYS: Final = (("q", "leave"), ("f", "flatten"), ("s", "stop entries"), ("k", "kill"))


@dataclass(frozen=True, slots=True)
class Watched:
    """What the screen knows.

    Attributes:
        state: The last snapshot, `None` before the first.
        silent_s: Seconds since the process said something.
        waiting: Why there is no process to watch, empty while there is one.
        question: What is asked before a command is sent, empty when nothing is.
        answer: What became of the last command, empty after a while.
    """

    state: Mapping[str, Any] | None = None
    silent_s: float = 0.0
    waiting: str = ""
    question: str = ""
    answer: str = ""


def screen(watched: Watched, width: int, height: int) -> tuple[Line, ...]:
    """The whole screen.

    Args:
        watched: What is known.
        width: Cells of a line.
        height: Lines.

    Returns:
        `height` lines of `width` cells.
    """
    foot = _foot(watched)
    if watched.state is None:
        body = [line(Span(" scalpcli live watch", TITLE)), line(f" {watched.waiting or 'connecting'}")]
    else:
        state = completed(watched.state)
        head = _head(state, watched, width)
        room = height - len(head) - 1
        body = [*head, *(_wide if width >= WIDE else _narrow)(state, width, room)]
    blank = [()] * max(height - 1 - len(body), 0)
    rows: list[Line] = [*body[: max(height - 1, 0)], *blank, foot]
    return tuple(merged(fit(row, width)) for row in rows[:height])


def snapshot_lines(state: Mapping[str, Any], width: int) -> list[Line]:
    """Everything there is to show, in one column, as long as it takes: for mails and files."""
    whole = completed(state)
    endless = 10_000
    head = _head(whole, Watched(state), width)
    return [merged(fit(row, width)) for row in (*head, *_narrow(whole, width, endless))]


def _head(state: Mapping[str, Any], watched: Watched, width: int) -> list[Line]:
    old = [view.silence(watched.silent_s, watched.waiting, width)] if _is_silent(watched) else []
    return [view.banner(state, width), *old, *view.notices(state)]


def _is_silent(watched: Watched) -> bool:
    return watched.silent_s >= _SILENT_S or bool(watched.waiting)


def _foot(watched: Watched) -> Line:
    if watched.question:
        return line(Span(f" {watched.question}  y = yes, other keys = no", WARN))
    keys = [part for key, what in KEYS for part in (Span(f" {key}", TITLE), Span(f" {what} ", DIM))]
    return line(*keys, Span(f"  {watched.answer}", WARN) if watched.answer else "")


def _narrow(state: Mapping[str, Any], width: int, height: int) -> list[Line]:
    """One column: what cannot give way, then gates, signals and alarms with the lines that are left."""
    top = [
        *view.market(state, width),
        *view.velocity(state),
        rule("POSITION", width),
        *view.positions(state, width),
        *view.orders(state),
        *view.result(state, width),
        *flow([*view.gates(state), *view.closed_gates(state)], width, label="gates"),
    ]
    middle = flow(view.protections(state), width, label="protections")
    bottom = [*view.feed(state, width), *view.upcoming(state, width)]
    told = [story.told() for story in stories(state["decisions"])] or [line(Span("none yet", DIM))]
    alarms = view.alarms(state)
    # One line is the head of the signals.
    left = height - len(top) - len(middle) - len(bottom) - 1
    signals, alarmed = _shares(left, (len(told), len(alarms)), least=(3, 1))
    return [
        *top,
        *middle,
        rule("SIGNALS", width),
        *told[:signals],
        *alarms[:alarmed],
        *bottom,
    ]


def _wide(state: Mapping[str, Any], width: int, height: int) -> list[Line]:
    """Two columns over signals and alarms."""
    left_width = round((width - _BETWEEN) * _LEFT_SHARE)
    right_width = width - _BETWEEN - left_width
    left = [
        rule("MARKET", left_width),
        *view.market(state, left_width),
        *view.velocity(state),
        rule("POSITION", left_width),
        *view.positions(state, left_width),
        *view.orders(state),
        *view.result(state, left_width),
        *view.upcoming(state, left_width),
    ]
    right = [
        rule("GATES", right_width),
        *grid(view.gates(state), right_width, _GATE_CELLS),
        *flow(view.closed_gates(state) or [line(Span("none", DIM))], right_width, label="closed"),
        rule("PROTECTIONS", right_width),
        *grid(view.protections(state), right_width),
        rule("FEED AND BROKER", right_width),
        *view.feed(state, right_width),
    ]
    top = _beside(left, right, left_width, right_width)
    told = [story.told() for story in stories(state["decisions"])] or [line(Span("none yet", DIM))]
    alarms = view.alarms(state) or [line(Span("none", DIM))]
    signals, alarmed = _shares(height - len(top) - 2, (len(told), len(alarms)), least=(3, 1))
    return [
        *top,
        rule("SIGNALS", width),
        *told[:signals],
        rule("ALARMS", width),
        *alarms[:alarmed],
    ]


def _beside(left: Sequence[Line], right: Sequence[Line], left_width: int, right_width: int) -> list[Line]:
    gap = " " * _BETWEEN
    rows = max(len(left), len(right))
    padded = zip([*left, *[()] * (rows - len(left))], [*right, *[()] * (rows - len(right))], strict=True)
    return [line(fit(one, left_width), gap, fit(other, right_width)) for one, other in padded]


def _shares(room: int, wanted: Sequence[int], least: Sequence[int]) -> list[int]:
    """Lines for each of several parts: its least first, then what it wants, in their order.

    Args:
        room: Lines in all; may be below zero.
        wanted: Lines each would fill.
        least: Lines each gets before another gets more.
    """
    given = [0] * len(wanted)
    for bounds in (least, wanted):
        for place, (bound, want) in enumerate(zip(bounds, wanted, strict=True)):
            more = min(max(min(bound, want) - given[place], 0), max(room - sum(given), 0))
            given[place] += more
    return given
