"""`scan-options --snapshot`: files of snapshots, good and bad."""

from __future__ import annotations

import json

import polars as pl
import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app

NS = 10**9
# 2026-11-20 10:30:00 and 10:35:00 in New York.
FIRST, SECOND = 1_795_188_600 * NS, 1_795_188_900 * NS


def rows(ts, bump=0.0, volume=100, root="TSLA", **more):
    """A chain of three strikes; prices fair enough to have volatilities."""
    prices = {("C", 395): 6.9, ("C", 400): 3.8, ("C", 405): 1.8, ("P", 395): 1.7, ("P", 400): 3.6, ("P", 405): 6.6}
    return [
        {
            "ts": ts, "symbol": f"{root}261120{right}00{strike}000", "bid": price + bump - 0.05,
            "ask": price + bump + 0.05, "bid_size": 10, "ask_size": 12, "volume": volume, "open_interest": 1500,
            "underlying_price": 400.2, **more,
        }
        for (right, strike), price in prices.items()
    ]  # fmt: skip


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write rows to a file of this test's folder, where commands run."""
    monkeypatch.chdir(tmp_path)

    def call(content, name="chain.csv"):
        table = pl.DataFrame(content)
        table.write_csv(name) if name.endswith(".csv") else table.write_parquet(name)
        return name

    return call


def run(*words):
    return CliRunner().invoke(app, ["scan-options", *words], env={"NO_COLOR": "1"}, prog_name="scalpcli")


def scanned(*words):
    done = run(*words, "--all", "--json", "--max-price", "20")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["chain.csv", "chain.parquet"])
def test_the_last_snapshot_is_scanned(write, name):
    """Symbol, day and instant are the file's where nobody says."""
    found = scanned("--snapshot", write(rows(FIRST) + rows(SECOND, 0.1, 130), name))

    assert (found["symbol"], found["session"], found["at"]) == ("TSLA", "2026-11-20", "10:35:00.000")
    assert len(found["contracts"]) == 6
    assert {row["volume"] for row in found["contracts"]} == {130}
    assert {row["quote_age_s"] for row in found["contracts"]} == {0.0}


def test_an_earlier_instant_sees_the_earlier_snapshot(write):
    """And how old it is."""
    found = scanned("--snapshot", write(rows(FIRST) + rows(SECOND, 0.1, 130)), "--at", "10:30:20")

    assert {row["volume"] for row in found["contracts"]} == {100}
    assert {row["quote_age_s"] for row in found["contracts"]} == {20.0}
    assert found["notices"][0] == "the last snapshot was known at 10:30:00.000, 20 s before"


def test_greeks_of_the_file_stand_beside_ours(write):
    """`--greeks feed` lets them decide, `computed` leaves them aside."""
    name = write(rows(FIRST, delta=0.36, iv=0.5))

    fed = scanned("--snapshot", name, "--greeks", "feed")
    computed = scanned("--snapshot", name, "--greeks", "computed")

    assert {(row["delta"], row["delta_source"]) for row in fed["contracts"]} == {(0.36, "tape")}
    assert {row["delta_source"] for row in computed["contracts"]} == {"computed"}
    assert {row["feed_delta"] for row in computed["contracts"]} == {0.36}


def test_no_feed_greeks_with_greeks_feed_leaves_deltas_unknown(write):
    """Nothing is put in their place."""
    found = scanned("--snapshot", write(rows(FIRST)), "--greeks", "feed")

    assert {row["delta"] for row in found["contracts"]} == {None}
    assert all("delta unknown" in row["reasons"] for row in found["contracts"])


def test_columns_are_named_as_in_an_import(write):
    """`--map` takes what `tape import` takes."""
    renamed = [
        {("px_" + name if name in ("bid", "ask") else name): value for name, value in row.items()}
        for row in rows(FIRST)
    ]

    found = scanned("--snapshot", write(renamed), "--map", "chain.bid=px_bid", "--map", "chain.ask=px_ask")

    assert len(found["contracts"]) == 6


