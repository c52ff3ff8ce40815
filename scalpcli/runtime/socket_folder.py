"""Folders for Unix sockets that only their user may enter.

Decides where they are made and how a killed process's leftovers are told from anything else. A socket's own mode is
not honoured everywhere, so the folder's 0700 keeps others out and the socket's 0600 repeats it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

RUNTIME_VARIABLE: Final = "XDG_RUNTIME_DIR"
_PREFIX: Final = "scalpcli-"


def runtime_folder() -> str:
    """The user's folder for sockets, or the one for temporary files: a folder of our own is made in it."""
    folder = os.environ.get(RUNTIME_VARIABLE, "")
    return folder if folder and os.access(folder, os.W_OK) else tempfile.gettempdir()


def make_folder(kind: str) -> Path:
    """A new folder of mode 0700 for the socket of a `kind`, like `tap`.

    Raises:
        OSError: it cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-", dir=runtime_folder()))


def protect(path: Path) -> None:
    """Let a socket's owner alone connect to it.

    Raises:
        OSError: its mode cannot be set.
    """
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def remove_leftover(path: str, kind: str) -> None:
    """Remove the socket that a killed process left, and its folder; any other path is left alone."""
    folder = Path(path).parent
    if folder.name.startswith(f"{_PREFIX}{kind}-"):
        shutil.rmtree(folder, ignore_errors=True)
