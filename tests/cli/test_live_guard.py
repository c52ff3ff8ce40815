"""`scalpcli live guard`: how it sees a run's process, and when it does not begin."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.cli.live_guard import LOCK_FILE, RunProcess
from scalpcli.runtime.run_lock import RunLock, only_one, this_process
from tests.live_process import RunningProcess
from tests.live_runs import make_run
from tests.live_samples import live_state

DEADLINE_S = 30.0


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """The tester's keys and settings stay out of it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


def call(*words):
    return CliRunner().invoke(app, ["live", "guard", *map(str, words)], prog_name="scalpcli")


def ping(process, answer_s=20.0):
    return asyncio.run(process.ping(answer_s))


def test_a_process_that_trades_answers(tmp_path):
    """Its socket is found by the run's files; it holds the run's lock, so that nobody else may send orders."""
    folder = make_run(tmp_path)
    with RunningProcess(folder, live_state()):
        process = RunProcess(folder)

        assert ping(process)
        assert process.identity() == this_process().process
        assert process.is_running(process.identity())
        assert not process.lock()
        assert not process.has_ended()


def test_a_process_that_stalls_does_not_answer(tmp_path):
    """Its socket takes the connection, as a stopped process's does; after the time that was asked for it counts."""
    folder = make_run(tmp_path)
    with RunningProcess(folder, live_state()) as running:
        goes_on = running.stall()
        try:
            assert not ping(RunProcess(folder), 0.3)
        finally:
            goes_on.set()
        assert ping(RunProcess(folder))


def test_nobody_there_is_known_at_once(tmp_path):
    """No wait for an answer that cannot come; a run whose process left in order has ended, and its lock is free."""
    folder = make_run(tmp_path)
    with RunningProcess(folder, live_state()):
        pass
    process = RunProcess(folder)

    assert not ping(process, 3_600.0)
    assert process.identity() is None
    assert process.has_ended()
    assert process.lock()
    process.unlock()


def test_a_killed_process_is_known_by_name_and_has_not_ended(tmp_path):
    """Its owner's file stays; its id may be another's by now, but not with its start."""
    folder = make_run(tmp_path)
    words = "import sys; from pathlib import Path; from scalpcli.runtime.run_lock import RunLock; "
    words += f"lock = RunLock(Path({str(folder)!r})); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        engine.stdout.readline()
        process = RunProcess(folder)
        identity = process.identity()
        assert not process.lock()

        process.kill(identity)
        engine.wait(DEADLINE_S)

        assert (identity.pid, process.is_running(identity)) == (engine.pid, False)
        assert not process.has_ended()
        assert process.lock()
        process.unlock()


def test_a_run_that_was_moved_is_not_here(tmp_path):
    """Set aside for another of the day, or gone."""
    folder = make_run(tmp_path)
    process = RunProcess(folder)
    assert process.is_here()

    folder.rename(folder.with_name("aside"))
    assert not process.is_here()
    folder.mkdir()
    assert not process.is_here()


def test_a_second_guard_stands_by(tmp_path):
    """It does nothing while the first is there, and leaves when the run has ended meanwhile."""
    folder = make_run(tmp_path)
    lock = RunLock(folder)
    lock.acquire()
    first = only_one(folder / LOCK_FILE)
    second = subprocess.Popen(
        [sys.executable, "-m", "scalpcli", "live", "guard", str(folder)], stderr=subprocess.PIPE, text=True
    )
    try:
        time.sleep(1.0)
        assert second.poll() is None
        lock.release(is_ended=True)
        assert second.wait(DEADLINE_S) == 0
        assert second.stderr.read() == ""
    finally:
        second.kill()
        second.wait()
        second.stderr.close()
        first.release()


def test_a_third_guard_leaves(tmp_path):
    """The engine says who its guard is: that one stands by, and an earlier engine's leaves, so that none pile up."""
    folder = make_run(tmp_path)
    lock = RunLock(folder)
    lock.acquire()
    first = only_one(folder / LOCK_FILE)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as newest:
        lock.tell(dataclasses.replace(this_process(), guard_pid=newest.pid))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "scalpcli", "live", "guard", str(folder)], timeout=DEADLINE_S, check=False
            )
        finally:
            newest.kill()
            first.release()
            lock.release(is_ended=True)

    assert done.returncode == 0


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    """With what to name instead."""
    done = call(tmp_path)

    assert done.exit_code == 4
    assert "error: the folder is no run of `live`" in done.stderr


def test_shadow_needs_no_guard(tmp_path):
    """It sends no orders."""
    done = call(make_run(tmp_path, mode="shadow", config={}, blackouts=[], config_digest=""))

    assert done.exit_code == 2
    assert "nothing to guard" in done.stderr
