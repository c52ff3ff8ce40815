"""`scalpcli replay`, as a shell, a cron job and a CI run see it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import polars as pl

from scalpcli.model.decision import DECISION_FIELDS
from scalpcli.runtime.journal import EQUITY_COLUMNS, TRADE_COLUMNS
from tests.replay_samples import BLESSED, TAPE

JSON_TYPES = {
    "integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list, "object": dict,
    "null": type(None),
}  # fmt: skip


def test_json_holds_what_a_script_needs(replay):
    """One object with counts, result, digests, timings, memory and the run's folder."""
    found = replay(TAPE, "--format", "json").json

    assert found["rows"] == 120_000
    assert found["triggers"] >= 30
    assert found["trades"] >= 10
    assert len(found["refusals"]) >= 5
    assert set(found["timings_s"]) == {"read", "engine", "write", "total"}
    assert found["synthetic"] is True
    assert found["peak_rss_mb"] > 0
    assert len(found["decisions_digest"]) == len(found["tape_digest"]) == 64
    assert Path(found["run_dir"], "decisions.jsonl").is_file()


def test_the_run_folder_is_complete_and_adds_up(replay):
    """Journal, trades, equity and manifest agree, to the cent."""
    found = replay(TAPE, "--json").json
    run = Path(found["run_dir"])

    trades = pl.read_parquet(run / "trades.parquet")
    equity = pl.read_parquet(run / "equity.parquet")
    manifest = json.loads((run / "manifest.json").read_text())
    end = json.loads((run / "decisions.jsonl").read_text().splitlines()[-1])

    assert dict(trades.schema) == TRADE_COLUMNS
    assert dict(equity.schema) == EQUITY_COLUMNS
    assert end["kind"] == "session_end"
    assert round(trades["net_pnl_usd"].sum(), 2) == end["net_e4"] / 1e4 == found["net_pnl_usd"]
    assert equity["equity_usd"][-1] == end["equity_e4"] / 1e4
    assert manifest["decisions_digest"] == found["decisions_digest"]
    assert (run / "telemetry.jsonl").read_text().count("\n") == 1


def test_the_manifest_tells_how_to_make_the_run_again(replay):
    """Every setting, the code's version, each tape and its digest, the seed, counts and timings."""
    done = replay(TAPE, "-p", "simulated_broker.seed=3", "--until", "11:00", "--json")

    manifest = json.loads((done.run / "manifest.json").read_text())
    (session,) = manifest["sessions"]
    assert set(manifest) == {
        "schema_version", "mode", "config", "config_digest", "code_version", "seed", "sessions", "decisions_digest",
        "counts", "timings_s", "peak_rss_mb", "created_utc", "command",
    }  # fmt: skip
    assert set(manifest["counts"]) == {"rows", "triggers", "signals", "orders", "fills", "trades"}
    assert manifest["seed"] == manifest["config"]["simulated_broker"]["seed"] == 3
    assert manifest["config_digest"] == done.json["config_digest"] == done.records[0]["config_digest"]
    assert session["tape_digest"] == json.loads((TAPE / "manifest.json").read_text())["rows_digest"]
    assert session["tape"] == str(TAPE)
    assert {name: manifest["counts"][name] for name in ("rows", "trades")} == {
        name: done.json[name] for name in ("rows", "trades")
    }
    assert manifest["command"][:2] == ["scalpcli replay", str(TAPE)]
    assert manifest["command"][manifest["command"].index("--until") :][:2] == ["--until", "11:00"]


def test_the_digest_is_of_the_journals_bytes(replay):
    """Anyone can compute it with sha256sum."""
    done = replay(TAPE, "--json")

    digest = hashlib.sha256((done.run / "decisions.jsonl").read_bytes()).hexdigest()

    assert done.json["decisions_digest"] == digest == hashlib.sha256(BLESSED.read_bytes()).hexdigest()


def test_the_time_of_writing_is_in_the_run_as_in_what_is_printed(replay):
    """The total counts all of it; a written figure that was never measured would be believed."""
    done = replay(TAPE, "--until", "10:00", "--json")

    written = json.loads((done.run / "manifest.json").read_text())["timings_s"]
    assert written["write"] > 0
    assert written["total"] >= written["read"] + written["engine"] + written["write"]
    assert {name: round(value, 4) for name, value in written.items()} == done.json["timings_s"]


