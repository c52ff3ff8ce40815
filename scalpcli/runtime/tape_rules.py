"""What a row of a tape must be, checked when it is written, read and verified.

Decides which rows are refused. A crossed or locked quote is not refused: markets do cross, the tape's
quality counts it and gates wait it out. Leaves files to `tape.py` and meaning to the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.row import (
    CHANNELS_ALL,
    COLD,
    COLUMNS,
    GAP,
    GAP_BEGIN,
    GAP_END,
    HALT_BEGIN,
    HALT_END,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    PRICE_ONLY,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
    UNDERLYING_ID,
)
from scalpcli.units import NS_PER_DAY

Columns = Mapping[str, NDArray[Any]]

_KIND_MAX: Final = max(KIND_NAMES)
_IS_STOCK: Final = np.isin(np.arange(_KIND_MAX + 1), (STOCK_TRADE, STOCK_QUOTE, PRICE_ONLY))
_IS_OPTION: Final = np.isin(np.arange(_KIND_MAX + 1), (OPTION_TRADE, OPTION_QUOTE))
_IS_QUOTE: Final = np.isin(np.arange(_KIND_MAX + 1), (STOCK_QUOTE, OPTION_QUOTE))
_HAS_PRICE: Final = np.isin(np.arange(_KIND_MAX + 1), (STOCK_TRADE, OPTION_TRADE, PRICE_ONLY))
_HALTS: Final = HALT_BEGIN | HALT_END
_GAPS: Final = GAP_BEGIN | GAP_END
_SIZES: Final = ("size", "ask_size")
_PRICES: Final = ("price_e4", "ask_e4")
_CODES: Final = {"conditions": "conditions", "exchange": "exchanges", "ask_exchange": "exchanges"}
# A correction may name an old print, but what is received belongs to the session. Other units lie decades away.
_DAYS_FROM_SESSION_MAX: Final = {"ts_recv_ns": 7, "ts_event_ns": 366}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tape's rows may refer to.

    Args:
        instruments: Instruments of the tape, the underlying among them.
        conditions: Texts of condition codes, the empty one among them.
        exchanges: Texts of exchange codes, the empty one among them.
        open_ns: Open of the tape's session; time stamps lie near it.
    """

    instruments: int
    conditions: int
    exchanges: int
    open_ns: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that breaks a rule: its 0-based number in the block, the rule's name, and what was found."""

    row: int
    rule: str
    found: str


def first_fault(columns: Columns, previous_ns: int, limits: Limits) -> Fault | None:
    """The first rule a block breaks, in the order rules are checked.

    Args:
        columns: Every column of the tape.
        previous_ns: `ts_recv_ns` of the row before the block; 0 when there is none.
        limits: What rows may refer to.
    """
    return next(_faults(columns, previous_ns, limits), None)


def faults_of_every_rule(columns: Columns, previous_ns: int, limits: Limits) -> list[Fault]:
    """The first row that breaks each rule: at most one fault a rule."""
    return list(_faults(columns, previous_ns, limits))


def first_unsafe(columns: Columns, previous_ns: int, instruments: int) -> Fault | None:
    """The rules that the engine relies on, at little cost: 2 ns a row for the columns it reads.

    A row that broke one would send the compiled kernel outside its arrays or back in time.

    Args:
        columns: Columns of one block; rules for absent columns are left out.
        previous_ns: `ts_recv_ns` of the row before the block; 0 when there is none.
        instruments: Instruments of the tape.
    """
    ts_recv_ns = columns.get("ts_recv_ns")
    if ts_recv_ns is not None and (fault := _unsorted(ts_recv_ns, previous_ns)):
        return fault
    kind = columns.get("kind")
    if kind is not None and (kind.min() < 1 or kind.max() > _KIND_MAX):
        return next(_kind_faults(kind), None)
    for name in (*_PRICES, *_SIZES, "exchange"):
        values = columns.get(name)
        if values is not None and values.min() < 0:
            return next(_negative(columns, (name,)), None)
    instrument_id = columns.get("instrument_id")
    if instrument_id is not None and (instrument_id.min() < 0 or instrument_id.max() >= instruments):
        return next(_unknown_instrument(instrument_id, instruments), None)
    if kind is not None and "price_e4" in columns and columns["price_e4"].min() == 0:
        return next(_trade_without_price(kind, columns["price_e4"]), None)
    return None


