"""Runs `scalpcli live`: one process, one loop, one session traded, recorded and written down.

Decides the order of things: the lock before the account, the account before the rows, the rows before the first
decision, and at the end everything on disk before the lock is given back. Leaves trading to `runtime/trader.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import resource
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from scalpcli import __version__
from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.notify import Notifier
from scalpcli.adapters.signal_feed import offered_signals
from scalpcli.cli.live_job import LiveJob, Outcome
from scalpcli.cli.live_past import Earlier, check_same, look_back
from scalpcli.cli.live_wire import (
    Guard,
    heartbeats,
    known_account,
    open_desk,
    screen,
    snapshots,
    tell_lines,
    updates_stream,
)
from scalpcli.cli.record_feed import MarketPlan, RecordedMarket, market_streams, notes_from_bars
from scalpcli.core.engine import Setup
from scalpcli.core.market_state import Kernel
from scalpcli.errors import ScalpcliError
from scalpcli.model.broker import BrokerAccount
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import PREVIOUS_LEVELS, RUN
from scalpcli.model.row import UNDERLYING_ID
from scalpcli.runtime import clock as clocks
from scalpcli.runtime.control import ControlServer, remove_control_leftover
from scalpcli.runtime.live_ports import LiveEnd, LiveLimits, LiveParts
from scalpcli.runtime.recorder import FAILED, INTERRUPTED, TERMINATED, Limits, Recorder, check_room
from scalpcli.runtime.recorder_figures import RecordingFigures
from scalpcli.runtime.recording import Begun, begin, earlier_notes, head_block, seal
from scalpcli.runtime.replay import fee_schedule
from scalpcli.runtime.run_files import (
    TAPE_FOLDER,
    JournalFile,
    RunFacts,
    append_telemetry,
    facts_of,
    set_aside,
    write_results,
)
from scalpcli.runtime.run_lock import RunLock, RunOwner, this_process
from scalpcli.runtime.tape import read_manifest
from scalpcli.runtime.trader import Trader

ALIVE_S: Final = 10.0
"""Seconds without a finished write after which the heartbeat stops."""
FLAT_WITHIN_S: Final = 60.0
"""Seconds an end that sells first waits for being flat."""
_NONCE_CHARACTERS: Final = 6
_LAST4: Final = 4


@dataclasses.dataclass(slots=True)
class Session:
    """A session being traded."""

    job: LiveJob
    hot: Kernel
    begun: Begun
    market: RecordedMarket
    recorder: Recorder
    trader: Trader
    journal: JournalFile
    facts: RunFacts
    guard: Guard
    owner: RunOwner
    lock: RunLock


class Wake:
    """Tells the trader of each frame; it is made after the feed that calls this."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] = lambda: None

    def __call__(self, name: str, stamp_ns: int, frame: bytes) -> None:
        """A frame came."""
        del name, stamp_ns, frame
        self.tell()


async def run(job: LiveJob, hot: Kernel) -> Outcome:
    """Trade the session.

    Raises:
        ScalpcliError: what must be known before trading is not to be had; nothing was sent then.
    """
    lock = RunLock(job.folder)
    lock.acquire()
    try:
        remove_control_leftover(lock.previous.control)
        if not job.is_resumed and (job.folder / "live.json").exists():
            job.say(f"the earlier run of the day is kept as {set_aside(job.folder).name}")
            # The lock went with the folder.
            lock.release()
            lock = RunLock(job.folder)
            lock.acquire()
        desk = open_desk(job)
        try:
            account = await known_account(job, desk)
            outcome = await _run_locked(job, hot, lock, desk, account)
        finally:
            if desk is not None:
                await desk.close()
        # An engine that left something behind stays known by name, for the guard.
        lock.release(is_ended=outcome.end.is_flat)
    except BaseException:
        lock.release()
        raise
    return outcome


