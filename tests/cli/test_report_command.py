"""`scalpcli report`: what a user meets, in every format."""

from __future__ import annotations

import csv
import io
import json

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.report.figures import FIGURES
from tests.report_builder import BREAKOUT, BURST, REJECTION, RunBuilder


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Runs `scalpcli report …` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(app, ["report", *words], env={"NO_COLOR": "1"})

    return run


@pytest.fixture
def builder(tmp_path):
    """Begins a run in `runs`."""

    def begin(name="20261120T220000Z-0a1b2c3d", created_utc="2026-11-20T22:00:00+00:00"):
        return RunBuilder(tmp_path / "runs", name, created_utc)

    return begin


def one_day(run, **session):
    """Three trades, one refused trigger, one that nobody refused, one entry given up."""
    day = run.session(**session)
    day.trade(300.0, trigger=BURST, worst_open_usd=-450.0, held_s=95.0)
    day.trade(-120.5, trigger=BREAKOUT, side="put", exit_reason="STOP_LOSS", held_s=41.0)
    day.trade(84.25, trigger=BURST, exit_reason="TIME_EXIT", held_s=900.0)
    refused = day.trigger(REJECTION)
    day.refusal(refused, "spread")
    day.refusal(refused, "cooldown", standing=True)
    day.missed(refused, "cooldown")
    day.missed(day.trigger(BURST), "condition")
    given_up = day.trigger(BURST)
    signal = day.signal(given_up)
    day.order(signal)
    day.order(signal, attempt=2)
    day.unfilled(given_up, signal)
    run.write()


def plain(text):
    """Without blanks at line ends, which tables pad with."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def test_the_latest_run_as_tables(report, builder):
    """The whole report of one recorded day: data first, then result, groups and funnel."""
    one_day(builder())

    done = report()

    assert done.exit_code == 0
    assert done.stderr == ""
    assert plain(done.stdout) == snapshot("""\
Report of runs/20261120T220000Z-0a1b2c3d

Data
session     symbol  source     cover %  gaps  stale %  cross %          tape
────────────────────────────────────────────────────────────────────────────
2026-11-20  TSLA    sip, opra    99.50     1     1.75     0.25  bf46f302995f
stale: silent for over 5 s, cross: quotes crossed; of the worst channel

Origin
mode    code version  config digest  seed  made (UTC)
──────────────────────────────────────────────────────────────
replay  0.1.0         c0ffeec0ffee      0  2026-11-20T22:00:00

Result
figure                  value  95 % interval
───────────────────────────────────────────────────────────────
trades                      3                 2 won, 1 lost
win rate               66.7 %                 > 55 %: undecided
R:R                      1.59                 > 1.5: undecided
average winner     192.12 USD
average loser     -120.50 USD
profit factor            3.19
mean of a trade     87.92 USD                 after fees
net P&L            263.75 USD
Sharpe of trades         0.42                 a trade
Sharpe of days              -                 1 day: too few
too few trades: intervals take 10, targets are decided from 30 on

Behind it
gross P&L                   266.75 USD  fees 3.00 USD
best trade                  300.00 USD  the best three are 100.0 % of net
worst trade                -120.50 USD  longest losing run 1
expectancy, cents a share         8.79  a trade, after fees
Sortino of trades                 1.26  of days -
P(Sharpe > 0)                    0.722  true Sharpe above 0; one setting tried
drawdown, worst day             0.45 %  450.00 USD, at fills and the close
drawdown, overall               0.45 %  450.00 USD
MAE, mean                            -  of winners -
MFE, mean                            -  of losers -
hold time, median               95.0 s  mean 345.3 s, longest 900.0 s
exposure                        4.47 %  of the sessions with an open position
slippage                     24.00 USD  0.80 USD a contract, 30 contracts
  entries                    15.00 USD  0.50 USD a contract, against the ask
  exits                       9.00 USD  0.30 USD a contract, against the bid
  entries, to mid            75.00 USD  2.50 USD a contract, spread included

