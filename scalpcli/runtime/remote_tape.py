"""Tapes that lie elsewhere: an object store or any place fsspec reads, like `s3://bucket/tapes`.

A tape's bytes are held against its manifest's sha256, so a remote tape is copied whole to a folder of this machine,
once for each digest of its rows, and read from there. Leaves keys and endpoints to fsspec and its drivers.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError, UpstreamUnavailable, UsageError
from scalpcli.runtime.compiler import cache_folder
from scalpcli.runtime.manifest import MANIFEST_FILE
from scalpcli.runtime.tape import find_tapes, read_manifest

_MARK: Final = "://"


def is_remote(place: str) -> bool:
    """Whether a place is an address and not a folder."""
    return _MARK in place


def tapes_below(address: str) -> list[str]:
    """Addresses of the tape at a remote place, or of every tape below it, in order.

    Raises:
        DataError: there is none.
        UpstreamUnavailable: the place cannot be read.
        UsageError: fsspec, or its driver for such addresses, is not installed.
    """
    files, root = _files(address)
    scheme = address.split(_MARK, 1)[0]
    try:
        found = files.glob(f"{root}/{MANIFEST_FILE}") or files.glob(f"{root}/**/{MANIFEST_FILE}")
    except Exception as error:
        raise _unreadable(address, error) from error
    if not found:
        hint = f"a tape is a folder with `{MANIFEST_FILE}`"
        raise DataError(f"there is no tape in `{address}`", place=f"`{address}`", hint=hint)
    return sorted(f"{scheme}{_MARK}{name.removesuffix(f'/{MANIFEST_FILE}')}" for name in found)


def local_tape(place: str) -> Path:
    """The folder of a tape on this machine; a remote one is copied first, where it was not.

    Raises:
        DataError: there is none.
        UpstreamUnavailable: it cannot be read.
        UsageError: as `tapes_below`.
    """
    if not is_remote(place):
        return Path(place)
    files, root = _files(place)
    try:
        manifest = files.cat_file(f"{root}/{MANIFEST_FILE}")
    except FileNotFoundError:
        hint = f"a tape is a folder with `{MANIFEST_FILE}`"
        raise DataError(f"there is no tape in `{place}`", place=f"`{place}`", hint=hint) from None
    except Exception as error:
        raise _unreadable(place, error) from error
    store = (cache_folder() or Path(tempfile.gettempdir()) / "scalpcli") / "tapes"
    folder = store / hashlib.sha256(manifest).hexdigest()[:32]
    if not (folder / MANIFEST_FILE).is_file():
        _copy(files, root, place, folder)
    read_manifest(folder)
    return folder


def _copy(files: Any, root: str, place: str, folder: Path) -> None:
    """Copy a tape to a hidden folder that then takes its name, so that nobody reads half of it."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".tape-", dir=folder.parent) as work:
        copy = Path(work) / "tape"
        copy.mkdir()
        try:
            for name in files.ls(root, detail=False):
                if files.isfile(name):
                    files.get_file(name, str(copy / name.rsplit("/", 1)[-1]))
        except Exception as error:
            raise _unreadable(place, error) from error
        try:
            copy.rename(folder)
        except OSError:
            # Another process was faster; the digest says that it copied the same.
            if not find_tapes(folder):
                raise


def _files(address: str) -> tuple[Any, str]:
    try:
        import fsspec  # noqa: PLC0415 - an extra, imported only where it is asked for

        files, root = fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        hint = "install fsspec with the driver of this store, like `pip install 'scalpcli[dask]' s3fs`"
        raise UsageError(f"`{address}` cannot be reached: {error}", place="`TAPES`", hint=hint) from None
    return files, str(root).rstrip("/")


def _unreadable(place: str, error: Exception) -> UpstreamUnavailable:
    words = (str(error).splitlines() or [type(error).__name__])[0]
    hint = "check the address, the keys of the store and the network"
    return UpstreamUnavailable(f"`{place}` cannot be read: {words}", place=f"`{place}`", hint=hint)
