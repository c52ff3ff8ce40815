"""`scalpcli tape`: info, verify, head, export and list, as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.tape_samples import (
    CALL,
    NOTES,
    SMALL_ROWS,
    change_manifest,
    flip_byte,
    gap,
    leftovers,
    one,
    quote,
    small_tape,
    trade,
    write,
    writer,
)

TAPE = "tapes/TSLA/2026-11-20"


@pytest.fixture
def scalpcli(tmp_path, monkeypatch):
    """Runs a command line in an empty folder, with a home of its own."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        return CliRunner().invoke(app, line.split(), env={"HOME": str(tmp_path), "NO_COLOR": "1"})

    return run


@pytest.fixture
def folder(tmp_path):
    """A sound tape at `TAPE`."""
    return small_tape(tmp_path / "tapes")


@pytest.mark.usefixtures("folder")
def test_info_tells_what_a_tape_holds_and_how_good_it_is(scalpcli):
    """A person sees figures with units, and at once that the market is invented."""
    done = scalpcli("tape info tapes")

    lines = {line[:20].strip(): line[20:].strip() for line in done.stdout.splitlines() if line[:20].strip()}
    assert done.exit_code == 0
    assert {
        name: lines[name] for name in ("session", "synthetic", "rows", "stock trade", "contracts", "gaps")
    } == snapshot(
        {
            "session": "09:30:00.000 to 16:00:00.000 New York",
            "synthetic": "yes: an invented market",
            "rows": "3,000",
            "stock trade": "749",
            "contracts": "2, 2026-11-20",
            "gaps": "1, 50.0 s in all, longest 50.0 s",
        }
    )


@pytest.mark.usefixtures("folder")
def test_info_in_json_is_the_whole_manifest(scalpcli):
    """Scripts read figures by name; checksums of single megabytes are of no use to them."""
    done = scalpcli("tape info tapes --json")

    value = json.loads(done.stdout)
    assert (value["rows"], value["contracts"], value["expiries"]) == (SMALL_ROWS, 2, ["2026-11-20"])
    assert value["quality"]["gaps"]["seconds"] == 50.0
    assert set(value["files"]["rows.parquet"]) == {"bytes", "sha256"}
    assert value["bytes_per_row"] > 0


def test_info_shows_an_empty_tape(scalpcli, tmp_path):
    """What wrote it is what one wants to know then."""
    with writer(tmp_path / "tapes") as tape:
        tape.seal()

    done = scalpcli("tape info tapes")

    assert done.exit_code == 0
    assert "first to last row" in done.stdout


@pytest.mark.usefixtures("folder")
def test_verify_says_nothing_on_stdout_about_a_sound_tape(scalpcli):
    """Words go to stderr; the exit code is the answer."""
    done = scalpcli("tape verify tapes")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"3,000 rows are what was written: {TAPE}\n"


