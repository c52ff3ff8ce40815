"""`scalpcli report` with a view, a range of days, a comparison or a trade, as a user meets it."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.report_builder import RunBuilder
from tests.report_samples import example_run, without_tape

COLUMNS = 80
VIEWS: tuple[tuple[str, ...], ...] = (
    ("--trades",),
    ("--group-by", "hour"),
    ("--execution",),
    ("--decay",),
    ("--attribution",),
    ("--fees",),
    ("--tax",),
    ("--funnel",),
    ("--null", "50"),
    ("--sensitivity",),
)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return example_run(tmp_path_factory.mktemp("runs"))


def call(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)], env={"NO_COLOR": "1"}, prog_name="scalpcli")


def plain(text):
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view[0])
def test_every_view_prints_in_every_format(example, view, tmp_path):
    """80 columns, valid JSON without NaN, rows of one shape, and what was made up is said."""
    table, markdown = call(example, *view), call(example, *view, "--format", "markdown")
    found = json.loads(call(example, *view, "--json").stdout, parse_constant=pytest.fail)
    rows = list(csv.DictReader(io.StringIO(call(example, *view, "--format", "csv").stdout)))
    done = call(example, *view, "--out", tmp_path / "rows.parquet")

    assert (table.exit_code, markdown.exit_code, done.exit_code) == (0, 0, 0)
    assert max(len(line) for line in table.stdout.splitlines()) <= COLUMNS
    assert "SYNTHETIC" in table.stdout
    assert markdown.stdout.startswith("> **SYNTHETIC")
    assert found["notices"][0].startswith("SYNTHETIC")
    frame = pl.read_parquet(tmp_path / "rows.parquet")
    assert frame.height == len(rows) > 0
    assert frame.columns == list(rows[0])


@pytest.mark.parametrize("view", VIEWS[:8], ids=lambda view: view[0])
def test_every_view_of_nothing_reads_sensibly(view, tmp_path):
    """A run without trades has no table to show, and no fault."""
    run = RunBuilder(tmp_path)
    run.session()
    path = run.write()

    done = call(path, *view)

    assert done.exit_code == 0
    assert done.stdout.strip()


def test_a_trade_is_drawn(example):
    """Bid and ask while it was held, what happened when, and what it was made of."""
    done = call("trade", "3", example)

    assert done.exit_code == 0
    assert plain(done.stdout).split("Trade 3\n")[1] == snapshot("""\
contract      TSLA261120C00405000, 15 contracts, delta 0.37
trigger       breakout, call, confidence 64
signal        10:06:20.400, bid 3.25, ask 3.35
entry         10:06:20.650, 15 at 3.40, bid 3.30, ask 3.40
exit          10:07:17.200, 10 at 2.82, bid 2.82, ask 2.86
exit          10:07:19.296, 5 at 2.83, bid 2.83, ask 2.87
left because  stop loss at -17.1% (STOP_LOSS), held 58.6 s
worst, best   -17.1 %, 10.3 % at the bid
made of       delta -808.12, gamma 19.35, theta -10.14, vega 43.13, spread
              -105.00, fees -1.35, unexplained -4.22
net           -866.35 USD

""")
    picture = done.stdout.splitlines()[:18]
    assert max(len(line) for line in picture) <= COLUMNS
    assert any("B" in line for line in picture)
    assert any("S" in line for line in picture)


def test_words_are_kept_and_pooled(tmp_path):
    """`report tag` and `report note`, then `--group-by tag` and `report trade`."""
    run = RunBuilder(tmp_path)
    session = run.session()
    session.trade(10.0)
    session.trade(-20.0)
    path = run.write()

    tagged = call("tag", path, 2, "news", "late")
    noted = call("note", path, 2, "read", "the", "calendar")
    groups = json.loads(call(path, "--group-by", "tag", "--json").stdout)["groups"]

    assert tagged.stderr == "trade 2: news, late; 0 notes\n"
    assert noted.stderr == "trade 2: news, late; 1 note\n"
    assert {group["name"]: group["net_pnl_usd"] for group in groups} == {"untagged": 10.0, "late": -20.0, "news": -20.0}
    assert "read the calendar" in call("trade", 2, path).stdout


def test_two_runs_are_compared(tmp_path):
    """B earns 100 more on each of twelve days, whatever the day brought: more than chance."""
    for name, more in (("a", 0.0), ("b", 100.0)):
        run = RunBuilder(tmp_path, name)
        for day in range(2, 14):
            run.session(f"2026-11-{day:02d}").trade((-1) ** day * 300.0 + more + day)
        run.write()

    done = call(tmp_path / "a", tmp_path / "b", "--compare")

    assert done.exit_code == 0
    assert plain(done.stdout).split("Comparison\n")[1] == snapshot("""\
