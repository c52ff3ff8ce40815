"""Keys of accounts: from the environment, or from a file that only its owner can read.

Decides where a key may stand and keeps its value out of every message. Keys never stand in settings.
"""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import CredentialsError

SECRETS_FILE_VARIABLE: Final = "SCALPCLI_SECRETS_FILE"
DEFAULT_SECRETS_FILE: Final = "~/.config/scalpcli/secrets.toml"
SECRET_NAMES: Final = {
    "ALPACA_API_KEY": ("ALPACA_API_KEY", "APCA_API_KEY_ID"),
    "ALPACA_SECRET_KEY": ("ALPACA_SECRET_KEY", "APCA_API_SECRET_KEY"),
    "ORATS_TOKEN": ("ORATS_TOKEN",),
}
"""Secret -> the names it is looked up under, the first that is set counts."""

_BYTES_MAX: Final = 1 << 16
_REDACTED: Final = "***"
_REDACT_CHARACTERS_MIN: Final = 4
"""A shorter value is no key, and replacing it would garble the text."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A key and where it was found; its value shows in no text of this object."""

    name: str
    value: str = field(repr=False)
    origin: str


def read_secrets(environ: Mapping[str, str]) -> dict[str, Secret]:
    """The keys that are set, by name; the environment comes before the file.

    Args:
        environ: The environment; its `SCALPCLI_SECRETS_FILE` names the file.

    Raises:
        CredentialsError: The file is named and missing, readable by others, or holds anything but keys.
    """
    in_file = _read_file(environ)
    secrets = {}
    for name, names in SECRET_NAMES.items():
        for origin, source in (("environment", environ), *in_file):
            given = next((each for each in names if source.get(each)), None)
            if given is not None:
                secrets[name] = Secret(name, source[given], f"{origin} {given}")
                break
    return secrets


def redact(text: str, environ: Mapping[str, str]) -> str:
    """`text` with the value of every known key replaced by `***`; never fails."""
    try:
        sources = [environ, *(values for _, values in _read_file(environ))]
    except CredentialsError:
        sources = [environ]
    values = {source.get(name, "") for source in sources for names in SECRET_NAMES.values() for name in names}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _REDACT_CHARACTERS_MIN:
            text = text.replace(value, _REDACTED)
    return text


def _read_file(environ: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
    """Origin and content of the secrets file: one element, or none where there is no file."""
    named = environ.get(SECRETS_FILE_VARIABLE, "")
    path = Path(named or DEFAULT_SECRETS_FILE).expanduser()
    place = f"`{path}`"
    hint = f"keep it to its owner: `chmod 600 {path}`"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        if not named:
            return []
        raise CredentialsError(
            f"`{SECRETS_FILE_VARIABLE}` names a file that does not exist",
            place=place,
            hint="name the TOML file with your keys, or unset the variable",
        ) from None
    except OSError as error:
        found = f"the secrets file cannot be read: {(error.strerror or str(error)).lower()}"
        raise CredentialsError(found, place=place, hint=hint) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        found = f"the secrets file has mode {stat.S_IMODE(mode):04o}, its limit is 0600: others can read it"
        raise CredentialsError(found, place=place, hint=hint)
    return [(f"file {path}", _checked(content, place))]


def _checked(content: bytes, place: str) -> dict[str, str]:
    """The keys in a secrets file; messages name keys and never show values."""
    hint = 'write one key a line: `ALPACA_API_KEY = "…"`'
    names = [name for group in SECRET_NAMES.values() for name in group]
    try:
        data: dict[str, Any] = tomllib.loads(content[:_BYTES_MAX].decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's own words may quote the line, so they are left out.
        raise CredentialsError("the secrets file is not TOML", place=place, hint=hint) from None
    for name, value in data.items():
        if name not in names:
            near = difflib.get_close_matches(name.upper(), names, n=1)
            found = f"unknown key `{name}` in the secrets file"
            raise CredentialsError(found, place=place, hint=f"the nearest is `{near[0]}`" if near else hint)
        if not isinstance(value, str):
            raise CredentialsError(f"`{name}` is not text in quotes", place=place, hint=hint)
    return data
