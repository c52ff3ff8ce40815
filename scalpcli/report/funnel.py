"""The funnel: what became of each trigger, counted from the journal.

Decides how records are counted by step, trigger, side and gate. Reads `decisions.jsonl` a line at a time and
keeps counts only; of a session it remembers the trigger of each signal, which are few. Lines of kinds that
are not counted are passed over unread.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from scalpcli.errors import DataError
from scalpcli.model.decision import JOURNAL_SCHEMA_VERSION
from scalpcli.units import E4_PER_USD

TRIGGERS: Final = ("momentum_burst", "vwap_rejection", "breakout")
_EPISODE_KINDS: Final = ("trigger", "refusal", "missed", "signal", "unfilled", "trade")
"""Kinds whose records name their trigger."""
_COUNTED: Final = frozenset({"session", *_EPISODE_KINDS, "order", "fill", "session_end"})
_KIND: Final = re.compile(rb'"kind":\s*"(\w+)"')
_AGAIN: Final = "replay the tape again, or restore the folder from a copy"


class Step(NamedTuple):
    """What is counted.

    Args:
        name: `trigger`, `refusal`, `missed`, `signal`, `unfilled`, `entry_order`, `exit_order`,
            `entry_fill`, `exit_fill`, `ordered` and `entered` (signals with an entry order, with an entry
            fill), or `trade`.
        trigger: Which trigger it goes back to; empty when the journal does not tell.
        side: `call` or `put`.
        gate: Which gate refused; empty for the other steps.
    """

    name: str
    trigger: str = ""
    side: str = ""
    gate: str = ""


@dataclass(slots=True)
class SessionTally:
    """What one session's journal counts.

    Args:
        symbol: The underlying.
        day: The session, ISO day.
        starting_equity_usd: Equity it started at.
        counts: Number of each step.
        net_usd: Result after fees by its last record; `None` when the journal ends before the session.
        fees_usd: Fees of the day by its last record.
        is_flat: Whether nothing was held at its end.
        open_ns: Its open.
        close_ns: Its close.
    """

    symbol: str
    day: str
    starting_equity_usd: float
    counts: Counter[Step] = field(default_factory=Counter)
    net_usd: float | None = None
    fees_usd: float | None = None
    is_flat: bool = True
    open_ns: int = 0
    close_ns: int = 0


def total(counts: Counter[Step], name: str, *, trigger: str | None = None, gate: str | None = None) -> int:
    """How often a step was taken, all triggers and gates unless one is named."""
    return sum(
        number
        for step, number in counts.items()
        if step.name == name and trigger in (None, step.trigger) and gate in (None, step.gate)
    )


def gates(counts: Counter[Step], name: str = "refusal") -> list[str]:
    """Gates that refused (or, for `missed`, had the last word), most often first."""
    by_gate: Counter[str] = Counter()
    for step, number in counts.items():
        if step.name == name:
            by_gate[step.gate] += number
    return sorted(by_gate, key=lambda gate: (-by_gate[gate], gate))


def read_journal(path: Path) -> list[SessionTally]:
    """Count a journal, session by session.

    Raises:
        DataError: It is missing, damaged (with the line), or of a newer version.
    """
    tallies: list[SessionTally] = []
    current: _Session | None = None
    for number, record in _records(path):
        try:
            if record["kind"] == "session":
                current = _Session(_opened(record, path))
                tallies.append(current.tally)
            elif current is None:
                raise _damaged(path, number, "stands before any `session` record")
            else:
                current.count(record)
        except (KeyError, TypeError) as error:
            raise _damaged(path, number, f"lacks a field of its kind: {error}") from None
    return tallies


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of the kinds that are counted, with their line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                kind = _KIND.search(line)
                if kind is not None and kind[1].decode() not in _COUNTED:
                    continue
                try:
                    record = json.loads(line)
                except ValueError:
                    raise _damaged(path, number, "is not JSON") from None
                if not isinstance(record, dict) or "kind" not in record:
                    raise _damaged(path, number, "has no `kind`")
                yield number, record
    except OSError as error:
        raise DataError(f"the journal cannot be read: {error.strerror}", place=f"`{path}`", hint=_AGAIN) from None


def _opened(record: dict[str, Any], path: Path) -> SessionTally:
    if record["schema_version"] > JOURNAL_SCHEMA_VERSION:
        raise DataError(
            f"the journal has schema version {record['schema_version']}; this scalpcli reads versions up to"
            f" {JOURNAL_SCHEMA_VERSION}",
            place=f"`{path}`",
            hint="install a newer scalpcli, or replay the tape with this one",
        )
    return SessionTally(
        record["symbol"],
        record["session"],
        record["starting_equity_e4"] / E4_PER_USD,
        open_ns=record["open_ns"],
        close_ns=record["close_ns"],
    )


def _damaged(path: Path, line: int, what: str) -> DataError:
    return DataError(f"a record of the journal {what}", place=f"`{path}`, line {line}", hint=_AGAIN)


class _Session:
    """Counts one session; remembers which trigger each signal and order goes back to."""

    def __init__(self, tally: SessionTally) -> None:
        self.tally = tally
        self._origin: dict[int, tuple[str, str]] = {}
        self._ordered: set[int] = set()
        self._entered: set[int] = set()

    def count(self, record: dict[str, Any]) -> None:
        """Take in a record of a kind in `_COUNTED`, other than `session`."""
        kind = record["kind"]
        if kind in _EPISODE_KINDS:
            origin = (record["trigger"], record["side"])
            if kind == "signal":
                self._origin[record["signal"]] = origin
            self.tally.counts[Step(kind, *origin, record.get("gate", ""))] += 1
        elif kind == "order":
            self._leg(record, "ordered", self._ordered)
        elif kind == "fill":
            self._leg(record, "entered", self._entered)
        else:
            self.tally.net_usd = record["net_e4"] / E4_PER_USD
            self.tally.fees_usd = record["fees_e4"] / E4_PER_USD
            self.tally.is_flat = bool(record["flat"])

    def _leg(self, record: dict[str, Any], first: str, seen: set[int]) -> None:
        """An order or a fill: counted by its leg; of a signal's entry also once as `first`."""
        signal = record["signal"]
        origin = self._origin.get(signal, ("", ""))
        self.tally.counts[Step(f"{record['leg']}_{record['kind']}", *origin)] += 1
        if record["leg"] == "entry" and signal not in seen:
            seen.add(signal)
            self.tally.counts[Step(first, *origin)] += 1
