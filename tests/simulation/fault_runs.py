"""A recorder against a local exchange that goes wrong by script: one run, and what it left.

Decides how a run is made: the real `record` in this process, a local exchange in a thread, ninety seconds of a
synthetic session at sixty times real time, time-outs scaled down alike. Leaves which faults are tried to
`fault_scenarios.py` and whether the tape is right to `fault_truth.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from scalpcli.cli import record_run
from scalpcli.cli.alpaca_access import access
from scalpcli.cli.record_run import Job
from scalpcli.errors import ScalpcliError
from scalpcli.exchange.fault_script import read_script
from scalpcli.exchange.local_thread import ExchangeThread, exchange_thread
from scalpcli.exchange.serving import ServingRules
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.model.params import AlpacaParams, Params, RecordParams
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.recorder import TERMINATED
from scalpcli.runtime.tape import Tape
from tests.exchange_samples import make_tape
from tests.tape_samples import OPEN, SESSION

NS_PER_S: Final = 1_000_000_000
SPEED: Final = 60.0
START_NS: Final = OPEN + 60 * NS_PER_S
UNTIL_NS: Final = OPEN + 150 * NS_PER_S
PATIENCE_S: Final = 30.0
"""A run that takes longer hangs."""
_AMID_S: Final = 0.5
_SETTLED_S: Final = 0.12
"""How long nothing may change before a recorder has got everything."""
_SETTLE_S_MAX: Final = 3.0

ALPACA: Final = AlpacaParams(
    connect_s=3.0,
    answer_s=3.0,
    stale_stock_s=0.4,
    stale_option_s=0.4,
    backoff_first_s=0.03,
    backoff_max_s=0.2,
    backoff_slow_s=0.08,
    history_wait_s=0.1,
)
RECORD: Final = RecordParams(dte=(0,), strikes=500, greeks_s=0.0, flush_ms=50, min_free_gb=0.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run.

    Attributes:
        name: What it is called.
        faults: Entries of the exchange's script, as flags.
        seed: Of all chance in them.
        step_s: Our own clock steps by so many seconds of the market, in the middle of serving.
        error: Class of the error that must end the recording; none where it must end in order.
        wait_for: Streams that must be there before anything is served.
        restarts: Whether the recorder is ended amid serving and started again.
    """

    name: str
    faults: tuple[str, ...] = ()
    seed: int = 1
    step_s: float = 0.0
    error: type[ScalpcliError] | None = None
    wait_for: int = 2
    restarts: bool = False

    @property
    def kinds(self) -> list[str]:
        """Names of the faults in it."""
        own = ["our clock"] * bool(self.step_s) + ["restart"] * self.restarts
        return own + [fault.partition("=")[0] + _code(fault) for fault in self.faults]


def _code(fault: str) -> str:
    return next((f" {part[5:]}" for part in fault.split(",") if part.startswith("code=")), "")


class SteppedClock(MarketClock):
    """Our clock, which somebody sets while we record.

    Args:
        right: The clock without the step.
        step_ns: The step; 0 for none.
    """

    def __init__(self, right: MarketClock, step_ns: int) -> None:
        self.speed = right.speed
        self._right = right
        self._step_ns = step_ns
        self._at_ns = (START_NS + UNTIL_NS) // 2

    def now_ns(self) -> int:
        now_ns = self._right.now_ns()
        return now_ns + self._step_ns if now_ns >= self._at_ns else now_ns


@dataclass(slots=True)
class Run:
    """What a run left.

    Attributes:
        scenario: What was tried.
        served: The tape that was served.
        log: What the exchange really did.
        failure: What ended the recording, if not the end of serving.
        tape: The sealed tape; none where there was nothing to record.
        status: The recorder's figures.
        started_ns: When the recorder began to listen, the exchange's time.
        ahead_ns: By how much our clock was ahead of the exchange's before any step.
        stopped_ns: When it was stopped, the exchange's time.
        restarted_ns: When it was ended to be started again, or 0.
    """

    scenario: Scenario
    served: Tape
    log: ServingLog
    failure: ScalpcliError | None = None
    tape: Path | None = None
    status: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    started_ns: int = 0
    ahead_ns: int = 0
    stopped_ns: int = 0
    restarted_ns: int = 0


