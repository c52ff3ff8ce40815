"""Runs `scalpcli record`: locks, waits for the session, records every symbol, seals, sums up.

Decides the order of things and what a signal does. Leaves the loop to `runtime/recorder.py`, a day's recording to
`runtime/recording.py` and the market to `record_feed.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.alpaca_streams import AlpacaStreams
from scalpcli.adapters.contracts import fair_shares, option_budget
from scalpcli.adapters.notify import Notifier, beat
from scalpcli.cli.record_feed import MarketPlan, RecordedMarket, market_streams, notes_from_bars
from scalpcli.cli.record_session import Job, Say, Session, Track
from scalpcli.errors import ScalpcliError, UpstreamUnavailable
from scalpcli.model.note import PREVIOUS_LEVELS
from scalpcli.runtime.lock import Owner, RecorderLock
from scalpcli.runtime.raw_frames import RawFrames, RawLog
from scalpcli.runtime.record_window import Window, next_window, until_ns, window_at
from scalpcli.runtime.recorder import FAILED, INTERRUPTED, TERMINATED, UNTIL, Limits, Recorder, check_room
from scalpcli.runtime.recorder_figures import LoopWatch, RecordingFigures
from scalpcli.runtime.recording import (
    Begun,
    begin,
    earlier_notes,
    head_block,
    is_recorded,
    seal,
    seal_earlier,
    symbol_folder,
)
from scalpcli.runtime.seal_room import SealRoom
from scalpcli.runtime.tap import Tap, remove_leftover

ALIVE_S: Final = 10.0
"""Seconds without a finished write after which the heartbeat stops."""
_WAIT_S_MAX: Final = 5.0
_LIFE_LOOK_S: Final = 0.25


async def run(job: Job, screen: Callable[[Session], contextlib.AbstractAsyncContextManager[None]]) -> Session | None:
    """Record the session; nothing where every symbol's tape is there already.

    Raises:
        Busy: another recorder does it.
        OutsideSession: there is no session now, and `job.wait` is not set.
        ScalpcliError: what must be known before recording is not to be had.
    """
    if not job.wait:
        window_at(job.access.clock.now_ns(), job.params.record)
    with contextlib.ExitStack() as locks:
        feed = job.params.record.feed
        held = {
            symbol: locks.enter_context(RecorderLock(symbol_folder(job.root, symbol), symbol, feed))
            for symbol in job.symbols
        }
        for lock in held.values():
            remove_leftover(lock.previous.tap)
        return await _run_locked(job, held, screen)


async def _run_locked(
    job: Job,
    locks: dict[str, RecorderLock],
    screen: Callable[[Session], contextlib.AbstractAsyncContextManager[None]],
) -> Session | None:
    notifier = Notifier(job.params.record.notify)
    watch = LoopWatch()
    window = next_window(job.access.clock.now_ns(), job.params.record)
    session = Session(job, window, [], watch, notifier)
    async with _signals(session), _closing(notifier):
        await _wait_for(session)
        symbols = [symbol for symbol in job.symbols if not _is_done(job, symbol, window)]
        if not symbols or session.stopped:
            return session if session.stopped else None
        end_ns = until_ns(job.until, window, job.access.clock.now_ns())
        free = shutil.disk_usage(symbol_folder(job.root, symbols[0])).free
        check_room(free, job.params.record.min_free_gb, job.root)
        rest = AlpacaRest(job.access.params, job.access.key, job.access.secret)
        try:
            await _open_all(session, symbols, rest, end_ns)
            for track in session.tracks:
                locks[track.symbol].tell(Owner(os.getpid(), track.tap.path))
            faults = await _record(session, screen)
        except BaseException:
            # Whatever was begun and not run is given up in order.
            for track in session.tracks:
                if not track.recorder.ended:
                    await track.tap.close()
                    _give_up(track.begun)
            raise
        finally:
            rest.close()
        await asyncio.to_thread(_seal_all, session)
        for track in session.tracks:
            notifier.say(track.end_words())
    for fault in faults:
        raise fault
    return session


def _is_done(job: Job, symbol: str, window: Window) -> bool:
    done = is_recorded(job.root, symbol, window.session)
    if done:
        job.say(f"the tape of {symbol} on {window.session.date} is there already: nothing to do")
    return done


async def _wait_for(session: Session) -> None:
    """Sleep until recording may begin, in pieces: a clock may be set meanwhile."""
    clock = session.job.access.clock
    is_told = False
    while not session.stopped:
        left_s = (session.window.start_ns - clock.now_ns()) / 1e9 / clock.speed
        if left_s <= 0:
            return
        if not is_told:
            session.job.say(f"waits for the session of {session.window.session.date}")
            is_told = True
        await asyncio.sleep(min(left_s, _WAIT_S_MAX))


async def _open_all(session: Session, symbols: Sequence[str], rest: AlpacaRest, end_ns: int) -> None:
    """Make every symbol ready; one that cannot be recorded does not keep the others from it.

    Raises:
        ScalpcliError: none can be recorded; the first one's reason.
    """
    job = session.job
    streams = market_streams(job.access, job.params.record, session.window.session)
    for symbol in symbols:
        try:
            session.tracks.append(await _open(session, symbol, rest, streams, end_ns))
        except ScalpcliError as error:
            session.refused[symbol] = error
            if len(symbols) > 1:
                session.saying(symbol)(f"is not recorded: {error.found}")
    if not session.tracks:
        raise next(iter(session.refused.values()))
    _divide_budget(session)
    if session.stopped:
        # A signal that came meanwhile.
        session.stop(session.stopped)


def _divide_budget(session: Session) -> None:
    """A plan's limit holds for the connection, so the symbols that share it get equal parts of it."""
    params = session.job.params.record
    budget = option_budget(params.option_feed, params.max_contracts)
    shares = fair_shares(budget, len(session.tracks))
    for track, share in zip(session.tracks, shares, strict=True):
        track.market.limit_contracts(share)
    if len(shares) > 1:
        parts = " and ".join(f"{share} for {track.symbol}" for track, share in zip(session.tracks, shares, strict=True))
        session.job.say(f"the budget of {budget} contracts is divided: {parts}")


