"""Plays one session for many settings in one pass; each decides as it would alone, byte for byte.

The kernel folds every row once, whatever the number of lanes: it comes back for the first of all deadlines, for
what any lane's triggers saw, and for quotes that any lane waits for. Which lanes that concerns is decided here;
only they go on in Python. `runner.py` stays the one order of things: `Lane` does at a time, an instant and a
quote what `Runner` does there, and this file adds who is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Final

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.executor import Watch
from scalpcli.core.lanes import LaneView, Machines, Moment, SharedSelector, lanes_of, selector_key
from scalpcli.core.layout import (
    END,
    INSTANT,
    NEVER_NS,
    RARE,
    UNTIL,
    WATCH,
    WATCH_EVERY,
    WATCH_HIGH,
    WATCH_LOW,
    WATCH_RECOVERY,
)
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.core.view import Quote
from scalpcli.model import note as notes
from scalpcli.model.decision import Decision
from scalpcli.model.note import Note
from scalpcli.model.row import COLD, GAP, STATUS, RowBatch
from scalpcli.runtime.runner import next_note
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker

_OF_THE_MARKET: Final = (notes.PREVIOUS_LEVELS, notes.VOLUME_PROFILE)
_OF_THE_CHAIN: Final = (notes.GREEKS, notes.OPEN_INTEREST)


class Lane:
    """One setting's engine and broker, and what must happen for it to be called.

    Args:
        setup: What it is played with.
        view: The market as it sees it.
        engine: What decides.
        latencies: Of its broker.
        keep: Kinds of decisions that are kept; empty = all.
    """

    __slots__ = ("_keep", "broker", "decisions", "due_ns", "engine", "has_sent", "wake_ns", "watching")

    def __init__(
        self, setup: Setup, view: LaneView, engine: Engine, latencies: Latencies, keep: frozenset[str]
    ) -> None:
        self.engine = engine
        self.broker = SimulatedBroker(setup.params.simulated_broker, setup.session, view, latencies)
        self._keep = keep
        self.decisions: list[Decision] = []
        self.has_sent = False
        self.watching: dict[int, Watch] = {}
        self.due_ns = NEVER_NS
        self.wake_ns = NEVER_NS

    def at_time(self, t_ns: int) -> None:
        """What is due at `t_ns`, after every row received by then."""
        for reply in self.broker.run(t_ns):
            self.engine.on_reply(reply, t_ns)
        if self.engine.deadline_ns() <= t_ns:
            self.engine.on_deadline(t_ns)

    def at_quote(self, instrument_id: int, t_ns: int) -> None:
        """A quote of a contract it waits for."""
        if instrument_id in self.broker.watched():
            self.broker.on_quote(instrument_id, t_ns)
        self.engine.on_watch(instrument_id, t_ns)

    def settle(self, t_ns: int) -> dict[int, Watch]:
        """Send what was decided; the quotes it waits for now."""
        self.take_decisions()
        for command in self.engine.take_commands():
            self.has_sent = True
            self.broker.send(command, t_ns)
        if not self.has_sent:
            return self.watching
        watches = self.engine.watches()
        for instrument_id in self.broker.watched():
            bits, low_e4, high_e4 = watches.get(instrument_id, (0, 0, 0))
            watches[instrument_id] = (bits | WATCH_EVERY, low_e4, high_e4)
        return watches

    def take_decisions(self) -> None:
        """Keep what is to be kept of what was decided."""
        taken = self.engine.take_decisions()
        if self._keep:
            taken = [decision for decision in taken if decision.kind in self._keep]
        self.decisions += taken


class _ContractWatch:
    """Who waits for quotes of one contract, and for which.

    A limit stands in a heap and counts while its lane still waits for it. Bounded by the lanes' changes.
    """

    def __init__(self) -> None:
        self.of: dict[int, Watch] = {}
        self._each: set[int] = set()
        self._lows: list[tuple[int, int]] = []
        self._highs: list[tuple[int, int]] = []

    def set(self, lane: int, watch: Watch | None) -> None:
        """Let one lane wait for something else, or for nothing."""
        self._each.discard(lane)
        if watch is None:
            del self.of[lane]
            return
        self.of[lane] = watch
        bits, low_e4, high_e4 = watch
        if bits & (WATCH_EVERY | WATCH_RECOVERY):
            self._each.add(lane)
        else:
            self._push(lane, bits, low_e4, high_e4)

    def _push(self, lane: int, bits: int, low_e4: int, high_e4: int) -> None:
        if bits & WATCH_LOW:
            heappush(self._lows, (-low_e4, lane))
        if bits & WATCH_HIGH:
            heappush(self._highs, (high_e4, lane))

    def _stands(self, lane: int, bit: int, limit_e4: int) -> bool:
        watch = self.of.get(lane)
        if watch is None or lane in self._each or not watch[0] & bit:
            return False
        return watch[1 if bit == WATCH_LOW else 2] == limit_e4

    def union(self) -> Watch:
        """What the kernel is to come back for; no bits when nobody waits."""
        if not self.of:
            return (0, 0, 0)
        lows, highs = self._lows, self._highs
        while lows and not self._stands(lows[0][1], WATCH_LOW, -lows[0][0]):
            heappop(lows)
        while highs and not self._stands(highs[0][1], WATCH_HIGH, highs[0][0]):
            heappop(highs)
        # A watch without bits would follow no extremes of the bid; below -1 there is no bid.
        low_e4 = -lows[0][0] if lows else -1
        bits = WATCH_LOW | (WATCH_HIGH if highs else 0) | (WATCH_EVERY if self._each else 0)
        return (bits, low_e4, highs[0][0] if highs else 0)

    def met_by(self, quote: Quote) -> list[int]:
        """Lanes whose watch this quote meets; as `book.meets_watch`, lane by lane."""
        speaks_low = quote.bid_e4 <= 0 or quote.is_valid
        met = {lane for lane in self._each if _meets(self.of[lane], quote)}
        again = []
        lows, highs = self._lows, self._highs
        while speaks_low and lows and -lows[0][0] >= quote.bid_e4:
            limit, lane = heappop(lows)
            if self._stands(lane, WATCH_LOW, -limit):
                met.add(lane)
                again.append((lows, (limit, lane)))
        while quote.is_valid and highs and highs[0][0] <= quote.bid_e4:
            limit, lane = heappop(highs)
            if self._stands(lane, WATCH_HIGH, limit):
                met.add(lane)
                again.append((highs, (limit, lane)))
        # Where the lane goes on waiting for the same, the next quote must find it.
        for heap, entry in again:
            heappush(heap, entry)
        return sorted(met)


def _meets(watch: Watch, quote: Quote) -> bool:
    bits, low_e4, high_e4 = watch
    if bits & WATCH_EVERY:
        return True
    if bits & WATCH_LOW and quote.bid_e4 <= low_e4:
        return quote.bid_e4 <= 0 or quote.is_valid
    if not quote.is_valid:
        return False
    return bool((bits & WATCH_HIGH and quote.bid_e4 >= high_e4) or (bits & WATCH_RECOVERY and quote.bid_e4 > low_e4))


class LanesRunner:
    """Drives the lanes of one session whose trackers agree.

    Args:
        setups: What each is played with; one session, equal trackers.
        hot: The compiled or the interpreted kernel.
        latencies: Of each lane's broker.
        cold: Cold rows, in the order of their markers.
        keep: Kinds of decisions that are kept; empty = all.
    """

    def __init__(
        self,
        setups: Sequence[Setup],
        hot: Kernel,
        latencies: Sequence[Latencies],
        cold: Iterable[Note],
        keep: frozenset[str],
    ) -> None:
        first = setups[0]
        self._machines = Machines([setup.params.scalp for setup in setups])
        self._market = MarketState(first.params, first.session, first.instruments, hot, lanes=self._machines.configs)
        self._moment = Moment(self._market)
        self._notes: Iterator[Note] = iter(cold)
        self._selectors = _shared_selectors(setups, hot, self._moment)
        self.lanes = [self._lane(number, setup, hot, latencies[number], keep) for number, setup in enumerate(setups)]
        self._watches: dict[int, _ContractWatch] = {}
        self._changed: set[int] = set()
        self._due: list[tuple[int, int]] = []
        self._wakes: list[tuple[int, int]] = []
        self._offering: set[int] = set()
        self._now_ns = 0

    def _lane(self, number: int, setup: Setup, hot: Kernel, latencies: Latencies, keep: frozenset[str]) -> Lane:
        view = LaneView(self._moment, self._machines.of_lane[number], setup.params.scalp)
        engine = Engine(setup, self._market, hot, view, self._selectors[number])
        return Lane(setup, view, engine, latencies, keep)

    def run(self, batches: Iterable[RowBatch]) -> None:
        """Play every batch, then the rest of the session up to its close."""
        for lane in self.lanes:
            lane.engine.start()
        self._settle(range(len(self.lanes)))
        for batch in batches:
            if len(batch.ts_recv_ns):
                # Rows of the last receive time may go on in the next batch.
                self._feed(batch, int(batch.ts_recv_ns[-1]) - 1)
        self._feed(RowBatch.empty(), NEVER_NS - 1)

    def finish(self, t_ns: int) -> None:
        """End the session of every lane."""
        self._moment.begin()
        for lane in self.lanes:
            lane.engine.finish(t_ns)
            lane.take_decisions()

    def _feed(self, batch: RowBatch, known_ns: int) -> None:
        following = 0
        while True:
            due_ns = self._first(self._due)
            following, reason = self._market.advance(batch, following, due_ns, known_ns)
            if reason == END:
                return
            self._moment.begin()
            self._now_ns = due_ns if reason == UNTIL else int(self._market.tracker["now_ns"])
            self._settle(self._call(reason, batch))

    def _call(self, reason: int, batch: RowBatch) -> Iterable[int]:
        """Call every lane that what happened concerns; which these are."""
        t_ns = self._now_ns
        called: Iterable[int] = ()
        if reason == UNTIL:
            called = self._take(self._due, t_ns)
            for number in called:
                self.lanes[number].at_time(t_ns)
        elif reason == INSTANT:
            called = self._at_instant(t_ns)
            for number in called:
                self.lanes[number].engine.on_instant(t_ns)
        elif reason == WATCH:
            called = self._at_quote(t_ns)
        elif reason == RARE:
            self._at_rare_row(batch)
            called = range(len(self.lanes))
        return called

    def _at_instant(self, t_ns: int) -> set[int]:
        called = self._offering | set(self._take(self._wakes, t_ns))
        for machine in self._moment.read_rises():
            called.update(self._machines.members[machine])
        return called

    def _at_quote(self, t_ns: int) -> list[int]:
        instrument_id = int(self._market.tracker["watched_id"])
        quote = self.lanes[0].engine.view.quote(instrument_id)
        called = self._watches[instrument_id].met_by(quote)
        for number in called:
            self.lanes[number].at_quote(instrument_id, t_ns)
        return called

    def _at_rare_row(self, batch: RowBatch) -> None:
        row = int(self._market.tracker["rare_row"])
        t_ns = int(batch.ts_recv_ns[row])
        kind, flags = int(batch.kind[row]), int(batch.flags[row])
        if kind == STATUS:
            for lane in self.lanes:
                lane.engine.on_halt(int(batch.instrument_id[row]), flags, t_ns)
        elif kind == GAP:
            for lane in self.lanes:
                lane.engine.on_gap(int(batch.size[row]), flags, int(batch.ts_event_ns[row]), t_ns)
        elif kind == COLD:
            self._at_note(next_note(self._notes, t_ns))

    def _at_note(self, note: Note) -> None:
        concerned = self.lanes
        if note.kind in _OF_THE_MARKET:
            concerned = self.lanes[:1]
        elif note.kind in _OF_THE_CHAIN:
            # The first lane of each shared chain tells it.
            pairs = zip(reversed(self._selectors), reversed(self.lanes), strict=True)
            concerned = list({id(selector): lane for selector, lane in pairs}.values())
        for lane in concerned:
            lane.engine.on_note(note)

    def _first(self, heap: list[tuple[int, int]]) -> int:
        """Earliest time that still stands."""
        is_due = heap is self._due
        while heap:
            time_ns, number = heap[0]
            lane = self.lanes[number]
            if (lane.due_ns if is_due else lane.wake_ns) == time_ns:
                return time_ns
            heappop(heap)
        return NEVER_NS

    def _take(self, heap: list[tuple[int, int]], t_ns: int) -> list[int]:
        """Lanes whose time has come, each once; settling puts them back with their next."""
        taken: dict[int, None] = {}
        is_due = heap is self._due
        while heap and heap[0][0] <= t_ns:
            time_ns, number = heappop(heap)
            lane = self.lanes[number]
            if (lane.due_ns if is_due else lane.wake_ns) == time_ns:
                taken[number] = None
        for number in taken:
            if is_due:
                self.lanes[number].due_ns = NEVER_NS
            else:
                self.lanes[number].wake_ns = NEVER_NS
        return list(taken)

    def _settle(self, called: Iterable[int]) -> None:
        """Take what the called lanes decided, then tell the market's state what to come back for."""
        for number in called:
            self._settle_lane(number, self.lanes[number])
        for instrument_id in self._changed:
            self._market.set_watch(instrument_id, *self._watches[instrument_id].union())
        self._changed.clear()
        tracker = self._market.tracker
        tracker["wake_ns"] = self._first(self._wakes)
        tracker["report_instants"] = int(bool(self._offering))

    def _settle_lane(self, number: int, lane: Lane) -> None:
        watches = lane.settle(self._now_ns)
        if watches != lane.watching:
            self._follow(number, lane.watching, watches)
            lane.watching = watches
        engine = lane.engine
        if engine.wants_every_instant:
            self._offering.add(number)
        else:
            self._offering.discard(number)
        if not lane.has_sent:
            return
        due_ns = min(lane.broker.next_ns(), engine.deadline_ns())
        if due_ns != lane.due_ns:
            lane.due_ns = due_ns
            if due_ns != NEVER_NS:
                heappush(self._due, (due_ns, number))
        wake_ns = engine.wake_ns()
        if wake_ns != lane.wake_ns:
            lane.wake_ns = wake_ns
            if wake_ns != NEVER_NS:
                heappush(self._wakes, (wake_ns, number))

    def _follow(self, number: int, before: dict[int, Watch], watches: dict[int, Watch]) -> None:
        for instrument_id in before.keys() - watches.keys():
            self._watches[instrument_id].set(number, None)
            self._changed.add(instrument_id)
        for instrument_id, watch in watches.items():
            if before.get(instrument_id) != watch:
                self._watches.setdefault(instrument_id, _ContractWatch()).set(number, watch)
                self._changed.add(instrument_id)


def _shared_selectors(setups: Sequence[Setup], hot: Kernel, moment: Moment) -> list[Any]:
    """The chain's judge of each lane; one for all lanes that judge alike."""
    selectors: list[Any] = [None] * len(setups)
    for group in lanes_of([setup.params for setup in setups], selector_key):
        first = setups[group[0]]
        shared = SharedSelector(first.params, first.session, first.instruments, hot)
        shared.moment = moment
        for number in group:
            selectors[number] = shared
    return selectors