def served_tape(root: Path, seed: int) -> Path:
    """Ten minutes of a synthetic session; the second and half of the third are served."""
    return make_tape(root, 24_000, minutes=10, halt=False, contracts=8, seed=seed)


def record_through(scenario: Scenario, tape: Path, out: Path) -> Run:
    """Record what an exchange serves while things go wrong."""
    script = read_script(None, list(scenario.faults), SESSION, seed=scenario.seed)
    serving = ServingRules(START_NS, UNTIL_NS, scenario.wait_for)
    with exchange_thread(tape, speed=SPEED, faults=script, serving=serving) as exchange:
        params = Params(alpaca=ALPACA, record=RECORD)
        given = access(params, {"HOME": str(out)}, exchange.exchange.rest_url)
        clock = SteppedClock(given.clock, round(scenario.step_s * NS_PER_S))
        run = Run(scenario, Tape.open(tape), exchange.exchange.log)
        run.ahead_ns = given.clock.now_ns() - exchange.exchange.market.now_ns()
        job = Job(["TSLA"], params, dataclasses.replace(given, clock=clock), out, "close", False, run.said.append)
        if scenario.restarts:
            asyncio.run(_record(job, run, exchange, _AMID_S))
            run.restarted_ns = run.stopped_ns
            started_ns = run.started_ns
            asyncio.run(_record(job, run, exchange))
            run.started_ns = started_ns
        else:
            asyncio.run(_record(job, run, exchange))
    return run


async def _record(job: Job, run: Run, exchange: ExchangeThread, for_s: float = PATIENCE_S) -> None:
    @contextlib.asynccontextmanager
    async def screen(session: record_run.Session) -> AsyncIterator[None]:
        run.started_ns = exchange.exchange.market.now_ns()
        stopping = asyncio.create_task(_stop_when_served(session, exchange, for_s))
        try:
            yield
        finally:
            run.stopped_ns = exchange.exchange.market.now_ns()
            stopping.cancel()
            await asyncio.wait({stopping})

    try:
        async with asyncio.timeout(PATIENCE_S):
            session = await record_run.run(job, screen)
    except ScalpcliError as error:
        # What must be known before recording was not to be had.
        run.failure = error
        return
    assert session is not None
    (track,) = session.tracks
    run.failure, run.tape, run.status = track.recorder.failure, track.tape, track.recorder.status()


async def _stop_when_served(session: record_run.Session, exchange: ExchangeThread, for_s: float) -> None:
    """End the recording once the exchange has nothing more to say and everything has arrived, or after `for_s`."""
    loop_s = asyncio.get_running_loop().time
    leave_s = loop_s() + for_s
    # The exchange has a thread and a loop of its own.
    while not exchange.ended.is_set() and loop_s() < leave_s:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    if not exchange.ended.is_set():
        session.stop(TERMINATED)
        return
    end_s = loop_s() + _SETTLE_S_MAX
    before, since_s = None, loop_s()
    while loop_s() < end_s and loop_s() - since_s < _SETTLED_S:
        status = session.tracks[0].recorder.status()
        now = (status["rows"], status["source"]["backfilled"])
        if now != before or status["source"]["backfills_waiting"]:
            before, since_s = now, loop_s()
        await asyncio.sleep(0.01)
    session.stop(TERMINATED)


def all_rows(tape: Path) -> pl.DataFrame:
    """Every row of a tape with its place, codes as their texts."""
    opened = Tape.open(tape)
    manifest = opened.manifest
    rows = pl.read_parquet(tape / "rows.parquet").with_row_index("at")

    def texts(of: list[str] | tuple[str, ...], column: str) -> pl.Series:
        return pl.Series(list(of), dtype=pl.String).gather(rows[column].cast(pl.UInt32))

    return rows.with_columns(
        at=pl.col("at").cast(pl.Int64),
        symbol=texts([one.symbol for one in opened.instruments], "instrument_id"),
        conditions_text=texts(manifest.conditions, "conditions"),
        exchange_text=texts(manifest.exchanges, "exchange"),
        ask_exchange_text=texts(manifest.exchanges, "ask_exchange"),
    )
