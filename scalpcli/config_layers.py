"""Where settings come from: files, environment, `-p` and named flags, each as one layer of raw values.

Decides how text becomes a value and what a source is called in messages. A file's values have the types
TOML gave them; text from the environment and from `-p` is read as a TOML value first, else as plain
text. Leaves checking to `config_models.py`.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from scalpcli import config_messages as messages
from scalpcli.config_fields import ENVIRONMENT_PREFIX, settings
from scalpcli.config_toml import STDIN, read_toml
from scalpcli.errors import ConfigError

_KEY_PARTS: Final = 2


class Source(Enum):
    """Kind of a layer; decides how a hint writes a setting."""

    FILE = "file"
    ENVIRONMENT = "environment"
    OVERRIDE = "-p"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Flag:
    """A value given by a named flag: `Flag("--latency-ms", 400.0)`."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one source, `section -> name -> value`, and where each one stands.

    Attributes:
        source: Its kind.
        values: Raw values, as nested as the source wrote them.
        places: Dotted key (or section) -> place as messages show it.
        origins: Dotted key -> place as `config show` shows it.
        problems: What could not even become a value.
        folder: What relative paths in its values are relative to; `None` is the working folder.
        flags: Dotted key -> name of the flag, for hints.
        file: The file on disk it was read from; none for anything else, standard input and pipes too.
    """

    source: Source
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)
    folder: Path | None = None
    flags: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    def place(self, key: str) -> str:
        """Where `key`, or else its section, stands."""
        return self.places.get(key) or self.places.get(key.split(".", 1)[0], "")

    def put(self, key: str, value: Any, *, place: str, origin: str) -> None:
        """Add the value of a dotted key."""
        section, name = key.split(".", 1)
        self.values.setdefault(section, {})[name] = value
        self.places[key] = place
        self.places.setdefault(section, place)
        self.origins[key] = origin

    def written(self, key: str, value_toml: str) -> str:
        """How this source writes `key`: what a hint tells the user to write."""
        name = key.split(".", 1)[-1]
        bare = value_toml[1:-1] if value_toml.startswith('"') else value_toml
        if self.source is Source.FILE:
            return f"{name} = {value_toml}"
        if self.source is Source.ENVIRONMENT:
            return f"{ENVIRONMENT_PREFIX}{key.replace('.', '__')}".upper() + f"={shlex.quote(bare)}"
        if self.source is Source.FLAG and key in self.flags:
            return f"{self.flags[key]} {shlex.quote(bare)}"
        return f"-p {shlex.quote(f'{key}={bare}')}"


def file_layer(source: str) -> Layer:
    """The layer of one settings file, `-` for standard input.

    Raises:
        ConfigError: The file cannot be read or is not TOML.
    """
    file = read_toml(source, place=f"flag `-c {source}`")
    on_disk = Path(source) if source != STDIN and Path(source).is_file() else None
    layer = Layer(Source.FILE, values=file.data, folder=file.folder, file=on_disk)
    for section, table in file.data.items():
        layer.places[section] = file.place(section)
        for name in table if isinstance(table, dict) else ():
            layer.places[f"{section}.{name}"] = file.place(section, name)
            layer.origins[f"{section}.{name}"] = file.origin(section, name)
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The layer of the variables `SCALPCLI__SECTION__KEY`, in any case of letters."""
    layer = Layer(Source.ENVIRONMENT)
    for variable in sorted(environ):
        if not variable.upper().startswith(ENVIRONMENT_PREFIX):
            continue
        parts = variable[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        key = ".".join(parts)
        place = f"environment variable `{variable}`"
        if len(parts) != _KEY_PARTS or not all(parts):
            layer.problems.append(messages.unknown(key, place))
            continue
        layer.put(key, parse_value(key, environ[variable]), place=place, origin="environment")
    return layer


def override_layer(overrides: Sequence[str]) -> Layer:
    """The layer of `-p section.key=value`; of two for one key the later wins."""
    layer = Layer(Source.OVERRIDE)
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        place = f"flag `-p {key}`"
        if not equals or not key:
            layer.problems.append(messages.not_an_assignment(key, place))
        elif key.count(".") != _KEY_PARTS - 1:
            layer.problems.append(messages.unknown(key, place))
        else:
            layer.put(key, parse_value(key, text.strip()), place=place, origin="-p")
    return layer


def flag_layer(flags: Mapping[str, Any]) -> Layer:
    """The layer of named flags, dotted key -> value or `Flag`; a value of `None` was not given."""
    layer = Layer(Source.FLAG)
    for key, given in flags.items():
        flag = given if isinstance(given, Flag) else Flag("", given)
        if flag.value is None:
            continue
        if flag.name:
            layer.flags[key] = flag.name
        place = f"flag `{flag.name}`" if flag.name else "the command line"
        layer.put(key, flag.value, place=place, origin=flag.name or "flag")
    return layer


def parse_value(key: str, text: str) -> Any:
    """Text from a shell as a value: TOML where it is TOML and the setting wants no text, else itself."""
    setting = settings().get(key)
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A line break could smuggle in more than one value; such text is no value of TOML.
    if list(parsed) != ["value"]:
        return text
    value = parsed["value"]
    if setting is not None and setting.kind is str and not isinstance(value, str):
        return text
    return value
