"""One recorder per feed and symbol."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scalpcli.errors import DataError
from scalpcli.runtime.lock import Busy, Owner, RecorderLock, is_held, read_owner

HOLD = """
import sys
from pathlib import Path
from scalpcli.runtime.lock import RecorderLock
with RecorderLock(Path(sys.argv[1]), "TSLA", "sip"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that records TSLA from sip."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "TSLA")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_recorder_is_told_who_the_first_is(tmp_path, holder):
    """Cron may fire every five minutes: the second start names the process and is no failure."""
    with pytest.raises(Busy) as caught, RecorderLock(tmp_path / "TSLA", "TSLA", "sip"):
        pass

    words = f"TSLA is being recorded from sip already, by process {holder.pid}: nothing to do"
    assert str(caught.value) == words


@pytest.mark.usefixtures("holder")
def test_another_feed_is_another_lock(tmp_path):
    """`sip` and `iex` are two connections; two recorders may hold them."""
    with RecorderLock(tmp_path / "TSLA", "TSLA", "iex"):
        assert is_held(tmp_path / "TSLA", "sip")
    assert not is_held(tmp_path / "TSLA", "iex")


def test_the_lock_of_a_killed_recorder_is_free(tmp_path, holder):
    """`kill -9` leaves the files; the operating system gives the lock back."""
    holder.kill()
    holder.wait()

    with RecorderLock(tmp_path / "TSLA", "TSLA", "sip") as lock:
        assert read_owner(tmp_path / "TSLA", "sip").pid == os.getpid()
        assert lock.previous.pid == holder.pid


def test_the_owner_says_where_its_tap_listens_to_its_user_alone(tmp_path):
    """`record tap` finds the socket through the lock, whatever the environment of whoever started the recorder."""
    with RecorderLock(tmp_path / "TSLA", "TSLA", "sip") as lock:
        lock.tell(Owner(7, "/run/tap"))

        assert read_owner(tmp_path / "TSLA", "sip") == Owner(7, "/run/tap")
        assert stat.S_IMODE((tmp_path / "TSLA" / ".sip.owner").stat().st_mode) == 0o600
    assert read_owner(tmp_path / "TSLA", "sip") == Owner()


def test_a_damaged_owner_file_is_no_owner(tmp_path):
    """It only serves messages: it must not stop anyone."""
    (tmp_path / ".sip.owner").write_text("[")

    assert read_owner(tmp_path, "sip") == Owner()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "tapes").write_text("")

    with pytest.raises(DataError) as caught, RecorderLock(Path(tmp_path / "tapes" / "TSLA"), "TSLA", "sip"):
        pass

    assert caught.value.place == f"`{tmp_path / 'tapes' / 'TSLA'}`"
