"""What each format of `report` looks like, and how odd runs read: snapshots to be read before they are accepted."""

from __future__ import annotations

import csv
import io
import json
import re

import polars as pl
import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.report_builder import BREAKOUT, BURST, RunBuilder


@pytest.fixture
def run(tmp_path):
    return RunBuilder(tmp_path / "runs")


def call(*words):
    done = CliRunner().invoke(app, ["report", *map(str, words)], env={"NO_COLOR": "1"}, prog_name="scalpcli")
    assert done.exit_code == 0, done.stderr
    return done.stdout


def two_trades(run):
    day = run.session()
    day.trade(300.0, trigger=BURST, held_s=95.0)
    day.trade(-120.5, trigger=BREAKOUT, side="put", exit_reason="STOP_LOSS", held_s=41.0)
    return run.write()


def test_csv(run):
    """Names in the first line; the trade list is what a spreadsheet takes."""
    path = two_trades(run)

    rows = list(csv.DictReader(io.StringIO(call(path, "--format", "csv"))))

    assert {name: rows[0][name] for name in list(rows[0])[:22] if name != "path"} == snapshot(
        {
            "run": "20261120T220000Z-0a1b2c3d",
            "mode": "replay",
            "created_utc": "2026-11-20T22:00:00+00:00",
            "code_version": "0.1.0",
            "config_digest": "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff",
            "decisions_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
            "seed": "0",
            "command": '["scalpcli", "replay", "tapes/TSLA/2026-11-20"]',
            "symbols": '["TSLA"]',
            "first_session": "2026-11-20",
            "last_session": "2026-11-20",
            "synthetic": "false",
            "runs": "1",
            "sessions": "1",
            "days": "1",
            "synthetic_sessions": "0",
            "coverage_pct": "99.5",
            "trades": "2",
            "winners": "1",
            "losers": "1",
            "win_rate": "50.0",
        }
    )
    assert call(path, "--tax", "--format", "csv") == snapshot("""\
description,symbol,acquired,acquired_time_new_york,sold,sold_time_new_york,quantity,proceeds_usd,cost_usd,fees_usd,gain_usd,synthetic
TSLA 2026-11-20 250 call,TSLA261120C00250000,2026-11-20,09:30:05,2026-11-20,09:31:43,10,2301.0,2000.0,1.0,300.0,false
TSLA 2026-11-20 250 put,TSLA261120C00250000,2026-11-20,09:31:47,2026-11-20,09:32:31,10,1880.5,2000.0,1.0,-120.5,false
""")


def test_jsonl(run):
    """One object a line and run, unknown as null."""
    (line,) = call(two_trades(run), "--format", "jsonl").splitlines()

    found = json.loads(line)

    assert {name: found[name] for name in ("run", "symbols", "trades", "win_rate", "sharpe_days", "psr_trades")} == (
        snapshot(
            {
                "run": "20261120T220000Z-0a1b2c3d",
                "symbols": ["TSLA"],
                "trades": 2,
                "win_rate": 50.0,
                "sharpe_days": None,
                "psr_trades": 0.6186147468513142,
            }
        )
    )


def test_json(run):
    """The report's own keys, and a group as it is."""
    found = json.loads(call(two_trades(run), "--json"))

    assert list(found) == snapshot(
        [
            "synthetic",
            "notices",
            "figures",
            "intervals",
            "targets",
            "requirements",
            "reliability",
            "by",
            "funnel",
            "live",
            "sessions",
            "runs",
        ]
    )
    assert found["by"]["side"] == snapshot(
        [
            {
                "name": "call",
                "trades": 1,
                "win_rate": 100.0,
                "net_pnl_usd": 300.0,
                "expectancy_usd": 300.0,
                "expectancy_interval": None,
                "profit_factor": None,
                "hold_s_median": 95.0,
                "fees_usd": 1.0,
            },
            {
                "name": "put",
                "trades": 1,
                "win_rate": 0.0,
                "net_pnl_usd": -120.5,
                "expectancy_usd": -120.5,
                "expectancy_interval": None,
                "profit_factor": 0.0,
                "hold_s_median": 41.0,
                "fees_usd": 1.0,
            },
        ]
    )
    assert found["intervals"]["win_rate"] == [None, None]


