"""What a live run says about itself: `live.json` and its journal, read without any other source.

Decides how settings are restored from a run and what a cut-off journal still tells. `live.json` holds `mode`,
`symbol`, `session`, `config` (sections of settings), `blackouts`, `config_digest`, `code_version` and `finished_ns`: up
to when rows were folded before the engine wrote its sums, 0 while the session is not finished.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli import __version__
from scalpcli.errors import DataError
from scalpcli.model.params import Blackout, Params
from scalpcli.model.session import Session, session_of

FACTS_FILE: Final = "live.json"
JOURNAL_FILE: Final = "decisions.jsonl"
MODES: Final = ("shadow", "paper", "live")


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What a live run was played with.

    Attributes:
        mode: `shadow`, `paper` or `live`.
        symbol: The underlying.
        session: Its session.
        params: All settings, as the run had them.
        blackouts: Dated windows without entries, as the run had them.
        latencies_digest: Digest of the latencies its settings name, empty where none.
        config_digest: Digest of settings and blackouts, as the run states it.
        code_version: Version that wrote the run; empty where it does not say.
        finished_ns: Up to when it folded rows before it wrote its sums; nothing where the session was not finished.
    """

    mode: str
    symbol: str
    session: Session
    params: Params
    blackouts: tuple[Blackout, ...]
    latencies_digest: str
    config_digest: str
    code_version: str
    finished_ns: int | None


@dataclass(frozen=True, slots=True)
class RunJournal:
    """The decisions a live run wrote down.

    Attributes:
        path: The file.
        lines: Whole lines, each with its end.
        torn: Bytes of a last line that its process did not finish.
    """

    path: Path
    lines: tuple[bytes, ...]
    torn: bytes

    @property
    def digest(self) -> str:
        """sha256 of the whole lines."""
        return hashlib.sha256(b"".join(self.lines)).hexdigest()

    @property
    def last_ns(self) -> int:
        """Engine time of the last whole line; 0 where there is none."""
        return int(json.loads(self.lines[-1])["ts_ns"]) if self.lines else 0


def read_facts(folder: Path) -> LiveFacts:
    """What a run says it was played with.

    Raises:
        DataError: the folder is no live run, or says something else than a live run does.
    """
    path = folder / FACTS_FILE
    place = f"`{path}`"
    if not path.is_file():
        raise DataError(
            f"`{folder}` is no live run: it has no `{FACTS_FILE}`",
            hint="name the folder of one mode, symbol and day, like live/paper/TSLA/2026-11-20",
        )
    try:
        plain = json.loads(path.read_bytes())
        facts = LiveFacts(
            mode=str(plain["mode"]),
            symbol=str(plain["symbol"]),
            session=session_of(dt.date.fromisoformat(plain["session"])),
            params=params_of(plain["config"], place),
            blackouts=tuple(Blackout(**each) for each in plain["blackouts"]),
            latencies_digest=str(plain.get("latencies_digest", "")),
            config_digest=str(plain["config_digest"]),
            code_version=str(plain.get("code_version", "")),
            finished_ns=int(plain.get("finished_ns") or 0) or None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"`{FACTS_FILE}` does not say what a live run does: {said}", place=place, hint=_COPY) from None
    if facts.mode not in MODES:
        raise DataError(f"`mode` is `{facts.mode}`, not one of {', '.join(MODES)}", place=place, hint=_COPY)
    return facts


def read_journal(folder: Path) -> RunJournal:
    """The decisions of a run.

    Raises:
        DataError: there are none, or a whole line is no decision.
    """
    path = folder / JOURNAL_FILE
    try:
        parts = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise DataError(
            f"the run's decisions cannot be read: {error.strerror}", place=f"`{path}`", hint=_COPY
        ) from None
    torn = parts.pop() if parts and not parts[-1].endswith(b"\n") else b""
    if not parts:
        raise DataError("the run decided nothing", place=f"`{path}`", hint="there is nothing to hold a replay against")
    return RunJournal(path, tuple(parts), torn)


_COPY: Final = "restore the run's folder from a copy"


def params_of(plain: dict[str, dict[str, Any]], place: str) -> Params:
    """Settings from their sections, as a run's `config` has them.

    Args:
        plain: Section -> name -> value.
        place: Where they stand, for messages.

    Raises:
        DataError: a section or a name is unknown: a newer version wrote it.
    """
    defaults = Params()
    sections: dict[str, Any] = {}
    for section, values in plain.items():
        base = getattr(defaults, section, None)
        names = {field.name for field in dataclasses.fields(base)} if base is not None else set()
        unknown = [name for name in values if name not in names]
        if base is None or unknown:
            key = f"{section}.{unknown[0]}" if base is not None else section
            raise DataError(
                f"the setting `{key}` is unknown here",
                place=place,
                hint=f"read the run with the version that wrote it; this is {__version__}",
            )
        # JSON has lists where settings have tuples.
        sections[section] = dataclasses.replace(
            base, **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        )
    return dataclasses.replace(defaults, **sections)
