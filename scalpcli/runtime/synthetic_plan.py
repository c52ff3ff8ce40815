"""What a synthetic session is asked to be: its arguments, its hours and its streams of chance.

Decides which arguments can be meant, when the market of a synthetic tape is open, and where every random
number comes from. Leaves prices to `synthetic_path.py` and rows to `synthetic_stock.py` and
`synthetic_options.py`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.errors import UsageError
from scalpcli.model.session import Session, is_session, next_session, session_of
from scalpcli.units import NS_PER_S, NS_PER_US

PREMARKET_S: Final = 300
"""Seconds before the open in which the tape already shows the stock, as a recorder started at 09:25 sees it."""
REGULAR_SESSION_S: Final = 23_400
SESSIONS_PER_YEAR: Final = 252
US_PER_S: Final = 1_000_000
ROWS_MIN: Final = 1_000
ROWS_MAX: Final = 200_000_000
MINUTES_MIN: Final = 10
"""Shorter windows have no room for a volume baseline and a burst."""
CONTRACTS_MAX: Final = 2_000
BURSTS_PER_SESSION: Final = 26
"""Planted bursts in 390 minutes unless told; shorter windows get their share."""
BURST_ROOM_S: Final = 45
"""Least seconds of session per burst; with fewer they would run into one another."""

_PLACE: Final = "`scalpcli tape synth`"
_SYMBOL: Final = re.compile(r"^[A-Z]{1,6}$", re.ASCII)
_LISTING_DAYS: Final = (0, 2, 4)


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """Every argument of `tape synth`; equal specs give equal tapes on one NumPy version.

    Args:
        date: Session to make, a day in New York.
        rows: Rows of the tape, exactly.
        contracts: Contracts of the first expiry, half calls, half puts.
        next_expiry: Contracts of the expiry after it.
        seed: Source of all chance.
        spot: Price of the stock about which the session moves, USD.
        volatility: Yearly volatility, counted in 252 sessions of 6.5 hours; 0.55 is 55 percent.
        bursts: Planted momentum bursts; `None` for one every quarter of an hour.
        follow_through_pct: Percent of the bursts after which the move goes on; the others stall or revert.
        strike_step: Dollars between two strikes.
        minutes: Only the first so many minutes of the session; `None` for all.
        halt: A five-minute trading pause.
        gap: Stretches of 20 to 60 seconds in which the recorder misses some channels.
        outage: Four minutes in which it misses everything.
        profile: Volumes of earlier sessions at the tape's head.
    """

    date: dt.date
    rows: int = 1_000_000
    contracts: int = 40
    next_expiry: int = 0
    seed: int = 0
    symbol: str = "TSLA"
    spot: float = 400.0
    volatility: float = 0.55
    bursts: int | None = None
    follow_through_pct: float = 45.0
    strike_step: float = 2.5
    minutes: int | None = None
    halt: bool = False
    gap: bool = False
    outage: bool = False
    profile: bool = False

    def to_source(self) -> dict[str, Any]:
        """The arguments as the manifest records them."""
        source = dataclasses.asdict(self)
        source["date"] = self.date.isoformat()
        return source


_BOUNDS: Final[tuple[tuple[str, str, float, float], ...]] = (
    ("rows", "--rows", ROWS_MIN, ROWS_MAX),
    ("contracts", "--contracts", 0, CONTRACTS_MAX),
    ("next_expiry", "--next-expiry", 0, CONTRACTS_MAX),
    ("seed", "--seed", 0, 2**63 - 1),
    ("spot", "--spot", 5.0, 10_000.0),
    ("volatility", "--volatility", 0.05, 3.0),
    ("follow_through_pct", "--follow-through", 0.0, 100.0),
    ("strike_step", "--strike-step", 0.01, 1_000.0),
)


def check_spec(spec: SyntheticSpec) -> None:
    """Refuse arguments that cannot be meant.

    Raises:
        UsageError: an argument lies outside its bounds; the message names its flag.
    """
    for name, flag, low, high in _BOUNDS:
        value = getattr(spec, name)
        if not math.isfinite(value):
            raise UsageError(f"`{flag}` is {value}, not a number", place=_PLACE, hint=f"write {flag} {low:g} or more")
        _check_bounds(flag, value, low, high)
    if not _SYMBOL.match(spec.symbol):
        raise UsageError(
            f"`--symbol {spec.symbol}` is not the symbol of a stock with options",
            place=_PLACE,
            hint="write one to six capital letters, like TSLA",
        )
    if spec.next_expiry and not spec.contracts:
        raise UsageError(
            f"`--next-expiry` is {spec.next_expiry} without contracts of the first expiry",
            place=_PLACE,
            hint="add --contracts 20, or leave --next-expiry out",
        )
    _check_window(spec, session_of(spec.date))


def _check_window(spec: SyntheticSpec, session: Session) -> None:
    session_minutes = (session.close_ns - session.open_ns) // (60 * NS_PER_S)
    minutes = session_minutes if spec.minutes is None else spec.minutes
    _check_bounds("--minutes", minutes, MINUTES_MIN, session_minutes)
    if spec.bursts is not None:
        _check_bounds("--bursts", spec.bursts, 0, minutes * 60 // BURST_ROOM_S)


def _check_bounds(flag: str, value: float, low: float, high: float) -> None:
    if value < low:
        found, limit, word = "below", low, "more"
    elif value > high:
        found, limit, word = "above", high, "less"
    else:
        return
    raise UsageError(
        f"`{flag}` is {value}, {found} its limit: {limit:.15g}",
        place=_PLACE,
        hint=f"write {flag} {limit:.15g} or {word}",
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """The hours of a synthetic tape. Times inside the generator count from `start_ns`, before the open.

    Args:
        session: The exchange's session.
        window_s: Seconds of the session that the tape covers.
        expiries: First expiry and the one after it.
        sessions_between: Sessions from the first day to each expiry, 0 = the same day.
    """

    session: Session
    window_s: int
    expiries: tuple[dt.date, dt.date]
    sessions_between: tuple[int, int]

    @property
    def start_ns(self) -> int:
        """First moment of the tape, UTC nanoseconds."""
        return self.session.open_ns - PREMARKET_S * NS_PER_S

    @property
    def session_s(self) -> int:
        """Seconds of the whole session, also where the tape covers less."""
        return (self.session.close_ns - self.session.open_ns) // NS_PER_S

    @property
    def total_s(self) -> int:
        """Seconds from the start of the tape to its end."""
        return PREMARKET_S + self.window_s

    def to_ns(self, us: NDArray[np.int64]) -> NDArray[np.int64]:
        """UTC nanoseconds of microseconds since the start."""
        ns: NDArray[np.int64] = us * NS_PER_US + self.start_ns
        return ns


def frame_of(spec: SyntheticSpec) -> Frame:
    """Hours and expiries of the session a spec asks for."""
    session = session_of(spec.date)
    session_s = (session.close_ns - session.open_ns) // NS_PER_S
    window_s = session_s if spec.minutes is None else spec.minutes * 60
    first, to_first = _next_listing(spec.date)
    second, to_second = _next_listing(next_session(first).date)
    return Frame(session, window_s, (first, second), (to_first, to_first + 1 + to_second))


def _next_listing(date: dt.date) -> tuple[dt.date, int]:
    """First expiry at or after `date` and the sessions up to it.

    Monday, Wednesday and Friday, as TSLA lists since 2026-01-26; a Friday without a session moves to the
    Thursday. Good enough to invent a chain; real expiries come from the broker's list.
    """
    day, sessions = date, 0
    while not _lists(day):
        day = next_session(day).date
        sessions += 1
    return day, sessions


def _lists(day: dt.date) -> bool:
    before_closed_friday = day.weekday() == 3 and not is_session(day + dt.timedelta(days=1))
    return day.weekday() in _LISTING_DAYS or before_closed_friday


class Streams:
    """Independent streams of chance, one for each part and block, so that no part can shift another's draws."""

    def __init__(self, spec: SyntheticSpec) -> None:
        symbol = int.from_bytes(spec.symbol.encode("ascii"), "big")
        self._entropy = (spec.seed, spec.date.toordinal(), symbol)

    def of(self, part: int, block: int = 0) -> np.random.Generator:
        """The generator of `part` in `block`; equal arguments give equal numbers."""
        sequence = np.random.SeedSequence(self._entropy, spawn_key=(part, block))
        return np.random.Generator(np.random.PCG64(sequence))


class Part:
    """Numbers of the streams. A new part takes a new number; old numbers keep old tapes as they are."""

    BURSTS: Final = 1
    PATH: Final = 2
    ACTIVITY: Final = 3
    CHAIN: Final = 4
    HEAD: Final = 5
    EVENTS: Final = 6
    STOCK_TRADES: Final = 7
    STOCK_QUOTES: Final = 8
    OPTION_TRADES: Final = 9
    OPTION_QUOTES: Final = 10
    STOCK_FEED: Final = 11
    OPTION_FEED: Final = 12
    SPREADS: Final = 13


def pick(rng: np.random.Generator, weights: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """`count` indices drawn with probabilities proportional to `weights`."""
    edges = np.cumsum(weights)
    # The last edge is left out: rounding must not put a draw behind the last index.
    drawn: NDArray[np.intp] = np.searchsorted(edges[:-1], rng.random(count) * edges[-1], side="right")
    return drawn