def test_markdown(run):
    """Tables for a pull request."""
    text = call(two_trades(run), "--trades", "--format", "markdown")

    assert text == snapshot("""\
## Trades

| # | opened (ET) | contract | qty | entry | exit | net USD | exit by |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| 1 | 11-20 09:30 | TSLA 250C 11-20 | 10 | 2.00 | 2.30 | 300.00 | TAKE\\_PROFIT |
| 2 | 11-20 09:31 | TSLA 250P 11-20 | 10 | 2.00 | 1.88 | -120.50 | STOP\\_LOSS |
""")


def test_parquet(run, tmp_path):
    """Types that need no guessing."""
    call(two_trades(run), "--trades", "--out", tmp_path / "trades.parquet")

    frame = pl.read_parquet(tmp_path / "trades.parquet")

    assert {name: str(kind) for name, kind in list(frame.schema.items())[:16]} == snapshot(
        {
            "run": "String",
            "session": "Date",
            "symbol": "String",
            "trade": "Int64",
            "signal": "Int64",
            "trigger": "String",
            "side": "String",
            "option_symbol": "String",
            "strike": "Float64",
            "expiry": "Date",
            "dte": "Int64",
            "quantity": "Int64",
            "confidence": "Int64",
            "delta": "Float64",
            "iv": "Float64",
            "spread_pct": "Float64",
        }
    )


