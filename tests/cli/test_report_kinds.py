"""`scalpcli report` of runs that are not as one would wish: empty, refused, lost, mixed, open."""

from __future__ import annotations

import re

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.report_builder import BREAKOUT, BURST, RunBuilder

COLUMNS = 80
FORMATS = ("table", "json", "jsonl", "csv", "markdown")


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Runs `scalpcli report …` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(app, ["report", *words], env={"NO_COLOR": "1"})

    return run


@pytest.fixture
def run(tmp_path):
    """A run to fill."""
    return RunBuilder(tmp_path / "runs")


def plain(text):
    """Without blanks at line ends, which tables pad with."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def no_trades(run):
    run.session()


def only_refusals(run):
    day = run.session()
    for gate in ("spread", "spread", "cooldown"):
        episode = day.trigger(BURST)
        day.refusal(episode, gate)
        day.missed(episode, gate)


def triggers_only(run):
    day = run.session()
    day.trigger(BURST)
    day.trigger(BREAKOUT)


def one_trade(run):
    run.session().trade(50.0)


def only_losers(run):
    day = run.session()
    day.trade(-50.0, exit_reason="STOP_LOSS")
    day.trade(-70.0, exit_reason="STOP_LOSS")


def mixed(run):
    run.session("2026-11-19", synthetic=True).trade(50.0)
    run.session("2026-11-20").trade(-70.0)


def several_sessions(run):
    run.session("2026-11-19").trade(50.0)
    run.session("2026-11-20", "SPY")
    run.session("2026-11-20").trade(-70.0)


def not_flat(run):
    run.session().is_flat = False


def without_quality(run):
    run.session(quality={}).trade(5.0)


KINDS = [
    no_trades,
    only_refusals,
    triggers_only,
    one_trade,
    only_losers,
    mixed,
    several_sessions,
    not_flat,
    without_quality,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_kind_of_run_prints_in_every_format(report, run, kind, form):
    """No infinity, no NaN, no fault of ours, and no line wider than a terminal of 80 columns."""
    kind(run)
    run.write()

    done = report("--format", form)

    assert done.exit_code == 0
    assert done.stdout
    assert not re.search(r"\b(nan|inf|infinity|none)\b", done.stdout, re.IGNORECASE)
    if form == "table":
        assert max(len(line) for line in done.stdout.splitlines()) <= COLUMNS


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (no_trades, ["0.00 USD, at fills and the close", "no trigger rose"]),
        (only_refusals, ["refused: spread", "missed", "signals"]),
        (triggers_only, ["not pursued"]),
        (one_trade, ["1 won, 0 lost", "too few trades: intervals take 10"]),
        (only_losers, ["0 won, 2 lost", "profit factor", "0.00"]),
        (mixed, ["SYNTHETIC in part: 1 of 2 sessions", "recorded", "source"]),
        (several_sessions, ["Sessions", "SPY", "2026-11-19"]),
        (not_flat, ["NOT FLAT at the end"]),
    ],
)
def test_what_is_odd_about_a_run_is_said(report, run, kind, told):
    """A report of nothing says that there was nothing, and why."""
    kind(run)
    run.write()

    text = report().stdout

    assert [words for words in told if words not in text] == []


def test_without_trades_no_ratio_is_shown(report, run):
    """A table of dashes tells nothing; the funnel does."""
    only_refusals(run)
    run.write()

    assert plain(report().stdout).split("Result\n", 1)[1] == snapshot("""\
trades                    0
drawdown, worst day  0.00 %  0.00 USD, at fills and the close

Funnel
                           all  burst  rejection  breakout
──────────────────────────────────────────────────────────
triggers                     3      3          0         0
  refused: spread            2      2          0         0
  refused: cooldown          1      1          0         0
  missed                     3      3          0         0
signals                      0      0          0         0
  entry orders, every try    0      0          0         0
  given up unfilled          0      0          0         0
signals filled               0      0          0         0
trades closed                0      0          0         0
a trigger may be refused several times, once for each reason

""")