def _faults(columns: Columns, previous_ns: int, limits: Limits) -> Iterator[Fault]:
    if not len(columns["kind"]):
        return
    if fault := _unsorted(columns["ts_recv_ns"], previous_ns):
        yield fault
    yield from _wrong_unit(columns, limits.open_ns)
    unknown_kind = list(_kind_faults(columns["kind"]))
    yield from unknown_kind
    yield from _negative(columns, (*_PRICES, *_SIZES))
    yield from _unknown_instrument(columns["instrument_id"], limits.instruments)
    yield from _unknown_codes(columns, limits)
    # Rules below look a kind up in a table; an unknown one has no place in it.
    if not unknown_kind:
        yield from _trade_without_price(columns["kind"], columns["price_e4"])
        yield from _kind_and_instrument(columns)
        yield from _sides(columns)
        yield from _rare_kinds(columns)


def _first(mask: NDArray[np.bool_]) -> int | None:
    index = int(mask.argmax())
    return index if mask[index] else None


def _unsorted(ts_recv_ns: NDArray[Any], previous_ns: int) -> Fault | None:
    if ts_recv_ns[0] < previous_ns:
        return Fault(0, "sorted", f"`ts_recv_ns` falls from {previous_ns} to {ts_recv_ns[0]}; it never may")
    index = _first(ts_recv_ns[1:] < ts_recv_ns[:-1]) if len(ts_recv_ns) > 1 else None
    if index is None:
        return None
    return Fault(
        index + 1, "sorted", f"`ts_recv_ns` falls from {ts_recv_ns[index]} to {ts_recv_ns[index + 1]}; it never may"
    )


def _wrong_unit(columns: Columns, open_ns: int) -> Iterator[Fault]:
    for name, days in _DAYS_FROM_SESSION_MAX.items():
        away = columns[name] - open_ns
        index = _first((away > days * NS_PER_DAY) | (away < -days * NS_PER_DAY))
        if index is not None:
            found = f"`{name}` {columns[name][index]} lies more than {days} days from the session"
            yield Fault(index, f"time {name}", f"{found}; it counts UTC nanoseconds")


def _kind_faults(kind: NDArray[Any]) -> Iterator[Fault]:
    index = _first((kind < 1) | (kind > _KIND_MAX))
    if index is not None:
        yield Fault(index, "kind", f"kind {kind[index]} is unknown; kinds are 1 to {_KIND_MAX}")


def _negative(columns: Columns, names: tuple[str, ...]) -> Iterator[Fault]:
    for name in names:
        index = _first(columns[name] < 0)
        if index is not None:
            yield Fault(index, f"negative {name}", f"`{name}` is {columns[name][index]}, below its limit: 0")


def _unknown_instrument(instrument_id: NDArray[Any], instruments: int) -> Iterator[Fault]:
    index = _first((instrument_id < 0) | (instrument_id >= instruments))
    if index is not None:
        yield Fault(
            index,
            "instrument",
            f"`instrument_id` {instrument_id[index]} is unknown; the tape has 0 to {instruments - 1}",
        )


def _unknown_codes(columns: Columns, limits: Limits) -> Iterator[Fault]:
    for name, dictionary in _CODES.items():
        known = getattr(limits, dictionary)
        index = _first((columns[name] < 0) | (columns[name] >= known))
        if index is not None:
            yield Fault(
                index,
                f"code {name}",
                f"`{name}` has code {columns[name][index]}; the dictionary `{dictionary}` ends at {known - 1}",
            )


