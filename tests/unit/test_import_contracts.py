"""Which contracts a tape takes, how they are numbered, and on what grid they trade."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from scalpcli.adapters.import_contracts import ContractRules, classify, default_tick_rule
from scalpcli.errors import DataError
from scalpcli.model.instrument import TickRule

SESSION = dt.date(2026, 11, 20)
TSLA = ContractRules("TSLA", SESSION, TickRule.PENNY_PROGRAM)


def one(symbol, rules=TSLA):
    return classify([symbol], [symbol], rules)


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("TSLA1261120C00400000", "adjusted_deliverable"),
        ("TSLA261120X00400000", "symbol_unreadable"),
        ("TSLA261120C0040000", "symbol_unreadable"),
        ("TSLA261131C00400000", "symbol_unreadable"),
        ("TSLA261120C00000000", "symbol_unreadable"),
        ("tsla261120C00400000", "symbol_unreadable"),
        ("SPY261120C00400000", "symbol_other_root"),
        ("TSLAW261120C00400000", "symbol_other_root"),
        ("TSLA261119C00400000", "contract_expired"),
    ],
)
def test_a_refused_symbol_has_a_reason(symbol, reason):
    """Adjusted deliverables, other roots, past expiries and what is no OCC symbol stay out."""
    contracts = one(symbol)

    assert contracts.refused == {symbol: reason}
    assert contracts.ids == {}


def test_a_contract_that_expires_on_the_session_is_taken():
    """Same-day expiry is what this is for."""
    assert one("TSLA261120C00400000").ids == {"TSLA261120C00400000": 1}


@pytest.mark.parametrize(("underlying", "symbol"), [("SPX", "SPXW261120C06000000"), ("BRK.B", "BRKB261120C00400000")])
def test_roots_that_differ_from_the_symbol(underlying, symbol):
    """Weekly index classes and share classes trade under a root of their own."""
    contracts = one(symbol, ContractRules(underlying, SESSION, TickRule.NICKEL))

    assert contracts.ids == {symbol: 1}


def test_contracts_are_numbered_by_expiry_strike_and_right():
    """Numbers do not depend on the order of the files."""
    symbols = ["TSLA261127C00390000", "TSLA261120P00400000", "TSLA261120C00400000", "TSLA261120C00390000"]

    forward, backward = classify(symbols, symbols, TSLA), classify(symbols[::-1], symbols, TSLA)

    assert forward.ids == backward.ids
    assert [occ.compact for occ in forward.parts] == sorted(symbols, key=lambda name: (name[4:10], name[11:], name[10]))


def test_contracts_named_by_open_interest_alone_get_no_number():
    """A tape carries what traded or was quoted."""
    contracts = classify(["TSLA261120C00400000", "TSLA261120C00410000"], ["TSLA261120C00400000"], TSLA)

    assert contracts.ids == {"TSLA261120C00400000": 1}
    assert contracts.left_out == {"TSLA261120C00410000"}


def test_expiries_and_strikes_can_be_limited():
    """Both bounds include their end."""
    rules = ContractRules("TSLA", SESSION, TickRule.PENNY_PROGRAM, days_max=7, strike_range_pct=5.0, spot_e4=4_000_000)
    symbols = ["TSLA261127C00380000", "TSLA261127C00379990", "TSLA261128C00400000", "TSLA261120P00420000"]

    contracts = classify(symbols, symbols, rules)

    assert set(contracts.ids) == {"TSLA261127C00380000", "TSLA261120P00420000"}
    assert contracts.left_out == {"TSLA261127C00379990", "TSLA261128C00400000"}


def test_more_contracts_than_numbers_are_refused():
    """The limit and the flags that help stand in the message."""
    symbols = [f"TSLA261120C{strike:08d}" for strike in range(1, 32_769)]

    with pytest.raises(DataError, match="32,768 contracts, above the limit of a tape: 32,767"):
        classify(symbols, symbols, TSLA)


def test_instruments_carry_grid_and_open_interest():
    """What is known before the open stands in the instruments, with the day it was told."""
    contracts = one("TSLA261120C00400000")

    (instrument,) = contracts.instruments(TSLA, {1: (1234, dt.date(2026, 11, 20))})

    assert instrument.symbol == "TSLA261120C00400000"
    assert (instrument.expiry, instrument.strike_e4, instrument.right) == (SESSION, 4_000_000, "C")
    assert (instrument.tick_rule, instrument.multiplier) == (TickRule.PENNY_PROGRAM, 100)
    assert (instrument.open_interest, instrument.open_interest_date) == (1234, SESSION)


def test_every_published_symbol_is_taken(shared):
    """13,492 real symbols of one class: none is refused before its expiry."""
    symbols = pl.read_csv(shared / "reference" / "occ_symbols_spy_202308.csv")["symbol_compact"].to_list()

    contracts = classify(symbols, symbols, ContractRules("SPY", dt.date(2023, 7, 1), TickRule.PENNY))

    assert len(symbols) == 13_492
    assert contracts.refused == {}
    assert len(contracts.parts) == len(set(symbols))


@pytest.mark.parametrize(
    ("underlying", "session", "rule"),
    [
        ("SPY", SESSION, TickRule.PENNY),
        ("TSLA", SESSION, TickRule.PENNY_PROGRAM),
        ("SPX", SESSION, TickRule.NICKEL),
        ("GOOG", dt.date(2015, 12, 24), TickRule.NICKEL),
        ("GOOG", SESSION, TickRule.PENNY_PROGRAM),
    ],
)
def test_the_default_grid_is_dated(underlying, session, rule):
    """A class trades on the grid it had that day."""
    assert default_tick_rule(underlying, session) is rule