def test_every_record_is_as_the_schema_says(replay):
    """`replay --schema` names each kind's fields and their types; the journal has exactly those."""
    schema = replay("--schema", demo=False).json
    run = Path(replay(TAPE, "--json").json["run_dir"])

    kinds = {kind["title"]: kind for kind in schema["oneOf"]}
    fields = {title: set(kind["required"]) for title, kind in kinds.items()}
    records = [json.loads(line) for line in (run / "decisions.jsonl").read_text().splitlines()]

    assert set(fields) == set(DECISION_FIELDS)
    assert [record["n"] for record in records] == list(range(len(records)))
    assert [record for record in records if set(record) != fields[record["kind"]]] == []
    assert [name for record in records for name in wrong_fields(record, kinds[record["kind"]])] == []
    assert len({record["kind"] for record in records}) >= 15


def wrong_fields(record: dict[str, Any], kind: dict[str, Any]) -> list[str]:
    """Fields of a record whose type or constant is not the schema's."""
    wrong = []
    for name, value in record.items():
        about = kind["properties"][name]
        if "const" in about:
            is_right = value == about["const"]
        else:
            names = [about["type"]] if isinstance(about["type"], str) else about["type"]
            # A truth value is an int in Python, and a number in no schema.
            is_right = any(isinstance(value, JSON_TYPES[each]) for each in names) and (
                not isinstance(value, bool) or "boolean" in names
            )
        if not is_right:
            wrong.append(f"{record['kind']}.{name} = {value!r}")
    return wrong


def test_data_goes_to_stdout_and_words_to_stderr(replay):
    """A table of trades on stdout; timings and the folder are words."""
    done = replay(TAPE)

    assert "SYNTHETIC" in done.out
    assert "triggers" in done.out
    assert "run in" not in done.out
    assert "run in" in done.err
    assert max(map(len, done.out.splitlines()[:-1])) <= 80


def test_quiet_leaves_only_data(replay):
    """A cron job mails whatever is on stderr."""
    done = replay(TAPE, "-q")

    assert done.err == ""
    assert "triggers" in done.out


def test_csv_and_json_lines_are_the_trades(replay):
    """A row each, with every column of `trades.parquet`."""
    run = replay(TAPE, "--json").run
    trades = pl.read_parquet(run / "trades.parquet")

    rows = list(csv.DictReader(io.StringIO(replay(TAPE, "--format", "csv").out)))
    lines = [json.loads(line) for line in replay(TAPE, "--format", "jsonl").out.splitlines()]

    assert list(rows[0]) == list(lines[0]) == list(TRADE_COLUMNS)
    assert [row["option_symbol"] for row in rows] == trades["option_symbol"].to_list()
    assert [float(row["net_pnl_usd"]) for row in rows] == trades["net_pnl_usd"].to_list()
    assert [line["net_pnl_usd"] for line in lines] == trades["net_pnl_usd"].to_list()


def test_a_session_without_trades_has_a_head_in_csv_and_says_so_in_a_table(replay):
    """A script that reads columns finds them; a person is not left with an empty screen."""
    rows = replay(TAPE, "--triggers-only", "--format", "csv").out
    table = replay(TAPE, "--triggers-only").out

    assert rows == ",".join(TRADE_COLUMNS) + "\n"
    assert "nothing to show" in table
    assert ", 0 trades, net 0.00 USD" in table


def test_the_trace_has_a_row_an_instant(replay, tmp_path):
    """117,000 instants of 200 ms from open to close; unknown is null, never zero."""
    file = tmp_path / "trace.parquet"

    replay(TAPE, "--trace", file, "--triggers-only")

    trace = pl.read_parquet(file)
    assert set(trace.columns) == {
        *("ts_ns", "price", "velocity_5_pct", "velocity_15_pct", "velocity_30_pct", "velocity_60_pct"),
        *("vwap", "sigma", "volume_ratio", "session_high", "session_low"),
    }
    assert trace.height == 117_000
    assert trace["ts_ns"].diff().drop_nulls().unique().to_list() == [200_000_000]
    assert trace["volume_ratio"].head(1000).null_count() == 1000
    assert trace["price"].null_count() < 100


def test_until_ends_the_session_there(replay):
    """Nothing is decided after the time that was asked for."""
    run = Path(replay(TAPE, "--until", "10:30", "--json").json["run_dir"])

    last = json.loads((run / "decisions.jsonl").read_text().splitlines()[-1])

    assert last["kind"] == "session_end"
    assert last["ts_ns"] == 1_795_188_600_000_000_000  # 2026-11-20 10:30 New York


