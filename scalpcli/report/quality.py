"""The quality of a session's data, as its tape measured it.

Decides which of the tape's figures head a report. Their meaning stands in `runtime/tape_quality.py`; a
figure that a tape does not state is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures that head a report.

    Args:
        coverage_pct: Share of the session the tape covers, percent.
        gaps: Stretches in which a channel was not seen.
        stale_pct: Largest share of the session for which a channel was silent for over 5 s, percent.
        crossed_pct: Largest share of crossed quotes among a channel's two-sided ones, percent.
    """

    coverage_pct: float | None
    gaps: float | None
    stale_pct: float | None
    crossed_pct: float | None


def read_quality(found: Any) -> Quality:
    """The figures in a tape's quality summary."""
    stale = _at(found, "stale_pct")
    crossed = [_number(found, channel, "crossed_pct") for channel in ("stock_quotes", "option_quotes")]
    return Quality(
        coverage_pct=_number(found, "coverage_pct"),
        gaps=_number(found, "gaps", "count"),
        stale_pct=_largest([_number(stale, channel) for channel in stale] if isinstance(stale, dict) else []),
        crossed_pct=_largest(crossed),
    )


def _at(found: Any, *path: str) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _number(found: Any, *path: str) -> float | None:
    value = _at(found, *path)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _largest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def worst(found: Sequence[Quality]) -> Quality:
    """The worst of several tapes, figure by figure; gaps are added."""
    gaps = [each.gaps for each in found if each.gaps is not None]
    coverage = [each.coverage_pct for each in found if each.coverage_pct is not None]
    return Quality(
        coverage_pct=min(coverage, default=None),
        gaps=sum(gaps) if gaps else None,
        stale_pct=_largest([each.stale_pct for each in found]),
        crossed_pct=_largest([each.crossed_pct for each in found]),
    )
