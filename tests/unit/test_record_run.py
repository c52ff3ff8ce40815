"""What surrounds the recorder's loop: waiting for the session, the heartbeat, the live status."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace

from scalpcli.cli import record_run
from scalpcli.cli.record_screen import _lines
from scalpcli.cli.record_session import Session
from scalpcli.model.params import RecordParams
from scalpcli.model.row import CHANNELS_ALL, GAP, GAP_BEGIN
from scalpcli.runtime.record_window import next_window
from scalpcli.runtime.recorder import TERMINATED
from scalpcli.runtime.recorder_figures import LoopWatch, RecordingFigures
from tests.recorder_fakes import FakeClock, block
from tests.tape_samples import OPEN


def session_at(now_ns: int, params: RecordParams | None = None, *, is_alive: bool = True):
    """A session before anything of it runs; the words it says; its clock."""
    said: list[str] = []
    clock = FakeClock(now_ns)
    params = params or RecordParams()
    job = SimpleNamespace(access=SimpleNamespace(clock=clock), params=SimpleNamespace(record=params), say=said.append)
    tracks = [SimpleNamespace(recorder=SimpleNamespace(is_alive=lambda _silent_s: is_alive, stop=lambda _reason: None))]
    return Session(job, next_window(now_ns, params), tracks, LoopWatch(), None), said, clock


def test_it_waits_for_the_session_by_the_markets_clock():
    """In a rehearsal at sixty times its speed an hour is a minute."""

    async def play():
        session, said, clock = session_at(OPEN - 6 * 60 * 1_000_000_000)
        clock.speed = 6000.0
        waiting = asyncio.create_task(record_run._wait_for(session))
        await asyncio.sleep(0)
        clock.now = OPEN
        await asyncio.wait_for(waiting, 5)
        return said

    assert asyncio.run(play()) == ["waits for the session of 2026-11-20"]


def test_a_signal_ends_the_waiting():
    """Nothing was begun, so nothing is sealed."""

    async def play():
        session, _, clock = session_at(OPEN - 6 * 60 * 1_000_000_000)
        clock.speed = 6000.0
        waiting = asyncio.create_task(record_run._wait_for(session))
        await asyncio.sleep(0)
        session.stop(TERMINATED)
        await asyncio.wait_for(waiting, 5)
        return session.stopped

    assert asyncio.run(play()) == TERMINATED


def test_the_heartbeat_stops_when_rows_are_not_written(tmp_path):
    """An outside watcher must notice a disk that hangs, not only a process that died."""
    beaten = {}
    for is_alive in (True, False):
        file = tmp_path / str(is_alive)
        params = dataclasses.replace(RecordParams(), heartbeat_file=str(file))

        async def play(params=params, is_alive=is_alive):
            session, _, _ = session_at(OPEN, params, is_alive=is_alive)
            beating = asyncio.create_task(record_run._beat(session))
            await asyncio.sleep(0.05)
            beating.cancel()

        asyncio.run(play())
        beaten[is_alive] = file.exists()

    assert beaten == {True: True, False: False}


def test_the_status_shows_rates_lag_and_blindness():
    """What a person looks for: does it flow, how late, since when is it blind, is anything dropped."""
    figures = RecordingFigures(["mute"])
    figures.take(block(1200))
    gap = {"size": CHANNELS_ALL, "flags": GAP_BEGIN, "conditions": 1, "ts_event_ns": OPEN}
    figures.take(block(1, kind=GAP, **gap))
    track = SimpleNamespace(
        symbol="TSLA",
        recorder=SimpleNamespace(figures=figures, write_ms=1.25, write_ms_max=30.0),
        market=SimpleNamespace(status=lambda: {"dropped": 2}),
        tap=SimpleNamespace(count=1, dropped=0),
    )

    lines = _lines(track, figures.by_name(), {"stock_trade": 600.0})

    assert lines["TSLA"] == "1,201 rows, 0 contracts"
    assert lines["stock trade"].split() == ["600", "/s", "1,200"]
    assert lines["lag"] == "2.0 ms, at most 2.0 ms"
    assert lines["blind"].startswith("stock_trades, stock_quotes")
    assert lines["last gap"] == "all channels from 09:30:00.000: mute"
    assert lines["dropped"] == "2 rows; readers 1, dropped 0"


def test_a_session_without_a_row_is_a_failure(monkeypatch):
    """Blind from begin to end: exit code 6, though the recorder itself did all it could."""
    figures = SimpleNamespace(market_rows=0, last_gap="all channels from 09:30:00.000: too many connections 406")
    recorder = SimpleNamespace(figures=figures, failure=None, ended="until")
    track = SimpleNamespace(recorder=recorder, symbol="TSLA", begun=None, tape=None)
    clock = SimpleNamespace(now_ns=lambda: OPEN)
    job = SimpleNamespace(access=SimpleNamespace(clock=clock), root=None, params=None, say=None)
    monkeypatch.setattr(record_run, "seal", lambda *_args, **_flags: None)
    monkeypatch.setattr(record_run, "seal_earlier", lambda *_args: None)

    record_run._seal_all(SimpleNamespace(job=job, window=SimpleNamespace(end_ns=OPEN, session=None), tracks=[track]))

    assert recorder.failure is not None
    assert recorder.failure.exit_code == 6
    assert recorder.failure.found == "no row of TSLA came while it was recorded"
