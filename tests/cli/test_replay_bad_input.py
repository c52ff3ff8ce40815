"""What `scalpcli replay` says when places, settings or days cannot be meant; honest refusals of odd markets."""

from __future__ import annotations

import errno
import re

import polars as pl
import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.model.row import OPTION_QUOTE, STOCK_QUOTE
from tests.replay_samples import TAPE, copy_of, runs_of
from tests.tape_samples import NOTES, forge, put, small_rows, write

ROW = 1500


PLACES = {
    "nothing there": ("none", "error: `none` does not exist\n"),
    "a file": ("file", "error: `file` is a file; a tape is a folder\n"),
    "an empty folder": ("empty", "error: there is no tape in `empty`\n"),
}


@pytest.mark.parametrize(("place", "told"), PLACES.values(), ids=list(PLACES))
def test_a_place_without_a_tape_is_told(replay, tmp_path, monkeypatch, place, told):
    """Exit 4, what is there instead, and what a tape is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()

    done = replay(place)

    assert done.code == 4
    assert done.err.startswith(told)
    assert "hint: " in done.err
    assert not (tmp_path / "runs").exists()


def test_naming_no_tape_is_a_wrong_command_line(replay):
    """Exit 2."""
    done = replay()

    assert done.code == 2
    assert done.err == snapshot("""\
error: invalid value for TAPES: name at least one tape
  in `scalpcli replay`

hint: `scalpcli replay --help` shows what it takes
""")


@pytest.mark.parametrize(("kind", "gate"), [(OPTION_QUOTE, "option_quote"), (STOCK_QUOTE, "underlying_quote")])
def test_crossed_quotes_are_played_and_refused(replay, tmp_path, kind, gate):
    """Markets do cross: the tape takes them, the engine buys on none of them (law 7)."""
    tape = copy_of(TAPE, tmp_path)
    is_crossed = pl.col("kind") == kind
    forge(
        tape,
        lambda rows: rows.with_columns(
            pl.when(is_crossed).then("ask_e4").otherwise("price_e4").alias("price_e4"),
            pl.when(is_crossed).then("price_e4").otherwise("ask_e4").alias("ask_e4"),
        ),
    )

    done = replay(tape, "--json")

    assert done.code == 0, done.err
    assert done.json["trades"] == done.json["signals"] == 0
    assert done.json["refusals"][gate] > 20


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


@pytest.fixture
def old_tape(tmp_path):
    """A session of 2013, long before the fee table."""
    csv = tmp_path / "trades.csv"
    csv.write_text("ts,price,size,exchange,conditions\n2013-10-08T14:00:00Z,180.25,100,Q,@\n")
    words = ("tape", "import", str(tmp_path / "t"), "--symbol", "IBM", "--date", "2013-10-08", "--trades", str(csv))
    done = CliRunner().invoke(app, [*words, "--profile", "ticks", "--map", "trades.ts=ts:iso", "-q"])
    assert done.exit_code == 0, done.stderr
    return tmp_path / "t"


def test_days_outside_the_fee_table_say_what_to_write(replay, old_tape, tmp_path):
    """2013 has no fees here: exit 4 names both ways out."""
    refused = replay(old_tape)

    assert refused.code == 4
    assert refused.err == snapshot("""\
error: the fee table has no rates for 2013-10-08; it covers 2026-07-20 to 2026-12-31
  in fees of the session 2013-10-08

hint: replay without fees (`--fees none`) or with the rates of a covered day (`--fees-as-of 2026-07-20`)
""")
    assert runs_of(tmp_path) == []


@pytest.mark.parametrize("words", [("--fees", "none"), ("--fees-as-of", "2026-11-20"), ("--triggers-only",)])
def test_each_way_out_of_the_fee_table_works(replay, old_tape, words):
    """No fees, the fees of a covered day, or no orders."""
    assert replay(old_tape, *words).code == 0


def test_gaps_may_fail_a_replay(replay, tmp_path):
    """`--gaps fail` ends at the first gap with exit 4, names tape and row, and leaves nothing."""
    done = replay(TAPE, "--gaps", "fail")

    told = re.sub(r"received at \d+ ns", "received at N ns", done.err.replace(str(TAPE), "TAPE"))
    assert done.code == 4
    assert told == snapshot("""\
