"""Plays several sessions, one after another or in processes of their own; the results do not depend on which.

Also the look-ahead check, which plays one session several times.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import zip_longest
from pathlib import Path

from scalpcli.core.market_state import Kernel
from scalpcli.errors import CheckFailed, DataError
from scalpcli.model.params import Blackout, Params
from scalpcli.model.session import ns_to_new_york
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.journal import decision_time_ns
from scalpcli.runtime.manifest import Manifest
from scalpcli.runtime.replay import ReplayOptions, SessionResult, replay_session
from scalpcli.runtime.tape import find_tape, find_tapes, read_manifest

LOOKAHEAD_CUTS = 4


def tapes_at(places: Sequence[Path], symbol: str = "", first: str = "", last: str = "") -> list[Path]:
    """Every tape at or below `places`, by session and symbol.

    Args:
        places: Tapes, or folders of tapes.
        symbol: Only this underlying; empty = all.
        first: First session, ISO day; empty = no limit.
        last: Last session, ISO day; empty = no limit.

    Raises:
        DataError: a place holds no tape, or none is left.
    """
    found: dict[Path, Manifest] = {}
    for place in places:
        # Where there are none, `find_tape` says why.
        tapes = find_tapes(place) or [find_tape(place)]
        found |= {tape: read_manifest(tape) for tape in tapes}
    chosen = [
        (manifest.session, manifest.symbol, path)
        for path, manifest in found.items()
        if (not symbol or manifest.symbol == symbol)
        and (not first or manifest.session >= first)
        and (not last or manifest.session <= last)
    ]
    if not chosen:
        raise DataError(
            f"none of {len(found)} tapes is of the symbol and sessions asked for",
            hint="`scalpcli tape list FOLDER` shows what is there",
        )
    return [path for _, _, path in sorted(chosen)]


def replay_all(
    paths: Sequence[Path],
    params: Params,
    blackouts: tuple[Blackout, ...],
    options: ReplayOptions,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[SessionResult]:
    """Play every tape; the results come in the order of `paths`, whatever `replay.jobs` is.

    Raises:
        DataError: as `replay_session`.
    """
    hot = load_kernel(say)
    jobs = min(params.replay.jobs, len(paths))
    if jobs <= 1:
        for path in paths:
            yield _replay_one(path, params, blackouts, hot, options)
        return
    # Spawned, not forked: a fork copies locks that Polars' threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(_replay_in_worker, path, params, blackouts, options) for path in paths]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _replay_in_worker(
    path: Path, params: Params, blackouts: tuple[Blackout, ...], options: ReplayOptions
) -> SessionResult:
    return _replay_one(path, params, blackouts, load_kernel(), options)


def _replay_one(
    path: Path, params: Params, blackouts: tuple[Blackout, ...], hot: Kernel, options: ReplayOptions
) -> SessionResult:
    """One session; a row that stops it is named with its tape, which the engine does not know."""
    try:
        return replay_session(path, params, blackouts, hot, options)
    except DataError as error:
        if error.place and not error.place.startswith("the row "):
            raise
        place = f"`{path}`, {error.place}".rstrip(", ")
        raise DataError(error.found, place=place, hint=error.hint) from None


def check_lookahead(
    path: Path, params: Params, blackouts: tuple[Blackout, ...], hot: Kernel, options: ReplayOptions
) -> int:
    """Play a session with another future and hold what was decided before it against the original (law 3).

    Returns:
        How many decisions were compared.

    Raises:
        CheckFailed: a decision at or before the change moved.
    """
    original = replay_session(path, params, blackouts, hot, options).decisions.splitlines()
    times = sorted({decision_time_ns(line) for line in original[1:-1]})
    cuts = (
        [times[len(times) * number // (LOOKAHEAD_CUTS + 1)] for number in range(1, LOOKAHEAD_CUTS + 1)] if times else []
    )
    compared = 0
    for cut_ns in cuts:
        changed_options = dataclasses.replace(options, perturb_after_ns=cut_ns)
        changed = replay_session(path, params, blackouts, hot, changed_options).decisions.splitlines()
        # The last line sums the session up: it stands after every cut.
        pasts = [[line for line in lines[:-1] if decision_time_ns(line) <= cut_ns] for lines in (original, changed)]
        for before, after in zip_longest(*pasts):
            compared += 1
            if before != after:
                raise CheckFailed(
                    f"a decision moved when rows after {ns_to_new_york(cut_ns)} were changed",
                    place=f"`{path}`",
                    hint=f"before: {_shown(before)}\n      after:  {_shown(after)}",
                )
    return compared


def _shown(line: bytes | None) -> str:
    return "nothing" if line is None else line.decode()
