"""What a trading process has beside its loop: the broker's desk and updates, the guard, a screen, heartbeats, words.

Decides how each is started, told and ended. Leaves what is traded to `runtime/trader.py` and the order of things to
`live_run.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_orders_wire import broker_update
from scalpcli.adapters.alpaca_stream import Stream
from scalpcli.adapters.alpaca_updates import TradeUpdate, UpdatesEndpoint
from scalpcli.adapters.notify import Notifier, beat
from scalpcli.adapters.signal_feed import SignalFeed
from scalpcli.cli.live_access import check_account
from scalpcli.cli.live_job import LiveJob
from scalpcli.cli.live_mode import Mode
from scalpcli.cli.live_words import line_of, notice_of
from scalpcli.errors import CredentialsError, UpstreamUnavailable
from scalpcli.model.broker import BrokerAccount, BrokerSilent
from scalpcli.runtime.trader import Trader

GUARD_WORDS: Final = "guard.txt"
"""In the run's folder: what the guard says."""
_GUARD_LOOK_S: Final = 1.0
_GUARD_PAUSE_S_MAX: Final = 60.0
_STATE_S: Final = 1.0
_UPDATES_PATH: Final = "/stream"


def open_desk(job: LiveJob) -> AlpacaDesk | None:
    """The broker; nothing in SHADOW, which sends nothing."""
    if job.reached.mode is Mode.SHADOW:
        return None
    access = job.reached.access
    return AlpacaDesk(access.params.trading_url, access.key, access.secret, job.params.live, now_ns=access.clock.now_ns)


async def known_account(job: LiveJob, desk: AlpacaDesk | None) -> BrokerAccount | None:
    """The account behind the keys, held against the one that was named; nothing in SHADOW.

    Raises:
        CredentialsError: the broker refuses the keys.
        UpstreamUnavailable: it does not answer.
        UsageError: it is another account.
    """
    if desk is None:
        return None
    try:
        account = await desk.account()
        await desk.warm()
    except BrokerSilent as silent:
        if silent.is_refused:
            raise CredentialsError(
                f"the broker refuses the keys: {silent.reason}",
                place=f"`{job.reached.access.key_origin}`",
                hint="`scalpcli doctor` looks at keys and accounts",
            ) from None
        raise UpstreamUnavailable(f"the broker does not tell the account: {silent.reason}") from None
    check_account(job.reached, account.number)
    return account


def updates_stream(job: LiveJob, trader: Trader) -> Stream:
    """The broker's stream of order updates, told to the trader."""
    access = job.reached.access

    def take(update: TradeUpdate) -> None:
        trader.take_update(broker_update(update))

    endpoint = UpdatesEndpoint(
        f"{access.params.trading_stream_url.rstrip('/')}{_UPDATES_PATH}",
        (access.key, access.secret),
        on_update=take,
        on_ready=trader.updates_ready,
        on_down=trader.updates_down,
    )
    return Stream(endpoint, access.params)


def tell_lines(job: LiveJob, notifier: Notifier) -> Callable[[dict[str, Any]], None]:
    """Prints and sends what is decided, one line each, with the mode and the time at the market."""
    from scalpcli.model.session import ns_to_new_york

    def tell(event: dict[str, Any]) -> None:
        # Alarms come through `say`, with those that are no decisions.
        words = line_of(event) if event["kind"] != "alarm" else ""
        if words:
            job.say(f"{ns_to_new_york(event['ts_ns'])[:8]} {words}")
        # An alarm that is a decision is told twice, once as such.
        notice = notice_of(event) if "about" not in event else ""
        if notice:
            notifier.say(f"scalpcli {job.reached.mark} {job.symbol}: {notice}")

    return tell


class Guard:
    """The guard's process, kept alive while trading goes on.

    Args:
        job: The run.
    """

    def __init__(self, job: LiveJob) -> None:
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to guard."""
        return self._job.reached.mode is not Mode.SHADOW and self._job.params.live.guard_timeout_s > 0

    def status(self) -> dict[str, Any]:
        """Its process and whether it lives, for `Trader.state`."""
        if self._process is None:
            return {"pid": None, "alive": None}
        return {"pid": self._process.pid, "alive": self._process.poll() is None}

    def start(self) -> int:
        """Begin to guard; its process."""
        job = self._job
        asked = job.reached.asked
        words = ["--account-ends", asked.account_ends] if asked.account_ends else []
        with (job.folder / GUARD_WORDS).open("ab") as said:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
                [sys.executable, "-m", "scalpcli", "live", "guard", str(job.folder), *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=dict(job.environ),
                # It outlives this process: that is what it is for.
                start_new_session=True,
            )
        return self._process.pid

    async def keep(self, on_start: Callable[[int], None], alarm: Callable[[str], None]) -> None:
        """Start it, and again whenever it is gone."""
        on_start(self.start())
        pause_s = _GUARD_LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            if self._process is not None and self._process.poll() is not None:
                alarm(f"the guard ended with code {self._process.returncode}; it is started again")
                on_start(self.start())
                # One that cannot begin is not tried every second for a day.
                pause_s = min(2.0 * pause_s, _GUARD_PAUSE_S_MAX)


@contextlib.asynccontextmanager
async def screen(job: LiveJob) -> AsyncIterator[None]:
    """Show `live watch` in a process of its own while the block runs, where that is wanted."""
    if not job.is_watched:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scalpcli", "live", "watch", "--run", str(job.folder)
    )
    job.out.hold()
    left = asyncio.create_task(process.wait())
    left.add_done_callback(lambda _: job.out.release())
    try:
        yield
    finally:
        if process.returncode is None:
            # It leaves by itself when the socket closes; a moment later it is told to.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STATE_S)
        if process.returncode is None:
            process.terminate()
        await left


async def heartbeats(job: LiveJob, is_alive: Callable[[], bool]) -> None:
    """Tell whoever watches from outside, every `heartbeat_s`, while rows are written."""
    params = job.params.live
    while True:
        if is_alive():
            await beat(params.heartbeat_url)
        await asyncio.sleep(params.heartbeat_s)


async def snapshots(feed: SignalFeed, trader: Trader) -> None:
    """Offer the state to the signals' listeners once a second."""
    while True:
        if feed.server.count:
            feed.state(trader.state())
        await asyncio.sleep(_STATE_S)
