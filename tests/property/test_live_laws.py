"""What holds of orders and positions however roughly a true broker speaks.

The executor is driven without a tape: quotes wander, signals come at random, a rough broker answers, somebody sells
by hand now and then, and at the end everything is left. Some hundred stories a run, each named by its number.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from scalpcli.core.executor import AutoExecutor, Command
from scalpcli.core.exits import ExitReason, ScalpExitManager
from scalpcli.core.gates import SessionTally
from scalpcli.core.option_selection import Selection
from scalpcli.core.risk import Ledger
from scalpcli.core.signals import ScalpSignal
from scalpcli.core.view import Quote
from scalpcli.model import note as notes
from scalpcli.model.fees import schedule_for
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import Note
from scalpcli.model.order import Leg, OrderSide
from scalpcli.model.params import Params
from tests.property.rough_broker import MS, RoughBroker
from tests.scenario.world import CALL, DAY, PUT, SESSION

STORIES = 20
STEP_NS = 50 * MS
TRADED_NS = 60_000 * MS
QUIET_NS = 240_000 * MS


@dataclass
class Board:
    """Quotes of two contracts, as much of the market as the executor looks at."""

    bid_e4: int = 13_800
    reversal_pct: float = math.nan
    ts_ns: int = 0

    def quote(self, instrument_id: int) -> Quote:
        """Both contracts stand alike, two cents wide."""
        del instrument_id
        return Quote(self.bid_e4, self.bid_e4 + 200, 50, 50, self.ts_ns)

    def bid_extremes_e4(self, instrument_id: int) -> tuple[int, int]:
        """Nobody asks for them here."""
        del instrument_id
        return self.bid_e4, self.bid_e4

    def restart_bid_extremes(self, instrument_id: int) -> None:
        """Nobody asks for them here."""


@dataclass
class Story:
    """One story: engine's side, broker's side, and what was decided."""

    number: int
    is_orderly: bool
    by_hand: bool = False
    protective: bool = False
    decisions: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.number)  # noqa: S311 - a story's number must tell it again
        stop_pct = 30.0 if self.protective else 0.0
        defaults = Params()
        params = dataclasses.replace(
            defaults,
            exits=dataclasses.replace(defaults.exits, protective_stop_pct=stop_pct),
            risk=dataclasses.replace(defaults.risk, exit_reprices_max=6, rejects_in_a_row_max=0),
        )
        self.board = Board()
        self.tally = SessionTally()
        self.ledger = Ledger(1_000_000_000, schedule_for(DAY, "none"))
        exits = ScalpExitManager(params, SESSION)
        self.executor = AutoExecutor(params, "scalp-x", self.board, exits, self.ledger, self.tally, self._emit)  # type: ignore[arg-type]
        self.broker = RoughBroker(self.chance, self.is_orderly)
        self.now_ns = SESSION.open_ns - 8 * 60 * 1000 * MS
        self.hands = 0

    def _emit(self, ts_ns: int, kind: str, body: dict[str, Any]) -> None:
        self.decisions.append((ts_ns, kind, body))

    def play(self) -> None:
        """A minute of trading, then everything is left, and time until all is told."""
        begin_ns = self.now_ns
        while self.now_ns < begin_ns + TRADED_NS:
            self._step()
            if self.chance.random() < 0.01 and self.tally.stops.first() is None:
                self._signal()
            if self.by_hand and self.chance.random() < 0.003:
                self.hands += 1
                self.broker.sell_by_hand(self.chance.choice([CALL, PUT]).instrument(1).symbol)
        while self.now_ns < begin_ns + QUIET_NS and not self._is_over():
            self.executor.leave_all(ExitReason.OPERATOR, "over", self.now_ns)
            self._step()

    def _is_over(self) -> bool:
        return self.broker.is_quiet and not self.executor.scalps and not any(self.broker.held.values())

    def _step(self) -> None:
        self.now_ns += STEP_NS
        self.board.bid_e4 = max(500, self.board.bid_e4 + self.chance.choice([-200, -100, 0, 0, 100, 200]))
        self.broker.price_e4 = self.board.bid_e4 + self.chance.choice([0, 100, 200])
        self.broker.trade(self.now_ns)
        for reply in self.broker.run(self.now_ns):
            self.executor.on_reply(reply, self.now_ns)
            self._check()
        if self.executor.deadline_ns() <= self.now_ns:
            self.executor.on_deadline(self.now_ns)
        for instrument_id in (1, 2):
            self.executor.on_quote(instrument_id, self.now_ns)
        if self.broker.is_quiet:
            self._compare()
        for command in self._taken():
            self.broker.send(command, self.now_ns)
        self._check()

    def _taken(self) -> list[Command]:
        taken, self.executor.flow.commands = self.executor.flow.commands, []
        return taken

    def _signal(self) -> None:
        number, right = self.tally.signals, self.chance.randrange(2)
        quote = self.board.quote(1)
        instrument: Instrument = (CALL, PUT)[right].instrument(right + 1)
        selection = Selection(instrument, quote, 0, 0.35, "tape", 0.5, 0.0, 1000, 1)
        signal = ScalpSignal(
            number, f"s{number}", self.now_ns, "TSLA", "SCALP", "momentum_burst", right, number, 4e6, selection,
            quote.ask_e4, 30.0, 15.0, 15.0, 50, self.chance.randint(1, 10),
        )  # fmt: skip
        self.tally.signals += 1
        self.tally.scalps_live += 1
        self.tally.scalps_waiting += 1
        self.executor.execute_scalp(signal, 0.5, self.now_ns)

    def _compare(self) -> None:
        """What the reconciliation does: only where nothing is under way, and only a difference is told."""
        for symbol in (CALL.instrument(1).symbol, PUT.instrument(2).symbol):
            held, broker = self.executor.discrepancies.held(symbol), self.broker.held.get(symbol, 0)
            if held != broker:
                body = {"symbol": symbol, "held": held, "broker": broker, "action": "adopt", "price_e4": 0}
                self.executor.discrepancies.reconcile(Note(0, self.now_ns, notes.RECONCILE, body))

    def _check(self) -> None:
        assert all(scalp.held >= 0 for scalp in self.executor.scalps)
        assert self.tally.scalps_live == len(self.executor.scalps)
        assert self.tally.scalps_waiting == sum(scalp.bought == 0 for scalp in self.executor.scalps)
        working = [sent for sent in self.executor.flow.sent.values() if not sent.has_ended]
        owners = [sent.order.signal for sent in working]
        assert len(owners) == len(set(owners))
        claims = sum(sent.order.limit_e4 * sent.remaining * 100 for sent in working if sent.order.leg is Leg.ENTRY)
        assert self.ledger.committed_e4 == claims

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of every decision of one kind."""
        return [body for _, each, body in self.decisions if each == kind]


