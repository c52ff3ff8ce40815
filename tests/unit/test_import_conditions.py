"""How the spelling of trade conditions is found out."""

from __future__ import annotations

import pytest

from scalpcli.adapters.import_conditions import detect_encoding
from scalpcli.errors import UsageError
from scalpcli.model.conditions import ConditionEncoding

SIP, ALGOSEEK, THETADATA = ConditionEncoding.SIP, ConditionEncoding.ALGOSEEK, ConditionEncoding.THETADATA
OPRA, THETADATA_OPTIONS = ConditionEncoding.OPRA, ConditionEncoding.THETADATA_OPTIONS


def detect(values, *, is_option=False, told=()):
    return detect_encoding(values, is_option=is_option, told=told, file="t.parquet")


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        (["1", "20000020", "20", "2000"], ALGOSEEK),
        (["1", "20"], ALGOSEEK),
        (["", "I", "F", "F I", "4 B", "FTI"], SIP),
        (["@"], SIP),
        (["32", "32,95,115", "32,62,45"], THETADATA),
        ([], SIP),
        (["", ""], SIP),
        # Nothing knows all of these; the shape decides, and what is unknown is counted.
        (["@", "I", "?"], SIP),
        (["60000020", "ffffffff"], ALGOSEEK),
        (["32,95", "32,999"], THETADATA),
    ],
)
def test_the_spelling_that_explains_every_value_is_taken(values, encoding):
    """Bits, letters and numbers are told apart by what they would mean."""
    assert detect(values) is encoding


@pytest.mark.parametrize(("values", "encoding"), [(["I", "f", ""], OPRA), (["18", "130"], THETADATA_OPTIONS)])
def test_option_prints_have_tables_of_their_own(values, encoding):
    """`I` is an odd lot of shares and an electronic trade of contracts."""
    assert detect(values, is_option=True) is encoding


def test_a_spelling_that_cannot_be_told_is_asked_for():
    """A lone `4` is a cash sale in bits, derivatively priced in letters: guessing would move prices."""
    with pytest.raises(UsageError) as caught:
        detect(["4"])

    assert caught.value.render() == (
        "error: the conditions `4` can be read as sip or algoseek or thetadata, which differ in what a print may "
        "move\n  in `t.parquet`\n\nhint: say which with `--conditions sip`"
    )


def test_what_the_user_says_is_taken():
    """A named spelling is not doubted; one of the other kind of print is passed over."""
    assert detect(["4"], told=[ConditionEncoding.OPRA, ALGOSEEK]) is ALGOSEEK
    assert detect(["I"], is_option=True, told=[ALGOSEEK]) is OPRA
