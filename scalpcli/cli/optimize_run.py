"""Runs a search for `optimize`: makes or resumes it, judges it, keeps and prints what came of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scalpcli.cli.optimize_plan import Asked, accept, check_accept, plan_of, read_plan
from scalpcli.cli.options import Format
from scalpcli.cli.output import progress, say

if TYPE_CHECKING:
    from scalpcli.optimize.search import Found, Plan, Search
    from scalpcli.optimize.store import SearchFolder
    from scalpcli.optimize.work import Executor

__all__ = ["Asked", "run_search"]

_ESTIMATE_LANES: Final = (1, 33)
_RANKED_MAX: Final = 10_000
"""Settings kept in a result, the best first."""


def run_search(
    asked: Asked,
    resume: Path | None,
    out: Path,
    *,
    jobs: int,
    scheduler: str | None,
    accept_if: str,
    null_traders: int,
    is_estimate: bool,
    top: int,
    form: Format,
    quiet: bool,
) -> None:
    """Do all of `optimize run`.

    Raises:
        CheckFailed: `accept_if` does not hold.
    """
    from scalpcli.cli.optimize_show import print_result
    from scalpcli.optimize.store import SearchFolder

    check_accept(accept_if)
    kept = SearchFolder(resume).plan() if resume is not None else plan_of(asked)
    plan = read_plan(kept)
    if is_estimate:
        _print_estimate(plan, jobs, form)
        return
    folder = SearchFolder(resume) if resume is not None else SearchFolder.create(out, kept)
    found, search = _searched(plan, folder, jobs, scheduler, quiet=quiet)
    result = _judged(plan, kept, folder, found, search, null_traders, quiet=quiet)
    folder.write_result(result)
    print_result(result, folder, top, form, quiet=quiet)
    accept(accept_if, result["verdict"], f"`{folder.path}`")


def _searched(
    plan: Plan, folder: SearchFolder, jobs: int, scheduler: str | None, *, quiet: bool
) -> tuple[Found, Search]:
    from scalpcli.optimize.ledger import LEDGER, Ledger
    from scalpcli.optimize.search import Search

    size = plan.space.size if plan.method == "grid" else plan.trials
    total = None if plan.walk and plan.method == "tpe" else size * len(plan.tapes) * (1.0 - plan.holdout_pct / 100.0)
    executor = _executor(jobs, scheduler, quiet=quiet)
    try:
        with progress(total, "playing settings", quiet=quiet) as advance:
            search = Search(plan, folder, Ledger(folder.path.parent / LEDGER), executor, advance)
            return search.run(), search
    except KeyboardInterrupt:
        say(f"go on with `scalpcli optimize run --resume {folder.path}`", quiet=quiet)
        raise
    finally:
        executor.close()


def _executor(jobs: int, scheduler: str | None, *, quiet: bool) -> Executor:
    from scalpcli.errors import UsageError
    from scalpcli.optimize.work import Dask, Local, Serial
    from scalpcli.runtime.compiler import load_kernel

    if scheduler is not None:
        if not scheduler:
            hint = "write its address, like `--scheduler tcp://127.0.0.1:8786`"
            raise UsageError("`--executor dask` has no scheduler", place="`--scheduler`", hint=hint)
        return Dask(scheduler)
    load_kernel(lambda text: say(text, quiet=quiet))
    return Local(jobs) if jobs > 1 else Serial()


def _judged(
    plan: Plan,
    kept: dict[str, Any],
    folder: SearchFolder,
    found: Found,
    search: Search,
    null_traders: int,
    *,
    quiet: bool,
) -> dict[str, Any]:
    """What came of a search, as its folder keeps it."""
    from scalpcli.optimize.judge import distribution, ranking, verdict
    from scalpcli.optimize.ledger import LEDGER, Ledger

    ledger = Ledger(folder.path.parent / LEDGER)
    seen = [plan.tapes[number].digest for number in found.seen]
    trials = len(ledger.settings_tried(seen))
    values, overfit = verdict(found, plan.space, trials, plan.purge, plan.embargo)
    best = None if found.best is None else found.table.rows[found.best]
    if best is not None and null_traders:
        values |= _against_chance(plan, search, found, null_traders, quiet=quiet)
    keys = plan.space.keys
    return {
        "search": folder.path.name,
        "objective": kept["objective"],
        "synthetic": any(tape["synthetic"] for tape in kept["tapes"]),
        "sessions": len(found.seen),
        "sessions_sealed": len(found.sealed),
        "holdout_openings": ledger.openings([plan.tapes[number].digest for number in found.sealed]),
        "best": None if best is None else dict(zip(keys, best, strict=True)),
        "config_digest": None if best is None else search.digest(best),
        "verdict": values,
        "distribution": distribution(found),
        "windows": [
            {
                "train": [plan.tapes[fold.train[0]].session, plan.tapes[fold.train[-1]].session],
                "test": [plan.tapes[fold.test[0]].session, plan.tapes[fold.test[-1]].session],
                "objective": value if math.isfinite(value) else None,
                "best": None if chosen is None else dict(zip(keys, found.table.rows[chosen], strict=True)),
                "net_pnl_usd": None
                if chosen is None
                else float(found.table.sums([chosen], list(fold.test))[0, :, 2].sum()),
            }
            for fold, chosen, value in found.windows
        ],
        "splits": None if overfit is None else [overfit.inside.tolist(), overfit.outside.tolist()],
        "settings": ranking(found, plan.space)[:_RANKED_MAX],
    }


def _against_chance(plan: Plan, search: Search, found: Found, traders: int, *, quiet: bool) -> dict[str, float | None]:
    """Hold the chosen setting's entries against random traders, as `report --luck` does."""
    from scalpcli.report.luck import luck_of
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.runtime.hypothetical import every_minute, play_wishes
    from scalpcli.runtime.lane_replay import replay_lanes
    from scalpcli.runtime.null_trader import Entry, Pool, random_totals
    from scalpcli.runtime.remote_tape import local_tape
    from scalpcli.runtime.tape import Tape

    assert found.best is not None
    hot, params = load_kernel(), search.settings(found.table.rows[found.best])
    drawn = []
    with progress(len(found.seen), "playing every minute", quiet=quiet) as advance:
        for number in found.seen:
            path = local_tape(plan.tapes[number].path)
            (played,) = replay_lanes(path, [params], plan.blackouts, hot)
            entries = [Entry(trade.signal_ns, trade.side, trade.net_e4 / 1e4) for trade in played.trades]
            if entries:
                wishes = every_minute(Tape.open(path).session)
                outcomes = play_wishes(path, params, plan.blackouts, hot, wishes, gated=True)
                drawn.append((entries, Pool.of(outcomes)))
            advance(1)
    totals, matched = random_totals(drawn, traders, plan.seed)
    if not matched:
        return {}
    net_usd = math.fsum(entry.net_usd for entries, pool in drawn for entry in entries if len(pool.ts_ns[entry.side]))
    luck = luck_of(net_usd, totals, matched)
    return {"null_beaten_pct": luck.beaten_pct, "null_p": luck.p_value}


