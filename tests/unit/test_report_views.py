"""What `report` tells beyond its figures, on a true run of the example tape."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from scalpcli.errors import DataError, UsageError
from scalpcli.report import luck
from scalpcli.report.attribution import PARTS, attribution_rows, attribution_view
from scalpcli.report.certainty import Interval
from scalpcli.report.compare import compare_view
from scalpcli.report.execution import decay_view, execution_view
from scalpcli.report.fees import fees_view
from scalpcli.report.fills import HORIZONS_S, fill_rows, markets_of
from scalpcli.report.funnel_view import Counterfactual, counterfactual_rows, hourly, refusals
from scalpcli.report.groups import KEYS, UNTAGGED, grouped
from scalpcli.report.load import load
from scalpcli.report.market import Quotes
from scalpcli.report.parity import parity_view
from scalpcli.report.runs import Days, parse_days
from scalpcli.report.tax import tax_view
from scalpcli.report.words import add_words, all_tags, read_words
from scalpcli.runtime.clock import utc_now
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.hypothetical import Outcome, Wish, every_minute, play_wishes
from scalpcli.runtime.null_trader import Entry, Pool, random_totals
from scalpcli.runtime.sensitivity import Point
from scalpcli.runtime.tape import Tape
from tests.replay_samples import DEMO, TAPE
from tests.report_builder import RunBuilder
from tests.report_samples import example_run, without_tape

MINUTE_NS = 60_000_000_000


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return load([example_run(tmp_path_factory.mktemp("runs"))])


@pytest.fixture(scope="module")
def demo():
    from scalpcli.config import load as load_settings

    loaded = load_settings([DEMO], environ={})
    return loaded.params, tuple(loaded.blackouts)


@pytest.fixture(scope="module")
def minutes(demo):
    """What entries at every minute of the example would have made."""
    params, blackouts = demo
    return play_wishes(TAPE, params, blackouts, load_kernel(), every_minute(Tape.open(TAPE).session), gated=True)


# --- fees, tax, attribution: everything adds up --------------------------------------------------------------


def test_attribution_adds_up_to_the_cent(example):
    """Every trade's parts are whole cents and their sum is its net, exactly; little is left unexplained."""
    markets, missing = markets_of(example)

    rows = attribution_rows(example, markets)

    assert missing == []
    assert len(rows) == len(example.trades)
    for row, net in zip(rows, example.trades["net_pnl_usd"], strict=True):
        cents = [round(row[f"{name}_usd"] * 100) for name in PARTS]
        assert sum(cents) == round(net * 100)
        assert row["spread_usd"] <= 0.0
        assert row["fees_usd"] <= 0.0
    assert attribution_view(example).more["unexplained_pct"] < 2.0


def test_without_its_tape_a_result_is_unexplained_and_says_so(example, tmp_path):
    """Spread and fees stand in the journal; what the greeks did is unknown, not zero, and the rest is called what it is."""
    lost = load([without_tape(example.runs[0].path, tmp_path)])

    view = attribution_view(lost)

    assert "is not there; what needs its tape is left out" in view.more["notices"][0]
    assert all(row[f"{name}_usd"] is None for row in view.rows for name in ("delta", "gamma", "theta", "vega"))
    assert [row["number"] - row["trade"] for row in view.rows] == [1] * len(view.rows)
    assert sum(row["unexplained_usd"] for row in view.rows) == pytest.approx(
        example.trades["gross_pnl_usd"].sum() - sum(row["spread_usd"] for row in view.rows)
    )


def test_fees_are_recomputed_to_the_cent(example):
    """From the fills and the day's rates, kind by kind."""
    (row,) = fees_view(example).rows

    assert row["agrees"] is True
    assert row["recomputed_usd"] == row["fees_usd"] == pytest.approx(example.trades["fees_usd"].sum())
    kinds = [value for name, value in row.items() if name in ("occ_usd", "orf_usd", "sec_usd", "taf_usd", "cat_usd")]
    assert math.fsum(kinds) == pytest.approx(row["fees_usd"])


def test_the_trade_list_adds_up(example):
    """Gain is proceeds less cost less fees, on every line."""
    rows = tax_view(example).rows

    assert len(rows) == len(example.trades)
    for row in rows:
        assert row["proceeds_usd"] - row["cost_usd"] - row["fees_usd"] == pytest.approx(row["gain_usd"], abs=1e-9)


# --- execution -------------------------------------------------------------------------------------------------


