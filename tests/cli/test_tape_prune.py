"""`scalpcli tape prune`, as a user meets it."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.runtime import clock
from tests.segment_samples import folder_in, record, small_blocks
from tests.tape_samples import leftovers

DAYS = ("2026-11-17", "2026-11-18", "2026-11-19")


@pytest.fixture
def tapes(tmp_path, monkeypatch):
    """Three tapes of TSLA, one of AAPL and a recording in progress, on 20 November."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clock, "utc_now", lambda: dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC))
    root = tmp_path / "tapes"
    for symbol, days in (("TSLA", DAYS), ("AAPL", DAYS[:1])):
        for day in days:
            (root / symbol / day).mkdir(parents=True)
            (root / symbol / day / "manifest.json").write_text("{}")
    record(folder_in(root), small_blocks()[:2], close=False)
    return root


def run(line):
    """A command line; what it gave."""
    return CliRunner().invoke(app, line.split(), env={"NO_COLOR": "1"})


def left(root):
    """Tapes that are there."""
    return [name.removesuffix("/manifest.json") for name in leftovers(root) if name.endswith("manifest.json")]


def test_nothing_goes_without_yes(tapes):
    """It shows what would go, and says that nothing went."""
    before = leftovers(tapes)

    done = run("tape prune --keep 1")

    assert done.exit_code == 0
    assert leftovers(tapes) == before
    assert [day in done.stdout for day in DAYS] == [True, True, False]
    assert "would remove 2 tapes and free 0.000 GB, 2 tapes stay" in done.stderr
    assert "nothing was removed: add `--yes`" in done.stderr


def test_old_tapes_go_and_the_recording_stays(tapes):
    """The latest of each symbol are kept."""
    done = run("tape prune tapes --keep 1 --yes")

    assert done.exit_code == 0
    assert left(tapes) == ["AAPL/2026-11-17", "TSLA/2026-11-19"]
    assert (folder_in(tapes) / "000001.log").is_file()
    assert "removed 2 tapes" in done.stderr
    assert "more sessions" in done.stderr


def test_days_count_back_from_today_in_new_york(tapes):
    """There it is still 20 November when it is 21 November in London."""
    done = run("tape prune tapes --keep 3d --yes --json")

    assert [(row["symbol"], row["session"], row["removed"]) for row in json.loads(done.stdout)] == [
        ("AAPL", "2026-11-17", True),
        ("TSLA", "2026-11-17", True),
    ]
    assert left(tapes) == ["TSLA/2026-11-18", "TSLA/2026-11-19"]


def test_one_symbol_alone(tapes):
    """The others' tapes are not looked at."""
    run("tape prune tapes --keep 1d --symbol AAPL --yes")

    assert left(tapes) == [f"TSLA/{day}" for day in DAYS]


@pytest.mark.usefixtures("tapes")
def test_nothing_to_remove_is_said():
    """No error: cron runs it every day."""
    done = run("tape prune tapes --keep 20 --yes --json")

    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert "removed 0 tapes" in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "found"),
    [
        ("tape prune tapes --keep 0", 2, "`--keep 0` is neither a number of tapes nor of days"),
        ("tape prune tapes", 2, "--keep"),
        ("tape prune nowhere --keep 3", 4, "there is no tape in `nowhere`"),
        ("tape prune tapes --keep 3 --symbol NVDA", 4, "there is no tape of NVDA in `tapes`"),
    ],
)
@pytest.mark.usefixtures("tapes")
def test_what_cannot_be_meant_is_refused(line, code, found):
    """With the exit code of its kind, and nothing is removed."""
    done = run(line)

    assert done.exit_code == code
    assert found in done.stderr