Trades
by                       trades  win %  net USD  mean USD  hold s
─────────────────────────────────────────────────────────────────
exit     STOP_LOSS            1    0.0  -120.50   -120.50    41.0
         TAKE_PROFIT          1  100.0   300.00    300.00    95.0
         TIME_EXIT            1  100.0    84.25     84.25   900.0
trigger  momentum_burst       2  100.0   384.25    192.12   497.5
         breakout             1    0.0  -120.50   -120.50    41.0
side     call                 2  100.0   384.25    192.12   497.5
         put                  1    0.0  -120.50   -120.50    41.0

Funnel
                                all  burst  rejection  breakout
───────────────────────────────────────────────────────────────
triggers                          6      4          1         1
  refused: cooldown               1      0          1         0
  refused: spread                 1      0          1         0
  missed                          2      1          1         0
    gone before any gate spoke    1      1          0         0
signals                           4      3          0         1
  entry orders, every try         5      4          0         1
  given up unfilled               1      1          0         0
signals filled                    3      2          0         1
trades closed                     3      2          0         1
a trigger may be refused several times, once for each reason

""")


def test_a_made_up_market_is_told_before_anything_else(report, builder):
    """Nobody may take a demo for a result."""
    one_day(builder(), synthetic=True)

    lines = report().stdout.splitlines()

    assert lines[1].startswith("! SYNTHETIC: the market was made up")
    assert any("SYNTHETIC" in line for line in lines[4:8])


def test_markdown_holds_the_same_tables(report, builder):
    """For a pull request or a wiki; nothing in it is taken for emphasis."""
    one_day(builder(), synthetic=True)

    done = report("--format", "markdown")

    assert done.exit_code == 0
    assert done.stdout == snapshot("""\
# Report of runs/20261120T220000Z-0a1b2c3d

> **SYNTHETIC: the market was made up by a random generator; no figure here says anything about real trading**

## Data

| session | symbol | source | cover % | gaps | stale % | cross % | tape |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| 2026-11-20 | TSLA | SYNTHETIC | 99.50 | 1 | 1.75 | 0.25 | bf46f302995f |

stale: silent for over 5 s, cross: quotes crossed; of the worst channel

## Origin

| mode | code version | config digest | seed | made (UTC) |
| --- | --- | --- | ---: | --- |
| replay | 0.1.0 | c0ffeec0ffee | 0 | 2026-11-20T22:00:00 |

## Result

| figure | value | 95 % interval |   |
| --- | ---: | ---: | --- |
| trades | 3 |  | 2 won, 1 lost |
| win rate | 66.7 % |  | > 55 %: undecided |
| R:R | 1.59 |  | > 1.5: undecided |
| average winner | 192.12 USD |  |  |
| average loser | -120.50 USD |  |  |
| profit factor | 3.19 |  |  |
| mean of a trade | 87.92 USD |  | after fees |
| net P&L | 263.75 USD |  |  |
| Sharpe of trades | 0.42 |  | a trade |
| Sharpe of days | - |  | 1 day: too few |

too few trades: intervals take 10, targets are decided from 30 on

## Behind it

|   |   |   |
| --- | ---: | --- |
| gross P&L | 266.75 USD | fees 3.00 USD |
| best trade | 300.00 USD | the best three are 100.0 % of net |
| worst trade | -120.50 USD | longest losing run 1 |
| expectancy, cents a share | 8.79 | a trade, after fees |
| Sortino of trades | 1.26 | of days - |
| P(Sharpe > 0) | 0.722 | true Sharpe above 0; one setting tried |
| drawdown, worst day | 0.45 % | 450.00 USD, at fills and the close |
| drawdown, overall | 0.45 % | 450.00 USD |
| MAE, mean | - | of winners - |
| MFE, mean | - | of losers - |
| hold time, median | 95.0 s | mean 345.3 s, longest 900.0 s |
| exposure | 4.47 % | of the sessions with an open position |
| slippage | 24.00 USD | 0.80 USD a contract, 30 contracts |
|   entries | 15.00 USD | 0.50 USD a contract, against the ask |
|   exits | 9.00 USD | 0.30 USD a contract, against the bid |
|   entries, to mid | 75.00 USD | 2.50 USD a contract, spread included |

## Trades

