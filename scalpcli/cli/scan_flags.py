"""Turns the filters of `scan-options` into settings: each flag is one setting, with the settings' default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scalpcli.config import Flag, Loaded, load
from scalpcli.errors import UsageError

_SETTINGS: Final = {
    "target_delta": "scalp.target_delta",
    "max_spread_pct": "scalp.max_spread_pct",
    "min_oi": "scalp.min_open_interest",
    "min_volume": "selection.min_volume_today",
    "min_size": "gates.ask_size_min",
    "max_price": "scalp.max_contract_price",
    "fees_as_of": "fees.as_of",
    "feed": "record.feed",
    "option_feed": "record.option_feed",
}
_GREEKS: Final = {"computed": "computed", "feed": "tape", "both": "auto"}


def loaded_settings(
    config: Sequence[str] | None,
    param: Sequence[str] | None,
    *,
    delta: str,
    greeks: str | None,
    max_quote_age: float | None,
    **others: Any,
) -> Loaded:
    """The settings with the flags over them.

    Raises:
        UsageError: a range or a word cannot be meant.
        ConfigError: a value is outside its bounds.
    """
    flags: dict[str, Flag] = {
        _SETTINGS[name]: Flag(f"--{name.replace('_', '-')}", value)
        for name, value in others.items()
        if value is not None
    }
    if delta:
        low, high = delta_range(delta)
        if others.get("target_delta") is None:
            # Who asks for other deltas aims at the nearest of them, not at an end that is no longer wanted.
            wanted = load(config, param).params.scalp.target_delta
            flags["scalp.target_delta"] = Flag("--delta", min(max(wanted, low), high))
        flags |= {"selection.delta_min": Flag("--delta", low), "selection.delta_max": Flag("--delta", high)}
    if greeks is not None:
        if greeks not in _GREEKS:
            raise UsageError(f"`--greeks {greeks}` is no source", hint="write computed, feed or both")
        flags["selection.greeks_source"] = Flag("--greeks", _GREEKS[greeks])
    if max_quote_age is not None:
        flags["gates.option_quote_age_ms_max"] = Flag("--max-quote-age", round(max_quote_age * 1000.0))
    return load(config, param, flags)


def delta_range(text: str) -> tuple[float, float]:
    """Both ends of `0.30:0.40`.

    Raises:
        UsageError: the text is not two numbers in order.
    """
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not low <= high:
        raise UsageError(f"`--delta {text}` is no range", hint="write two absolute deltas, like 0.30:0.40")
    return low, high
