"""`scalpcli tape import`: from files of others to a sealed tape."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from scalpcli.cli import app
from scalpcli.cli.tape_import import EPILOG
from scalpcli.model.note import PREVIOUS_LEVELS, VOLUME_PROFILE
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLD, COLUMNS, LAST, RANGE, STOCK_TRADE, VOLUME
from scalpcli.model.session import session_of
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_writer import TapeWriter

SECOND = 1_000_000_000
DAYS = ("2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20")


@pytest.fixture
def run(capsys):
    """Call the command as a shell does; gives exit code, stdout and stderr."""

    def call(*args):
        with pytest.raises(SystemExit) as left:
            app(["tape", "import", *(str(arg) for arg in args)])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


def trades(path, day, *prints):
    """A CSV of prints: second after the open, price, size, conditions."""
    start = session_of(dt.date.fromisoformat(day)).open_ns
    lines = [f"{start + int(at * SECOND)},{price},{size},{codes}" for at, price, size, codes in prints]
    path.write_text("\n".join(["ts,price,size,conditions", *lines]) + "\n", encoding="utf-8")
    return path


def make_day(run, tmp_path, day, *prints, symbol="TSLA"):
    """A tape of a few prints."""
    file = trades(tmp_path / f"{symbol}-{day}.csv", day, *prints)
    code, _, err = run(tmp_path / "tapes", "--symbol", symbol, "--date", day, "--trades", file)
    assert code == 0, err
    return tmp_path / "tapes" / symbol / day


def rows_of(tape):
    return pl.concat([pl.DataFrame(batch) for batch in tape.batches(columns=list(COLUMNS))])


def test_real_ticks_become_a_tape(run, tmp_path, shared):
    """Counts, digests and dictionaries stand in the manifest, and the rows read back as they were."""
    folder = shared / "data" / "equity_ticks_2013"
    recorded = pl.read_parquet(folder / "ibm_20131008_trades.parquet")

    code, out, err = run(
        tmp_path,
        "--symbol=IBM",
        "--date=2013-10-08",
        f"--trades={folder / 'ibm_20131008_trades.parquet'}",
        f"--quotes={folder / 'ibm_20131008_quotes.parquet'}",
        "--format=json",
    )

    result = json.loads(out)
    tape = Tape.open(tmp_path)
    assert (code, result["rows"], result["bad_rows"]) == (0, 96_256, 0)
    assert result["counts"] == {"stock_trade": 33_381, "stock_quote": 62_875}
    assert err == f"wrote 96,256 rows of IBM 2013-10-08: {tmp_path}/IBM/2013-10-08\n"
    assert tape.manifest.source["recv_delay_ms"] == 0.0
    assert tape.manifest.feeds == {"stock": "imported ticks"}
    prints = rows_of(tape).filter(pl.col("kind") == STOCK_TRADE)
    assert [tape.manifest.conditions[code] for code in prints["conditions"]] == recorded["conditions"].to_list()
    assert [tape.manifest.exchanges[code] for code in prints["exchange"]] == recorded["exchange"].to_list()
    assert np.array_equal(prints["ts_event_ns"].to_numpy(), recorded["ts"].to_numpy())


def test_counters_reach_the_manifest(run, tmp_path, shared):
    """Falls of cumulative volume are found while the rows are written, and counted all the same."""
    file = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"

    code, _, _ = run(tmp_path, "--symbol=SPY", "--date=2026-07-31", "--profile=chain", f"--chain={file}")

    tape = Tape.open(tmp_path)
    assert code == 0
    assert tape.manifest.source["counters"]["volume_falls"] == 2
    assert tape.manifest.counts["price_only"] == 77
    assert len(tape.notes()) == tape.manifest.counts["cold"] == 77
    assert {note.body["source"] for note in tape.notes()} == {"option_chain_5m.parquet"}


def test_bad_rows_are_told_and_counted(run, tmp_path):
    """File, row number and reason go to stderr, the count to the result and the manifest."""
    file = trades(tmp_path / "t.csv", DAYS[0], (1, 400.0, 5, ""), (2, -1, 5, ""), (3, "nan", 5, ""))

    code, out, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[0]}", f"--trades={file}", "--json")

    assert code == 0
    assert "bad row: t.csv row 2: the price is negative (ts=" in err
    assert "bad row: t.csv row 3: the price is not a number (ts=" in err
    assert json.loads(out)["bad_rows"] == 2
    assert Tape.open(tmp_path / "o").manifest.source["counters"] == {"price_negative": 1, "price_not_finite": 1}


def test_strict_leaves_nothing_behind(run, tmp_path):
    """The first bad row ends the import with 4, before anything is written."""
    file = trades(tmp_path / "t.csv", DAYS[0], (1, 400.0, 5, ""), (2, 0, 5, ""))

    code, out, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[0]}", f"--trades={file}", "--strict")

    assert (code, out) == (4, "")
    assert "  in `t.csv`, row 2\n" in err
    assert not (tmp_path / "o").exists()


def test_an_import_that_fails_half_way_leaves_nothing_behind(run, tmp_path):
    """A receive time of another unit is found while writing; no folder stays."""
    file = tmp_path / "t.csv"
    open_ns = session_of(dt.date.fromisoformat(DAYS[0])).open_ns
    file.write_text(
        f"ts,seen,price,size\n{open_ns},{open_ns},1,1\n{open_ns},{open_ns // 10**6},1,1\n", encoding="utf-8"
    )

    code, _, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[0]}", f"--trades={file}", "--recv-column=seen")

    assert code == 4
    assert "it counts UTC nanoseconds" in err
    assert not (tmp_path / "o").exists()


def test_a_tape_is_replaced_only_when_asked(run, tmp_path):
    """A second import of a session is refused; with --overwrite it takes its place."""
    tape = make_day(run, tmp_path, DAYS[0], (1, 400.0, 5, ""))
    file = trades(tmp_path / "t.csv", DAYS[0], (1, 401.0, 5, ""), (2, 402.0, 5, ""))
    command = (tmp_path / "tapes", "--symbol=TSLA", f"--date={DAYS[0]}", f"--trades={file}")

    refused, _, err = run(*command)
    before = Tape.open(tape).manifest.rows
    replaced, _, _ = run(*command, "--overwrite")

    assert (refused, replaced) == (4, 0)
    assert "a tape of TSLA on 2026-11-17 exists already" in err
    assert (before, Tape.open(tape).manifest.rows) == (1, 2)


# --- context ---------------------------------------------------------------------------------------


def test_earlier_sessions_become_head_rows(run, tmp_path):
    """Levels of the latest session from what may move range and last, volumes per second of all of them."""
    first = make_day(run, tmp_path, DAYS[0], (0, 390.0, 10, ""), (5, 391.0, 20, ""), (23_400, 392.0, 7, ""))
    second = make_day(
        run,
        tmp_path,
        DAYS[1],
        (-10, 500.0, 1, ""),
        (0.5, 401.0, 10, ""),
        (1.0, 405.0, 20, "Z"),
        (1.2, 399.0, 40, "@"),
        (2.0, 450.0, 80, "W"),
        (2.5, 390.0, 160, "I"),
        (3.0, 402.0, 320, "M"),
        (23_401, 600.0, 1, ""),
    )
    file = trades(tmp_path / "t.csv", DAYS[2], (-5, 403.0, 1, ""), (1, 404.0, 1, ""))

    code, _, err = run(
        tmp_path / "o",
        "--symbol=TSLA",
        f"--date={DAYS[2]}",
        f"--trades={file}",
        f"--context={second}",
        f"--context={first}",
    )

    assert code == 0, err
    tape = Tape.open(tmp_path / "o")
    rows, notes = rows_of(tape), tape.notes()
    assert rows["kind"].to_list() == [COLD, COLD, STOCK_TRADE, STOCK_TRADE]
    assert rows["ts_recv_ns"][0] == rows["ts_recv_ns"][1] == rows["ts_recv_ns"][2] == tape.session.open_ns - 5 * SECOND
    assert [(note.seq, note.kind) for note in notes] == [(0, PREVIOUS_LEVELS), (1, VOLUME_PROFILE)]
    assert notes[0].body == {"session": DAYS[1], "high_e4": 4_050_000, "low_e4": 3_990_000, "close_e4": 3_990_000}
    assert (notes[1].body["bucket_s"], notes[1].body["sessions"]) == (1, [DAYS[0], DAYS[1]])
    earlier, later = notes[1].body["volumes"]
    assert len(earlier) == len(later) == 23_400
    # The print at the very close is regular, and no whole second begins at it.
    assert {second: volume for second, volume in enumerate(earlier) if volume} == {0: 10, 5: 20}
    assert {second: volume for second, volume in enumerate(later) if volume} == {0: 10, 1: 60, 2: 240}


def test_the_profile_keeps_the_latest_sessions(run, tmp_path):
    """`tape.profile_sessions_max` bounds it; the oldest are dropped."""
    context = [make_day(run, tmp_path, day, (1, 400.0, 5, "")) for day in DAYS[:3]]
    file = trades(tmp_path / "t.csv", DAYS[3], (1, 400.0, 1, ""))
    flags = [f"--context={tape}" for tape in context]

    code, _, _ = run(
        tmp_path / "o",
        "--symbol=TSLA",
        f"--date={DAYS[3]}",
        f"--trades={file}",
        *flags,
        "-p",
        "tape.profile_sessions_max=2",
    )

    assert code == 0
    assert Tape.open(tmp_path / "o").notes()[1].body["sessions"] == [DAYS[1], DAYS[2]]


def test_a_chain_that_knows_only_prices_gives_levels_and_no_profile(run, tmp_path, shared):
    """Bare prices move range and last as prints do, and have no volume."""
    file = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"
    flags = ("--symbol=SPY", "--profile=chain", f"--chain={file}")
    run(tmp_path / "a", *flags, "--date=2026-07-30")

    code, _, err = run(tmp_path / "b", *flags, "--date=2026-07-31", f"--context={tmp_path / 'a'}")

    assert code == 0, err
    notes = Tape.open(tmp_path / "b").notes()
    assert notes[0].kind == PREVIOUS_LEVELS
    assert VOLUME_PROFILE not in {note.kind for note in notes}
    assert notes[0].body["low_e4"] < notes[0].body["close_e4"] < notes[0].body["high_e4"]


@pytest.mark.parametrize(
    ("day", "symbol", "found"),
    [
        (DAYS[2], "TSLA", "the context tape is of 2026-11-19, which is not before 2026-11-18"),
        (DAYS[1], "TSLA", "the context tape is of 2026-11-18, which is not before 2026-11-18"),
        (DAYS[0], "AAPL", "the context tape is of AAPL, not of TSLA"),
    ],
)
def test_context_that_tells_the_future_or_another_symbol_is_refused(run, tmp_path, day, symbol, found):
    """Exit 4, and nothing is written."""
    context = make_day(run, tmp_path, day, (1, 400.0, 5, ""), symbol=symbol)
    file = trades(tmp_path / "t.csv", DAYS[1], (1, 400.0, 1, ""))

    code, _, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[1]}", f"--trades={file}", f"--context={context}")

    assert code == 4
    assert err.startswith(f"error: {found}\n  in `{context}`\n")
    assert not (tmp_path / "o").exists()


def test_one_session_cannot_be_context_twice(run, tmp_path):
    """Counting a session twice would bend the median."""
    context = make_day(run, tmp_path, DAYS[0], (1, 400.0, 5, ""))
    file = trades(tmp_path / "t.csv", DAYS[1], (1, 400.0, 1, ""))

    code, _, err = run(
        tmp_path / "o",
        "--symbol=TSLA",
        f"--date={DAYS[1]}",
        f"--trades={file}",
        f"--context={context}",
        f"--context={context}",
    )

    assert code == 4
    assert "two context tapes of 2026-11-17" in err


def test_context_without_a_regular_print_is_refused(run, tmp_path):
    """Levels are known or the import fails; they are never made up."""
    context = make_day(run, tmp_path, DAYS[0], (-60, 400.0, 5, ""))
    file = trades(tmp_path / "t.csv", DAYS[1], (1, 400.0, 1, ""))

    code, _, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[1]}", f"--trades={file}", f"--context={context}")

    assert code == 4
    assert "has no regular print that gives high, low and close" in err


def test_synthetic_context_is_refused(run, tmp_path):
    """An invented market says nothing about a recorded one."""
    day = dt.date.fromisoformat(DAYS[0])
    columns = {name: np.zeros(1, dtype) for name, dtype in COLUMNS.items()}
    columns["ts_recv_ns"][:] = columns["ts_event_ns"][:] = session_of(day).open_ns
    columns["kind"][:], columns["price_e4"][:], columns["size"][:] = STOCK_TRADE, 4_000_000, 1
    columns["flags"][:] = LAST | RANGE | VOLUME
    with TapeWriter(tmp_path, "TSLA", day, params=TapeParams(), synthetic=True, feeds={}, source={}) as writer:
        writer.append(columns)
        context = writer.seal()
    file = trades(tmp_path / "t.csv", DAYS[1], (1, 400.0, 1, ""))

    code, _, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[1]}", f"--trades={file}", f"--context={context}")

    assert code == 4
    assert "the context tape of 2026-11-17 is synthetic" in err


# --- flags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "code", "found"),
    [
        (["--symbol=TSLA", "--date=2026-11-31"], 2, "`--date 2026-11-31` is not a day"),
        (["--symbol=tsla", "--date=2026-11-20"], 2, "`--symbol tsla` is not a symbol"),
        (["--symbol=TSLA", "--date=2026-11-20"], 2, "no file with rows was named"),
        (["--symbol=TSLA", "--date=2026-11-21"], 4, "2026-11-21 is a weekend"),
        (["--symbol=TSLA", "--date=2031-01-06"], 4, "2031-01-06"),
        (["--symbol=TSLA", "--date=2026-11-20", "--map=trades.pric=px"], 2, "no field is called `pric`"),
        (["--symbol=TSLA", "--date=2026-11-20", "--trades=none.parquet"], 4, "the file does not exist"),
        (["--symbol=TSLA", "--date=2026-11-20", "--recv-delay-ms=-1"], 2, "--recv-delay-ms"),
        (["--symbol=TSLA", "--date=2026-11-20", "--recv-delay-ms=nan"], 2, "--recv-delay-ms"),
        (["--symbol=TSLA", "--date=2026-11-20", "--profile=bar"], 2, "--profile"),
        (["--date=2026-11-20"], 2, "--symbol"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(run, tmp_path, flags, code, found):
    """One message with the documented exit code, nothing on stdout, no folder."""
    left, out, err = run(tmp_path / "o", *flags)

    assert left == code
    assert found in err
    assert out == ""
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_an_unknown_layout_lists_its_columns(run, tmp_path):
    """Exit 4 and how to name the right one; with that it works."""
    file = tmp_path / "odd.csv"
    open_ns = session_of(dt.date.fromisoformat(DAYS[0])).open_ns
    file.write_text(f"time,px,qty\n{open_ns // 10**6},400.5,3\n", encoding="utf-8")
    command = (tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[0]}", f"--trades={file}")

    refused, _, err = run(*command)
    taken, _, _ = run(*command, "--map=trades.price=px", "--map=trades.size=qty", "--map=ts=time:ms")

    assert (refused, taken) == (4, 0)
    assert "hint: its columns: time, px, qty; name the right one with `--map trades.ts=COLUMN`" in err
    assert rows_of(Tape.open(tmp_path / "o")).select("ts_recv_ns", "price_e4", "size").row(0) == (open_ns, 4_005_000, 3)


def test_quiet_prints_no_words(run, tmp_path):
    """Data still goes to stdout."""
    file = trades(tmp_path / "t.csv", DAYS[0], (1, 400.0, 5, ""), (2, 0, 5, ""))

    code, out, err = run(tmp_path / "o", "--symbol=TSLA", f"--date={DAYS[0]}", f"--trades={file}", "-q", "--json")

    assert (code, err) == (0, "")
    assert json.loads(out)["bad_rows"] == 1


def test_help_ends_with_the_example(run):
    """The last line can be pasted."""
    code, out, _ = run("--help")

    assert code == 0
    assert out.rstrip().splitlines()[-1] == EPILOG


def test_the_command_loads_nothing_heavy_before_it_runs():
    """`--help` must answer at once."""
    words = "import scalpcli.cli.tape_import, sys; print([m for m in ('polars', 'numpy', 'numba') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
