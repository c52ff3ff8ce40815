"""The journal of one session as records, for views that need more than counts.

Decides which kinds are kept: those between a signal and its end. A session makes a few thousand records, so one
session's are held at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.runs import AGAIN, JOURNAL_FILE

Record = dict[str, Any]
_EPISODES: Final = frozenset({"trigger", "refusal", "missed"})
_OF_A_SIGNAL: Final = frozenset(
    {"signal", "order", "accepted", "fill", "cancelled", "expired", "rejected", "unfilled", "exit", "trade"}
)


@dataclass(slots=True)
class Life:
    """What became of one signal.

    Args:
        signal: Its `signal` record.
        orders: Records of its orders, in order; likewise the rest.
    """

    signal: Record
    orders: list[Record] = field(default_factory=list)
    accepted: list[Record] = field(default_factory=list)
    fills: list[Record] = field(default_factory=list)
    exits: list[Record] = field(default_factory=list)
    trade: Record | None = None
    unfilled: Record | None = None

    def leg(self, leg: str) -> list[Record]:
        """Fills of the entry or of the exit."""
        return [fill for fill in self.fills if fill["leg"] == leg]

    def add(self, record: Record) -> None:
        """Take in one of its records."""
        kind = record["kind"]
        if kind == "trade":
            self.trade = record
        elif kind == "unfilled":
            self.unfilled = record
        else:
            lists = {"order": self.orders, "accepted": self.accepted, "fill": self.fills, "exit": self.exits}
            lists.get(kind, []).append(record)


@dataclass(slots=True)
class SessionEvents:
    """One session's records: the life of each signal by number, and the records of episodes in order."""

    lives: dict[int, Life] = field(default_factory=dict)
    episodes: list[Record] = field(default_factory=list)


def events_of(results: Results) -> Iterator[tuple[SessionResult, SessionEvents]]:
    """The records of every session that was read, one session at a time."""
    for position, run in enumerate(results.runs):
        # By their place in the journal: one run may hold several sessions of one symbol and day.
        wanted = {each.place: each for each in results.sessions if each.run == position}
        if not wanted:
            continue
        for place, events in enumerate(_sessions(run.path / JOURNAL_FILE)):
            if place in wanted:
                yield wanted[place], events


def _sessions(path: Path) -> Iterator[SessionEvents]:
    with path.open("rb") as file:
        yield from session_events(file, str(path))


def session_events(lines: Iterable[bytes], place: str) -> Iterator[SessionEvents]:
    """The records of every session of a journal.

    Args:
        lines: Its lines, in order.
        place: Where they stand, for messages.

    Raises:
        DataError: a line is no record.
    """
    events: SessionEvents | None = None
    number = 0
    try:
        for line in lines:
            number += 1
            record = json.loads(line)
            kind = record["kind"]
            if kind == "session":
                if events is not None:
                    yield events
                events = SessionEvents()
            elif events is None:
                # A journal that begins otherwise was refused when it was read.
                continue
            elif kind in _EPISODES:
                events.episodes.append(record)
            elif kind == "signal":
                events.lives[record["signal"]] = Life(record)
            elif kind in _OF_A_SIGNAL:
                events.lives[record["signal"]].add(record)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"a record of the journal is damaged: {error}", place=f"`{place}`, line {number}", hint=AGAIN
        ) from None
    if events is not None:
        yield events
