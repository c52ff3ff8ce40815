"""The control socket of a running `live`: questions and commands from other processes of the same user.

A Unix socket of mode 0600 in a folder of mode 0700, and the kernel's word on who connects: another user gets no
answer. One JSON object a line. A request has `command`: `ping`, `status`, `reconcile`, `watch` or one of
`model.note.COMMANDS`; each is answered by one line, `{"ok": true, …}` or `{"ok": false, "error", "hint"}`.
After `watch` come lines `{"state": …}` every `interval_ms` and `{"event": …}` as they happen, until the client leaves.

Nothing here may hold up trading: a client that reads too slowly is dropped, one that says nothing too, the oldest where
there are too many, and the state is encoded once for all watchers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Protocol

from scalpcli.errors import DataError, ScalpcliError, UpstreamUnavailable, UsageError
from scalpcli.model.broker import BrokerSilent
from scalpcli.model.note import COMMANDS
from scalpcli.runtime.socket_folder import RUNTIME_VARIABLE, make_folder, protect, remove_leftover, runtime_folder

ANSWER_S: Final = 5.0
"""Seconds that a client waits for an answer."""
WAITING_BYTES_MAX: Final = 1 << 20
"""Bytes one client may be behind."""
CLIENTS_MAX: Final = 32
IDLE_S: Final = 60.0
"""Seconds after which a client that asks nothing is let go."""
INTERVAL_MS_MIN, INTERVAL_MS_MAX, INTERVAL_MS = 50, 60_000, 250
_REQUEST_BYTES_MAX: Final = 1 << 14
_LINE_BYTES_MAX: Final = 8 << 20
_STATE_KEPT_S: Final = INTERVAL_MS_MIN / 1e3
_KIND: Final = "control"
_CREDENTIALS: Final = struct.Struct("3i")


class Controlled(Protocol):
    """What the socket reaches: the trader."""

    def state(self) -> dict[str, Any]:
        """Everything there is to know now, as JSON takes it."""

    def command(self, command: str, *, by: str) -> None:
        """Take an operator's command; it becomes a row of the tape.

        Raises:
            ScalpcliError: it cannot be taken now.
        """

    async def reconcile(self) -> dict[str, Any]:
        """Compare with the broker now; what was found."""

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Hand every decision and alarm to `listener`; returns what ends that."""


