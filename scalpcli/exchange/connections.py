"""One WebSocket connection as the exchange's streams use it: frames out at speed, and the ways it can break.

Decides how bytes reach the socket. Where no compression was agreed on, whole frames are written to the transport
many at a time (RFC 6455: a server's frames are not masked, so a frame is its header and the payload); pings, pongs
and the closing handshake stay with `websockets`, which writes whole frames as well, so they never mix.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request
from websockets.protocol import State

from scalpcli.exchange.fault_script import Scope
from scalpcli.exchange.messages import frame_of
from scalpcli.exchange.serving_log import ServingLog

KEY_HEADER: Final = "APCA-API-KEY-ID"
SECRET_HEADER: Final = "APCA-API-SECRET-KEY"  # noqa: S105 - the name of a header
Keys = tuple[str, str]


class Socket:
    """A connection of a stream.

    Args:
        connection: The WebSocket, handshake done.
        number: Its number in the log, from 1.
        scope: Its service.
        path: What the client asked for.
        log: Where its end is noted.

    Attributes:
        lost_why: Why what passes now is lost, empty while data goes out.
        is_live: Whether it may still carry data.
        hold_until_s: Until when it counts as open although it was cut, on the loop's clock.
    """

    def __init__(self, connection: ServerConnection, number: int, scope: Scope, path: str, log: ServingLog) -> None:
        self.connection = connection
        self.number = number
        self.scope = scope
        self.path = path
        self.hold_until_s = 0.0
        self.is_live = True
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._why = ""
        self._mute_until_s = 0.0
        self._is_deflated = bool(connection.protocol.extensions)

    @property
    def lost_why(self) -> str:
        """Why what passes now is lost, or nothing."""
        if self._mute_until_s and self._loop.time() >= self._mute_until_s:
            self._mute_until_s, self._why = 0.0, ""
            self._log.event("unmuted", connection=self.number)
        return self._why

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the client did not take yet, outside the system's own buffer."""
        return self.connection.transport.get_write_buffer_size()

    def write(self, payloads: list[bytes], *, binary: bool) -> bool:
        """Send each payload as a frame, all of them at once; whether the connection was open."""
        protocol = self.connection.protocol
        if protocol.state is not State.OPEN or self.connection.transport.is_closing():
            return False
        if self._is_deflated:
            send = protocol.send_binary if binary else protocol.send_text
            for payload in payloads:
                send(payload)
            self.connection.send_data()
        else:
            self.connection.transport.write(b"".join([frame_of(payload, binary=binary) for payload in payloads]))
        return True

    def end(self, why: str) -> None:
        """No more data goes out."""
        if self.is_live:
            self.is_live = False
            self._log.event("connection_end", connection=self.number, why=why)

    # --- faults

    def drop(self, hold_s: float) -> None:
        """Cut the connection: TCP reset, what the client did not take yet is gone."""
        self.end("drop")
        self.hold_until_s = self._loop.time() + hold_s if hold_s else 0.0
        self.connection.transport.abort()

    def mute(self, until_s: float) -> None:
        """Send no data until the loop's clock shows `until_s`; pings are answered meanwhile."""
        self._why, self._mute_until_s = "stall", until_s

    def half_close(self) -> None:
        """End the server's side; the client may still send."""
        self._why = "half_close"
        self._mute_until_s = 0.0
        if self.connection.transport.can_write_eof() and not self.connection.transport.is_closing():
            self.connection.transport.write_eof()

    def fail_slow(self) -> None:
        """Tell the client that it is too slow and close; a stream says it in its own words."""
        self.drop(0.0)


def keys_of(request: Request) -> Keys | None:
    """The key and secret of a request's headers, where both are there."""
    key, secret = request.headers.get(KEY_HEADER), request.headers.get(SECRET_HEADER)
    return (key, secret) if key and secret else None


def key_check(known: Keys | None) -> Callable[[Keys], bool]:
    """Whether a key and secret open the streams: any pair that is not empty where none is `known`."""

    def is_right(given: Keys) -> bool:
        if known is None:
            return all(given)
        same = [hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, known, strict=True)]
        return all(same)

    return is_right
