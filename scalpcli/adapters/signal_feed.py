"""From the running process to its signals: decisions and snapshots become messages of `signals_schema.py`.

Decides what is told when: signals and fills as they are decided, alarms as they are raised, positions and state with
every snapshot. Leaves connections to `signal_server.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from scalpcli.adapters.signal_server import SignalServer
from scalpcli.adapters.signals_schema import (
    ALARM,
    FILL,
    MESSAGE_FIELDS,
    POSITIONS,
    SCALP_SIGNAL,
    SIGNALS_SCHEMA_VERSION,
    STATE,
    WELCOME,
    fill_data,
    iso,
    message,
    positions_data,
    signal_data,
    state_data,
)

ACCESS_FILE: Final = "signals.json"
"""In the run's folder, mode 0600: `url`, `token`, `schema_version`; there while the process runs."""
_OWNER_ONLY: Final = 0o600


class SignalFeed:
    """Publishes what the running process tells.

    Args:
        server: Carries the messages.
        symbol: The underlying.
        mode: `shadow`, `paper` or `live`.
        now_ns: Time now, UTC nanoseconds, for alarms without one.

    Attributes:
        server: As given.
    """

    def __init__(self, server: SignalServer, symbol: str, mode: str, now_ns: Callable[[], int]) -> None:
        self.server = server
        self._symbol = symbol
        self._mode = mode
        self._now_ns = now_ns
        self._alarmed = ""
        self._contracts: dict[int, str] = {}
        """Contract by signal: a few dozen a session."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Take a decision, or an alarm, as `Trader.listen` hands it over; costs a microsecond where nobody listens."""
        kind = event["kind"]
        if kind == "signal":
            self._contracts[event["signal"]] = event["option_symbol"]
            self._publish(SCALP_SIGNAL, lambda: signal_data(self._symbol, event["ts_ns"], event))
        elif kind == "fill":
            contract = self._contracts.get(event["signal"])
            self._publish(FILL, lambda: fill_data(contract, event["ts_ns"], event))
        # An alarm that is a decision is told as one, and once more as an alarm.
        elif kind == "alarm" and event["text"] != self._alarmed:
            self._publish(ALARM, lambda: {"timestamp": iso(event.get("ts_ns", self._now_ns())), "text": event["text"]})
        self._alarmed = event["text"] if kind == "alarm" else ""

    def state(self, state: Mapping[str, Any]) -> None:
        """Take a snapshot of the running process, once a second or so."""
        for held in state["positions"]:
            if held.get("signal") is not None:
                self._contracts[held["signal"]] = held["symbol"]
        self._publish(STATE, lambda: state_data(state))
        self._publish(POSITIONS, lambda: positions_data(state))

    def _publish(self, type_name: str, data: Callable[[], Mapping[str, Any]]) -> None:
        if self.server.count:
            self.server.publish(message(type_name, self._mode, data()))


@contextlib.asynccontextmanager
async def offered_signals(
    folder: Path,
    port: int,
    *,
    symbol: str,
    mode: str,
    now_ns: Callable[[], int],
    allowed_origins: Collection[str] = (),
) -> AsyncIterator[SignalFeed]:
    """Offer signals while the block runs; `ACCESS_FILE` in `folder` tells its user where and with which token.

    Args:
        folder: The run's folder.
        port: Port on loopback; 0 takes any free one.
        symbol: The underlying.
        mode: `shadow`, `paper` or `live`.
        now_ns: Time now, UTC nanoseconds.
        allowed_origins: Origins of web pages that may connect.

    Raises:
        DataError: the port is taken or may not be used.
    """
    token = secrets.token_urlsafe(32)
    welcome = message(WELCOME, mode, {"symbol": symbol, "types": [name for name in MESSAGE_FIELDS if name != WELCOME]})
    server = SignalServer(port, token, allowed_origins, welcome=welcome)
    await server.open()
    path = folder / ACCESS_FILE
    try:
        _write_access(path, {"url": server.url, "token": token, "schema_version": SIGNALS_SCHEMA_VERSION})
        yield SignalFeed(server, symbol, mode, now_ns)
    finally:
        path.unlink(missing_ok=True)
        await server.close()


def _write_access(path: Path, told: Mapping[str, Any]) -> None:
    # What a killed run left goes first: an open file of another mode would keep it.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(told, file)
