"""Whose a message is on a stream that several symbols share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from wire_messages import CALL, NOW_NS, contract, option_quote, option_trade, pack, quote, trade

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_market import MarketEndpoint
from scalpcli.adapters.alpaca_wire import OptionDecoder, StockDecoder
from scalpcli.adapters.stream_gaps import StreamGaps
from scalpcli.adapters.symbol_router import SymbolRouter
from scalpcli.model.row import GAP, GAP_BEGIN, GAP_END, OPTION_QUOTE, OPTION_TRADE, STOCK_TRADE

SPY_CALL = "SPY261120C00600000"


def merged(symbol: str, *contracts: str) -> DataAggregator:
    result = DataAggregator(symbol, now_ns=lambda: NOW_NS + 1_000_000, rows_waiting_max=1_000)
    result.add_contracts([contract(each) for each in contracts])
    return result


def both() -> tuple[SymbolRouter, DataAggregator, DataAggregator]:
    tsla, spy = merged("TSLA", CALL), merged("SPY", SPY_CALL)
    router = SymbolRouter(tsla, spy)
    router.own(tsla, [CALL])
    router.own(spy, [SPY_CALL])
    router.stamp()
    return router, tsla, spy


def rows_of(aggregator: DataAggregator) -> list[tuple[int, int]]:
    """Kind and stamp of each row."""
    block = aggregator.drain()
    return list(zip(block.columns["kind"].tolist(), block.columns["ts_recv_ns"].tolist(), strict=True))


def test_a_stock_message_goes_to_its_symbol():
    """One frame may hold both; every row has the frame's stamp."""
    router, tsla, spy = both()

    StockDecoder(router).decode(pack(trade(1), trade(2, S="SPY"), trade(3, S="SPY")))

    assert rows_of(tsla) == [(STOCK_TRADE, NOW_NS + 1_000_000)]
    assert rows_of(spy) == [(STOCK_TRADE, NOW_NS + 1_000_000)] * 2


def test_an_option_message_goes_to_the_underlying_that_streams_it():
    """By what was subscribed, not by how the contract is called."""
    router, tsla, spy = both()

    OptionDecoder(router).decode(pack(option_trade(1), option_quote(2, S=SPY_CALL)))

    assert [kind for kind, _ in rows_of(tsla)] == [OPTION_TRADE]
    assert [kind for kind, _ in rows_of(spy)] == [OPTION_QUOTE]


def test_what_is_nobodys_is_counted_once():
    """With the first symbol; the others know nothing of it."""
    router, tsla, spy = both()

    StockDecoder(router).decode(pack(quote(1, S="AAPL")))
    OptionDecoder(router).decode(pack(option_trade(1, S="AAPL261120C00200000"), option_quote(2, S="X")))

    assert tsla.counters()["refused"] == {
        "stock message: unknown symbol": 1,
        "option_trade: unknown symbol": 1,
        "option_quote: unknown symbol": 1,
    }
    assert (spy.counters()["refused"], rows_of(tsla), rows_of(spy)) == ({}, [], [])


def test_who_has_left_gets_nothing_more():
    """And who is left alone is called directly again."""
    router, tsla, spy = both()

    router.leave(tsla)
    StockDecoder(router).decode(pack(trade(1), trade(2, S="SPY")))
    OptionDecoder(router).decode(pack(option_trade(1), option_trade(2, S=SPY_CALL)))

    assert rows_of(tsla) == []
    assert [kind for kind, _ in rows_of(spy)] == [STOCK_TRADE, OPTION_TRADE]
    assert router.stamp == spy.stamp


@pytest.mark.parametrize(("halted", "is_halted"), [((), False), (("TSLA",), False), (("TSLA", "SPY"), True)])
def test_silence_is_right_only_while_every_symbol_is_halted(halted, is_halted):
    """One that trades speaks."""
    router, tsla, spy = both()

    for aggregator in (tsla, spy):
        if aggregator.symbol in halted:
            aggregator.status(NOW_NS, "H", "T1")

    assert router.is_halted == is_halted


def endpoint(router: SymbolRouter) -> MarketEndpoint:
    return MarketEndpoint(
        "stock stream", "ws://127.0.0.1:1", ("a", "b"),
        channels=("trades",), decoder=StockDecoder(router), router=router, stale_s=lambda: 1.0,
    )  # fmt: skip


def test_an_outage_is_a_gap_for_each_and_a_resumed_recording_keeps_its_own():
    """TSLA was blind since an earlier process ended, SPY only since the connection was lost."""
    router, tsla, spy = both()
    stream = endpoint(router)
    told: list[tuple[str, int]] = []

    def gaps(aggregator: DataAggregator) -> StreamGaps:
        note = lambda _channels, since_ns, _until_ns: told.append((aggregator.symbol, since_ns))  # noqa: E731
        return StreamGaps(aggregator, 1, lambda: True, note)

    stream.gaps += [gaps(tsla), gaps(spy)]
    stream.gaps[0].resume(NOW_NS - 9, NOW_NS - 5, "recorder was down")
    asyncio.run(stream.subscribe(["TSLA", "SPY"]))
    asyncio.run(stream.wanted())
    stream.down("connection lost")
    stream._sees_again()

    texts = {}
    for aggregator in (tsla, spy):
        block = aggregator.drain()
        texts[aggregator.symbol] = block.conditions
        flags = block.columns["flags"][block.columns["kind"] == GAP].tolist()
        assert flags == [GAP_BEGIN, GAP_END]
    assert texts == {"TSLA": ("recorder was down",), "SPY": ("connection lost",)}
    assert told == [("TSLA", NOW_NS - 5), ("SPY", NOW_NS + 1_000_000)]


def test_a_change_on_a_connection_that_is_being_lost_ends_nothing():
    """The next connection asks for the whole set."""

    class Lost:
        async def send(self, _: Any) -> None:
            raise ConnectionClosedError(None, None)

    stream = endpoint(both()[0])
    stream._connection = Lost()

    asyncio.run(stream.subscribe(["TSLA", "SPY"]))

    assert stream.symbols == {"TSLA", "SPY"}
