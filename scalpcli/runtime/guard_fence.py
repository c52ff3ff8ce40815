"""The fence of a run: what its guard did, on disk before it does it.

Decides the file `fence.json` in a run's folder. While it is there, an engine makes no entries until an operator arms
it; what its sales sold is not the engine's any more. It is written whole, synced and renamed into place, so that it
says the old words or the new ones however a guard ends.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError

FENCE_FILE: Final = "fence.json"
VERSION: Final = 1


class Phase(StrEnum):
    """How far a guard is."""

    FENCING = "fencing"
    """It ends the engine's process."""
    CANCELLING = "cancelling"
    """The engine is gone; its orders are taken back."""
    SELLING = "selling"
    """What is held is sold."""
    DONE = "done"
    """It is over; `is_flat` says how."""
    LEFT = "left"
    """It did nothing after all: an engine was there again."""


@dataclass(frozen=True, slots=True)
class Sale:
    """One order of a guard; written down before it is sent.

    Attributes:
        order_id: Its id.
        symbol: The contract.
        signal: Number of the signal whose position it is.
        attempt: Which try for this signal, 1-based, over all guards of the run.
        quantity: Contracts.
        limit_e4: Its limit, 1/10000 USD; 0 = a market order.
        is_ended: Whether nothing more happens to it.
        filled: Contracts sold, as far as known.
        filled_sum_e4: Their prices added up.
        reason: Why it sold nothing, where the broker refused it.
    """

    order_id: str
    symbol: str
    signal: int
    attempt: int
    quantity: int
    limit_e4: int
    is_ended: bool = False
    filled: int = 0
    filled_sum_e4: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fence:
    """What guards of a run did so far.

    Attributes:
        number: How often a guard acted in this run, 1-based.
        phase: How far the last one is.
        reason: Why it acts, in words.
        at_ns: When it began, market time, UTC nanoseconds.
        engine_pid: Process it ended; 0 = none was known.
        engine_started: When that process started, in the system's words.
        sales: Its orders, those of earlier times included, in the order they were sent.
        not_exercised: Contracts the broker was told not to exercise.
        is_flat: Whether the broker said at the end that nothing is held.
        held: What was still held then, or when it was last known.
        ended_ns: When it was over, market time; 0 = not yet.
    """

    number: int
    phase: Phase
    reason: str
    at_ns: int
    engine_pid: int = 0
    engine_started: str = ""
    sales: tuple[Sale, ...] = ()
    not_exercised: tuple[str, ...] = ()
    is_flat: bool = False
    held: dict[str, int] = dataclasses.field(default_factory=dict)
    ended_ns: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no guard has anything left to do for it."""
        return self.phase in (Phase.DONE, Phase.LEFT)

    def attempts(self, signal: int) -> int:
        """Tries for a signal so far: ids are never used twice."""
        return max((sale.attempt for sale in self.sales if sale.signal == signal), default=0)

    def with_sale(self, sale: Sale) -> Fence:
        """The fence with a sale added, or the newer words about it."""
        others = [each for each in self.sales if each.order_id != sale.order_id]
        at = next((index for index, each in enumerate(self.sales) if each.order_id == sale.order_id), len(others))
        return dataclasses.replace(self, sales=(*others[:at], sale, *others[at:]))


def read_fence(folder: Path) -> Fence | None:
    """The fence of a run's folder, or none where no guard ever acted.

    Raises:
        DataError: there is one that cannot be read: nobody knows what was sold.
    """
    path = folder / FENCE_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from None
    try:
        return _fence_of(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, f"{type(error).__name__} {error}") from None


def write_fence(folder: Path, fence: Fence) -> None:
    """Have the fence on the disk itself before going on.

    Raises:
        DataError: the disk refuses.
    """
    path = folder / FENCE_FILE
    fresh = path.with_name(f"{path.name}.new")
    text = json.dumps({"version": VERSION, **dataclasses.asdict(fence)}, indent=1)
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # The new name is on the disk when its folder is.
            os.fsync(within)
        finally:
            os.close(within)
    except OSError as error:
        raise DataError(
            f"the guard's fence cannot be written: {(error.strerror or str(error)).lower()}", place=f"`{path}`"
        ) from None


class FenceKeeper:
    """The fence of a run in the hands of its guard.

    Args:
        folder: The run's folder.
        say: Takes words for people.

    Raises:
        DataError: there is a fence that cannot be read.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self.fence = read_fence(folder)

    @property
    def is_open(self) -> bool:
        """Whether a guard began and has not come to an end."""
        return self.fence is not None and not self.fence.is_over

    def refresh(self) -> bool:
        """Take in what another holder of the run wrote since (`live flatten` without a process); whether it did."""
        try:
            found = read_fence(self._folder)
        except DataError as error:
            self._say(f"{error.found}; going on with what is known of it")
            return False
        is_other = found is not None and (self.fence is None or found.at_ns != self.fence.at_ns)
        if is_other:
            self.fence = found
        return is_other

    def begin(self, fence: Fence) -> None:
        """Write a new fence down, the sales of earlier ones kept."""
        self.refresh()
        previous = self.fence
        if previous is not None:
            fence = dataclasses.replace(fence, number=previous.number + 1, sales=previous.sales)
        self._write(fence)

    def update(self, **changes: Any) -> None:
        """Write a change of the fence down."""
        assert self.fence is not None
        self._write(dataclasses.replace(self.fence, **changes))

    def put_sale(self, sale: Sale) -> None:
        """Write a sale down, or what became of it."""
        assert self.fence is not None
        self._write(self.fence.with_sale(sale))

    def _write(self, fence: Fence) -> None:
        self.fence = fence
        try:
            write_fence(self._folder, fence)
        except DataError as error:
            # A full disk must not keep a position: the engine is dead and its lock is ours, which is what counts.
            self._say(f"{error.found}; going on without it")


def _fence_of(value: dict[str, Any]) -> Fence:
    if value.pop("version") != VERSION:
        raise ValueError("of another version")
    value["phase"] = Phase(value["phase"])
    value["sales"] = tuple(Sale(**sale) for sale in value["sales"])
    value["not_exercised"] = tuple(value["not_exercised"])
    return Fence(**value)


def _unreadable(path: Path, words: str) -> DataError:
    return DataError(
        f"the guard's fence cannot be read: {words}",
        place=f"`{path}`",
        hint="look at the account's positions and orders by hand, then move the file away",
    )
