"""Does the work of a search: many settings on one session, here, in local processes or on a Dask cluster.

A unit of work is one session and the settings to play on it. Units come back in any order and carry their number,
so no result depends on how many workers there are, or on which of them died.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.core.lanes import with_values
from scalpcli.errors import DataError, UpstreamUnavailable, UsageError
from scalpcli.model.params import Blackout, Params
from scalpcli.optimize.scores import Floats, sums_of
from scalpcli.optimize.space import Value
from scalpcli.runtime.compiler import CompiledKernel, load_kernel
from scalpcli.runtime.lane_replay import replay_lanes
from scalpcli.runtime.remote_tape import local_tape

LANES_MAX: Final = 1_000
"""Settings of one unit at most; a thousand lanes take about 250 MB."""
_UNITS_WAITING_MAX: Final = 256
"""Units handed to a pool or a cluster at one time."""
_TRIES: Final = 5
"""Workers that may die on one unit before it is given up."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Settings to play on one session.

    Args:
        number: Its number among the units asked for.
        tape: Folder of the tape, or its address.
        params: All settings but those searched.
        keys: Names of those searched.
        values: Theirs, one row a setting.
        blackouts: Dated windows without entries.
    """

    number: int
    tape: str
    params: Params
    keys: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]
    blackouts: tuple[Blackout, ...]


@functools.cache
def _kernel() -> CompiledKernel:
    """The kernel of this process, loaded once."""
    return load_kernel()


def _warm() -> None:
    """Let a process import and load what it needs."""
    _kernel()


def do_unit(unit: Unit) -> tuple[int, Floats]:
    """Play one unit.

    Returns:
        Its number, and sums of each setting as `scores.PARTS`.

    Raises:
        DataError: the tape is missing, damaged, or stops the engine.
    """
    settings = [with_values(unit.params, dict(zip(unit.keys, row, strict=True))) for row in unit.values]
    try:
        return unit.number, sums_of(replay_lanes(local_tape(unit.tape), settings, unit.blackouts, _kernel()))
    except DataError as error:
        place = error.place if f"`{unit.tape}`" in error.place else f"`{unit.tape}`, {error.place}".rstrip(", ")
        raise DataError(error.found, place=place, hint=error.hint) from None


class Serial:
    """Does units one after another, in this process."""

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[int, Floats]]:
        """Each unit's number and sums, as they are done."""
        yield from map(do_unit, units)

    def close(self) -> None:
        """Nothing to give back."""


class Local:
    """Does units in processes of this machine.

    Args:
        jobs: How many.
    """

    def __init__(self, jobs: int) -> None:
        # The kernel is compiled here, once, and not in every process at the same time.
        _kernel()
        # Spawned, not forked: a fork copies locks that Polars' threads hold.
        self._pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
        # They start and import while the search is still being read and counted.
        for _ in range(jobs):
            self._pool.submit(_warm)

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[int, Floats]]:
        """Each unit's number and sums, as they are done."""
        for begin in range(0, len(units), _UNITS_WAITING_MAX):
            futures = [self._pool.submit(do_unit, unit) for unit in units[begin : begin + _UNITS_WAITING_MAX]]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


class Dask:
    """Does units on the workers of a Dask scheduler; what a worker takes down with it is done again.

    Args:
        address: Of the scheduler, like `tcp://127.0.0.1:8786`.

    Raises:
        UsageError: Dask is not installed.
        UpstreamUnavailable: the scheduler does not answer.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed  # noqa: PLC0415 - an extra, imported only where it is asked for
        except ImportError:
            hint = "install it: pip install 'scalpcli[dask]'"
            raise UsageError("Dask is not installed", place="`--executor dask`", hint=hint) from None
        self._distributed: Any = distributed
        try:
            self._client: Any = self._distributed.Client(address, timeout=10)
        except (OSError, ValueError) as error:
            hint = "start one: dask scheduler --port 8786, then dask worker ADDRESS"
            place = "`--scheduler`"
            raise UpstreamUnavailable(f"no scheduler answers at {address}: {error}", place=place, hint=hint) from None

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[int, Floats]]:
        """Each unit's number and sums, as they are done."""
        for begin in range(0, len(units), _UNITS_WAITING_MAX):
            some = units[begin : begin + _UNITS_WAITING_MAX]
            futures = self._client.map(do_unit, some, pure=False, retries=_TRIES)
            yield from (result for _, result in self._distributed.as_completed(futures, with_results=True))

    def close(self) -> None:
        """Leave the scheduler."""
        self._client.close()


Executor = Serial | Local | Dask
