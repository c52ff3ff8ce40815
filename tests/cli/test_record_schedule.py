"""The printed crontab and systemd units."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.cli.record_schedule import cron_hours, cron_text, executable, systemd_text
from scalpcli.model.session import NEW_YORK

CRONTAB = Path(__file__).resolve().parents[2] / "examples" / "crontab"


def numbers(field: str) -> set[int]:
    """The numbers of a cron field."""
    found: set[int] = set()
    for part in field.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize(
    ("zone", "hours", "days"),
    [
        ("Etc/UTC", "13-21", "1-5"),
        ("America/New_York", "9-16", "1-5"),
        ("Europe/Berlin", "14-22", "1-5"),
        ("America/Los_Angeles", "6-13", "1-5"),
        ("Asia/Tokyo", "0,1,2,3,4,5,6,22,23", "1,2,3,4,5,6"),
    ],
)
def test_the_hours_are_the_machines(zone, hours, days):
    """Debian's cron goes by the machine's zone and by nothing else."""
    assert cron_hours(ZoneInfo(zone)) == (hours, days)


@pytest.mark.parametrize(
    "zone", ["Etc/UTC", "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"]
)
def test_cron_fires_throughout_every_weekday_of_two_years(zone):
    """Summer and winter there and here, and the weeks between: no session may be missed."""
    hours, days = (numbers(field) for field in cron_hours(ZoneInfo(zone)))
    missed = []
    for offset in range(730):
        date = dt.date(2026, 1, 1) + dt.timedelta(days=offset)
        if date.weekday() > 4:
            continue
        for clock in (dt.time(9, 25), dt.time(12, 0), dt.time(16, 0)):
            local = dt.datetime.combine(date, clock, NEW_YORK).astimezone(ZoneInfo(zone))
            if local.hour not in hours or (local.weekday() + 1) % 7 not in {day % 7 for day in days}:
                missed.append(local)

    assert missed == []


def test_the_crontab_names_everything_in_full():
    """Cron's environment has no PATH to speak of; a percent sign would end the line."""
    text = cron_text(["--out", "my tapes", "--notify", "http://host/%20"], Path("/data"), dt.UTC)

    line = text.splitlines()[-1]
    assert line.startswith("*/5 13-21 * * 1-5 umask 077; cd /data && /")
    assert line.endswith(
        f"{executable()} record --out 'my tapes' --notify http://host/\\%20 --quiet >> /data/record.log 2>&1"
    )


def test_a_percent_sign_is_not_systemds():
    """It would be a specifier, and a dollar a variable."""
    text = systemd_text(["--notify", "http://host/%20$a"], Path("/my data"), "/bin/scalpcli")

    assert "ExecStart=/bin/scalpcli record --quiet --notify http://host/%%20$$a\n" in text
    assert "WorkingDirectory=/my data\n" in text


def test_the_flags_of_the_call_are_in_the_line():
    """What one tried by hand is what cron runs."""
    flags = ["--symbol", "TSLA", "--symbol", "NVDA", "--raw", "--dte", "0", "-p", "record.flush_ms=100"]

    done = CliRunner().invoke(app, ["record", "--print-cron", *flags], prog_name="scalpcli")

    words = shlex.split(done.stdout.splitlines()[-1])
    call = words[words.index("record") : words.index("--quiet")]
    assert done.exit_code == 0
    assert call == [
        "record", "--symbol", "TSLA", "--symbol", "NVDA", "--dte", "0", "--raw", "--param", "record.flush_ms=100",
    ]  # fmt: skip


def test_the_units_of_this_call_are_printed():
    """A service and its timer, with New York's time zone by name."""
    done = CliRunner().invoke(app, ["record", "--print-systemd", "--symbol", "TSLA"], prog_name="scalpcli")

    assert done.exit_code == 0
    assert f"ExecStart={executable()} record --quiet --symbol TSLA" in done.stdout
    assert "OnCalendar=Mon..Fri *-*-* 09..16:00/5:00 America/New_York" in done.stdout


def test_the_example_crontab_is_what_is_printed():
    """With a path to replace; hours are UTC's."""
    text = CRONTAB.read_text(encoding="utf-8")

    printed = cron_text(
        ["--symbol", "TSLA"], Path("/home/you/market"), ZoneInfo("Etc/UTC"), "/home/you/venv/bin/scalpcli"
    )
    assert text == printed
