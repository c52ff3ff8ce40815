"""The consumer against a server that misbehaves by script."""

from __future__ import annotations

import asyncio
import dataclasses
import http
import time
import uuid
from typing import Any

import pytest
from scripted_server import STREAMS, ScriptedServer, for_ever, grant, greet, refuse, say
from wire_messages import CALL, PUT, contract, option_quote, pack, quote, trade

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.aggregator_codes import PastQuote, PastTrade
from scalpcli.adapters.alpaca_feed import OPTION_CHANNELS, STOCK_CHANNELS, AlpacaFeed, FeedHooks
from scalpcli.adapters.alpaca_streams import AlpacaStreams
from scalpcli.errors import ConfigError, CredentialsError, ScalpcliError, UpstreamUnavailable, UsageError
from scalpcli.model.params import AlpacaParams
from scalpcli.model.row import BACKFILLED, GAP, GAP_BEGIN, GAP_END, STOCK_QUOTE, STOCK_TRADE

PARAMS = AlpacaParams(
    connect_s=1.0,
    answer_s=0.3,
    stale_stock_s=0.4,
    stale_option_s=0.4,
    backoff_first_s=0.02,
    backoff_max_s=0.1,
    backoff_slow_s=0.2,
    ping_s=2.0,
    history_wait_s=0.0,
)


class Run:
    """A feed of the scripted server, run until a condition holds."""

    def __init__(self, server: ScriptedServer, *, hooks: FeedHooks | None = None, **other: Any) -> None:
        params = dataclasses.replace(PARAMS, stream_url=server.url)
        self.aggregator = DataAggregator(
            "TSLA", now_ns=time.time_ns, rows_waiting_max=100_000, monotonic_s=time.monotonic
        )
        self.key, self.secret = uuid.uuid4().hex, uuid.uuid4().hex
        settings: dict[str, Any] = {
            "now_ns": time.time_ns,
            "is_expected": lambda _: True,
        } | other
        streams = AlpacaStreams((self.key, self.secret), params, **settings)
        self.feed = AlpacaFeed(self.aggregator, streams, hooks=hooks)
        self.blocks: list[Any] = []

    async def until(self, condition: Any, limit_s: float = 5.0) -> None:
        task = asyncio.create_task(self.feed.run())
        try:
            async with asyncio.timeout(limit_s):
                while not condition(self):
                    if task.done():
                        task.result()
                    await asyncio.sleep(0.01)
                    self.blocks.append(self.feed.drain())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def texts(self) -> list[str]:
        return [text for block in self.blocks for text in block.conditions]

    def column(self, name: str) -> list[int]:
        return [value for block in self.blocks for value in block.columns[name].tolist()]

    @property
    def trades(self) -> list[int]:
        kinds, ids = self.column("kind"), self.column("trade_id")
        return [trade_id for kind, trade_id in zip(kinds, ids, strict=True) if kind == STOCK_TRADE]

    @property
    def gaps(self) -> list[tuple[int, int, str]]:
        """Flags, channels and cause of each gap row."""
        names = ("kind", "flags", "size", "conditions")
        rows = zip(*(self.column(name) for name in names), strict=True)
        texts = ["", *self.texts]
        return [(flags, size, texts[code]) for kind, flags, size, code in rows if kind == GAP]


def now_trade(number: int) -> dict[str, Any]:
    import msgpack

    return trade(number, t=msgpack.Timestamp(*divmod(time.time_ns(), 1_000_000_000)))


def sends(*numbers: int, then: Any = for_ever) -> Any:
    """A script: the handshake, prints with these ids, then `then`."""

    async def script(connection: Any) -> None:
        await greet(connection)
        for number in numbers:
            await say(connection, now_trade(number))
        await then(connection)

    return script


async def keep_talking(connection: Any) -> None:
    for number in range(10_000, 20_000):
        await say(connection, now_trade(number))
        await asyncio.sleep(0.05)


def outage(cause: str) -> list[tuple[int, int, str]]:
    return [(GAP_BEGIN, STOCK_CHANNELS, cause), (GAP_END, STOCK_CHANNELS, "")]


async def cut(connection: Any) -> None:
    await asyncio.sleep(0.05)
    connection.transport.abort()


def test_a_cut_connection_is_made_again_and_leaves_one_gap():
    """Whole messages before the cut and all after it are rows; the outage has its cause."""

    async def play() -> Run:
        async with ScriptedServer(sends(1, 2, then=cut), sends(3, 4, then=keep_talking)) as server:
            run = Run(server)
            await run.until(lambda run: 4 in run.trades)
            return run

    run = asyncio.run(play())

    assert run.trades[:4] == [1, 2, 3, 4]
    assert run.gaps == outage("connection lost")


