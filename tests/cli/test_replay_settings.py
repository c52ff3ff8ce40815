"""What decides a replay's result, and what does not: tapes, settings, processes."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from scalpcli.model.params import TapeParams
from scalpcli.model.row import CHANNELS_ALL, COLUMNS, GAP, GAP_BEGIN, GAP_END
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from scalpcli.units import NS_PER_S
from tests.replay_samples import BLESSED, EXAMPLES, TAPE, copy_of, runs_of
from tests.tape_samples import flip_byte, forge

FRIDAY = dt.date(2026, 11, 20)


def make(root, date=FRIDAY, symbol="TSLA", seed=7):
    """A small synthetic tape: the first half hour of a session."""
    spec = SyntheticSpec(date=date, rows=6_000, contracts=10, seed=seed, symbol=symbol, minutes=30, bursts=4)
    return write_synthetic(root, spec, params=TapeParams(row_group_rows=1024))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Tapes of three sessions and two underlyings."""
    folder = tmp_path_factory.mktemp("tapes")
    make(folder, dt.date(2026, 11, 18))
    make(folder, dt.date(2026, 11, 19))
    make(folder, FRIDAY)
    make(folder, FRIDAY, symbol="NVDA")
    return folder


def test_the_same_tape_and_settings_give_the_same_bytes(replay):
    """Law 1, from one command to the next."""
    first, second = replay(TAPE, "--json"), replay(TAPE, "--json")

    journals = {(done.run / "decisions.jsonl").read_bytes() for done in (first, second)}
    assert len(journals) == 1
    assert first.json["decisions_digest"] == second.json["decisions_digest"]
    assert first.run != second.run


def test_another_seed_is_another_tape(replay, root, tmp_path):
    """Rows decide: their digest and the decisions' differ, settings' does not."""
    other = make(tmp_path, seed=8)

    seven, eight = (replay(tape, "--json").json for tape in (root / "TSLA" / "2026-11-20", other))

    assert seven["tape_digest"] != eight["tape_digest"]
    assert seven["decisions_digest"] != eight["decisions_digest"]
    assert seven["config_digest"] == eight["config_digest"]


def test_how_a_tape_is_laid_out_on_disk_is_not_its_digest(replay, root, tmp_path):
    """Row groups and compression are storage; the same rows are the same tape."""
    spec = SyntheticSpec(date=FRIDAY, rows=6_000, contracts=10, seed=7, minutes=30, bursts=4)
    other = write_synthetic(tmp_path, spec, params=TapeParams(row_group_rows=4096, compression_level=9))

    found = [replay(tape, "--json").json for tape in (root / "TSLA" / "2026-11-20", other)]

    assert found[0]["tape_digest"] == found[1]["tape_digest"]
    assert found[0]["decisions_digest"] == found[1]["decisions_digest"]


def test_two_jobs_decide_like_one(replay, root):
    """Processes of their own change nothing, not even the order of sessions."""
    alone = replay(root, "--json").json
    together = replay(root, "--jobs", 2, "--json").json

    assert alone["triggers"] > 0
    assert alone["decisions_digest"] == together["decisions_digest"]
    assert alone["tape_digest"] == together["tape_digest"]
    assert alone["sessions"] == together["sessions"]


def test_an_error_in_a_process_of_its_own_is_told_like_any_other(replay, root, tmp_path):
    """It crosses a process border with its place and hint, and no run is written."""
    damaged = make(tmp_path / "damaged", dt.date(2026, 11, 16))
    flip_byte(damaged / "instruments.parquet", 40)

    alone = replay(root / "TSLA", damaged)
    together = replay(root / "TSLA", damaged, "--jobs", 2)

    assert (alone.code, together.code) == (4, 4)
    assert together.err == alone.err
    assert f"{damaged}" in together.err
    assert runs_of(tmp_path) == []


ALL = [("2026-11-18", "TSLA"), ("2026-11-19", "TSLA"), ("2026-11-20", "NVDA"), ("2026-11-20", "TSLA")]


@pytest.mark.parametrize(
    ("words", "sessions"),
    [
        ((), ALL),
        (("--from", "2026-11-19"), ALL[1:]),
        (("--to", "2026-11-19"), ALL[:2]),
        (("--from", "20261119", "--to", "2026-11-19"), ALL[1:2]),
        (("--symbol", "NVDA"), ALL[2:3]),
        (("--symbol", "TSLA", "--from", "2026-11-20"), ALL[3:]),
    ],
)
def test_sessions_are_chosen_by_day_and_symbol_and_come_in_order(replay, root, words, sessions):
    """Both ends of a range belong to it."""
    found = replay(root, *words, "--triggers-only", "--json").json

    assert [(each["session"], each["symbol"]) for each in found["sessions"]] == sessions
    assert found["rows"] == 6_000 * len(sessions)


def test_a_tape_named_twice_is_played_once(replay, root):
    """A folder and a tape inside it overlap."""
    tape = root / "TSLA" / "2026-11-20"

    found = replay(tape, root / "TSLA", tape, "--triggers-only", "--json").json

    assert len(found["sessions"]) == 3


def test_no_tape_of_that_day_is_told(replay, root, tmp_path):
    """Exit 4, not an empty table that looks like a quiet day."""
    done = replay(root, "--from", "2027-01-01")

    assert done.code == 4
    assert done.err == (
        "error: none of 4 tapes is of the symbol and sessions asked for\n\n"
        "hint: `scalpcli tape list FOLDER` shows what is there\n"
    )
    assert runs_of(tmp_path) == []


