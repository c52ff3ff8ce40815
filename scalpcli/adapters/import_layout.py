"""Which column of a file means what: roles, fields, profiles and `--map`.

Decides the names under which an importer looks for a field and what a user may write to name another.
Leaves reading and checking values to `import_read`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError, UsageError


class Role(StrEnum):
    """What the rows of a file are."""

    TRADES = "trades"
    QUOTES = "quotes"
    OPTION_TRADES = "option_trades"
    OPTION_QUOTES = "option_quotes"
    OPEN_INTEREST = "open_interest"
    CHAIN = "chain"

    @property
    def flag(self) -> str:
        """The flag of `tape import` that hands in such a file."""
        return "--" + self.value.replace("_", "-")

    @property
    def is_option(self) -> bool:
        """Whether every row names a contract."""
        return self not in (Role.TRADES, Role.QUOTES)


class Profile(StrEnum):
    """How the times of a file are meant."""

    TICKS = "ticks"
    """One row is one event, `ts` its time."""
    BARS = "bars"
    """One row is one bar, `ts` its end: the first moment the row may be known."""
    CHAIN = "chain"
    """One row is one contract of a snapshot, `ts` the time of the book."""


class Unit(StrEnum):
    """How a time is written."""

    AUTO = "auto"
    """Whole numbers are UTC nanoseconds, other text is ISO 8601 (UTC where it names no zone)."""
    NS = "ns"
    US = "us"
    MS = "ms"
    S = "s"
    ISO = "iso"


UNIT_NS: Final = {Unit.NS: 1, Unit.US: 1_000, Unit.MS: 1_000_000, Unit.S: 1_000_000_000}
_TIME_FIELDS: Final = ("ts", "ts_recv", "bar_start")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a role: the column names it goes by, first found first taken."""

    names: tuple[str, ...]
    required: bool = False


def _required(*names: str) -> Field:
    return Field(names, required=True)


_RECEIVED: Final = {"ts_recv": Field(("ts_recv", "ts_recv_ns"))}
_PRINT: Final = {
    "price": _required("price"),
    "size": _required("size"),
    # The list of all conditions goes before the one the vendor thought most important.
    "conditions": Field(("conditions", "ext_conditions", "condition")),
    "correction": Field(("correction",)),
    "exchange": Field(("exchange",)),
    "trade_id": Field(("trade_id", "sequence")),
}
_BOOK: Final = {
    "bid": _required("bid"),
    "ask": _required("ask"),
    "bid_size": _required("bid_size"),
    "ask_size": _required("ask_size"),
    "bid_exchange": Field(("bid_exchange", "bid_publisher", "exchange")),
    "ask_exchange": Field(("ask_exchange", "ask_publisher", "exchange")),
}
_SYMBOL: Final = {"symbol": Field(("symbol",))}
_CONTRACT: Final = {"symbol": _required("symbol"), "multiplier": Field(("multiplier",))}
_TIME: Final = {"ts": _required("ts"), "bar_start": Field(("ts_bar_start",))}
# A print that carries the quote it met has two times; the quote's is its own.
_QUOTE_TIME: Final = {"ts": _required("ts_quote", "ts"), "bar_start": Field(("ts_bar_start",))}
_OPTIONAL_EXCHANGES: Final = {
    "bid_exchange": Field(("bid_exchange",)),
    "ask_exchange": Field(("ask_exchange",)),
}

FIELDS: Final[Mapping[Role, Mapping[str, Field]]] = {
    Role.TRADES: _TIME | _RECEIVED | _SYMBOL | _PRINT,
    Role.QUOTES: _QUOTE_TIME | _RECEIVED | _SYMBOL | _BOOK,
    Role.OPTION_TRADES: _TIME | _RECEIVED | _CONTRACT | _PRINT,
    Role.OPTION_QUOTES: _QUOTE_TIME | _RECEIVED | _CONTRACT | _BOOK,
    Role.OPEN_INTEREST: {"ts": Field(("ts",)), "open_interest": _required("open_interest")} | _RECEIVED | _CONTRACT,
    Role.CHAIN: {"ts": _required("ts")}
    | _RECEIVED
    | _CONTRACT
    | _BOOK
    | _OPTIONAL_EXCHANGES
    | {
        "volume": Field(("volume",)),
        "open_interest": Field(("open_interest",)),
        "last": Field(("last", "last_price")),
        "spot": Field(("spot", "underlying_price")),
        "underlying_bid": Field(("underlying_bid",)),
        "underlying_ask": Field(("underlying_ask",)),
        "iv": Field(("iv",)),
        "delta": Field(("delta",)),
        "gamma": Field(("gamma",)),
        "theta": Field(("theta",)),
        "vega": Field(("vega",)),
    },
}
"""Role -> field -> the names its column goes by."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file and, for a time, how it is written."""

    name: str
    unit: Unit = Unit.AUTO


