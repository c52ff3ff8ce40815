"""Which process a number means: a process id alone may have been given away since.

Decides how a process is told from a later one of the same id, and ends one that is meant for certain.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc/self/stat")
_STATE, _STARTED = 0, 19
"""Fields of `/proc/PID/stat` after the name in parentheses, which may itself hold spaces (proc(5), fields 3 and 22)."""
_ASK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that ran once.

    Attributes:
        pid: Its id.
        started: When it started, in the system's words: clock ticks since boot, or a date.
    """

    pid: int
    started: str


def identity_of(pid: int) -> ProcessIdentity | None:
    """The process that runs under an id now; none where none does, or only its remains."""
    fields = _fields(pid) if _PROC.exists() else _fields_by_ps(pid)
    if not fields or fields[0] in ("Z", "X"):
        return None
    return ProcessIdentity(pid, fields[1])


def is_running(process: ProcessIdentity) -> bool:
    """Whether this very process still runs, stopped ones included."""
    return identity_of(process.pid) == process


def kill(process: ProcessIdentity) -> None:
    """End this very process at once, stopped or not; one that is gone, or whose id is another's now, is left alone.

    Raises:
        PermissionError: it is another user's.
    """
    if is_running(process):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It ended by itself between the look and the signal.
            return


def _fields(pid: int) -> tuple[str, str] | None:
    """State and start of a process, as Linux tells them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[_STATE], fields[_STARTED]


def _fields_by_ps(pid: int) -> tuple[str, str] | None:
    """The same where there is no `/proc`."""
    try:
        told = subprocess.run(  # noqa: S603 - a number is all that is told to it
            ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
            capture_output=True, text=True, timeout=_ASK_S, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    state, _, started = told.strip().partition(" ")
    return (state[:1], started.strip()) if started else None
