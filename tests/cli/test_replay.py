"""`scalpcli replay`, as a shell, a cron job and a CI run see it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.model.decision import DECISION_FIELDS
from scalpcli.runtime.journal import EQUITY_COLUMNS, TRADE_COLUMNS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TAPE = EXAMPLES / "tapes" / "TSLA" / "2026-11-20"
DEMO = str(EXAMPLES / "configs" / "demo.toml")
BLESSED = EXAMPLES / "blessed" / "decisions.jsonl"


@dataclass
class Done:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as an object."""
        return json.loads(self.out)


Replay = Callable[..., Done]


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Run `scalpcli replay` with the demo's settings, its runs below this test's folder."""

    def call(*arguments: Any, demo: bool = True) -> Done:
        settings = ["-c", DEMO] if demo else []
        result = CliRunner().invoke(app, ["replay", *map(str, arguments), *settings, "--out", str(tmp_path / "runs")])
        return Done(result.exit_code, result.stdout, result.stderr)

    return call


def runs_of(tmp_path: Path) -> list[Path]:
    """Whatever a replay left in its folder of runs, hidden files too."""
    folder = tmp_path / "runs"
    return list(folder.iterdir()) if folder.exists() else []


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


def test_every_record_is_as_the_schema_says(replay):
    """`replay --schema` names each kind's fields; the journal has exactly those."""
    schema = replay("--schema", demo=False).json
    run = Path(replay(TAPE, "--json").json["run_dir"])

    fields = {kind["title"]: set(kind["required"]) for kind in schema["oneOf"]}
    records = [json.loads(line) for line in (run / "decisions.jsonl").read_text().splitlines()]

    assert set(fields) == set(DECISION_FIELDS)
    assert [record["n"] for record in records] == list(range(len(records)))
    assert [record for record in records if set(record) != fields[record["kind"]]] == []


def test_data_goes_to_stdout_and_words_to_stderr(replay):
    """A table of trades on stdout; timings and the folder are words."""
    done = replay(TAPE)

    assert "SYNTHETIC" in done.out
    assert "triggers" in done.out
    assert "run in" not in done.out
    assert "run in" in done.err
    assert max(map(len, done.out.splitlines()[:-1])) <= 80


@pytest.mark.parametrize("rows", [1, 997, 200_000])
def test_check_passes_on_any_batch_size(replay, rows):
    """How the rows are cut changes no decision."""
    done = replay(TAPE, "-p", f"replay.batch_rows={rows}", "--check", BLESSED)

    assert done.code == 0, done.err
    assert "equal the blessed ones" in done.err


def test_two_jobs_decide_like_one(replay, tmp_path):
    """Processes of their own change nothing, not even the order of sessions."""
    other = tmp_path / "other"
    CliRunner().invoke(
        app, ["tape", "synth", str(other), "--date", "2026-11-20", "--rows", "30000", "--contracts", "10", "-q"]
    )

    alone = replay(TAPE, other, "--json").json
    together = replay(TAPE, other, "--jobs", 2, "--json").json

    assert alone["decisions_digest"] == together["decisions_digest"]
    assert alone["sessions"] == together["sessions"]
    assert alone["decisions_digest"] != replay(TAPE, "--json").json["decisions_digest"]


def test_check_shows_the_first_difference(replay, tmp_path):
    """A decision that moved is shown with its time, what it was and what it is now."""
    blessed = BLESSED.read_text().splitlines()
    number = next(index for index, line in enumerate(blessed) if '"kind":"signal"' in line)
    changed = json.loads(blessed[number])
    changed["suggested_contracts"] += 1
    file = tmp_path / "changed.jsonl"
    file.write_text("\n".join([*blessed[:number], json.dumps(changed), *blessed[number + 1 :]]) + "\n")

    done = replay(TAPE, "--check", file)

    assert done.code == 5
    assert f"decision {number + 1} " in done.err
    assert "suggested_contracts" in done.err
    assert str(changed["option_symbol"]) in done.err


def test_one_changed_tick_is_noticed(replay, tmp_path):
    """A price moved in a copy of the tape: the blessed decisions no longer come out."""
    tape = changed_tape(tmp_path)

    done = replay(tape, "--check", BLESSED)

    assert done.code == 5
    assert "is not the blessed one" in done.err


