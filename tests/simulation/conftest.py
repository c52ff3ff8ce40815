"""Tells at the end of a run what the simulated schedules of all its workers held."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

WORLD = "world"
"""Name of the property in which a test says what its schedules held."""
FOUND = "planted"
"""Name of the property in which a test says after how many schedules a planted fault was found."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    total: Counter[str] = Counter()
    found: list[str] = []
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == WORLD:
                total.update(_counts(value))
            elif name == FOUND:
                found.append(str(value))
    if not total and not found:
        return
    terminalreporter.section("simulated world")
    for kind, count in sorted(total.items(), key=lambda each: (each[0][0] != " ", each[0])):
        terminalreporter.line(f"{count:9d} {kind.strip()}")
    for words in sorted(found):
        terminalreporter.line(words)


def _counts(value: Any) -> dict[str, int]:
    return {str(kind): int(count) for kind, count in dict(value).items()}
