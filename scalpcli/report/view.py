"""One answer of `report`: tables for people and rows for programs, from the same values.

Decides nothing about values; every view of the report is made of these, so that each prints in every format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scalpcli.report.section import Section


@dataclass(frozen=True, slots=True)
class View:
    """One answer.

    Args:
        name: Key of its rows in JSON.
        sections: Tables for a terminal or Markdown.
        rows: Values for JSON lines, CSV and Parquet; JSON has them under `name`.
        more: What JSON has beside the rows.
        heading: First line.
    """

    name: str
    sections: Sequence[Section]
    rows: Sequence[Mapping[str, Any]]
    more: Mapping[str, Any] = field(default_factory=dict)
    heading: str = ""
