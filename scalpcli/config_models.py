"""The pydantic models of the settings, made from the dataclasses of `model/params.py`.

Decides what a layer may hold: known names, exact types, finite numbers, bounds, choices. Types are
strict (a text is no number, a boolean no whole number; a whole number may stand for a number). Words
for what is wrong come from `config_messages.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from scalpcli import config_messages as messages
from scalpcli.config_fields import Setting, sections, settings
from scalpcli.config_layers import Layer
from scalpcli.errors import ConfigError
from scalpcli.model.params import Params


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class _LayerSource(PydanticBaseSettingsSource):
    """One layer as a source of pydantic-settings, whole and as it is."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._values = layer.values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The section `field_name` of the layer."""
        del field
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        # Also what no field asks for: unknown sections must reach the check.
        return self._values


class _Settings(BaseSettings):
    """Settings read from `layers`, lowest first, and from nowhere else."""

    model_config = SettingsConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The layers handed in, highest first, as pydantic-settings orders its sources."""
        del env_settings, dotenv_settings, file_secret_settings
        layers: Sequence[Layer] = init_settings().get("layers", ())
        return tuple(_LayerSource(settings_cls, layer) for layer in reversed(layers))


@functools.cache
def _settings_model() -> type[_Settings]:
    fields: dict[str, Any] = {}
    for section in sections():
        members = {
            setting.name: (_annotation(setting), setting.default)
            for setting in settings().values()
            if setting.section == section
        }
        model = create_model(f"{section.title()}Section", __base__=_Section, **members)  # type: ignore[call-overload]
        fields[section] = (model, Field(default_factory=model))
    created: type[_Settings] = create_model("Settings", __base__=_Settings, **fields)
    return created


def _annotation(setting: Setting) -> Any:
    bounds = setting.bounds
    if bounds.choices:
        return Literal[bounds.choices]
    if setting.kind is tuple:
        element = Annotated[int, Field(strict=True, ge=bounds.ge, le=bounds.le, gt=bounds.gt)]
        # TOML has lists and no tuples: the container is converted, its elements are not.
        return Annotated[tuple[element, ...], Field(strict=False)]
    if setting.kind in (int, float):
        return Annotated[setting.kind, Field(ge=bounds.ge, le=bounds.le, gt=bounds.gt)]
    return setting.kind


def problems_of(layer: Layer) -> list[ConfigError]:
    """Everything that is wrong in one layer, in the order it was written."""
    problems = list(layer.problems)
    try:
        _settings_model()(layers=[layer])  # type: ignore[call-arg]
    except ValidationError as error:
        found = sorted(error.errors(include_url=False), key=lambda each: _position(layer, each["loc"]))
        problems += [_explain(dict(each), layer) for each in found]
    return problems


def _position(layer: Layer, path: Sequence[int | str]) -> tuple[int, ...]:
    """Where a value stands in its source: users mend a file from top to bottom."""
    position, node = [], layer.values
    for part in path:
        if not isinstance(node, dict) or part not in node:
            break
        position.append(list(node).index(str(part)))
        node = node[str(part)]
    return tuple(position)


def merge(layers: Sequence[Layer]) -> Params:
    """Settings of checked layers, lowest first; a setting that no layer names has its default."""
    merged = _settings_model()(layers=layers)  # type: ignore[call-arg]
    return Params(**{name: cls(**getattr(merged, name).model_dump()) for name, cls in sections().items()})


def _explain(error: dict[str, Any], layer: Layer) -> ConfigError:
    section, *rest = (str(part) for part in error["loc"])
    key = ".".join([section, *rest[:1]])
    kind, found, place = error["type"], error["input"], layer.place(key)
    if kind == "extra_forbidden":
        return messages.unknown(key, place)
    if not rest:
        return messages.not_a_section(section, found, place)
    setting = settings()[key]
    if relation := _RELATIONS.get(kind):
        return messages.out_of_bounds(setting, found, relation, place, layer.written)
    if kind == "finite_number":
        return messages.not_finite(setting, found, place, layer.written)
    if kind == "literal_error" and isinstance(found, str):
        return messages.not_a_choice(setting, found, place, layer.written)
    is_element = len(rest) > 1
    return (messages.wrong_element if is_element else messages.wrong_type)(setting, found, place, layer.written)


_RELATIONS = {"less_than_equal": "above", "greater_than_equal": "below", "greater_than": "not above"}