def test_several_sessions_stand_one_after_another_in_one_journal(replay, root):
    """Each begins with its number 0 and ends with its sums, which add up to what is printed."""
    done = replay(root / "TSLA", "--json")

    numbers = [record["n"] for record in done.records]
    starts = [index for index, number in enumerate(numbers) if number == 0]
    ends = [record for record in done.records if record["kind"] == "session_end"]
    assert [done.records[index]["session"] for index in starts] == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert numbers == [
        number
        for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True)
        for number in range(stop - start)
    ]
    assert sum(end["net_e4"] for end in ends) / 1e4 == done.json["net_pnl_usd"]
    assert sum(sum(end["triggers"].values()) for end in ends) == done.json["triggers"]


def test_a_setting_that_decides_changes_both_digests(replay):
    """Flag over -p over file; another setting gives another digest."""
    slow = replay(TAPE, "--latency-ms", 2000, "-p", "simulated_broker.order_latency_ms=1", "--json")
    default = replay(TAPE, "--json")

    manifest = json.loads((slow.run / "manifest.json").read_text())
    assert manifest["config"]["simulated_broker"]["order_latency_ms"] == 2000
    assert slow.json["config_digest"] != default.json["config_digest"]
    assert slow.json["decisions_digest"] != default.json["decisions_digest"]
    assert slow.json["tape_digest"] == default.json["tape_digest"]


def test_a_setting_of_the_machine_changes_neither(replay):
    """How many rows at a time, how many processes and where to is nobody's decision."""
    words = ("-p", "replay.batch_rows=500", "-p", "replay.jobs=3", "-p", "tape.compression_level=9")

    changed, default = replay(TAPE, *words, "--json").json, replay(TAPE, "--json").json

    assert changed["config_digest"] == default["config_digest"]
    assert changed["decisions_digest"] == default["decisions_digest"]


def test_the_environment_stands_between_file_and_flag(replay):
    """SCALPCLI__SECTION__KEY beats the file; -p beats the environment."""
    variable = {"SCALPCLI__SCALP__MAX_DAILY_SCALPS": "2"}

    from_environment = replay(TAPE, "--json", **variable).json
    from_words = replay(TAPE, "-p", "scalp.max_daily_scalps=3", "--json", **variable).json

    assert from_environment["trades"] == 2
    assert from_words["trades"] == 3


def test_latency_is_the_time_until_the_market(replay):
    """What the flag says stands between every order and its acceptance."""
    done = replay(TAPE, "--latency-ms", "75", "--json")

    sent = {record["order_id"]: record["ts_ns"] for record in done.records if record["kind"] == "order"}
    reached = [record for record in done.records if record["kind"] == "accepted"]
    assert len(reached) >= 20
    assert {record["ts_market_ns"] - sent[record["order_id"]] for record in reached} == {75_000_000}


def test_latencies_from_a_file_are_drawn_by_seed(replay, tmp_path):
    """The file is found beside the settings that name it; its content and the seed decide."""
    (tmp_path / "settings.toml").write_text('[simulated_broker]\nlatency_file = "drawn.csv"\n')
    (tmp_path / "drawn.csv").write_text((EXAMPLES / "data" / "latencies.csv").read_text())

    words = (TAPE, "-c", tmp_path / "settings.toml", "--json")
    first, again, other = replay(*words).json, replay(*words).json, replay(*words, "-p", "simulated_broker.seed=1").json

    assert first["decisions_digest"] == again["decisions_digest"]
    assert len({each["decisions_digest"] for each in (first, other, replay(TAPE, "--json").json)}) == 3


def test_without_fees_net_is_gross(replay):
    """The flag changes money, not what is decided on it in this session."""
    free, charged = replay(TAPE, "--fees", "none", "--json").json, replay(TAPE, "--json").json

    assert free["fees_usd"] == 0.0
    assert free["net_pnl_usd"] == free["gross_pnl_usd"]
    assert charged["fees_usd"] > 0.0
    assert charged["net_pnl_usd"] == round(charged["gross_pnl_usd"] - charged["fees_usd"], 2)


def blind_while_holding(folder):
    """The example tape with a gap of five seconds in every channel while its first scalp is held."""
    tape = copy_of(TAPE, folder)
    first = next(json.loads(line) for line in BLESSED.read_text().splitlines() if '"kind":"trade"' in line)
    begin_ns = first["opened_ns"] + (first["closed_ns"] - first["opened_ns"]) // 3

    def add_gap(rows):
        gap = pl.DataFrame(
            [
                dict.fromkeys(COLUMNS, 0)
                | {"kind": GAP, "ts_recv_ns": ts_ns, "ts_event_ns": ts_ns, "size": CHANNELS_ALL, "flags": flag}
                for ts_ns, flag in ((begin_ns, GAP_BEGIN), (begin_ns + 5 * NS_PER_S, GAP_END))
            ],
            schema=rows.schema,
        )
        return pl.concat([rows, gap]).sort("ts_recv_ns", maintain_order=True)

    forge(tape, add_gap)
    return tape, begin_ns


def test_a_gap_sells_what_is_held_or_is_ignored_as_asked(replay, tmp_path):
    """Blind, nobody knows what the position is worth; whoever holds on says so."""
    tape, begin_ns = blind_while_holding(tmp_path)

    flatten, ignore = (replay(tape, "--gaps", what, "--json") for what in ("flatten", "ignore"))

    exits = [next(each for each in done.records if each["kind"] == "exit") for done in (flatten, ignore)]
    assert [(each["reason"], each["ts_ns"]) for each in exits[:1]] == [("GAP", begin_ns)]
    assert exits[1]["reason"] != "GAP"
    assert exits[1]["ts_ns"] > begin_ns
    assert flatten.json["config_digest"] != ignore.json["config_digest"]