figure                      A         B     B - A     95 % interval
────────────────────────────────────────────────────────────────────────────
sessions                   12        12         0
trades                     12        12         0
win rate, %              50.0      50.0       0.0
R:R                      1.05      2.12      1.07      1.04 to 1.10  differs
profit factor            1.05      2.12      1.07      0.21 to 5.41  differs
mean of a trade, USD     7.50    107.50    100.00  100.00 to 100.00  differs
net P&L, USD            90.00  1,290.00  1,200.00
Sharpe of trades         0.02      0.34      0.32      0.32 to 0.32  differs
Sharpe of days           0.38      5.45      5.07
drawdown, worst day, %   0.30      0.20     -0.10
drawdown, overall, %     0.30      0.20     -0.10
hold time, median, s    120.0     120.0       0.0
fees, USD               12.00     12.00      0.00
slippage, USD            0.80      0.80      0.00
fill rate, %            100.0     100.0       0.0
exposure, %              0.53      0.53      0.00
days in both: 12

""")


def test_parity_tells_what_one_run_lacks(tmp_path):
    """Two signals in A, one of them in B."""
    for name, trades in (("a", 2), ("b", 1)):
        run = RunBuilder(tmp_path, name)
        session = run.session()
        for _ in range(trades):
            session.trade(10.0)
        run.write()

    found = json.loads(call(tmp_path / "a", tmp_path / "b", "--parity", "--json").stdout)

    assert (found["count"], found["in_both"]) == (2, 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--compare", "one"], "1 are named; two are compared"),
        (["--trades", "--fees"], "2 views are asked for: --trades, --fees"),
        (["--trades", "--null", "5"], "2 views are asked for: --trades, --null"),
        (["--timerange", "soon"], "`soon` is no day and no range of days"),
        (["trade"], "a trade has one number"),
        (["tag", "runs"], "a tag takes a run, a trade and words"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, told):
    """Exit 2 with what to write instead."""
    done = call(*words)

    assert done.exit_code == 2
    assert told in done.stderr
    assert "hint: " in done.stderr


def test_trials_deflate(tmp_path):
    """`--trials` is for settings tried in other folders; a requirement sees it."""
    run = RunBuilder(tmp_path)
    session = run.session()
    for number in range(40):
        session.trade(30.0 if number % 3 else -20.0)
    path = run.write()

    alone = json.loads(call(path, "--json").stdout)["figures"]
    many = json.loads(call(path, "--json", "--trials", "1000").stdout)["figures"]
    refused = call(path, "--trials", "1000", "--require", "dsr_trades>=0.95", "--json")

    assert alone["dsr_trades"] == alone["psr_trades"] > 0.95
    assert many["dsr_trades"] < 0.95
    assert refused.exit_code == 5


def test_a_page_is_written_by_its_ending(example, tmp_path):
    """`--out page.html` needs no `--format`; a view has no page."""
    done = call(example, "--out", tmp_path / "page.html")
    refused = call(example, "--fees", "--out", tmp_path / "fees.html")

    assert (done.exit_code, done.stdout) == (0, "")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert refused.exit_code == 2
    assert not (tmp_path / "fees.html").exists()


@pytest.mark.parametrize(("asked", "code"), [("beaten_pct>=1", 0), ("beaten_pct>=99.9", 5)])
def test_luck_can_be_required(example, asked, code):
    """A CI job may ask that the entries beat chance; without `--null` that is unknown, which meets nothing."""
    assert call(example, "--null", 200, "--require", asked, "--json").exit_code == code
    assert call(example, "--require", asked, "--json").exit_code == 5


def test_a_trade_of_several_runs_is_refused(tmp_path):
    """Its number is one of its run's."""
    for name in ("a", "b"):
        run = RunBuilder(tmp_path, name)
        run.session().trade(10.0)
        run.write()

    done = call("trade", 1, tmp_path)

    assert done.exit_code == 2
    assert "holds 2 runs" in done.stderr


@pytest.mark.parametrize(
    ("feed", "told"),
    [
        ("indicative", "indicative option quotes"),
        ("imported bars", "quotes by the bar"),
        ("iex", "stock prints of one exchange"),
        ("opra", ""),
    ],
)
def test_coarse_feeds_are_told_first(tmp_path, feed, told):
    """What a feed cannot show stands above every figure."""
    run = RunBuilder(tmp_path)
    session = run.session()
    session.trade(10.0)
    head = session.head()
    session.head = lambda: head | {"feeds": {"options": feed}}

    text = call(run.write()).stdout

    assert ("! " in text) == bool(told)
    assert told in " ".join(text.split())


@pytest.mark.parametrize("view", [("--null", "5"), ("--sensitivity",)], ids=lambda view: view[0])
def test_what_cannot_be_replayed_leaves_with_4(example, view, tmp_path):
    """Without a tape there is no answer, and silence would pass for one."""
    done = call(without_tape(example, tmp_path), *view)

    assert done.exit_code == 4
    assert "none of 1 sessions can be replayed" in done.stderr
    assert "is not there" in done.stderr


@pytest.mark.parametrize("name", ["report.csv", "report.parquet", "report.html"])
def test_a_file_that_cannot_be_written_is_named(example, tmp_path, name):
    """As the user wrote it, with exit 4."""
    done = call(example, "--out", tmp_path / "gone" / name)

    assert done.exit_code == 4
    assert f"gone/{name}" in done.stderr
    assert ".partial" not in done.stderr