def test_the_gap_begins_at_the_last_data_and_ends_before_the_first():
    """Rows inside the gap cannot be trusted, those at its edges can."""

    async def play() -> Run:
        async with ScriptedServer(sends(1, then=cut), sends(2, then=keep_talking)) as server:
            run = Run(server)
            await run.until(lambda run: 2 in run.trades)
            return run

    run = asyncio.run(play())

    kinds, recv, event = run.column("kind"), run.column("ts_recv_ns"), run.column("ts_event_ns")
    first, begin, end, second = (
        kinds.index(STOCK_TRADE),
        kinds.index(GAP),
        len(kinds) - 1 - kinds[::-1].index(GAP),
        kinds.index(STOCK_TRADE, kinds.index(GAP)),
    )
    assert first < begin < end < second
    assert event[first] <= event[begin] <= recv[first]
    assert recv[end] <= recv[second]


def test_a_mute_connection_is_ended_by_the_watchdog():
    """It is up, it answers pings, it says nothing."""

    async def play() -> Run:
        async with ScriptedServer(sends(1), sends(2, then=keep_talking)) as server:
            run = Run(server)
            await run.until(lambda run: 2 in run.trades)
            return run

    assert asyncio.run(play()).gaps == outage("mute")


def test_silence_outside_the_session_is_right():
    """No reconnect and no gap while nothing is expected."""

    async def play() -> tuple[Run, int]:
        async with ScriptedServer(sends(1)) as server:
            run = Run(server, is_expected=lambda _: False)
            began_s = time.monotonic()
            await run.until(lambda _: time.monotonic() - began_s > 1.0)
            return run, server.connections

    run, connections = asyncio.run(play())

    assert (run.gaps, connections) == ([], 1)


def test_a_cut_outside_the_session_is_a_gap_only_when_data_follows():
    """What came in between cannot be known, so it is told; a market that has closed tells nothing more."""

    async def play(second: Any, condition: Any) -> Run:
        async with ScriptedServer(sends(1, then=cut), second) as server:
            run = Run(server, is_expected=lambda _: False)
            await run.until(condition)
            return run

    followed = asyncio.run(play(sends(2), lambda run: 2 in run.trades))
    closed = asyncio.run(play(sends(), lambda run: run.feed.status()["streams"]["stock"]["connects"] == 2))

    assert followed.gaps == outage("connection lost")
    assert closed.gaps == []


def test_an_undecodable_frame_is_a_short_gap():
    """It may have held rows; the connection goes on."""

    async def garbage(connection: Any) -> None:
        await connection.send(pack(trade(9))[:-4])
        await say(connection, now_trade(2))
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(sends(1, then=garbage)) as server:
            run = Run(server)
            await run.until(lambda run: 2 in run.trades)
            return run

    run = asyncio.run(play())

    assert run.gaps == [(GAP_BEGIN | GAP_END, STOCK_CHANNELS, "undecodable frame")]


def test_repeated_reordered_and_unknown_messages_make_no_gap():
    """They lose nothing."""

    async def odd(connection: Any) -> None:
        one, two = now_trade(1), now_trade(2)
        await say(connection, two, one, {"T": "l", "S": "TSLA"}, two, {"T": "t", "S": 5}, {"no": "kind"})
        await say(connection, now_trade(3))
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(sends(then=odd)) as server:
            run = Run(server)
            await run.until(lambda run: 3 in run.trades)
            return run

    run = asyncio.run(play())

    assert (run.trades, run.gaps) == ([2, 1, 3], [])
    assert run.aggregator.counters()["duplicates"] == 1


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (400, UsageError, 2),
        (402, CredentialsError, 3),
        (405, ConfigError, 2),
        (409, CredentialsError, 3),
        (410, ConfigError, 2),
        (411, CredentialsError, 3),
        (412, ConfigError, 2),
        (413, ConfigError, 2),
    ],
)
def test_fatal_codes_end_the_feed(code, kind, exit_code):
    """One try, a message with what to do, no key in it."""

    async def play() -> tuple[ScalpcliError, Run, int]:
        async with ScriptedServer(refuse(code)) as server:
            run = Run(server)
            with pytest.raises(kind) as caught:
                await run.until(lambda _: False)
            return caught.value, run, server.connections

    error, run, connections = asyncio.run(play())

    assert (error.exit_code, connections) == (exit_code, 1)
    assert error.hint
    assert run.key not in error.render()
    assert run.secret not in error.render()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_upgrade_ends_the_feed(status):
    """Wrong keys for ever would only lock the account."""

    async def play() -> None:
        def no(connection: Any, _request: Any) -> Any:
            return connection.respond(http.HTTPStatus(status), "")

        async with ScriptedServer(for_ever, process_request=no) as server:
            await Run(server).until(lambda _: False)

    with pytest.raises(CredentialsError):
        asyncio.run(play())


