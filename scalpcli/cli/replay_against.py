"""`scalpcli replay --against RUN`: the proof that a live run decided what its rows make the engine decide.

Decides how the proof and the split of the difference in result are told; both are made in `runtime/against.py` and
`report/against.py`. What was found is kept in the run's folder, so that `report` need not replay it again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scalpcli.cli.options import Format
from scalpcli.errors import CheckFailed, UsageError
from scalpcli.model.session import ns_to_new_york

if TYPE_CHECKING:
    from scalpcli.core.market_state import Kernel
    from scalpcli.report.section import Section
    from scalpcli.report.view import View
    from scalpcli.runtime.against import Difference, Played, Proof

_OWN: Final = frozenset({"against", "form", "json", "quiet", "verbose"})
"""What may stand beside `--against`: all else comes from the run."""


def check_alone(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse whatever else a replay takes: the run says what it was played with.

    Raises:
        UsageError: naming the first.
    """
    given = [name for name, value in params.items() if name not in _OWN and value and value != defaults.get(name)]
    if given:
        words = "a tape" if given[0] == "tapes" else f"`--{given[0].replace('_', '-')}`"
        raise UsageError(
            f"{words} is given beside `--against`",
            hint="tape, settings and blackouts are taken from the run: scalpcli replay --against RUN",
        )


def prove_run(folder: Path, form: Format, *, quiet: bool) -> None:
    """Prove a live run and split its difference to the simulated broker; print both.

    Raises:
        DataError: the folder is no live run, or its tape cannot be read.
        CheckFailed: a decision came out otherwise.
    """
    from scalpcli.cli.output import emit_object, say
    from scalpcli.cli.report_print import ReportFormat, print_view
    from scalpcli.runtime.against import prove
    from scalpcli.runtime.compiler import load_kernel

    hot = load_kernel(lambda text: say(text, quiet=quiet))
    proof = prove(folder, hot)
    view = compared(proof, hot)
    if proof.difference is not None and form is Format.JSON:
        emit_object(view.more, form)
    check_equal(proof)
    print_view(view, ReportFormat(form.value), (), None, quiet=quiet)
    say(f"{proof_words(proof)}, in {folder}", quiet=quiet)


def check_equal(proof: Proof) -> None:
    """Fail unless every decision came out as the run wrote it.

    Raises:
        CheckFailed: the first difference is shown with what came before it.
    """
    from scalpcli.cli.replay_checks import told_difference

    found = proof.difference
    if found is None:
        return
    doubts = "".join(f"{notice}; " for notice in notices_of(proof))
    raise CheckFailed(
        f"decision {found.number} of the live run did not come out of its tape",
        place=f"`{proof.journal.path}`, line {found.number}",
        hint=told_difference(
            found.before, found.expected, found.found, names=("live", "replay"), advice=f"{doubts}the first difference:"
        ),
    )


def compared(proof: Proof, hot: Kernel) -> View:
    """The view of a proven run: the proof, the parts of the difference in result, and every trade's share.

    It is kept in the run's folder as well, where that can be written to. Of a run that is not proven only that is told.
    """
    from scalpcli.report.against import split
    from scalpcli.report.against_view import (
        keep,
        missed_section,
        result_object,
        result_section,
        trade_rows,
        trades_section,
    )
    from scalpcli.report.view import View
    from scalpcli.runtime.against import simulate

    if proof.difference is not None:
        # What did not decide alike cannot be compared.
        more: dict[str, Any] = {"notices": notices_of(proof), "proof": proof_object(proof)}
        with contextlib.suppress(OSError):
            keep(proof.folder, proof.journal.digest, more)
        return View("trades", [proof_section(proof)], [], more)
    simulated, doubts = simulate(proof, hot)
    numbers = {each.symbol: each.instrument_id for each in proof.tape.instruments}
    found = split(
        _book(proof.played),
        _book(simulated),
        lambda symbol, market_ns: proof.quotes.at(numbers[symbol], market_ns),
    )
    rows, result = trade_rows(found), result_object(found)
    more = {"notices": [*notices_of(proof), *doubts], "proof": proof_object(proof), "result": result}
    with contextlib.suppress(OSError):
        keep(proof.folder, proof.journal.digest, more | {"trades": rows})
    lists = [each for each in (trades_section(rows), missed_section(rows)) if each.rows]
    sections = [proof_section(proof), result_section(result), *lists]
    return View("trades", sections, rows, more, f"{proof.facts.mode.upper()} run {proof.folder}")


def _book(played: Played) -> Any:
    from scalpcli.report.against import Book
    from scalpcli.report.events import SessionEvents, session_events

    events = next(session_events(played.lines, "the decisions that came out"), SessionEvents())
    return Book(events, played.gross_e4, played.fees_e4)


# --- what is told ------------------------------------------------------------------------------------------------


def notices_of(proof: Proof) -> list[str]:
    """What a reader must know about a proof."""
    found = [*proof.doubts, *(f"the tape is damaged: {each}" for each in proof.tape.damage)]
    if proof.journal.torn:
        found.append(f"the journal's last line is cut off after {len(proof.journal.torn)} bytes; it is left out")
    if not proof.is_whole:
        found.append("the session was not finished: the journal is the beginning of what its rows decide")
    return found


def proof_words(proof: Proof) -> str:
    """The proof in one line."""
    count = len(proof.journal.lines)
    if proof.difference is not None:
        return f"decision {proof.difference.number} of {count} differs"
    if not proof.is_whole:
        return f"{count:,} decisions equal, byte for byte, up to where the run stopped"
    return f"all {count:,} decisions equal, byte for byte"


def proof_object(proof: Proof) -> dict[str, Any]:
    """The proof for programs."""
    found: Difference | None = proof.difference
    return {
        "equal": found is None,
        "mode": proof.facts.mode,
        "symbol": proof.facts.symbol,
        "session": proof.facts.session.date.isoformat(),
        "decisions": len(proof.journal.lines),
        "finished": proof.is_whole,
        "unwritten": proof.unwritten,
        "torn_bytes": len(proof.journal.torn),
        "rows": proof.tape.rows,
        "sealed": proof.tape.is_sealed,
        "processes": proof.tape.processes,
        "code_version": proof.facts.code_version,
        "difference": None
        if found is None
        else {
            "line": found.number,
            "expected": None if found.expected is None else json.loads(found.expected),
            "found": None if found.found is None else json.loads(found.found),
            "fields": [{"field": name, "expected": was, "found": now} for name, was, now in found.fields],
        },
    }


def proof_section(proof: Proof) -> Section:
    """The proof as a table."""
    from scalpcli.report.section import Head, table

    finished_ns = proof.facts.finished_ns
    rows = [
        ("decisions", proof_words(proof)),
        ("rows", f"{proof.tape.rows:,}, {'tape' if proof.tape.is_sealed else 'recording that was not sealed'}"),
        ("processes", str(proof.tape.processes)),
        ("end", "not finished" if finished_ns is None else f"finished at {ns_to_new_york(finished_ns)[:8]}"),
    ]
    if proof.unwritten:
        rows.append(("unwritten", f"{proof.unwritten} decisions after the last line on disk"))
    heads = (Head("what", "", right=False), Head("found", "", right=False))
    return table("Proof", heads, [{"what": what, "found": found} for what, found in rows])
