"""A local exchange as a whole: a tape, its streams, its REST side and what goes wrong, in one event loop.

Decides how the parts are put together and taken apart again. For tests it is an async context manager; `scalpcli
exchange` runs the same in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from starlette.types import ASGIApp, Receive, Scope, Send

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.app import rest_app
from scalpcli.exchange.checks import AccountRules
from scalpcli.exchange.connections import Keys
from scalpcli.exchange.fault_script import Fault, FaultScript
from scalpcli.exchange.fault_script import Scope as FaultScope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.http_server import LOOPBACK, RestServer, serve_rest
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.order_faults import ScriptedOrders
from scalpcli.exchange.plan import PLUS, Plan
from scalpcli.exchange.rest_faults import RestFaults
from scalpcli.exchange.serving import Serving, ServingRules
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.exchange.stream_server import StreamServer, serve_streams
from scalpcli.exchange.streams import DataStreams, StreamRules
from scalpcli.exchange.trading_stream import TradingStream
from scalpcli.runtime.clock import seconds
from scalpcli.runtime.tape import Tape

_ANY_PORT: Final = 0


class LocalExchange:
    """An exchange on this machine that plays a tape.

    Args:
        tape: The tape's folder.
        speed: Market seconds in one second; 0 = as fast as clients take it.
        faults: What goes wrong; nothing by default.
        plan: The data plan, with its limits.
        keys: The only key and secret that are let in; `None` takes any pair that is not empty.
        port: Of the REST side, the streams listen on the next one; 0 takes any two free ones.
        serving: What is served and when it begins.
        account: What the account starts with and may do.
        auth_timeout_s: Seconds a stream's client has to authenticate.
        frame_messages: Data messages of a frame, at most, for a client that keeps up.
        deflate: Whether compression is agreed to when a client offers it.
        log_file: Where the log goes besides.
        keep_log: Whether the log stays in memory as well.

    Attributes:
        rest_url: `http://127.0.0.1:PORT`, once started.
        stream_url: `ws://127.0.0.1:PORT`, once started.
        market: What is served.
        account: Who trades on it.
        log: What was really sent and lost.

    Raises:
        DataError: there is no tape, it is damaged, or, when entered, a port is taken.
    """

    def __init__(
        self,
        tape: Path,
        *,
        speed: float = 1.0,
        faults: FaultScript | None = None,
        plan: Plan = PLUS,
        keys: Keys | None = None,
        port: int = _ANY_PORT,
        serving: ServingRules | None = None,
        account: AccountRules | None = None,
        auth_timeout_s: float = 10.0,
        frame_messages: int = 1,
        deflate: bool = True,
        log_file: TextIO | None = None,
        keep_log: bool = True,
    ) -> None:
        self.rest_url = self.stream_url = ""
        self.market = ServedMarket(Tape.open(tape), speed=speed, seconds=seconds)
        # With a script, a run can be repeated: its ids too.
        self.account = SimulatedAccount(self.market, account, seed=faults.seed if faults else None)
        self.log = ServingLog(seconds, file=log_file, keep=keep_log)
        self._script = faults or FaultScript()
        self._stream_rules = StreamRules(plan, keys, auth_timeout_s, frame_messages, deflate)
        self._serving_rules = serving or ServingRules()
        self._port = port
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        self.log.event("closed", totals=dict(self.log.totals))

    async def wait_end(self) -> None:
        """Return when the last row was served.

        Raises:
            ScalpcliError: serving failed.
        """
        ended = asyncio.ensure_future(self._serving.ended.wait())
        await asyncio.wait([ended, self._pump], return_when=asyncio.FIRST_COMPLETED)
        if self._pump.done():
            ended.cancel()
            self._pump.result()

    @property
    def subscribed(self) -> int:
        """Data connections that have subscribed."""
        return self._data.subscribed

    def inject(self, fault: Fault) -> None:
        """Let something go wrong from now on, besides the script; call it in the exchange's event loop."""
        self._faults.add(fault)

    def _liquidate(self) -> None:
        for instrument_id in list(self.account.positions):
            self.account.liquidate(instrument_id)

    async def _start(self) -> None:
        rules, log = self._stream_rules, self.log
        # The loop's clock: time-outs of connections and durations of faults must not disagree.
        faults = FaultEngine(self._script, log, asyncio.get_running_loop().time)
        changed = asyncio.Event()
        self._data = DataStreams(self.market, rules, faults, log, changed.set)
        trading = TradingStream(rules.keys, rules.auth_timeout_s, faults, log)
        self._serving = Serving(self.market, self._data, faults, log, self._serving_rules, changed)
        faults.sockets = lambda scope: trading.clients() if scope is FaultScope.TRADING else self._data.of_scope(scope)
        self.market.on_order_event(trading.on_order_event)
        self.account.faults = ScriptedOrders(faults, log)
        faults.on_liquidate = self._liquidate
        self._faults = faults
        stream_port = self._port + 1 if self._port else _ANY_PORT
        streams: StreamServer = await serve_streams(
            self._data, trading, faults, log, LOOPBACK, stream_port, self._serving.contact
        )
        self._stack.push_async_callback(streams.close)
        self.stream_url = f"ws://{LOOPBACK}:{streams.port}"
        app = rest_app(
            self.market,
            self.account,
            RestFaults(faults, log, self.market.now_ns),
            stream_url=self.stream_url,
            keys=rules.keys,
            plan=rules.plan,
        )
        app.add_middleware(_Noticing, on_contact=self._serving.contact)
        rest: RestServer = await serve_rest(app, LOOPBACK, self._port)
        self._stack.push_async_callback(rest.close)
        self.rest_url = f"http://{LOOPBACK}:{rest.port}"
        self._pump = asyncio.create_task(self._serving.run())
        self._stack.push_async_callback(_cancelled, self._pump)


class _Noticing:
    """Notices each request as a sign of a client.

    Args:
        app: Answers it.
        on_contact: Called first.
    """

    def __init__(self, app: ASGIApp, on_contact: Callable[[], None]) -> None:
        self._app, self._on_contact = app, on_contact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._on_contact()
        await self._app(scope, receive, send)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
