"""`scalpcli replay --against RUN`, and what `report` tells of the same runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.model.row import OPTION_QUOTE
from scalpcli.runtime.replay import read_latencies
from scalpcli.runtime.tape import Tape
from tests.against_samples import Made, live_run, records_of, replace_tape, retell, tape_of
from tests.replay_samples import TAPE, Done


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Path:
    """A paper run whose orders took three times as long as its settings assume."""
    return live_run(tmp_path_factory.mktemp("live") / "paper" / "TSLA" / "2026-11-20", TAPE, Made(latency_ms=750.0))


@pytest.fixture
def run(plain, tmp_path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(plain, tmp_path / "run"))


def call(*words) -> Done:
    """Run one command."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="scalpcli")
    return Done(result.exit_code, result.stdout, result.stderr)


def test_a_proven_run_shows_where_its_result_differs(run):
    """Proof, parts and trades; slower orders missed, paid and sold otherwise."""
    done = call("replay", "--against", run)

    assert done.code == 0, done.err
    assert done.out.replace(str(run), "RUN") == snapshot("""\
PAPER run RUN

Proof
decisions  all 493 decisions equal, byte for byte
rows       120,134, tape                         \n\
processes  1                                     \n\
end        finished at 16:00:00                  \n\

Live against the simulated broker
                 USD  what it is                                     \n\
─────────────────────────────────────────────────────────────────────
live        4,015.90  result after fees                              \n\
simulated   4,417.79  same rows, simulated broker                    \n\
difference   -401.89  live less simulated; of this:                  \n\
  latency    -770.00  the market moved between the fills of the two  \n\
  price       115.00  fills better or worse than the quote that stood
  missed      248.00  trades that only one of the two made           \n\
  partial       0.00  other quantities of the same trades            \n\
  fees          5.11  the day's fees                                 \n\

Trades of both, USD before fees
signal    contract   n       live       sim.  latency  price  partial
─────────────────────────────────────────────────────────────────────
09:43:24  395P      12    -695.00    -690.00   -45.00  40.00     0.00
10:02:39  402.5C    16   1,776.00   1,808.00   -32.00   0.00     0.00
10:06:20  405C      15    -865.00    -865.00   -75.00  75.00     0.00
10:26:19  402.5C     2     200.00     200.00     0.00   0.00     0.00
10:27:25  407.5C    16   1,528.00   1,528.00     0.00   0.00     0.00
10:53:13  405C      19   1,572.00   1,572.00     0.00   0.00     0.00
11:58:27  395P      12  -1,210.00  -1,210.00     0.00   0.00     0.00
12:27:21  407.5C    24  -1,784.00  -1,095.00  -689.00   0.00     0.00
13:06:39  400P      18   1,469.00   1,404.00    65.00   0.00     0.00
13:49:33  400P      24   1,590.00   1,584.00     6.00   0.00     0.00
14:37:43  397.5P    10     450.00     450.00     0.00   0.00     0.00

Missed
signal    contract  made by         USD  why not by the other                 \n\
──────────────────────────────────────────────────────────────────────────────
11:12:22  395P      simulation  -880.00  not filled within the slippage budget
11:38:01  402.5C    simulation   760.00  not filled within the slippage budget
14:11:47  397.5P    simulation  -468.00  not filled within the slippage budget
14:56:31  405C      simulation   340.00  not filled within the slippage budget

""")
    assert done.err.replace(str(run), "RUN") == snapshot("all 493 decisions equal, byte for byte, in RUN\n")


def test_the_parts_add_up_in_json(run):
    """To the cent, and every trade's share to the parts."""
    done = call("replay", "--against", run, "--json")

    found = done.json
    result = {name: round(value * 100, 6) for name, value in found["result"].items()}
    parts = ("latency_usd", "price_usd", "missed_usd", "partial_usd", "fees_usd")
    assert found["proof"]["equal"]
    assert result["difference_usd"] != 0
    assert sum(result[name] for name in parts) == pytest.approx(result["difference_usd"], abs=1e-6)
    assert result["live_net_usd"] - result["simulated_net_usd"] == pytest.approx(result["difference_usd"], abs=1e-6)
    for name in parts[:-1]:
        assert sum(row[name] for row in found["trades"]) * 100 == pytest.approx(result[name], abs=1e-6)


def one_tick_off(run):
    """Put another tape in the place of the run's own: the ask its first signal saw is a cent higher."""
    signal = next(record for record in records_of(run) if record["kind"] == "signal")
    numbers = {each.symbol: each.instrument_id for each in Tape.open(tape_of(run)).instruments}

    def change(columns):
        is_quote = (columns["kind"] == OPTION_QUOTE) & (columns["instrument_id"] == numbers[signal["option_symbol"]])
        seen = (is_quote & (columns["ts_recv_ns"] <= signal["ts_ns"])).nonzero()[0][-1]
        columns["ask_e4"][seen] += 100

    replace_tape(run, change)


