"""What commands do at the broker themselves, where no process of the run is there to ask.

Decides that nobody else may send orders meanwhile: the run's lock is taken first. Selling is the guard's: orders back,
their ends awaited, the position read, one sale at a time, each written to the fence before it is sent, so that a run
that goes on afterwards knows it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalpcli.cli.live_access import Reached, check_account, reopen, type_ends_at_terminal
from scalpcli.cli.live_find import FoundRun
from scalpcli.cli.live_mode import Mode
from scalpcli.errors import CredentialsError, NotFlat, UpstreamUnavailable, UsageError
from scalpcli.model.broker import BrokerSilent
from scalpcli.units import e4_to_usd

if TYPE_CHECKING:
    from scalpcli.adapters.alpaca_orders import AlpacaDesk
    from scalpcli.runtime.against_facts import LiveFacts
    from scalpcli.runtime.guard_sale import Stake

Say = Callable[[str], None]


def ask_broker(found: FoundRun, what: str, config: list[str] | None, account_ends: str) -> list[dict[str, Any]]:
    """The account's positions or open orders, a row each.

    Raises:
        ScalpcliError: the broker cannot be asked.
    """
    return asyncio.run(_ask(found, what, config, account_ends))


def flatten_alone(found: FoundRun, config: list[str] | None, account_ends: str, say: Say) -> None:
    """Take the run's orders back and sell its contracts.

    Raises:
        UsageError: another process may send the run's orders.
        NotFlat: something is still held.
        ScalpcliError: the broker cannot be asked.
    """
    from scalpcli.runtime.run_lock import RunLock

    lock = RunLock(found.folder)
    if not lock.try_acquire():
        raise UsageError(
            f"process {found.owner.pid or '(unknown)'} holds the run and does not answer",
            place=f"`{found.folder}`",
            hint=f"its guard sells after a while; or end it first: `kill -KILL {found.owner.pid or 'PID'}`, then again",
        )
    try:
        asyncio.run(_flatten(found, config, account_ends, say))
    finally:
        lock.release()


def _reach(found: FoundRun, config: list[str] | None, account_ends: str) -> tuple[Reached, LiveFacts]:
    from scalpcli.config import Loaded, load
    from scalpcli.runtime.against_facts import read_facts

    facts = read_facts(found.folder)
    loaded = load(config) if config else Loaded(facts.params, {})
    reached = reopen(found.facts, loaded, os.environ, account_ends, type_ends_at_terminal())
    if reached.mode is Mode.SHADOW:
        raise UsageError("SHADOW sends no orders: the broker has none of its", place=f"`{found.folder}`")
    return reached, facts


async def _desk(reached: Reached, facts: LiveFacts) -> AlpacaDesk:
    from scalpcli.adapters.alpaca_orders import AlpacaDesk

    access = reached.access
    desk = AlpacaDesk(
        access.params.trading_url, access.key, access.secret, facts.params.live, now_ns=access.clock.now_ns
    )
    try:
        check_account(reached, (await _told(desk.account())).number)
    except BaseException:
        await desk.close()
        raise
    return desk


async def _told(question: Any) -> Any:
    """An answer of the broker.

    Raises:
        CredentialsError: it refuses the keys.
        UpstreamUnavailable: it does not answer.
    """
    try:
        return await question
    except BrokerSilent as silent:
        if silent.is_refused:
            raise CredentialsError(f"the broker refuses the keys: {silent.reason}") from None
        raise UpstreamUnavailable(
            f"the broker does not answer: {silent.reason}", hint="its dashboard may: https://app.alpaca.markets"
        ) from None


async def _ask(found: FoundRun, what: str, config: list[str] | None, account_ends: str) -> list[dict[str, Any]]:
    reached, facts = _reach(found, config, account_ends)
    desk = await _desk(reached, facts)
    try:
        if what == "positions":
            return [
                {"symbol": each.symbol, "quantity": each.quantity, "available": each.available,
                 "average": e4_to_usd(each.average_e4)}
                for each in await _told(desk.positions())
            ]  # fmt: skip
        return [
            {"order_id": each.order_id or f"not ours: {each.broker_id}", "side": each.side, "symbol": each.symbol,
             "quantity": each.quantity, "filled": each.filled, "kind": each.kind, "limit": e4_to_usd(each.limit_e4),
             "status": each.status}
            for each in await _told(desk.open_orders())
        ]  # fmt: skip
    finally:
        await desk.close()


async def _flatten(found: FoundRun, config: list[str] | None, account_ends: str, say: Say) -> None:
    from scalpcli.cli.live_guard import Bids, GuardTime, rules_of
    from scalpcli.runtime.guard_fence import Fence, FenceKeeper, Phase
    from scalpcli.runtime.guard_journal import JournalBook
    from scalpcli.runtime.guard_sale import AfterClose, Evacuation

    reached, facts = _reach(found, config, account_ends)
    clock = reached.access.clock
    book = JournalBook(found.folder, close_ns=facts.session.close_ns)
    book.read()
    if not book.orders:
        say("the run sent no order: there is nothing of it to sell")
        return
    keeper = FenceKeeper(found.folder, say)
    desk = await _desk(reached, facts)
    out = Evacuation(book, keeper, desk, Bids(reached, facts.params), GuardTime(clock), rules_of(facts.params), say)
    try:
        stake: Stake = await _told(out.stake())
        if not stake:
            say("flat: the broker says that nothing of this run is held or works")
            return
        say(f"at stake: {stake}; taking it out")
        owner = found.owner
        keeper.begin(
            Fence(1, Phase.CANCELLING, "`live flatten` without a process", clock.now_ns(), owner.pid, owner.started,
                  held=stake.held)
        )  # fmt: skip
        try:
            await out.run()
            held: dict[str, int] = {}
        except AfterClose:
            held = (await _told(out.stake())).held
        keeper.update(phase=Phase.DONE, is_flat=not held, held=held, ended_ns=clock.now_ns())
    finally:
        await desk.close()
    if held:
        words = ", ".join(f"{quantity} {symbol}" for symbol, quantity in held.items())
        raise NotFlat(f"still held: {words}", place=f"`{found.folder}`", hint="sell by hand on the dashboard now")
    say("flat: the broker says that nothing of this run is held")
