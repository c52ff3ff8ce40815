"""Plain conversion of flags and arguments.

Typer converts every parameter through pydantic, whose import alone takes 0.1 s of each command. Text,
numbers, paths and words from a list need no pydantic; what is not one of these is left to typer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

Convert = Callable[[Any], Any]

_TRUE_WORDS = ("1", "true", "t", "yes", "y", "on")
_FALSE_WORDS = ("0", "false", "f", "no", "n", "off", "")


class PlainParam:
    """What typer asks to convert one parameter's raw value; the place of its own pydantic adapter."""

    def __init__(self, convert: Convert) -> None:
        self._convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a parameter.

        Raises:
            typer.BadParameter: The text is not what the parameter takes.
        """
        is_many = param.multiple or param.nargs == -1
        if value is None:
            return () if is_many else None
        try:
            return [self._convert(item) for item in value] if is_many else self._convert(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None


def make_plain(params: list[Any]) -> list[Any]:
    """Give every parameter of a simple type its plain conversion, where this typer lets us; returns them."""
    for param in params:
        descriptor = getattr(param, "type_descriptor", None)
        if descriptor is None or getattr(param, "_runtime_param", descriptor) is not None:
            continue
        convert = _conversion(descriptor.annotation, descriptor.parameter_info)
        if convert is not None:
            param._runtime_param = PlainParam(convert)  # noqa: SLF001 - typer has no public seam for this
    return params


def _conversion(annotation: Any, info: Any) -> Convert | None:
    """How values of a type are made from text; `None` where typer must do it."""
    if info.parser is not None or getattr(info, "clamp", False):
        return None
    if get_origin(annotation) is list:
        return _conversion(get_args(annotation)[0], info)
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Enum):
        return lambda value: _choice(annotation, value, is_exact=info.case_sensitive)
    if annotation in (int, float):
        return lambda value: _number(annotation, value, info.min, info.max)
    if issubclass(annotation, Path):
        must_check = info.exists or info.writable or info.resolve_path or info.allow_dash
        return None if must_check else Path
    if annotation is bool:
        return _truth
    return str if annotation is str else None


def _choice(kind: type[Enum], value: Any, *, is_exact: bool) -> Enum:
    if isinstance(value, kind):
        return value
    wanted = str(value) if is_exact else str(value).lower()
    for choice in kind:
        if wanted == (str(choice.value) if is_exact else str(choice.value).lower()):
            return choice
    words = ", ".join(f"'{choice.value}'" for choice in kind)
    raise ValueError(f"'{value}' is not one of {words}")


def _number(kind: type[Any], value: Any, least: float | None, most: float | None) -> Any:
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not math.isfinite(number):
        raise ValueError(f"'{value}' is not a {'whole' if kind is int else 'finite'} number")
    if least is not None and number < least:
        raise ValueError(f"{value} is below its limit: {least}")
    if most is not None and number > most:
        raise ValueError(f"{value} is above its limit: {most}")
    return number


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE_WORDS + _FALSE_WORDS:
        raise ValueError(f"'{value}' is neither true nor false")
    return word in _TRUE_WORDS
