"""What `replay` may fail over: what cannot be meant, blessed decisions, requirements, something still held."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from scalpcli.errors import CheckFailed, DataError, NotFlat, UsageError
from scalpcli.model.session import ns_to_new_york
from scalpcli.report.require import parse_requirement
from scalpcli.runtime.replay import SessionResult
from scalpcli.runtime.run_folder import replace_file

CONTEXT_LINES = 2
SHOWN_CHARS_MAX = 60


def check_asked(check: Path | None, trace: Path | None, require: Sequence[str], *, update: bool) -> None:
    """Refuse flags that cannot be meant, before any work is done.

    Raises:
        UsageError: a requirement is none, `--update` stands alone, or a file's folder does not exist.
        DataError: there are no blessed decisions to check against.
    """
    for text in require:
        parse_requirement(text)
    if update and check is None:
        raise UsageError("`--update` says nothing alone", place="`--update`", hint="add --check FILE: where to bless")
    if check is not None and not update and not check.is_file():
        raise DataError(f"there are no blessed decisions at `{check}`", hint="bless these with --check FILE --update")
    for flag, path in (("--check", check), ("--trace", trace)):
        if path is not None and path.is_dir():
            raise UsageError(f"`{path}` is a folder", place=f"`{flag}`", hint="name a file in it")
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"there is no folder `{path.parent}`", place=f"`{flag}`", hint="make it first")


def check_days(first: str, last: str) -> tuple[str, str]:
    """First and last session asked for as ISO days; empty where not given.

    Raises:
        UsageError: one is no day, or the last comes before the first.
    """
    days = [_day(flag, text) for flag, text in (("--from", first), ("--to", last))]
    if all(days) and days[0] > days[1]:
        raise UsageError(f"`--to {days[1]}` comes before `--from {days[0]}`", hint="write the earlier day at --from")
    return days[0], days[1]


def _day(flag: str, text: str) -> str:
    try:
        return dt.date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise UsageError(f"`{flag} {text}` is not a day", hint="write YYYY-MM-DD, like 2026-11-20") from None


def check_blessed(path: Path, results: Sequence[SessionResult], *, update: bool) -> str:
    """Hold the decisions against a blessed file, or bless them.

    Returns:
        What was found, in words.

    Raises:
        DataError: the file holds something other than decisions.
        CheckFailed: the decisions differ; the first difference is shown with what came before it.
    """
    found = b"".join(result.decisions for result in results)
    lines = found.splitlines()
    if update:
        replace_file(path, lambda work: work.write_bytes(found))
        return f"blessed {len(lines)} decisions in {path}"
    blessed = path.read_bytes().splitlines()
    for number, (old, new) in enumerate(zip_longest(blessed, lines)):
        if old != new:
            place = f"`{path}`, line {number + 1}"
            _check_is_decision(old, place)
            raise CheckFailed(
                f"decision {number + 1} is not the blessed one",
                place=place,
                hint=told_difference(lines[max(0, number - CONTEXT_LINES) : number], old, new),
            )
    return f"{len(lines)} decisions equal the blessed ones in {path}"


def _check_is_decision(line: bytes | None, place: str) -> None:
    """Refuse a blessed line that no replay wrote: a file cut off, or another file."""
    try:
        record = {"ts_ns": 0, "kind": ""} if line is None else json.loads(line)
        is_decision = isinstance(record["ts_ns"], int) and isinstance(record["kind"], str)
    except (ValueError, KeyError, TypeError):
        is_decision = False
    if not is_decision:
        shown = (line or b"")[:SHOWN_CHARS_MAX].decode(errors="replace")
        raise DataError(
            f"this is not a decision: `{shown}`",
            place=place,
            hint="restore the file from version control, or bless again with --update",
        )


def told_difference(
    before: Sequence[bytes],
    old: bytes | None,
    new: bytes | None,
    *,
    names: tuple[str, str] = ("blessed", "now"),
    advice: str = "if the change is meant, bless it with --update; the first difference:",
) -> str:
    """What came before, the two records, and the fields in which they differ.

    Args:
        before: Lines that both have.
        old: The line that was wanted; nothing where none was.
        new: The line that came; nothing where none did.
        names: What to call the two.
        advice: What to do, above all else.
    """
    width = max(len("both"), *map(len, names))
    shown = [f"  {'both':{width}} {_words(line)}" for line in before]
    shown += [f"  {name:{width}} {_words(line)}" for name, line in zip(names, (old, new), strict=True)]
    if old is not None and new is not None:
        was, now = json.loads(old), json.loads(new)
        keys = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        shown += [f"  {name}: {was.get(name)} -> {now.get(name)}" for name in keys]
    return "\n".join([advice, *shown])


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
