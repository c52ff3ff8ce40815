"""A place on the disk is held for the tape while its recording grows."""

from __future__ import annotations

import errno
import os

import pytest

from scalpcli.errors import DataError
from scalpcli.runtime.seal_room import SealRoom, release_room


def room_bytes(folder):
    """Bytes that the folder's room really takes on the disk."""
    path = folder / "room"
    return path.stat().st_blocks * 512 if path.exists() else 0


def test_the_room_grows_with_the_segments(tmp_path):
    """A tape takes no more than its segments."""
    room = SealRoom(tmp_path)
    room.hold()
    first = room_bytes(tmp_path)
    (tmp_path / "000001.log").write_bytes(bytes(5 << 20))

    room.hold()

    assert first > 0
    assert room_bytes(tmp_path) >= 5 << 20


def test_the_room_goes_when_it_is_given_back(tmp_path):
    """Also one that a crash left."""
    SealRoom(tmp_path).hold()

    release_room(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_ends_the_recording_with_words(tmp_path, monkeypatch):
    """The error names the megabytes and the folder; the place held before stays held."""
    room = SealRoom(tmp_path)
    room.hold()
    held = room_bytes(tmp_path)
    (tmp_path / "000001.log").write_bytes(bytes(5 << 20))

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(DataError, match=r"the disk is full: sealing needs 6\.3 MB") as raised:
        room.hold()
    assert str(tmp_path) in raised.value.place
    assert room_bytes(tmp_path) == held
