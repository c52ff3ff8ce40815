"""`instruments.parquet`: the contracts of a tape, written, read and checked.

Decides which contracts a tape may hold: numbered without holes, listed for 100 shares, not expired before
the session. Leaves symbols to `model/instrument.py`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from scalpcli.errors import DataError
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument, TickRule
from scalpcli.model.row import INSTRUMENT_ID_MAX, UNDERLYING_ID

INSTRUMENTS_SCHEMA: Final[dict[str, Any]] = {
    "instrument_id": pl.Int16,
    "symbol": pl.String,
    "expiry": pl.Date,
    "strike_e4": pl.Int64,
    "right": pl.String,
    "multiplier": pl.Int32,
    "tick_rule": pl.String,
    "open_interest": pl.Int64,
    "open_interest_date": pl.Date,
}
"""Column -> Polars type of `instruments.parquet`, in file order."""
_RIGHTS: Final = ("C", "P")


def check_instrument(instrument: Instrument, expected_id: int, session: dt.date, place: str) -> None:
    """Refuse a contract that cannot be on a tape.

    Args:
        instrument: The contract.
        expected_id: Its number in turn.
        session: Day of the tape's session.
        place: Where it stands, for the message.

    Raises:
        DataError: it cannot.
    """
    symbol = instrument.symbol
    if expected_id > INSTRUMENT_ID_MAX:
        raise DataError(f"more than {INSTRUMENT_ID_MAX} contracts", place=place, hint="keep fewer expiries or strikes")
    if instrument.instrument_id != expected_id:
        raise DataError(
            f"`{symbol}` has number {instrument.instrument_id}; the next one is {expected_id}",
            place=place,
            hint="number contracts from 1 without holes; the underlying is 0",
        )
    if instrument.expiry is None:
        raise DataError(f"`{symbol}` has no expiry", place=place, hint="only the underlying has none, and it is there")
    if instrument.expiry < session:
        raise DataError(
            f"`{symbol}` expired on {instrument.expiry}, before the session of {session}",
            place=place,
            hint="check the session's date, or leave the contract out",
        )
    if instrument.right not in _RIGHTS or instrument.strike_e4 <= 0:
        raise DataError(
            f"`{symbol}` has right `{instrument.right}` and strike {instrument.strike_e4}; "
            "a contract is C or P with a strike above 0",
            place=place,
        )
    if instrument.multiplier != STANDARD_MULTIPLIER:
        raise DataError(
            f"`{symbol}` delivers {instrument.multiplier} shares; only standard contracts of {STANDARD_MULTIPLIER} "
            "are supported",
            place=place,
            hint="leave adjusted contracts out",
        )


def write_instruments(path: Path, instruments: Sequence[Instrument]) -> None:
    """Write the table, the underlying first."""
    rows = [dataclasses.asdict(instrument) | {"tick_rule": str(instrument.tick_rule)} for instrument in instruments]
    pl.DataFrame(rows, schema=INSTRUMENTS_SCHEMA).write_parquet(path, compression="zstd")


def read_instruments(path: Path, symbol: str, session: dt.date) -> tuple[Instrument, ...]:
    """Read and check the table.

    Args:
        path: The file.
        symbol: The underlying the manifest names.
        session: Day of the tape's session.

    Raises:
        DataError: the file is damaged or holds something a tape cannot have.
    """
    place = f"`{path}`"
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise DataError(f"the table of instruments cannot be read: {first}", place=place, hint=RESTORE) from None
    if dict(frame.schema) != INSTRUMENTS_SCHEMA:
        raise DataError(f"the table of instruments {schema_difference(frame.schema, INSTRUMENTS_SCHEMA)}", place=place)
    instruments = tuple(_instrument(row, place) for row in frame.iter_rows(named=True))
    if not instruments or instruments[0] != Instrument(UNDERLYING_ID, symbol, tick_rule=instruments[0].tick_rule):
        raise DataError(f"instrument 0 is not the underlying {symbol}", place=place, hint=RESTORE)
    for number, instrument in enumerate(instruments[1:], start=1):
        check_instrument(instrument, number, session, place)
    return instruments


RESTORE: Final = "import or record the session again, or restore the folder from a copy"


def _instrument(row: dict[str, Any], place: str) -> Instrument:
    try:
        rule = TickRule(row["tick_rule"])
    except ValueError:
        raise DataError(
            f"`{row['symbol']}` has tick rule `{row['tick_rule']}`; rules are {', '.join(TickRule)}", place=place
        ) from None
    return Instrument(**{**row, "tick_rule": rule})


def schema_difference(found: Any, wanted: Any) -> str:
    """How the columns of a file differ from those of a tape, in words."""
    for name, kind in wanted.items():
        if name not in found:
            return f"has no column `{name}`"
        if found[name] != kind:
            return f"has `{name}` as {found[name]}, not as {kind}"
    extra = [name for name in found if name not in wanted]
    if extra:
        return f"has an unknown column `{extra[0]}`"
    return "has its columns in another order"
