"""Runs `scalpcli live`: one process, one loop, one session traded, recorded and written down.

Decides the order of things: the lock before the account, the account before the rows, the rows before the first
decision, and at the end everything on disk before the lock is given back. Leaves trading to `runtime/trader.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import resource
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.notify import Notifier
from scalpcli.adapters.signal_feed import offered_signals
from scalpcli.cli.live_job import LiveJob, Outcome
from scalpcli.cli.live_open import LAST4, Session, open_session
from scalpcli.cli.live_past import Earlier, check_flat, look_back
from scalpcli.cli.live_wire import (
    heartbeats,
    known_account,
    open_desk,
    screen,
    snapshots,
    tell_lines,
    updates_stream,
)
from scalpcli.core.market_state import Kernel
from scalpcli.errors import ScalpcliError
from scalpcli.model.broker import BrokerAccount
from scalpcli.runtime.against_facts import FACTS_FILE
from scalpcli.runtime.control import ControlServer, remove_control_leftover
from scalpcli.runtime.live_ports import LiveEnd
from scalpcli.runtime.process_identity import is_running
from scalpcli.runtime.recorder import FAILED, INTERRUPTED, TERMINATED
from scalpcli.runtime.recording import seal
from scalpcli.runtime.run_files import (
    TAPE_FOLDER,
    append_telemetry,
    set_aside,
    write_results,
)
from scalpcli.runtime.run_lock import OWNER_FILE, RunLock, is_run_held, read_run_owner
from scalpcli.runtime.tape import read_manifest

ALIVE_S: Final = 10.0
"""Seconds without a finished write after which the heartbeat stops."""
_GUARD_LOOK_S: Final = 0.2


async def run(job: LiveJob, hot: Kernel) -> Outcome:
    """Trade the session.

    Raises:
        ScalpcliError: what must be known before trading is not to be had; nothing was sent then.
    """
    await _wait_for_guard(job)
    lock = RunLock(job.folder)
    lock.acquire()
    try:
        remove_control_leftover(lock.previous.control)
        desk = open_desk(job)
        try:
            account = await known_account(job, desk)
            if not job.is_resumed and (job.folder / FACTS_FILE).exists():
                if desk is not None:
                    await check_flat(job, desk)
                kept = set_aside(job.folder)
                (kept / OWNER_FILE).unlink(missing_ok=True)
                job.say(f"the earlier run of the day is kept as {kept.name}")
                # The lock went with the folder.
                lock.release()
                lock = RunLock(job.folder)
                lock.acquire()
            outcome = await _run_locked(job, hot, lock, desk, account)
        finally:
            if desk is not None:
                await desk.close()
        # An engine that left something behind stays known by name, for the guard.
        lock.release(is_ended=outcome.end.is_flat)
    except BaseException:
        # Without `live.json` nothing was ever sent: nobody has to know who tried.
        lock.release(is_ended=not (job.folder / FACTS_FILE).exists())
        raise
    return outcome


async def _wait_for_guard(job: LiveJob) -> None:
    """Let a guard come to its end that takes a dead engine's position out: it holds the run meanwhile.

    A system that starts the engine again at once must not find the run taken, and leave it be.
    """
    is_told = False
    while (process := read_run_owner(job.folder).process) is not None and not is_running(process):
        if not is_run_held(job.folder):
            return
        if not is_told:
            job.say("waits for the guard, which takes out what an earlier process left")
        is_told = True
        await asyncio.sleep(_GUARD_LOOK_S)


async def _run_locked(
    job: LiveJob, hot: Kernel, lock: RunLock, desk: AlpacaDesk | None, account: BrokerAccount | None
) -> Outcome:
    earlier = look_back(job.folder, job.symbol, job.session.date)
    _say_begin(job, earlier, account)
    rest = AlpacaRest(job.reached.access.params, job.reached.access.key, job.reached.access.secret)
    notifier = Notifier(job.params.live.notify)
    try:
        session = await open_session(job, hot, lock, desk, rest, earlier, account)
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
    whose = f", account ending {account.number[-LAST4:]}" if account is not None else ", sends no orders"
    rehearsed = ", a rehearsal" if job.reached.access.is_rehearsal else ""
    job.say(f"{verb} {job.symbol} {job.session.date}{whose}{rehearsed}")
    if not job.params.scalp.enabled and account is not None:
        job.say("scalp.enabled is false: nothing will be ordered; `-p scalp.enabled=true` trades")


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
            helpers = {"the offer of signals": snapshots(feed, trader)}
            if job.params.live.heartbeat_url:
                helpers["the heartbeat"] = heartbeats(job, lambda: session.recorder.is_alive(ALIVE_S))
            if session.guard.is_wanted:
                on_start = partial(_tell_guard, session)
                helpers["the watch over the guard"] = session.guard.keep(on_start, job.say)
            notifier.say(f"scalpcli {job.reached.mark} {job.symbol}: begins {job.session.date}")
            return await _run_all(session, helpers)
    finally:
        await control.close()


async def _run_all(session: Session, helpers: Mapping[str, Coroutine[Any, Any, None]]) -> LiveEnd:
    trader, recorder = session.trader, session.recorder
    # In this order: the recorder's first step hands over the first rows of the tape, before the trader stamps any.
    recording = asyncio.create_task(recorder.run())
    # What was loaded until here stays; to look through it again and again would hold up a frame for milliseconds.
    gc.collect()
    gc.freeze()
    trading = asyncio.create_task(trader.run())
    needed: list[asyncio.Task[Any]] = [trading, recording]
    if trader.parts.desk is not None:
        needed.append(asyncio.create_task(updates_stream(session.job, trader).run()))
    aside = [asyncio.create_task(_aside(session.job, name, helper)) for name, helper in helpers.items()]
    try:
        await asyncio.wait(needed, return_when=asyncio.FIRST_COMPLETED)
        if not trading.done():
            # No rows, or no updates and none to come: trading ends in order, and why is told.
            trader.end(recorder.ended or FAILED)
        end = await trading
        recorder.stop(end.ended)
        await recording
        session.failure = next((_failure_of(task) for task in needed[2:]), None)
        return end
    finally:
        for task in (*needed, *aside):
            task.cancel()
        await asyncio.gather(*needed, *aside, return_exceptions=True)


async def _aside(job: LiveJob, name: str, helper: Coroutine[Any, Any, None]) -> None:
    """Do what trading does not need: its end is told and ends nothing."""
    try:
        await helper
    except Exception as error:  # noqa: BLE001 - whatever it is, what is held must be minded
        words = error.found if isinstance(error, ScalpcliError) else type(error).__name__
        job.say(f"ALARM: {name} ended: {words}")


def _failure_of(task: asyncio.Task[Any]) -> ScalpcliError | None:
    error = task.exception() if task.done() and not task.cancelled() else None
    if error is not None and not isinstance(error, ScalpcliError):
        raise error
    return error


def _tell_guard(session: Session, pid: int) -> None:
    _tell_owner(session, guard_pid=pid)


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
            session.is_left = True
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
    outcome = Outcome(folder, end, session.recorder.failure or session.failure, result=trader.state()["result"])
    is_over = bool(trader.finished_ns)
    reason = {"reason": end.ended}
    ended = {"finished_ns": trader.finished_ns, "ended": {"ts_ns": trader.finished_ns, **reason}}
    try:
        session.facts.tell(**(ended if is_over else {"left": reason}))
    except ScalpcliError as error:
        # What is held is told all the same.
        outcome.failure = outcome.failure or error
    if session.is_left:
        # At once: whoever goes on, or `scalpcli record repair`, seals it.
        session.journal.close()
        return outcome
    try:
        # Never empty: its journal stays, so that the rows it was decided on must.
        outcome.tape = seal(session.begun, folder / TAPE_FOLDER, job.params, is_over=is_over, is_empty=False)
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
