"""The gaps of a recorded tape, and what the exchange's log knows that may have caused one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from scalpcli.model.row import (
    CHANNEL_OPTION_QUOTES,
    CHANNEL_OPTION_TRADES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    COLD,
    GAP,
    GAP_BEGIN,
    GAP_END,
)
from scalpcli.runtime.tape import Tape
from tests.simulation.fault_runs import NS_PER_S, SPEED, START_NS, UNTIL_NS, Run

STOCK: Final = CHANNEL_STOCK_TRADES | CHANNEL_STOCK_QUOTES
OPTION: Final = CHANNEL_OPTION_TRADES | CHANNEL_OPTION_QUOTES
SCOPES: Final = {"stock": STOCK, "option": OPTION}
NEVER: Final = 2**62
CAUSES: Final = {
    "drop": {"connection lost", "connection failed", "handshake lost"},
    "half_close": {"connection lost"},
    "stall": {"mute"},
    "delay": {"mute"},
    "refuse 407": {"we read too slowly 407", "connection lost"},
    "garbage": {"undecodable frame"},
    "cut": {"connection failed"},
    "restart": {"recorder was down"},
    "end": {"mute"},
}
"""What befell a stream -> what a gap may say of it; refusals name their number."""


@dataclass(frozen=True, slots=True)
class Blind:
    """A gap of the tape, on the exchange's clock.

    Attributes:
        channels: Bits of `model/row.py`.
        since_ns: Since when it says it was blind, UTC nanoseconds.
        told_ns: When its begin was written.
        end_ns: When it saw again; `NEVER` where it stayed open.
        cause: Text of its first row.
        begin_at: Place of its first row on the tape.
        end_at: Place of its last row, or `NEVER`.
        note: Text of the note before it.
    """

    channels: int
    since_ns: int
    told_ns: int
    end_ns: int
    cause: str
    begin_at: int
    end_at: int
    note: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that cuts, refuses or mutes a stream, and when, UTC nanoseconds of the exchange."""

    channels: int
    what: str
    at_ns: int

    @property
    def causes(self) -> set[str]:
        """What a gap may say of it."""
        code = self.what.removeprefix("refuse ")
        return CAUSES.get(self.what) or {f"HTTP {code}", f"refused {code}", f"too many connections {code}"}


class Clock:
    """The exchange's clock at a second of its log.

    Args:
        events: The log's.
    """

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        # Time at the exchange begins to run when a first client shows up.
        self._contact_s = next(event["at_s"] for event in events if event["event"] == "first_contact")

    def market_ns(self, at_s: float) -> int:
        """UTC nanoseconds."""
        return START_NS + round((at_s - self._contact_s) * SPEED * NS_PER_S)


def connections(run: Run) -> dict[int, int]:
    """Connection -> channels of its stream."""
    return {
        event["connection"]: STOCK if event["path"].startswith("/v2") else OPTION
        for event in run.log.events
        if event["event"] == "connection" and event["path"] != "/stream"
    }


def reasons(run: Run) -> list[Reason]:
    """Everything that cut, refused or muted a stream."""
    clock, streams = Clock(run.log.events), connections(run)
    # After the last row there is silence, and a recorder that still listens must take it for what it seems.
    found = [Reason(STOCK | OPTION, "end", UNTIL_NS)]
    found += [Reason(STOCK | OPTION, "restart", run.restarted_ns)] if run.restarted_ns else []
    for event in run.log.events:
        channels = SCOPES.get(event.get("scope", ""), streams.get(event.get("connection", 0), 0))
        what = _what(event, run)
        if channels and what:
            found.append(Reason(channels, what, clock.market_ns(event["at_s"])))
    return found


def _what(event: dict[str, Any], run: Run) -> str:
    name, kind = event.get("name", ""), event["event"]
    if kind == "fault":
        if name == "refuse":
            return "refuse 407" if event["code"] == 407 else ""
        if name == "delay":
            # A short one is no reason to give a stream up.
            is_long = any(
                fault.startswith(f"delay={event['scope']},") and "900" in fault for fault in run.scenario.faults
            )
            return "delay" if is_long else ""
        return name if name in {"drop", "half_close", "stall"} else ""
    if kind == "garbage":
        return "garbage" if event["form"] != "unknown" else ""
    if kind in {"refused", "upgrade_refused"}:
        return f"refuse {event['code']}"
    if kind == "connection_end" and event["why"] == "error 406":
        return "refuse 406"
    return "cut" if kind == "upgrade_cut" else ""


def gaps_of(run: Run, rows: pl.DataFrame, wrong: Callable[[str], None]) -> list[Blind]:
    """The gaps of a tape whose rows are `rows`, begins and ends paired; `wrong` hears where they do not pair."""
    assert run.tape is not None
    notes = [note.body.get("cause", "") for note in Tape.open(run.tape).notes()]
    cold = 0
    found: list[Blind] = []
    for row in rows.filter(pl.col("kind").is_in([GAP, COLD])).iter_rows(named=True):
        if row["kind"] == COLD:
            cold += 1
            continue
        now_ns, flags, channels, at = row["ts_recv_ns"] - run.ahead_ns, row["flags"], row["size"], row["at"]
        is_over = bool(flags & GAP_END)
        if flags & GAP_BEGIN:
            if any(one.channels & channels and one.end_at == NEVER for one in found):
                wrong(f"a gap begins in a gap: {row['conditions_text']}")
            ends = (now_ns, at) if is_over else (NEVER, NEVER)
            since_ns, note = row["ts_event_ns"] - run.ahead_ns, notes[cold - 1] if cold else ""
            found.append(Blind(channels, since_ns, now_ns, ends[0], row["conditions_text"], at, ends[1], note))
            continue
        began = [one for one in found if one.channels == channels and one.end_at == NEVER]
        if not is_over or len(began) != 1:
            wrong("a gap ends that did not begin")
            continue
        found[found.index(began[0])] = replace(began[0], end_ns=now_ns, end_at=at)
    return found
