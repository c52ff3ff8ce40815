"""Law 3: what happens after `t` changes no decision at or before `t`."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scalpcli.model import note, row
from tests.oracle.chain import ALL_FOUR
from tests.property.law_play import Case, Seen, cases, lengths, play
from tests.property.law_sessions import MS, Day, S, finished, make_day

FUTURES = ("nothing", "other_prices", "other_day", "thinned", "calamity", "late_prints")


def with_future(day: Day, t_ns: int, future: str, seed: int) -> Day:
    """The same rows up to and including `t_ns`; another future after it."""
    rng = np.random.default_rng(seed)
    past, after = split(day, t_ns)
    columns = {name: column.copy() for name, column in after.columns.items()}
    if future == "nothing":
        after = finished([], day.session)
    elif future == "other_prices":
        for name in ("price_e4", "ask_e4"):
            columns[name] += columns[name] // 1000 * 100
        columns["size"][columns["kind"] != row.GAP] *= 2
        after = dataclasses.replace(after, columns=columns)
    elif future == "other_day":
        after = split(make_day(seed % 3, minutes=9, features=("crossed", "gaps", "notes")), t_ns)[1]
    elif future == "thinned":
        kept = (rng.random(len(columns["kind"])) < 0.5) & (columns["kind"] != row.COLD)
        after = dataclasses.replace(after, columns={name: each[kept] for name, each in columns.items()}, notes=())
    elif future == "calamity":
        past, after = together(past, finished(_calamity(t_ns), day.session)), without_notes(after)
    elif future == "late_prints":
        past, after = together(past, finished(_late_prints(t_ns, rng), day.session)), finished([], day.session)
    return together(past, after)


def split(day: Day, t_ns: int) -> tuple[Day, Day]:
    """The rows received up to `t_ns`, and the others."""
    count = int(np.searchsorted(day.columns["ts_recv_ns"], t_ns, side="right"))
    cold = int((day.columns["kind"][:count] == row.COLD).sum())
    parts = ((slice(count), slice(cold)), (slice(count, None), slice(cold, None)))
    return tuple(
        dataclasses.replace(
            day, columns={name: column[rows] for name, column in day.columns.items()}, notes=day.notes[notes]
        )
        for rows, notes in parts
    )  # type: ignore[return-value]


def together(past: Day, after: Day) -> Day:
    """One day after the other."""
    columns = {name: np.concatenate([past.columns[name], after.columns[name]]) for name in past.columns}
    return dataclasses.replace(past, columns=columns, notes=past.notes + after.notes)


def without_notes(day: Day) -> Day:
    """The day without its cold rows."""
    kept = day.columns["kind"] != row.COLD
    return dataclasses.replace(day, columns={name: column[kept] for name, column in day.columns.items()}, notes=())


def _calamity(t_ns: int) -> list[dict[str, Any]]:
    """A nanosecond after `t`: blind, halted, crashed and killed."""
    base = {"ts_recv_ns": t_ns + 1, "ts_event_ns": t_ns + 1}
    return [
        base | {"kind": row.STOCK_TRADE, "price_e4": 10_000, "size": 10**6, "flags": ALL_FOUR},
        base | {"kind": row.GAP, "size": row.CHANNELS_ALL, "flags": row.GAP_BEGIN},
        base | {"kind": row.STATUS, "instrument_id": 0, "flags": row.HALT_BEGIN},
        base | {"kind": row.COLD, "note": (note.OPERATOR, {"command": "kill"})},
    ]


def _late_prints(t_ns: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Prints that happened before `t` and are received after it."""
    return [
        {
            "kind": row.STOCK_TRADE, "ts_recv_ns": t_ns + 1 + int(after), "ts_event_ns": t_ns - int(before) * MS,
            "price_e4": 3_900_000, "size": 5000, "flags": ALL_FOUR | row.BACKFILLED,
        }
        for after, before in zip(rng.integers(0, 60 * S, 200), rng.integers(0, 60_000, 200), strict=True)
    ]  # fmt: skip


@lengths(18, 500)
def test_law_3_the_future_changes_no_decision(length: settings) -> None:
    """Rows after a moment are removed, changed, exchanged: everything decided until then stays, byte for byte."""
    seen = Seen("law 3")

    @length
    @given(case=cases(), share=st.floats(0.05, 1.0), before=st.booleans(), seed=st.integers(0, 999))
    def stays(case: Case, share: float, before: bool, seed: int) -> None:
        whole = play(case)
        times = [record["ts_ns"] for record in whole.records]
        # At a decision or right before it: there a look ahead would show.
        cut_ns = times[min(int(share * len(times)), len(times) - 2)] - int(before)
        # The end of the session follows what is learned after the close.
        cut_ns = min(cut_ns, case.day.session.close_ns - 1)
        kept = [line for line, t_ns in zip(whole.lines, times, strict=True) if t_ns <= cut_ns]

        for future in FUTURES:
            changed = dataclasses.replace(case, day=with_future(case.day, cut_ns, future, seed))
            other = play(changed)

            same = [line for line, one in zip(other.lines, other.records, strict=True) if one["ts_ns"] <= cut_ns]
            assert same == kept, future
            seen.counts[f"moved after {future}"] += other.lines != whole.lines
        seen.add(whole, compared=len(kept))

    stays()

    # A future that never changes anything later would prove nothing.
    seen.check(*(f"moved after {future}" for future in FUTURES), "compared", at_least=5)


@lengths(15, 200)
def test_law_3_decisions_are_written_in_the_order_of_time(length: settings) -> None:
    """The journal's times never fall and its numbers count on, so that "at or before t" is a prefix."""
    seen = Seen("law 3, order")

    @length
    @given(case=cases())
    def is_ordered(case: Case) -> None:
        played = play(case)

        seen.add(played)
        times = [record["ts_ns"] for record in played.records]
        assert [record["n"] for record in played.records] == list(range(len(times)))
        assert all(earlier <= later for earlier, later in itertools.pairwise(times))

    is_ordered()

    seen.check()
