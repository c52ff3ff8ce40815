"""What must be true when a session is over: of the journal, the account, and of what people were told."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from scalpcli.core.engine import Engine
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.market_state import MarketState
from scalpcli.model import row
from scalpcli.model.note import Note
from scalpcli.runtime.against import SilentBroker, first_difference
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.runner import Runner
from tests.simulation.world.market import DAY, INSTRUMENTS, SESSION, SYMBOL
from tests.simulation.world.settings import setup_of

REPLAYED = 4
"""Every so many schedules the rows are folded once more and held against the journal."""

GUARD = "guard "
"""What the guard sold counts by contract: an engine adopts it as a difference, without its orders' ids."""

if TYPE_CHECKING:
    from tests.simulation.world.schedule import World


def check_end(world: World) -> None:
    """Hold what the run says against what the exchange booked."""
    if world.watch.broken:
        return
    lines = [json.loads(line) for line in world.disk.journal().splitlines()]
    _check_end_of_run(world)
    _check_journal(world)
    _check_fills(world, lines)
    _check_result(world, lines[-1])
    _check_flat(world)
    if not world.watch.broken and world.seed % REPLAYED == 0:
        _check_replay(world, lines[-1]["ts_ns"])


def _check_end_of_run(world: World) -> None:
    end = world.engine.end
    if end is None:
        world.watch.fail("the run ends", "the engine did not")
    elif end.failure:
        world.watch.fail("no process fails", end.failure)


def _check_journal(world: World) -> None:
    """Whole lines that a process left stay as they are."""
    journal = world.disk.journal()
    for left in world.left:
        whole = left[: left.rfind(b"\n") + 1]
        if not journal.startswith(whole):
            world.watch.fail("a restart goes on where the journal ends", "lines of an earlier process are gone")


def _check_fills(world: World, lines: list[dict[str, Any]]) -> None:
    """Every execution is in the journal once, at its price; what the guard sold is adopted."""
    booked: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each in world.floor.executions:
        name = _name(each.order_id, each.symbol)
        booked[name][0] += each.quantity
        booked[name][1] += each.quantity * each.price_e4
    told: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in lines:
        if line["kind"] == "fill":
            name = _name(line["order_id"], "")
            told[name][0] += line["quantity"]
            told[name][1] += line["quantity"] * line["price_e4"]
        elif line["kind"] == "reconcile" and line["action"] == "adopt" and line["applied"]:
            sold = line["held"] - line["broker"]
            told[GUARD + line["symbol"]][0] += sold
            told[GUARD + line["symbol"]][1] += sold * line["price_e4"]
    end = world.engine.end
    settled = {GUARD + each.instrument.symbol for each in world.floor.account.left}
    for name in sorted(booked.keys() | told.keys()):
        if name in settled or (name.startswith(GUARD) and end is not None and not end.is_flat):
            # What was held at the close is no execution, and an engine that ended before the broker told it what the
            # guard had done says that it is not flat.
            continue
        if booked[name] != told[name]:
            found = f"{name}: the exchange booked {booked[name]}, the journal tells {told[name]} (contracts, sum e4)"
            world.watch.fail("every fill is accounted once", found)


def _check_result(world: World, ends: dict[str, Any]) -> None:
    """The result that the run states is what the account's cash changed by."""
    end, account = world.engine.end, world.floor.account
    if world.watch.broken or account.left or end is None or not end.is_flat:
        return
    changed_e4 = account.cash_e4 - account.starting_e4
    if ends["kind"] != "session_end" or ends["gross_e4"] != changed_e4:
        world.watch.fail("cash adds up", f"the account changed by {changed_e4} e4, the run says {ends}")


def _name(order_id: str, symbol: str) -> str:
    leg = order_id.rpartition("-")[2]
    return GUARD + symbol if leg.startswith("g") else order_id


def _check_flat(world: World) -> None:
    """Nothing is held at the end, or somebody was told."""
    held = {each.instrument.symbol: each.quantity for each in world.floor.account.left}
    held |= {each.instrument.symbol: each.quantity for each in world.floor.account.positions.values()}
    end = world.engine.end
    assert end is not None
    alarms = " ".join(alarm for engine in world.engines for alarm in engine.alarms)
    is_told = not end.is_flat or (world.guard_end is not None and bool(world.guard_end.held))
    is_told = is_told or all(symbol in alarms for symbol in held)
    if held and not is_told:
        world.watch.fail("ends flat or alarmed", f"{held} is held and nobody was told")
    if not held and not end.is_flat:
        world.chance.counts["not flat by its own account, though it was"] += 1


def _check_replay(world: World, ended_ns: int) -> None:
    """The rows on the disk, folded at once and without a broker, decide what is in the journal, byte for byte."""
    blocks = world.disk.blocks
    columns = {name: np.concatenate([block.columns[name] for block in blocks]) for name in row.COLUMNS}
    times = columns["ts_recv_ns"][columns["kind"] == row.COLD].tolist()
    cold = [note for block in blocks for note in block.notes]
    notes = [Note(seq, ns, *note) for seq, (ns, note) in enumerate(zip(times, cold, strict=True))]
    hot = load_kernel()
    market = MarketState(world.params, SESSION, INSTRUMENTS, hot)
    engine = Engine(setup_of(world.params), market, hot)
    journal = SessionJournal(engine, DAY, SYMBOL)
    engine.start()
    until_ns = ended_ns if ended_ns < SESSION.close_ns else NEVER_NS - 1
    batch = row.RowBatch.from_columns(columns)
    batch = batch.slice(0, int(np.searchsorted(batch.ts_recv_ns, until_ns, side="right")))
    Runner(engine, market, SilentBroker(), notes, journal.step).run([batch], until_ns)
    engine.finish(min(until_ns, SESSION.close_ns))
    journal.step()
    difference = first_difference(world.disk.journal().splitlines(keepends=True), journal.lines, is_whole=True)
    if difference is not None:
        world.watch.fail("its rows replay to its journal", str(difference))