async def _run_locked(
    job: LiveJob, hot: Kernel, lock: RunLock, desk: AlpacaDesk | None, account: BrokerAccount | None
) -> Outcome:
    earlier = look_back(job.folder, job.symbol, job.session.date)
    _say_begin(job, earlier, account)
    rest = AlpacaRest(job.reached.access.params, job.reached.access.key, job.reached.access.secret)
    notifier = Notifier(job.params.live.notify)
    try:
        session = await _open(job, hot, lock, desk, rest, earlier, account)
        session.trader.listen(tell_lines(job, notifier))
        async with _signals(session):
            end = await _trade(session, notifier)
        outcome = await asyncio.to_thread(_close, session, end)
        notifier.say(f"scalpcli {job.reached.mark} {job.symbol}: ended ({end.ended})" + " NOT FLAT" * (not end.is_flat))
    finally:
        await notifier.close()
        rest.close()
    return outcome


def _say_begin(job: LiveJob, earlier: Earlier, account: BrokerAccount | None) -> None:
    verb = "goes on with" if earlier.facts else "trades"
    whose = f", account ending {account.number[-_LAST4:]}" if account is not None else ", sends no orders"
    rehearsed = ", a rehearsal" if job.reached.access.is_rehearsal else ""
    job.say(f"{verb} {job.symbol} {job.session.date}{whose}{rehearsed}")
    if not job.params.scalp.enabled and account is not None:
        job.say("scalp.enabled is false: nothing will be ordered; `-p scalp.enabled=true` trades")


# --- beginning ---------------------------------------------------------------------------------------------


async def _open(
    job: LiveJob,
    hot: Kernel,
    lock: RunLock,
    desk: AlpacaDesk | None,
    rest: AlpacaRest,
    earlier: Earlier,
    account: BrokerAccount | None,
) -> Session:
    access, params, folder = job.reached.access, job.params, job.folder
    plan = MarketPlan(job.symbol, job.session, params.record, access)
    header = _header(plan)
    begun = await asyncio.to_thread(begin, folder / TAPE_FOLDER, job.session, params.record, header)
    try:
        check_room(shutil.disk_usage(begun.folder).free, params.record.min_free_gb, folder)
        notes = [] if begun.continuation else await _head_notes(job, plan, rest)
        head = head_block(notes, access.clock.now_ns())
        wake = Wake()
        market = await _market(job, plan, rest, begun, head, notes, earlier, wake)
        recorder = _recorder(job, market, begun, head)
        setup = Setup(
            params,
            job.symbol,
            job.session,
            (Instrument(UNDERLYING_ID, job.symbol), *market.listed),
            fee_schedule(params, job.session.date),
            job.blackouts,
            mode=job.reached.mode.value,
            synthetic=access.is_rehearsal,
        )
        check_same(earlier, setup, folder)
        journal = JournalFile(folder)
        guard = Guard(job)
        parts = LiveParts(
            setup=setup,
            hot=hot,
            maker=market.aggregator,
            keeper=recorder,
            store=journal,
            clock=access.clock,
            desk=desk,
            limits=LiveLimits(job.until_ns, FLAT_WITHIN_S * max(1.0, access.clock.speed)),
            past=earlier.past(folder, journal.before),
            has_updates=desk is None,
            is_killed=job.kill_file.exists,
            say=job.say,
            about=_about(job),
            feed_status=market.status,
            guard=guard.status,
        )
        nonce = earlier.facts.get("nonce") or next((body["nonce"] for kind, body in notes if kind == RUN), "")
        facts = RunFacts(folder, facts_of(setup, **_facts(job, account, header), nonce=nonce))
        trader = Trader(parts)
        wake.tell = trader.wake
    except BaseException:
        begun.log.abandon()
        raise
    return Session(job, hot, begun, market, recorder, trader, journal, facts, guard, this_process(), lock)


