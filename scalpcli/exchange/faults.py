"""Does what a fault script says: the one place where a local exchange goes wrong on purpose.

Decides when each fault begins and ends, and answers the servers' questions: is this attempt refused, is this update
lost, how late is this message. Leaves what faults exist to `fault_script.py`, and bytes to the servers.

A fault begins at a market time, at a second of serving or after so many messages of its scope; the last is exact to
the message, whatever the pace. Chance (order, garbage) comes from the script's seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from scalpcli.exchange.fault_script import (
    AUTH_CODES,
    COUNTED,
    HTTP_CODES,
    SLOW_CLIENT,
    SUBSCRIBE_CODES,
    Fault,
    FaultName,
    FaultScript,
    Scope,
)
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.units import ms_to_ns

NO_LIMIT: Final = 1 << 62
Tags = frozenset[str]
"""What a fault's `on` may call a request, an order or an update."""
_WITH_CODE: Final = (FaultName.REFUSE, FaultName.LOSE_ANSWER, FaultName.REJECT)
NO_TAGS: Final[Tags] = frozenset()


class FaultySocket(Protocol):
    """A connection as faults treat it."""

    def drop(self, hold_s: float) -> None:
        """Cut it; for `hold_s` seconds it still counts as open."""

    def mute(self, until_s: float) -> None:
        """Send no data until the clock shows `until_s`."""

    def half_close(self) -> None:
        """End the server's side."""

    def fail_slow(self) -> None:
        """Say that the client is too slow and close."""


@dataclass(slots=True)
class _Live:
    """One fault of the script and how far it got."""

    fault: Fault
    fired: int = 0
    begin_messages: int = 0
    begin_s: float = 0.0
    left: int = 0
    skip: int = 0
    """What it lets pass before the first it hits."""
    until_s: float = 0.0
    is_active: bool = False

    @property
    def is_used_up(self) -> bool:
        once = self.is_counted or self.fault.at_ns > 0
        return self.fired >= (1 if once else max(1, self.fault.count))

    @property
    def is_refusal(self) -> bool:
        return self.fault.name is FaultName.REFUSE and self.fault.code != SLOW_CLIENT

    @property
    def is_counted(self) -> bool:
        """Whether `count` tells how many it hits."""
        return self.is_refusal or self.fault.name in COUNTED

    def hits(self, tags: Tags) -> bool:
        """Whether it hits something with these tags, which then counts."""
        if not self.is_active or self.left <= 0 or (self.fault.on and self.fault.on not in tags):
            return False
        self.skip -= 1
        return self.skip < 0


