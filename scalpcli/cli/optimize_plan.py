"""How `optimize` reads what is asked for: words to a plan, and a kept plan back to one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalpcli.errors import CheckFailed, DataError, UsageError

if TYPE_CHECKING:
    from scalpcli.model.params import Params
    from scalpcli.optimize.search import Holds, Plan
    from scalpcli.runtime.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of a search, as written."""

    tapes: Sequence[str]
    which: tuple[str, str, str]
    params: Sequence[str]
    space: Path | None
    config: Sequence[str]
    method: str
    trials: int
    objective: str
    constraints: Sequence[str]
    walk_forward: str
    purge: str
    embargo: str
    holdout: str
    seed: int


def plan_of(asked: Asked) -> dict[str, Any]:
    """The plan as its folder keeps it; `read_plan` makes it one to run.

    Raises:
        UsageError: something cannot be meant.
        ConfigError: a setting is wrong.
        DataError: there is no such tape.
    """
    from scalpcli.config import load
    from scalpcli.config_fields import settings
    from scalpcli.optimize.space import SECTIONS, parse_space
    from scalpcli.optimize.store import blackouts_plain

    ranges: list[str] = []
    fixed: list[str] = []
    for text in asked.params:
        key, _, value = text.partition("=")
        is_fixed = key in settings() and (key.split(".")[0] not in SECTIONS or not set(value) & set(":,"))
        (fixed if is_fixed else ranges).append(text)
    space = parse_space(ranges, asked.space)
    loaded = load(asked.config, fixed)
    params = loaded.params
    latency_file = loaded.path("simulated_broker.latency_file")
    if latency_file is not None:
        broker = dataclasses.replace(params.simulated_broker, latency_file=str(latency_file.resolve()))
        params = dataclasses.replace(params, simulated_broker=broker)
    tapes = tapes_of(asked.tapes, asked.which)
    return {
        "tapes": [
            {
                "session": f"{manifest.symbol} {manifest.session}",
                "path": place,
                "digest": manifest.rows_digest,
                "synthetic": manifest.synthetic,
            }
            for place, manifest in tapes
        ],
        "params": dataclasses.asdict(params),
        "blackouts": blackouts_plain(tuple(loaded.blackouts)),
        "space": {axis.key: axis.written() for axis in space.axes},
        "method": asked.method,
        "trials": asked.trials,
        "seed": asked.seed,
        "objective": _absolute(asked.objective),
        "constraints": list(asked.constraints),
        "walk_forward": asked.walk_forward,
        "purge": asked.purge,
        "embargo": asked.embargo,
        "holdout": asked.holdout,
    }


def tapes_of(places: Sequence[str], which: tuple[str, str, str]) -> list[tuple[str, Manifest]]:
    """Every tape at or below some places, here or remote, by session; where each lies, and its manifest.

    Raises:
        DataError: there is none.
    """
    from scalpcli.runtime.remote_tape import is_remote, local_tape, tapes_below
    from scalpcli.runtime.sessions import tapes_at
    from scalpcli.runtime.tape import read_manifest

    addresses = [address for place in places if is_remote(place) for address in tapes_below(place)]
    # A remote tape is chosen by its copy, and named by its address.
    copies = {local_tape(address): address for address in addresses}
    here = [Path(place) for place in places if not is_remote(place)]
    chosen = tapes_at([*here, *copies], *which)
    return [(copies.get(path) or str(path.resolve()), read_manifest(path)) for path in chosen]


def _absolute(objective: str) -> str:
    file, colon, name = objective.rpartition(":")
    return f"{Path(file).resolve()}:{name}" if colon else objective


