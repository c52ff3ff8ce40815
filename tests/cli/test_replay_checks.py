"""What `scalpcli replay` checks: blessed decisions, requirements, an untouched past."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from inline_snapshot import snapshot

from scalpcli.cli.replay_checks import check_blessed
from scalpcli.errors import CheckFailed
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLUMNS, STOCK_TRADE
from scalpcli.runtime import replay as session_replay
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_writer import TapeWriter
from tests.replay_samples import BLESSED, TAPE, runs_of


@pytest.mark.parametrize("rows", [100, 997, 200_000])
def test_check_passes_on_any_batch_size(replay, rows):
    """How the rows are cut changes no decision."""
    done = replay(TAPE, "-p", f"replay.batch_rows={rows}", "--check", BLESSED)

    assert done.code == 0, done.err
    assert "equal the blessed ones" in done.err


def test_single_rows_decide_like_blocks(replay, tmp_path):
    """Live hands in single rows; the first minutes are enough for a trade."""
    file = tmp_path / "blocks.jsonl"
    replay(TAPE, "--until", "09:45", "--check", file, "--update")

    done = replay(TAPE, "--until", "09:45", "-p", "replay.batch_rows=1", "--check", file)

    assert done.code == 0, done.err
    assert b'"kind":"trade"' in file.read_bytes()


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
            trades = (block["kind"] == STOCK_TRADE) & (block["ts_recv_ns"] <= trigger["ts_ns"])
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


def lines(*records: dict) -> bytes:
    """Decisions as the journal writes them, numbered, half a minute apart from 09:30:30 New York."""
    return b"".join(
        json.dumps({"n": n, "ts_ns": 1_795_185_030_000_000_000 + n * 30_000_000_000, **record}).encode() + b"\n"
        for n, record in enumerate(records)
    )


OPEN = {"kind": "session", "symbol": "TSLA"}
RISE = {"kind": "trigger", "trigger": "breakout", "side": "put"}
REFUSED = {"kind": "refusal", "trigger": "breakout", "side": "put", "gate": "spread", "value": 6.5, "limit": 5.0}


def difference(tmp_path: Path, blessed: bytes, now: bytes) -> str:
    """What `--check` tells where the two differ."""
    file = tmp_path / "blessed.jsonl"
    file.write_bytes(blessed)
    with pytest.raises(CheckFailed) as caught:
        check_blessed(file, [SimpleNamespace(decisions=now)], update=False)
    return caught.value.render().replace(str(tmp_path), "TMP")


def test_a_difference_is_read_in_context(tmp_path):
    """What came before, both records in words, and the fields that moved; not two lines of JSON to compare by eye."""
    now = lines(OPEN, RISE, REFUSED | {"value": 7.25, "gate": "ask_size"})

    assert difference(tmp_path, lines(OPEN, RISE, REFUSED), now) == snapshot("""\
error: decision 3 is not the blessed one
  in `TMP/blessed.jsonl`, line 3

hint: if the change is meant, bless it with --update; the first difference:
  both    09:30:30.000 session TSLA
  both    09:31:00.000 trigger breakout put
  blessed 09:31:30.000 refusal breakout put spread
  now     09:31:30.000 refusal breakout put ask_size
  gate: spread -> ask_size
  value: 6.5 -> 7.25\
""")


def test_a_decision_that_is_gone_is_told_as_nothing(tmp_path):
    """A journal that ended early, and one that goes on."""
    assert difference(tmp_path, lines(OPEN, RISE, REFUSED), lines(OPEN, RISE)) == snapshot("""\
error: decision 3 is not the blessed one
  in `TMP/blessed.jsonl`, line 3

hint: if the change is meant, bless it with --update; the first difference:
  both    09:30:30.000 session TSLA
  both    09:31:00.000 trigger breakout put
  blessed 09:31:30.000 refusal breakout put spread
  now     nothing\
""")
    assert difference(tmp_path, lines(OPEN, RISE), lines(OPEN, RISE, REFUSED)) == snapshot("""\
error: decision 3 is not the blessed one
  in `TMP/blessed.jsonl`, line 3

hint: if the change is meant, bless it with --update; the first difference:
  both    09:30:30.000 session TSLA
  both    09:31:00.000 trigger breakout put
  blessed nothing
  now     09:31:30.000 refusal breakout put spread\
""")


def test_a_blessed_file_cut_off_between_lines_fails_the_check(replay, tmp_path):
    """It holds true decisions, but fewer."""
    file = tmp_path / "cut.jsonl"
    file.write_bytes(b"".join(BLESSED.read_bytes().splitlines(keepends=True)[:7]))

    done = replay(TAPE, "--check", file, "-q")

    assert done.code == 5
    assert done.err.startswith(f"error: decision 8 is not the blessed one\n  in `{file}`, line 8\n")
    assert "blessed nothing" in done.err


@pytest.mark.parametrize("damage", [lambda data: data[:700], lambda _data: b"\x00\xff\n", lambda _data: b'["x"]\n'])
def test_a_blessed_file_that_is_none_is_named_with_its_line(replay, tmp_path, damage):
    """Cut off inside a line, or another file: exit 4, not a fault of ours."""
    file = tmp_path / "damaged.jsonl"
    file.write_bytes(damage(BLESSED.read_bytes()))

    done = replay(TAPE, "--check", file, "-q")

    assert done.code == 4
    assert done.err.startswith("error: this is not a decision: `")
    assert f"in `{file}`, line " in done.err
    assert "bless again with --update" in done.err


BEFORE_ANY_WORK = {
    "no blessed file": (
        ("--check", "none.jsonl"),
        4,
        snapshot("""\