def test_slippage_agrees_with_the_trades(example):
    """Fills against the quote they were decided on add up to what the run wrote down for each trade."""
    markets, _ = markets_of(example)
    rows = [row for row in fill_rows(example, markets) if row["trade"] is not None]

    for leg in ("entry", "exit"):
        found = sum(row["signal_slippage_usd"] for row in rows if row["leg"] == leg)
        assert found == pytest.approx(example.trades[f"{leg}_slippage_usd"].sum())
    assert sum(row["signal_mid_slippage_usd"] for row in rows if row["leg"] == "entry") == pytest.approx(
        example.trades["mid_slippage_usd"].sum()
    )


def test_a_fill_is_never_better_than_what_was_shown(example):
    """The simulated broker crosses: against the quote the fill met, the touch costs nothing, the mid half a spread."""
    markets, _ = markets_of(example)

    for row in fill_rows(example, markets):
        assert row["fill_slippage_usd"] == 0.0
        assert row["fill_mid_slippage_usd"] >= 0.0
        assert row["improvement_usd"] >= 0.0
        assert row["to_market_ms"] >= 250.0 - 1e-6


def test_mark_outs_are_read_from_the_tape(example):
    """By hand for one fill: the mid that stood a second later, less the price, for one contract."""
    markets, _ = markets_of(example)
    row = fill_rows(example, markets)[0]

    quotes = markets[0].contracts[row["option_symbol"]]
    at = int(np.searchsorted(quotes.ts_ns, row["ts_market_ns"] + 1_000_000_000, side="right")) - 1
    mid = (quotes.bid[at] + quotes.ask[at]) / 2

    assert row["leg"] == "entry"
    assert row["markout_1s_usd"] == pytest.approx(100 * (mid - row["price"]))
    assert all(f"markout_{horizon:g}s_usd" in row for horizon in HORIZONS_S)


def test_quotes_before_the_first_are_unknown():
    """No look into the future for a quote."""
    quotes = Quotes(np.array([10, 20]), np.array([1.0, 2.0]), np.array([1.2, 2.2]))

    assert math.isnan(quotes.mid(9))
    assert quotes.mid([10, 19, 25]).tolist() == pytest.approx([1.1, 1.1, 2.1])


def test_execution_and_decay_have_tables(example):
    """Every table has rows on a run with trades; a missed fill says what it would have made."""
    execution, decay = execution_view(example), decay_view(example)

    assert [section.title for section in execution.sections] == ["Slippage", "Orders", "Latency", "Mark-outs"]
    assert len(execution.more["missed_fills"]) == 1
    assert decay.rows[0]["mean_usd"] == 0.0
    json.dumps([execution.more, list(execution.rows), list(decay.rows)], default=str, allow_nan=False)


# --- groups, comparison, words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_groups_hold_every_trade_once(example, key):
    """Whatever trades are pooled by, their net stays."""
    groups = grouped(example.trades, key)

    assert sum(group.trades for group in groups) == len(example.trades)
    assert math.fsum(group.net_pnl_usd for group in groups) == pytest.approx(example.trades["net_pnl_usd"].sum())


def test_a_run_against_itself_differs_by_nothing(example):
    """Differences are 0 and told as chance."""
    rows = {row["figure"]: row for row in compare_view(example, example).rows}

    assert rows["net_pnl_usd"]["difference"] == 0.0
    assert rows["expectancy_usd"]["difference_low"] < 0 < rows["expectancy_usd"]["difference_high"]
    assert rows["expectancy_usd"]["verdict"] == "chance"


def test_parity_matches_signals(example):
    """A run is in parity with itself; what another lacks is told."""
    view = parity_view(example, example)

    assert view.more["in_both_pct"] == 100.0
    assert view.more["count"] == 16


def test_words_stand_beside_the_run(tmp_path):
    """Tags add up, `-tag` takes one away, notes stay; the journal's bytes do not change."""
    run = RunBuilder(tmp_path)
    session = run.session()
    session.trade(10.0)
    session.trade(-10.0)
    path = run.write()
    journal = (path / "decisions.jsonl").read_bytes()

    add_words(path, 2, "2", ["late", "news"], as_note=False, now=utc_now())
    add_words(path, 2, "2", ["-late"], as_note=False, now=utc_now())
    found = add_words(path, 2, "2", ["I", "moved", "the", "stop"], as_note=True, now=utc_now())

    assert (found.tags, found.notes) == (("news",), ("I moved the stop",))
    assert (path / "decisions.jsonl").read_bytes() == journal
    results = load([path])
    groups = grouped(results.trades, "tag", all_tags(results))
    assert {group.name: group.net_pnl_usd for group in groups} == {UNTAGGED: 10.0, "news": -10.0}


@pytest.mark.parametrize(("trade", "words"), [("0", ["a"]), ("3", ["a"]), ("x", ["a"]), ("1", [""]), ("1", ["a b"])])
def test_words_about_nothing_are_refused(tmp_path, trade, words):
    """A trade that does not exist, no word, or a tag that is none."""
    with pytest.raises(UsageError):
        add_words(tmp_path, 2, trade, words, as_note=False, now=utc_now())


