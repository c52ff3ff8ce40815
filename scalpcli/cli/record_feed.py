"""Wires Alpaca to the recorder: contracts that follow the money, history of gaps, greeks.

Decides which callables the feed gets and when the contracts are chosen anew. Leaves the streams to
`adapters/alpaca_feed.py` and the choice itself to `adapters/contracts.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.aggregator_codes import PastQuote, PastTrade
from scalpcli.adapters.alpaca_feed import AlpacaFeed, FeedHooks, session_expects
from scalpcli.adapters.alpaca_history import bar_notes, option_trades, stock_quotes, stock_trades
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.alpaca_streams import AlpacaStreams
from scalpcli.adapters.contracts import (
    ContractsPlan,
    describe_left_out,
    fetch_contracts,
    look_ahead_days,
    numbered,
    option_budget,
)
from scalpcli.adapters.orats import Orats
from scalpcli.cli.alpaca_access import Access
from scalpcli.errors import DataError, ScalpcliError, UpstreamUnavailable
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import RecordParams
from scalpcli.model.row import LAST, OPTION_TRADE, STOCK_QUOTE, STOCK_TRADE
from scalpcli.model.session import Session
from scalpcli.runtime import clock
from scalpcli.runtime.segment_format import Continuation
from scalpcli.units import usd_to_e4

RECORDER_DOWN: Final = "recorder was down"
_FIRST_LOOK_S: Final = 0.25
"""Seconds between two looks for a first price, where Alpaca told none."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What is recorded of one symbol."""

    symbol: str
    session: Session
    params: RecordParams
    access: Access


def market_streams(access: Access, params: RecordParams, session: Session) -> AlpacaStreams:
    """The connections that all symbols of a recorder share: Alpaca lets one in at each endpoint."""
    return AlpacaStreams(
        (access.key, access.secret),
        access.params,
        now_ns=access.clock.now_ns,
        is_expected=session_expects(session.open_ns, session.close_ns),
        feed=params.feed,
        option_feed=params.option_feed,
        speed=access.clock.speed,
    )


