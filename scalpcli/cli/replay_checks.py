"""What `replay` may fail over: blessed decisions, requirements, something still held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from scalpcli.errors import CheckFailed, DataError, NotFlat
from scalpcli.model.session import ns_to_new_york
from scalpcli.runtime.replay import SessionResult

CONTEXT_LINES = 2


def check_blessed(path: Path, results: Sequence[SessionResult], *, update: bool) -> str:
    """Hold the decisions against a blessed file, or bless them.

    Returns:
        What was found, in words.

    Raises:
        DataError: there is no such file.
        CheckFailed: the decisions differ; the first difference is shown with what came before it.
    """
    found = b"".join(result.decisions for result in results)
    lines = found.splitlines()
    if update:
        path.write_bytes(found)
        return f"blessed {len(lines)} decisions in {path}"
    if not path.is_file():
        raise DataError(f"there are no blessed decisions at `{path}`", hint="bless these with --check FILE --update")
    blessed = path.read_bytes().splitlines()
    for number, (old, new) in enumerate(zip_longest(blessed, lines)):
        if old != new:
            raise CheckFailed(
                f"decision {number + 1} is not the blessed one",
                place=f"`{path}`, line {number + 1}",
                hint=_difference(lines[max(0, number - CONTEXT_LINES) : number], old, new),
            )
    return f"{len(lines)} decisions equal the blessed ones in {path}"


def _difference(before: Sequence[bytes], old: bytes | None, new: bytes | None) -> str:
    """What came before, the two records, and the fields in which they differ."""
    shown = [f"  both    {_words(line)}" for line in before]
    shown += [f"  blessed {_words(old)}", f"  now     {_words(new)}"]
    if old is not None and new is not None:
        was, now = json.loads(old), json.loads(new)
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        shown += [f"  {name}: {was.get(name)} -> {now.get(name)}" for name in names]
    return "\n".join(["if the change is meant, bless it with --update; the first difference:", *shown])


def _words(line: bytes | None) -> str:
    if line is None:
        return "nothing"
    record = json.loads(line)
    names = ("trigger", "side", "gate", "symbol", "option_symbol", "order_id", "reason", "quantity")
    about = " ".join(str(record[name]) for name in names if record.get(name) not in (None, ""))
    return f"{ns_to_new_york(record['ts_ns'])} {record['kind']} {about}".rstrip()


def check_requirements_of(run_dir: Path, require: Sequence[str]) -> None:
    """Hold a run's figures against `--require`.

    Raises:
        CheckFailed: one falls short.
    """
    from scalpcli.report.load import load
    from scalpcli.report.require import enforce
    from scalpcli.report.summary import figures

    enforce(figures(load([run_dir])), require, place=f"`{run_dir}`")


def check_flat(results: Sequence[SessionResult]) -> None:
    """Refuse a session that ended with something held.

    Raises:
        NotFlat: naming the session.
    """
    for result in results:
        if not result.ends["flat"]:
            raise NotFlat(
                f"{result.symbol} {result.session} ended with contracts still held",
                hint="the journal's last orders say why; exits.flatten_before_close_minutes gives them more time",
            )
