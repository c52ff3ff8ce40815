"""A live run's own rows make the decisions it wrote down, or the first difference is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from scalpcli.errors import DataError
from scalpcli.model.note import LIVE, OPERATOR, RECONCILE
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLUMNS, GAP, GAP_BEGIN, GAP_END, OPTION_QUOTE, RowBatch
from scalpcli.runtime.against import prove, simulate
from scalpcli.runtime.against_tape import QuotesOf
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.seal import seal_recording
from scalpcli.runtime.tape import Tape
from tests.against_samples import Made, live_run, records_of, replace_tape, retell, tape_of, unseal
from tests.replay_samples import TAPE

HOT = load_kernel()
OPEN_NS = Tape.open(TAPE).session.open_ns
MINUTE_NS = 60_000_000_000


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Path:
    """A run of the example tape, to be read only."""
    return live_run(tmp_path_factory.mktemp("plain"), TAPE)


@pytest.fixture
def run(plain, tmp_path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(plain, tmp_path / "run"))


def test_every_decision_comes_out_byte_for_byte(plain):
    """The run's rows reached its engine in other pieces; its own tape makes the same decisions."""
    proof = prove(plain, HOT)

    assert proof.difference is None
    assert proof.played.lines == proof.journal.lines
    assert proof.unwritten == 0
    kinds = [json.loads(line)["kind"] for line in proof.journal.lines]
    assert {"live", "fill", "cancelled", "trade", "gap", "halt"} <= set(kinds)


def test_what_an_operator_and_the_account_said_is_in_it(tmp_path):
    """Commands, pauses and reconciliations are rows: they act again where they acted."""
    fills = [record["ts_ns"] for record in records_of(live_run(tmp_path / "first", TAPE)) if record["kind"] == "fill"]
    stop = {"symbol": "TSLA261120C00405000", "held": 0, "broker": 3, "action": "stop", "price_e4": 0, "reason": "other"}
    more = [
        (fills[0] + 1_000_000, OPERATOR, {"command": "flatten", "by": "somebody"}),
        (OPEN_NS + 60 * MINUTE_NS, LIVE, {"phase": "pauses", "reason": "the stream of updates is gone"}),
        (OPEN_NS + 61 * MINUTE_NS, LIVE, {"phase": "begins", "reason": "reconciled"}),
        (OPEN_NS + 300 * MINUTE_NS, RECONCILE, stop),
        (OPEN_NS + 310 * MINUTE_NS, OPERATOR, {"command": "kill", "by": "kill file"}),
    ]

    run = live_run(tmp_path / "second", TAPE, Made(more=more))

    assert prove(run, HOT).difference is None
    kinds = {record["kind"] for record in records_of(run)}
    assert {"operator", "reconcile"} <= kinds


def test_one_tick_changed_is_found(run):
    """The ask that the first signal saw is a cent higher on the tape: that signal is the first difference."""
    records = records_of(run)
    signal = next(record for record in records if record["kind"] == "signal")
    numbers = {each.symbol: each.instrument_id for each in Tape.open(tape_of(run)).instruments}

    def change(columns):
        is_quote = (columns["kind"] == OPTION_QUOTE) & (columns["instrument_id"] == numbers[signal["option_symbol"]])
        seen = (is_quote & (columns["ts_recv_ns"] <= signal["ts_ns"])).nonzero()[0][-1]
        columns["ask_e4"][seen] += 100

    replace_tape(run, change)
    found = prove(run, HOT).difference

    assert found is not None
    assert found.number == signal["n"] + 1
    assert {name: (was, now) for name, was, now in found.fields}["ask_e4"] == (signal["ask_e4"], signal["ask_e4"] + 100)


def test_a_journal_that_was_cut_off_is_the_beginning_of_what_comes_out(run):
    """Its process died in the middle of a line: the whole lines count, the torn one is told."""
    path = run / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:200]) + lines[200][:30])
    retell(run, finished_ns=0)

    proof = prove(run, HOT)

    assert proof.difference is None
    assert not proof.is_whole
    assert (len(proof.journal.lines), len(proof.journal.torn)) == (200, 30)
    # All that the rows still on the tape decide; the sums are written at the end of a session only.
    assert proof.unwritten == len(lines) - 200 - 1


def test_a_finished_session_must_be_whole(run):
    """A line is missing at the end, and the run says it was finished."""
    path = run / "decisions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    found = prove(run, HOT).difference

    assert found is not None
    assert found.expected is None
    assert json.loads(found.found)["kind"] == "session_end"


def test_a_decision_that_was_added_is_found(run):
    """The journal says more than the rows decide."""
    path = run / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[-1]]))

    found = prove(run, HOT).difference

    assert found is not None
    assert (found.number, found.found) == (len(lines) + 1, None)


def test_a_recording_that_nobody_sealed_will_do(run):
    """Two processes wrote it and neither ended in order."""
    unseal(run, cuts=[11])

    proof = prove(run, HOT)

    assert proof.difference is None
    assert (proof.tape.is_sealed, proof.tape.processes) == (False, 2)


def test_sealing_adds_nothing_to_the_rows_of_a_live_run(run):
    """It was restarted twice and told of it in its own time: what it decided comes out of the sealed tape too."""
    seal_recording(unseal(run, cuts=[7, 11]), run / "tape", TapeParams())

    proof = prove(run, HOT)

    assert proof.difference is None
    assert (proof.tape.is_sealed, proof.tape.processes) == (True, 3)