def test_a_bad_row_costs_itself_alone(write):
    """It is counted and told."""
    content = rows(FIRST)
    content[0]["bid"] = -1.0

    found = scanned("--snapshot", write(content))

    assert "1 row of the file cannot be read: left out" in found["notices"]


def test_filters_beyond_the_engine(write):
    """Ticks, and open interest besides volume."""
    name = write(rows(FIRST))

    ticks = scanned("--snapshot", name, "--max-spread-ticks", "1")
    both = scanned("--snapshot", name, "--min-volume", "50", "--min-oi", "2000")
    either = scanned("--snapshot", name, "--min-volume", "50")

    assert any("spread 10 ticks > 1" in row["reasons"] for row in ticks["contracts"])
    assert all("open interest 1,500 < 2,000" in row["reasons"] for row in both["contracts"])
    assert not any("interest" in reason for row in either["contracts"] for reason in row["reasons"])


def test_sorting_by_a_field(write):
    """Rising, falling, and unknown values last."""
    name = write(rows(FIRST))

    rising = [row["ask"] for row in scanned("--snapshot", name, "--sort", "ask")["contracts"]]
    falling = [
        row["target_first_pct"] for row in scanned("--snapshot", name, "--sort", "-target_first_pct")["contracts"]
    ]

    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("content", "words", "expected"),
    [
        (
            None,
            ("--snapshot", "absent.csv"),
            snapshot("""\
4
error: the file does not exist
  in `absent.csv`

hint: check the path given to --snapshot
"""),
        ),
        (
            rows(FIRST) + rows(FIRST, root="SPY"),
            (),
            snapshot("""\
2
error: the file holds contracts of SPY, TSLA
  in `chain.csv`

hint: name one: `--symbol SPY`
"""),
        ),
        (
            rows(FIRST),
            ("--symbol", "SPY"),
            snapshot("""\
4
error: no row of SPY on 2026-11-20 is left to import (symbol_other_root 6)
  in `chain.csv`

hint: days in it: 2026-11-20; check `--date`, `--symbol` and the unit of time, like `--map ts=COLUMN:ms`
"""),
        ),
        (
            rows(FIRST),
            ("--at", "09:00"),
            snapshot("""\
2
error: `--at 09:00` lies before the first snapshot of 2026-11-20, known at 10:30:00.000
  in `chain.csv`

hint: name a later instant, like `--at 10:30:00.000`, or another day with `--date`
"""),
        ),
        (
            rows(FIRST),
            ("--date", "2026-11-19"),
            snapshot("""\
4
error: no row of TSLA on 2026-11-19 is left to import (other_day 6)
  in `chain.csv`

hint: days in it: 2026-11-20; check `--date`, `--symbol` and the unit of time, like `--map ts=COLUMN:ms`
"""),
        ),
        (
            rows(FIRST),
            ("--date", "yesterday"),
            snapshot("""\
2
error: `--date yesterday` is not a day

hint: write YYYY-MM-DD, like 2026-11-20
"""),
        ),
        (
            [{"ts": FIRST, "bid": 1.0}],
            (),
            snapshot("""\
4
error: no column for `symbol`, `ask`, `bid_size`, `ask_size`, which --snapshot needs
  in `chain.csv`

hint: its columns: ts, bid; name the right one with `--map chain.symbol=COLUMN`
"""),
        ),
        (
            [row | {"symbol": "x"} for row in rows(FIRST)],
            (),
            snapshot("""\
4
error: no row names a contract by an OCC symbol
  in `chain.csv`

hint: name the column: `--map chain.symbol=COLUMN`
"""),
        ),
    ],
    ids=["absent", "two underlyings", "other symbol", "too early", "other day", "no day", "no columns", "no symbols"],
)
def test_bad_files_get_one_clear_message(write, content, words, expected):
    """What was found, where, and what to write instead."""
    name = ("--snapshot", write(content)) if content else ()

    done = run(*name, *words)

    assert done.stdout == ""
    assert f"{done.exit_code}\n{done.stderr}" == expected
