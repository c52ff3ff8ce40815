"""`scalpcli tape synth` as a shell sees it."""

from __future__ import annotations

import json

import pytest

from scalpcli.cli import app
from scalpcli.runtime.tape import Tape


def run(*arguments: str) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        app(list(arguments))
    return int(left.value.code or 0)


def test_the_command_writes_a_tape_and_prints_what_it_holds(tmp_path, capsys):
    """Every argument reaches the generator, data goes to stdout and words to stderr."""
    arguments = ["--rows", "5000", "--contracts", "6", "--seed", "7", "--minutes", "15", "--bursts", "3", "--json"]

    code = run("tape", "synth", str(tmp_path), "--date", "2026-11-20", *arguments)

    printed = capsys.readouterr()
    found = json.loads(printed.out)
    tape = Tape.open(tmp_path / "TSLA" / "2026-11-20")
    assert code == 0
    assert found["rows"] == tape.manifest.rows == 5000
    assert found["tape_digest"] == tape.manifest.rows_digest
    assert found["synthetic"] is True
    assert (found["contracts"], found["seed"]) == (6, 7)
    assert (tape.manifest.source["arguments"]["minutes"], tape.manifest.source["arguments"]["bursts"]) == (15, 3)
    assert "wrote 5,000 synthetic rows of TSLA 2026-11-20" in printed.err


def test_early_close_takes_the_next_short_session(tmp_path, capsys):
    """No one has to know the calendar to get a half day; the choice is said."""
    code = run("tape", "synth", str(tmp_path), "--date", "2026-11-20", "--early-close", "--rows", "2000")

    assert code == 0
    assert Tape.open(tmp_path).session.is_early_close
    assert "the first session from 2026-11-20 on that closes early is 2026-11-27" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (["--date", "20 November"], 2, "`--date 20 November` is not a day"),
        (["--date", "2026-11-26"], 4, "2026-11-26 is a holiday"),
        (["--date", "2026-11-20", "--rows", "10"], 2, "`--rows` is 10, below its limit: 1000"),
        (["--date", "2035-01-02"], 4, "the trading calendar does not know 2035-01-02"),
    ],
    ids=["not a day", "holiday", "few rows", "beyond the calendar"],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(tmp_path, capsys, arguments, code, found):
    """One message with the documented exit code; no half-written folder."""
    left = run("tape", "synth", str(tmp_path / "tapes"), *arguments)

    assert left == code
    assert found in capsys.readouterr().err
    assert not (tmp_path / "tapes").exists()
