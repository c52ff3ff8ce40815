"""What a wrong setting is told: found, limit, place, and what to write instead.

Decides words alone. Values of unknown names are never shown: a key pasted into the wrong place must not
reach a terminal or a log.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
import tomllib
from collections.abc import Callable
from typing import Any, Final

from scalpcli.config_fields import Setting, found_words, names_in, sections, settings, to_toml
from scalpcli.errors import ConfigError

Written = Callable[[str, str], str]
"""(dotted key, value in TOML) -> how its source writes it."""

_LIST_ALL: Final = "`scalpcli config show` lists every setting"
_SECRET_WORDS: Final = ("api_key", "secret", "token", "password", "key_id", "credential")
_TRUE_WORDS: Final = ("true", "yes", "on", "1")
_FALSE_WORDS: Final = ("false", "no", "off", "0")


def unknown(key: str, place: str) -> ConfigError:
    """An unknown section or setting, with the nearest right name."""
    section, _, name = key.partition(".")
    what = "setting" if name or section in _all_names() else "section"
    if section in sections() and not name:
        return ConfigError(
            f"`{section}` is a section, not a setting",
            place=place,
            hint=f"name one of its settings: `{section}.{names_in(section)[0]}`; {_LIST_ALL}",
        )
    return ConfigError(f"unknown {what} `{key}`", place=place, hint=_nearest_hint(section, name))


def _all_names() -> dict[str, list[str]]:
    """Setting name -> sections that have it."""
    names: dict[str, list[str]] = {}
    for setting in settings().values():
        names.setdefault(setting.name, []).append(setting.section)
    return names


def _nearest_hint(section: str, name: str) -> str:
    wanted = name or section
    if any(word in wanted.lower() for word in _SECRET_WORDS):
        return (
            "keys do not belong in settings: set ALPACA_API_KEY, ALPACA_SECRET_KEY or ORATS_TOKEN in the "
            "environment or in the file that SCALPCLI_SECRETS_FILE names"
        )
    homes = _all_names().get(wanted)
    if homes and section not in homes:
        return f"`{wanted}` belongs to [{homes[0]}]: write `{homes[0]}.{wanted}`, in a file under `[{homes[0]}]`"
    if section in sections() and (near := difflib.get_close_matches(name, names_in(section), n=1)):
        return _did_you_mean(settings()[f"{section}.{near[0]}"])
    if section not in sections() and (near := difflib.get_close_matches(section, list(sections()), n=1)):
        key = f"{near[0]}.{name}"
        return f"the nearest section is [{near[0]}]" + (f": write `{key}`" if key in settings() else f"; {_LIST_ALL}")
    if near := difflib.get_close_matches(wanted, list(_all_names()), n=1):
        return _did_you_mean(settings()[f"{_all_names()[near[0]][0]}.{near[0]}"])
    return _LIST_ALL


def _did_you_mean(setting: Setting) -> str:
    return f"the nearest is `{setting.key}`: {setting.bounds.help}"


def not_an_assignment(key: str, place: str) -> ConfigError:
    """A `-p` without a value."""
    setting = settings().get(key)
    example = f"-p {key}={to_toml(setting.default)}" if setting else "-p scalp.stop_loss_pct=12"
    found = f"`-p {key}` gives no value" if key else "`-p` names no setting"
    return ConfigError(found, place=place if key else "flag `-p`", hint=f"write `{example}`")


def not_a_section(section: str, found: Any, place: str) -> ConfigError:
    """A section that is given as one value."""
    name = names_in(section)[0]
    return ConfigError(
        f"`{section}` is {found_words(found)}, not a section",
        place=place,
        hint=f"write `[{section}]` and below it its settings, like `{name} = {to_toml(_default(section, name))}`",
    )


def _default(section: str, name: str) -> Any:
    return settings()[f"{section}.{name}"].default


def wrong_type(setting: Setting, found: Any, place: str, written: Written) -> ConfigError:
    """A value of another type than the setting's."""
    return ConfigError(
        f"{_is(setting, found)}, not {setting.kind_words}", place=place, hint=_write(setting, found, written)
    )


