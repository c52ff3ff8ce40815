"""What a local exchange really did: which rows it sent on which connection, which it lost and why.

Decides the record tests hold a recorder against, in memory and as JSON lines. Row numbers are those of the tape,
0-based. "Sent" means handed to the system for a connection that was open; what a reset then throws away between the
two ends, nobody knows, so a row sent in the last moments of a cut connection may be missing at the client.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

LINE_ROWS_MAX: Final = 4096
"""Rows of one line; more begin another."""


class ServingLog:
    """The truth about a run.

    Args:
        seconds: A clock that only goes forward, seconds.
        file: Where lines go besides; none where `None`.
        keep: Whether everything stays in memory: 8 bytes for each row sent on each connection.

    Attributes:
        events: What happened, in order: `at_s`, `event` and its own fields; only with `keep`.
        sent: Connection -> rows in the order they went out, a row's second copy apart.
        lost: Connection -> row and why it did not go out.
        totals: Rows by what became of them: `sent`, `sent_again` and `lost: WHY`.
    """

    def __init__(self, seconds: Callable[[], float], *, file: TextIO | None = None, keep: bool = False) -> None:
        self.events: list[dict[str, Any]] = []
        self.sent: dict[int, array[int]] = {}
        self.lost: dict[int, list[tuple[int, str]]] = {}
        self.totals: Counter[str] = Counter()
        self._seconds, self._start_s = seconds, seconds()
        self._file, self._keep = file, keep
        self._pending: tuple[int, str] | None = None
        self._rows: list[int] = []

    def event(self, event: str, **fields: Any) -> None:
        """Note that something happened."""
        self.flush()
        entry = {"at_s": round(self._seconds() - self._start_s, 6), "event": event, **fields}
        if self._keep:
            self.events.append(entry)
        self._write(entry)

    def rows_sent(self, connection: int, rows: Sequence[int]) -> None:
        """Rows went out."""
        self.totals["sent"] += len(rows)
        if self._keep:
            self.sent.setdefault(connection, array("q")).extend(rows)
        if self._file is not None:
            self._collect(connection, "sent", rows)

    def rows_sent_again(self, connection: int, rows: Sequence[int]) -> None:
        """Rows went out once more."""
        self.totals["sent_again"] += len(rows)
        if self._file is not None:
            self._collect(connection, "sent_again", rows)

    def rows_lost(self, connection: int, rows: Sequence[int], why: str) -> None:
        """Rows that the connection subscribed to did not go out on it."""
        self.totals[f"lost: {why}"] += len(rows)
        if self._keep:
            self.lost.setdefault(connection, []).extend((row, why) for row in rows)
        if self._file is not None:
            self._collect(connection, f"lost: {why}", rows)

    def flush(self) -> None:
        """Hand everything collected to the file."""
        if self._pending is not None and self._rows:
            connection, what = self._pending
            self._write({"event": what, "connection": connection, "rows": self._rows})
        self._pending, self._rows = None, []
        if self._file is not None:
            self._file.flush()

    def all_sent(self) -> set[int]:
        """Every row that went out on any connection; only with `keep`."""
        return {row for rows in self.sent.values() for row in rows}

    def _collect(self, connection: int, what: str, rows: Sequence[int]) -> None:
        if self._pending != (connection, what) or len(self._rows) + len(rows) > LINE_ROWS_MAX:
            self.flush()
            self._pending = (connection, what)
        self._rows.extend(rows)

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
