"""Parts of the aggregator: numbered texts, the window of rows seen lately, halts, rows of history.

Decides how texts become codes, how far back a duplicate is recognised, and which trading status halts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from scalpcli.model.conditions import ELIGIBLE
from scalpcli.model.row import HALT_BEGIN, HALT_END

DUPLICATE_WINDOW_ROWS: Final = 4096
"""Rows of one kind among which a repeated message is recognised."""
HELD_WINDOW_ROWS_MAX: Final = 262_144
"""The same while history of a gap is waited for."""
_OLDEST_ROWS: Final = 64
"""Rows that tell until when the window is whole; more than this in a row are not late."""
_CODES_MAX: Final = 30_000
"""Codes are 16 bits; the rest is left to what a recorder adds itself."""
_TEXT_MAX: Final = 64

# CTA tapes: 2 halt, 3 resume. UTP tape: H halt, P volatility pause, T trading resumes. Q resumes quotes alone.
_HALTS: Final = frozenset({"H", "P", "2"})
_RESUMES: Final = frozenset({"T", "3"})


class RowRefused(ValueError):
    """A message that cannot be a row; its text is the cause."""


class CodeTable(dict[str, int]):
    """Text -> code: 0 for blank, then from 1 in the order seen.

    Args:
        name: What it numbers, for messages.
        known: Texts numbered already.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__({"": 0})
        self._name = name
        self._new: list[str] = []
        for number, text in enumerate(known, 1):
            self[text] = number

    def __missing__(self, text: str) -> int:
        if not text.strip():
            return 0
        if len(text) > _TEXT_MAX:
            raise RowRefused(f"a text of {self._name} is too long")
        if len(self) > _CODES_MAX:
            raise RowRefused(f"too many {self._name}")
        code = len(self)
        self[text] = code
        self._new.append(text)
        return code

    def take_new(self) -> tuple[str, ...]:
        """Texts numbered since the last call, in the order of their codes."""
        new = tuple(self._new)
        self._new.clear()
        return new


class ConditionTable(dict[tuple[str, ...], tuple[int, int]]):
    """Letters of a print -> code of their text and the flags they give.

    Args:
        codes: Numbers the joined text.
        flags_of: Flags of the letters.
    """

    def __init__(self, codes: CodeTable, flags_of: Callable[[Sequence[str]], int]) -> None:
        super().__init__({(): (0, ELIGIBLE)})
        self._codes = codes
        self._flags_of = flags_of

    def __missing__(self, letters: tuple[str, ...]) -> tuple[int, int]:
        result = self._codes["".join(letters)], self._flags_of(letters)
        if len(self) < _CODES_MAX:
            self[letters] = result
        return result


class RecentRows:
    """The rows of one kind written last, to tell a repeated message.

    While history of a gap is waited for, it holds more, so that what came live is not written again.
    """

    __slots__ = ("_has_forgotten", "_is_held", "_limit", "_oldest_held", "_ring", "_seen")

    def __init__(self) -> None:
        self._limit = DUPLICATE_WINDOW_ROWS
        self._ring: deque[bytes] = deque()
        self._seen: set[bytes] = set()
        self._has_forgotten = False
        self._is_held = False
        self._oldest_held: tuple[bytes, ...] = ()

    def is_new(self, row: bytes) -> bool:
        """Whether the row is not in the window; it is afterwards."""
        seen = self._seen
        if row in seen:
            return False
        seen.add(row)
        ring = self._ring
        ring.append(row)
        if len(ring) > self._limit:
            seen.discard(ring.popleft())
            self._has_forgotten = True
        return True

    def fill(self, rows: Iterable[bytes], *, is_whole: bool) -> None:
        """Remember the rows of an earlier process, oldest first; not `is_whole`: there were others before."""
        for row in rows:
            self.is_new(row)
        self._has_forgotten |= not is_whole

    def __contains__(self, row: bytes) -> bool:
        return row in self._seen

    @property
    def rows(self) -> deque[bytes]:
        """The window, oldest first."""
        return self._ring

    def add_past(self, row: bytes) -> None:
        """Remember a row of history while there is room; no live row is forgotten for it."""
        if len(self._ring) < self._limit:
            self._ring.append(row)
            self._seen.add(row)

    @property
    def oldest(self) -> tuple[bytes, ...]:
        """The oldest rows remembered when history was first waited for; none where none before them was forgotten.

        They are several, because one may be a late print, which happened long before what was forgotten.
        """
        if self._is_held:
            return self._oldest_held
        return tuple(islice(self._ring, _OLDEST_ROWS)) if self._has_forgotten else ()

    def hold(self) -> None:
        """Forget nothing more, up to `HELD_WINDOW_ROWS_MAX` rows."""
        if not self._is_held:
            self._oldest_held = self.oldest
            self._is_held = True
        self._limit = HELD_WINDOW_ROWS_MAX

    def release(self) -> None:
        """Back to the usual window."""
        self._is_held = False
        self._limit = DUPLICATE_WINDOW_ROWS
        surplus = len(self._ring) - self._limit
        if surplus > 0:
            self._ring = deque(islice(self._ring, surplus, None))
            self._seen = set(self._ring)
            self._has_forgotten = True


class PastTrade(NamedTuple):
    """A print from history.

    Attributes:
        symbol: The underlying or an OCC symbol without padding.
        event_ns: When it happened, UTC nanoseconds.
        price: USD.
        size: Shares or contracts.
        exchange: The vendor's code of the exchange.
        conditions: One letter an element.
        trade_id: 0 where the vendor gives none.
    """

    symbol: str
    event_ns: int
    price: float
    size: float
    exchange: str
    conditions: tuple[str, ...]
    trade_id: int = 0


class PastQuote(NamedTuple):
    """A quote of the underlying from history; prices in USD, sizes in shares, a price of 0 is an empty side."""

    symbol: str
    event_ns: int
    bid: float
    bid_size: float
    bid_exchange: str
    ask: float
    ask_size: float
    ask_exchange: str
    conditions: tuple[str, ...]


def status_flags(status_code: str, reason_code: str) -> int:
    """What a trading status means for a row: it halts, it resumes, or 0.

    A code that is in neither list counts as a resumption only with the letters of one (`T1`, `T3`).
    """
    if status_code in _HALTS:
        return HALT_BEGIN
    if status_code in _RESUMES or (status_code[:1] == "T" and not reason_code):
        return HALT_END
    return 0
