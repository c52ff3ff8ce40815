"""One recorder per feed and symbol: a lock file, and beside it who holds it.

Decides who may write the tapes of a symbol. The lock is the operating system's, so it is free the moment its
owner dies, however it dies; that its file exists says nothing. Who owns it, and where its tap listens, stands in a
file beside it, which is only believed while the lock is held.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from scalpcli.errors import DataError

_OWNER_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lock.

    Attributes:
        pid: Its process; 0 = it did not say.
        tap: Its tap's socket; empty = it has none.
    """

    pid: int = 0
    tap: str = ""


class Busy(Exception):
    """Another process holds the lock: no failure, the work is being done.

    Args:
        owner: Who.
        symbol: The symbol it records.
        feed: The feed it records from.
    """

    def __init__(self, owner: Owner, symbol: str, feed: str) -> None:
        who = f"process {owner.pid}" if owner.pid else "another process"
        super().__init__(f"{symbol} is being recorded from {feed} already, by {who}: nothing to do")
        self.owner = owner


class RecorderLock:
    """The right to record one symbol from one feed into one folder; a context that gives it back.

    Args:
        folder: `ROOT/SYMBOL`; made when missing.
        symbol: The underlying.
        feed: The stock feed.

    Raises:
        Busy: on entering: another process has it.
        DataError: on entering: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, symbol: str, feed: str) -> None:
        self._folder = folder
        self._symbol = symbol
        self._feed = feed
        self._lock = FileLock(_lock_path(folder, feed), mode=0o600)
        self.previous = Owner()
        """Who held it before and did not give it back: it was killed."""

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise Busy(read_owner(self._folder, self._feed), self._symbol, self._feed) from None
        except OSError as error:
            raise DataError(
                f"the folder of tapes cannot be written: {(error.strerror or str(error)).lower()}",
                place=f"`{self._folder}`",
                hint="name a folder that may be written with `--out`",
            ) from None
        self.previous = read_owner(self._folder, self._feed)
        self.tell(Owner(os.getpid()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _owner_path(self._folder, self._feed).unlink(missing_ok=True)
        self._lock.release()

    def tell(self, owner: Owner) -> None:
        """Write down who holds the lock, readable by its user alone."""
        path = _owner_path(self._folder, self._feed)
        fresh = path.with_name(f"{path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(owner), file)
        # Renamed into place: whoever reads sees the old words or the new ones.
        fresh.replace(path)


def is_held(folder: Path, feed: str) -> bool:
    """Whether a recorder is at work there now."""
    path = _lock_path(folder, feed)
    if not path.exists():
        return False
    probe = FileLock(path, mode=0o600)
    try:
        probe.acquire(blocking=False)
    except Timeout:
        return True
    probe.release()
    return False


def read_owner(folder: Path, feed: str) -> Owner:
    """What the holder of a lock says of itself; an owner without a process where it says nothing readable."""
    try:
        with _owner_path(folder, feed).open("rb") as file:
            value = json.loads(file.read(_OWNER_BYTES_MAX))
        return Owner(int(value["pid"]), str(value["tap"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Owner()


def _lock_path(folder: Path, feed: str) -> Path:
    return folder / f".{feed}.lock"


def _owner_path(folder: Path, feed: str) -> Path:
    return folder / f".{feed}.owner"