def test_the_trace_ends_where_the_replay_ends(replay, tmp_path):
    """`--until` is the end of everything that is written."""
    file = tmp_path / "trace.parquet"

    replay(TAPE, "--trace", file, "--until", "09:40")

    trace = pl.read_parquet(file)
    assert trace.height == 10 * 60 * 5
    assert trace["ts_ns"][-1] == 1_795_185_600_000_000_000  # 2026-11-20 09:40 New York


def test_until_decides_like_the_whole_session_up_to_there(replay):
    """What comes later changes nothing; the lines up to the end are those of the whole session."""
    part = (replay(TAPE, "--until", "11:30", "--json").run / "decisions.jsonl").read_bytes().splitlines()

    # The last line is the sum, and what is still offered at the end is written off there.
    decided = [line for line in part if json.loads(line)["ts_ns"] < 1_795_192_200_000_000_000]
    assert len(decided) > 50
    assert decided == BLESSED.read_bytes().splitlines()[: len(decided)]


def test_triggers_only_writes_triggers_and_nothing_that_follows(replay):
    """The same triggers as a whole replay of the example, none refused, none traded."""
    done = replay(TAPE, "--triggers-only", "--json")

    whole = [json.loads(line) for line in BLESSED.read_text().splitlines()]
    triggers = [record for record in done.records if record["kind"] == "trigger"]
    numberless = [{name: value for name, value in record.items() if name != "n"} for record in whole + triggers]
    assert numberless[len(whole) :] == [record for record in numberless[: len(whole)] if record["kind"] == "trigger"]
    assert {record["kind"] for record in done.records} <= {"session", "trigger", "gap", "halt", "session_end"}
    assert done.json["refusals"] == {}


def test_speed_paces_a_replay_and_changes_nothing_else(replay):
    """Five minutes before the open and one after it take 360 s / 1,200 = 0.3 s."""
    fast = replay(TAPE, "--until", "09:31", "--json")
    paced = replay(TAPE, "--until", "09:31", "--speed", "1200", "--json")

    # The tape's first row comes half a minute into the five.
    assert paced.json["timings_s"]["total"] >= 0.2
    assert paced.json["decisions_digest"] == fast.json["decisions_digest"]


def test_min_quality_refuses_a_tape_with_too_little(replay, tmp_path):
    """The example covers 99.56 percent of its session."""
    refused = replay(TAPE, "--min-quality", "99.6")

    assert refused.code == 4
    assert refused.err == (
        "error: the tape covers 99.6 percent of its session, below the limit: 99.6\n"
        f"  in `{TAPE}`\n\nhint: look at it with `scalpcli tape info`, or lower --min-quality\n"
    )
    assert not (tmp_path / "runs").exists()
    assert replay(TAPE, "--min-quality", "99.5", "--until", "09:40").code == 0


def test_no_key_reaches_an_output(replay, monkeypatch):
    """A canary in every secret's variable appears in no output and no file of the run (law 10)."""
    canary = "CANARY" + "7" * 12
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "ORATS_TOKEN"):
        monkeypatch.setenv(name, canary)

    done = replay(TAPE, "--json", "-v")
    failed = replay(TAPE, "--gaps", "fail", "-v")

    tables = [pl.read_parquet(path).write_csv() for path in done.run.glob("*.parquet")]
    texts = [path.read_text() for path in done.run.glob("*.json*")]
    texts += [done.out, done.err, failed.out, failed.err, *tables]
    assert len(texts) == 9
    assert [text for text in texts if canary in text] == []


def test_replay_needs_no_network(replay, monkeypatch):
    """No socket is opened."""

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)

    done = replay(TAPE)

    assert done.code == 0, done.err


def test_indicative_quotes_are_labelled(replay, tmp_path):
    """Fills against quotes that the vendor changed must not pass for fills at the NBBO."""
    tape = tmp_path / "tapes" / "TSLA" / "2026-11-20"
    shutil.copytree(TAPE, tape)
    manifest = json.loads((tape / "manifest.json").read_text())
    manifest["feeds"]["options"] = "alpaca indicative, not the NBBO"
    (tape / "manifest.json").write_text(json.dumps(manifest))

    done = replay(tape)

    assert "INDICATIVE option quotes, not the NBBO" in done.out