async def _open(session: Session, symbol: str, rest: AlpacaRest, streams: AlpacaStreams, end_ns: int) -> Track:
    job = session.job
    params, access = job.params.record, job.access
    plan = MarketPlan(symbol, session.window.session, params, access)
    begun = await asyncio.to_thread(begin, job.root, session.window.session, params, _header(plan))
    try:
        say = session.saying(symbol)
        notes = [] if begun.continuation else await _head_notes(job, plan, rest, say)
        head = head_block(notes, access.clock.now_ns())
        continuation = begun.continuation
        last_ns = max(
            continuation.last_ts_recv_ns if continuation else 0,
            *(int(block.columns["ts_recv_ns"][-1]) for block in head),
            0,
        )
        raw = RawFrames(symbol_folder(job.root, symbol) / f"{plan.session.date}.raw") if params.raw else None
        market = RecordedMarket(
            plan,
            rest,
            streams,
            last_ns=last_ns,
            continuation=continuation,
            on_frame=raw.take if raw else None,
            say=say,
            close_e4=next((body["close_e4"] for kind, body in notes if kind == PREVIOUS_LEVELS), 0),
        )
        await asyncio.to_thread(market.prepare)
        tap = Tap(
            _header(plan), continuation.names() if continuation else None, continuation.rows if continuation else 0
        )
        await tap.open()
        recorder = Recorder(
            market,
            RawLog(begun.log, raw) if raw else begun.log,
            params=params,
            clock=access.clock,
            limits=Limits(end_ns, begun.folder),
            head=head,
            figures=RecordingFigures(
                continuation.conditions if continuation else (),
                say,
                len(continuation.instruments) if continuation else 0,
            ),
            readers=tap,
            room=SealRoom(begun.folder),
        )
    except BaseException:
        _give_up(begun)
        raise
    return Track(symbol, begun, market, recorder, tap, raw)


async def _head_notes(job: Job, plan: MarketPlan, rest: AlpacaRest, say: Say) -> list[tuple[str, dict[str, Any]]]:
    sessions_max = job.params.tape.profile_sessions_max
    notes = await asyncio.to_thread(earlier_notes, job.root, plan.symbol, plan.session, sessions_max, say)
    return notes or await asyncio.to_thread(notes_from_bars, plan, rest, sessions_max, say)


