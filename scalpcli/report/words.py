"""A trader's own words about trades: tags and notes, kept beside a run and never inside its journal.

Decides the layout of `words.jsonl` in the run's folder: one line a remark, the newest last. The journal, and so
every digest, stays as it was written.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError, UsageError
from scalpcli.report.load import Results

WORDS_FILE: Final = "words.jsonl"
_TAG: Final = re.compile(r"^[\w][\w.+:-]{0,39}$")
_NOTE_CHARS_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Words:
    """What was said about one trade: tags in the order they were given, notes likewise."""

    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_words(folder: Path) -> dict[int, Words]:
    """Words by trade, whose number is its position in the run, from 1.

    Raises:
        DataError: A line is none of ours.
    """
    path = folder / WORDS_FILE
    found: dict[int, Words] = {}
    if not path.exists():
        return found
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry: dict[str, Any] = json.loads(text)
            trade, tags, note = int(entry["trade"]), [str(tag) for tag in entry["tags"]], str(entry["note"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(
                "this line holds no tag and no note",
                place=f"`{path}`, line {line}",
                hint="`scalpcli report tag` and `scalpcli report note` write them; delete the line",
            ) from None
        known = found.get(trade, Words())
        removed = {tag[1:] for tag in tags if tag.startswith("-")}
        added = [tag for tag in tags if not tag.startswith("-")]
        kept = tuple(dict.fromkeys([*(tag for tag in known.tags if tag not in removed), *added]))
        found[trade] = Words(kept, (*known.notes, note) if note else known.notes)
    return found


def add_words(folder: Path, trades: int, trade: str, words: Sequence[str], *, as_note: bool, now: dt.datetime) -> Words:
    """Append tags, or one note, to a trade.

    Args:
        folder: The run's folder.
        trades: Trades of the run.
        trade: Number of the trade in it, from 1, as the user wrote it.
        words: Tags (`-word` takes one away), or the words of the note.
        as_note: Whether they are a note.
        now: When it was said.

    Returns:
        All that is now said about the trade.

    Raises:
        UsageError: The trade does not exist, or there is no word.
        DataError: The file cannot be written.
    """
    number = trade_number(trade, trades)
    text = " ".join(words).strip()
    if not text or len(text) > _NOTE_CHARS_MAX:
        found = f"the {'note' if as_note else 'list of tags'} has {len(text)} characters, the limit is 1 to"
        raise UsageError(f"{found} {_NOTE_CHARS_MAX}", hint="scalpcli report note RUN TRADE WORD…")
    wrong = [] if as_note else [word for word in words if not _TAG.match(word.removeprefix("-"))]
    if wrong:
        raise UsageError(
            f"`{wrong[0]:.60}` is no tag", hint="a tag is one word of letters, digits and . + : - _, up to 40 of them"
        )
    entry = {
        "trade": number,
        "tags": [] if as_note else list(words),
        "note": text if as_note else "",
        "at": now.isoformat(timespec="seconds"),
    }
    path = folder / WORDS_FILE
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"the words cannot be written: {error.strerror}", place=f"`{path}`") from None
    return read_words(folder)[number]


def trade_number(text: str, trades: int) -> int:
    """A trade's number as a user writes it, from 1 to `trades`.

    Raises:
        UsageError: It is none.
    """
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= trades:
        raise UsageError(
            f"the run has no trade `{text:.40}`; it has {trades:,}",
            hint="`scalpcli report RUN --trades` lists them by their number, from 1",
        )
    return number


def all_tags(results: Results) -> dict[tuple[int, int], tuple[str, ...]]:
    """Tags by run and number of the trade in it."""
    return {
        (position, trade): words.tags
        for position, run in enumerate(results.runs)
        for trade, words in read_words(run.path).items()
    }
