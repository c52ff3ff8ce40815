"""TOML in and out: reading a file with the line of every key, writing the commented example.

Decides where a value stands (file and line) and how the generated file looks. Leaves what a key means
to `config_fields.py`.
"""

from __future__ import annotations

import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli.config_fields import Setting, sections, settings, to_toml
from scalpcli.errors import ConfigError

BYTES_MAX: Final = 1 << 20
"""A settings file is refused above 1 MiB: it is not one."""
STATEMENT_LINES_MAX: Final = 200
"""Lines of one statement that are followed to number its keys; beyond, messages name the file alone."""
STDIN: Final = "-"
_POSITION: Final = re.compile(r"^(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_COMMENT_WIDTH: Final = 100

KeyPath = tuple[str | int, ...]
"""Where a key stands in a file: `("scalp", "stop_loss_pct")`, `("blackout", 0, "name")`."""


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed file: its name in messages, its folder, its content and the line of every key."""

    name: str
    folder: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def place(self, *path: str | int) -> str:
        """File and line of a key as messages show it; the nearest known parent where it has no line."""
        line = self._line(path)
        name = self.name if self.name == _STDIN_NAME else f"`{self.name}`"
        return f"{name}, line {line}" if line else name

    def origin(self, *path: str | int) -> str:
        """File and line of a key, plain."""
        return self.place(*path).replace("`", "")

    def _line(self, path: KeyPath) -> int | None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


_STDIN_NAME: Final = "standard input"


def read_toml(source: str, *, place: str = "") -> TomlFile:
    """Read and parse a TOML file, `-` for standard input.

    Args:
        source: Path of the file.
        place: What named the file, for the message when it cannot be read.

    Raises:
        ConfigError: The file is missing, too large, not text, or not TOML.
    """
    name = _STDIN_NAME if source == STDIN else source
    text = _decode(name, _read_bytes(source, place))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(name, text, error) from None
    folder = Path.cwd() if source == STDIN else Path(source).parent
    return TomlFile(name, folder, data, number_lines(text))


def _read_bytes(source: str, place: str) -> bytes:
    if source == STDIN:
        content = sys.stdin.buffer.read(BYTES_MAX + 1)
    else:
        try:
            with Path(source).open("rb") as file:
                content = file.read(BYTES_MAX + 1)
        except OSError as error:
            raise ConfigError(
                f"cannot read `{source}`: {(error.strerror or str(error)).lower()}",
                place=place,
                hint="name a TOML file that exists; `scalpcli config init` writes one",
            ) from None
    if len(content) > BYTES_MAX:
        raise ConfigError(
            f"`{source}` is larger than its limit: {BYTES_MAX:,} bytes",
            place=place,
            hint="settings are a short TOML file; `scalpcli config init` writes one",
        )
    return content


def _decode(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"byte {error.start} is not UTF-8 text",
            place=f"`{name}`, line {line}",
            hint="settings are a TOML file saved as UTF-8",
        ) from None


def _syntax_error(name: str, text: str, error: tomllib.TOMLDecodeError) -> ConfigError:
    match = _POSITION.match(str(error))
    what, line = (match["what"], match["line"]) if match else (str(error), None)
    number = int(line) if line else max(1, len(text.rstrip("\n").split("\n")))
    return ConfigError(
        f"not TOML: {what[:1].lower()}{what[1:]}",
        place=f"`{name}`, line {number}" if name != _STDIN_NAME else f"{name}, line {number}",
        hint="write `[section]`, then `name = value`: numbers bare, text in quotes, true and false in small letters",
    )


def number_lines(text: str) -> dict[KeyPath, int]:
    """First line of every section and key of a valid TOML text, 1-based.

    A statement is the shortest run of lines that parses by itself, so the parser itself decides where
    strings, arrays and comments end. Elements of `[[array]]` are numbered: `("blackout", 0, "name")`.
    """
    lines: dict[KeyPath, int] = {}
    prefix: KeyPath = ()
    elements: dict[KeyPath, int] = {}
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            if number - start >= STATEMENT_LINES_MAX:
                break
            continue
        if statement.lstrip().startswith("["):
            prefix = _header_path(parsed, elements)
            for length in range(1, len(prefix) + 1):
                lines.setdefault(prefix[:length], start)
        else:
            _number_keys(parsed, prefix, start, lines)
        statement, start = "", number + 1
    return lines


def _header_path(parsed: dict[str, Any], elements: dict[KeyPath, int]) -> KeyPath:
    """Path that a `[table]` or `[[array]]` header opens; counts the elements of arrays."""
    path: KeyPath = ()
    node: Any = parsed
    while isinstance(node, dict) and node:
        name, node = next(iter(node.items()))
        path = (*path, name)
    if isinstance(node, list):
        index = elements.get(path, 0)
        elements[path] = index + 1
        path = (*path, index)
    return path


def _number_keys(value: Any, path: KeyPath, line: int, lines: dict[KeyPath, int]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            lines.setdefault((*path, name), line)
            _number_keys(item, (*path, name), line, lines)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                _number_keys(item, (*path, index), line, lines)


def example_text() -> str:
    """The commented file of `config init` and `config.example.toml`: every setting at its default."""
    parts = [_EXAMPLE_HEAD]
    for section, cls in sections().items():
        title = (cls.__doc__ or "").split(": ", 1)[-1].split(".", 1)[0]
        parts.append(f"\n[{section}]\n{_comment(_capital(title))}")
        parts.extend(_example_setting(setting) for setting in settings().values() if setting.section == section)
    return "".join(parts)


_EXAMPLE_HEAD: Final = """\
# Settings of scalpcli, every one at its default. Keep what you change and delete the rest, then
# pass the file with `-c FILE`; several files may be given, later ones win, and `-` reads standard
# input. Above files stand environment variables (SCALPCLI__SCALP__STOP_LOSS_PCT=12), above those
# `-p scalp.stop_loss_pct=12`, above those the named flags of a command.
# A name that ends in _pct is a percent: 5.0 is five percent. Check with `scalpcli config check -c FILE`.
"""


def _example_setting(setting: Setting) -> str:
    limits = setting.limits_words()
    words = f"{setting.bounds.help} ({limits})" if limits else setting.bounds.help
    return f"\n{_comment(_capital(words))}{setting.name} = {to_toml(setting.default)}\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, _COMMENT_WIDTH - 2, break_on_hyphens=False))
