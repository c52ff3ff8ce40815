"""Blackouts: dated windows without entries."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from inline_snapshot import snapshot

from scalpcli.config import ConfigErrors, load
from scalpcli.errors import ConfigError

FOMC = '[[blackout]]\nname = "FOMC decision"\ndate = 2026-12-09\nfrom = "13:45"\nto = "14:45"\n'
NAMED = ["gates.blackout_file=blackouts.toml"]


def utc(*parts) -> int:
    return int(dt.datetime(*parts, tzinfo=dt.UTC).timestamp()) * 1_000_000_000


@pytest.fixture
def blackouts(tmp_path, monkeypatch):
    """Reads a blackout file with the given text."""
    monkeypatch.chdir(tmp_path)

    def read(text):
        (tmp_path / "blackouts.toml").write_text(text, encoding="utf-8")
        return load(overrides=NAMED, environ={}).blackouts

    return read


@pytest.fixture
def refusal(blackouts):
    """The message for a blackout file with the given text."""

    def read(text):
        with pytest.raises(ConfigError) as caught:
            blackouts(text)
        assert caught.value.exit_code == 2
        return caught.value.render()

    return read


def test_a_window_is_new_york_time(blackouts):
    """The Fed speaks at 14:00 in New York: 19:00 UTC in winter, 18:00 in summer."""
    winter = blackouts(FOMC)
    summer = blackouts(FOMC.replace("2026-12-09", "2026-06-17"))

    assert [(b.name, b.start_ns, b.end_ns) for b in winter] == [
        ("FOMC decision", utc(2026, 12, 9, 18, 45), utc(2026, 12, 9, 19, 45))
    ]
    assert [(b.start_ns, b.end_ns) for b in summer] == [(utc(2026, 6, 17, 17, 45), utc(2026, 6, 17, 18, 45))]


def test_a_window_without_times_is_the_whole_day(blackouts):
    """Earnings: nobody knows the minute; a day on which clocks change has 23 hours."""
    (day,) = blackouts('[[blackout]]\nname = "TSLA earnings"\ndate = 2026-01-28\n')
    (short,) = blackouts('[[blackout]]\nname = "clocks change"\ndate = 2026-03-08\n')

    assert (day.start_ns, day.end_ns) == (utc(2026, 1, 28, 5), utc(2026, 1, 29, 5))
    assert short.end_ns - short.start_ns == 23 * 3600 * 1_000_000_000


def test_days_and_times_may_be_written_with_or_without_quotes(blackouts):
    """TOML has days and times of its own; both spellings are what a person writes."""
    quoted = blackouts(FOMC.replace("2026-12-09", '"2026-12-09"'))
    bare = blackouts(FOMC.replace('"13:45"', "13:45:00").replace('"14:45"', "14:45:00"))

    assert quoted == bare == blackouts(FOMC)


def test_windows_come_sorted_whatever_their_order_in_the_file(blackouts):
    """The engine walks them once, forwards."""
    text = "".join(
        f'[[blackout]]\nname = "{name}"\ndate = {date}\n'
        for name, date in [("c", "2026-12-11"), ("a", "2026-12-09"), ("b", "2026-12-09")]
    )

    found = blackouts(text)

    assert [window.name for window in found] == ["a", "b", "c"]
    assert all(one.start_ns <= two.start_ns for one, two in itertools.pairwise(found))


def test_an_empty_file_has_no_windows(blackouts):
    """A calendar may be kept before its first entry."""
    assert blackouts("# none this month\n") == []


def test_the_file_stands_beside_the_settings_that_name_it(tmp_path):
    """A configuration folder works from everywhere."""
    (tmp_path / "blackouts.toml").write_text(FOMC, encoding="utf-8")
    (tmp_path / "config.toml").write_text('[gates]\nblackout_file = "blackouts.toml"\n', encoding="utf-8")

    loaded = load([str(tmp_path / "config.toml")], environ={})

    assert [window.name for window in loaded.blackouts] == ["FOMC decision"]


def test_a_missing_file_names_the_setting_that_named_it(tmp_path, monkeypatch):
    """A blackout that silently does not exist would trade into the event."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        load(overrides=NAMED, environ={})

    assert caught.value.render() == snapshot("""\
error: cannot read `blackouts.toml`: no such file or directory
  in flag `-p gates.blackout_file`

hint: name a TOML file that exists; `scalpcli config init` writes one\
""")


def test_a_window_that_ends_before_it_starts(refusal):
    """It would cover nothing."""
    message = refusal(FOMC.replace("13:45", "15:45"))

    assert message == snapshot("""\
error: a blackout ends at 14:45, not after its start: 15:45
  in `blackouts.toml`, line 5

hint: write `[[blackout]]`, then `name = "FOMC decision"`, `date = 2026-12-09`, and for part of the day `from = "13:45"`, `to = "14:45"` (New York time)\
""")


def test_a_window_of_no_length(refusal):
    """From 13:45 to 13:45 is a typing mistake, not a window."""
    message = refusal(FOMC.replace("14:45", "13:45"))

    assert message.startswith("error: a blackout ends at 13:45, not after its start: 13:45\n")


def test_a_misspelt_key(refusal):
    """Ignoring `form` would black out the whole day."""
    message = refusal(FOMC.replace("from", "form"))

    assert message == snapshot("""\
error: unknown key `form` of a blackout
  in `blackouts.toml`, line 4

hint: the nearest is `from`

error: a blackout has `to` and no `from`
  in `blackouts.toml`, line 5

hint: write `from` too, or leave out both for the whole day\
""")


@pytest.mark.parametrize(
    ("old", "new", "found", "line"),
    [
        ('"FOMC decision"', '""', "`name` is empty, not the name of an event", 2),
        ('"FOMC decision"', "5", "`name` is 5, not the name of an event", 2),
        ("2026-12-09", '"2026-02-30"', '`date` is the text "2026-02-30", not a day', 3),
        ("2026-12-09", "2026-12-09T10:00:00", "`date` is 2026-12-09 10:00:00, not a day", 3),
        ('"13:45"', '"1:45 pm"', '`from` is the text "1:45 pm", not a time of the day', 4),
        ('"14:45"', '"24:00"', '`to` is the text "24:00", not a time of the day', 5),
        ('"14:45"', "1445", "`to` is 1445, not a time of the day", 5),
        ('name = "FOMC decision"\n', "", "a blackout has no `name`", 1),
        ("date = 2026-12-09\n", "", "a blackout has no `date`", 1),
        ("[[blackout]]", "[blackout]", "`blackout` is a single table, not a list of tables", 1),
        ("[[blackout]]", "[[blackouts]]", "unknown table `blackouts`", 1),
        ("date = 2026-12-09", "date = 2026-13-09", "not TOML: ", 3),
    ],
)
def test_what_is_no_window_is_refused_with_its_line(refusal, old, new, found, line):
    """Every key of a window is checked where it stands."""
    message = refusal(FOMC.replace(old, new))

    assert f"error: {found}" in message
    assert f"  in `blackouts.toml`, line {line}\n" in message


def test_everything_wrong_in_the_file_is_told_at_once(blackouts):
    """Two wrong windows, two messages."""
    text = FOMC.replace("2026-12-09", "5") + FOMC.replace("14:45", "25:00")

    with pytest.raises(ConfigErrors) as caught:
        blackouts(text)

    assert [problem.place for problem in caught.value.problems] == [
        "`blackouts.toml`, line 3",
        "`blackouts.toml`, line 10",
    ]
