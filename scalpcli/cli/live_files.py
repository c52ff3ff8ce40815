"""What the files of a run tell where no process answers: the shape of `Trader.state`, most of it unknown.

Decides whose word counts. What is held is what the journal says was bought and not sold, unless a guard, or `live
flatten` without a process, acted after its last line: then it is what the broker told them.
"""

from __future__ import annotations

import os
from typing import Any

from scalpcli.cli.live_find import FoundRun
from scalpcli.errors import DataError
from scalpcli.runtime.guard_fence import Fence, Phase, read_fence
from scalpcli.runtime.guard_journal import JournalBook
from scalpcli.runtime.process_identity import identity_of


def state_of_files(found: FoundRun) -> dict[str, Any]:
    """The state as the files tell it."""
    facts = found.facts
    book = JournalBook(found.folder)
    book.read()
    fence, trouble = _fence(found)
    is_fence_newer = fence is not None and fence.phase is not Phase.LEFT and fence.at_ns > book.last_ns
    held = fence.held if fence is not None and is_fence_newer else book.held
    is_taken_out = is_fence_newer and fence is not None and fence.phase is Phase.DONE
    working = [] if is_taken_out else [order for order in book.orders.values() if not order.is_ended]
    guard_pid = found.owner.guard_pid
    is_running = found.is_held and found.owner.process is not None
    return {
        "mode": facts.get("mode"),
        "symbol": facts.get("symbol"),
        "session": facts.get("session"),
        "now_ns": None,
        "run": str(found.folder),
        "pid": found.owner.pid if is_running else None,
        "phase": _phase(found, fence),
        "positions": [
            {"symbol": symbol, "quantity": quantity, "average": None, "bid": None} for symbol, quantity in held.items()
        ],
        "orders": [
            {
                "order_id": order.order_id,
                "symbol": order.symbol,
                "side": "buy" if order.is_buy else "sell",
                "quantity": order.quantity,
                "filled": order.filled,
                "status": "sent, its end not known",
            }
            for order in working
        ],
        "account": {"last4": facts.get("account_last4")},
        "killed": found.kill_file.exists(),
        "stopped": None,
        "feed": {"blind": True, "open_gaps": []},
        "broker": {"unknown": [order.order_id for order in working]},
        "guard": {"pid": guard_pid or None, "alive": bool(guard_pid) and identity_of(guard_pid) is not None},
        "alarms": [{"ts_ns": None, "text": text} for text in _told(found, fence, trouble)],
        "next": _next(found),
    }


def _fence(found: FoundRun) -> tuple[Fence | None, str]:
    try:
        return read_fence(found.folder), ""
    except DataError as error:
        return None, f"{error.found}: nobody knows what the guard sold"


def _phase(found: FoundRun, fence: Fence | None) -> str:
    if found.is_held:
        return "SILENT: a process holds the run and does not answer"
    if fence is not None and not fence.is_over:
        return f"the guard is at work ({fence.phase})"
    return "ended" if found.facts.get("ended") else "no process"


def _told(found: FoundRun, fence: Fence | None, trouble: str) -> list[str]:
    told = [trouble] if trouble else []
    if fence is not None:
        held = ", ".join(f"{quantity} {symbol}" for symbol, quantity in fence.held.items())
        told.append(f"the guard acted: {fence.reason}; {fence.phase}; held {held or 'nothing'}")
    words = found.folder / "guard.jsonl"
    if words.exists():
        told.append(f"what the guard said: {os.fspath(words)}")
    return told


def _next(found: FoundRun) -> list[dict[str, Any]]:
    if found.is_held:
        return [{"what": "the guard ends that process and sells, if it is there and the process stays silent"}]
    if found.facts.get("ended"):
        return []
    return [{"what": "nothing, until `scalpcli live run` goes on with it"}]
