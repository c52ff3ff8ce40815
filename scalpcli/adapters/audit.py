"""How complete a tape is: its prints of the stock against those that history has.

Decides when two prints are one: event time, price, size, exchange and id are equal. Prints are counted as often
as they come, so a doubled one shows as extra. History's cancelled prints count too, for the live feed brought
them; the tape's own messages of correction and cancel do not, for history has none. Leaves what is good enough
to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.adapters.aggregator_codes import PastTrade
from scalpcli.model.row import (
    BACKFILLED,
    CANCELLED,
    CHANNEL_STOCK_TRADES,
    CORRECTED,
    GAP,
    GAP_BEGIN,
    GAP_END,
    STOCK_TRADE,
)
from scalpcli.model.session import Session
from scalpcli.units import E4_PER_USD, NS_PER_MIN

Columns = Mapping[str, NDArray[Any]]
Prints = NDArray[np.int64]

COLUMNS_READ: Final = (
    "ts_recv_ns",
    "ts_event_ns",
    "kind",
    "price_e4",
    "size",
    "flags",
    "exchange",
    "trade_id",
    "conditions",
)
"""What is read of a tape."""
# Columns of the compared prints: event time, price, size, exchange and id name a print; then its flags.
_EVENT: Final = 0
_NAMES: Final = 5
_FLAGS: Final = 5


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a comparison, by event time.

    Attributes:
        start_ns: Its begin, UTC nanoseconds.
        history: Prints that history has.
        tape: Prints that the tape has.
        missing: Of history and not on the tape.
        extra: On the tape and not in history.
        backfilled: On the tape, and fetched from history after a gap.
        gap_s: Seconds of it in which the tape knows to have been blind to prints, or was not recorded at all.
    """

    start_ns: int
    history: int
    tape: int
    missing: int
    extra: int
    backfilled: int
    gap_s: float

    @property
    def completeness_pct(self) -> float:
        """Share of history's prints that the tape has, percent; 100 where history has none."""
        return 100.0 if not self.history else 100.0 * (self.history - self.missing) / self.history

    @property
    def is_explained(self) -> bool:
        """Whether nothing is missing, or the tape says itself that it was blind."""
        return not self.missing or self.gap_s > 0


def audit(
    batches: Iterable[Columns],
    exchanges: Sequence[str],
    pages: Iterable[Sequence[PastTrade]],
    session: Session,
) -> list[Minute]:
    """Compare a tape's prints of the stock with history's, minute by minute of the regular session.

    Args:
        batches: The tape's columns `COLUMNS_READ`, in order.
        exchanges: The tape's exchange codes: code -> text, element 0 is blank.
        pages: History of the session with its void prints.
        session: The session; what happened outside is left out.
    """
    codes = {text: code for code, text in enumerate(exchanges)}
    blind: list[tuple[int, int]] = []
    tape = _of_tape(batches, session, blind)
    history = _of_history(pages, codes, session)
    matched = _matched(tape, history)
    minutes = (session.close_ns - session.open_ns) // NS_PER_MIN
    has = _per_minute(history, session, minutes)
    held = _per_minute(tape, session, minutes)
    both = _per_minute(matched, session, minutes)
    later = _per_minute(tape[tape[:, _FLAGS] & BACKFILLED != 0], session, minutes)
    gaps = _blind_s(blind, session, minutes)
    return [
        Minute(
            session.open_ns + at * NS_PER_MIN,
            int(has[at]),
            int(held[at]),
            int(has[at] - both[at]),
            int(held[at] - both[at]),
            int(later[at]),
            gaps[at],
        )
        for at in range(minutes)
    ]


def _regular(prints: Prints, session: Session) -> Prints:
    event_ns = prints[:, _EVENT]
    return prints[(event_ns >= session.open_ns) & (event_ns < session.close_ns)]


