"""The table of settings: every field of `model/params.py` with its section, type, default and bounds.

Decides how a value is written in TOML, in `-p` and in the environment, and how its limits are told in
words. Leaves checking to `config_models.py` and messages to `config_messages.py`.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.model.params import Params
from scalpcli.model.setting import Bounds, bounds_of

ENVIRONMENT_PREFIX: Final = "SCALPCLI__"
"""`SCALPCLI__SCALP__STOP_LOSS_PCT` is `stop_loss_pct` of `[scalp]`."""
FOUND_CHARACTERS_MAX: Final = 60
"""A found value is shown up to so many characters; the rest is cut."""

_TYPE_WORDS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list of whole numbers",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; `kind` is `bool`, `int`, `float`, `str` or `tuple` (of whole numbers)."""

    section: str
    name: str
    kind: type[Any]
    default: Any
    bounds: Bounds

    @property
    def key(self) -> str:
        """`section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"{ENVIRONMENT_PREFIX}{self.section}__{self.name}".upper()

    @property
    def kind_words(self) -> str:
        """What a value must be, as the end of "not …"."""
        return _TYPE_WORDS[self.kind]

    def limits_words(self) -> str:
        """The bounds in words, or nothing when there are none: `above 0.0, at most 100.0`."""
        bounds = self.bounds
        if bounds.choices:
            return "one of " + ", ".join(to_toml(choice) for choice in bounds.choices)
        each = "each " if self.kind is tuple else ""
        parts = [
            f"{words} {self._number(limit)}"
            for words, limit in (("above", bounds.gt), ("at least", bounds.ge), ("at most", bounds.le))
            if limit is not None
        ]
        return each + ", ".join(parts) if parts else ""

    def _number(self, limit: float) -> str:
        # A bound is written as the setting is: 100 for whole numbers, 100.0 for others.
        return str(float(limit) if self.kind is float else int(limit))


@functools.cache
def sections() -> dict[str, type[Any]]:
    """Section name -> its dataclass, in the order of the file."""
    return typing.get_type_hints(Params)


@functools.cache
def settings() -> dict[str, Setting]:
    """`section.name` -> setting, in the order of the file."""
    table: dict[str, Setting] = {}
    for section, cls in sections().items():
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            kind = typing.get_origin(hints[field.name]) or hints[field.name]
            setting = Setting(section, field.name, kind, field.default, bounds_of(field))
            table[setting.key] = setting
    return table


def names_in(section: str) -> list[str]:
    """Names of the settings of one section."""
    return [setting.name for setting in settings().values() if setting.section == section]


def to_toml(value: Any) -> str:
    """A value as one line of TOML; a type that TOML lacks is written as Python shows it."""
    import tomli_w  # noqa: PLC0415 - only `config` and error messages write TOML

    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {to_toml(item)}" for name, item in value.items()) + "}"
    if value is None:
        return "nothing"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")


def found_words(value: Any) -> str:
    """A found value as messages show it, cut to `FOUND_CHARACTERS_MAX` characters."""
    if isinstance(value, dict):
        return "a table"
    text = to_toml(value)
    if len(text) > FOUND_CHARACTERS_MAX:
        text = text[: FOUND_CHARACTERS_MAX - 1] + "…"
    if isinstance(value, str):
        return f"the text {text}"
    if isinstance(value, list):
        return f"the list {text}"
    return text