def read_plan(kept: Mapping[str, Any]) -> Plan:
    """A kept plan, to run.

    Raises:
        UsageError: something in it cannot be meant.
        DataError: a tape is gone, or is another one than it was.
    """
    import hashlib

    from scalpcli.config_rules import contradictions
    from scalpcli.optimize.folds import parse_days, parse_holdout, parse_walk_forward
    from scalpcli.optimize.scores import FIGURES, read_objective
    from scalpcli.optimize.search import Plan, TapeOf
    from scalpcli.optimize.space import Space, parse_axis
    from scalpcli.optimize.store import plan_params
    from scalpcli.runtime.remote_tape import local_tape
    from scalpcli.runtime.replay import read_latencies
    from scalpcli.runtime.tape import read_manifest

    params, blackouts = plan_params(dict(kept))
    tapes = tuple(TapeOf(each["session"], each["path"], each["digest"]) for each in kept["tapes"])
    for tape in tapes:
        if read_manifest(local_tape(tape.path)).rows_digest != tape.digest:
            hint = "start a new search: what was found on one tape says nothing of another"
            raise DataError("the tape is not the one the search began with", place=f"`{tape.path}`", hint=hint)
    drawn = read_latencies(params.simulated_broker.latency_file)

    def is_allowed(settings: Params) -> bool:
        return not any(True for _ in contradictions(settings))

    return Plan(
        tapes=tapes,
        params=params,
        blackouts=blackouts,
        space=Space(tuple(parse_axis(key, text, "`plan.json`") for key, text in kept["space"].items())),
        method=kept["method"],
        trials=kept["trials"],
        seed=kept["seed"],
        objective=read_objective(kept["objective"]),
        constraints=condition(kept["constraints"], FIGURES),
        walk=parse_walk_forward(kept["walk_forward"]) if kept["walk_forward"] else None,
        purge=parse_days(kept["purge"], "--purge"),
        embargo=parse_days(kept["embargo"], "--embargo"),
        holdout_pct=parse_holdout(kept["holdout"]),
        is_allowed=is_allowed,
        latencies_digest="" if drawn is None else hashlib.sha256(drawn.tobytes()).hexdigest(),
    )


def condition(texts: Sequence[str], vocabulary: Mapping[str, str]) -> Holds:
    """Whether figures meet every comparison; unknown ones never do.

    Raises:
        UsageError: a text is no comparison, or names a figure that does not exist.
    """
    from scalpcli.report.require import parse_requirement

    requirements = [parse_requirement(text, vocabulary) for text in texts]

    def holds(figures: Mapping[str, float | None]) -> bool:
        return all(requirement.holds(figures) for requirement in requirements)

    return holds


def comparisons(text: str) -> list[str]:
    """The comparisons of `--accept-if`, joined by `and`."""
    return [part.strip() for part in text.split(" and ")] if text.strip() else []


def accept(text: str, figures: Mapping[str, float | None], place: str) -> None:
    """Hold a verdict against `--accept-if`.

    Raises:
        CheckFailed: it does not hold.
        UsageError: it is not understood.
    """
    from scalpcli.optimize.judge import VERDICT
    from scalpcli.report.require import parse_requirement

    fallen = []
    for requirement in (parse_requirement(each, VERDICT) for each in comparisons(text)):
        if not requirement.holds(figures):
            found = ", ".join(
                f"{name} is {'unknown' if figures.get(name) is None else format(figures[name], '.4g')}"
                for name in requirement.names
            )
            fallen.append(f"  {requirement.text}: {found}")
    if fallen:
        hint = "the data does not support the choice; an unknown figure is accepted by nothing"
        raise CheckFailed("\n".join(["not accepted", *fallen]), place=place, hint=hint)


def check_accept(text: str) -> None:
    """Refuse a wrong `--accept-if` before any work is done.

    Raises:
        UsageError: it is not understood.
    """
    from scalpcli.optimize.judge import VERDICT

    if text.strip().startswith("and ") or " or " in text:
        raise UsageError(f"`{text}` is not understood", place="`--accept-if`", hint="join comparisons with `and`")
    condition(comparisons(text), VERDICT)
