"""Runs of `live` on disk and processes that answer for them, made by hand: no market, no broker."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

from scalpcli.runtime.control import ControlServer
from scalpcli.runtime.run_lock import RunLock, this_process

DAY = "2026-11-20"
ENTRY = {"n": 1, "ts_ns": 1, "kind": "order", "order_id": "scalp-20261120-abc-0000-e1", "signal": 0, "leg": "entry",
         "try": 1, "symbol": "TSLA261120C00400000", "side": "buy", "quantity": 2, "limit_e4": 31_000, "bid_e4": 30_000,
         "ask_e4": 31_000, "reason": "signal"}  # fmt: skip
FILL = {"n": 2, "ts_ns": 2, "kind": "fill", "order_id": ENTRY["order_id"], "signal": 0, "leg": "entry", "quantity": 2,
        "price_e4": 31_000, "ts_market_ns": 2, "bid_e4": 0, "ask_e4": 0, "filled": 2, "held": 2}  # fmt: skip


def make_run(out: Path, mode: str = "paper", symbol: str = "TSLA", day: str = DAY, **facts: Any) -> Path:
    """A run's folder with its `live.json`."""
    folder = out / mode / symbol / day
    folder.mkdir(parents=True)
    told = {"mode": mode, "symbol": symbol, "session": day, "account_last4": "1234", **facts}
    (folder / "live.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def write_journal(folder: Path, *lines: dict[str, Any]) -> None:
    """Decisions of a run."""
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / "decisions.jsonl").write_text(text, encoding="utf-8")


class FakeTrader:
    """Stands for a trading process; gets flat when it is told to, where it can."""

    def __init__(self, state: dict[str, Any], *, gets_flat: bool = True) -> None:
        self.told = state
        self.commands: list[str] = []
        self.found: dict[str, Any] = {"differences": []}
        self.asked_after = threading.Event()
        """Whether somebody asked how it stands after a command."""
        self._gets_flat = gets_flat

    def state(self) -> dict[str, Any]:
        """As it stands."""
        if self.commands:
            self.asked_after.set()
        return self.told

    def command(self, command: str, *, by: str) -> None:
        """Remember it."""
        del by
        self.commands.append(command)
        if command in ("flatten", "kill") and self._gets_flat:
            self.told = {**self.told, "positions": [], "orders": []}

    async def reconcile(self) -> dict[str, Any]:
        """What was found."""
        return self.found

    def listen(self, listener: Any) -> Any:
        """Nobody is told anything."""
        del listener
        return lambda: None


@contextlib.contextmanager
def trading(folder: Path, trader: FakeTrader):
    """A process that holds the run and answers for it; gives what ends it early."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def on_loop(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    lock = RunLock(folder)
    lock.acquire()
    server = ControlServer(trader)
    on_loop(server.open())
    lock.tell(dataclasses.replace(this_process(), control=server.path))

    def end() -> None:
        on_loop(server.close())
        lock.release(is_ended=True)

    try:
        yield end
    finally:
        end()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
