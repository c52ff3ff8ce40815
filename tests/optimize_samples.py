"""Small sessions to search on, and plans over them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from scalpcli.core.lanes import with_values
from scalpcli.model.params import Params, TapeParams
from scalpcli.model.session import next_session
from scalpcli.optimize.folds import WalkForward
from scalpcli.optimize.ledger import LEDGER, Ledger
from scalpcli.optimize.search import Plan, Search, TapeOf
from scalpcli.optimize.space import parse_space
from scalpcli.optimize.store import SearchFolder
from scalpcli.optimize.work import Executor, Serial
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from scalpcli.runtime.tape import read_manifest

EAGER = {
    "gates.first_entry_minutes": 0.0,
    "scalp.eval_interval_ms": 1000,
    "scalp.max_hold_minutes": 3.0,
    "scalp.volume_spike_ratio": 0.0,
    "scalp.vwap_volume_ratio": 0.0,
    "scalp.cooldown_after_loss_minutes": 0.0,
}
"""Settings that trade a few times in the 45 minutes of a small session."""
SPACE = ("momentum_threshold_pct=0.06:0.12:0.03", "take_profit_pct=5,10", "stop_loss_pct=5,10")


def small_tapes(root: Path, count: int, *, bursts: int = 6, follow_through: float = 45.0, seed: int = 0) -> list[Path]:
    """Sessions of 45 minutes, 2,500 rows each, on days the fee table covers."""
    day, paths = dt.date(2026, 8, 3), []
    for number in range(count):
        spec = SyntheticSpec(
            date=day, rows=2_500, contracts=6, minutes=45, bursts=bursts, follow_through_pct=follow_through,
            seed=seed + number,
        )  # fmt: skip
        paths.append(write_synthetic(root, spec, params=TapeParams()))
        day = next_session(day).date
    return paths


def plan_over(tapes: list[Path], **changes: Any) -> Plan:
    """A plan over some tapes."""
    found = [read_manifest(path) for path in tapes]
    about: dict[str, Any] = {
        "tapes": tuple(
            TapeOf(str(manifest.session), str(path), manifest.rows_digest)
            for path, manifest in zip(tapes, found, strict=True)
        ),
        "params": with_values(Params(), EAGER),
        "blackouts": (),
        "space": parse_space(SPACE, None),
        "method": "grid",
        "trials": 30,
        "seed": 1,
        "objective": "expectancy",
        "constraints": lambda _: True,
        "walk": WalkForward(4, 2, 2),
        "purge": 0,
        "embargo": 0,
        "holdout_pct": 20.0,
        "is_allowed": lambda _: True,
    }
    return Plan(**(about | changes))


def search_in(folder: Path, plan: Plan, executor: Executor | None = None) -> Search:
    """A search of a plan, its folder and ledger below `folder`."""
    (folder / "one").mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / LEDGER)
    return Search(plan, SearchFolder(folder / "one"), ledger, executor or Serial(), lambda _: None)