def test_verify_names_the_damage_and_leaves_with_four(scalpcli, folder):
    """A flipped byte: which file, which bytes."""
    size = (folder / "rows.parquet").stat().st_size
    flip_byte(folder / "rows.parquet", size // 2)

    done = scalpcli("tape verify tapes --json")

    value = json.loads(done.stdout)
    assert done.exit_code == 4
    assert value["ok"] is False
    assert value["findings"][0] == {
        "file": "rows.parquet",
        "place": f"bytes 0 to {size}",
        "found": "sha256 differs from the manifest's",
    }
    assert f"  in `{TAPE}/rows.parquet`, bytes 0 to {size}\n" in done.stderr


def test_verify_shows_findings_as_a_table(scalpcli, folder):
    """All of them on stdout, the first and their number in the error."""
    (folder / "notes.jsonl").unlink()
    change_manifest(folder, lambda value: value["counts"].update(gap=5))

    done = scalpcli("tape verify tapes")

    assert done.exit_code == 4
    assert "counts 5 rows of gap, there are 1" in done.stdout
    assert done.stderr == snapshot("""\
error: the tape is damaged: `notes.jsonl` is missing, and 2 more
  in `tapes/TSLA/2026-11-20/notes.jsonl`

hint: restore the folder from a copy, or import or record the session again
""")


ROWS = (
    one(8, -60),
    trade(1.25, 4_000_125, size=7, conditions=2, exchange=1, trade_id=42, flags=12),
    trade(1.5, 4_000_100, exchange=1),
    quote(2, 4_000_000, 0, exchange=1),
    one(4, 3, instrument_id=1, price_e4=15_500, ask_e4=16_000, size=4, ask_size=9, exchange=2, ask_exchange=1),
    one(6, 4, flags=2048, conditions=1),
    gap(5, 6, channels=3),
    one(8, 7),
)


def test_head_reads_like_a_log(scalpcli, tmp_path):
    """New York time, dollars and words; of a print's rights only those it lacks."""
    write(tmp_path / "tapes", ROWS, NOTES)

    done = scalpcli("tape head tapes")

    assert done.exit_code == 0
    assert done.stdout == snapshot("""\
TSLA 2026-11-20, New York time, synthetic
received         late ms  kind          symbol                     price     size  at     what
09:29:00.000000        -  cold          -                              -        -  -      previous levels
09:30:01.250000    2.000  stock trade   TSLA                    400.0125        7  Q      @ F; not last/range
09:30:01.500000    2.000  stock trade   TSLA                      400.01      100  Q
09:30:02.000000    2.000  stock quote   TSLA                  400.00 x -  100 x 0  Q
09:30:03.000000    2.000  option quote  TSLA261120C00400000  1.55 x 1.60    4 x 9  N x Q
09:30:04.000000    2.000  status        TSLA                           -        -  -      @; halt begin
09:30:06.000000        -  gap           -                              -        -  -      was blind for 1.000 s: stock trades, stock quotes
09:30:07.000000        -  cold          -                              -        -  -      operator
""")


@pytest.mark.usefixtures("folder")
def test_head_starts_where_it_is_told_and_shows_what_it_is_told(scalpcli):
    """`--at`, `--kind` and `--symbol` together."""
    done = scalpcli(f"tape head tapes -n 2 --at 10:31:05 --kind option_trade --symbol {CALL} --json")

    rows = json.loads(done.stdout)
    assert [row["kind"] for row in rows] == ["option_trade"] * 2
    assert {row["symbol"] for row in rows} == {CALL}
    assert rows[0]["ts_recv"] >= "10:31:05"
    assert rows[0]["price"] < 10


@pytest.mark.usefixtures("folder")
def test_head_says_when_no_row_fits(scalpcli):
    """Silence would look like a fault."""
    done = scalpcli("tape head tapes --at 15:59:59")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == ["no such row"]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("tape head tapes --symbol NVDA", 2, "error: no symbol `NVDA` on this tape"),
        ("tape head tapes --kind trade", 2, "--kind"),
        ("tape head tapes --at noon", 2, "error: `noon` is not a time of day"),
        ("tape head tapes -n 0", 2, "-n"),
        ("tape head nope", 4, "error: `nope` does not exist"),
        ("tape info nope", 4, "error: `nope` does not exist"),
        ("tape verify nope", 4, "error: `nope` does not exist"),
        ("tape export nope out.csv", 4, "error: `nope` does not exist"),
        ("tape export tapes out.txt", 2, "error: `out.txt` is neither CSV nor Parquet"),
        ("tape list nope", 4, "error: there is no tape in `nope`"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_is_refused_in_one_message(scalpcli, line, code, words):
    """The documented exit code, a message on stderr, nothing on stdout and no traceback."""
    done = scalpcli(line)

    assert done.exit_code == code
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("folder")
def test_export_writes_and_says_so(scalpcli, tmp_path):
    """The file holds the chosen rows."""
    done = scalpcli("tape export tapes trades.csv --kind stock_trade")

    rows = list(csv.DictReader(io.StringIO((tmp_path / "trades.csv").read_text(encoding="utf-8"))))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "wrote trades.csv\n")
    assert len(rows) == 749
    assert {row["kind"] for row in rows} == {"stock_trade"}


@pytest.mark.usefixtures("folder")
def test_export_keeps_what_is_there(scalpcli, tmp_path):
    """--overwrite says that it may go."""
    (tmp_path / "rows.csv").write_text("mine", encoding="utf-8")

    refused = scalpcli("tape export tapes rows.csv")
    kept = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    forced = scalpcli("tape export tapes rows.csv --overwrite -q")

    assert refused.exit_code == 2
    assert kept == "mine"
    assert (forced.exit_code, forced.stderr) == (0, "")


def burst_tape(root, day_folder):
    """A tape whose price rises 1 % once, under another day's name."""
    path = write(root / "made", [trade(at, 4_000_000 + 40_000 * (at >= 100)) for at in range(300)])
    shutil.move(path, root / "tapes" / "TSLA" / day_folder)


@pytest.mark.usefixtures("folder")
def test_list_is_a_grid_of_a_folders_tapes(scalpcli, tmp_path):
    """What to replay next: session, coverage, gaps, bursts, size."""
    burst_tape(tmp_path, "other")

    done = scalpcli("tape list tapes")

    assert done.exit_code == 0
    assert [line.split()[:7] for line in done.stdout.splitlines()] == snapshot(
        [
            ["symbol", "session", "rows", "contracts", "coverage", "%", "gaps"],
            ["TSLA", "2026-11-20", "3,000", "2", "98.1", "1", "0"],
            ["TSLA", "2026-11-20", "300", "2", "1.3", "0", "1"],
        ]
    )
    assert done.stderr == "2 tapes, bursts of 0.5 % in 30 s: 1\n"


@pytest.mark.usefixtures("folder")
def test_list_counts_bursts_at_the_threshold_asked_for(scalpcli, tmp_path):
    """At 2 % the 1 % rise is none."""
    burst_tape(tmp_path, "other")

    rows = json.loads(scalpcli("tape list tapes --burst-pct 2 --json").stdout)

    assert [(row["bursts"], row["synthetic"]) for row in rows] == [(0, True), (0, True)]
    assert rows[1]["largest_pct"] == pytest.approx(1.0)


def test_list_shows_a_tape_it_cannot_read_and_leaves_with_four(scalpcli, folder, tmp_path):
    """The sound ones are listed all the same."""
    burst_tape(tmp_path, "other")
    (folder / "rows.parquet").unlink()

    done = scalpcli("tape list tapes")

    assert done.exit_code == 4
    assert "`rows.parquet` is missing" in done.stdout
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.startswith("error: 1 of 2 tapes cannot be read: `rows.parquet` is missing")


@pytest.mark.usefixtures("folder")
@pytest.mark.usefixtures("folder")
def test_looking_at_tapes_writes_nothing(scalpcli, tmp_path):
    """Reading commands leave the folder as it was."""
    before = leftovers(tmp_path)

    for line in ("tape info tapes", "tape head tapes", "tape verify tapes", "tape list tapes"):
        assert scalpcli(line).exit_code == 0

    assert leftovers(tmp_path) == before


@pytest.mark.parametrize("command", ["import", "synth", "info", "verify", "head", "export", "list"])
def test_every_commands_help_ends_with_an_example(scalpcli, command):
    """A line to paste."""
    done = scalpcli(f"tape {command} --help")

    assert done.exit_code == 0
    assert done.stdout.rstrip().splitlines()[-1].startswith(f"Example: scalpcli tape {command} ")
