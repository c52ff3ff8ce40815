"""The block: what a live source hands over, from the network to the disk, the tap and the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from scalpcli.model.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Block:
    """What a live source learned since it was last asked, in the tape's order.

    Attributes:
        columns: Every column of `model/row.py`, of one length.
        notes: Kind and body of the block's cold rows, in their order.
        instruments: Contracts first seen in it; their numbers continue those of the blocks before.
        conditions: Condition texts first seen in it; their codes continue, the first of all is 1.
        exchanges: Exchange codes first seen in it, numbered likewise.
    """

    columns: Mapping[str, NDArray[Any]]
    notes: tuple[tuple[str, dict[str, Any]], ...] = ()
    instruments: tuple[Instrument, ...] = ()
    conditions: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows in it."""
        return len(self.columns["kind"])