@pytest.mark.parametrize("refusal", [406, 429])
def test_too_many_and_too_fast_come_back_slowly(refusal):
    """An old connection is counted for a while; a storm of tries makes it worse."""

    async def play() -> tuple[float, Run]:
        times: list[float] = []

        def first_429(connection: Any, _request: Any) -> Any:
            times.append(time.monotonic())
            return connection.respond(http.HTTPStatus(429), "") if refusal == 429 and len(times) == 1 else None

        scripts = (sends(1, then=keep_talking),) if refusal == 429 else (refuse(406), sends(1, then=keep_talking))
        async with ScriptedServer(*scripts, process_request=first_429) as server:
            run = Run(server)
            await run.until(lambda run: 1 in run.trades)
            return times[1] - times[0], run

    waited_s, run = asyncio.run(play())

    assert waited_s >= 0.09
    assert [gap[0] for gap in run.gaps] == [GAP_BEGIN, GAP_END]
    assert str(refusal) in run.gaps[0][2]


@pytest.mark.parametrize("code", [401, 404, 407, 500])
def test_passing_errors_reconnect(code):
    """Counted, with a gap that names the code."""

    async def error(connection: Any) -> None:
        await say(connection, {"T": "error", "code": code, "msg": "x"})
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(sends(1, then=error), sends(2, then=keep_talking)) as server:
            run = Run(server)
            await run.until(lambda run: 2 in run.trades)
            return run

    assert asyncio.run(play()).gaps[0][2].endswith(str(code))


def test_a_subscription_granted_in_part_is_not_taken():
    """What is missing would be missing for ever, silently."""

    async def part(connection: Any) -> None:
        asked = await greet(connection, without=("TSLA",))
        assert asked["trades"] == ["TSLA"]
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(part, sends(1, then=keep_talking)) as server:
            run = Run(server)
            await run.until(lambda run: 1 in run.trades)
            return run

    assert asyncio.run(play()).gaps == outage("handshake timed out")


def test_a_bound_on_tries_ends_with_upstream_unavailable():
    """Only whoever asks for a bound gets exit 6."""

    async def play() -> None:
        async with ScriptedServer(for_ever) as server:
            url = server.url
            run = Run(server, tries_max=3)
        assert url
        await run.until(lambda _: False)

    with pytest.raises(UpstreamUnavailable):
        asyncio.run(play())


def by_stream(stock: Any, option: Any) -> Any:
    async def script(connection: Any) -> None:
        await (option if "v1beta1" in connection.request.path else stock)(connection)

    return script


def test_contracts_are_added_and_given_back_on_the_living_connection():
    """The answer to each change is checked; no gap, no reconnect."""
    seen: list[dict[str, Any]] = []

    async def option(connection: Any) -> None:
        server = connection.scripted
        await greet(connection)
        await say(connection, option_quote(1))
        seen.append(await server.hear(connection))
        await grant(connection, {name: [CALL, PUT] for name in STREAMS})
        seen.append(await server.hear(connection))
        await grant(connection, {name: [PUT] for name in STREAMS})
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(by_stream(sends(1), option)) as server:
            run = Run(server, is_expected=lambda _: False)
            await run.feed.set_contracts([contract(CALL)])
            task = asyncio.create_task(run.until(lambda run: run.feed.streamed_contracts == {PUT}))
            await asyncio.sleep(0.2)
            await run.feed.set_contracts([contract(CALL), contract(PUT)])
            await asyncio.sleep(0.2)
            await run.feed.set_contracts([contract(PUT)])
            await task
            return run

    run = asyncio.run(play())

    assert seen == [
        {"action": "subscribe", "trades": [PUT], "quotes": [PUT]},
        {"action": "unsubscribe", "trades": [CALL], "quotes": [CALL]},
    ]
    assert run.gaps == []
    assert [item.instrument_id for block in run.blocks for item in block.instruments] == [1, 2]


def test_a_change_beyond_the_plan_keeps_what_is_streamed():
    """A recording goes on with the contracts it has rather than end in the middle of the session."""

    async def option(connection: Any) -> None:
        await greet(connection)
        await connection.scripted.hear(connection)
        await say(connection, {"T": "error", "code": 405, "msg": "symbol limit exceeded"})
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(by_stream(sends(1), option)) as server:
            run = Run(server, is_expected=lambda _: False)
            await run.feed.set_contracts([contract(CALL)])
            task = asyncio.create_task(run.until(lambda run: run.feed.status()["streams"]["option"]["limited"] == 1))
            await asyncio.sleep(0.2)
            await run.feed.set_contracts([contract(CALL), contract(PUT)])
            await task
            return run

    run = asyncio.run(play())

    assert run.feed.streamed_contracts == {CALL}
    assert run.gaps == []