def test_a_damaged_line_of_words_is_named(tmp_path):
    """Whoever edits by hand is told which line."""
    (tmp_path / "words.jsonl").write_text('{"trade": 1, "tags": [], "note": "ok"}\nnonsense\n')

    with pytest.raises(DataError) as caught:
        read_words(tmp_path)

    assert "line 2" in caught.value.place


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-01..2026-11-30", "2026-11-01", "2026-11-30"),
        ("20261101-20261130", "2026-11-01", "2026-11-30"),
        ("2026-11-01..", "2026-11-01", "9999-12-31"),
        ("..20261130", "0001-01-01", "2026-11-30"),
        ("20261101-", "2026-11-01", "9999-12-31"),
        ("2026-11-20", "2026-11-20", "2026-11-20"),
        ("20261120", "2026-11-20", "2026-11-20"),
    ],
)
def test_ranges_of_days(text, first, last):
    """Both spellings, either end open, or one day."""
    assert parse_days(text) == Days(first, last)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-01..2026-11-30", "from 2026-11-01 to 2026-11-30"),
        ("2026-11-01..", "from 2026-11-01"),
        ("..2026-11-30", "to 2026-11-30"),
        ("2026-11-20", "on 2026-11-20"),
    ],
)
def test_a_range_is_said_as_people_say_it(text, words):
    """An end that was left open is not the year 9999."""
    assert parse_days(text).words == words


@pytest.mark.parametrize("text", ["", "..", "-", "2026-13-01..", "2026-11-30..2026-11-01", "november"])
def test_what_is_no_range_of_days_is_refused(text):
    """One message with an example."""
    with pytest.raises(UsageError):
        parse_days(text)


def test_only_the_days_asked_for_are_read(tmp_path):
    """Runs without one of them fall away; none at all is an error."""
    first, second = RunBuilder(tmp_path, "a"), RunBuilder(tmp_path, "b")
    first.session("2026-11-18").trade(5.0)
    first.session("2026-11-19").trade(7.0)
    second.session("2026-11-20").trade(9.0)
    paths = [first.write(), second.write()]

    found = load(paths, Days("2026-11-19", "2026-11-19"))

    assert [run.name for run in found.runs] == ["a"]
    assert found.trades["net_pnl_usd"].to_list() == [7.0]
    assert found.trades["number"].to_list() == [2]
    with pytest.raises(DataError):
        load(paths, Days("2026-01-01", "2026-01-31"))


# --- the funnel, hypothetical entries, luck ------------------------------------------------------------------------


def test_hours_add_up_to_the_funnel(example):
    """What happened in each hour is all that happened."""
    rows = hourly(example)

    assert sum(row["trades"] for row in rows) == len(example.trades)
    assert sum(row["triggers"] for row in rows) == 76
    assert math.fsum(row["net_pnl_usd"] for row in rows) == pytest.approx(example.trades["net_pnl_usd"].sum())
    spread = next(row for row in refusals(example) if row["gate"] == "spread")
    assert spread["value_median"] > spread["limit_median"] == 5.0


def test_what_was_missed_is_pooled_by_the_last_word():
    """Two would have traded, one of them won; the third found no contract."""
    rows = counterfactual_rows(
        [Counterfactual("cooldown", 50.0), Counterfactual("cooldown", -20.0), Counterfactual("gap", None)]
    )

    assert rows[0]["would_have_won_pct"] == 50.0
    assert rows[0]["would_have_made_usd"] == 30.0
    assert rows[1]["would_have_made_usd"] is None


def test_a_hypothetical_entry_is_the_true_one(example, demo):
    """Wishes at the true signals' instants buy the same contracts; where the size is the same, to the same net."""
    params, blackouts = demo
    columns = ("signal_ns", "side", "option_symbol", "quantity", "net_pnl_usd")
    true = example.trades.select(columns).rows()

    found = play_wishes(TAPE, params, blackouts, load_kernel(), [Wish(row[0], row[1]) for row in true], gated=False)

    assert [outcome.option_symbol for outcome in found] == [row[2] for row in true]
    same = [(o.net_usd, row[4]) for o, row in zip(found, true, strict=True) if o.quantity == row[3]]
    assert len(same) >= 10
    assert all(left == pytest.approx(right, abs=0.05) for left, right in same)


def test_gates_hold_for_hypothetical_entries(minutes):
    """None is taken before the first or after the last allowed minute, and each ends before the flatten time."""
    session = Tape.open(TAPE).session
    taken = [outcome for outcome in minutes if outcome.net_usd is not None]

    assert len(minutes) == 2 * 389
    assert len(taken) > 100
    assert max(outcome.wish.ts_ns for outcome in taken) <= session.close_ns - 60 * MINUTE_NS
    assert "session_window" in {outcome.gate for outcome in minutes}
    assert {outcome.gate for outcome in taken} == {""}


