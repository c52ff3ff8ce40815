"""Settings: flag over `-p` over environment over files over default.

Decides precedence and what `load` returns. The names, defaults and bounds stand in `model/params.py`;
`config_layers.py` reads the sources, `config_models.py` checks them, `config_rules.py` holds the rules
between settings. Only `cli` imports this module; everything else takes plain parameters.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalpcli.config_blackouts import read_blackouts
from scalpcli.config_fields import settings
from scalpcli.config_layers import Flag, Layer, Source, environment_layer, file_layer, flag_layer, override_layer
from scalpcli.config_rules import contradictions
from scalpcli.config_toml import STDIN
from scalpcli.errors import ConfigError
from scalpcli.model.params import Blackout, Params

__all__ = ["ConfigErrors", "Flag", "Loaded", "load"]


class ConfigErrors(ConfigError):
    """Everything that is wrong with the settings, told at once."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        first = problems[0]
        super().__init__(first.found, place=first.place, hint=first.hint)
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[object, ...]:
        return (ConfigErrors, (self.problems,))

    def render(self) -> str:
        """All messages, one after another."""
        return "\n\n".join(problem.render() for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Checked settings and where each one came from.

    Attributes:
        params: The settings.
        origin: `section.name` -> file and line, `environment`, `-p`, the flag, or `default`.
        blackouts: Windows of `gates.blackout_file`, by start.
        folders: Folder of the file that set a value; relative paths in it are relative to that folder.
        files: The file on disk that set a value; nothing where the environment, a flag or a pipe did.
    """

    params: Params
    origin: dict[str, str]
    blackouts: list[Blackout] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def path(self, key: str) -> Path | None:
        """The file that a setting names, relative to the settings file that named it; `None` when empty."""
        section, name = key.split(".")
        text: str = getattr(getattr(self.params, section), name)
        return self.folders.get(key, Path()) / text if text else None


def load(
    files: Sequence[str] | None = None,
    overrides: Sequence[str] | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read, check and merge settings.

    Args:
        files: TOML files, later ones win; `-` is standard input.
        overrides: `section.key=value` of each `-p`, later ones win.
        flags: Dotted key -> value of a named flag, or `Flag(name, value)` so that messages can name it;
            `None` values were not given.
        environ: The environment, the process's own by default.

    Raises:
        ConfigError: Anything is wrong in any source, overridden or not; all of it is told at once.
    """
    problems: list[ConfigError] = []
    layers = _file_layers(files or (), problems)
    layers.append(environment_layer(os.environ if environ is None else environ))
    layers.append(override_layer(overrides or ()))
    layers.append(flag_layer(flags or {}))
    params = _checked([layer for layer in layers if layer.values or layer.problems], problems)
    loaded = _located(params, layers)
    places = {key: layer.place(key) for layer in layers for key in layer.origins}
    for rule in contradictions(params):
        place = " and ".join(places[key] for key in rule.keys if key in places)
        problems.append(ConfigError(rule.found, place=place, hint=rule.hint))
    file = loaded.path("gates.blackout_file")
    blackouts = loaded.blackouts
    if file is not None and not problems:
        blackouts, problems = read_blackouts(str(file), place=places.get("gates.blackout_file", ""))
    _raise_all(problems)
    return dataclasses.replace(loaded, blackouts=blackouts)


def _file_layers(files: Sequence[str], problems: list[ConfigError]) -> list[Layer]:
    layers: list[Layer] = []
    for number, source in enumerate(files):
        if source == STDIN and STDIN in files[:number]:
            found = "standard input is named twice"
            problems.append(ConfigError(found, place="flag `-c -`", hint="it can be read once: give `-c -` once"))
            continue
        try:
            layers.append(file_layer(source))
        except ConfigError as error:
            problems.append(error)
    return layers


def _checked(layers: list[Layer], problems: list[ConfigError]) -> Params:
    """Settings of the layers, lowest first; raises when a layer, or anything before it, was wrong."""
    to_check = [layer for layer in layers if not _is_plain_text(layer)]
    params = Params()
    if to_check:
        # pydantic-settings takes 0.15 s to import, so a command without settings of its own does without.
        from scalpcli.config_models import merge, problems_of  # noqa: PLC0415

        for layer in to_check:
            problems += problems_of(layer)
        _raise_all(problems)
        params = merge(to_check)
    _raise_all(problems)
    for layer in layers:
        if layer not in to_check:
            changes = {
                section: dataclasses.replace(getattr(params, section), **layer.values[section])
                for section in layer.values
            }
            params = dataclasses.replace(params, **changes)
    return params


def _is_plain_text(layer: Layer) -> bool:
    """Whether a layer of flags gives only free text, like a folder, where nothing can be wrong."""
    if layer.source is not Source.FLAG:
        return False
    for section, values in layer.values.items():
        for name, value in values.items():
            setting = settings().get(f"{section}.{name}")
            if setting is None or setting.kind is not str or setting.bounds.choices or not isinstance(value, str):
                return False
    return True


def _located(params: Params, layers: Sequence[Layer]) -> Loaded:
    origin = dict.fromkeys(settings(), "default")
    folders: dict[str, Path] = {}
    files: dict[str, Path | None] = {}
    for layer in layers:
        origin.update(layer.origins)
        folders.update(dict.fromkeys(layer.origins, layer.folder or Path()))
        files.update(dict.fromkeys(layer.origins, layer.file))
    return Loaded(params, origin, [], folders, {key: file for key, file in files.items() if file is not None})


def _raise_all(problems: Sequence[ConfigError]) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigErrors(problems)
