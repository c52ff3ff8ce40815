"""What a trader is made of: everything it touches outside of itself, handed in.

Decides nothing. A running process hands in the recorder, the aggregator, the broker and files; tests and the
simulated world hand in memory. Nothing here reads a clock but through `clock`, and nothing waits but on asyncio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from scalpcli.core.engine import Setup
from scalpcli.core.market_state import Kernel
from scalpcli.model.block import Block
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.desk import Desk

Listener = Callable[[Block], None]


class RowMaker(Protocol):
    """Makes rows of what is learned: the aggregator (`adapters/aggregator.py`), or a source that reads a tap."""

    @property
    def open_gaps(self) -> int:
        """Channels that are blind now, as bits of `model/row.py`."""

    def stamp(self) -> int:
        """Take the receive stamp of what is written next, UTC nanoseconds; it never goes back."""

    def note(self, kind: str, body: dict[str, Any]) -> None:
        """Add a cold row with its note, stamped now."""


class RowKeeper(Protocol):
    """Takes rows from their source to the disk and to whoever listens: `runtime/recorder.py`."""

    def listen(self, listener: Listener) -> None:
        """Hand every block to `listener`, in the tape's order, in the moment it is taken."""

    def take(self) -> None:
        """Take what the source learned; whoever listens gets it before this returns."""

    def write_now(self) -> bool:
        """Have every row taken so far with the operating system when this returns.

        Returns:
            Whether it was done; not where somebody writes just now: then wait for `written`.

        Raises:
            DataError: it could not be written.
        """

    async def written(self, *, durable: bool = False) -> None:
        """Wait until every row learned up to now is with the operating system.

        Raises:
            DataError: it could not be written.
        """


class JournalStore(Protocol):
    """Where the lines of `decisions.jsonl` are kept; lines are only ever added."""

    def append(self, data: bytes) -> None:
        """Add whole lines; they survive the death of this process when it returns.

        Raises:
            DataError: it could not be written.
        """

    def sync(self) -> None:
        """Return when every line is on the disk itself.

        Raises:
            DataError: it could not be written.
        """


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier processes of this run left.

    Rows of the morning that a recorder brought, where the run itself begins later, are no past: they come first from
    `keeper`, as the head of its recording.

    Attributes:
        blocks: Rows of the run's tape so far, in order.
        journal: `decisions.jsonl` as it lies on the disk; empty where this run begins.
        fenced_ns: When the guard began to act for this run last; 0 = never. No entries from then on until an
            operator arms again.
    """

    blocks: Iterable[Block] = ()
    journal: bytes = b""
    fenced_ns: int = 0


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """When trading ends by itself.

    Attributes:
        until_ns: Time at the market, UTC nanoseconds, at which the run ends; positions are sold before by the
            flatten rule of `[exits]`, and whatever is held then is told.
        flat_s_max: Seconds an end that sells first waits for being flat.
    """

    until_ns: int
    flat_s_max: float = 60.0


@dataclass(frozen=True, slots=True)
class LiveParts:
    """Everything a trader is made of.

    Attributes:
        setup: Settings, session, contracts by number, fees, mode (`shadow`, `paper` or `live`).
        hot: The kernel.
        maker: Makes cold rows of what the broker and the operator say.
        keeper: Hands rows over and has them written.
        store: Takes the journal.
        clock: Time at the market.
        desk: The broker; nothing in shadow mode.
        limits: When it ends.
        past: What went before.
        has_updates: Whether the broker's stream of updates is there; where one is wired that is not up yet, no, and
            `Trader.updates_ready` tells.
        is_killed: Whether the kill file exists; asked twice a second.
        say: Takes words for people.
        about: Facts for `state()` and the manifest: `run`, `pid`, `version`, `feed`, `option_feed`, `source`.
        feed_status: Figures of the source, as `Source.status`.
        guard: Tells of the guard: its `pid` and whether it is `alive`.
    """

    setup: Setup
    hot: Kernel
    maker: RowMaker
    keeper: RowKeeper
    store: JournalStore
    clock: MarketClock
    desk: Desk | None
    limits: LiveLimits
    past: Past = Past()
    has_updates: bool = True
    is_killed: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda _words: None
    about: dict[str, Any] = field(default_factory=dict)
    feed_status: Callable[[], dict[str, Any]] = dict
    guard: Callable[[], dict[str, Any]] = lambda: {"pid": None, "alive": None}


@dataclass(frozen=True, slots=True)
class LiveEnd:
    """How a run ended.

    Attributes:
        ended: Why: `until`, `close`, `operator`, `terminated`, `interrupted` or `failed`.
        is_flat: Whether nothing is held and nothing works that may fill, as far as is known.
        held: Contracts still held, by symbol.
        protection: The protection that stopped trading, in words; empty where none did.
        failure: What failed, in words; empty where nothing did.
    """

    ended: str
    is_flat: bool
    held: dict[str, int]
    protection: str = ""
    failure: str = ""
