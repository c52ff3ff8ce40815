"""The last steps of a message on its way to one client: late, twice, out of order, in company, or as nonsense.

Decides in which frames a connection's messages leave. Without faults each message has its frame (or
`frame_messages` of them); a client that does not keep up gets them in larger and larger frames, as Alpaca does, and
is told 407 and let go once `WAITING_BYTES_MAX` wait for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from scalpcli.exchange.connections import Socket
from scalpcli.exchange.fault_script import FORMS, FaultName
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.messages import Wire, array_of, control
from scalpcli.exchange.serving_log import ServingLog

SLOW_BYTES: Final = 256 * 1024
"""Bytes waiting for a client above which its messages are put together."""
WAITING_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes waiting for a client at which it is let go."""
SLOW_FRAME_MESSAGES: Final = 500
"""Messages of a frame for a slow client, at most."""
_HELD_MAX_S: Final = 1.0
"""How long a message waits for others to be reordered with."""

Item = tuple[int, bytes]
"""Row of the tape (below 0: none) and body of its message."""
NO_ROW: Final = -1


class Outlet:
    """Shapes and sends the data messages of one connection.

    Args:
        socket: The connection.
        wire: Its encoding.
        faults: What goes wrong.
        log: Where rows sent and lost are noted.
        frame_messages: Messages of a frame, at most.
    """

    def __init__(self, socket: Socket, wire: Wire, faults: FaultEngine, log: ServingLog, frame_messages: int) -> None:
        self._socket, self._wire = socket, wire
        self._faults, self._log = faults, log
        self._frame_messages = frame_messages
        self._loop = asyncio.get_running_loop()
        self._late: deque[tuple[float, Item]] = deque()
        self._held: list[Item] = []
        self._held_s = 0.0
        self._copies: list[tuple[int, Item]] = []
        self._waiting: list[Item] = []
        self._waiting_size = 0
        self._is_quiet = faults.is_quiet(socket.scope)

    def offer(self, items: list[Item]) -> None:
        """Take messages in the order they happened."""
        why = self._socket.lost_why
        if why:
            self._log.rows_lost(self._socket.number, _rows(items), why)
            return
        if self._is_quiet:
            self._send(items)
            return
        delay_s = self._faults.delay_s(self._socket.scope)
        if delay_s > 0 or self._late:
            due_s = max(self._loop.time() + delay_s, self._late[-1][0] if self._late else 0.0)
            self._late.extend((due_s, item) for item in items)
            return
        self._shape(items)

    def tick(self) -> None:
        """Time has passed: send what is due and what a slow client can take now."""
        now_s = self._loop.time()
        due: list[Item] = []
        while self._late and self._late[0][0] <= now_s:
            due.append(self._late.popleft()[1])
        if due:
            self._shape(due)
        if self._held and now_s - self._held_s > _HELD_MAX_S:
            self._release_held()
        if self._waiting:
            self._send([])

    def discard(self, why: str) -> None:
        """The connection is gone: what waited is lost."""
        waiting = [*(item for _, item in self._late), *self._held, *self._waiting]
        self._late.clear()
        self._held, self._waiting, self._waiting_size = [], [], 0
        if waiting:
            self._log.rows_lost(self._socket.number, _rows(waiting), why)

    @property
    def waiting_bytes(self) -> int:
        """Bytes on their way to the client."""
        return self._waiting_size + self._socket.waiting_bytes

    @property
    def is_busy(self) -> bool:
        """Whether messages are still on their way out."""
        return bool(self._late or self._held or self.waiting_bytes)

    # --- faults

    def _shape(self, items: list[Item]) -> None:
        """Do to each message what befalls it; those that nothing befalls go out together."""
        plain: list[Item] = []
        for item in items:
            scope = self._socket.scope
            reorder = self._faults.takes(FaultName.REORDER, scope)
            if reorder is not None:
                self._send_some(plain)
                self._hold(item, reorder.window)
                continue
            if self._held:
                self._release_held()
            self._garble(plain, item)
            duplicate = self._faults.takes(FaultName.DUPLICATE, scope)
            if duplicate is not None:
                self._copies.append((self._faults.chance.randint(0, duplicate.window), item))
            coalesce = self._faults.takes(FaultName.COALESCE, scope)
            if coalesce is not None:
                self._send_some(plain)
                self._waiting.append(item)
                self._waiting_size += len(item[1])
                if len(self._waiting) >= coalesce.window:
                    self._send([])
                continue
            plain.append(item)
            if self._copies:
                self._send_some(plain)
                self._send_copies()
        self._send_some(plain)

    def _send_some(self, items: list[Item]) -> None:
        """Send what was collected and empty the list; nothing leaves what waits for company alone."""
        if items:
            self._send(items)
            items.clear()

    def _hold(self, item: Item, window: int) -> None:
        if not self._held:
            self._held_s = self._loop.time()
        self._held.append(item)
        if len(self._held) >= window:
            self._release_held()

    def _release_held(self) -> None:
        held, self._held = self._held, []
        self._faults.chance.shuffle(held)
        self._log.event("reordered", connection=self._socket.number, rows=_rows(held))
        self._send(held)

    def _send_copies(self) -> None:
        later: list[tuple[int, Item]] = []
        for wait, item in self._copies:
            if wait > 0:
                later.append((wait - 1, item))
            elif self._socket.write([array_of(self._wire, [item[1]])], binary=self._is_binary):
                self._log.rows_sent_again(self._socket.number, _rows([item]))
        self._copies = later

    def _garble(self, before: list[Item], item: Item) -> None:
        """Put a frame of nonsense before a message, after what came before it."""
        garbage = self._faults.takes(FaultName.GARBAGE, self._socket.scope)
        if garbage is None:
            return
        self._send_some(before)
        form = garbage.form or self._faults.chance.choice(FORMS)
        if form == "bytes":
            payload = self._faults.chance.randbytes(self._faults.chance.randint(1, 64))
            if self._wire is Wire.JSON:
                payload = payload.hex().encode()
        elif form == "unknown":
            payload = control(self._wire, {"T": "zz", "S": "NONE", "v": self._faults.chance.random()})
        else:
            whole = array_of(self._wire, [item[1]])
            payload = whole[: self._faults.chance.randint(1, len(whole) - 1)]
        self._socket.write([payload], binary=self._is_binary)
        self._log.event("garbage", connection=self._socket.number, form=form, size=len(payload))

    # --- frames

    @property
    def _is_binary(self) -> bool:
        return self._wire is Wire.MSGPACK

    def _send(self, items: list[Item]) -> None:
        if self._socket.waiting_bytes > SLOW_BYTES:
            self._waiting.extend(items)
            self._waiting_size += sum(len(body) for _, body in items)
            if self.waiting_bytes > WAITING_BYTES_MAX:
                self._socket.fail_slow()
            return
        size = self._frame_messages
        if self._waiting:
            size = max(size, min(len(self._waiting) + len(items), SLOW_FRAME_MESSAGES))
            items = self._waiting + items
            self._waiting, self._waiting_size = [], 0
        if not items:
            return
        bodies = [body for _, body in items]
        if size == 1 and self._wire is Wire.MSGPACK:
            payloads = [b"\x91" + body for body in bodies]
        else:
            payloads = [array_of(self._wire, bodies[at : at + size]) for at in range(0, len(bodies), size)]
        if self._socket.write(payloads, binary=self._is_binary):
            self._log.rows_sent(self._socket.number, _rows(items))
        else:
            self._log.rows_lost(self._socket.number, _rows(items), "closed")


def _rows(items: list[Item]) -> list[int]:
    return [row for row, _ in items if row != NO_ROW]
