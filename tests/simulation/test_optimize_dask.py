"""A search on a Dask scheduler and two workers, one of them killed midway: the same result as in one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scalpcli.errors import UpstreamUnavailable
from scalpcli.optimize.judge import ranking
from scalpcli.optimize.work import Dask
from tests.optimize_samples import plan_over, search_in, small_tapes

pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parents[2]


def started(*words: str) -> subprocess.Popen[bytes]:
    """A `dask` command, as the documentation says, in a session of its own so that it can be killed whole."""
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children at once."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


@pytest.fixture
def cluster():
    """A scheduler and two workers on loopback; its address and the workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    quiet = ["--no-dashboard"]
    processes = [started("scheduler", "--host", "127.0.0.1", "--port", str(port), *quiet)]
    workers = [started("worker", address, "--nthreads", "1", "--no-nanny", *quiet) for _ in range(2)]
    yield address, workers
    for process in [*workers, *processes]:
        kill(process)


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_changes_nothing(tmp_path, cluster):
    """What the dead worker had is done again by the other."""
    address, workers = cluster
    plan = plan_over(small_tapes(tmp_path / "tapes", 8), walk=None, holdout_pct=0.0)
    alone = search_in(tmp_path / "alone", plan).run()
    deadline_s = time.monotonic() + 60
    while True:
        try:
            executor = Dask(address)
            break
        except UpstreamUnavailable:
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
    executor._client.wait_for_workers(2, timeout=60)

    done: list[int] = []
    search = search_in(tmp_path / "dask", plan, executor)

    def on_unit(count: int) -> None:
        done.append(count)
        if len(done) == 1:
            kill(workers[0])

    search._on_unit = on_unit
    watchdog = threading.Timer(120, lambda: kill(workers[1]))
    watchdog.start()
    try:
        found = search.run()
    finally:
        watchdog.cancel()
        executor.close()

    assert len(done) == 8
    assert workers[0].poll() is not None
    assert ranking(found, plan.space) == ranking(alone, plan.space)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_told(monkeypatch):
    """Exit 6 with what to start, not a traceback of Dask."""
    import distributed

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "Client", refuse)

    with pytest.raises(UpstreamUnavailable) as error:
        Dask("tcp://127.0.0.1:1")

    assert "dask scheduler" in error.value.hint