def _header(plan: MarketPlan) -> dict[str, Any]:
    label = ", not the NBBO" if plan.params.option_feed == "indicative" else ""
    return {
        "symbol": plan.symbol,
        "session": plan.session.date.isoformat(),
        "feeds": {"stock": f"alpaca {plan.params.feed}", "options": f"alpaca {plan.params.option_feed}{label}"},
        # What a local exchange plays is not the market, whatever tape it plays from.
        "synthetic": plan.access.is_rehearsal,
        "source": {"made_by": "record", "rehearsal": plan.access.is_rehearsal},
    }


def _give_up(begun: Begun) -> None:
    """Leave no folder behind that would look like a session; one that was there before stays."""
    begun.log.abandon()
    if begun.continuation is None:
        shutil.rmtree(begun.folder, ignore_errors=True)


async def _record(
    session: Session, screen: Callable[[Session], contextlib.AbstractAsyncContextManager[None]]
) -> list[BaseException]:
    """Record until each has ended; faults of ours, which ended one and not the others, are handed back."""
    for track in session.tracks:
        feeds = " and ".join(track.begun.header["feeds"].values())
        verb = "goes on with" if track.begun.continuation else "records"
        session.saying(track.symbol)(f"{verb} {session.window.session.date} from {feeds}")
    helpers = [asyncio.create_task(session.watch.run()), asyncio.create_task(_beat(session))]
    try:
        async with screen(session):
            ends = await asyncio.gather(*(track.recorder.run() for track in session.tracks), return_exceptions=True)
        faults = []
        for track, end in zip(session.tracks, ends, strict=True):
            if isinstance(end, BaseException):
                # What was written until then is sealed with the rest.
                track.recorder.stop(FAILED)
                track.begun.log.abandon()
                faults.append(end)
        return faults
    finally:
        for helper in helpers:
            helper.cancel()
        for track in session.tracks:
            await track.tap.close()


async def _beat(session: Session) -> None:
    """Tell whoever watches, every `heartbeat_s`, while rows are written."""
    params = session.job.params.record
    while params.heartbeat_file or params.heartbeat_url:
        is_alive = all(track.recorder.is_alive(ALIVE_S) for track in session.tracks)
        if is_alive:
            if params.heartbeat_file:
                with contextlib.suppress(OSError):
                    Path(params.heartbeat_file).touch(mode=0o600)  # noqa: ASYNC240 - a touch is quick
            if params.heartbeat_url:
                await beat(params.heartbeat_url)
        # Not alive yet, or not any more: the next sign of life is told at once.
        await asyncio.sleep(params.heartbeat_s if is_alive else _LIFE_LOOK_S)


def _seal_all(session: Session) -> None:
    job = session.job
    is_over = job.access.clock.now_ns() >= session.window.end_ns
    for track in session.tracks:
        try:
            track.tape = seal(
                track.begun,
                job.root,
                job.params,
                is_over=is_over and track.recorder.ended == UNTIL,
                is_empty=not track.recorder.figures.market_rows,
            )
            seal_earlier(job.root, track.symbol, session.window.session, job.params, job.say)
        except ScalpcliError as error:
            track.recorder.failure = track.recorder.failure or error
        if track.tape is None and track.recorder.ended == UNTIL and track.recorder.failure is None:
            # Cron's mail, or whoever looks at exit codes, must not take a day without a row for a good one.
            track.recorder.failure = UpstreamUnavailable(
                f"no row of {track.symbol} came while it was recorded",
                place=f"gap of {track.recorder.figures.last_gap}" if track.recorder.figures.last_gap else "",
                hint="`scalpcli doctor` looks at keys, feeds and connections",
            )


@contextlib.asynccontextmanager
async def _signals(session: Session) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    meanings = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED}
    for number, reason in meanings.items():
        loop.add_signal_handler(number, session.stop, reason)
    try:
        yield
    finally:
        for number in meanings:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _closing(notifier: Notifier) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await notifier.close()
