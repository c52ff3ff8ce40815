"""A run's lock: one process sends its orders, and who it was is known after it died."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
import sys

import pytest

from scalpcli.errors import DataError, UsageError
from scalpcli.runtime.process_identity import identity_of
from scalpcli.runtime.run_lock import OWNER_FILE, RunLock, RunOwner, is_run_held, read_run_owner

HOLD = """
import pathlib, sys
from scalpcli.runtime.run_lock import RunLock
lock = RunLock(pathlib.Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_whom_to_ask(tmp_path, holder):
    """Two engines of one run would both send its orders."""
    folder = tmp_path / "run"

    with pytest.raises(UsageError, match=f"process {holder.pid} trades this already") as refused:
        RunLock(folder).acquire()

    assert "scalpcli live status" in refused.value.hint
    assert is_run_held(folder)


def test_the_lock_is_free_when_its_owner_is_killed_and_the_owner_still_known(tmp_path, holder):
    """The guard takes it, knows whom it ended, and leaves that to be read by the next."""
    folder = tmp_path / "run"
    owner = read_run_owner(folder)
    holder.kill()
    holder.wait()
    guard = RunLock(folder)

    assert guard.try_acquire()

    assert guard.previous == owner == read_run_owner(folder)
    assert owner.process is not None
    assert owner.process.pid == holder.pid
    guard.release()
    assert not is_run_held(folder)


def test_an_engine_that_ends_in_order_takes_its_name_away(tmp_path):
    """Nobody is taken for killed who was not."""
    lock = RunLock(tmp_path)
    lock.acquire()
    told = read_run_owner(tmp_path)

    lock.release(is_ended=True)

    assert told.process == identity_of(os.getpid())
    assert read_run_owner(tmp_path) == RunOwner()


def test_who_holds_it_is_for_its_user_alone(tmp_path):
    """The file leads to the socket that commands."""
    lock = RunLock(tmp_path)
    lock.acquire()
    owner = dataclasses.replace(read_run_owner(tmp_path), control="/run/x/socket", guard_pid=7)

    lock.tell(owner)

    assert read_run_owner(tmp_path) == owner
    assert stat.S_IMODE((tmp_path / OWNER_FILE).stat().st_mode) == 0o600
    lock.release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": null}'])
def test_an_owner_that_cannot_be_read_is_nobody(tmp_path, text):
    """A torn file must not stop a look at what is held."""
    (tmp_path / OWNER_FILE).write_text(text, encoding="utf-8")

    assert read_run_owner(tmp_path) == RunOwner()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """With the flag that names another."""
    (tmp_path / "file").touch()

    with pytest.raises(DataError, match="cannot be written") as refused:
        RunLock(tmp_path / "file" / "run").acquire()

    assert "--out" in refused.value.hint


def test_a_folder_without_a_lock_is_held_by_nobody(tmp_path):
    """Looking makes no file."""
    assert not is_run_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
