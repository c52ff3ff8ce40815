"""`scalpcli live guard`: a process that takes the position out when the trading one stops answering.

Wires the guard (`runtime/guard.py`) to the run's files, its process and the broker. One guard watches a run; a second
one stands by and takes the first one's place when that is gone, so that an engine that is started again is never
without one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scalpcli.cli.options import Verbose
from scalpcli.errors import DataError, NotFlat, ScalpcliError, StoppedByProtection, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scalpcli.adapters.alpaca_orders import AlpacaDesk
    from scalpcli.adapters.notify import Notifier
    from scalpcli.cli.live_access import Reached
    from scalpcli.model.params import Params
    from scalpcli.runtime.clock import MarketClock
    from scalpcli.runtime.guard_ports import GuardEnd, GuardRules
    from scalpcli.runtime.process_identity import ProcessIdentity
    from scalpcli.runtime.run_lock import RunOwner

EXAMPLE: Final = "scalpcli live guard live/paper/TSLA/2026-11-20"
LOCK_FILE: Final = ".guard.lock"
WORDS_FILE: Final = "guard.jsonl"
"""In the run's folder: every word of its guards, a line each."""
_QUOTE_S: Final = 4.0
"""Seconds that the bid of a sale may take; without one it goes at any price."""
_STAND_BY_S: Final = 1.0
_EXCHANGE_GONE_S: Final = 60.0
"""Seconds of silence after which a rehearsal's exchange has ended: nothing of worth is held there."""


def guard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder")],
    account_ends: Annotated[
        str, typer.Option("--account-ends", metavar="1234", help="LIVE: the account's last 4", show_default=False)
    ] = "",
    verbose: Verbose = False,
) -> None:
    """Watch a run, and sell what it holds when its process stops answering.

    `live run` starts one by itself. It asks the process about once a second. When it has not answered for
    `live.guard_timeout_s` while something is held or works at the broker, it ends the process, takes its orders back,
    sells what the broker says is held, and tells. It leaves when the run has ended with nothing held.

    Leaves with 7 when it had to act and nothing is held, with 8 when something is.
    """
    del verbose
    folder = run.resolve()
    end = asyncio.run(_watch(folder, account_ends))
    if end is None:
        return
    if end.held:
        held = ", ".join(f"{quantity} {symbol}" for symbol, quantity in end.held.items())
        raise NotFlat(
            f"still held: {held} ({end.reason})",
            place=f"`{folder}`",
            hint=f"sell by hand at the broker now; `scalpcli live status --run {folder}` tells how",
        )
    if end.acted:
        raise StoppedByProtection(f"the guard took the position out: {end.reason}", place=f"`{folder / 'fence.json'}`")


async def _watch(folder: Path, account_ends: str) -> GuardEnd | None:
    """Stand by until no other guard is there, then watch; nothing where the run ended or has yet another guard.

    Raises:
        ScalpcliError: the run is no run, or what its mode needs is not there.
    """
    from scalpcli.runtime.run_files import read_run_facts
    from scalpcli.runtime.run_lock import only_one

    if not read_run_facts(folder):
        raise DataError("the folder is no run of `live`", place=f"`{folder}`", hint=f"name one, like {EXAMPLE}")
    process = RunProcess(folder)
    while (lock := only_one(folder / LOCK_FILE)) is None:
        if process.has_ended() or not process.is_here() or process.has_other_guard():
            return None
        await asyncio.sleep(_STAND_BY_S)
    try:
        return await _guard(folder, process, account_ends)
    finally:
        lock.release()


async def _guard(folder: Path, process: RunProcess, account_ends: str) -> GuardEnd:
    from scalpcli.adapters.alpaca_orders import AlpacaDesk
    from scalpcli.adapters.notify import Notifier
    from scalpcli.runtime.against_facts import read_facts
    from scalpcli.runtime.guard import Guard

    facts = read_facts(folder)
    reached = _reached(folder, facts.params, account_ends)
    access, live = reached.access, facts.params.live
    notifier = Notifier(live.notify)
    desk = AlpacaDesk(access.params.trading_url, access.key, access.secret, live, now_ns=access.clock.now_ns)
    say = _teller(folder, reached, facts.symbol, notifier)
    rules = rules_of(facts.params)
    if access.is_rehearsal:
        rules = dataclasses.replace(rules, broker_gone_s=_EXCHANGE_GONE_S)
    try:
        await _check_account(reached, desk)
        watch = Guard(
            folder,
            process,
            desk,
            Bids(reached, facts.params),
            GuardTime(access.clock),
            rules,
            say,
            close_ns=facts.session.close_ns,
        )
        end = await watch.run()
    finally:
        await notifier.close()
        await desk.close()
    return end


async def _check_account(reached: Reached, desk: AlpacaDesk) -> None:
    """Hold the account that the keys open against the run's.

    Raises:
        UsageError: it is another one.
    """
    from scalpcli.cli.live_access import check_account
    from scalpcli.model.broker import BrokerSilent

    try:
        account = await desk.account()
    except BrokerSilent:
        # Nobody is kept from watching by that: what is ours is known by its orders' names.
        return
    check_account(reached, account.number)


def _reached(folder: Path, params: Params, account_ends: str) -> Reached:
    """The way to the run's broker, by the settings it began with.

    Raises:
        ScalpcliError: a lock of its mode is closed.
        UsageError: it sends no orders.
    """
    from scalpcli.cli.live_access import reopen
    from scalpcli.cli.live_mode import Mode
    from scalpcli.config import Loaded
    from scalpcli.runtime.run_files import read_run_facts

    facts = read_run_facts(folder)
    # Before keys are looked for: it has no use for any.
    if facts.get("mode") == Mode.SHADOW:
        raise UsageError("SHADOW sends no orders: there is nothing to guard", place=f"`{folder}`")
    if params.live.guard_timeout_s <= 0:
        raise UsageError("`live.guard_timeout_s` is 0: the run has no guard", place=f"`{folder}`")
    return reopen(facts, Loaded(params, {}), os.environ, account_ends)


