"""Which prints count: the tables of definitions section 2, and how files spell them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.model.conditions import (
    ALGOSEEK_BITS,
    ELIGIBLE,
    OPRA,
    SIP,
    THETADATA,
    THETADATA_OPTIONS,
    VENDOR_TABLES,
    ConditionEncoding,
    flags_of_algoseek,
    flags_of_opra,
    flags_of_sip,
    flags_of_text,
    with_correction,
)
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

# The table of definitions section 2, as it stands there: letters, bits, last, range, vwap, volume.
TABLE = (
    ("@FEBXSYADK156OL", (0, 4, 5, 6, 7, 8, 11, 12, 15, 16, 17, 19, 21, 23, 27, 28, 29), "last range vwap volume"),
    ("4PRZG", (9, 25, 3, 14), "range volume"),
    ("I", (31,), "vwap volume"),
    ("WHCNV7", (20, 22, 1, 2, 18), "volume"),
    ("TU", (10, 13), "volume"),
    ("MQ", (24, 26), ""),
    ("9", (), "last range"),
)
RIGHTS = {"last": LAST, "range": RANGE, "vwap": VWAP, "volume": VOLUME}
LETTERS = [(letter, words) for letters, _, words in TABLE for letter in letters]
BITS = [(bit, words) for _, bits, words in TABLE for bit in bits]


def rights(words: str) -> int:
    return sum(RIGHTS[word] for word in words.split())


@pytest.mark.parametrize(("letter", "words"), LETTERS)
def test_a_letter_gives_the_rights_of_the_definitions(letter, words):
    """Each letter of the stock tapes may move exactly what the table says."""
    flags = flags_of_sip([letter])

    assert flags & ELIGIBLE == rights(words)
    assert not flags & UNKNOWN_CONDITION


@pytest.mark.parametrize(("bit", "words"), BITS)
def test_a_bit_gives_the_rights_of_the_definitions(bit, words):
    """Each bit of AlgoSeek's field may move exactly what the table says."""
    flags = flags_of_algoseek(1 << bit)

    assert flags & ELIGIBLE == rights(words)
    assert not flags & UNKNOWN_CONDITION


def test_the_tables_hold_nothing_but_the_definitions():
    """A letter or bit that the definitions do not name is unknown."""
    assert set(SIP) == {letter for letter, _ in LETTERS}
    assert set(ALGOSEEK_BITS) == {bit for bit, _ in BITS}


@given(letters=st.lists(st.sampled_from([letter for letter, _ in LETTERS]), max_size=6))
def test_all_codes_of_a_print_are_anded(letters):
    """A print may move only what every one of its codes allows; marks of any of them stay."""
    whole = flags_of_sip(letters)

    expected = ELIGIBLE
    for letter in letters:
        expected &= flags_of_sip([letter])
    assert whole & ELIGIBLE == expected
    assert all(whole & mark == mark for letter in letters for mark in [flags_of_sip([letter]) & ~ELIGIBLE])


@pytest.mark.parametrize("codes", [[], [""], [" "], ["@"], [" ", ""]])
def test_a_print_without_conditions_is_regular(codes):
    """Nothing said against a print means that it moves everything."""
    assert flags_of_sip(codes) == ELIGIBLE


def test_a_field_without_bits_is_regular():
    """AlgoSeek's 0 says as little as an empty list of letters."""
    assert flags_of_algoseek(0) == ELIGIBLE


@pytest.mark.parametrize("flags", [flags_of_sip(["@", "?"]), flags_of_algoseek(1 << 30 | 1), flags_of_opra(["I", "?"])])
def test_an_unknown_code_moves_nothing_and_is_marked(flags):
    """A code that no table knows takes every right, whatever stands beside it."""
    assert flags == UNKNOWN_CONDITION


def test_a_field_wider_than_32_bits_is_unknown():
    """A bit beyond the field cannot be passed over: it may be the one that takes a right."""
    assert flags_of_algoseek(1 << 32 | 1) == UNKNOWN_CONDITION
    assert flags_of_algoseek(-1) & UNKNOWN_CONDITION


@pytest.mark.parametrize(
    ("codes", "mark"),
    [("F", ISO), ("O", AUCTION), ("5", AUCTION), ("6", AUCTION), ("X", AUCTION), ("L", LATE), ("Z", LATE), ("P", LATE)],
)
def test_marks_of_stock_prints(codes, mark):
    """Sweeps, auctions and late reports are named beside the rights."""
    assert flags_of_sip(codes) & mark


