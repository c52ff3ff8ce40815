"""Cold rows: what happens rarely and does not fit a hot row's columns (design, section 5).

A note is one line of `notes.jsonl`. Its `seq` is the 0-based ordinal of its cold-marker row in
`rows.parquet`; everything it says was known at that row's `ts_recv_ns` and not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

PREVIOUS_LEVELS: Final = "previous_levels"
"""Body: `session` (ISO day), `high_e4`, `low_e4`, `close_e4`: regular session, range and last prints."""
VOLUME_PROFILE: Final = "volume_profile"
"""Body: `bucket_s` (1), `sessions` (ISO days), `volumes`: per session, the volume of each whole second of
the regular session by receive time, element 0 for `[O, O+1 s)`; volume-eligible regular prints only."""
GREEKS: Final = "greeks"
"""Body: `source` and `contracts`: symbol -> `delta`, and where known `gamma`, `theta`, `vega`, `iv`."""
OPEN_INTEREST: Final = "open_interest"
"""Body: `date` (ISO day) and `contracts`: symbol -> contracts."""
RUN: Final = "run"
"""Body: `nonce`: distinguishes the order ids of two runs over one session."""
OPERATOR: Final = "operator"
"""Body: `command` (`stop`, `flatten`, `kill`, `arm`)."""
GAP_CAUSE: Final = "gap_cause"
"""Body: `cause`, free text for the gap row that follows."""

NOTE_KINDS: Final = (PREVIOUS_LEVELS, VOLUME_PROFILE, GREEKS, OPEN_INTEREST, RUN, OPERATOR, GAP_CAUSE)


@dataclass(frozen=True, slots=True)
class Note:
    """One cold row."""

    seq: int
    ts_recv_ns: int
    kind: str
    body: dict[str, Any]