def changed_tape(tmp_path: Path) -> Path:
    """The example tape with one burst's prints 1 USD higher, written anew."""
    from scalpcli.model.params import TapeParams
    from scalpcli.model.row import COLUMNS
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_writer import TapeWriter

    tape = Tape.open(TAPE)
    trigger = next(json.loads(line) for line in BLESSED.read_text().splitlines() if '"kind":"trigger"' in line)
    notes = iter(tape.notes())
    with TapeWriter(
        tmp_path / "changed", "TSLA", tape.session.date, params=TapeParams(), synthetic=True, feeds={}, source={}
    ) as writer:
        writer.add_instruments(tape.instruments[1:])
        for text in tape.manifest.conditions[1:]:
            writer.condition_code(text)
        for text in tape.manifest.exchanges[1:]:
            writer.exchange_code(text)
        for columns in tape.batches(columns=tuple(COLUMNS)):
            block = {name: values.copy() for name, values in columns.items()}
            trades = (block["kind"] == 1) & (block["ts_recv_ns"] <= trigger["ts_ns"])
            last = trades.nonzero()[0]
            if len(last) and block["ts_recv_ns"][-1] > trigger["ts_ns"]:
                block["price_e4"][last[-40:]] += 10_000
            cold = int((block["kind"] == 8).sum())
            writer.append(block, [(note.kind, note.body) for note in islice(notes, cold)])
        return writer.seal()


def test_update_blesses_and_check_then_passes(replay, tmp_path):
    """`--update` writes the file that `--check` reads."""
    file = tmp_path / "mine.jsonl"

    blessed = replay(TAPE, "--check", file, "--update")
    checked = replay(TAPE, "--check", file)

    assert (blessed.code, checked.code) == (0, 0)
    assert file.read_bytes() == BLESSED.read_bytes()


def test_a_missing_blessed_file_says_how_to_make_one(replay, tmp_path):
    """There is nothing to compare with: exit 4 and the flag that blesses."""
    done = replay(TAPE, "--check", tmp_path / "none.jsonl")

    assert done.code == 4
    assert "--update" in done.err


def test_requirements_decide_the_exit_code(replay):
    """What holds passes, what falls short exits 5, what cannot be meant exits 2 before any work."""
    assert replay(TAPE, "--require", "trades>=10").code == 0
    short = replay(TAPE, "--require", "trades>=1000")
    wrong = replay(TAPE, "--require", "tradez>=1")

    assert short.code == 5
    assert "trades" in short.err
    assert wrong.code == 2
    assert "trades" in wrong.err


def test_the_lookahead_check_passes(replay):
    """Another future moves no decision of the past."""
    done = replay(TAPE, "--lookahead-check")

    assert done.code == 0, done.err
    assert "stood while" in done.err


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


def test_latency_and_settings_reach_the_market(replay):
    """Flag over -p over file; another setting gives another digest."""
    slow = replay(TAPE, "--latency-ms", 2000, "-p", "simulated_broker.order_latency_ms=1", "--json").json
    default = replay(TAPE, "--json").json

    run = json.loads(Path(slow["run_dir"], "manifest.json").read_text())
    assert run["config"]["simulated_broker"]["order_latency_ms"] == 2000
    assert slow["config_digest"] != default["config_digest"]
    assert slow["decisions_digest"] != default["decisions_digest"]


def test_a_tape_without_options_gives_refusals(replay, tmp_path):
    """No chain is no crash: every trigger is refused for want of one."""
    csv = tmp_path / "trades.csv"
    lines = [f"{1_795_185_000_000 + second * 1000},{400 + 0.1 * (second % 60):.2f},100,Q,@" for second in range(600)]
    csv.write_text("\n".join(["ts,price,size,exchange,conditions", *lines]) + "\n")
    imported = CliRunner().invoke(
        app,
        [
            *("tape", "import", str(tmp_path / "t"), "--symbol", "TSLA", "--date", "2026-11-20", "--trades", str(csv)),
            *("--profile", "ticks", "--map", "trades.ts=ts:ms", "-q"),
        ],
    )

    found = replay(tmp_path / "t", "-p", "scalp.volume_spike_ratio=0", "--json").json

    assert imported.exit_code == 0, imported.stderr
    assert found["triggers"] > 0
    assert found["trades"] == 0
    assert "option_silence" in found["refusals"]


