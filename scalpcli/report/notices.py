"""What a reader must know before any figure: made-up data, coarse feeds, doubled sessions, open ends, differing books.

Decides when a report warns and in which words. A warning stands above every table, page and JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from scalpcli.report.load import Results, SessionResult
from scalpcli.report.summary import usd_sum

_CENT: Final = 0.01
_COARSE: Final = {
    "indicative": "indicative option quotes, changed by the vendor: fills and slippage are not the market's",
    "imported bars": "quotes by the bar: what stops and fills met between them is unseen",
    "imported chain": "snapshots of the chain minutes apart: what stops and fills met between them is unseen",
    "single exchanges": "quotes of single exchanges, not the best of all: fills are worse or better than true ones",
    "iex": "stock prints of one exchange: volume is a share of the market's",
}
"""Word in a tape's feeds -> what it means for a report."""


def notices(results: Results) -> list[str]:
    """What a reader must know before any figure: made-up data, doubled sessions, open ends, books that differ."""
    return [
        *_synthetic_notice(results.sessions),
        *_doubled_notice(results.sessions),
        *_coarse_notices(results.sessions),
        *(notice for session in results.sessions for notice in _session_notices(session)),
    ]


def _synthetic_notice(sessions: Sequence[SessionResult]) -> list[str]:
    made_up = sum(session.is_synthetic for session in sessions)
    if not made_up:
        return []
    if made_up == len(sessions):
        return [
            "SYNTHETIC: the market was made up by a random generator; no figure here says anything about real trading"
        ]
    share = f"{made_up} of {len(sessions)} sessions were made up by a random generator"
    return [f"SYNTHETIC in part: {share}; pooled figures mix them with real ones"]


def _doubled_notice(sessions: Sequence[SessionResult]) -> list[str]:
    seen = Counter((session.symbol, session.day) for session in sessions)
    doubled = [f"{symbol} {day}" for (symbol, day), number in seen.items() if number > 1]
    if not doubled:
        return []
    names = ", ".join(doubled[:3]) + (f" and {len(doubled) - 3} more" if len(doubled) > 3 else "")
    return [f"in more than one run: {names}; pooled figures count those trades once for each run"]


def _coarse_notices(sessions: Sequence[SessionResult]) -> list[str]:
    """What feeds cannot show; each once, with the sessions it holds for."""
    found: dict[str, int] = {}
    for session in sessions:
        feeds = session.head.get("feeds")
        words = " ".join(map(str, feeds.values())).lower() if isinstance(feeds, dict) else ""
        for mark, notice in _COARSE.items():
            if mark in words:
                found[notice] = found.get(notice, 0) + 1
    return [f"{notice} ({count} of {len(sessions)} sessions)" for notice, count in found.items()]


def _session_notices(session: SessionResult) -> list[str]:
    where = f"{session.symbol} {session.day}"
    tally = session.tally
    if tally.net_usd is None:
        return [f"{where}: the journal ends before the session did"]
    if not tally.is_flat:
        return [f"{where}: NOT FLAT at the end; what is still held is in no figure"]
    net = usd_sum(session.trades["net_pnl_usd"])
    if abs(net - tally.net_usd) >= _CENT:
        return [f"{where}: its trades add up to {net:,.2f} USD, its journal to {tally.net_usd:,.2f} USD"]
    return []