| by |   | trades | win % | net USD | mean USD | hold s |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| exit | STOP\\_LOSS | 1 | 0.0 | -120.50 | -120.50 | 41.0 |
|  | TAKE\\_PROFIT | 1 | 100.0 | 300.00 | 300.00 | 95.0 |
|  | TIME\\_EXIT | 1 | 100.0 | 84.25 | 84.25 | 900.0 |
| trigger | momentum\\_burst | 2 | 100.0 | 384.25 | 192.12 | 497.5 |
|  | breakout | 1 | 0.0 | -120.50 | -120.50 | 41.0 |
| side | call | 2 | 100.0 | 384.25 | 192.12 | 497.5 |
|  | put | 1 | 0.0 | -120.50 | -120.50 | 41.0 |

## Funnel

|   | all | burst | rejection | breakout |
| --- | ---: | ---: | ---: | ---: |
| triggers | 6 | 4 | 1 | 1 |
|   refused: cooldown | 1 | 0 | 1 | 0 |
|   refused: spread | 1 | 0 | 1 | 0 |
|   missed | 2 | 1 | 1 | 0 |
|     gone before any gate spoke | 1 | 1 | 0 | 0 |
| signals | 4 | 3 | 0 | 1 |
|   entry orders, every try | 5 | 4 | 0 | 1 |
|   given up unfilled | 1 | 1 | 0 | 0 |
| signals filled | 3 | 2 | 0 | 1 |
| trades closed | 3 | 2 | 0 | 1 |

a trigger may be refused several times, once for each reason
""")


def test_json_holds_the_whole_report(report, builder):
    """Values, not words: figures, targets, groups, funnel, sessions with their data, runs."""
    one_day(builder())

    found = json.loads(report("--json").stdout)

    assert found["synthetic"] is False
    assert found["notices"] == []
    assert list(found["figures"]) == list(FIGURES)
    assert found["figures"]["net_pnl_usd"] == 263.75
    assert found["figures"]["sharpe_days"] is None
    assert found["targets"][0] == {
        "figure": "win_rate",
        "above": 55.0,
        "value": pytest.approx(200 / 3),
        "verdict": "undecided",
    }
    assert [(group["name"], group["trades"]) for group in found["by"]["trigger"]] == [(BURST, 2), (BREAKOUT, 1)]
    assert found["funnel"]["all"] == snapshot(
        {
            "triggers": 6,
            "refused": {"cooldown": 1, "spread": 1},
            "missed": {"condition": 1, "cooldown": 1},
            "left_open": 0,
            "signals": 4,
            "signals_ordered": 4,
            "entry_orders": 5,
            "signals_unfilled": 1,
            "signals_filled": 3,
            "entry_fills": 3,
            "exit_orders": 3,
            "exit_fills": 3,
            "trades": 3,
        }
    )
    assert found["funnel"][REJECTION]["refused"] == {"cooldown": 1, "spread": 1}
    session = found["sessions"][0]
    assert (session["session"], session["symbol"], session["trades"]) == ("2026-11-20", "TSLA", 3)
    assert session["quality"]["gaps"]["count"] == 1
    assert len(session["tape_digest"]) == 64
    assert found["runs"][0]["config_digest"].startswith("c0ffee")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_hold_one_run_each_with_every_figure(report, builder, form):
    """For spreadsheets and scripts that compare runs; words go to stderr."""
    one_day(builder("a", "2026-11-20T22:00:00"), synthetic=True)
    one_day(builder("b", "2026-11-21T22:00:00"), day="2026-11-23")

    done = report("runs", "--format", form)

    rows = (
        list(csv.DictReader(io.StringIO(done.stdout)))
        if form == "csv"
        else [json.loads(line) for line in done.stdout.splitlines()]
    )
    assert [row["run"] for row in rows] == ["a", "b"]
    assert [float(row["net_pnl_usd"]) for row in rows] == [263.75, 263.75]
    assert FIGURES.keys() <= rows[0].keys()
    assert rows[0]["sharpe_days"] in ("", None)
    assert done.stderr.startswith("SYNTHETIC in part: 1 of 2 sessions")


def test_trades_are_listed_with_what_they_cost(report, builder):
    """One row a trade, in New York time."""
    one_day(builder())

    listed = report("--trades")
    rows = list(csv.DictReader(io.StringIO(report("--trades", "--format", "csv").stdout)))

    assert plain(listed.stdout) == snapshot("""\