def _of_tape(batches: Iterable[Columns], session: Session, blind: list[tuple[int, int]]) -> Prints:
    """The tape's prints as rows of whole numbers; fills `blind` with spans in UTC nanoseconds."""
    parts = [np.zeros((0, 6), np.int64)]
    since_ns: int | None = None
    first_ns, last_ns = session.close_ns, session.open_ns
    for batch in batches:
        flags = batch["flags"]
        if len(flags):
            first_ns, last_ns = min(first_ns, int(batch["ts_recv_ns"][0])), int(batch["ts_recv_ns"][-1])
        # A message of correction or cancel has no rights; a print that was corrected later keeps its own.
        is_print = (batch["kind"] == STOCK_TRADE) & (flags & (CANCELLED | CORRECTED) == 0)
        names = ("ts_event_ns", "price_e4", "size", "exchange", "trade_id", "flags")
        parts.append(np.stack([batch[name][is_print].astype(np.int64) for name in names], axis=1))
        for at in np.flatnonzero((batch["kind"] == GAP) & (batch["size"] & CHANNEL_STOCK_TRADES != 0)):
            begun_ns, learned_ns = int(batch["ts_event_ns"][at]), int(batch["ts_recv_ns"][at])
            if flags[at] & GAP_BEGIN and flags[at] & GAP_END:
                blind.append((begun_ns, learned_ns))
            elif flags[at] & GAP_BEGIN:
                since_ns = begun_ns if since_ns is None else min(since_ns, begun_ns)
            elif since_ns is not None:
                blind.append((since_ns, learned_ns))
                since_ns = None
    if since_ns is not None:
        blind.append((since_ns, last_ns))
    blind += [(session.open_ns, first_ns), (max(first_ns, last_ns), session.close_ns)]
    return _regular(np.concatenate(parts), session)


def _of_history(pages: Iterable[Sequence[PastTrade]], codes: Mapping[str, int], session: Session) -> Prints:
    unknown: dict[str, int] = {}

    def rows(page: Sequence[PastTrade]) -> Iterator[tuple[int, ...]]:
        for one in page:
            code = codes.get(one.exchange)
            if code is None:
                # A venue that the tape never saw still is one venue.
                code = unknown.setdefault(one.exchange, -1 - len(unknown))
            yield one.event_ns, round(one.price * E4_PER_USD), int(one.size), code, one.trade_id, 0

    parts = [np.zeros((0, 6), np.int64)]
    parts += [np.array(list(rows(page)), np.int64) for page in pages if page]
    return _regular(np.concatenate(parts), session)


def _matched(tape: Prints, history: Prints) -> Prints:
    """Prints that both have, each as often as both have it."""
    keys = np.concatenate([_key(tape), _key(history)])
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    on_tape = np.bincount(number[: len(tape)], minlength=len(first))
    in_history = np.bincount(number[len(tape) :], minlength=len(first))
    rows = np.concatenate([tape, history])[first]
    return np.repeat(rows, np.minimum(on_tape, in_history), axis=0)


def _key(prints: Prints) -> NDArray[np.uint64]:
    """One number for what makes a print; two of a day's million share one with a chance of 1 to 10 million."""
    result = np.zeros(len(prints), np.uint64)
    for at in range(_NAMES):
        # The multiplier is 2**64 over the golden ratio, made odd: it spreads neighbours over all bits.
        result = (result ^ prints[:, at].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        result ^= result >> np.uint64(29)
    return result


def _per_minute(prints: Prints, session: Session, minutes: int) -> NDArray[np.int64]:
    return np.bincount((prints[:, _EVENT] - session.open_ns) // NS_PER_MIN, minlength=minutes)


def _blind_s(blind: Iterable[tuple[int, int]], session: Session, minutes: int) -> list[float]:
    """Seconds of each minute that lie in a gap; where gaps overlap, they count once."""
    result = [0.0] * minutes
    seen_ns = session.open_ns
    for since_ns, ended_ns in sorted(blind):
        begun_ns = max(since_ns, seen_ns)
        seen_ns = max(seen_ns, ended_ns)
        first = max((begun_ns - session.open_ns) // NS_PER_MIN, 0)
        for at in range(first, min((ended_ns - session.open_ns) // NS_PER_MIN + 1, minutes)):
            start_ns = session.open_ns + at * NS_PER_MIN
            result[at] += max(min(ended_ns, start_ns + NS_PER_MIN) - max(begun_ns, start_ns), 0) / 1e9
    return result