class RecordedMarket:
    """A source for the recorder: one underlying and the contracts near its price.

    Args:
        plan: What is recorded.
        rest: Alpaca's requests.
        streams: Alpaca's connections, of all symbols.
        last_ns: Receive stamp of the head rows; no row may lie before it.
        continuation: Where the recording ended before.
        on_frame: Takes raw frames.
        say: Takes words for people.
        close_e4: Close of the session before, 1/10000 USD; 0 = not known.
        kept: Contracts of `continuation` that are streamed from the start; all of them where not given. With it, every
            contract listed for the wanted days gets its number at the start, streamed or not: an engine that trades
            must know them all.

    Raises:
        DataError: on `prepare`: no contract expires on a wanted day.
    """

    def __init__(
        self,
        plan: MarketPlan,
        rest: AlpacaRest,
        streams: AlpacaStreams,
        *,
        last_ns: int,
        continuation: Continuation | None,
        on_frame: Callable[[str, int, bytes], None] | None,
        say: Say,
        close_e4: int = 0,
        kept: Collection[str] | None = None,
    ) -> None:
        self._plan = plan
        self._kept = kept
        self.listed: tuple[Instrument, ...] = ()
        """Contracts that have a number from the start, number 1 first."""
        self._rest = rest
        self._say = say
        self._spot_e4 = 0
        self._close_e4 = close_e4
        self._known = continuation.instruments if continuation else ()
        self._contracts: ContractsPlan | None = None
        access = plan.access
        self._orats = (
            Orats(
                access.params.orats_url,
                access.orats_token,
                connect_s=access.params.connect_s,
                answer_s=access.params.answer_s,
            )
            if access.orats_token
            else None
        )
        self._aggregator = DataAggregator(
            plan.symbol,
            now_ns=access.clock.now_ns,
            rows_waiting_max=access.params.rows_waiting_max,
            instruments=self._known,
            conditions=continuation.conditions if continuation else (),
            exchanges=continuation.exchanges if continuation else (),
            last_ns=last_ns,
            monotonic_s=clock.seconds,
            speed=access.clock.speed,
        )
        self._feed = AlpacaFeed(
            self._aggregator,
            streams,
            greeks_s=plan.params.greeks_s,
            hooks=FeedHooks(self._backfill, self._greeks if self._orats else None, on_frame, say),
        )
        if continuation is not None and continuation.last_ts_recv_ns:
            self._feed.resume(continuation.tail, RECORDER_DOWN, is_whole=continuation.is_tail_whole)

    def prepare(self) -> None:
        """Ask for the contracts and the price; blocks, so call it off the event loop.

        Raises:
            ScalpcliError: Alpaca refuses, or there is nothing to record.
        """
        plan, params = self._plan, self._plan.params
        date = plan.session.date
        self._contracts = ContractsPlan(
            plan.symbol,
            date,
            fetch_contracts(self._rest, plan.symbol, date, look_ahead_days(params.dte)),
            params.dte,
            params.strikes,
            params.atm_pct,
            option_budget(params.option_feed, params.max_contracts),
            # A contract once recorded that day stays.
            chosen={each.symbol: each for each in self._known if self._kept is None or each.symbol in self._kept},
        )
        self.listed = tuple(self._known)
        if self._kept is not None and not self._known:
            wanted = set(self._contracts.expiries)
            self.listed = tuple(numbered(each for each in self._contracts.available if each.expiry in wanted))
            self._aggregator.add_contracts(self.listed)
        for days in self._contracts.missing_dte:
            self._say(f"no contract of {plan.symbol} expires {f'in {days} days' if days else 'today'}")
        with contextlib.suppress(DataError, UpstreamUnavailable):
            # Before the first print of a day there may be none to tell; the streams tell the next one anyway.
            told = self._rest.latest_trade(plan.symbol, params.feed)
            self._spot_e4 = usd_to_e4(float(told.get("p") or 0.0))

    @property
    def aggregator(self) -> DataAggregator:
        """Makes its rows."""
        return self._aggregator

    def limit_contracts(self, contracts_max: int) -> None:
        """Record at most so many contracts: this symbol's share of what a connection may carry."""
        assert self._contracts is not None
        given_up = self._contracts.limit(contracts_max, self._spot_e4 or self._guess_e4())
        if given_up:
            self._say(f"{len(given_up)} contracts recorded before are given up: the budget is {contracts_max}")

    async def run(self) -> None:
        """Stream, and choose the contracts anew as the stock moves, until cancelled."""
        tasks = [asyncio.create_task(self._feed.run()), asyncio.create_task(self._recentre())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._orats is not None:
                self._orats.close()

    def drain(self) -> Block:
        """Everything learned since the last call; remembers the last price."""
        block = self._feed.drain()
        if block.rows:
            kind, flags = block.columns["kind"], block.columns["flags"]
            prints = ((kind == STOCK_TRADE) & (flags & LAST != 0)).nonzero()[0]
            if len(prints):
                self._spot_e4 = int(block.columns["price_e4"][prints[-1]])
        return block

    def status(self) -> dict[str, Any]:
        """The feed's figures."""
        return self._feed.status()

    async def _recentre(self) -> None:
        assert self._contracts is not None
        is_told = False
        while True:
            choice = self._contracts.choose(self._spot_e4 or self._guess_e4())
            if choice.add or not self._feed.streamed_contracts:
                await self._feed.set_contracts(list(self._contracts.chosen.values()))
            words = describe_left_out(choice)
            # Once: on a moving day the contracts beyond the budget change with every look.
            if words and not is_told:
                self._say(words)
                is_told = True
            await asyncio.sleep(self._plan.params.recentre_s if self._spot_e4 else _FIRST_LOOK_S)

    def _guess_e4(self) -> int:
        """Where the money may be before any print tells: the last close, else the middle of the listed strikes."""
        if self._close_e4:
            return self._close_e4
        assert self._contracts is not None
        strikes = sorted(contract.strike_e4 for contract in self._contracts.available)
        return strikes[len(strikes) // 2]

    async def _backfill(self, kind: int, since_ns: int, until_ns: int) -> Iterable[PastTrade | PastQuote]:
        return await asyncio.to_thread(self._history, kind, since_ns, until_ns)

    def _history(self, kind: int, since_ns: int, until_ns: int) -> list[PastTrade | PastQuote]:
        symbol, feed = self._plan.symbol, self._plan.params.feed
        rows: list[PastTrade | PastQuote] = []
        if kind == STOCK_TRADE:
            for prints in stock_trades(self._rest, symbol, since_ns, until_ns, feed):
                rows += prints
        elif kind == STOCK_QUOTE:
            for quotes in stock_quotes(self._rest, symbol, since_ns, until_ns, feed):
                rows += quotes
        elif kind == OPTION_TRADE and self._contracts is not None and self._contracts.chosen:
            for prints in option_trades(self._rest, list(self._contracts.chosen), since_ns, until_ns):
                rows += prints
        return rows

    async def _greeks(self) -> Mapping[str, Any] | None:
        return await asyncio.to_thread(self._ask_greeks)

    def _ask_greeks(self) -> Mapping[str, Any] | None:
        assert self._orats is not None
        if self._contracts is None:
            return None
        merged: dict[str, Any] = {}
        for expiry in self._contracts.expiries:
            body = self._orats.greeks(self._plan.symbol, expiry)
            if body:
                merged = {**body, "contracts": {**merged.get("contracts", {}), **body["contracts"]}}
        return merged or None


def notes_from_bars(
    plan: MarketPlan, rest: AlpacaRest, sessions_max: int, say: Say
) -> list[tuple[str, dict[str, Any]]]:
    """Head rows from Alpaca's bars; none, and words, where Alpaca gives none."""
    try:
        return bar_notes(rest, plan.symbol, plan.session.date, plan.params.feed, sessions_max=sessions_max)
    except ScalpcliError as error:
        say(f"no levels of earlier sessions: {error.found}")
        return []
