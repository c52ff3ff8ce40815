"""Finds out how a file spells trade conditions.

Decides between the encodings of `model/conditions.py` by what explains every value of the file. Where two
explain all of them and disagree, the user is asked: a wrong table moves prices that must not move.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from scalpcli.errors import UsageError
from scalpcli.model.conditions import ConditionEncoding, flags_of_text
from scalpcli.model.row import UNKNOWN_CONDITION

STOCK_ENCODINGS: Final = (ConditionEncoding.SIP, ConditionEncoding.ALGOSEEK, ConditionEncoding.THETADATA)
OPTION_ENCODINGS: Final = (ConditionEncoding.OPRA, ConditionEncoding.THETADATA_OPTIONS)
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_LETTERS_MAX: Final = 4
"""A print of the stock tapes carries four letters at most."""


def detect_encoding(
    values: Collection[str], *, is_option: bool, told: Sequence[ConditionEncoding], file: str
) -> ConditionEncoding:
    """The encoding of a file's conditions.

    Args:
        values: Every distinct value of the column.
        is_option: Whether the prints are of contracts.
        told: What the user named; the first that fits the kind of print is taken.
        file: Name of the file, for messages.

    Raises:
        UsageError: two encodings explain every value and differ in what the prints may move.
    """
    encodings = OPTION_ENCODINGS if is_option else STOCK_ENCODINGS
    for encoding in told:
        if encoding in encodings:
            return encoding
    present = sorted({value for value in values if value})
    readings = {encoding: [flags_of_text(value, encoding) for value in present] for encoding in encodings}
    complete = [name for name, flags in readings.items() if not any(flag & UNKNOWN_CONDITION for flag in flags)]
    if not complete:
        return _by_shape(present, encodings)
    if any(readings[name] != readings[complete[0]] for name in complete):
        raise UsageError(
            f"the conditions {', '.join(f'`{value}`' for value in present[:5])} can be read as "
            f"{' or '.join(complete)}, which differ in what a print may move",
            place=f"`{file}`",
            hint=f"say which with `--conditions {complete[0]}`",
        )
    return complete[0]


def _by_shape(values: Sequence[str], encodings: Sequence[ConditionEncoding]) -> ConditionEncoding:
    """The encoding that looks most like the values, where none knows all of them."""
    numbers = encodings[-1]
    if all(part.strip().isdigit() for value in values for part in value.split(",")) and (
        numbers is ConditionEncoding.THETADATA_OPTIONS or any("," in value for value in values)
    ):
        return numbers
    is_hex = all(set(value) <= _HEX_DIGITS for value in values)
    if ConditionEncoding.ALGOSEEK in encodings and is_hex and any(len(value) > _LETTERS_MAX for value in values):
        return ConditionEncoding.ALGOSEEK
    return encodings[0]