def test_html(run, tmp_path):
    """What a reader without scripts sees; styles, scripts, data and licence apart."""
    call(two_trades(run), "--out", tmp_path / "page.html")

    text = (tmp_path / "page.html").read_text().replace(str(tmp_path), "")
    text = re.sub(r"<(style|script|details)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    body = text.split("<main>")[1].split('<div class="tables">')[0]

    assert "\n".join(line for line in body.splitlines() if line.strip()) == snapshot("""\
<h1>Report of /runs/20261120T220000Z-0a1b2c3d</h1>
<p>TSLA 2026-11-20: its tape `tapes/TSLA/2026-11-20` is not there; what needs its tape is left out</p>
<p>Data: coverage at least 99.50 %, 1 gaps, silent at most 1.75 %, crossed at most 0.25 %, tape bf46f302995f; code 0.1.0, settings c0ffeec0ffee</p>
<div class="figures"><div class="figure"><span>net P&amp;L</span><b>179.50 USD</b><span></span></div><div class="figure"><span>trades</span><b>2</b><span></span></div><div class="figure"><span>win rate</span><b>50.0 %</b><span></span></div><div class="figure"><span>R:R</span><b>2.49</b><span></span></div><div class="figure"><span>profit factor</span><b>2.49</b><span></span></div><div class="figure"><span>mean of a trade</span><b>89.75 USD</b><span></span></div><div class="figure"><span>Sharpe of trades</span><b>0.30</b><span></span></div><div class="figure"><span>drawdown, overall</span><b>0.12 %</b><span></span></div></div>
<div class="grid">
<section class="wide"><h2>Equity, USD</h2><div id="equity"></div></section>
<section class="wide"><h2>Drawdown, %</h2><div id="drawdown"></div></section>
<section class=""><h2>Results of trades</h2><div id="pnl"></div></section>
<section class=""><h2>Confidence against what happened</h2><div id="reliability"></div></section>
<section><h2>Net USD and trades by weekday and hour (New York)</h2><div class="scroll"><table class="heat"><tr><th></th><th>09</th></tr><tr><th>Fri</th><td data-net="179.50">180<br>2</td></tr></table></div></section>
<section><h2>Funnel</h2><div class="bar"><span>triggers</span><i data-share="100.00"></i><span class="right">2</span></div><div class="bar"><span>refusals</span><i data-share="0.00"></i><span class="right">0</span></div><div class="bar"><span>missed</span><i data-share="0.00"></i><span class="right">0</span></div><div class="bar"><span>signals</span><i data-share="100.00"></i><span class="right">2</span></div><div class="bar"><span>with an order</span><i data-share="100.00"></i><span class="right">2</span></div><div class="bar"><span>filled</span><i data-share="100.00"></i><span class="right">2</span></div><div class="bar"><span>trades</span><i data-share="100.00"></i><span class="right">2</span></div></section>
</div>\
""")


def no_trades(run):
    run.session()


def one_trade(run):
    run.session().trade(50.0)


def only_losers(run):
    day = run.session()
    for usd in (-50.0, -70.0, -10.0, -20.0, -30.0, -45.0, -15.0, -60.0, -5.0, -80.0):
        day.trade(usd, exit_reason="STOP_LOSS")


def only_refusals(run):
    day = run.session()
    for gate in ("spread", "spread", "cooldown"):
        episode = day.trigger(BURST)
        day.refusal(episode, gate)
        day.missed(episode, gate)


def open_position(run):
    day = run.session()
    day.trade(40.0)
    episode = day.trigger(BURST)
    signal = day.signal(episode)
    day.order(signal)
    day.fill(signal, quantity=5)
    day.mark("fill", -35.0)
    day.is_flat = False


def mixed(run):
    run.session("2026-11-19", synthetic=True).trade(50.0)
    run.session("2026-11-20").trade(-70.0)


def read(run, kind):
    """The report below its table of origins."""
    kind(run)
    text = "\n".join(line.rstrip() for line in call(run.write()).splitlines())
    notices = "\n".join(line for line in text.splitlines()[1:4] if line.startswith(("!", "  ")))
    return f"{notices}\nResult{text.split('Result', 1)[1].split('Trades')[0].split('Funnel')[0]}".strip()


def test_nothing_traded_reads(run):
    """No ratio of nothing."""
    assert read(run, no_trades) == snapshot("""\
Result
trades                    0
drawdown, worst day  0.00 %  0.00 USD, at fills and the close\
""")


def test_one_trade_reads(run):
    """One trade decides nothing and says so."""
    assert read(run, one_trade) == snapshot("""\
Result
figure                value  95 % interval
─────────────────────────────────────────────────────────────
trades                    1                 1 won, 0 lost
win rate            100.0 %                 > 55 %: undecided
R:R                       -                 > 1.5: undecided
average winner    50.00 USD
average loser             -
profit factor             -
mean of a trade   50.00 USD                 after fees
net P&L           50.00 USD
Sharpe of trades          -                 a trade
Sharpe of days            -                 1 day: too few
too few trades: intervals take 10, targets are decided from 30 on

Behind it
gross P&L                  51.00 USD  fees 1.00 USD
best trade                 50.00 USD  the best three are 100.0 % of net
worst trade                50.00 USD  longest losing run 0
expectancy, cents a share       5.00  a trade, after fees
Sortino of trades                  -  of days -
P(Sharpe > 0)                      -  true Sharpe above 0; one setting tried
drawdown, worst day           0.00 %  0.00 USD, at fills and the close
drawdown, overall             0.00 %  0.00 USD
MAE, mean                          -  of winners -
MFE, mean                          -  of losers -
hold time, median            120.0 s  mean 120.0 s, longest 120.0 s
exposure                      0.53 %  of the sessions with an open position
slippage                    8.00 USD  0.80 USD a contract, 10 contracts
  entries                   5.00 USD  0.50 USD a contract, against the ask
  exits                     3.00 USD  0.30 USD a contract, against the bid
  entries, to mid          25.00 USD  2.50 USD a contract, spread included\
""")


def test_only_losers_read(run):
    """No R:R without a winner; the win rate's interval is Wilson's, not a point at zero."""
    assert read(run, only_losers) == snapshot("""\
Result
figure                  value       95 % interval
────────────────────────────────────────────────────────────────────
trades                     10                      0 won, 10 lost
win rate                0.0 %         0.0 to 27.8  > 55 %: undecided
R:R                         -                      > 1.5: undecided
average winner              -
average loser      -38.50 USD    -58.00 to -20.50
profit factor            0.00
mean of a trade    -38.50 USD    -58.00 to -20.50  after fees
net P&L           -385.00 USD  -580.00 to -205.00
Sharpe of trades        -1.46      -2.46 to -0.85  a trade
Sharpe of days              -                      1 day: too few
intervals: bootstrap over trades, 2,000 draws, seeded; targets are decided from
30 trades on

Behind it
gross P&L                  -375.00 USD  fees 10.00 USD
best trade                   -5.00 USD  the best three are - of net
worst trade                 -80.00 USD  longest losing run 10
expectancy, cents a share        -3.85  a trade, after fees
Sortino of trades                -0.84  of days -
P(Sharpe > 0)                    0.000  true Sharpe above 0; one setting tried
drawdown, worst day             0.39 %  385.00 USD, at fills and the close
drawdown, overall               0.39 %  385.00 USD
MAE, mean                            -  of winners -
MFE, mean                            -  of losers -
hold time, median              120.0 s  mean 120.0 s, longest 120.0 s
exposure                        5.26 %  of the sessions with an open position
slippage                     80.00 USD  0.80 USD a contract, 100 contracts
  entries                    50.00 USD  0.50 USD a contract, against the ask
  exits                      30.00 USD  0.30 USD a contract, against the bid
  entries, to mid           250.00 USD  2.50 USD a contract, spread included\
""")


def test_only_refusals_read(run):
    """The funnel tells why nothing was traded."""
    assert read(run, only_refusals) == snapshot("""\
Result
trades                    0
drawdown, worst day  0.00 %  0.00 USD, at fills and the close\
""")


def test_a_live_run_with_an_open_position_reads(run):
    """What is still held is in no figure, which is said first; the mode is live."""
    manifest = run.manifest
    run.manifest = lambda: manifest() | {"mode": "live"}

    assert read(run, open_position) == snapshot("""\
! TSLA 2026-11-20: NOT FLAT at the end; what is still held is in no figure
Result
figure                value  95 % interval
─────────────────────────────────────────────────────────────
trades                    1                 1 won, 0 lost
win rate            100.0 %                 > 55 %: undecided
R:R                       -                 > 1.5: undecided
average winner    40.00 USD
average loser             -
profit factor             -
mean of a trade   40.00 USD                 after fees
net P&L           40.00 USD
Sharpe of trades          -                 a trade
Sharpe of days            -                 1 day: too few
too few trades: intervals take 10, targets are decided from 30 on

Behind it
gross P&L                  41.00 USD  fees 1.00 USD
best trade                 40.00 USD  the best three are 100.0 % of net
worst trade                40.00 USD  longest losing run 0
expectancy, cents a share       4.00  a trade, after fees
Sortino of trades                  -  of days -
P(Sharpe > 0)                      -  true Sharpe above 0; one setting tried
drawdown, worst day           0.03 %  35.00 USD, at fills and the close
drawdown, overall             0.03 %  35.00 USD
MAE, mean                          -  of winners -
MFE, mean                          -  of losers -
hold time, median            120.0 s  mean 120.0 s, longest 120.0 s
exposure                      0.53 %  of the sessions with an open position
slippage                    8.00 USD  0.80 USD a contract, 10 contracts
  entries                   5.00 USD  0.50 USD a contract, against the ask
  exits                     3.00 USD  0.30 USD a contract, against the bid
  entries, to mid          25.00 USD  2.50 USD a contract, spread included\
""")
    assert "\nlive " in call(run.path)


def test_real_and_made_up_sessions_read(run):
    """Pooled figures are told to be mixed, and the sources stand apart."""
    assert read(run, mixed) == snapshot("""\
! SYNTHETIC in part: 1 of 2 sessions were made up by a random generator; pooled
  figures mix them with real ones
Result
figure                 value  95 % interval
──────────────────────────────────────────────────────────────
trades                     2                 1 won, 1 lost
win rate              50.0 %                 > 55 %: undecided
R:R                     0.71                 > 1.5: undecided
average winner     50.00 USD
average loser     -70.00 USD
profit factor           0.71
mean of a trade   -10.00 USD                 after fees
net P&L           -20.00 USD
Sharpe of trades       -0.12                 a trade
Sharpe of days         -1.87                 2 days: too few
too few trades: intervals take 10, targets are decided from 30 on

Behind it
gross P&L                  -18.00 USD  fees 2.00 USD
best trade                  50.00 USD  the best three are - of net
worst trade                -70.00 USD  longest losing run 1
expectancy, cents a share       -1.00  a trade, after fees
Sortino of trades               -0.20  of days -3.21
P(Sharpe > 0)                   0.453  true Sharpe above 0; one setting tried
drawdown, worst day            0.07 %  70.00 USD, at fills and the close
drawdown, overall              0.07 %  70.00 USD
MAE, mean                           -  of winners -
MFE, mean                           -  of losers -
hold time, median             120.0 s  mean 120.0 s, longest 120.0 s
exposure                       0.53 %  of the sessions with an open position
slippage                    16.00 USD  0.80 USD a contract, 20 contracts
  entries                   10.00 USD  0.50 USD a contract, against the ask
  exits                      6.00 USD  0.30 USD a contract, against the bid
  entries, to mid           50.00 USD  2.50 USD a contract, spread included\
""")
