"""`--require`: what it may say, what holds, and what a wrong one is told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from scalpcli.errors import CheckFailed, UsageError
from scalpcli.report.figures import FIGURES
from scalpcli.report.require import DEPTH_MAX, check_requirements, enforce, parse_requirement

FOUND = {"win_rate": 48.25, "trades": 40, "net_pnl_usd": -120.0, "profit_factor": None, "fees_usd": 30.0}


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_requirement(text)
    assert caught.value.exit_code == 2
    return caught.value.render()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("win_rate>=48.25", True),
        ("win_rate>48.25", False),
        ("win_rate<48.25", False),
        ("win_rate <= 48.25", True),
        ("win_rate==48.25", True),
        ("win_rate!=48.25", False),
        ("40<=trades", True),
        ("trades>=4e1", True),
        ("trades>=.5e2", False),
        ("net_pnl_usd<0", True),
        ("net_pnl_usd>=-120", True),
        ("- net_pnl_usd >= 4 * fees_usd", True),
        ("fees_usd + 2 * 5 == 40", True),
        ("(fees_usd + 2) * 5 == 160", True),
        ("trades - fees_usd - 10 == 0", True),
        ("trades / 2 / 2 == 10", True),
        ("2 - -3 == trades / 8", True),
    ],
)
def test_a_comparison_holds_by_the_rules_of_arithmetic(text, holds):
    """Products before sums, from the left; a bound that is met exactly is met."""
    requirement = parse_requirement(text)

    assert requirement.holds(FOUND) is holds


@pytest.mark.parametrize(
    "text",
    [
        "profit_factor>=1",
        "profit_factor<1",
        "profit_factor!=1",
        "profit_factor==profit_factor",
        "0*profit_factor==0",
        "-profit_factor<0",
        "trades/(trades-40)>0",
        "trades/0!=7",
        "trades*1e308*1e10>1",
        "hold_s_median>0",
    ],
)
def test_what_is_unknown_meets_nothing(text):
    """No losers, a division by zero and a figure that was not computed are no success, whichever way one asks."""
    requirement = parse_requirement(text)

    assert requirement.holds(FOUND) is False


def test_not_a_number_is_unknown():
    """NaN differs from everything, so it would meet every `!=`."""
    failures = check_requirements({"win_rate": math.nan}, ["win_rate!=55"])

    assert [failure.found for failure in failures] == ["win_rate is unknown (100 * winners / trades)"]


def test_a_failure_tells_each_figure_it_names():
    """Who reads the log of a CI run wants the number, not only the verdict."""
    failures = check_requirements(FOUND, ["trades>=30", " win_rate>=55 ", "fees_usd<=0.1*net_pnl_usd"])

    assert [(failure.text, failure.found) for failure in failures] == [
        ("win_rate>=55", "win_rate is 48.25"),
        ("fees_usd<=0.1*net_pnl_usd", "fees_usd is 30, net_pnl_usd is -120"),
    ]


def test_a_figure_just_short_is_not_shown_as_met():
    """54.999999 printed as 55 beside `>=55` would look like a fault of ours."""
    failures = check_requirements({"win_rate": 54.9999996}, ["win_rate>=55"])

    assert failures[0].found == "win_rate is 54.9999996"


def test_all_that_fell_short_stands_in_one_message():
    """Exit 5, with every requirement that failed and the place that was judged."""
    with pytest.raises(CheckFailed) as caught:
        enforce(FOUND, ["win_rate>=55", "trades>=30", "profit_factor>1"], place="`runs/one`")

    assert caught.value.exit_code == 5
    assert caught.value.render() == snapshot("""\
error: 2 of 3 requirements fell short
  win_rate>=55: win_rate is 48.25
  profit_factor>1: profit_factor is unknown (sum of net of the winners / -(sum of net of the losers))
  in `runs/one`

hint: an unknown figure meets no requirement\
""")


def test_what_is_met_is_silent():
    """No requirement, or only met ones: nothing is raised, nothing is listed."""
    enforce(FOUND, [])
    enforce(FOUND, ["trades>=30"])

    assert check_requirements(FOUND, ["trades>=30"]) == []


def test_an_unknown_name_is_told_the_nearest():
    """A typo costs one look, not a search."""
    text = refused("win_rat>=55")

    assert text == snapshot("""\
error: no figure is named `win_rat`
  in `--require 'win_rat>=55'`

hint: the nearest is `win_rate`: 100 * winners / trades, or `fill_rate`; `scalpcli report --list-figures` lists all\
""")


def test_a_name_like_no_other_is_told_all_of_them():
    """Where nothing is near, the list is the help."""
    text = refused("zzzz>=1")

    assert "hint: figures are runs, sessions, days" in text
    assert all(name in text for name in FIGURES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a figure or a number should stand at its end"),
        ("win_rate", "a comparison (>=, <=, >, <, ==, !=) should stand at its end"),
        ("win_rate 55", "a comparison (>=, <=, >, <, ==, !=) should stand where `55` stands"),
        ("win_rate>=", "a figure or a number should stand at its end"),
        ("win_rate=55", "a single `=` compares nothing; write `==`, `>=` or `<=`"),
        ("win_rate=>55", "a single `=` compares nothing; write `==`, `>=` or `<=`"),
        ("win_rate>=55%", "percents are written without a sign; 55 is fifty-five percent"),
        ("10<=trades<=50", "it compares twice; give `--require` once for each comparison"),
        ("win_rate>=55 trades", "`trades` has no place after the comparison"),
        ("(win_rate>=55)", "a `)` should stand where `>=` stands"),
        ("(win_rate", "a `)` should stand at its end"),
        ("1>=0", "it names no figure"),
        ("win_rate>=1e999", "`1e999` is too large"),
        ("win_rate**2>=1", "a figure or a number should stand where `*` stands"),
        ("win_rate>=55;import os", "`;` means nothing here"),
        ("trades.real>=1", "`.` means nothing here"),
        ("(win_rate 5)>=1", "a `)` should stand where `5` stands"),
        ("[trades]>=1", "`[` means nothing here"),
        ("trades>=\u0663", "`\u0663` means nothing here"),
        ("-" * (DEPTH_MAX + 1) + "trades>=1", f"it is nested deeper than {DEPTH_MAX}"),
        ("trades>=" + "1" * 200, "it has 208 characters, the limit is 200"),
    ],
)
def test_what_is_no_comparison_is_told_why(text, why):
    """Each refusal names what is wrong and shows a comparison to copy."""
    message = refused(text)

    assert f"is not understood: {why}\n" in message
    assert message.endswith("hint: write a comparison like `win_rate>=55` or `max_drawdown_pct<=10`")


def test_calls_are_no_part_of_the_language():
    """A CI file from a stranger may compare and nothing else."""
    for text in ("open(1)>=trades", "__import__>=trades", "trades>=exit()"):
        with pytest.raises(UsageError):
            parse_requirement(text)


@given(st.text(alphabet="0123456789.+-*/()<>=!e _abtrdwinsx%", max_size=60))
def test_any_text_is_read_or_refused(text):
    """Nothing a user can type ends in anything but a requirement or a message."""
    try:
        requirement = parse_requirement(text)
    except UsageError as error:
        assert error.hint  # noqa: PT017 - either outcome is right; a refusal must help
    else:
        assert requirement.holds(dict.fromkeys(FIGURES)) is False


def test_every_figure_is_documented():
    """Names are usable in a requirement, and each has a formula and a known unit."""
    for name, figure in FIGURES.items():
        assert parse_requirement(f"{name}>=0").names == (name,)
        assert figure.formula
        assert figure.unit in ("", "%", "USD", "s")
