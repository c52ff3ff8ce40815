"""Which folders are runs, and what a damaged one is told."""

from __future__ import annotations

import json

import polars as pl
import pytest
from inline_snapshot import snapshot

from scalpcli.errors import DataError
from scalpcli.model.decision import DECISION_FIELDS
from scalpcli.report import load as loading
from scalpcli.report import runs
from scalpcli.report.funnel import Step, gates, read_journal, total
from scalpcli.report.load import load
from scalpcli.report.runs import find_runs
from scalpcli.runtime.journal import EQUITY_COLUMNS, TRADE_COLUMNS
from scalpcli.runtime.run_folder import RUN_SCHEMA_VERSION
from tests.report_builder import BREAKOUT, BURST, RunBuilder, record


@pytest.fixture
def run(tmp_path):
    """A run with one session of one trade, not yet written."""
    run = RunBuilder(tmp_path / "runs")
    run.session().trade(5.0)
    return run


def refused(*paths):
    with pytest.raises(DataError) as caught:
        load(paths)
    assert caught.value.exit_code == 4
    return caught.value


def test_the_report_reads_what_the_runner_writes():
    """Names and types of the columns, and the version, are the writer's."""
    assert loading.TRADE_COLUMNS.items() <= TRADE_COLUMNS.items()
    assert {"session", "equity_usd", "event"} <= EQUITY_COLUMNS.keys()
    assert runs.RUN_SCHEMA_VERSION == RUN_SCHEMA_VERSION


@pytest.mark.parametrize("kind", DECISION_FIELDS)
def test_built_records_hold_every_field_of_their_kind(kind):
    """The builder of these tests writes what the journal's schema asks for."""
    assert record(kind).keys() == {"kind"} | DECISION_FIELDS[kind].keys()


def test_without_a_name_the_latest_run_is_meant(tmp_path):
    """Latest by when it was made; names only break ties."""
    for name, made in (("a", "2026-11-20T10:00:00"), ("b", "2026-11-21T10:00:00"), ("c", "2026-11-19T10:00:00")):
        run = RunBuilder(tmp_path / "runs", name, made)
        run.session()
        run.write()

    found = find_runs([], str(tmp_path / "runs"))

    assert [path.name for path in found] == ["b"]


def test_a_root_a_glob_and_a_run_each_name_runs_once(tmp_path, run):
    """What is named twice is read once; files and runs in the making are passed over."""
    first = run.write()
    other = RunBuilder(tmp_path / "runs", "second")
    other.session()
    second = other.write()
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    (tmp_path / "runs" / ".run-x").mkdir()
    for file in ("manifest.json", "decisions.jsonl"):
        (tmp_path / "runs" / ".run-x" / file).write_text("{}")

    root = find_runs([str(tmp_path / "runs")])
    glob = find_runs([str(tmp_path / "runs" / "*")])
    both = find_runs([str(second), str(tmp_path / "ru*"), str(first)])

    assert root == glob == [first, second]
    assert both == [second, first]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("absent", "no run at `"), ("ab*ent", "no run at `"), ("empty", "` holds no run"), ("file", "` is a file, not a")],
)
def test_what_names_no_run_is_told(tmp_path, pattern, found):
    """Nothing there, nothing in it, or not a folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")

    with pytest.raises(DataError, match=found) as caught:
        find_runs([str(tmp_path / pattern)])

    assert "scalpcli replay TAPE" in caught.value.hint


def test_no_run_at_all_is_told():
    """The first `report` of a newcomer, before any replay."""
    with pytest.raises(DataError) as caught:
        find_runs([], "runs-of-nobody")

    assert caught.value.render() == snapshot("""\
error: there is no run in `runs-of-nobody`