def rules_of(params: Params) -> GuardRules:
    """How patient a guard is, by a run's settings."""
    from scalpcli.runtime.guard_ports import GuardRules

    return GuardRules(
        timeout_s=params.live.guard_timeout_s,
        through_ticks=params.risk.exit_through_ticks,
        is_shared=params.live.foreign == "ignore",
    )


def _teller(folder: Path, reached: Reached, symbol: str, notifier: Notifier) -> Callable[[str], None]:
    """Says a word everywhere: stderr, the run's folder, and whoever is notified."""
    from scalpcli.config_secrets import redact

    def say(words: str) -> None:
        words = redact(words, os.environ)
        print(f"{reached.mark} guard: {words}", file=sys.stderr, flush=True)  # noqa: T201 - words go to stderr
        notifier.say(f"scalpcli {reached.mark} {symbol}: guard: {words}")
        line = json.dumps({"ts_ns": reached.access.clock.now_ns(), "text": words}, ensure_ascii=False)
        try:
            with (folder / WORDS_FILE).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            # A full disk keeps nobody from selling.
            return

    return say


class RunProcess:
    """The engine of a run, by its files, its socket and its process id.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        from scalpcli.runtime.run_lock import RunLock

        self._folder = folder
        self._lock = RunLock(folder)
        self._is_locked = False
        self._inode = folder.stat().st_ino

    async def ping(self, answer_s: float) -> bool:
        """Whether the engine answers within `answer_s` seconds; no wait where nobody listens."""
        from scalpcli.errors import UpstreamUnavailable
        from scalpcli.runtime.control import ControlClient

        path = self._owner().control
        if not path:
            return False
        try:
            async with asyncio.timeout(answer_s):
                client = await ControlClient.open(path, answer_s=answer_s)
                try:
                    await client.ask("ping")
                finally:
                    await client.close()
        except (UpstreamUnavailable, UsageError, TimeoutError):
            return False
        return True

    def identity(self) -> ProcessIdentity | None:
        """The process that holds the run, or held it last."""
        return self._owner().process

    def is_running(self, process: ProcessIdentity) -> bool:
        """Whether this very process still runs, stopped ones included."""
        from scalpcli.runtime.process_identity import is_running

        return is_running(process)

    def kill(self, process: ProcessIdentity) -> None:
        """End this very process at once.

        Raises:
            PermissionError: it is another user's.
        """
        from scalpcli.runtime.process_identity import kill

        kill(process)

    def lock(self) -> bool:
        """Take the run's lock; whether that was possible."""
        self._is_locked = self._is_locked or self._lock.try_acquire()
        return self._is_locked

    def unlock(self) -> None:
        """Give the run's lock back, where it was taken."""
        if self._is_locked:
            self._lock.release()
        self._is_locked = False

    def has_ended(self) -> bool:
        """Whether the run is over, or its engine left in order: that takes its name away."""
        from scalpcli.runtime.run_files import read_run_facts
        from scalpcli.runtime.run_lock import is_run_held

        try:
            is_over = bool(read_run_facts(self._folder).get("ended"))
        except ScalpcliError:
            is_over = False
        return is_over or (not self._owner().pid and not is_run_held(self._folder))

    def has_other_guard(self) -> bool:
        """Whether the engine started a guard that runs and is not this process: two stand by for one no longer."""
        from scalpcli.runtime.process_identity import identity_of

        pid = self._owner().guard_pid
        return pid not in (0, os.getpid()) and identity_of(pid) is not None

    def is_here(self) -> bool:
        """Whether the run still lies where it lay."""
        try:
            return self._folder.stat().st_ino == self._inode
        except OSError:
            return False

    def _owner(self) -> RunOwner:
        from scalpcli.runtime.run_lock import read_run_owner

        return read_run_owner(self._folder)


class GuardTime:
    """Time of the market and of this machine."""

    def __init__(self, market: MarketClock) -> None:
        self._market = market

    def now_ns(self) -> int:
        """Time at the market, UTC nanoseconds."""
        return self._market.now_ns()

    def seconds(self) -> float:
        """A clock that only goes forward."""
        from scalpcli.runtime.clock import seconds

        return seconds()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


class Bids:
    """Asks for the last quote of a contract, for a moment only: a sale waits for it.

    Args:
        reached: The way to the broker.
        params: Settings, for the feed.
    """

    def __init__(self, reached: Reached, params: Params) -> None:
        self._access = reached.access
        self._feed = params.record.option_feed

    async def __call__(self, symbol: str) -> int:
        """The best bid, 1/10000 USD; 0 where nobody says in time."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._ask, symbol), _QUOTE_S)
        except (TimeoutError, ScalpcliError):
            return 0

    def _ask(self, symbol: str) -> int:
        from scalpcli.adapters.alpaca_rest import AlpacaRest
        from scalpcli.units import usd_to_e4

        rest = AlpacaRest(self._access.params, self._access.key, self._access.secret)
        try:
            quote: Mapping[str, Any] = rest.latest_option_quotes([symbol], self._feed).get(symbol, {})
        finally:
            rest.close()
        bid = quote.get("bp")
        return usd_to_e4(float(bid)) if isinstance(bid, int | float) else 0