Trades
#  opened (ET)         contract  qty  entry  exit  net USD  exit by
───────────────────────────────────────────────────────────────────────
1  11-20 09:30  TSLA 250C 11-20   10   2.00  2.30   300.00  TAKE_PROFIT
2  11-20 09:31  TSLA 250P 11-20   10   2.00  1.88  -120.50  STOP_LOSS
3  11-20 09:32  TSLA 250C 11-20   10   2.00  2.09    84.25  TIME_EXIT

""")
    assert [row["net_pnl_usd"] for row in rows] == ["300.0", "-120.5", "84.25"]
    assert rows[0]["run"] == "20261120T220000Z-0a1b2c3d"


def test_runs_stand_side_by_side(report, builder):
    """Several runs: a row each, and pooled figures that say when they count a session twice."""
    one_day(builder("a", "2026-11-20T22:00:00"))
    one_day(builder("b", "2026-11-20T23:00:00"))

    text = plain(report("runs/*").stdout)

    assert "! in more than one run: TSLA 2026-11-20" in text
    assert text.split("Runs\n", 1)[1].split("\n\n", 1)[0] == snapshot("""\
run  folder  days  trades  win %  net USD    PF  DD %
─────────────────────────────────────────────────────
  1  a          1       3   66.7   263.75  3.19  0.45
  2  b          1       3   66.7   263.75  3.19  0.45\
""")


def test_long_tables_say_what_they_leave_out(report, builder):
    """A year of sessions does not scroll by; programs get all of them."""
    run = builder()
    for day in range(1, 29):
        for month in (9, 10):
            run.session(f"2026-{month:02d}-{day:02d}")
    run.write()

    text = " ".join(report().stdout.split())

    assert text.count("40 of 56 rows; --format json has all") == 1
    assert "56 days TSLA sip, opra 99.50 56 1.75 0.25 56 tapes" in text
    assert len(json.loads(report("--json").stdout)["sessions"]) == 56


def test_a_requirement_that_falls_short_leaves_with_5(report, builder):
    """The report is printed all the same; stderr tells what was missed."""
    one_day(builder())

    done = report("--require", "trades>=3", "--require", "win_rate>=70", "--require", "sharpe_days>1", "--json")

    assert done.exit_code == 5
    assert [each["met"] for each in json.loads(done.stdout)["requirements"]] == [True, False, False]
    assert done.stderr.splitlines()[:3] == [
        "error: 2 of 3 requirements fell short",
        "  win_rate>=70: win_rate is 66.66666667",
        f"  sharpe_days>1: sharpe_days is unknown ({FIGURES['sharpe_days'].formula})",
    ]


def test_a_requirement_that_is_met_leaves_with_0(report, builder):
    """And says nothing."""
    one_day(builder())

    done = report("--require", "trades>=3", "--require", "synthetic_sessions==0", "--require", "coverage_pct>=99")

    assert (done.exit_code, done.stderr) == (0, "")


def test_a_wrong_requirement_is_refused_before_any_work(report):
    """Exit 2, also where there is no run yet."""
    done = report("--require", "win_rat>=55")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "no figure is named `win_rat`" in done.stderr


def test_no_run_leaves_with_4(report):
    """One message, no traceback."""
    done = report()

    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith("error: there is no run in `runs`")


@pytest.mark.parametrize("form", ["table", "json"])
def test_figures_are_listed_with_their_formulas(report, form):
    """What `--require` knows, without any run."""
    done = report("--list-figures", "--format", form)

    assert done.exit_code == 0
    assert all(name in done.stdout for name in FIGURES)


def test_quiet_keeps_data_only(report, builder):
    """`-q` drops words; CSV stays CSV."""
    one_day(builder(), synthetic=True)

    done = report("-q", "--format", "csv")

    assert done.stderr == ""
    assert done.stdout.startswith("run,path,")
