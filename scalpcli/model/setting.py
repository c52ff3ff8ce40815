"""A setting: a dataclass field that carries its meaning and its bounds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a setting may be; `None` is no limit."""

    help: str
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    choices: tuple[str, ...] = ()
    is_later: bool = False


def setting(
    default: Any,
    help: str,  # noqa: A002 - the word users know from `--help`
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    choices: tuple[str, ...] = (),
    is_later: bool = False,
) -> Any:
    """A dataclass field that carries its meaning and its bounds.

    `is_later` = added after results were blessed: at its default it stays out of the configuration's digest.
    """
    metadata = {"bounds": Bounds(help, ge, le, gt, choices, is_later)}
    return dataclasses.field(default=default, metadata=metadata)


def bounds_of(field: dataclasses.Field[Any]) -> Bounds:
    """The meaning and the bounds of a field made by `setting`."""
    bounds: Bounds = field.metadata["bounds"]
    return bounds
