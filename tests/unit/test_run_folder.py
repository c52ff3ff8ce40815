"""The run's folder: whole or not at all, never on top of another."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json

import polars as pl
import pytest

from scalpcli.model.params import Params
from scalpcli.runtime import clock
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.journal import EQUITY_COLUMNS, TRADE_COLUMNS
from scalpcli.runtime.replay import ReplayOptions, replay_session
from scalpcli.runtime.run_folder import decisions_digest, replace_file, run_manifest, tape_digest, write_run
from tests.replay_samples import TAPE

NOW = dt.datetime(2026, 11, 24, 20, 15, 30, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def result():
    """The example's first half hour."""
    return replay_session(TAPE, Params(), (), load_kernel(), ReplayOptions(until="10:00"))


@pytest.fixture
def manifest(result):
    """The manifest of a run of that one session."""
    return manifest_of([result])


def manifest_of(results):
    facts = {"mode": "replay", "command": [], "timings_s": {"read": 0.1, "engine": 0.2, "total": 0.5}, "peak_rss_mb": 1}
    return run_manifest(results, Params(), facts)


def test_a_run_is_named_by_its_second_and_its_digest(tmp_path, monkeypatch, result, manifest):
    """Sorted by name, runs stand in order of time; equal results are told apart from others at a glance."""
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)

    path = write_run(tmp_path / "runs", [result], manifest)

    assert path == tmp_path / "runs" / f"20261124T201530Z-{decisions_digest([result])[:8]}"
    assert path.stat().st_mode & 0o777 == 0o755


def test_runs_of_one_second_stand_side_by_side(tmp_path, monkeypatch, result, manifest):
    """No run replaces another, not even one that decided the same."""
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)

    paths = [write_run(tmp_path, [result], manifest) for _ in range(3)]

    assert [path.name.removeprefix(paths[0].name) for path in paths] == ["", "-2", "-3"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all((path / "decisions.jsonl").read_bytes() == result.decisions for path in paths)


@pytest.mark.parametrize("broken", ["write_parquet", "rename"])
def test_a_run_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch, result, manifest, broken):
    """Neither a folder half filled nor a hidden one."""

    def refuse(*_arguments, **_options):
        raise OSError("no room")

    monkeypatch.setattr(pl.DataFrame if broken == "write_parquet" else type(tmp_path), broken, refuse)

    with pytest.raises(OSError, match="no room"):
        write_run(tmp_path, [result], manifest)

    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch, result, manifest):
    """Ctrl-C while the tables are written."""

    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path, [result], manifest)

    assert list(tmp_path.iterdir()) == []


def test_the_time_of_writing_is_added_before_the_manifest_is_written(tmp_path, result, manifest):
    """The figures on disk are those that are printed."""
    path = write_run(tmp_path, [result], manifest)

    timings_s = json.loads((path / "manifest.json").read_text())["timings_s"]
    assert timings_s == manifest["timings_s"]
    assert timings_s["write"] > 0
    assert timings_s["total"] == pytest.approx(0.5 + timings_s["write"])


def test_tables_without_a_row_have_their_columns(tmp_path, result, manifest):
    """A session without trades is read like any other."""
    quiet = dataclasses.replace(
        result, trades=pl.DataFrame(schema=TRADE_COLUMNS), equity=pl.DataFrame(schema=EQUITY_COLUMNS)
    )

    path = write_run(tmp_path, [quiet], manifest)

    assert dict(pl.read_parquet_schema(path / "trades.parquet")) == TRADE_COLUMNS
    assert dict(pl.read_parquet_schema(path / "equity.parquet")) == EQUITY_COLUMNS


def test_a_session_has_a_line_of_telemetry(tmp_path, result):
    """Timings stand there and in the manifest, never in the journal (definitions, section 9)."""
    path = write_run(tmp_path, [result, result], manifest_of([result, result]))

    lines = [json.loads(line) for line in (path / "telemetry.jsonl").read_text().splitlines()]
    assert [(line["session"], line["rows"]) for line in lines] == [("2026-11-20", result.rows)] * 2
    assert all(line["total"] >= line["engine"] > 0 for line in lines)


def test_counts_add_up_over_sessions(result):
    """Two sessions, twice the counts."""
    one, two = manifest_of([result])["counts"], manifest_of([result, result])["counts"]

    assert one["triggers"] > 0
    assert one["fills"] > 0
    assert two == {name: 2 * count for name, count in one.items()}


def test_digests_are_of_what_stands_on_disk(tmp_path, result):
    """The journal's bytes; of several tapes, their digests in order."""
    other = dataclasses.replace(result, tape_digest="f" * 64)
    path = write_run(tmp_path, [result, other], manifest_of([result, other]))

    journal = hashlib.sha256((path / "decisions.jsonl").read_bytes()).hexdigest()
    assert json.loads((path / "manifest.json").read_text())["decisions_digest"] == journal
    assert tape_digest([result]) == result.tape_digest
    assert tape_digest([result, other]) == hashlib.sha256(f"{result.tape_digest}\n{'f' * 64}".encode()).hexdigest()
    assert tape_digest([other, result]) != tape_digest([result, other])


def test_a_file_is_replaced_whole(tmp_path):
    """The old content stands until the new one is complete."""
    file = tmp_path / "blessed.jsonl"
    file.write_text("old")
    seen = []

    def write(work):
        work.write_text("new")
        seen.append(file.read_text())

    replace_file(file, write)

    assert seen == ["old"]
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    """A trace or a blessing that failed half way must not pass for one."""
    file = tmp_path / "blessed.jsonl"
    file.write_text("old")

    def write(work):
        work.write_text("half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        replace_file(file, write)

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
