"""What a print may move: the tables of sale conditions.

Decides, for every condition code, whether a print may set the last price, move high and low, and enter
VWAP and volume, and what kind of print it is (sweep order, late, auction, one leg of several). A print
with several codes may move only what every one of them allows. A code that no table knows allows nothing
and is marked `UNKNOWN_CONDITION`, so that the tape's quality can count it.
Leaves spelling of files to the importers and counting to the tape.

Sources: stocks, definitions section 2 (after the glossary of the CTA and UTP plans). Options, message types
of OPRA's recipient specification: those in use since 2019 (A to J, S, a to v) and the retired ones before
them (K to R, T, X). ThetaData, its published table of trade conditions. All as known in August 2026. On CTA
tapes (A and B) the plan's `B` is an average price; the definitions read it as UTP does, bunched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from scalpcli.model.row import (
    AUCTION,
    CANCELLED,
    CORRECTED,
    ISO,
    LAST,
    LATE,
    MULTI_LEG,
    RANGE,
    UNKNOWN_CONDITION,
    VOLUME,
    VWAP,
)

ELIGIBLE: Final = LAST | RANGE | VWAP | VOLUME
"""The four rights; a print without conditions has them all."""
_NOT_LAST: Final = RANGE | VWAP | VOLUME
_RANGE_VOLUME: Final = RANGE | VOLUME
_VWAP_VOLUME: Final = VWAP | VOLUME

Table = Mapping[str, int]


class ConditionEncoding(StrEnum):
    """How a file spells the conditions of a print."""

    SIP = "sip"
    """Letters of the CTA and UTP plans in one text, blanks between them or not: `FTI`, `F I`."""
    ALGOSEEK = "algoseek"
    """A hexadecimal bit field: `20000020`."""
    OPRA = "opra"
    """Letters of OPRA: `I`, `f`."""
    THETADATA = "thetadata"
    """Numbers of ThetaData, with commas between them: `32,95,115`. Stocks."""
    THETADATA_OPTIONS = "thetadata-options"
    """Numbers of ThetaData for options: `18`, `130`."""


def _table(*groups: tuple[Iterable[str], int]) -> Table:
    return MappingProxyType({code: flags for codes, flags in groups for code in codes})


SIP: Final = _table(
    ("@EBSYADK1", ELIGIBLE),
    ("F", ELIGIBLE | ISO),
    ("XO56", ELIGIBLE | AUCTION),
    ("L", ELIGIBLE | LATE),
    ("4R", _RANGE_VOLUME),
    ("PZG", _RANGE_VOLUME | LATE),
    ("I", _VWAP_VOLUME),
    ("WHCNV7T", VOLUME),
    ("U", VOLUME | LATE),
    ("MQ", 0),
    ("9", LAST | RANGE | CORRECTED),
)
"""Letters of the stock tapes."""

OPRA: Final = _table(
    ("IKNX", ELIGIBLE),
    ("S", ELIGIBLE | ISO),
    ("J", ELIGIBLE | AUCTION),
    ("DH", _NOT_LAST | LATE),
    ("BF", _RANGE_VOLUME | LATE),
    ("R", _NOT_LAST),
    ("T", _RANGE_VOLUME),
    ("ACEGO", CANCELLED),
    ("ace", _NOT_LAST | AUCTION),
    ("bd", _NOT_LAST | AUCTION | ISO),
    ("LMPQfjnqu", VOLUME | MULTI_LEG),
    ("ghiklmoprst", VOLUME | MULTI_LEG | AUCTION),
    ("v", VOLUME),
)
"""Letters of the option tape. Auction, cross, floor and multi-leg prints are no marks: their price was
not made in the book of the one contract, so they never set the last price, and those of several legs
move nothing but volume."""

THETADATA: Final = _table(
    (("0", "10", "14", "18", "22", "25", "29", "30", "31", "32", "39", "55", "79", "99", "108"), ELIGIBLE),
    (("95",), ELIGIBLE | ISO),
    (("7", "21", "45", "62", "97", "98"), ELIGIBLE | AUCTION),
    (("13", "56"), ELIGIBLE | LATE),
    (("12", "96"), _RANGE_VOLUME),
    (("2", "5", "6", "8", "15"), _RANGE_VOLUME | LATE),
    (("115",), _VWAP_VOLUME),
    (("1", "3", "4", "9", "11", "59", "104", "105", "124"), VOLUME),
    (("65",), VOLUME | LATE),
    (("40", "41", "42", "43", "44"), CANCELLED),
    (("51", "66"), 0),
    (("117",), LAST | RANGE | CORRECTED),
)
"""Numbers of ThetaData for stocks, with the rights of the letter that means the same."""

THETADATA_OPTIONS: Final = _table(
    (("0", "18", "34", "39", "108", "145", "146"), ELIGIBLE),
    (("95",), ELIGIBLE | ISO),
    (("21", "97"), ELIGIBLE | AUCTION),
    (("7", "13"), _NOT_LAST | LATE),
    (("2", "5", "6"), _RANGE_VOLUME | LATE),
    (("106",), _NOT_LAST),
    (("107",), _RANGE_VOLUME),
    (("40", "41", "42", "43", "44"), CANCELLED),
    (("125", "127", "129"), _NOT_LAST | AUCTION),
    (("126", "128"), _NOT_LAST | AUCTION | ISO),
    (("35", "36", "37", "38", "105", "130", "134", "138", "141", "147"), VOLUME | MULTI_LEG),
    (
        ("131", "132", "133", "135", "136", "137", "139", "140", "142", "143", "144"),
        VOLUME | MULTI_LEG | AUCTION,
    ),
    (("118", "148"), VOLUME),
)
"""Numbers of ThetaData for options, with the rights of the OPRA letter that means the same."""

VENDOR_TABLES: Final[Mapping[ConditionEncoding, Table]] = MappingProxyType(
    {
        ConditionEncoding.SIP: SIP,
        ConditionEncoding.OPRA: OPRA,
        ConditionEncoding.THETADATA: THETADATA,
        ConditionEncoding.THETADATA_OPTIONS: THETADATA_OPTIONS,
    }
)
"""Encoding -> its table; the place where another vendor's codes are added."""