def test_the_settings_are_the_runs_own(plain, monkeypatch):
    """Neither a file nor the environment changes what comes out."""
    monkeypatch.setenv("SCALPCLI__SCALP__STOP_LOSS_PCT", "3")

    assert prove(plain, HOT).difference is None


def test_another_version_is_told(run):
    """What wrote the run is no longer what reads it: that may be why something differs."""
    retell(run, code_version="0.0.1", config_digest="0" * 64)

    doubts = prove(run, HOT).doubts

    assert "0.0.1" in doubts[0]
    assert "digest" in doubts[1]


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"mode": "replay"}, "`mode` is `replay`"),
        ({"config": {"scalp": {"luck": 1}}}, "`scalp.luck` is unknown"),
        ({"config": {"magic": {}}}, "`magic` is unknown"),
        ({"session": "yesterday"}, "does not say what a live run does"),
        ({"blackouts": None}, "does not say what a live run does"),
    ],
)
def test_what_is_no_live_run_is_refused(run, facts, found):
    """One message that says what is wrong with the folder."""
    retell(run, **facts)

    with pytest.raises(DataError, match=found):
        prove(run, HOT)


def test_a_folder_without_facts_is_no_live_run(tmp_path):
    """The message says which folder to name."""
    with pytest.raises(DataError, match="is no live run"):
        prove(tmp_path, HOT)


def test_a_run_without_its_tape_cannot_be_proven(run):
    """The tape is the run's own, not whichever one is around."""
    shutil.rmtree(run / "tape")

    with pytest.raises(DataError, match="has no tape"):
        prove(run, HOT)


def test_the_simulated_broker_meets_the_same_rows(plain):
    """Live's replies were the simulated broker's own: the same trades come out of it again."""
    proof = prove(plain, HOT)

    simulated, doubts = simulate(proof, HOT)

    assert doubts == ()
    assert simulated.net_e4 == proof.played.net_e4
    assert simulated.rows == proof.played.rows


def test_the_simulated_trader_makes_no_entry_while_live_made_none(tmp_path):
    """Live began at noon: what the morning would have brought says nothing about fills."""
    noon_ns = OPEN_NS + 150 * MINUTE_NS
    run = live_run(tmp_path, TAPE, Made(begins_ns=noon_ns))

    proof = prove(run, HOT)
    simulated, _ = simulate(proof, HOT)

    assert proof.difference is None
    assert proof.idle == ((0, noon_ns),)
    assert simulated.net_e4 == proof.played.net_e4
    signals = [each for each in map(json.loads, simulated.lines) if each["kind"] == "signal"]
    assert signals
    assert min(each["ts_ns"] for each in signals) >= noon_ns


def test_a_session_that_was_ended_early_is_compared_up_to_there(tmp_path):
    """Rows after the end were recorded and decided nothing."""
    early_ns = OPEN_NS + 200 * MINUTE_NS
    run = live_run(tmp_path, TAPE, Made(finished_ns=early_ns))

    proof = prove(run, HOT)
    simulated, _ = simulate(proof, HOT)

    assert proof.difference is None
    assert json.loads(proof.journal.lines[-1])["ts_ns"] == early_ns
    assert simulated.net_e4 == proof.played.net_e4


def test_fills_at_the_quote_that_stood_are_all_latency(tmp_path):
    """A shadow's slower orders met later quotes at exactly their prices."""
    proof = prove(live_run(tmp_path, TAPE, Made(mode="shadow", latency_ms=750.0)), HOT)
    fills = [each for each in map(json.loads, proof.played.lines) if each["kind"] == "fill"]
    orders = {each["order_id"]: each for each in map(json.loads, proof.played.lines) if each["kind"] == "order"}
    numbers = {each.symbol: each.instrument_id for each in proof.tape.instruments}

    stood = [proof.quotes.at(numbers[orders[each["order_id"]]["symbol"]], each["ts_market_ns"]) for each in fills]

    assert fills
    assert [each["price_e4"] for each in fills] == [
        quote[each["leg"] == "entry"] for each, quote in zip(fills, stood, strict=True)
    ]


def test_latencies_that_cannot_be_read_are_told(run):
    """Settings named a file of another machine: the fixed ones are taken, and it is said."""
    config = json.loads((run / "live.json").read_text())["config"]
    config["simulated_broker"]["latency_file"] = "nowhere.csv"
    retell(run, config=config)

    _, doubts = simulate(prove(run, HOT), HOT)

    assert "instead" in doubts[0]


def test_no_quote_stands_where_the_tape_was_blind():
    """Between the gap's rows, and until a quote came after it, nobody knows what stood."""
    seconds = [(1, OPTION_QUOTE), (2, GAP), (5, GAP), (7, OPTION_QUOTE)]
    columns = {name: np.zeros(len(seconds), kind) for name, kind in COLUMNS.items()}
    columns["ts_recv_ns"][:] = columns["ts_event_ns"][:] = [second for second, _ in seconds]
    columns["kind"][:] = [kind for _, kind in seconds]
    columns["instrument_id"][:] = [1, 0, 0, 1]
    columns["price_e4"][:], columns["ask_e4"][:] = [100, 0, 0, 300], [200, 0, 0, 400]
    columns["size"][:], columns["flags"][:] = [1, 8, 8, 1], [0, GAP_BEGIN, GAP_END, 0]
    quotes = QuotesOf({1}, is_received=False)

    quotes.take(RowBatch.from_columns(columns))

    assert [quotes.at(1, second) for second in range(9)] == [
        None, (100, 200), None, None, None, None, None, (300, 400), (300, 400),
    ]  # fmt: skip
    assert quotes.at(2, 1) is None