def _print_estimate(plan: Plan, jobs: int, form: Format) -> None:
    """Play the largest session for few settings and for more, and say what all would take."""
    import itertools

    from scalpcli.cli.output import emit_object
    from scalpcli.optimize.folds import split_holdout
    from scalpcli.optimize.work import LANES_MAX, Unit, do_unit
    from scalpcli.runtime import clock
    from scalpcli.runtime.remote_tape import local_tape

    seen, _ = split_holdout(len(plan.tapes), plan.holdout_pct)
    sizes = {number: (local_tape(plan.tapes[number].path) / "rows.parquet").stat().st_size for number in seen}
    largest = max(sizes, key=lambda number: sizes[number])
    values = [axis.values or (axis.low, axis.high) for axis in plan.space.axes]
    rows = list(itertools.islice(itertools.cycle(itertools.product(*values)), max(_ESTIMATE_LANES)))
    took_s = []
    for lanes in (1, *_ESTIMATE_LANES):
        some = tuple(rows[:lanes])
        started_s = clock.seconds()
        do_unit(Unit(0, plan.tapes[largest].path, plan.params, plan.space.keys, some, plan.blackouts))
        took_s.append(clock.seconds() - started_s)
    few_s, more_s = took_s[1:]
    each_s = max(0.0, more_s - few_s) / (_ESTIMATE_LANES[1] - _ESTIMATE_LANES[0])
    settings = plan.space.size if plan.method == "grid" else plan.trials
    passes = math.ceil(settings / (20 if plan.method == "tpe" else LANES_MAX))
    share = sum(sizes.values()) / sizes[largest]
    total_s = share * (passes * few_s + settings * each_s) / min(jobs, len(sizes))
    words = {
        "settings": settings,
        "sessions": len(sizes),
        "first_setting_s": few_s,
        "each_further_s": each_s,
        "passes_of_a_session": passes,
        "jobs": jobs,
        "estimate_s": total_s,
    }
    emit_object(words, form)
