"""What is searched: settings and the values each may take.

Decides how a range is written and which settings may be searched. Leaves which values are tried next to
`search.py`, and whether settings contradict each other to the command line.
"""

from __future__ import annotations

import difflib
import itertools
import math
import operator
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import UsageError
from scalpcli.model.params import Params
from scalpcli.model.setting import Bounds, bounds_of

SECTIONS: Final = ("scalp", "gates", "selection", "exits", "risk")
"""What a trader may choose; what the market and the broker do is no choice."""
VALUES_MAX: Final = 10_000
"""Values of one range at most."""
SETTINGS_MAX: Final = 1_000_000
"""Settings of one grid at most."""
_EXAMPLE: Final = "write LOW:HIGH:STEP, LOW:HIGH or A,B,C, like `momentum_threshold_pct=0.2:1.0:0.1`"

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting that is searched.

    Args:
        key: Dotted name, like `scalp.stop_loss_pct`.
        values: Values it may take, in order; empty for a range without steps.
        low: Least value of a range without steps.
        high: Largest value of it.
        is_whole: Whether only whole numbers are meant.
    """

    key: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False

    def place(self, value: Value) -> float:
        """Where a value lies in the axis, 0 to 1; values of a list by their number."""
        if self.values:
            return self.values.index(value) / max(1, len(self.values) - 1)
        return (float(value) - self.low) / (self.high - self.low)

    def written(self) -> str:
        """The axis as `parse_axis` reads it."""
        if self.values:
            return ",".join(str(value).lower() if isinstance(value, bool) else str(value) for value in self.values)
        return f"{self.low:g}:{self.high:g}"


@dataclass(frozen=True, slots=True)
class Space:
    """Every axis of a search."""

    axes: tuple[Axis, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted names, in order."""
        return tuple(axis.key for axis in self.axes)

    @property
    def size(self) -> float:
        """How many settings there are; infinite where an axis has no steps."""
        return math.prod(len(axis.values) or math.inf for axis in self.axes)

    def grid(self) -> Iterator[tuple[Value, ...]]:
        """Every setting, the last axis fastest.

        Raises:
            UsageError: an axis has no steps, or there are too many settings.
        """
        endless = [axis.key for axis in self.axes if not axis.values]
        if endless:
            raise UsageError(
                f"`{endless[0]}` has no steps, so it has no grid",
                place="`--param`",
                hint="write a step, LOW:HIGH:STEP, or search with `--method random` or `--method tpe`",
            )
        if self.size > SETTINGS_MAX:
            raise UsageError(
                f"the grid has {self.size:,.0f} settings, above the limit: {SETTINGS_MAX:,}",
                place="`--param`",
                hint="widen the steps, or search with `--method tpe --trials 500`",
            )
        return itertools.product(*(axis.values for axis in self.axes))


def kinds() -> dict[str, tuple[type[Any], Bounds]]:
    """Type and bounds of every setting that may be searched, by dotted name."""
    found = {}
    for section, owner in typing.get_type_hints(Params).items():
        if section in SECTIONS:
            hints = typing.get_type_hints(owner)
            for field in fields(owner):
                if hints[field.name] in (bool, int, float, str):
                    found[f"{section}.{field.name}"] = (hints[field.name], bounds_of(field))
    return found


def parse_space(params: Sequence[str], file: Path | None) -> Space:
    """Read every `--param` and the file of `--space`.

    Args:
        params: Texts like `scalp.stop_loss_pct=8:25:1`; a name without its section will do.
        file: TOML with a table a section and a text or a list a setting; `None` = none.

    Raises:
        UsageError: nothing is searched, a name is unknown or stands twice, or a range cannot be meant.
    """
    texts = _from_file(file) if file is not None else []
    for text in params:
        name, equals, values = text.partition("=")
        if not equals:
            raise UsageError(f"`{text}` names no values", place=f"`--param {text}`", hint=_EXAMPLE)
        texts.append((name.strip(), values.strip(), f"`--param {text}`"))
    if not texts:
        raise UsageError("nothing is searched", place="`--param`", hint=_EXAMPLE)
    axes = [parse_axis(name, values, place) for name, values, place in texts]
    keys = [axis.key for axis in axes]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UsageError(f"`{twice}` is searched twice", place="`--param`", hint="name each setting once")
    return Space(tuple(axes))


