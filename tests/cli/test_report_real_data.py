"""Reports of whole months: real SPY chains, and made-up sessions of every kind. Everything adds up to the cent."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.model.session import is_session
from scalpcli.report.attribution import PARTS, attribution_view
from scalpcli.report.fees import fees_view
from scalpcli.report.load import load
from tests.replay_samples import EXAMPLES

FIVE_MINUTES = EXAMPLES / "configs" / "five-minutes.toml"
SPY_DAYS = [dt.date(2026, 7, 17) + dt.timedelta(days=number) for number in range(15)]


def call(*words):
    done = CliRunner().invoke(app, [*map(str, words)], env={"NO_COLOR": "1"}, prog_name="scalpcli")
    assert done.exit_code == 0, done.stderr
    return done


def check_sums(run):
    """Attribution and fees of every trade of a run; gives the unexplained share and the number of trades."""
    results = load([run])
    view = attribution_view(results)
    assert view.more["notices"] == []
    assert len(view.rows) == len(results.trades)
    for row, trade in zip(view.rows, results.trades.iter_rows(named=True), strict=True):
        assert sum(round(row[f"{name}_usd"] * 100) for name in PARTS) == round(trade["net_pnl_usd"] * 100)
        assert round(row["fees_usd"] * 100) == -round(trade["fees_usd"] * 100)
        assert round((trade["gross_pnl_usd"] - trade["fees_usd"]) * 100) == round(trade["net_pnl_usd"] * 100)
    assert all(row["agrees"] for row in fees_view(results).rows)
    return view.more["unexplained_pct"], len(results.trades)


@pytest.mark.parametrize("days", [SPY_DAYS[:5], pytest.param(SPY_DAYS, marks=pytest.mark.full)], ids=["some", "all"])
def test_real_spy_sessions_add_up(shared, tmp_path, days):
    """Recorded five-minute chains (eleven days in full): every trade closes to the cent, the rest is a share."""
    chain = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"
    for day in days:
        if is_session(day):
            words = ["--symbol", "SPY", "--date", day, "--chain", chain, "--profile", "chain", "-q"]
            call("tape", "import", tmp_path / "tapes", *words)
    done = call("replay", tmp_path / "tapes", "-c", FIVE_MINUTES, "--out", tmp_path / "runs", "--json", "-q")
    (run,) = (tmp_path / "runs").iterdir()

    unexplained_pct, trades = check_sums(run)

    assert json.loads(done.stdout)["trades"] == trades > 0
    assert unexplained_pct < 40.0
    page = tmp_path / "page.html"
    call("report", run, "--out", page)
    assert "SYNTHETIC" not in page.read_text()
    found = json.loads(call("report", run, "--execution", "--json").stdout)
    assert found["fills"]
    assert all(row["fill_slippage_usd"] == 0.0 for row in found["fills"])


def synthetic_run(folder, sessions, rows):
    """Sessions with halts, gaps and early closes, replayed as one run."""
    day, made = dt.date(2026, 11, 2), 0
    while made < sessions:
        if is_session(day):
            more = ["--halt", "--gap"] if made % 3 == 0 else []
            words = ["--date", day, "--rows", rows, "--contracts", 12, "--seed", made, "-q", *more]
            call("tape", "synth", folder / "tapes", *words)
            made += 1
        day += dt.timedelta(days=1)
    demo = EXAMPLES / "configs" / "demo.toml"
    call("replay", folder / "tapes", "-c", demo, "--out", folder / "runs", "-q")
    (run,) = (folder / "runs").iterdir()
    return run


def test_two_tapes_of_one_day_in_one_run_stay_apart(tmp_path):
    """Each trade is attributed by its own tape and journal, and drawn from them."""
    for seed in (1, 2):
        words = ["--date", "2026-11-20", "--rows", 60_000, "--contracts", 12, "--seed", seed, "-q"]
        call("tape", "synth", tmp_path / f"tapes-{seed}", *words)
    tapes = (tmp_path / "tapes-1", tmp_path / "tapes-2")
    demo = EXAMPLES / "configs" / "demo.toml"
    call("replay", *tapes, "-c", demo, "--out", tmp_path / "runs", "-q")
    (run,) = (tmp_path / "runs").iterdir()

    unexplained_pct, trades = check_sums(run)

    assert unexplained_pct < 5.0
    last = call("report", "trade", trades, run).stdout
    assert "unexplained" in last
    assert "not there" not in last


@pytest.mark.parametrize(("sessions", "rows"), [(3, 60_000), pytest.param(21, 120_000, marks=pytest.mark.full)])
def test_a_synthetic_month_adds_up(tmp_path, sessions, rows):
    """Three sessions in CI, a month in full: every trade closes to the cent and little is unexplained."""
    unexplained_pct, trades = check_sums(synthetic_run(tmp_path, sessions, rows))

    assert trades >= sessions
    assert unexplained_pct < 5.0
