"""Room on the disk: what a session costs, and which tapes a rule keeps."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest

from scalpcli.errors import DataError, UsageError
from scalpcli.runtime import disk
from scalpcli.runtime.disk import Keep, TapeSize, forecast, parse_keep, plan_prune, prune, tape_sizes
from tests.segment_samples import folder_in, record, small_blocks

TODAY = dt.date(2026, 11, 20)


def tape(root, symbol, day, size=1000):
    """A folder that looks like a tape of `size` bytes."""
    folder = root / symbol / day
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "rows.parquet").write_bytes(bytes(size - 2))
    return folder


@pytest.fixture
def free(monkeypatch):
    """A disk with 100,000 bytes free."""
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))


def days(sizes):
    """Days of tapes."""
    return [one.date.day for one in sizes]


def test_only_tapes_in_their_place_count(tmp_path):
    """`ROOT/SYMBOL/DATE`; recordings, half-removed and other folders are left alone."""
    tape(tmp_path, "TSLA", "2026-11-19")
    tape(tmp_path, "AAPL", "2026-11-20", 500)
    for name in ("notes", ".2026-11-18.pruned", "2026-1-1"):
        tape(tmp_path, "TSLA", name)
    record(folder_in(tmp_path), small_blocks()[:2])

    found = tape_sizes(tmp_path)

    assert [(one.symbol, one.date.isoformat(), one.bytes) for one in found] == [
        ("AAPL", "2026-11-20", 500),
        ("TSLA", "2026-11-19", 1000),
    ]
    assert [one.symbol for one in tape_sizes(tmp_path, ["TSLA"])] == ["TSLA"]


@pytest.mark.usefixtures("free")
def test_earlier_tapes_tell_what_a_session_costs(tmp_path):
    """The median of each symbol's latest, all symbols together; the last session is a log and a tape at once."""
    for day, size in (("2026-11-17", 9_000), ("2026-11-18", 3_000), ("2026-11-19", 2_000)):
        tape(tmp_path, "TSLA", day, size)
    tape(tmp_path, "AAPL", "2026-11-19", 1_000)

    found = forecast(tmp_path, reserve_bytes=20_000)

    assert (found.free_bytes, found.session_bytes, found.sessions_seen) == (100_000, 4_000, 4)
    assert found.sessions_left == (100_000 - 20_000 - 4_000) // 4_000


@pytest.mark.usefixtures("free")
def test_a_recording_needs_room_to_be_sealed(tmp_path):
    """Its tape comes beside it before it goes."""
    tape(tmp_path, "TSLA", "2026-11-19", 1_000)
    record(folder_in(tmp_path), small_blocks())
    size = (folder_in(tmp_path) / "000001.log").stat().st_size

    found = forecast(tmp_path)

    assert found.sealing_bytes == size
    assert found.sessions_left == (100_000 - size - 1_000) // 1_000


@pytest.mark.usefixtures("free")
def test_the_first_day_is_told_by_its_own_rate(tmp_path):
    """Half a session recorded: it will take twice as much."""
    record(folder_in(tmp_path), small_blocks()[:6], close=False)
    size = (folder_in(tmp_path) / "000001.log").stat().st_size

    found = forecast(tmp_path)

    assert found.session_bytes == pytest.approx(2 * size, rel=0.05)
    assert found.sessions_seen == 0


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.usefixtures("free")
def test_nothing_told_is_nothing_guessed(tmp_path, make):
    """Neither an empty folder, nor a recording of a few seconds."""
    if make:
        record(folder_in(tmp_path), small_blocks(60_000, 20)[1:2], close=False)

    found = forecast(tmp_path / "none" if not make else tmp_path)

    assert (found.session_bytes, found.sessions_left) == (None, None)


@pytest.mark.usefixtures("free")
def test_no_room_is_no_session(tmp_path):
    """Never fewer than none."""
    tape(tmp_path, "TSLA", "2026-11-19", 90_000)

    assert forecast(tmp_path, reserve_bytes=50_000).sessions_left == 0


@pytest.mark.parametrize(
    ("text", "keep"), [("20", Keep(tapes=20)), ("30d", Keep(days=30)), (" 1d ", Keep(days=1)), ("1", Keep(tapes=1))]
)
def test_a_rule_is_tapes_or_days(text, keep):
    """A number of tapes, or of days with a `d`."""
    assert parse_keep(text) == keep


@pytest.mark.parametrize("text", ["0", "0d", "-3", "30 d", "3w", "", "d", "1.5", "\u0663"])
def test_a_rule_that_keeps_nothing_is_refused(text):
    """Nobody wants that, and no other text is guessed at."""
    with pytest.raises(UsageError, match="neither a number of tapes nor of days"):
        parse_keep(text)


def sizes(tmp_path, *names):
    """Tapes by symbol and day of November."""
    return [TapeSize(tmp_path, name[:-2], dt.date(2026, 11, int(name[-2:])), 10) for name in names]


def test_the_latest_tapes_of_each_symbol_stay(tmp_path):
    """However old they are."""
    tapes = sizes(tmp_path, "TSLA03", "TSLA02", "AAPL01", "TSLA04")

    plan = plan_prune(tapes, Keep(tapes=2), TODAY)

    assert (days(plan.kept), days(plan.removed), plan.freed_bytes) == ([1, 3, 4], [2], 10)


def test_the_tapes_of_the_latest_days_stay(tmp_path):
    """Today is the first of them; a later day stays too."""
    tapes = sizes(tmp_path, "TSLA16", "TSLA18", "TSLA19", "TSLA20", "TSLA23")

    plan = plan_prune(tapes, Keep(days=2), TODAY)

    assert (days(plan.kept), days(plan.removed)) == ([19, 20, 23], [16, 18])


def test_what_goes_is_gone_and_nothing_else(tmp_path):
    """Also where an earlier removal was interrupted."""
    tape(tmp_path, "TSLA", "2026-11-18")
    tape(tmp_path, "TSLA", ".2026-11-18.pruned")
    tape(tmp_path, "TSLA", "2026-11-19")

    prune(plan_prune(tape_sizes(tmp_path), Keep(tapes=1), TODAY))

    assert [path.name for path in (tmp_path / "TSLA").iterdir()] == ["2026-11-19"]


def test_a_tape_that_cannot_be_removed_is_told(tmp_path, monkeypatch):
    """By its name, and with exit 4."""
    folder = tape(tmp_path, "TSLA", "2026-11-18")
    tape(tmp_path, "TSLA", "2026-11-19")
    plan = plan_prune(tape_sizes(tmp_path), Keep(tapes=1), TODAY)
    monkeypatch.setattr(
        disk.shutil, "rmtree", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )

    with pytest.raises(DataError, match="the disk refuses: Permission denied") as caught:
        prune(plan)

    assert caught.value.place == f"`{folder}`"