def _trade_without_price(kind: NDArray[Any], price_e4: NDArray[Any]) -> Iterator[Fault]:
    index = _first(_HAS_PRICE[kind] & (price_e4 <= 0))
    if index is not None:
        yield Fault(index, "price", f"{KIND_NAMES[int(kind[index])]} has price {price_e4[index]}; a price is above 0")


def _kind_and_instrument(columns: Columns) -> Iterator[Fault]:
    kind, instrument_id = columns["kind"], columns["instrument_id"]
    is_underlying = instrument_id == UNDERLYING_ID
    index = _first(_IS_STOCK[kind] & ~is_underlying)
    if index is not None:
        yield Fault(
            index,
            "underlying",
            f"{KIND_NAMES[int(kind[index])]} names contract {instrument_id[index]}, not the underlying",
        )
    index = _first(_IS_OPTION[kind] & is_underlying)
    if index is not None:
        yield Fault(index, "contract", f"{KIND_NAMES[int(kind[index])]} names the underlying, not a contract")


def _sides(columns: Columns) -> Iterator[Fault]:
    is_quote = _IS_QUOTE[columns["kind"]]
    for price, size in zip(_PRICES, _SIZES, strict=True):
        index = _first(is_quote & (columns[price] == 0) & (columns[size] != 0))
        if index is not None:
            yield Fault(
                index,
                f"side {size}",
                f"`{size}` is {columns[size][index]} where `{price}` is 0; an absent side has size 0",
            )


def _rare_kinds(columns: Columns) -> Iterator[Fault]:
    rare = np.flatnonzero(columns["kind"] >= STATUS)
    kind, flags, size = (columns[name][rare] for name in ("kind", "flags", "size"))
    halts, gaps = flags & _HALTS, flags & _GAPS
    rules = (
        (
            (kind == STATUS) & ((halts == 0) | (halts == _HALTS)),
            "status has neither or both of halt_begin and halt_end",
        ),
        ((kind == GAP) & (gaps == 0), "gap has neither of gap_begin and gap_end"),
        ((kind == GAP) & ((size < 1) | (size > CHANNELS_ALL)), f"gap names no channels; `size` is 1 to {CHANNELS_ALL}"),
        (
            (kind == GAP) & (columns["ts_event_ns"][rare] > columns["ts_recv_ns"][rare]),
            "gap begins (`ts_event_ns`) after it was learned of (`ts_recv_ns`)",
        ),
        ((kind == COLD) & (columns["trade_id"][rare] != 0), "cold row has a `trade_id`; it is 0"),
    )
    for broken, found in rules:
        index = _first(broken) if len(broken) else None
        if index is not None:
            yield Fault(int(rare[index]), found, found)


def as_tape_types(columns: Columns) -> tuple[dict[str, NDArray[Any]], str]:
    """The columns as contiguous arrays of the tape's types, and what is wrong with them.

    A value that does not fit is never wrapped or rounded silently.

    Returns:
        The arrays and "", or an incomplete dictionary and what was found.
    """
    names = set(columns)
    if names != set(COLUMNS):
        wrong = sorted(set(COLUMNS) - names) or sorted(names - set(COLUMNS))
        return {}, f"the block {'misses' if set(COLUMNS) - names else 'has an unknown'} column `{wrong[0]}`"
    result: dict[str, NDArray[Any]] = {}
    rows = len(columns["kind"])
    for name, kind in COLUMNS.items():
        values = np.asarray(columns[name])
        if values.shape != (rows,):
            return {}, f"`{name}` has shape {values.shape}, `kind` has {(rows,)}"
        if values.dtype != kind and rows:
            if values.dtype.kind not in "iu":
                return {}, f"`{name}` holds {values.dtype}, not whole numbers"
            bounds = np.iinfo(kind)
            lowest, highest = int(values.min()), int(values.max())
            if lowest < bounds.min or highest > bounds.max:
                worst = lowest if lowest < bounds.min else highest
                return {}, f"`{name}` holds {worst}, outside {bounds.min} to {bounds.max} of its type {kind}"
        result[name] = np.ascontiguousarray(values, kind)
    return result, ""
