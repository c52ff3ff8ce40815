"""A process is told from a later one of its id, and only the one that is meant is ended."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scalpcli.runtime import process_identity
from scalpcli.runtime.process_identity import identity_of, is_running, kill


@pytest.fixture
def other():
    """A process of ours that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_is_the_same_while_it_runs(other):
    """Stopped ones too: a stopped process may wake."""
    found = identity_of(other.pid)
    other.send_signal(signal.SIGSTOP)

    assert is_running(found)
    assert identity_of(os.getpid()) != found


def test_a_later_process_of_the_same_id_is_left_alone(other):
    """Ids are given away again; the start tells."""
    earlier = dataclasses.replace(identity_of(other.pid), started="1")

    kill(earlier)

    assert not is_running(earlier)
    assert other.poll() is None


def test_the_one_that_is_meant_is_ended_stopped_or_not(other):
    """No signal but this one ends a stopped process."""
    found = identity_of(other.pid)
    other.send_signal(signal.SIGSTOP)

    kill(found)

    assert other.wait(20) == -signal.SIGKILL
    assert not is_running(found)
    kill(found)


def test_what_is_left_of_a_dead_process_does_not_run(other):
    """Its parent has not asked for its end yet: the id stands, nobody is there."""
    found = identity_of(other.pid)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)

    assert identity_of(other.pid) is None
    assert not is_running(found)


def test_systems_without_a_list_of_processes_are_asked(other, monkeypatch, tmp_path):
    """Where there is no `/proc`, `ps` tells state and start."""
    if not Path("/bin/ps").exists():
        pytest.skip("no ps here")
    monkeypatch.setattr(process_identity, "_PROC", tmp_path / "none")

    found = identity_of(other.pid)

    assert is_running(found)
    assert found.started != ""
