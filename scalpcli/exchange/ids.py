"""Ids that the exchange gives: drawn by chance, or the same ones again from a seed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

_BITS = 128


def ids_of(seed: int | None) -> Callable[[], str]:
    """What gives ids, written as UUIDs; without a seed, ones that nobody gave before."""
    if seed is None:
        return lambda: str(uuid.uuid4())
    drawn = random.Random(seed)  # noqa: S311 - a run must be repeatable, not secret
    return lambda: str(uuid.UUID(int=drawn.getrandbits(_BITS), version=4))
