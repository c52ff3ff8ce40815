"""Rules between settings: what each may be alone, but not together.

Decides only contradictions: two settings that cannot both be meant, or one that makes another dead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from scalpcli.config_fields import settings, to_toml
from scalpcli.model.params import Params


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What is wrong between the settings `keys`, and what to write."""

    keys: tuple[str, ...]
    found: str
    hint: str


_ORDERED = (
    ("selection.delta_min", "selection.delta_max", 1),
    ("selection.min_dte", "selection.max_dte", 1),
    ("scalp.confidence_min", "scalp.confidence_max", 1),
    ("scalp.momentum_confirm_window_seconds", "scalp.momentum_window_seconds", 1),
    ("scalp.sweep_gap_ms_max", "scalp.sweep_run_ms_max", 1),
    ("exits.flatten_before_close_minutes", "gates.last_entry_before_close_minutes", 1),
    ("scalp.breakout_hold_ms", "scalp.breakout_confirm_s", 1000),
)
"""(lower, upper, how many units of the lower make one of the upper): the lower may not exceed the upper."""


def contradictions(params: Params) -> Iterator[Contradiction]:
    """Every rule that `params` breaks."""
    for lower, upper, factor in _ORDERED:
        yield from _ordered(params, lower, upper, factor)
    yield from _inside(params, "scalp.target_delta", "selection.delta_min", "selection.delta_max")
    if params.selection.preferred_dte >= 0:
        yield from _inside(params, "selection.preferred_dte", "selection.min_dte", "selection.max_dte")
    if params.risk.messages_per_minute_max > 0:
        yield from _ordered(params, "risk.messages_reserved", "risk.messages_per_minute_max", 1)
    if params.exits.protective_stop_pct > 0:
        yield from _ordered(params, "scalp.stop_loss_pct", "exits.protective_stop_pct", 1)
    yield from _windows(params)
    yield from _fee_day(params)


def value_of(params: Params, key: str) -> float:
    """The number that `section.name` is."""
    section, name = key.split(".")
    value: float = getattr(getattr(params, section), name)
    return value


def _ordered(params: Params, lower: str, upper: str, factor: int) -> Iterator[Contradiction]:
    low, high = value_of(params, lower), value_of(params, upper)
    if low <= high * factor:
        return
    name = lower.split(".")[1]
    at_most = settings()[lower].kind(high * factor)
    yield Contradiction(
        (lower, upper),
        f"`{lower}` is {low}, above `{upper}`: {high}",
        f"write `{name} = {to_toml(at_most)}` or less, or raise `{upper}`",
    )


def _inside(params: Params, key: str, low_key: str, high_key: str) -> Iterator[Contradiction]:
    value, low, high = (value_of(params, each) for each in (key, low_key, high_key))
    if low <= value <= high:
        return
    beyond = high_key if value > high else low_key
    yield Contradiction(
        (key, low_key, high_key),
        f"`{key}` is {value}, outside `{low_key}` to `{high_key}`: {low} to {high}",
        f"write `{key.split('.')[1]}` inside them, or set `{beyond}` to {value} or beyond",
    )


def _windows(params: Params) -> Iterator[Contradiction]:
    key = "scalp.velocity_windows_seconds"
    windows = params.scalp.velocity_windows_seconds
    if windows and len(set(windows)) == len(windows):
        return
    found = f"`{key}` names a window twice: {to_toml(windows)}" if windows else f"`{key}` is empty"
    yield Contradiction((key,), found, "write each window once, like `velocity_windows_seconds = [5, 15, 30, 60]`")


def _fee_day(params: Params) -> Iterator[Contradiction]:
    day = params.fees.as_of
    try:
        is_day = not day or dt.date.fromisoformat(day).isoformat() == day
    except ValueError:
        is_day = False
    if not is_day:
        yield Contradiction(
            ("fees.as_of",),
            f"`fees.as_of` is {to_toml(day)}, not a day",
            'write a day as YYYY-MM-DD, like `as_of = "2026-11-20"`, or leave it empty for the session\'s own day',
        )
