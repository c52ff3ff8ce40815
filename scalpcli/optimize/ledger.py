"""Counts every setting ever tried on a data set, across searches, and every opening of a holdout.

One line a batch of settings, appended before the batch is played, so that a search that is broken off counts too:
whoever looked at a result has used the data. A setting counts for a data set when it was tried on any of its
tapes; the same setting counts once. Bounded by the searches; lines are never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError
from scalpcli.runtime import clock

LEDGER: Final = "ledger.jsonl"
_DIGEST_CHARS: Final = 16


class Ledger:
    """The ledger of one folder of searches.

    Args:
        path: Its file; made when first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add_settings(self, search: str, tapes: Sequence[str], settings: Iterable[str]) -> None:
        """Note that settings are tried on tapes.

        Args:
            search: Name of the search.
            tapes: Digests of the tapes.
            settings: Digests of the settings.
        """
        tried = sorted({digest[:_DIGEST_CHARS] for digest in settings} - self.settings_tried(tapes))
        if tried:
            self._add({"kind": "settings", "search": search, "tapes": sorted(tapes), "settings": tried})

    def add_opening(self, search: str, tapes: Sequence[str], setting: str) -> None:
        """Note that a holdout was opened for a setting."""
        self._add({"kind": "holdout", "search": search, "tapes": sorted(tapes), "settings": [setting[:_DIGEST_CHARS]]})

    def settings_tried(self, tapes: Sequence[str]) -> set[str]:
        """Digests of every setting ever tried on any of these tapes."""
        wanted = set(tapes)
        return {
            digest
            for record in self.records()
            if record["kind"] == "settings" and wanted & set(record["tapes"])
            for digest in record["settings"]
        }

    def openings(self, tapes: Sequence[str]) -> int:
        """How often a holdout with any of these tapes was opened."""
        wanted = set(tapes)
        return sum(record["kind"] == "holdout" and bool(wanted & set(record["tapes"])) for record in self.records())

    def records(self) -> Iterator[dict[str, Any]]:
        """Every line.

        Raises:
            DataError: a line is none of a ledger.
        """
        if not self.path.exists():
            return
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                record = json.loads(line)
                known = {"kind": str, "search": str, "tapes": list, "settings": list, "created_utc": str}
                is_record = all(isinstance(record[name], kind) for name, kind in known.items())
            except (ValueError, KeyError, TypeError):
                is_record = False
            if not is_record:
                hint = "without a whole ledger nobody knows how often the data was used; restore it from a backup"
                raise DataError("a line of the ledger cannot be read", place=f"`{self.path}`, line {number}", hint=hint)
            yield record

    def _add(self, record: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record | {"created_utc": clock.utc_now().isoformat(timespec="seconds")})
        # One write at the file's end: lines of searches that run side by side do not mix.
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")
