"""Goes on where an earlier process of the run stopped, wherever that was.

Folds the run's own rows again and holds what is decided against the journal on the disk: the journal must be the
beginning of it. Decides what of the orders is certain: one whose line was on the disk may have been sent, so the broker
is asked; one whose line was not, never was. Entries decided while nobody traded are not sent any more, exits are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalpcli.core.layout import NEVER_NS
from scalpcli.core.risk import ApprovedOrder
from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.note import BROKER, LIVE, OPERATOR, RECONCILE
from scalpcli.model.order import CancelRequest, Reply
from scalpcli.model.row import COLD
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.live_orders import OrderTracker, is_entry, reply_of
from scalpcli.runtime.live_outlet import Decided
from scalpcli.runtime.live_ports import Past
from scalpcli.runtime.live_sender import NOBODY_TRADED


@dataclass(slots=True)
class Resumed:
    """What is left to do after folding.

    Attributes:
        written: Lines of the journal that are on the disk.
        commands: What must still be sent, in order.
        replies: What must still be told.
        is_begun: Whether the rows say that entries were made.
        armed_ns: When an operator armed last; 0 = never.
        answered: Replies of the simulated market that are rows already.
        last_ns: Receive time of the last row.
        adopted: Symbol -> contracts that others sold and that were adopted at their price.
        is_over: Whether the session was ended already, and only the process did not come so far as to say so.
    """

    written: int = 0
    commands: list[Decided] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    is_begun: bool = False
    armed_ns: int = 0
    answered: int = 0
    last_ns: int = 0
    adopted: dict[str, int] = field(default_factory=dict)
    is_over: bool = False


def fold_past(live: LiveEngine, tracker: OrderTracker, past: Past) -> Resumed:
    """Fold what went before; afterwards the engine stands where the earlier process stood, or later.

    Raises:
        DataError: the journal on the disk is not what these rows decide.
    """
    resumed = Resumed()
    written = whole_lines(past.journal)
    others: list[Decided] = []
    resumed.is_over = bool(written) and b'"kind":"session_end"' in written[-1]
    end_ns = _time_ns(written[-1]) if resumed.is_over else NEVER_NS
    for block in (_up_to(each, end_ns) for each in past.blocks):
        if block.rows:
            resumed.last_ns = int(block.columns["ts_recv_ns"][-1])
            live.feed([block], resumed.last_ns - 1)
            _collect(live, tracker, others)
            _follow(block, tracker, resumed)
    if written:
        # Instants after the last row were decided too; whatever comes now is stamped later than those.
        live.feed([], max(resumed.last_ns - 1, _time_ns(written[-1])))
        _collect(live, tracker, others)
    # Killed in the middle of its last lines: those that no row decides are of the sums.
    resumed.is_over = resumed.is_over or len(written) > len(live.lines)
    if resumed.is_over:
        live.finish()
    check_prefix(written, live.lines)
    resumed.written = len(written)
    _sort_out(tracker, others, _orders_in(written), resumed)
    return resumed


def _up_to(block: Block, end_ns: int) -> Block:
    """The rows of a block received up to `end_ns`."""
    rows = int(np.searchsorted(block.columns["ts_recv_ns"], end_ns, side="right"))
    if rows == block.rows:
        return block
    columns = {name: values[:rows] for name, values in block.columns.items()}
    return Block(columns, block.notes[: int(np.count_nonzero(columns["kind"] == COLD))])


def whole_lines(journal: bytes) -> list[bytes]:
    """The whole lines of a journal, each with its end; a torn last one was never acted on."""
    return journal[: journal.rfind(b"\n") + 1].splitlines(keepends=True)


def check_prefix(written: list[bytes], decided: list[bytes]) -> None:
    """Hold the journal on the disk against what its rows decide.

    Raises:
        DataError: it is not the beginning of it.
    """
    for number, line in enumerate(written):
        if number >= len(decided) or decided[number] != line:
            now = decided[number].decode().strip() if number < len(decided) else "nothing"
            raise DataError(
                f"the run's rows decide something else than its journal says: {now[:200]}",
                place=f"`decisions.jsonl`, line {number + 1}: {line.decode(errors='replace').strip()[:200]}",
                hint="another version or other settings wrote it; close what is held by hand or with the guard, "
                "and begin a new run with another `--out`",
            )


def _collect(live: LiveEngine, tracker: OrderTracker, others: list[Decided]) -> None:
    commands, live.outbox.commands = live.outbox.commands, []
    for command, decided_ns in commands:
        if isinstance(command, ApprovedOrder):
            tracker.add(command, decided_ns)
        else:
            others.append((command, decided_ns))


def _follow(block: Block, tracker: OrderTracker, resumed: Resumed) -> None:
    """Take in what the block's cold rows say of orders and of trading."""
    times = block.columns["ts_recv_ns"][block.columns["kind"] == COLD].tolist() if block.notes else []
    for time_ns, (kind, body) in zip(times, block.notes, strict=True):
        if kind == BROKER:
            resumed.answered += 1
            tracked = tracker.find(str(body["order_id"]))
            if tracked is not None:
                tracked.restore(reply_of(body))
                tracker.settle(tracked)
        elif kind == LIVE:
            resumed.is_begun = body["phase"] == "begins"
        elif kind == RECONCILE and body["action"] == "adopt" and body["price_e4"]:
            gone = int(body["held"]) - int(body["broker"])
            resumed.adopted[body["symbol"]] = resumed.adopted.get(body["symbol"], 0) + gone
        elif kind == OPERATOR and body["command"] == "arm":
            resumed.armed_ns = time_ns


def _orders_in(lines: list[bytes]) -> set[str]:
    decisions = (json.loads(line) for line in lines if b'"kind":"order"' in line)
    return {decision["order_id"] for decision in decisions}


def _sort_out(tracker: OrderTracker, others: list[Decided], on_disk: set[str], resumed: Resumed) -> None:
    for tracked in list(tracker.orders.values()):
        if tracked.order_id in on_disk:
            # It may have been sent at once, and may still be on its way.
            tracked.sent_ns = tracked.decided_ns
        elif tracked.is_ended:
            continue
        elif is_entry(tracked.order):
            resumed.replies += tracked.reject(NOBODY_TRADED)
            tracker.settle(tracked)
        else:
            resumed.commands.append((tracked.order, tracked.decided_ns))
    for command, decided_ns in others:
        if not isinstance(command, CancelRequest):
            resumed.commands.append((command, decided_ns))
            continue
        found = tracker.find(command.order_id)
        if found is not None and not found.is_ended:
            # Sent again with the next comparison, once the broker's id is known.
            found.is_cancelling = True


def _time_ns(line: bytes) -> int:
    decision: dict[str, Any] = json.loads(line)
    return int(decision["ts_ns"])