error: the tape has a gap on option_trades, option_quotes
  in `TAPE`, the row received at N ns

hint: accept it with `--gaps flatten` or `--gaps ignore`
""")
    assert not (tmp_path / "runs").exists()


BAD_SETTINGS = {
    "unknown": (
        ("-p", "scalp.momentum_treshold_pct=1"),
        snapshot("""\
error: unknown setting `scalp.momentum_treshold_pct`
  in flag `-p scalp.momentum_treshold_pct`

hint: the nearest is `scalp.momentum_threshold_pct`: percent in the window that makes a burst
"""),
    ),
    "unknown section": (
        ("-p", "scalps.stop_loss_pct=1"),
        snapshot("""\
error: unknown section `scalps`
  in flag `-p scalps.stop_loss_pct`

hint: the nearest section is [scalp]; `scalpcli config show` lists every setting
"""),
    ),
    "out of bounds": (
        ("-p", "scalp.stop_loss_pct=150"),
        snapshot("""\
error: `scalp.stop_loss_pct` is 150.0, above its limit: 100.0
  in flag `-p scalp.stop_loss_pct`

hint: write `-p scalp.stop_loss_pct=15.0`: stop, percent of the premium paid (above 0.0, at most 100.0)
"""),
    ),
    "not a number": (
        ("-p", "scalp.stop_loss_pct=nan"),
        snapshot("""\
error: `scalp.stop_loss_pct` is nan, not a finite number
  in flag `-p scalp.stop_loss_pct`

hint: write `-p scalp.stop_loss_pct=15.0`: stop, percent of the premium paid (above 0.0, at most 100.0)
"""),
    ),
    "wrong type": (
        ("-p", "scalp.max_daily_scalps=many"),
        snapshot("""\
error: `scalp.max_daily_scalps` is the text "many", not a whole number
  in flag `-p scalp.max_daily_scalps`

hint: write `-p scalp.max_daily_scalps=5`: scalps opened in one session at most: more are a fault, or a day to leave alone (at least 0, at most 10000)
"""),
    ),
    "no setting": (
        ("-p", "scalp.max_daily_scalps"),
        snapshot("""\
error: `-p scalp.max_daily_scalps` gives no value
  in flag `-p scalp.max_daily_scalps`

hint: write `-p scalp.max_daily_scalps=5`
"""),
    ),
    "contradiction": (
        ("-p", "selection.delta_min=0.5"),
        snapshot("""\
error: `selection.delta_min` is 0.5, above `selection.delta_max`: 0.4
  in flag `-p selection.delta_min`

hint: write `delta_min = 0.4` or less, or raise `selection.delta_max`

error: `scalp.target_delta` is 0.35, outside `selection.delta_min` to `selection.delta_max`: 0.5 to 0.4
  in flag `-p selection.delta_min`

hint: write `target_delta` inside them, or set `selection.delta_min` to 0.35 or beyond
"""),
    ),
    "fees": (
        ("--fees", "robinhood"),
        snapshot("""\
error: `fees.schedule` is the text "robinhood", not one of "alpaca", "none"
  in flag `--fees`

hint: write `--fees alpaca`: dated table of fees (one of "alpaca", "none")
"""),
    ),
    "fee day": (
        ("--fees-as-of", "yesterday"),
        snapshot("""\
error: `fees.as_of` is "yesterday", not a day
  in flag `--fees-as-of`

hint: write a day as YYYY-MM-DD, like `as_of = "2026-11-20"`, or leave it empty for the session's own day
"""),
    ),
    "gaps": (
        ("--gaps", "mind"),
        snapshot("""\