def wrong_element(setting: Setting, found: Any, place: str, written: Written) -> ConfigError:
    """An element of a list that is no whole number."""
    return ConfigError(
        f"`{setting.key}` holds {found_words(found)}, not only whole numbers",
        place=place,
        hint=_write(setting, found, written),
    )


def _is(setting: Setting, found: Any) -> str:
    """The head of a message: what the setting is, or, for a number of a list, what it holds."""
    if found == "":
        return f"`{setting.key}` is empty"
    verb = "holds" if setting.kind is tuple and isinstance(found, int | float) else "is"
    return f"`{setting.key}` {verb} {found_words(found)}"


def not_finite(setting: Setting, found: Any, place: str, written: Written) -> ConfigError:
    """`nan` or an infinity."""
    return ConfigError(f"{_is(setting, found)}, not a finite number", place=place, hint=_write(setting, found, written))


def out_of_bounds(setting: Setting, found: Any, relation: str, place: str, written: Written) -> ConfigError:
    """A number beyond a bound; `relation` is `above`, `below` or `not above` its limit."""
    bounds = setting.bounds
    limit = {"above": bounds.le, "below": bounds.ge, "not above": bounds.gt}[relation]
    shown = float(limit or 0) if setting.kind is float else int(limit or 0)
    # The same number form on both sides: `is 150.0, above its limit: 100.0`.
    value = float(found) if setting.kind is float else found
    return ConfigError(
        f"{_is(setting, value)}, {relation} its limit: {shown}", place=place, hint=_write(setting, None, written)
    )


def not_a_choice(setting: Setting, found: Any, place: str, written: Written) -> ConfigError:
    """A word outside the setting's list."""
    return ConfigError(
        f"{_is(setting, found)}, not {setting.limits_words()}", place=place, hint=_write(setting, found, written)
    )


def contradiction(found: str, place: str, hint: str) -> ConfigError:
    """Two settings that cannot both be meant."""
    return ConfigError(found, place=place, hint=hint)


def _write(setting: Setting, found: Any, written: Written) -> str:
    limits = setting.limits_words()
    words = setting.bounds.help + (f" ({limits})" if limits else "")
    return f"write `{written(setting.key, to_toml(suggest(setting, found)))}`: {words}"


def suggest(setting: Setting, found: Any) -> Any:
    """A right value near what was found, the default where nothing near is right."""
    if setting.kind is bool:
        word = str(found).lower()
        return True if word in _TRUE_WORDS else False if word in _FALSE_WORDS else setting.default
    if setting.bounds.choices:
        near = difflib.get_close_matches(str(found).lower(), setting.bounds.choices, n=1)
        return near[0] if near else setting.default
    if setting.kind is str:
        return str(found) if isinstance(found, dt.date | dt.time | int | float) else setting.default
    if setting.kind is tuple:
        return setting.default
    number = _number(found)
    if setting.kind is int and number is not None and number == int(number):
        number = int(number)
    return number if number is not None and _fits(setting, number) else setting.default


def _number(found: Any) -> float | None:
    """The number in `"20"`, `"20 %"` or `5.0`, if there is one."""
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        return found if math.isfinite(found) else None
    try:
        value = tomllib.loads(f"value = {str(found).strip().rstrip('%').strip()}").get("value")
    except tomllib.TOMLDecodeError:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else None


def _fits(setting: Setting, number: float) -> bool:
    bounds = setting.bounds
    return (
        (setting.kind is float or isinstance(number, int))
        and (bounds.ge is None or number >= bounds.ge)
        and (bounds.le is None or number <= bounds.le)
        and (bounds.gt is None or number > bounds.gt)
    )
