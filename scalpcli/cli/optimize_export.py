"""Writes a setting that a search found as TOML, with its provenance in comments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalpcli.optimize.store import SearchFolder

_PROVEN = (
    "trades",
    "net_pnl_usd",
    "sharpe_days",
    "dsr",
    "pbo",
    "plateau",
    "trials",
    "oos_net_pnl_usd",
    "oos_sharpe_days",
)


def config_text(folder: SearchFolder, result: dict[str, Any], rank: int) -> str:
    """Every setting that differs from its default, those searched among them, as `-c FILE` reads it."""
    from scalpcli import __version__
    from scalpcli.config_fields import settings, to_toml
    from scalpcli.core.lanes import with_values
    from scalpcli.optimize.store import plan_params

    plan = folder.plan()
    row = result["settings"][rank - 1]
    searched = {key: row[key] for key in plan["space"]}
    params, _ = plan_params(plan)
    params = with_values(params, searched)
    lines = [
        f"# Rank {rank} of {result['search']}, found by scalpcli {__version__}",
        f"# by {plan['method']}, objective {plan['objective']}, seed {plan['seed']}",
        f"# on {result['sessions']} sessions:",
    ]
    lines += [f"#   {tape['session']} {tape['digest']}" for tape in plan["tapes"][: result["sessions"]]]
    if rank == 1:
        lines.append("# verdict: " + ", ".join(f"{name} {_word(result['verdict'].get(name))}" for name in _PROVEN))
    else:
        lines.append("# no verdict: only the best setting is judged")
    if result["synthetic"]:
        lines.append("# SYNTHETIC: at least one tape was made up")
    section = ""
    for key, setting in settings().items():
        value = getattr(getattr(params, setting.section), setting.name)
        if key not in searched and (
            value == setting.default or setting.section in ("alpaca", "record", "tape", "replay")
        ):
            continue
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        lines.append(f"{setting.name} = {to_toml(value)}")
    return "\n".join([*lines, ""])


def _word(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
