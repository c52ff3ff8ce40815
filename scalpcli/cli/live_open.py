"""Makes a session ready to trade: recording, first rows, market, trader, each from what the one before it knows.

Decides what the first rows of a run are, what it may go on with, and what `live.json` says of it. Leaves the order of
things before and after to `live_run.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
from typing import Any, Final

from scalpcli import __version__
from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.cli.live_job import LiveJob
from scalpcli.cli.live_past import Earlier, check_same
from scalpcli.cli.live_rows import Market, Rows, Wake, open_rows
from scalpcli.cli.live_wire import Guard
from scalpcli.cli.record_feed import MarketPlan
from scalpcli.core.engine import Setup
from scalpcli.core.market_state import Kernel
from scalpcli.errors import ScalpcliError
from scalpcli.model.broker import BrokerAccount
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import UNDERLYING_ID
from scalpcli.runtime import clock as clocks
from scalpcli.runtime.live_ports import LiveLimits, LiveParts
from scalpcli.runtime.recorder import Limits, Recorder, check_room
from scalpcli.runtime.recorder_figures import RecordingFigures
from scalpcli.runtime.recording import Begun, begin
from scalpcli.runtime.replay import fee_schedule
from scalpcli.runtime.run_files import TAPE_FOLDER, JournalFile, RunFacts, facts_of
from scalpcli.runtime.run_lock import RunLock, RunOwner, this_process
from scalpcli.runtime.trader import Trader

FLAT_WITHIN_S: Final = 60.0
"""Seconds an end that sells first waits for being flat."""
LAST4: Final = 4
_FLUSH_MS_MAX: Final = 40
_NONCE_CHARACTERS: Final = 6


@dataclasses.dataclass(slots=True)
class Session:
    """A session being traded."""

    job: LiveJob
    hot: Kernel
    begun: Begun
    market: Market
    recorder: Recorder
    trader: Trader
    journal: JournalFile
    facts: RunFacts
    guard: Guard
    owner: RunOwner
    lock: RunLock
    failure: ScalpcliError | None = None
    """What ended beside trading and was needed."""
    is_left: bool = False
    """Whether the process leaves at once."""


async def open_session(
    job: LiveJob,
    hot: Kernel,
    lock: RunLock,
    desk: AlpacaDesk | None,
    rest: AlpacaRest,
    earlier: Earlier,
    account: BrokerAccount | None,
) -> Session:
    """Make everything ready to trade: the recording, the rows before the first, the market, the trader.

    Raises:
        ScalpcliError: something that must be known is not to be had, or another run's settings are on the disk.
    """
    access, params, folder = job.reached.access, job.params, job.folder
    plan = MarketPlan(job.symbol, job.session, params.record, access)
    header = _header(plan)
    begun = await asyncio.to_thread(begin, folder / TAPE_FOLDER, job.session, params.record, header)
    try:
        check_room(shutil.disk_usage(begun.folder).free, params.record.min_free_gb, folder)
        wake = Wake()
        rows = await open_rows(job, plan, rest, begun.continuation, earlier, wake)
        market = rows.market
        recorder = _recorder(job, rows, begun)
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
        nonce = earlier.facts.get("nonce") or rows.nonce
        facts = RunFacts(folder, facts_of(setup, **_facts(job, account, header), nonce=nonce))
        trader = Trader(parts)
        wake.tell = trader.wake
    except BaseException:
        begun.log.abandon()
        if begun.continuation is None:
            # Nothing stays that would look like a session.
            shutil.rmtree(folder / TAPE_FOLDER, ignore_errors=True)
        raise
    return Session(job, hot, begun, market, recorder, trader, journal, facts, guard, this_process(), lock)


def _recorder(job: LiveJob, rows: Rows, begun: Begun) -> Recorder:
    continuation = begun.continuation
    return Recorder(
        rows.market,
        begun.log,
        # An order waits until the rows it was decided on are written: the fewer of them wait, the sooner it leaves.
        params=dataclasses.replace(job.params.record, flush_ms=min(job.params.record.flush_ms, _FLUSH_MS_MAX)),
        clock=job.reached.access.clock,
        # The trader ends it; this is for a trader that never does.
        limits=Limits(job.session.close_ns + (job.session.close_ns - job.session.open_ns), begun.folder),
        head=rows.head,
        figures=RecordingFigures(
            continuation.conditions if continuation else (),
            job.say,
            len(continuation.instruments) if continuation else 0,
        ),
    )


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
        "source": "tap" if job.tapped is not None else "alpaca",
    }


def _facts(job: LiveJob, account: BrokerAccount | None, header: dict[str, Any]) -> dict[str, Any]:
    access, asked = job.reached.access, job.reached.asked
    return {
        "pid": os.getpid(),
        "started_utc": clocks.utc_now().isoformat(timespec="seconds"),
        "rehearse": access.params.trading_url if access.is_rehearsal else "",
        "enabled_in": asked.enabled_in if asked.is_live else "",
        "account_last4": account.number[-LAST4:] if account is not None else "",
        "kill_file": str(job.kill_file.absolute()),
        "feeds": header["feeds"],
        "until_ns": job.until_ns,
        "finished_ns": 0,
        "command": job.command,
    }