async def _market(
    job: LiveJob,
    plan: MarketPlan,
    rest: AlpacaRest,
    begun: Begun,
    head: tuple[Any, ...],
    notes: list[tuple[str, dict[str, Any]]],
    earlier: Earlier,
    wake: Wake,
) -> RecordedMarket:
    continuation = begun.continuation
    head_ns = max((int(block.columns["ts_recv_ns"][-1]) for block in head), default=0)
    market = RecordedMarket(
        plan,
        rest,
        market_streams(job.reached.access, plan.params, job.session),
        last_ns=max(continuation.last_ts_recv_ns if continuation else 0, head_ns),
        continuation=continuation,
        on_frame=wake,
        say=job.say,
        close_e4=next((body["close_e4"] for kind, body in notes if kind == PREVIOUS_LEVELS), 0),
        kept=earlier.symbols,
    )
    await asyncio.to_thread(market.prepare)
    return market


def _recorder(job: LiveJob, market: RecordedMarket, begun: Begun, head: tuple[Any, ...]) -> Recorder:
    continuation = begun.continuation
    return Recorder(
        market,
        begun.log,
        params=job.params.record,
        clock=job.reached.access.clock,
        # The trader ends it; this is for a trader that never does.
        limits=Limits(job.session.close_ns + (job.session.close_ns - job.session.open_ns), begun.folder),
        head=head,
        figures=RecordingFigures(
            continuation.conditions if continuation else (),
            job.say,
            len(continuation.instruments) if continuation else 0,
        ),
    )


async def _head_notes(job: LiveJob, plan: MarketPlan, rest: AlpacaRest) -> list[tuple[str, dict[str, Any]]]:
    """The first rows: the run's nonce before all else, then what earlier sessions tell."""
    sessions_max = job.params.tape.profile_sessions_max
    notes: list[tuple[str, dict[str, Any]]] = []
    if not job.reached.access.is_rehearsal:
        notes = await asyncio.to_thread(
            earlier_notes, Path(job.params.record.out), job.symbol, job.session, sessions_max, job.say
        )
    if not notes:
        notes = await asyncio.to_thread(notes_from_bars, plan, rest, sessions_max, job.say)
    return [(RUN, {"nonce": uuid4().hex[:_NONCE_CHARACTERS]}), *notes]


def _header(plan: MarketPlan) -> dict[str, Any]:
    label = ", not the NBBO" if plan.params.option_feed == "indicative" else ""
    return {
        "symbol": plan.symbol,
        "session": plan.session.date.isoformat(),
        "feeds": {"stock": f"alpaca {plan.params.feed}", "options": f"alpaca {plan.params.option_feed}{label}"},
        "synthetic": plan.access.is_rehearsal,
        "source": {"made_by": "live", "rehearsal": plan.access.is_rehearsal},
    }


def _about(job: LiveJob) -> dict[str, Any]:
    params = job.params.record
    return {
        "run": str(job.folder),
        "pid": os.getpid(),
        "version": __version__,
        "feed": params.feed,
        "option_feed": params.option_feed,
        "source": "alpaca",
    }


def _facts(job: LiveJob, account: BrokerAccount | None, header: dict[str, Any]) -> dict[str, Any]:
    access, asked = job.reached.access, job.reached.asked
    return {
        "pid": os.getpid(),
        "started_utc": clocks.utc_now().isoformat(timespec="seconds"),
        "rehearse": access.params.trading_url if access.is_rehearsal else "",
        "enabled_in": asked.enabled_in if asked.is_live else "",
        "account_last4": account.number[-_LAST4:] if account is not None else "",
        "kill_file": str(job.kill_file.absolute()),
        "feeds": header["feeds"],
        "until_ns": job.until_ns,
        "finished_ns": 0,
        "command": job.command,
    }


# --- trading -----------------------------------------------------------------------------------------------


