"""What `report` tells of live runs beyond their journals: the proof of their decisions, and measured latencies.

Decides when a run is folded again: once, for what was found is kept in its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalpcli.cli.output import say
from scalpcli.errors import DataError, ScalpcliError, UsageError

if TYPE_CHECKING:
    from scalpcli.report.load import Results
    from scalpcli.report.runs import Run
    from scalpcli.report.view import View


def prove_all(results: Results, *, quiet: bool) -> None:
    """Prove the live runs among these that were not proven before; those that cannot be are told."""
    from scalpcli.report.against_view import kept
    from scalpcli.runtime.against_facts import FACTS_FILE

    for run in results.runs:
        is_known = kept(run.path, run.manifest.get("decisions_digest", "")) is not None
        if run.is_live and not is_known and (run.path / FACTS_FILE).is_file():
            try:
                _compared(run, quiet=quiet)
            except ScalpcliError as error:
                say(f"{run.name} cannot be held against its tape: {error.found}", quiet=quiet)


def live_view(results: Results, *, quiet: bool) -> View:
    """The answer to `--parity` with one run: live against the simulated broker on the run's own rows.

    Raises:
        UsageError: it is no live run, or several are meant.
        CheckFailed: its decisions do not come out of its tape.
        DataError: its tape or its settings cannot be read.
    """
    if len(results.runs) != 1 or not results.runs[0].is_live:
        raise UsageError(
            f"{len(results.runs)} runs are meant, and none is named to hold them against"
            if len(results.runs) != 1
            else "a replay has nothing to be held against",
            place="`--parity`",
            hint="name one live run, or two runs: scalpcli report --parity RUN_A RUN_B",
        )
    return _compared(results.runs[0], quiet=quiet, must=True)


def _compared(run: Run, *, quiet: bool, must: bool = False) -> View:
    from scalpcli.cli.replay_against import check_equal, compared
    from scalpcli.runtime.against import prove
    from scalpcli.runtime.compiler import load_kernel

    hot = load_kernel(lambda text: say(text, quiet=quiet))
    proof = prove(run.path, hot)
    view = compared(proof, hot)
    if must:
        check_equal(proof)
    return view


def write_measured(results: Results, path: Path, *, quiet: bool) -> None:
    """Write the latencies of runs' orders as a replay takes them.

    Raises:
        DataError: no order was answered, or the file cannot be written.
    """
    from scalpcli.report.latencies import measure, write_latencies

    found = measure(_lines(results.runs))
    try:
        write_latencies(path, found)
    except OSError as error:
        raise DataError(
            f"the file cannot be written: {(error.strerror or str(error)).lower()}", place=f"`{path}`"
        ) from None
    say(f"{found.words}; in {path}", quiet=quiet)


def _lines(runs: Sequence[Run]) -> list[bytes]:
    from scalpcli.report.runs import JOURNAL_FILE

    return [line for run in runs for line in (run.path / JOURNAL_FILE).read_bytes().splitlines()]
