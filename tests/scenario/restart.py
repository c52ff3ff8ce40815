"""A process that is killed and folds its own rows again."""

from __future__ import annotations

from typing import Any

from tests.scenario.world import Played, Script, perform


def restarted(script: Script, at: str, *, until: str = "10:32", **options: Any) -> Played:
    """Play a script up to `at`, forget everything, and fold the same rows anew as a restarted process does.

    Its lines up to there must be the very lines that were written before, and so must everything gates ask about.

    Args:
        script: Its rows.
        at: When the process is killed.
        until: Where the play stops.
        options: As `perform`.
    """
    before = perform(script, until=at, **options)
    anew = perform(script, until=at, batch_rows=7, **options)
    assert anew.journal.lines == before.journal.lines
    assert anew.engine.tally == before.engine.tally
    after = perform(script, until=until, **options)
    assert after.journal.lines[: len(before.journal.lines) - 1] == before.journal.lines[:-1]
    return after