def _from_file(file: Path) -> list[tuple[str, str, str]]:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        hint = '`[scalp]`, then `stop_loss_pct = "8:25:1"` or `stop_loss_pct = [10, 15, 20]`'
        raise UsageError(f"the space cannot be read: {error}", place=f"`{file}`", hint=hint) from None
    texts = []
    for section, values in data.items():
        for name, value in values.items() if isinstance(values, Mapping) else ():
            written = ",".join(_word(each) for each in value) if isinstance(value, list) else _word(value)
            texts.append((f"{section}.{name}", written, f"`{file}`"))
    return texts


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_axis(name: str, text: str, place: str) -> Axis:
    """Read one setting and its values.

    Raises:
        UsageError: the name is unknown, or the values cannot be meant.
    """
    known = kinds()
    key = _full_name(name, known, place)
    kind, bounds = known[key]
    parts = text.split(":")
    if len(parts) in (2, 3) and kind in (int, float):
        low, high, *step = [_decimal(part, place) for part in parts]
        if low >= high or (step and step[0] <= 0):
            raise UsageError(f"`{text}` holds no values: LOW < HIGH and STEP > 0", place=place, hint=_EXAMPLE)
        if step:
            values = _steps(low, high, step[0], kind, place)
            return Axis(key, tuple(_checked(key, value, bounds, place) for value in values))
        for value in (low, high):
            _checked(key, kind(value), bounds, place)
        return Axis(key, (), float(low), float(high), kind is int)
    values = [_read(part.strip(), kind, place) for part in text.split(",")]
    return Axis(key, tuple(dict.fromkeys(_checked(key, value, bounds, place) for value in values)))


def _full_name(name: str, known: Mapping[str, Any], place: str) -> str:
    if name in known:
        return name
    ends = [key for key in known if key.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    near = difflib.get_close_matches(name, [*known, *(key.split(".")[1] for key in known)], n=1)
    hint = f"the nearest is `{near[0]}`" if near else f"settings of {', '.join(SECTIONS)} may be searched"
    raise UsageError(f"no setting that may be searched is named `{name}`", place=place, hint=hint)


def _decimal(text: str, place: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise UsageError(f"`{text}` is not a number", place=place, hint=_EXAMPLE) from None
    if not value.is_finite():
        raise UsageError(f"`{text}` is not a number", place=place, hint=_EXAMPLE)
    return value


def _steps(low: Decimal, high: Decimal, step: Decimal, kind: type[Any], place: str) -> list[Value]:
    count = int((high - low) / step) + 1
    if count > VALUES_MAX:
        raise UsageError(
            f"it has {count:,} values, above the limit: {VALUES_MAX:,}", place=place, hint="widen the step"
        )
    values = [low + step * number for number in range(count)]
    if kind is int and any(value != int(value) for value in values):
        raise UsageError(
            "a step leads to values that are not whole", place=place, hint="this setting is a whole number"
        )
    return [kind(value) for value in values]


def _read(text: str, kind: type[Any], place: str) -> Value:
    if kind is bool:
        if text not in ("true", "false"):
            raise UsageError(f"`{text}` is neither true nor false", place=place, hint="write `true,false`")
        return text == "true"
    if kind is str:
        return text
    number = _decimal(text, place)
    if kind is int and number != int(number):
        raise UsageError(f"`{text}` is not a whole number", place=place, hint=_EXAMPLE)
    value: Value = kind(number)
    return value


def _checked(key: str, value: Value, bounds: Bounds, place: str) -> Value:
    if isinstance(value, str):
        if bounds.choices and value not in bounds.choices:
            raise UsageError(f"`{key}` cannot be `{value}`", place=place, hint=f"choose of {', '.join(bounds.choices)}")
        return value
    broken = [
        f"{words} {limit:g}"
        for limit, words, holds in (
            (bounds.ge, "at least", operator.ge),
            (bounds.le, "at most", operator.le),
            (bounds.gt, "above", operator.gt),
        )
        if limit is not None and not holds(value, limit)
    ]
    if broken:
        raise UsageError(f"`{key}` would be {value}", place=place, hint=f"it must be {broken[0]}")
    return value