class FaultEngine:
    """A running script.

    Args:
        script: What shall go wrong.
        log: Where the beginning and end of each fault is noted.
        seconds: A clock that only goes forward, seconds.

    Attributes:
        chance: Source of all chance in faults.
        sockets: Open connections of a scope; the server sets it.
        on_halt: Called when a halt begins (true) and ends; the server sets it.
        on_liquidate: Called when the broker sells every position; the server sets it.
    """

    def __init__(self, script: FaultScript, log: ServingLog, seconds: Callable[[], float]) -> None:
        self.chance = random.Random(script.seed)  # noqa: S311 - faults must be repeatable, not secret
        self.sockets: Callable[[Scope], Iterable[FaultySocket]] = lambda _scope: ()
        self.on_halt: Callable[[bool], None] = lambda _begins: None
        self.on_liquidate: Callable[[], None] = lambda: None
        self._log, self._seconds = log, seconds
        self._messages = dict.fromkeys(Scope, 0)
        self._down_until_s = dict.fromkeys(Scope, 0.0)
        self._live = [_Live(fault) for fault in script.faults]
        self._by_scope = {scope: [live for live in self._live if live.fault.scope is scope] for scope in Scope}
        self._is_serving = False
        for live in self._live:
            if not _waits(live.fault) and live.is_counted:
                self._fire(live)

    def add(self, fault: Fault) -> None:
        """Add a fault while the script runs; it waits for its moment from now on, or happens at once."""
        live = _Live(fault, begin_messages=self._messages[fault.scope], begin_s=self._seconds())
        self._live.append(live)
        self._by_scope[fault.scope].append(live)
        if not _waits(fault):
            self._fire(live)

    # --- time and messages pass

    def start(self) -> None:
        """Serving begins: seconds count from here, and what waits for nothing happens."""
        self._is_serving = True
        for live in self._live:
            live.begin_s = self._seconds()
            if not _waits(live.fault) and not live.fired:
                self._fire(live)

    def tick(self, market_ns: int) -> None:
        """Time has passed; `market_ns` is the time of the market, UTC nanoseconds."""
        if not self._is_serving:
            return
        now_s = self._seconds()
        for live in self._live:
            fault = live.fault
            if live.is_active and live.until_s and now_s >= live.until_s:
                self._end(live)
            if live.is_used_up:
                continue
            if (fault.at_ns and market_ns >= fault.at_ns) or (fault.at_s >= 0 and now_s - live.begin_s >= fault.at_s):
                self._fire(live)

    def room(self, scope: Scope) -> int:
        """Messages of a scope that may pass before the next fault begins, at least 1."""
        room = NO_LIMIT
        for live in self._by_scope[scope]:
            if live.fault.after_messages and not live.is_used_up:
                room = min(room, live.begin_messages + live.fault.after_messages - self._messages[scope])
        return max(1, room)

    def passed(self, scope: Scope, messages: int) -> None:
        """So many messages of a scope went their way, sent or lost."""
        self._messages[scope] += messages
        for live in self._by_scope[scope]:
            after = live.fault.after_messages
            if after and not live.is_used_up and self._messages[scope] - live.begin_messages >= after:
                self._fire(live)

    # --- questions of the servers

    def is_quiet(self, scope: Scope) -> bool:
        """Whether nothing of the script concerns a scope."""
        return not self._by_scope[scope]

    def is_down(self, scope: Scope) -> bool:
        """Whether new connections are cut at once."""
        return self._seconds() < self._down_until_s[scope]

    def refusal(
        self, scope: Scope, codes: tuple[int, ...], method: str = "", path: str = "/", tags: Tags = NO_TAGS
    ) -> Fault | None:
        """The refusal of this attempt by a code among `codes`, or nothing; the attempt is counted."""
        for live in self._by_scope[scope]:
            fault = live.fault
            is_meant = live.is_refusal and fault.code in codes and path.startswith(fault.path)
            if is_meant and fault.method in ("", method) and live.hits(tags):
                self._use(live)
                return fault
        return None

    def upgrade_refusal(self, scope: Scope) -> int:
        """HTTP status with which an upgrade is refused, or 0."""
        return _code(self.refusal(scope, HTTP_CODES))

    def auth_refusal(self, scope: Scope) -> int:
        """Error with which an authentication is refused, or 0."""
        return _code(self.refusal(scope, AUTH_CODES))

    def subscribe_refusal(self, scope: Scope) -> int:
        """Error with which a subscription is refused, or 0."""
        return _code(self.refusal(scope, SUBSCRIBE_CODES))

    def lost_answer(self, method: str, path: str, tags: Tags) -> Fault | None:
        """What befalls the answer to a request that was carried out: `LOSE_ANSWER`, `HANG` or nothing."""
        for live in self._by_scope[Scope.REST]:
            fault = live.fault
            if fault.name in (FaultName.LOSE_ANSWER, FaultName.HANG) and fault.method in ("", method):
                # Without a word about which, orders are meant.
                wanted = fault.path if fault.on or fault.path != "/" else "/v2/orders"
                is_meant = path.startswith(wanted) and (fault.on or fault.method or method == "POST")
                if is_meant and live.hits(tags):
                    self._use(live)
                    return fault
        return None

    def takes(self, name: FaultName, scope: Scope, tags: Tags = NO_TAGS) -> Fault | None:
        """The fault of a name that befalls the next message or order of a scope, which counts against it."""
        for live in self._by_scope[scope]:
            if live.fault.name is name and live.hits(tags):
                self._use(live)
                return live.fault
        return None

    def delay_s(self, scope: Scope) -> float:
        """How late data of a scope goes out now, seconds."""
        lags = [live.fault.delay_ms for live in self._active(FaultName.DELAY, scope)]
        return max(lags, default=0.0) / 1e3

    def shift_ns(self, scope: Scope) -> int:
        """How far the event times of a scope are ahead now, nanoseconds."""
        return sum(ms_to_ns(live.fault.delay_ms) for live in self._active(FaultName.CLOCK_STEP, scope))

    def is_halted(self) -> bool:
        """Whether the underlying is halted by a fault."""
        return any(True for _ in self._active(FaultName.HALT, Scope.STOCK))

    # --- beginnings and ends

    def _active(self, name: FaultName, scope: Scope) -> Iterable[_Live]:
        return (live for live in self._by_scope[scope] if live.is_active and live.fault.name is name)

    def _use(self, live: _Live) -> None:
        live.left -= 1
        if live.left <= 0:
            self._end(live)

    def _fire(self, live: _Live) -> None:
        fault, now_s = live.fault, self._seconds()
        live.fired += 1
        live.begin_messages, live.begin_s = self._messages[fault.scope], now_s
        live.until_s = now_s + fault.duration_s if fault.duration_s > 0 else 0.0
        self._note(live, "fault")
        if fault.name is FaultName.DROP:
            self._down_until_s[fault.scope] = live.until_s
            self._each(fault.scope, lambda socket: socket.drop(fault.hold_s))
        elif fault.name is FaultName.STALL:
            self._each(fault.scope, lambda socket: socket.mute(live.until_s or math.inf))
        elif fault.name is FaultName.HALF_CLOSE:
            self._each(fault.scope, lambda socket: socket.half_close())
        elif fault.name is FaultName.REFUSE and not live.is_refusal:
            self._each(fault.scope, lambda socket: socket.fail_slow())
        elif fault.name is FaultName.LIQUIDATE and not fault.on:
            self.on_liquidate()
        else:
            live.is_active = True
            live.skip = fault.nth - 1
            live.left = (fault.count or NO_LIMIT) if live.is_counted else fault.messages
            if fault.name is FaultName.HALT:
                self.on_halt(True)

    def _each(self, scope: Scope, act: Callable[[Any], None]) -> None:
        for socket in list(self.sockets(scope)):
            act(socket)

    def _end(self, live: _Live) -> None:
        live.is_active = False
        self._note(live, "fault_end")
        if live.fault.name is FaultName.HALT:
            self.on_halt(False)

    def _note(self, live: _Live, event: str) -> None:
        fault = live.fault
        code = {"code": fault.code} if fault.name in _WITH_CODE else {}
        self._log.event(event, name=fault.name.value, scope=fault.scope.value, time=live.fired, **code)


def _code(fault: Fault | None) -> int:
    return fault.code if fault is not None else 0


def _waits(fault: Fault) -> bool:
    return bool(fault.at_ns or fault.after_messages or fault.at_s >= 0)