class ControlServer:
    """The answering end, in the trader's event loop.

    Args:
        controlled: What is asked and commanded.
        user: The user id that may connect; this process's own by default.
        idle_s: Seconds after which a client that asks nothing is let go.
        waiting_bytes_max: Bytes one client may be behind.
    """

    def __init__(
        self,
        controlled: Controlled,
        *,
        user: int | None = None,
        idle_s: float = IDLE_S,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self.dropped = 0
        """Clients let go because they read too slowly, or because too many others came after them."""
        self.refused = 0
        """Connections of other users."""
        self._controlled = controlled
        self._user = os.getuid() if user is None else user
        self._idle_s = idle_s
        self._waiting_bytes_max = waiting_bytes_max
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
        self._watchers: set[asyncio.StreamWriter] = set()
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._leave: Callable[[], None] | None = None
        self._state_line = b""
        self._state_s = -1.0

    @property
    def path(self) -> str:
        """The socket; empty while it is not open."""
        return str(self._folder / "socket") if self._folder else ""

    @property
    def watchers(self) -> int:
        """Clients that watch."""
        return len(self._watchers)

    async def open(self) -> None:
        """Answer from now on.

        Raises:
            DataError: no folder for the socket can be made.
        """
        try:
            self._folder = make_folder(_KIND)
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=_REQUEST_BYTES_MAX)
            protect(Path(self.path))
        except OSError as error:
            raise DataError(
                f"the control socket cannot listen: {(error.strerror or str(error)).lower()}",
                place=f"`{self._folder or runtime_folder()}`",
                hint=f"set {RUNTIME_VARIABLE} to a short path of a folder of your own",
            ) from None
        self._leave = self._controlled.listen(self._tell)

    async def close(self) -> None:
        """Let every client go, and take the socket away."""
        if self._leave is not None:
            self._leave()
            self._leave = None
        if self._server is not None:
            self._server.close()
        tasks = [task for task in self._clients.values() if task is not None]
        for client in list(self._clients):
            client.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _tell(self, event: dict[str, Any]) -> None:
        if self._watchers:
            line = _line({"event": event})
            for watcher in self._watchers.copy():
                self._write(watcher, line)

    def _write(self, client: asyncio.StreamWriter, line: bytes) -> None:
        if client.is_closing():
            self._watchers.discard(client)
            return
        client.write(line)
        if client.transport.get_write_buffer_size() > self._waiting_bytes_max:
            self._watchers.discard(client)
            self.dropped += 1
            client.transport.abort()

    async def _serve(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        pid, user = peer_of(outgoing)
        if user != self._user:
            self.refused += 1
            outgoing.close()
            return
        if len(self._clients) >= CLIENTS_MAX:
            # Never the newest: it may be the guard, which ends a process that does not answer it.
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            self._watchers.discard(oldest)
            self.dropped += 1
            oldest.transport.abort()
        self._clients[outgoing] = asyncio.current_task()
        try:
            await self._converse(incoming, outgoing, f"process {pid}")
        except (ConnectionError, TimeoutError, ValueError, asyncio.CancelledError):
            # It left, said nothing, said too much in one line, or we close: none of it concerns trading. The task
            # ends here in every case, so that a cancelled one is not reported by the stream's own callback.
            return
        finally:
            self._clients.pop(outgoing, None)
            self._watchers.discard(outgoing)
            outgoing.close()

    async def _converse(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, by: str) -> None:
        while True:
            async with asyncio.timeout(self._idle_s):
                line = await incoming.readline()
            if not line:
                return
            request = _request(line)
            if request.get("command") == "watch":
                await self._watch(request, incoming, outgoing)
                return
            self._write(outgoing, _line(await self._answer(request, by)))

    async def _answer(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        command = request.get("command")
        try:
            if command == "ping":
                return {"ok": True, "pid": os.getpid()}
            if command == "status":
                return {"ok": True, "state": self._controlled.state()}
            if command == "reconcile":
                return {"ok": True, "found": await self._controlled.reconcile()}
            if command in COMMANDS:
                self._controlled.command(command, by=by)
                return {"ok": True, "command": command}
        except ScalpcliError as error:
            return {"ok": False, "error": error.found, "hint": error.hint}
        except BrokerSilent as silent:
            return {"ok": False, "error": f"the broker does not answer: {silent.reason}", "hint": ""}
        except Exception as error:  # noqa: BLE001 - whoever asks when something is wrong must get an answer
            return {"ok": False, "error": f"internal error: {type(error).__name__}", "hint": ""}
        known = ", ".join(("ping", "status", "reconcile", "watch", *COMMANDS))
        return {"ok": False, "error": "unknown command", "hint": f"it takes {known}"}

    async def _watch(
        self, request: dict[str, Any], incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter
    ) -> None:
        wanted = request.get("interval_ms", INTERVAL_MS)
        interval_ms = wanted if isinstance(wanted, int | float) else INTERVAL_MS
        # Not min and max the other way round: a NaN would pass through.
        interval_s = max(INTERVAL_MS_MIN, min(interval_ms, INTERVAL_MS_MAX)) / 1e3
        self._watchers.add(outgoing)
        # A watcher has nothing more to say; the end of its words tells that it left.
        left = asyncio.ensure_future(incoming.read())
        try:
            while outgoing in self._watchers:
                self._write(outgoing, self._state())
                await asyncio.wait({left}, timeout=interval_s)
                if left.done():
                    return
        finally:
            left.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await left

    def _state(self) -> bytes:
        """The state, encoded once for all who ask within a moment."""
        now_s = asyncio.get_running_loop().time()
        if not self._state_line or now_s - self._state_s >= _STATE_KEPT_S:
            self._state_line = _line({"state": self._controlled.state()})
            self._state_s = now_s
        return self._state_line


class ControlClient:
    """The asking end.

    Args:
        reader: What the trader says.
        writer: What is said to it.
        answer_s: Seconds that an answer may take.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._answer_s = answer_s

    @classmethod
    async def open(cls, path: str, *, answer_s: float = ANSWER_S) -> ControlClient:
        """Connect to a running trader's socket.

        Raises:
            UpstreamUnavailable: nobody listens there, or another user does.
        """
        try:
            async with asyncio.timeout(answer_s):
                reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_BYTES_MAX)
        except (OSError, TimeoutError) as error:
            words = getattr(error, "strerror", None) or "no answer in time"
            raise _silent(path, words.lower()) from None
        if peer_of(writer)[1] != os.getuid():
            # Whoever could take the socket's place would learn commands, and tell a false state.
            writer.close()
            raise _silent(path, "another user listens there")
        return cls(reader, writer, answer_s)

    async def ask(self, command: str, **more: Any) -> dict[str, Any]:
        """One question or command; the answer without its `ok`.

        Raises:
            UpstreamUnavailable: no answer came in time.
            UsageError: the trader does not take it, with its reason.
        """
        answer = await self._read_answer({"command": command, **more})
        if answer.pop("ok", False) is not True:
            raise UsageError(str(answer.get("error", "it was not taken")), hint=str(answer.get("hint", "")))
        return answer

    async def watch(self, interval_ms: int = INTERVAL_MS) -> AsyncIterator[dict[str, Any]]:
        """Objects with `state` every `interval_ms` and with `event` as they happen, until the trader ends."""
        self._writer.write(_line({"command": "watch", "interval_ms": interval_ms}))
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                yield _request(line)

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read_answer(self, request: dict[str, Any]) -> dict[str, Any]:
        line = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._answer_s):
                self._writer.write(_line(request))
                line = await self._reader.readline()
        if not line:
            raise _silent("", "no answer in time" if not self._reader.at_eof() else "the connection ended")
        return _request(line)


def ask(path: str, command: str, *, answer_s: float = ANSWER_S, **more: Any) -> dict[str, Any]:
    """`ControlClient.ask` for who has no event loop.

    Raises:
        UpstreamUnavailable: nobody answers.
        UsageError: the trader does not take it, with its reason.
    """

    async def whole() -> dict[str, Any]:
        client = await ControlClient.open(path, answer_s=answer_s)
        try:
            return await client.ask(command, **more)
        finally:
            await client.close()

    return asyncio.run(whole())


def peer_of(stream: asyncio.StreamWriter) -> tuple[int, int]:
    """Process and user at the other end, as the kernel saw them connect; -1 and -1 where it does not say."""
    connection = stream.get_extra_info("socket")
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (OSError, AttributeError):
        return -1, -1
    pid, user, _ = _CREDENTIALS.unpack(raw)
    return pid, user


def remove_control_leftover(path: str) -> None:
    """Remove the socket that a killed trader left, and its folder."""
    remove_leftover(path, _KIND)


def _request(line: bytes) -> dict[str, Any]:
    """The object of a line; an empty one where it holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _silent(path: str, words: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(
        f"the running `live` does not answer: {words}",
        place=f"`{path}`" if path else "",
        hint="`scalpcli live status` tells what its files say; `scalpcli live kill` writes the kill file in any case",
    )