def test_a_changed_tick_exits_5_with_the_first_difference(run):
    """The line, what live wrote, what comes out, and the fields that differ."""
    one_tick_off(run)

    done = call("replay", "--against", run)

    assert done.code == 5
    assert done.err.replace(str(run), "RUN") == snapshot("""\
error: decision 4 of the live run did not come out of its tape
  in `RUN/decisions.jsonl`, line 4

hint: the first difference:
  both   09:29:59.999 live reconciled
  both   09:43:24.200 trigger momentum_burst put
  live   09:43:24.200 signal momentum_burst put TSLA261120P00395000
  replay 09:43:24.200 signal momentum_burst put TSLA261120P00395000
  delta: -0.37110173560297627 -> -0.37120911653442334
  iv: 1.2823478734815232 -> 1.2835857915800313
  theta_per_minute_e4: -68.64790103447174 -> -68.72067555500965
  ask_e4: 36500 -> 36600
  spread_pct: 4.195804195804196 -> 4.4692737430167595
  entry_price_target_e4: 36500 -> 36600
""")


def test_a_difference_is_data_for_programs(run):
    """JSON has both records whole."""
    one_tick_off(run)

    done = call("replay", "--against", run, "--json")

    assert done.code == 5
    assert not done.json["proof"]["equal"]
    difference = done.json["proof"]["difference"]
    assert difference["expected"]["kind"] == difference["found"]["kind"] == "signal"
    assert "ask_e4" in {each["field"] for each in difference["fields"]}


def test_a_run_that_was_killed_is_told_as_such(run):
    """What its process did not write any more is counted, and the torn line is left out."""
    path = run / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:200]) + lines[200][:30])
    retell(run, finished_ns=0)

    done = call("replay", "--against", run)

    assert done.code == 0
    assert done.out.replace(str(run), "RUN").split("\n\nLive against")[0] == snapshot("""\
PAPER run RUN
! the journal's last line is cut off after 30 bytes; it is left out
! the session was not finished: the journal is the beginning of what its rows
  decide

Proof
decisions  200 decisions equal, byte for byte, up to where the run stopped
rows       120,134, tape                                                  \n\
processes  1                                                              \n\
end        not finished                                                   \n\
unwritten  292 decisions after the last line on disk                      \
""")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([TAPE], "a tape is given beside `--against`"),
        (["-c", "some.toml"], "`--config` is given beside `--against`"),
        (["--latency-ms", "3"], "`--latency-ms` is given beside `--against`"),
        (["--triggers-only"], "`--triggers-only` is given beside `--against`"),
    ],
)
def test_nothing_but_the_run_is_taken(run, words, found):
    """Settings given beside it could only be wrong."""
    done = call("replay", "--against", run, *words)

    assert done.code == 2
    assert found in done.err


def test_a_folder_that_is_no_live_run(tmp_path):
    """A replay's run has no other journal to be held against."""
    done = call("replay", "--against", tmp_path)

    assert done.code == 4
    assert done.err.replace(str(tmp_path), "RUN") == snapshot("""\
error: `RUN` is no live run: it has no `live.json`

hint: name the folder of one mode, symbol and day, like live/paper/TSLA/2026-11-20
""")


def test_report_tells_it_once_it_is_known(run):
    """The first report proves the run, the second one reads what was found."""
    first = call("report", run)
    kept = json.loads((run / "against.json").read_text())
    kept["result"]["latency_usd"] = 12_345.67
    (run / "against.json").write_text(json.dumps(kept))

    second = call("report", run)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "Live against the simulated broker" in first.out
    assert "12,345.67" in second.out
    assert call("report", run, "--json").json["live"][0]["proof"]["equal"]


def test_report_tells_that_a_run_is_not_proven(run):
    """A report is no check: it shows what does not hold and goes on."""
    one_tick_off(run)

    done = call("report", run)

    assert done.code == 0
    assert "DIFFERS at line" in done.out


def test_parity_of_one_live_run(run):
    """The same view as `replay --against`, by the report's name for it."""
    done = call("report", run, "--parity", "--json")

    assert done.json["result"] == call("replay", "--against", run, "--json").json["result"]


def test_parity_of_one_replay_is_refused(tmp_path):
    """It has nothing to be held against."""
    call("replay", TAPE, "--out", tmp_path / "runs")

    done = call("report", tmp_path / "runs", "--parity")

    assert done.code == 2
    assert "nothing to be held against" in done.err


def test_latencies_of_a_run_can_be_drawn_from(run, tmp_path):
    """What was measured is what the run's orders took."""
    path = tmp_path / "latencies.csv"

    done = call("report", run, "--latencies", path)

    assert done.code == 0
    assert "750.0 ms" in done.err
    drawn = read_latencies(str(path))
    assert len(drawn) > 10
    assert set(drawn[:, 0]) == {750.0}