Maps = Mapping[tuple[str, str], Column]
"""(role or "" for every role, field) -> column, as the user wrote them."""


def parse_maps(texts: Sequence[str]) -> Maps:
    """The columns a user names with `--map`: `trades.price=px`, `ts=time:ms` (every role), or a TOML file of these.

    Raises:
        UsageError: no such role, field or unit.
        DataError: the file is absent or no TOML.
    """
    maps: dict[tuple[str, str], Column] = {}
    for text in texts:
        pairs = [text.split("=", 1)] if "=" in text else _read_map(Path(text))
        for key, column in pairs:
            role, field = _check_key(key.strip())
            maps[role, field] = _parse_column(field, column.strip(), key)
    return maps


def _read_map(path: Path) -> list[list[str]]:
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as reason:
        raise DataError(
            f"the map cannot be read: {reason}", place=f"`{path}`", hint="`--map` takes KEY=COLUMN or a TOML file"
        ) from None
    except tomllib.TOMLDecodeError as reason:
        raise DataError(f"the map is not TOML: {reason}", place=f"`{path}`", hint='write `price = "px"`') from None
    pairs: list[list[str]] = []
    for key, value in tree.items():
        inner = (
            {f"{key}.{field}": column for field, column in value.items()} if isinstance(value, dict) else {key: value}
        )
        pairs.extend([name, str(column)] for name, column in inner.items())
    return pairs


def _check_key(key: str) -> tuple[str, str]:
    role, _, field = key.rpartition(".")
    roles = [member.value for member in Role]
    if role and role not in roles:
        nearest = difflib.get_close_matches(role, roles, 1) or roles
        raise UsageError(f"`--map {key}`: no kind of file is called `{role}`", hint=f"write `{nearest[0]}.{field}=...`")
    fields = sorted({name for member in Role if role in ("", member) for name in FIELDS[member]})
    if field not in fields:
        nearest = difflib.get_close_matches(field, fields, 1)
        hint = f"did you mean `{nearest[0]}`?" if nearest else f"fields: {', '.join(fields)}"
        raise UsageError(f"`--map {key}`: no field is called `{field}`", hint=hint)
    return role, field


def _parse_column(field: str, text: str, key: str) -> Column:
    name, colon, unit = text.rpartition(":")
    if field not in _TIME_FIELDS or not colon:
        return Column(text)
    if unit not in tuple(Unit):
        raise UsageError(
            f"`--map {key}={text}`: a time cannot be written in `{unit}`",
            hint=f"write `{key}={name}:ms`; units: {', '.join(Unit)}",
        )
    return Column(name, Unit(unit))


def resolve_columns(role: Role, found: Sequence[str], maps: Maps, file: str) -> dict[str, Column]:
    """The column of every field that a file has.

    Args:
        role: What the file's rows are.
        found: Names of its columns.
        maps: What the user named.
        file: Name of the file, for messages.

    Raises:
        DataError: a required field has no column, or the user named one that the file lacks.
    """
    columns: dict[str, Column] = {}
    missing: list[str] = []
    for name, field in FIELDS[role].items():
        told = maps.get((role, name)) or maps.get(("", name))
        if told is not None and told.name in found:
            columns[name] = told
            continue
        if told is not None and (role, name) in maps:
            raise DataError(
                f"`--map {role}.{name}={told.name}` names a column that the file lacks",
                place=f"`{file}`",
                hint=f"its columns: {', '.join(found)}",
            )
        known = next((alias for alias in field.names if alias in found), None)
        if known is not None:
            columns[name] = Column(known)
        elif field.required:
            missing.append(name)
    if missing:
        raise DataError(
            f"no column for {', '.join(f'`{name}`' for name in missing)}, which {role.flag} needs",
            place=f"`{file}`",
            hint=f"its columns: {', '.join(found)}; name the right one with `--map {role}.{missing[0]}=COLUMN`",
        )
    return columns