hint: name a run folder, or write one: `scalpcli replay TAPE`\
""")


@pytest.mark.parametrize("file", ["manifest.json", "decisions.jsonl", "trades.parquet", "equity.parquet"])
def test_a_missing_file_is_named(run, file):
    """Whoever cleaned up a run folder learns what is gone."""
    path = run.write()
    (path / file).unlink()

    error = refused(path)

    assert file in error.place
    assert error.hint == "replay the tape again, or restore the folder from a copy"


@pytest.mark.parametrize("file", ["manifest.json", "decisions.jsonl", "trades.parquet", "equity.parquet"])
def test_a_truncated_file_is_named(run, file):
    """Half of a file is no file."""
    path = run.write()
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])

    error = refused(path)

    assert file in error.place


def test_a_damaged_record_is_told_with_its_line(run):
    """The third record lost its end."""
    path = run.write()
    lines = (path / "decisions.jsonl").read_text().splitlines()
    lines[2] = lines[2][:-10]
    (path / "decisions.jsonl").write_text("\n".join(lines) + "\n")

    error = refused(path)

    assert error.found == "a record of the journal is not JSON"
    assert error.place.endswith("decisions.jsonl`, line 3")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"n":0,"ts_ns":1,"kind":"trigger"}', "lacks a field of its kind: 'trigger'"),
        ('["kind"]', "has no `kind`"),
        ("{}", "has no `kind`"),
        ("", "is not JSON"),
    ],
)
def test_a_record_of_another_shape_is_refused(run, line, found):
    """A journal is either whole or not reported."""
    path = run.write()
    with (path / "decisions.jsonl").open("a") as file:
        file.write(line + "\n")

    error = refused(path)

    assert error.found == f"a record of the journal {found}"


def test_a_journal_must_begin_with_its_session(run):
    """Decisions of nobody's day are not counted to somebody's."""
    run.sessions[0].records.insert(0, run.sessions[0].records[1])

    error = refused(run.write())

    assert error.found == "a record of the journal stands before any `session` record"


def test_files_that_tell_of_different_sessions_are_refused(tmp_path, run):
    """A folder patched together from two runs adds up to nothing."""
    path = run.write()
    other = RunBuilder(tmp_path, "other")
    other.session("2026-11-19").trade(5.0)
    stranger = other.write()
    told = []
    for file in ("decisions.jsonl", "equity.parquet", "trades.parquet"):
        original = (path / file).read_bytes()
        (path / file).write_bytes((stranger / file).read_bytes())
        told.append(refused(path).found)
        (path / file).write_bytes(original)

    assert told == snapshot(
        [
            "the journal tells of TSLA 2026-11-19, the manifest of TSLA 2026-11-20",
            "the equity curve has 1 sessions (2026-11-19), the manifest 1 (2026-11-20)",
            "a trade of TSLA 2026-11-19 stands where TSLA 2026-11-20 should",
        ]
    )


def test_trades_that_are_not_the_journals_are_refused(run):
    """One was lost, or added by hand."""
    run.sessions[0].trades.clear()

    error = refused(run.write())

    assert error.found == "`trades.parquet` has 0 trades, the journal 1"


def test_one_session_twice_in_a_run_keeps_its_trades_apart(tmp_path):
    """Two tapes of one day, replayed together: each session has its own trades."""
    run = RunBuilder(tmp_path)
    run.session()
    run.session().trade(5.0)

    results = load([run.write()])

    assert [len(session.trades) for session in results.sessions] == [0, 1]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"schema_version": 999}, "the run has schema version 999; this scalpcli reads versions up to 1"),
        ({"schema_version": None}, "the run's manifest has no `schema_version`"),
        ({"sessions": []}, "the run's manifest names no session"),
        ({"sessions": ["TSLA"]}, "a session of the run's manifest is no object"),
        ({"sessions": [{"symbol": "TSLA"}]}, "`session` of a session of the run's manifest is missing"),
        ({"mode": 7}, "`mode` of the run's manifest is 7, not of type str"),
    ],
)
def test_a_manifest_of_another_shape_is_refused(run, change, found):
    """Also a newer one: guessing at what it means would be worse."""
    path = run.write()
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | change))

    assert refused(path).found == found


def test_a_newer_journal_is_refused(run):
    """Its records may mean something else."""
    run.sessions[0].records[0]["schema_version"] = 999

    error = refused(run.write())

    assert error.found == "the journal has schema version 999; this scalpcli reads versions up to 1"


def test_a_table_of_another_shape_is_refused(run):
    """Named by its first column that is missing."""
    path = run.write()
    pl.DataFrame({"price": [1.0]}).write_parquet(path / "trades.parquet")

    assert refused(path).found == "`trades.parquet` has no column `session`"


def test_counts_are_kept_by_trigger_side_and_gate(tmp_path):
    """Orders and fills go back to the trigger of their signal."""
    run = RunBuilder(tmp_path)
    session = run.session()
    session.trade(5.0, trigger=BREAKOUT, side="put")
    for gate in ("spread", "cooldown"):
        episode = session.trigger(BURST)
        session.refusal(episode, "spread")
        session.missed(episode, gate)

    (tally,) = read_journal(run.write() / "decisions.jsonl")

    assert tally.counts[Step("trigger", BURST, "call")] == 2
    assert tally.counts[Step("refusal", BURST, "call", "spread")] == 2
    assert tally.counts[Step("entered", BREAKOUT, "put")] == 1
    assert tally.counts[Step("exit_fill", BREAKOUT, "put")] == 1
    assert gates(tally.counts) == ["spread"]
    assert gates(tally.counts, "missed") == ["cooldown", "spread"]
    assert total(tally.counts, "trigger") == 3
    assert total(tally.counts, "missed", trigger=BURST, gate="cooldown") == 1


def test_partial_fills_enter_a_signal_once(tmp_path):
    """Three fills of one entry are three fills and one entry."""
    run = RunBuilder(tmp_path)
    session = run.session()
    signal = session.signal(session.trigger())
    session.order(signal)
    for _ in range(3):
        session.fill(signal)

    (tally,) = read_journal(run.write() / "decisions.jsonl")

    assert total(tally.counts, "entry_fill") == 3
    assert total(tally.counts, "entered") == 1


def test_signal_numbers_start_anew_with_each_session(tmp_path):
    """Signal 0 of the second day belongs to the second day's trigger."""
    run = RunBuilder(tmp_path)
    run.session("2026-11-19").trade(5.0, trigger=BURST)
    run.session("2026-11-20").trade(5.0, trigger=BREAKOUT)

    tallies = read_journal(run.write() / "decisions.jsonl")

    assert [tally.day for tally in tallies] == ["2026-11-19", "2026-11-20"]
    assert total(tallies[1].counts, "entry_fill", trigger=BREAKOUT) == 1
    assert total(tallies[1].counts, "entry_fill", trigger=BURST) == 0