def test_days_outside_the_fee_table_say_what_to_write(replay, shared, tmp_path):
    """2013 has no fees here: exit 4 names both ways out; triggers alone need none."""
    trades = shared / "data" / "equity_ticks_2013" / "ibm_20131008_trades.parquet"
    CliRunner().invoke(
        app,
        [
            *(
                "tape",
                "import",
                str(tmp_path / "t"),
                "--symbol",
                "IBM",
                "--date",
                "2013-10-08",
                "--trades",
                str(trades),
            ),
            *("--profile", "ticks", "-q"),
        ],
    )

    refused = replay(tmp_path / "t")

    assert refused.code == 4
    assert "--fees none" in refused.err
    assert "--fees-as-of" in refused.err
    assert replay(tmp_path / "t", "--fees", "none").code == 0
    assert replay(tmp_path / "t", "--triggers-only").code == 0


def test_gaps_may_fail_a_replay(replay, tmp_path):
    """`--gaps fail` ends at the first gap with exit 4 and leaves nothing."""
    done = replay(TAPE, "--gaps", "fail")

    assert done.code == 4
    assert "gap" in done.err
    assert runs_of(tmp_path) == []


BAD_SETTINGS = {
    "unknown": ("scalp.momentum_treshold_pct=1", "momentum_threshold_pct"),
    "out of bounds": ("scalp.stop_loss_pct=150", "100"),
    "not a number": ("scalp.stop_loss_pct=nan", "stop_loss_pct"),
}


@pytest.mark.parametrize(("text", "named"), BAD_SETTINGS.values(), ids=list(BAD_SETTINGS))
def test_bad_settings_end_before_any_work(replay, tmp_path, text, named):
    """Exit 2, the setting and its limit; nothing is written."""
    done = replay(TAPE, "-p", text)

    assert done.code == 2
    assert named in done.err
    assert runs_of(tmp_path) == []


def damaged(tmp_path: Path, damage: Callable[[Path], None]) -> Path:
    """A copy of the example tape after `damage`."""
    copy = tmp_path / "damaged"
    shutil.copytree(TAPE, copy)
    damage(copy)
    return copy


def _truncate(tape: Path) -> None:
    (tape / "rows.parquet").write_bytes((tape / "rows.parquet").read_bytes()[:1000])


def _flip(tape: Path) -> None:
    rows = bytearray((tape / "rows.parquet").read_bytes())
    rows[len(rows) // 2] ^= 1
    (tape / "rows.parquet").write_bytes(bytes(rows))


def _future(tape: Path) -> None:
    manifest = json.loads((tape / "manifest.json").read_text()) | {"schema_version": 999}
    (tape / "manifest.json").write_text(json.dumps(manifest))


def _unknown_session(tape: Path) -> None:
    manifest = json.loads((tape / "manifest.json").read_text()) | {"session": "2031-01-02"}
    (tape / "manifest.json").write_text(json.dumps(manifest))


def _other_shape(tape: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tape / "rows.parquet")
    manifest = json.loads((tape / "manifest.json").read_text())
    manifest["files"]["rows.parquet"]["bytes"] = (tape / "rows.parquet").stat().st_size
    (tape / "manifest.json").write_text(json.dumps(manifest))


DAMAGE = {
    "truncated": (_truncate, "cut off"),
    "flipped bit": (_flip, "tape verify"),
    "future schema": (_future, "999"),
    "unknown session": (_unknown_session, "2031"),
    "another shape": (_other_shape, "rows.parquet"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=list(DAMAGE))
def test_damaged_tapes_are_refused_and_leave_nothing(replay, tmp_path, damage, named):
    """Exit 4, one error that names what is wrong, no run folder, no traceback."""
    done = replay(damaged(tmp_path, damage))

    assert done.code == 4
    assert done.err.startswith("error: ")
    assert named in done.err
    assert "Traceback" not in done.err
    assert runs_of(tmp_path) == []


def test_an_absent_tape_is_named(replay, tmp_path):
    """Exit 4 and the path."""
    done = replay(tmp_path / "no-such-tape")

    assert done.code == 4
    assert "no-such-tape" in done.err


def test_no_key_reaches_an_output(replay, monkeypatch):
    """A canary in every secret's variable appears in no output and no file of the run (law 10)."""
    canary = "CANARY" + "7" * 12
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "ORATS_TOKEN"):
        monkeypatch.setenv(name, canary)

    done = replay(TAPE, "--json")

    texts = [
        done.out,
        done.err,
        *(path.read_bytes().decode("latin-1") for path in Path(done.json["run_dir"]).iterdir()),
    ]
    assert [text for text in texts if canary in text] == []


def test_replay_needs_no_network(replay, monkeypatch):
    """No socket is opened."""
    import socket

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)

    assert replay(TAPE).code == 0
