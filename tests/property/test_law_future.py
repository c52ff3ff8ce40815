"""Law 3: what happens after `t` changes no decision at or before `t`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from law_play import Case, Seen, cases, lengths, play
from law_sessions import MS, Day, S, finished, make_day
from oracle.chain import ALL_FOUR

from scalpcli.model import note, row

FUTURES = ("nothing", "other_prices", "other_day", "thinned", "calamity", "late_prints")


def with_future(day: Day, t_ns: int, future: str, seed: int) -> Day:
    """The same rows up to and including `t_ns`; another future after it."""
    rng = np.random.default_rng(seed)
    rows = as_rows(day)
    past = [one for one in rows if one["ts_recv_ns"] <= t_ns]
    after = [one for one in rows if one["ts_recv_ns"] > t_ns]
    if future == "nothing":
        after = []
    elif future == "other_prices":
        for one in after:
            for name in ("price_e4", "ask_e4"):
                one[name] += one[name] // 1000 * 100
            if one["kind"] != row.GAP:
                one["size"] *= 2
    elif future == "other_day":
        other = make_day(seed, minutes=9, features=("crossed", "gaps", "notes"))
        after = [one for one in as_rows(other) if one["ts_recv_ns"] > t_ns]
    elif future == "thinned":
        after = [one for one in after if one["kind"] != row.COLD and rng.random() < 0.5]
    elif future == "calamity":
        after = [*_calamity(t_ns + 1), *(one for one in after if one["kind"] == row.OPTION_QUOTE)]
    elif future == "late_prints":
        after += [_late_print(t_ns, rng) for _ in range(200)]
    return finished(past + after, day.session)


def as_rows(day: Day) -> list[dict[str, Any]]:
    """The rows of a day one by one, cold ones with their notes."""
    names = list(day.columns)
    rows = [
        dict(zip(names, values, strict=True))
        for values in zip(*(column.tolist() for column in day.columns.values()), strict=True)
    ]
    cold = (one for one in rows if one["kind"] == row.COLD)
    for one, body in zip(cold, day.notes, strict=True):
        one["note"] = (body.kind, body.body)
    return rows


def _calamity(t_ns: int) -> list[dict[str, Any]]:
    """Right after `t`: blind, halted, crashed and killed."""
    base = {"ts_recv_ns": t_ns, "ts_event_ns": t_ns}
    return [
        base | {"kind": row.STOCK_TRADE, "price_e4": 10_000, "size": 10**6, "flags": ALL_FOUR},
        base | {"kind": row.GAP, "size": row.CHANNELS_ALL, "flags": row.GAP_BEGIN},
        base | {"kind": row.STATUS, "instrument_id": 0, "flags": row.HALT_BEGIN},
        base | {"kind": row.COLD, "note": (note.OPERATOR, {"command": "kill"})},
    ]


def _late_print(t_ns: int, rng: np.random.Generator) -> dict[str, Any]:
    """A print that happened before `t` and is received after it."""
    received = t_ns + 1 + int(rng.integers(0, 60 * S))
    event = t_ns - int(rng.integers(0, 60_000)) * MS
    return {
        "kind": row.STOCK_TRADE, "ts_recv_ns": received, "ts_event_ns": event, "price_e4": 3_900_000,
        "size": 5000, "flags": ALL_FOUR | row.BACKFILLED,
    }  # fmt: skip


@lengths(25, 500)
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
        assert all(earlier <= later for earlier, later in zip(times[1:], times[2:], strict=False))

    is_ordered()

    seen.check()
