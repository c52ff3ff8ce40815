"""Collects the texts of conditions and exchanges and gives them codes and flags.

Decides the codes of a tape's dictionaries (in the order of the sorted texts, 0 is none) and what every
spelling of conditions lets a print move. Leaves the tables to `model/conditions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from scalpcli.adapters.import_conditions import detect_encoding
from scalpcli.adapters.import_layout import Role
from scalpcli.adapters.import_read import SourceFile
from scalpcli.adapters.import_rows import Coder
from scalpcli.adapters.import_survey import reading
from scalpcli.errors import DataError
from scalpcli.model.conditions import ConditionEncoding, flags_of_text, with_correction
from scalpcli.model.row import UNKNOWN_CONDITION

_CODES_MAX: Final = 32_767


@dataclass(frozen=True, slots=True)
class Codes:
    """Dictionaries of an import."""

    conditions: list[str]
    """Text of code 0 (none), 1, 2, and so on."""
    exchanges: list[str]
    encodings: dict[str, ConditionEncoding]
    """File of prints -> how it spells conditions."""
    flags: dict[Path, dict[str, int]]
    """File of prints -> conditions and correction -> row flags."""
    unknown_prints: int
    """Prints with a condition that no table knows."""

    def coder(self, file: Path | None) -> Coder:
        """What turns the texts of one file into codes; no file has no prints."""
        return Coder(self.flags.get(file, {}) if file else {}, _numbered(self.conditions), _numbered(self.exchanges))


def _numbered(texts: Sequence[str]) -> Mapping[str, int]:
    return {text: code for code, text in enumerate(texts) if text}


def code_texts(parts: Sequence[tuple[SourceFile, pl.LazyFrame]], told: Sequence[ConditionEncoding]) -> Codes:
    """Codes and flags of every text in the kept rows of the files.

    Args:
        parts: Files and their rows.
        told: Encodings the user named.

    Raises:
        DataError: more texts than a tape can number.
        UsageError: the spelling of conditions cannot be told.
    """
    conditions: set[str] = set()
    exchanges: set[str] = set()
    encodings: dict[str, ConditionEncoding] = {}
    flags: dict[Path, dict[str, int]] = {}
    unknown = 0
    for source, rows in parts:
        if source.role is Role.OPEN_INTEREST:
            continue
        if source.role not in (Role.TRADES, Role.OPTION_TRADES):
            exchanges |= _unique(source, rows, "bid_exchange") | _unique(source, rows, "ask_exchange")
            continue
        exchanges |= _unique(source, rows, "exchange")
        with reading(source):
            pairs = rows.group_by("raw_conditions", "raw_correction").len().collect(engine="streaming").rows()
        texts = {raw for raw, _, _ in pairs}
        is_option = source.role.is_option
        encoding = detect_encoding(texts, is_option=is_option, told=told, file=source.name)
        encodings[source.name] = encoding
        known = flags.setdefault(source.path, {})
        for raw, correction, count in pairs:
            decoded = with_correction(flags_of_text(raw, encoding), correction)
            known[f"{raw}\t{correction}"] = decoded
            unknown += count if decoded & UNKNOWN_CONDITION else 0
        conditions |= texts
    result = Codes(["", *sorted(conditions - {""})], ["", *sorted(exchanges - {""})], encodings, flags, unknown)
    for name, found in (("conditions", result.conditions), ("exchanges", result.exchanges)):
        if len(found) > _CODES_MAX:
            raise DataError(
                f"{len(found):,} different {name}, above the limit of a tape: {_CODES_MAX:,}",
                hint=f"the column is hardly one of {name}; name the right one with `--map`",
            )
    return result


def _unique(source: SourceFile, rows: pl.LazyFrame, field: str) -> set[str]:
    if not source.has(field):
        return set()
    column = f"raw_{field}"
    with reading(source):
        return set(rows.select(pl.col(column).unique()).collect(engine="streaming")[column].to_list())
