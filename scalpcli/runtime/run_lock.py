"""One process may send orders for a run: a lock in the run's folder, and beside it who holds it.

Decides who may trade one mode, symbol and day: the engine, or the guard after it has ended the engine. The lock is
the operating system's, so it is free the moment its owner dies. Who the engine is and where it can be asked stands
in `owner.json`: it outlives a killed engine, so that the guard knows whom it ended, and goes with one that ends
in order.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from scalpcli.errors import DataError, UsageError
from scalpcli.runtime.process_identity import ProcessIdentity, identity_of

LOCK_FILE: Final = ".lock"
OWNER_FILE: Final = "owner.json"
_OWNER_BYTES_MAX: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class RunOwner:
    """Who trades a run.

    Attributes:
        pid: Its process; 0 = it did not say.
        started: When that process started, in the system's words (`process_identity.py`).
        control: Its control socket; empty = none yet.
        guard_pid: Process of its guard; 0 = none.
    """

    pid: int = 0
    started: str = ""
    control: str = ""
    guard_pid: int = 0

    @property
    def process(self) -> ProcessIdentity | None:
        """The process, to be told from a later one of its id; none where it did not say."""
        return ProcessIdentity(self.pid, self.started) if self.pid and self.started else None


class RunLock:
    """The right to send orders for one run.

    Args:
        folder: `OUT/MODE/SYMBOL/DATE`; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The process has it, whichever thread took it.
        self._lock = FileLock(folder / LOCK_FILE, mode=0o600, thread_local=False)
        self.previous = RunOwner()
        """Who traded before and did not end in order."""

    def try_acquire(self) -> bool:
        """Take the lock where it is free; whether it is ours now. Nothing is written: a guard takes it like that.

        Raises:
            DataError: the folder cannot be made or written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            raise DataError(
                f"the run's folder cannot be written: {(error.strerror or str(error)).lower()}",
                place=f"`{self._folder}`",
                hint="name a folder that may be written with `--out`",
            ) from None
        self.previous = read_run_owner(self._folder)
        return True

    def acquire(self) -> None:
        """Take the lock for an engine, and say who it is.

        Raises:
            UsageError: another process holds it.
            DataError: the folder cannot be made or written.
        """
        if not self.try_acquire():
            owner = read_run_owner(self._folder)
            who = f"process {owner.pid}" if owner.pid else "another process"
            raise UsageError(
                f"{who} trades this already",
                place=f"`{self._folder}`",
                hint="`scalpcli live status` shows it; `scalpcli live flatten` and `scalpcli live stop` command it",
            )
        self.tell(this_process())

    def tell(self, owner: RunOwner) -> None:
        """Write down who holds the lock, readable by its user alone."""
        path = self._folder / OWNER_FILE
        fresh = path.with_name(f".{OWNER_FILE}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(owner), file)
        # Renamed into place: whoever reads sees the old words or the new ones.
        fresh.replace(path)

    def release(self, *, is_ended: bool = False) -> None:
        """Give the lock back; with `is_ended` also take away who held it: an engine that ended in order."""
        if is_ended and self._lock.is_locked:
            (self._folder / OWNER_FILE).unlink(missing_ok=True)
        self._lock.release()


def only_one(path: Path) -> FileLock | None:
    """The lock of a file where nobody else has it, until it is released or this process ends; none otherwise."""
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def this_process() -> RunOwner:
    """This process as an owner."""
    process = identity_of(os.getpid())
    return RunOwner(os.getpid(), process.started if process else "")


def is_run_held(folder: Path) -> bool:
    """Whether somebody may send orders for a run now: its engine, or its guard."""
    if not (folder / LOCK_FILE).exists():
        return False
    probe = FileLock(folder / LOCK_FILE, mode=0o600)
    try:
        probe.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:
        # Another user's folder: whoever may not write it cannot know.
        return False
    probe.release()
    return False


def read_run_owner(folder: Path) -> RunOwner:
    """Who says that it trades a run; one without a process where nobody says anything readable."""
    try:
        with (folder / OWNER_FILE).open("rb") as file:
            value = json.loads(file.read(_OWNER_BYTES_MAX))
        texts = {name: str(value.get(name, "")) for name in ("started", "control")}
        return RunOwner(pid=int(value["pid"]), guard_pid=int(value.get("guard_pid", 0)), **texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RunOwner()
