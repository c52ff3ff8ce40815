"""Which run a command from another shell means."""

from __future__ import annotations

import pytest

from scalpcli.cli.live_find import find_run, run_folder, runs_root
from scalpcli.cli.live_mode import Mode
from scalpcli.errors import DataError, UsageError
from scalpcli.runtime.run_lock import RunLock
from tests.live_runs import make_run


def test_the_run_that_trades_now_is_meant(tmp_path):
    """Not the newest on disk: what is at stake comes first."""
    older, newer = make_run(tmp_path, day="2026-11-19"), make_run(tmp_path, day="2026-11-20")
    lock = RunLock(older)
    lock.acquire()

    found = find_run(tmp_path, None)

    lock.release()
    assert (found.folder, found.is_held) == (older, True)
    assert find_run(tmp_path, None).folder == newer


def test_of_several_that_trade_one_must_be_named(tmp_path):
    """A command must not reach an account that was not meant."""
    folders = [make_run(tmp_path, mode) for mode in ("paper", "live")]
    locks = [RunLock(folder) for folder in folders]
    for lock in locks:
        lock.acquire()

    with pytest.raises(UsageError, match="2 runs trade now") as refused:
        find_run(tmp_path, None)

    assert all(f"--run {folder}" in refused.value.hint for folder in folders)
    assert find_run(tmp_path, folders[1]).mark == "LIVE"
    for lock in locks:
        lock.release()


def test_a_symbol_may_be_named(tmp_path):
    """And only its runs are looked at."""
    make_run(tmp_path, symbol="AAPL", day="2026-11-20")
    mine = make_run(tmp_path, symbol="TSLA", day="2026-11-19")

    assert find_run(tmp_path, None, "TSLA").folder == mine


def test_rehearsals_lie_beside_and_are_found_too(tmp_path):
    """What was rehearsed today must not stand where the market's day belongs."""
    root = runs_root(tmp_path, is_rehearsal=True)
    folder = make_run(root)

    assert folder == run_folder(root, Mode.PAPER, "TSLA", "2026-11-20")
    assert root != runs_root(tmp_path, is_rehearsal=False)
    assert find_run(tmp_path, None).folder == folder


def test_the_kill_file_is_the_runs_own_word_else_beside_the_modes(tmp_path):
    """One file stops every run beside it."""
    assert find_run(tmp_path, make_run(tmp_path, kill_file="/x/STOP")).kill_file.as_posix() == "/x/STOP"
    assert find_run(tmp_path, make_run(tmp_path, "live")).kill_file == tmp_path / "KILL"


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_run_is_still_found(tmp_path, text):
    """Whoever asks when something is wrong must be shown it; its folder tells the mode."""
    folder = make_run(tmp_path)
    (folder / "live.json").write_text(text, encoding="utf-8")

    assert find_run(tmp_path, None).mark == "PAPER"


def test_a_start_that_was_refused_is_no_run(tmp_path):
    """It left its lock and nothing else; the day's earlier run is still the one that is meant."""
    folder = make_run(tmp_path, day="2026-11-19")
    (tmp_path / "paper" / "TSLA" / "2026-11-20").mkdir()

    assert find_run(tmp_path, None).folder == folder


def test_no_run_is_told_with_where_was_looked(tmp_path):
    """And with the flags that name another place."""
    with pytest.raises(DataError, match="no run of TSLA is there") as refused:
        find_run(tmp_path, None, "TSLA")
    with pytest.raises(DataError, match="no run of `live`"):
        find_run(tmp_path, tmp_path)

    assert "--out" in refused.value.hint
