"""Rows, then lines, then orders; and what becomes of them where the disk refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from scalpcli.errors import DataError
from scalpcli.model.order import CancelRequest
from scalpcli.runtime.live_outlet import Outlet


class Paper:
    """Rows, lines and orders, written down in the order in which they came; each may be refused."""

    def __init__(self, *, is_busy: bool = False) -> None:
        self.done: list[str] = []
        self.is_busy = is_busy
        self.refuses = ""
        self.lines: list[bytes] = []
        self.outlet = Outlet(self, self, self.lines, 0, self.send, self.refuse)

    def listen(self, listener: Any) -> None:
        """Nobody listens."""

    def take(self) -> None:
        """There is nothing to take."""

    def write_now(self) -> bool:
        if not self.is_busy:
            self._do("rows")
        return not self.is_busy

    async def written(self, *, durable: bool = False) -> None:
        del durable
        await asyncio.sleep(0)
        self._do("rows")

    def append(self, data: bytes) -> None:
        self._do(data.decode().replace("\n", "+").rstrip("+"))

    def sync(self) -> None:
        self._do("sync")

    def send(self, command: Any, _decided_ns: int) -> None:
        self.done.append(command.order_id)

    def refuse(self, command: Any, _decided_ns: int, error: DataError) -> None:
        self.done.append(f"{command.order_id} refused: {error.found}")

    def decide(self, name: str) -> None:
        """A line, and an order of the same name."""
        self.lines.append(name.upper().encode() + b"\n")
        self.outlet.push([(CancelRequest(name), 7)])

    def _do(self, what: str) -> None:
        if what == self.refuses:
            raise DataError("no space left on device")
        self.done.append(what)


def run(work: Any) -> None:
    async def play() -> None:
        await work()
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(play())


def test_an_order_leaves_after_its_rows_and_its_line():
    """Rows with the operating system, the line on the disk itself, then the order: at once, in one go."""
    paper = Paper()

    async def work():
        paper.decide("a")
        assert paper.done == ["rows", "A", "sync", "a"]

    run(work)


def test_orders_wait_where_somebody_writes_and_keep_their_order():
    """What is decided meanwhile waits for rows of its own."""
    paper = Paper(is_busy=True)

    async def work():
        paper.decide("a")
        await asyncio.sleep(0)
        paper.decide("b")

    run(work)

    assert paper.done == ["rows", "A", "sync", "a", "rows", "B", "sync", "b"]


def test_a_line_without_an_order_is_written_when_it_is_asked_for():
    """After its rows; nobody waits for the disk."""
    paper = Paper()
    paper.lines.append(b"A\n")

    run(paper.outlet.commit)

    assert paper.done == ["rows", "A"]


def test_lines_are_written_once_however_many_ask():
    """Two commits and an order at the same time write each line once, in order."""
    paper = Paper()
    paper.lines.append(b"A\n")

    async def work():
        commits = [asyncio.create_task(paper.outlet.commit()) for _ in range(2)]
        await asyncio.sleep(0)
        paper.decide("b")
        await asyncio.gather(*commits)

    run(work)

    assert [what for what in paper.done if what not in ("rows", "sync")] == ["A+B", "b"]


def test_whoever_gives_up_waiting_takes_no_line_along():
    """A commit that is cancelled is done all the same: rows that were taken are not lost between two hands."""
    paper = Paper()
    paper.lines.append(b"A\n")

    async def work():
        task = asyncio.create_task(paper.outlet.commit())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(work)

    assert paper.done == ["rows", "A"]


def test_a_disk_that_refuses_hands_the_order_back():
    """Rows, lines or the sync: whichever is refused, the order is not simply sent."""
    for what in ("rows", "A", "sync"):
        paper = Paper()
        paper.refuses = what

        async def work(paper=paper):
            paper.decide("a")

        run(work)

        assert paper.done[-1] == "a refused: no space left on device"
        assert "a" not in paper.done


def test_what_was_refused_is_written_when_the_disk_takes_it_again():
    """No line is left out, and none is written twice."""
    paper = Paper()
    paper.refuses = "A"

    async def work():
        paper.decide("a")
        paper.refuses = ""
        paper.decide("b")

    run(work)

    assert paper.done[-3:] == ["A+B", "sync", "b"]