@pytest.mark.parametrize("may_fall_back", [True, False])
def test_a_plan_without_opra_falls_back_only_when_allowed_and_says_so(may_fall_back):
    """Indicative quotes are not the NBBO; nobody gets them unawares."""
    said: list[str] = []

    async def option(connection: Any) -> None:
        if connection.request.path.endswith("opra"):
            await refuse(409)(connection)
        else:
            await greet(connection)
            await say(connection, option_quote(1))
            await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(by_stream(sends(1), option)) as server:
            hooks = FeedHooks(on_message=said.append)
            run = Run(server, is_expected=lambda _: False, may_fall_back=may_fall_back, hooks=hooks)
            await run.feed.set_contracts([contract(CALL)])
            await run.until(lambda run: 4 in run.column("kind"))
            return run

    if not may_fall_back:
        with pytest.raises(CredentialsError):
            asyncio.run(play())
        return
    run = asyncio.run(play())
    assert run.feed.status()["option_feed"] == "indicative"
    assert "not the NBBO" in said[0]
    assert any("not the NBBO" in body["cause"] for block in run.blocks for _, body in block.notes)


def test_history_of_a_gap_is_written_once_beside_what_came_live():
    """Prints 2 and 3 were lost; 1 and 4 came live and are in the history too."""
    history: list[PastTrade] = []

    def past(number: int) -> PastTrade:
        return PastTrade("TSLA", time.time_ns(), 400.01, 100, "V", ("@",), number)

    async def loses(connection: Any) -> None:
        await asyncio.sleep(0.05)
        history.extend(past(number) for number in (1, 2, 3, 4))
        connection.transport.abort()

    async def backfill(kind: int, since_ns: int, until_ns: int) -> list[PastTrade | PastQuote]:
        assert since_ns < until_ns
        return [] if kind == STOCK_QUOTE else [*history, history[1]]

    async def play() -> Run:
        async with ScriptedServer(sends(1, then=loses), sends(4, then=keep_talking)) as server:
            run = Run(server, hooks=FeedHooks(backfill=backfill))
            await run.until(lambda run: {2, 3, 4} <= set(run.trades))
            return run

    run = asyncio.run(play())

    marked = [
        trade_id
        for trade_id, flags in zip(run.column("trade_id"), run.column("flags"), strict=True)
        if flags & BACKFILLED and trade_id
    ]
    assert marked == [2, 3]
    assert sorted(number for number in run.trades if number < 10) == [1, 2, 3, 4]


def test_a_request_for_history_that_fails_ends_nothing():
    """The gap stays a gap; the failure is counted and its text is not repeated."""

    async def backfill(_kind: int, _since_ns: int, _until_ns: int) -> list[PastTrade | PastQuote]:
        raise OSError(f"https://host/?token={uuid.uuid4().hex}")

    async def play() -> dict[str, Any]:
        async with ScriptedServer(sends(1, then=cut), sends(2, then=keep_talking)) as server:
            run = Run(server, hooks=FeedHooks(backfill=backfill))
            await run.until(lambda run: run.feed.backfill_failures == 2)
            return run.feed.status()

    status = asyncio.run(play())

    assert (status["last_failure"], status["streams"]["stock"]["is_up"]) == ("OSError", False)


def test_raw_frames_are_handed_on_as_they_came():
    """Name, receive stamp, bytes; nothing is left out."""
    frames: list[tuple[str, int, bytes]] = []
    message = quote(1)

    async def talk(connection: Any) -> None:
        await say(connection, message)
        await for_ever(connection)

    async def play() -> Run:
        async with ScriptedServer(sends(then=talk)) as server:
            hooks = FeedHooks(on_frame=lambda *frame: frames.append(frame))
            run = Run(server, is_expected=lambda _: False, hooks=hooks)
            await run.until(lambda run: STOCK_QUOTE in run.column("kind"))
            return run

    asyncio.run(play())

    assert len(frames) == 4
    assert (frames[-1][0], frames[-1][2]) == ("stock stream", pack(message))


def test_an_option_outage_names_the_option_channels():
    """The stock stream saw everything meanwhile."""

    async def lost(connection: Any) -> None:
        await greet(connection)
        await say(connection, option_quote(1))
        await cut(connection)

    async def back(connection: Any) -> None:
        await greet(connection)
        await say(connection, option_quote(2))
        await for_ever(connection)

    options = iter([lost, back])

    async def play() -> Run:
        async def option(connection: Any) -> None:
            await next(options, back)(connection)

        async with ScriptedServer(by_stream(sends(1, then=keep_talking), option)) as server:
            run = Run(server)
            await run.feed.set_contracts([contract(CALL)])
            await run.until(lambda run: run.column("kind").count(4) == 2)
            return run

    assert [gap[1] for gap in asyncio.run(play()).gaps] == [OPTION_CHANNELS, OPTION_CHANNELS]