async def _trade(session: Session, notifier: Notifier) -> LiveEnd:
    """Trade until the end; the recording goes on until the last row of our own is written."""
    job, trader = session.job, session.trader
    control = ControlServer(trader)
    await control.open()
    _tell_owner(session, control=control.path)
    try:
        async with (
            offered_signals(
                job.folder,
                job.params.live.signals_port,
                symbol=job.symbol,
                mode=job.reached.mode.value,
                now_ns=job.reached.access.clock.now_ns,
            ) as feed,
            screen(job),
        ):
            trader.listen(feed.event)
            helpers = [snapshots(feed, trader)]
            if job.params.live.heartbeat_url:
                helpers.append(heartbeats(job, lambda: session.recorder.is_alive(ALIVE_S)))
            if session.guard.is_wanted:
                helpers.append(session.guard.keep(lambda pid: _tell_owner(session, guard_pid=pid), job.say))
            if trader.parts.desk is not None:
                helpers.append(updates_stream(job, trader).run())
            notifier.say(f"scalpcli {job.reached.mark} {job.symbol}: begins {job.session.date}")
            return await _run_both(session, helpers)
    finally:
        await control.close()


async def _run_both(session: Session, helpers: Sequence[Coroutine[Any, Any, None]]) -> LiveEnd:
    trader, recorder = session.trader, session.recorder
    recording = asyncio.create_task(recorder.run())
    trading = asyncio.create_task(trader.run())
    tasks = [asyncio.create_task(helper) for helper in helpers]
    try:
        # A helper that fails is a fault of ours or a refusal of the broker's: trading ends in order, and it is told.
        await asyncio.wait({trading, recording, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not trading.done():
            trader.end(FAILED if recorder.failure or not recorder.ended else recorder.ended)
        end = await trading
        recorder.stop(end.ended)
        await recording
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return end
    finally:
        every: list[asyncio.Task[Any]] = [trading, recording, *tasks]
        for one in every:
            one.cancel()
        await asyncio.gather(*every, return_exceptions=True)


def _tell_owner(session: Session, **more: Any) -> None:
    session.owner = dataclasses.replace(session.owner, **more)
    session.lock.tell(session.owner)


@contextlib.asynccontextmanager
async def _signals(session: Session) -> AsyncIterator[None]:
    """First signal: stop entries, sell, end. Second: leave at once; the guard, or a later start, takes over."""
    loop = asyncio.get_running_loop()
    came = 0

    def on_signal(reason: str) -> None:
        nonlocal came
        came += 1
        if came == 1:
            session.job.say(f"{reason}: entries stop, what is held is sold; once more leaves at once")
            session.trader.end(reason)
        else:
            session.trader.abandon()

    meanings = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED, signal.SIGHUP: TERMINATED}
    for number, reason in meanings.items():
        loop.add_signal_handler(number, on_signal, reason)
    try:
        yield
    finally:
        for number in meanings:
            loop.remove_signal_handler(number)


# --- the end -----------------------------------------------------------------------------------------------


def _close(session: Session, end: LiveEnd) -> Outcome:
    """Seal the tape and write down what came of it."""
    job, trader, folder = session.job, session.trader, session.job.folder
    outcome = Outcome(folder, end, session.recorder.failure)
    is_over = bool(trader.finished_ns)
    if is_over:
        session.facts.tell(finished_ns=trader.finished_ns, ended={"ts_ns": trader.finished_ns, "reason": end.ended})
    else:
        session.facts.tell(left={"reason": end.ended})
    try:
        is_empty = not session.recorder.figures.market_rows
        outcome.tape = seal(session.begun, folder / TAPE_FOLDER, job.params, is_over=is_over, is_empty=is_empty)
        told = read_manifest(outcome.tape) if outcome.tape is not None else None
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        about = {
            "mode": job.reached.mode.value,
            "command": job.command,
            "timings_s": {},
            "peak_rss_mb": round(peak_mb, 1),
            "rehearsal": job.reached.access.is_rehearsal,
            "ended": end.ended,
            "protection": end.protection,
            "held": end.held,
        }
        outcome.manifest = write_results(folder, trader.live, outcome.tape, told, about)
        append_telemetry(folder, {"ended": end.ended, "loop_late": trader.watch.percents()})
    except ScalpcliError as error:
        outcome.failure = outcome.failure or error
    session.journal.close()
    return outcome