@functools.cache
def told(number: int, **options: Any) -> Story:
    """A story, told to its end, once however many tests look at it."""
    story = Story(number, **options)
    story.play()
    return story


@pytest.mark.parametrize("protective", [False, True], ids=["", "protective stop"])
@pytest.mark.parametrize("is_orderly", [True, False], ids=["in order", "in any order"])
def test_every_story_ends_flat_with_every_fill_and_every_dollar_counted_once(is_orderly: bool, protective: bool):
    """However late and in whatever order news comes: nothing held at the end, here and there, and the same money."""
    fills = unknown = late = 0
    for number in range(STORIES):
        story = told(number, is_orderly=is_orderly, protective=protective)
        where = f"story {number}"
        assert story.executor.scalps == [], where
        assert set(story.broker.held.values()) <= {0}, where
        assert len(story.of("fill")) == story.broker.fills, where
        assert story.ledger.cash_e4 - story.ledger.starting_equity_e4 == story.broker.cash_e4, where
        assert story.ledger.gross_e4 + story.ledger.unmatched_e4 == story.broker.cash_e4, where
        assert story.tally.stops.first() is None or story.of("alarm"), where
        fills += story.broker.fills
        unknown += len(story.of("unknown"))
        late += sum(body["reason"] == "LATE_FILL" for body in story.of("exit"))

    assert fills > 10 * STORIES
    assert unknown > STORIES / 4
    assert (late > 0) is (not is_orderly)


def test_no_story_in_order_buys_more_than_was_approved():
    """Every signal's contracts are its size at most: a try follows only when the one before is known to be over."""
    for number in range(STORIES):
        story = told(number, is_orderly=True, protective=False)
        sizes = {sent.order.signal: sent.scalp.target_quantity for sent in story.executor.flow.sent.values()}
        assert all(quantity <= sizes[signal] for signal, quantity in story.broker.bought.items()), f"story {number}"


def test_a_position_that_somebody_else_sells_ends_equal_to_the_brokers():
    """By hand, in the middle of anything: what is compared at rest is adopted, and the end is flat."""
    hands = external = 0
    for number in range(STORIES):
        story = told(number, is_orderly=True, by_hand=True)
        assert story.executor.scalps == [], f"story {number}"
        assert set(story.broker.held.values()) <= {0}, f"story {number}"
        hands += story.hands
        external += len(story.of("reconcile"))

    assert external > STORIES / 10


def test_order_ids_are_never_used_twice():
    """Not by a position begun anew either."""
    for number in range(STORIES):
        story = told(number, is_orderly=False, protective=False)
        ids = [body["order_id"] for body in story.of("order")]
        assert len(ids) == len(set(ids)), f"story {number}"
        assert all(
            sent.order.side is OrderSide.SELL or sent.order.leg is Leg.ENTRY
            for sent in story.executor.flow.sent.values()
        )
