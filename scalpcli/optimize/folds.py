"""Which sessions a setting is chosen on and which it is judged on.

Decides the holdout, the windows of a walk-forward and what purge and embargo leave out. A session is the unit:
every position ends with its session, so nothing but the market itself reaches from one into the next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scalpcli.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Sessions to choose on, sessions to judge on, sessions to go on by."""

    train: int
    test: int
    step: int


@dataclass(frozen=True, slots=True)
class Fold:
    """Numbers of the sessions of one window."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def parse_days(text: str, flag: str) -> int:
    """Read a count of sessions like `2d` or `2`.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(\d{1,4})d?", text.strip())
    if match is None:
        raise UsageError(f"`{text}` is no number of sessions", place=f"`{flag}`", hint="write sessions, like `2d`")
    return int(match[1])


def parse_walk_forward(text: str) -> WalkForward:
    """Read `TRAIN:TEST:STEP`, like `20d:5d:5d`; without a step it goes on by the test's length.

    Raises:
        UsageError: it is not understood.
    """
    parts = [parse_days(part, "--walk-forward") for part in text.split(":")]
    if len(parts) == 2:
        parts.append(parts[1])
    if len(parts) != 3 or min(parts) < 1:
        hint = "write sessions to choose on, to judge on, to go on by, like `20d:5d:5d`"
        raise UsageError(f"`{text}` is no walk-forward", place="`--walk-forward`", hint=hint)
    return WalkForward(*parts)


def parse_holdout(text: str) -> float:
    """Read a share like `20%`; 0 to below 100, percent.

    Raises:
        UsageError: it is none.
    """
    try:
        share = float(text.strip().removesuffix("%"))
    except ValueError:
        share = -1.0
    if not 0.0 <= share < 100.0:
        raise UsageError(f"`{text}` is no share of the sessions", place="`--holdout`", hint="write percent, like `20%`")
    return share


def split_holdout(sessions: int, share_pct: float) -> tuple[range, range]:
    """Numbers of the sessions that may be seen, and of the last ones, which are sealed."""
    sealed = round(sessions * share_pct / 100.0)
    return range(sessions - sealed), range(sessions - sealed, sessions)


def folds(sessions: int, walk: WalkForward, purge: int) -> list[Fold]:
    """Every window of a walk-forward over sessions in order of time.

    Args:
        sessions: How many there are.
        walk: Lengths of the windows.
        purge: Sessions left out between choosing and judging.

    Raises:
        DataError: there are too few sessions for one window.
    """
    found = []
    begin = 0
    while begin + walk.train + purge + walk.test <= sessions:
        end = begin + walk.train
        test = range(end + purge, end + purge + walk.test)
        found.append(Fold(tuple(range(begin, end)), tuple(test)))
        begin += walk.step
    if not found:
        raise DataError(
            f"{sessions} sessions are too few for one window: it takes {walk.train + purge + walk.test}",
            place="`--walk-forward`",
            hint="shorten it, or give more tapes; a holdout is not counted",
        )
    return found


def without_neighbours(train: Sequence[bool], purge: int, embargo: int) -> list[bool]:
    """Sessions to choose on, less those too near the sessions to judge on.

    Args:
        train: Whether each session is chosen on; the others are judged on.
        purge: Sessions left out before each run of judged ones.
        embargo: Sessions left out after each of them.
    """
    kept = list(train)
    for number, is_train in enumerate(train):
        if not is_train:
            for near in range(max(0, number - purge), min(len(kept), number + embargo + 1)):
                kept[near] = False
    return kept