@pytest.mark.parametrize(
    ("bit", "mark"), [(5, ISO), (6, AUCTION), (7, AUCTION), (8, AUCTION), (21, AUCTION), (14, LATE)]
)
def test_marks_of_bits(bit, mark):
    """The bit field names the same marks as the letters."""
    assert flags_of_algoseek(1 << bit) & mark


@pytest.mark.parametrize("letter", "LMPQfghijklmnopqrstu")
def test_multi_leg_option_prints_move_volume_alone(letter):
    """The price of one leg of several was not made in the contract's own book."""
    flags = flags_of_opra([letter])

    assert flags & ELIGIBLE == VOLUME
    assert flags & MULTI_LEG


@pytest.mark.parametrize("letter", "abcde")
def test_auction_cross_and_floor_option_prints_are_no_marks(letter):
    """Auctions, crosses and floor trades never set an option's last price and cannot be part of a sweep."""
    flags = flags_of_opra([letter])

    assert not flags & LAST
    assert flags & AUCTION


@pytest.mark.parametrize("letter", "ACEGO")
def test_cancelled_option_prints_move_nothing(letter):
    """A cancel record takes back a print; it is none."""
    assert flags_of_opra([letter]) == CANCELLED


@pytest.mark.parametrize(("letter", "number"), [("I", "18"), ("S", "95"), ("f", "130"), ("a", "125"), ("C", "41")])
def test_thetadata_options_agree_with_opra(letter, number):
    """ThetaData's number and OPRA's letter of one condition give the same flags."""
    assert THETADATA_OPTIONS[number] == OPRA[letter]


@pytest.mark.parametrize(
    ("letter", "number"),
    [
        ("@", "0"),
        ("F", "95"),
        ("I", "115"),
        ("T", "1"),
        ("4", "96"),
        ("7", "124"),
        ("Q", "66"),
        ("X", "45"),
        ("9", "117"),
    ],
)
def test_thetadata_stocks_agree_with_the_letters(letter, number):
    """ThetaData's number and the tape's letter of one condition give the same flags."""
    assert THETADATA[number] == SIP[letter]


@pytest.mark.parametrize(
    ("raw", "encoding", "expected"),
    [
        ("FTI", ConditionEncoding.SIP, VOLUME | ISO),
        ("F I", ConditionEncoding.SIP, VWAP | VOLUME | ISO),
        ("", ConditionEncoding.SIP, ELIGIBLE),
        ("20000020", ConditionEncoding.ALGOSEEK, ELIGIBLE | ISO),
        ("20100200", ConditionEncoding.ALGOSEEK, VOLUME),
        ("", ConditionEncoding.ALGOSEEK, ELIGIBLE),
        ("no hex", ConditionEncoding.ALGOSEEK, UNKNOWN_CONDITION),
        ("32,95,115", ConditionEncoding.THETADATA, VWAP | VOLUME | ISO),
        ("32, 62 ,45", ConditionEncoding.THETADATA, ELIGIBLE | AUCTION),
        ("18", ConditionEncoding.THETADATA_OPTIONS, ELIGIBLE),
        ("g", ConditionEncoding.OPRA, VOLUME | MULTI_LEG | AUCTION),
    ],
)
def test_texts_are_read_as_their_encoding_spells_them(raw, encoding, expected):
    """Letters stand side by side, numbers between commas, bits in hexadecimal."""
    assert flags_of_text(raw, encoding) == expected


def test_every_encoding_with_codes_has_a_table():
    """A vendor is added in one place; only the bit field needs no table."""
    assert set(VENDOR_TABLES) == set(ConditionEncoding) - {ConditionEncoding.ALGOSEEK}


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        ("", ELIGIBLE),
        ("0", ELIGIBLE),
        ("00", ELIGIBLE),
        ("1", ELIGIBLE | CORRECTED),
        ("12", CORRECTED),
        ("8", CANCELLED),
        ("10", CANCELLED),
        ("?", CORRECTED),
    ],
)
def test_corrections_never_count_twice(indicator, expected):
    """A print corrected later stays as it was seen; the correction and whatever was cancelled move nothing."""
    assert with_correction(ELIGIBLE, indicator) == expected


@pytest.mark.parametrize("day", ["ibm_20131008", "bac_20131009", "spy_20131007"])
def test_real_prints_of_2013_have_no_unknown_bit(shared, day):
    """Every condition of three recorded days stands in the table."""
    trades = pl.read_parquet(shared / "data" / "equity_ticks_2013" / f"{day}_trades.parquet")

    flags = {raw: flags_of_text(raw, ConditionEncoding.ALGOSEEK) for raw in trades["conditions"].unique()}

    assert len(flags) > 10
    assert [raw for raw, value in flags.items() if value & UNKNOWN_CONDITION] == []