_NOTHING_SAID: Final = frozenset({"", " "})

_ALGOSEEK_GROUPS: Final = (
    ((0, 4, 12, 15, 16, 17, 19, 23, 27, 28, 29), ELIGIBLE),
    ((5,), ELIGIBLE | ISO),
    ((6, 7, 8, 21), ELIGIBLE | AUCTION),
    ((11,), ELIGIBLE | LATE),
    ((3, 9), _RANGE_VOLUME),
    ((14, 25), _RANGE_VOLUME | LATE),
    ((31,), _VWAP_VOLUME),
    ((1, 2, 10, 13, 18, 20, 22), VOLUME),
    ((24, 26), 0),
)
ALGOSEEK_BITS: Final[Mapping[int, int]] = MappingProxyType(
    {bit: flags for bits, flags in _ALGOSEEK_GROUPS for bit in bits}
)
"""Bit number -> rights and marks (data of 2013)."""
_ALGOSEEK_WIDTH: Final = 32

# Correction indicators of NYSE Daily TAQ: 1 was corrected later, 12 is the correction; 7 and 8 were
# found wrong or cancelled, 10 and 11 are the records that say so.
_CORRECTED_LATER: Final = frozenset({"1", "01"})
_CANCELS: Final = frozenset({"7", "07", "8", "08", "10", "11"})
_UNCORRECTED: Final = frozenset({"", "0", "00"})


def combine(flags_of_codes: Iterable[int]) -> int:
    """Flags of a print from those of its codes: the rights all of them give, the marks any of them carries."""
    rights, marks = ELIGIBLE, 0
    for flags in flags_of_codes:
        rights &= flags
        marks |= flags & ~ELIGIBLE
    return rights | marks


def flags_of_codes(codes: Sequence[str], table: Table) -> int:
    """Row flags of a print whose conditions are `codes` of `table`; no code, or a blank one, is a regular print."""
    return combine(table.get(code, UNKNOWN_CONDITION) for code in codes if code not in _NOTHING_SAID)


def flags_of_sip(codes: Sequence[str]) -> int:
    """Row flags of a stock print with the letters `codes` of the CTA and UTP plans (definitions, section 2)."""
    return flags_of_codes(codes, SIP)


def flags_of_opra(codes: Sequence[str]) -> int:
    """Row flags of an option print with the letters `codes` of OPRA."""
    return flags_of_codes(codes, OPRA)


def flags_of_algoseek(bits: int) -> int:
    """Row flags of a stock print of 2013 with AlgoSeek's bit field (definitions, section 2).

    A field of 0 says nothing against the print: it is regular, as an empty list of letters is.
    """
    set_bits = [bit for bit in range(_ALGOSEEK_WIDTH) if bits >> bit & 1]
    known = [ALGOSEEK_BITS.get(bit, UNKNOWN_CONDITION) for bit in set_bits]
    too_wide = [UNKNOWN_CONDITION] if bits < 0 or bits >> _ALGOSEEK_WIDTH else []
    return combine(known + too_wide)


def flags_of_text(raw: str, encoding: ConditionEncoding) -> int:
    """Row flags of a print whose conditions a file spells as `raw`; a text that cannot be read is unknown."""
    if encoding is ConditionEncoding.ALGOSEEK:
        try:
            return flags_of_algoseek(int(raw, 16) if raw.strip() else 0)
        except ValueError:
            return UNKNOWN_CONDITION
    table = VENDOR_TABLES[encoding]
    if encoding in (ConditionEncoding.SIP, ConditionEncoding.OPRA):
        return flags_of_codes([code for code in raw if code not in " ,"], table)
    return flags_of_codes([code.strip() for code in raw.split(",")], table)


def with_correction(flags: int, indicator: str) -> int:
    """Row flags of a print that a correction indicator speaks about.

    A print corrected later stays what was seen then, and is marked. A correction, and anything cancelled,
    moves nothing: its volume would be counted twice, or never was.
    """
    code = indicator.strip()
    if code in _UNCORRECTED:
        return flags
    if code in _CORRECTED_LATER:
        return flags | CORRECTED
    return (flags & ~ELIGIBLE) | (CANCELLED if code in _CANCELS else CORRECTED)