error: there are no blessed decisions at `none.jsonl`

hint: bless these with --check FILE --update
"""),
    ),
    "update alone": (
        ("--update",),
        2,
        snapshot("""\
error: `--update` says nothing alone
  in `--update`

hint: add --check FILE: where to bless
"""),
    ),
    "check in no folder": (
        ("--check", "no/b.jsonl", "--update"),
        2,
        snapshot("""\
error: there is no folder `no`
  in `--check`

hint: make it first
"""),
    ),
    "trace in no folder": (
        ("--trace", "no/t.parquet"),
        2,
        snapshot("""\
error: there is no folder `no`
  in `--trace`

hint: make it first
"""),
    ),
    "trace is a folder": (
        ("--trace", "."),
        2,
        snapshot("""\
error: `.` is a folder
  in `--trace`

hint: name a file in it
"""),
    ),
    "no figure": (
        ("--require", "trades>=1", "--require", "tradez>=1"),
        2,
        snapshot("""\
error: no figure is named `tradez`
  in `--require 'tradez>=1'`

hint: the nearest is `trades`: closed trades, or `psr_trades`; `scalpcli report --list-figures` lists all
"""),
    ),
    "no comparison": (
        ("--require", "win_rate>>=55"),
        2,
        snapshot("""\
error: `--require 'win_rate>>=55'` is not understood: a figure or a number should stand where `>=` stands
  in `--require`

hint: write a comparison like `win_rate>=55` or `max_drawdown_pct<=10`
"""),
    ),
    "not a day": (
        ("--from", "2026-13-01"),
        2,
        snapshot("""\
error: `--from 2026-13-01` is not a day

hint: write YYYY-MM-DD, like 2026-11-20
"""),
    ),
    "days turned round": (
        ("--from", "2026-11-20", "--to", "2026-11-19"),
        2,
        snapshot("""\
error: `--to 2026-11-19` comes before `--from 2026-11-20`

hint: write the earlier day at --from
"""),
    ),
    "not a time": (
        ("--until", "half past ten"),
        2,
        snapshot("""\
error: `half past ten` is not a time of day

hint: write New York time as HH:MM, HH:MM:SS or HH:MM:SS.fff, like 10:31:05.250
"""),
    ),
    "not a speed": (
        ("--speed", "nan"),
        2,
        snapshot("""\
error: invalid value for '--speed': 'nan' is not a finite number
  in `scalpcli replay`

hint: `scalpcli replay --help` shows what it takes
"""),
    ),
    "not a latency": (
        ("--latency-ms", "inf"),
        2,
        snapshot("""\
error: invalid value for '--latency-ms': 'inf' is not a finite number
  in `scalpcli replay`

hint: `scalpcli replay --help` shows what it takes
"""),
    ),
}


@pytest.mark.parametrize(("words", "code", "told"), BEFORE_ANY_WORK.values(), ids=list(BEFORE_ANY_WORK))
def test_what_cannot_be_meant_is_told_before_any_work(replay, tmp_path, monkeypatch, words, code, told):
    """A typo found after a month was replayed would cost the month."""
    monkeypatch.chdir(tmp_path)

    done = replay(TAPE, *words)

    assert done.err == told
    assert done.code == code
    assert done.out == ""
    assert runs_of(tmp_path) == []


def test_requirements_decide_the_exit_code(replay):
    """What holds passes; each that falls short is told with what was found."""
    held = replay(TAPE, "--require", "trades>=10", "--require", "net_pnl_usd > 0")
    short = replay(TAPE, "--require", "trades>=1000", "--require", "trades>=10", "--require", "win_rate>=101", "--json")

    (told, _, _, place) = short.err.split("\n", 3)
    assert held.code == 0, held.err
    assert short.code == 5
    assert told == "error: 2 of 3 requirements fell short"
    assert f"  trades>=1000: trades is {short.json['trades']}\n" in short.err
    assert "  win_rate>=101: win_rate is " in short.err
    assert short.json["run_dir"] in place


def test_an_unknown_figure_meets_no_requirement(replay):
    """Without trades there is no win rate, which is not a win rate of 0."""
    done = replay(TAPE, "--triggers-only", "--require", "win_rate>=0")

    assert done.code == 5
    assert "win_rate is unknown" in done.err


def test_the_lookahead_check_passes(replay):
    """Another future moves no decision of the past."""
    done = replay(TAPE, "--lookahead-check")

    assert done.code == 0, done.err
    assert "stood while" in done.err


def test_the_lookahead_check_finds_an_engine_that_peeks(replay, monkeypatch):
    """Rows that carry the price of a print a few rows later make decisions move with their future."""
    honest = session_replay.tape_batches

    def peeking(*arguments):
        for batch in honest(*arguments):
            trades = (batch.kind == STOCK_TRADE).nonzero()[0]
            price_e4 = batch.price_e4.copy()
            price_e4[trades[:-5]] = price_e4[trades[5:]]
            yield batch._replace(price_e4=price_e4)

    monkeypatch.setattr(session_replay, "tape_batches", peeking)

    done = replay(TAPE, "--lookahead-check")

    assert done.code == 5
    assert done.err.startswith("error: a decision moved when rows after ")
    assert f"in `{TAPE}`" in done.err
    assert "before: {" in done.err
    assert "after:  {" in done.err
