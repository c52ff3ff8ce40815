"""Two plays of the same sessions: which signals and fills one has that the other has not.

Decides what makes two decisions the same: session, side and contract, made within `WITHIN_MS` of one another. For
a live run against the replay of its tape, and for two versions of the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scalpcli.report.events import Life, events_of
from scalpcli.report.load import Results
from scalpcli.report.section import Head, number, table
from scalpcli.report.view import View
from scalpcli.units import NS_PER_MS

WITHIN_MS: Final = 1_000.0

Key = tuple[str, str, str, str]


def _signals(results: Results) -> dict[Key, list[Life]]:
    found: dict[Key, list[Life]] = {}
    for session, events in events_of(results):
        for life in events.lives.values():
            signal = life.signal
            key = (session.symbol, session.day.isoformat(), signal["side"], signal["option_symbol"])
            found.setdefault(key, []).append(life)
    return found


def pairs(left: Sequence[Life], right: Sequence[Life]) -> list[tuple[Life | None, Life | None]]:
    """Signals of one session, side and contract in two plays: what both made, then what the second alone made.

    Each of the first takes the nearest of the second made within `WITHIN_MS` of it.
    """
    found: list[tuple[Life | None, Life | None]] = []
    others = list(right)
    for life in left:
        near = [each for each in others if abs(each.signal["ts_ns"] - life.signal["ts_ns"]) <= WITHIN_MS * NS_PER_MS]
        match = min(near, key=lambda each: abs(each.signal["ts_ns"] - life.signal["ts_ns"]), default=None)
        if match is not None:
            others.remove(match)
        found.append((life, match))
    return [*found, *((None, life) for life in others)]


def parity_view(first: Results, second: Results) -> View:
    """The answer to `--parity`: signals of both, in order, with how far apart they were entered and left."""
    left, right = _signals(first), _signals(second)
    rows = [
        _row(key, *pair)
        for key in sorted(left.keys() | right.keys())
        for pair in pairs(left.get(key, ()), right.get(key, ()))
    ]
    both = sum(row["in_a"] and row["in_b"] for row in rows)
    cells = [
        {
            "session": row["session"],
            "contract": row["option_symbol"],
            "where": "both" if row["in_a"] and row["in_b"] else "A only" if row["in_a"] else "B only",
            "apart": number(row["apart_ms"], 0),
            "a": number(row["gross_a_usd"], 2),
            "b": number(row["gross_b_usd"], 2),
        }
        for row in rows
    ]
    heads = (
        Head("session", "session", right=False),
        Head("contract", "contract", right=False),
        Head("where", "in", right=False),
        Head("apart", "ms apart"),
        Head("a", "gross A"),
        Head("b", "gross B"),
    )
    share = 100.0 * both / len(rows) if rows else None
    note = f"{both} of {len(rows)} signals are in both" if rows else ""
    more = {"count": len(rows), "in_both": both, "in_both_pct": share}
    return View("signals", [table("Parity", heads, cells, note)], rows, more)


def _row(key: Key, left: Life | None, right: Life | None) -> dict[str, Any]:
    apart = None if left is None or right is None else (right.signal["ts_ns"] - left.signal["ts_ns"]) / NS_PER_MS
    return {
        "symbol": key[0],
        "session": key[1],
        "side": key[2],
        "option_symbol": key[3],
        "in_a": left is not None,
        "in_b": right is not None,
        "apart_ms": apart,
        "gross_a_usd": _gross(left),
        "gross_b_usd": _gross(right),
    }


def _gross(life: Life | None) -> float | None:
    return None if life is None or life.trade is None else life.trade["gross_e4"] / 10_000