def p_values(pools, tries, traders):
    """p-values of traders whose entries are random."""
    random = np.random.default_rng(11)
    found = []
    for number in range(tries):
        sessions = []
        net = 0.0
        for pool in pools:
            entries = []
            for side in ("call", "put"):
                rows = random.choice(len(pool.ts_ns[side]), size=4, replace=False)
                entries += [Entry(int(pool.ts_ns[side][row]), side, float(pool.net_usd[side][row])) for row in rows]
            # Their times of day are random; the minute within the window must be too.
            moved = []
            for entry in entries:
                near = pool.near(entry.ts_ns, entry.side)
                row = random.choice(near)
                moved.append(Entry(entry.ts_ns, entry.side, float(pool.net_usd[entry.side][row])))
            net += math.fsum(entry.net_usd for entry in moved)
            sessions.append((moved, pool))
        totals, _ = random_totals(sessions, traders, number)
        found.append(luck.luck_of(net, totals, 8).p_value)
    return np.sort(np.array(found))


@pytest.mark.parametrize("tries", [20, pytest.param(200, marks=pytest.mark.full)])
def test_random_entries_have_uniform_p_values(minutes, tries):
    """Kolmogorov and Smirnov's distance from uniform stays below its 1 percent bound."""
    found = p_values([Pool.of(minutes)], tries, 500)

    above = np.arange(1, tries + 1) / tries - found
    below = found - np.arange(tries) / tries
    assert max(above.max(), below.max()) < 1.63 / math.sqrt(tries)


def test_better_entries_beat_random_ones(minutes):
    """Whoever always takes the best minute is above all random traders."""
    pool = Pool.of(minutes)
    best = [int(np.argmax(pool.net_usd[side])) for side in ("call", "put")]
    entries = [
        Entry(int(pool.ts_ns[side][row]), side, float(pool.net_usd[side][row]))
        for side, row in zip(("call", "put"), best, strict=True)
    ]

    totals, matched = random_totals([(entries, pool)], 1000, 0)
    found = luck.luck_of(math.fsum(entry.net_usd for entry in entries), totals, matched)

    assert matched == 2
    assert found.beaten_pct > 95.0
    assert found.p_value < 0.05
    assert found.interval.low < found.beaten_pct <= found.interval.high


def test_random_traders_are_seeded(minutes):
    """The same seed, the same traders; another, others."""
    pool = Pool.of(minutes)
    entries = [Entry(int(pool.ts_ns["call"][9]), "call", 0.0)] * 3

    first, second, third = (random_totals([(entries, pool)], 50, seed)[0].tolist() for seed in (1, 1, 2))

    assert first == second != third


def test_no_outcome_is_held_twice():
    """Two entries among two outcomes: every random trader has both."""
    outcomes = [
        Outcome(Wish(minute * MINUTE_NS, "call"), quantity=1, net_usd=usd) for minute, usd in ((1, 10.0), (2, 100.0))
    ]
    entries = [Entry(MINUTE_NS, "call", 0.0), Entry(2 * MINUTE_NS, "call", 0.0)]

    totals, matched = random_totals([(entries, Pool.of(outcomes))], 100, 0)

    assert matched == 2
    assert set(totals.tolist()) == {110.0}


def test_an_entry_without_any_outcome_of_its_side_is_left_out():
    """No put of that session ever filled: nothing stands against it."""
    pool = Pool.of([Outcome(Wish(MINUTE_NS, "call"), quantity=1, net_usd=5.0)])

    totals, matched = random_totals([([Entry(MINUTE_NS, "put", 1.0)], pool)], 10, 0)

    assert matched == 0
    assert not totals.any()


def test_luck_reads_as_a_table():
    """Four lines: what was made, what chance makes, the share beaten, the p-value."""
    found = luck.luck_of(50.0, np.arange(100.0), 3)

    view = luck.luck_view(found, [])

    assert found.beaten_pct == 50.5
    assert found.p_value == pytest.approx(51 / 101)
    assert isinstance(found.interval, Interval)
    assert len(view.sections[0].rows) == 4
    assert luck.luck_view(None, []).rows == []


def test_break_even_is_where_the_line_meets_zero():
    """100 without, 60 with a tick worse: two and a half ticks leave nothing."""
    points = [Point(250.0, ticks, 5, 100.0 - 40.0 * ticks) for ticks in (0, 1, 2)]

    view = luck.sensitivity_view(points, [])

    assert view.sections[0].rows[0]["even"] == "2.5"
    assert [row["net_pnl_usd"] for row in view.rows] == [100.0, 60.0, 20.0]
