"""Which expiry is looked at: the list decides, never the weekday."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from inline_snapshot import snapshot

from scalpcli.errors import UsageError
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params
from scalpcli.scan.expiries import choose_expiries, wished_date

TUESDAY = dt.date(2026, 11, 24)


def listed(*days, multiplier=100):
    """One contract a day."""
    return [
        Instrument(number, f"TSLA{day:%y%m%d}C00400000", day, 4_000_000, "C", multiplier)
        for number, day in enumerate((dt.date(2026, 11, day) for day in days), start=1)
    ]


def chosen(wish="", days=(25, 27), today=TUESDAY, **selection):
    params = dataclasses.replace(Params(), selection=dataclasses.replace(Params().selection, **selection))
    found = choose_expiries(params, listed(*days), today, wish)
    limits = (found.params.selection.min_dte, found.params.selection.max_dte)
    return [date.day for date in found.dates], limits, found.refused and found.refused.gate, found.notices


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"days": (24, 25, 27)}, snapshot(([24, 25], (0, 1), None, ()))),
        (
            {},
            snapshot(
                (
                    [25],
                    (0, 1),
                    None,
                    ("no contract expires today (2026-11-24); the next expiry is Wed 2026-11-25 (1 day)",),
                )
            ),
        ),
        (
            {"days": (27, 30)},
            snapshot(
                ([27], (3, 3), "expiry", ("no contract expires within 0 to 1 days; shown is Fri 2026-11-27 (3 days)",))
            ),
        ),
        (
            {"wish": "0dte"},
            snapshot(
                (
                    [25],
                    (1, 1),
                    None,
                    ("no contract expires on Tue 2026-11-24 (today); shown is Wed 2026-11-25 (1 day)",),
                )
            ),
        ),
        ({"wish": "1dte"}, snapshot(([25], (1, 1), None, ()))),
        ({"wish": "2026-11-27"}, snapshot(([27], (3, 3), None, ()))),
        (
            {"wish": "2026-11-26"},
            snapshot(
                (
                    [27],
                    (3, 3),
                    "expiry",
                    ("no contract expires on Thu 2026-11-26 (2 days); shown is Fri 2026-11-27 (3 days)",),
                )
            ),
        ),
        (
            {"wish": "9dte"},
            snapshot(
                (
                    [27],
                    (3, 3),
                    "expiry",
                    ("no contract expires on Thu 2026-12-03 (9 days); shown is Fri 2026-11-27 (3 days)",),
                )
            ),
        ),
        ({"min_dte": 2, "max_dte": 5}, snapshot(([27], (2, 5), None, ()))),
        (
            {"min_dte": 5, "max_dte": 9},
            snapshot(
                ([27], (3, 3), "expiry", ("no contract expires within 5 to 9 days; shown is Fri 2026-11-27 (3 days)",))
            ),
        ),
        ({"days": ()}, snapshot(([], (0, 1), None, ("no contract is listed",)))),
        ({"days": (23,)}, snapshot(([], (0, 1), None, ("no contract is listed",)))),
    ],
    ids=str,
)
def test_what_is_looked_at(arguments, expected):
    """Days looked at, days to expiry judged, the gate that refuses all of it, and what the reader is told."""
    assert chosen(**arguments) == expected


def test_contracts_of_another_size_are_no_expiry():
    """Adjusted deliverables are not traded, so their days do not count."""
    found = choose_expiries(Params(), listed(25, multiplier=150), TUESDAY, "")

    assert found.dates == ()


@pytest.mark.parametrize("text", ["friday", "dte", "-1dte", "2026-13-01", "1d"])
def test_a_wish_that_is_none(text):
    """Named with what to write instead."""
    with pytest.raises(UsageError) as raised:
        wished_date(text, TUESDAY)

    assert raised.value.hint == "write 0dte, 1dte or a day like 2026-11-27"