error: `replay.gaps` is the text "mind", not one of "fail", "flatten", "ignore"
  in flag `--gaps`

hint: write `--gaps flatten`: what a gap does: fail = exit 4, flatten = sell what is held, ignore = hold on (one of "fail", "flatten", "ignore")
"""),
    ),
    "quality": (
        ("--min-quality", "101"),
        snapshot("""\
error: `replay.min_quality` is 101.0, above its limit: 100.0
  in flag `--min-quality`

hint: write `--min-quality 0.0`: least coverage of the session, percent (at least 0.0, at most 100.0)
"""),
    ),
    "jobs": (
        ("--jobs", "0"),
        snapshot("""\
error: `replay.jobs` is 0, below its limit: 1
  in flag `--jobs`

hint: write `--jobs 1`: sessions replayed at one time (at least 1, at most 256)
"""),
    ),
    "latency": (
        ("--latency-ms", "-1"),
        snapshot("""\
error: `simulated_broker.order_latency_ms` is -1.0, below its limit: 0.0
  in flag `--latency-ms`

hint: write `--latency-ms 250.0`: milliseconds from decision until the order reaches the market (at least 0.0, at most 600000.0)
"""),
    ),
    "batch": (
        ("-p", "replay.batch_rows=0"),
        snapshot("""\
error: `replay.batch_rows` is 0, below its limit: 1
  in flag `-p replay.batch_rows`

hint: write `-p replay.batch_rows=65536`: rows handed to the engine at a time (at least 1, at most 16777216)
"""),
    ),
}


@pytest.mark.parametrize(("words", "told"), BAD_SETTINGS.values(), ids=list(BAD_SETTINGS))
def test_bad_settings_end_before_any_work(replay, tmp_path, words, told):
    """Exit 2: the setting, what was found, its limit, and a line to write instead."""
    done = replay(TAPE, *words)

    assert done.err == told
    assert done.code == 2
    assert done.out == ""
    assert not (tmp_path / "runs").exists()


LATENCIES = {
    "missing": None,
    "another column": "order_latency_ms,report_ms\n1,2\n",
    "empty": "order_latency_ms,report_latency_ms\n",
    "negative": "order_latency_ms,report_latency_ms\n1,-2\n",
    "absent": "order_latency_ms,report_latency_ms\n1,\n",
    "infinite": "order_latency_ms,report_latency_ms\n1,inf\n",
    "no number": "order_latency_ms,report_latency_ms\n1,fast\n",
}


@pytest.mark.parametrize("text", LATENCIES.values(), ids=list(LATENCIES))
def test_a_file_of_latencies_that_cannot_be_used_is_named(replay, tmp_path, text):
    """Exit 4, the file, and the columns it should have or the limit it broke."""
    file = tmp_path / "drawn.csv"
    if text is not None:
        file.write_text(text)

    done = replay(TAPE, "-p", f'simulated_broker.latency_file="{file}"')

    assert done.code == 4
    assert f"in `{file}`" in done.err
    assert re.search(r"latenc(y|ies) (is missing|cannot be read)", done.err)
    assert runs_of(tmp_path) == []


def test_one_bad_tape_among_many_leaves_no_part_of_a_run(replay, tmp_path):
    """Figures of the sessions before it would pass for all of them."""
    bad = write(tmp_path / "bad", small_rows(), NOTES)
    forge(bad, put(ROW, kind=9))

    done = replay(TAPE, bad)

    assert done.code == 4
    assert f"`{bad}/rows.parquet`, row {ROW}" in done.err
    assert runs_of(tmp_path) == []


def test_a_disk_that_refuses_leaves_no_half_of_a_run(replay, tmp_path, monkeypatch):
    """The folder appears whole or not at all."""

    def refuse(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device", "equity.parquet")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", refuse)

    done = replay(TAPE, "--until", "09:31")

    assert done.code == 1
    assert done.err.startswith("error: no space left on device: `equity.parquet`\n")
    assert runs_of(tmp_path) == []
