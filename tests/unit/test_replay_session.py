"""One session played: where it ends, what it is shown, and that its past stays where it was."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from scalpcli.core.market_state import InterpretedKernel
from scalpcli.errors import CheckFailed, DataError
from scalpcli.model.params import Params, ReplayParams, ScalpConfig
from scalpcli.model.row import COLD, GAP, KIND_NAMES, RowBatch
from scalpcli.model.session import at_ns
from scalpcli.runtime import clock, sessions
from scalpcli.runtime import replay as session_replay
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.replay import ReplayOptions, check_quality, perturbed, replay_session, tape_batches
from scalpcli.runtime.tape import Tape
from tests.replay_samples import TAPE
from tests.tape_samples import OPEN, small_tape

RARE = (GAP, COLD)


@pytest.fixture(scope="module")
def tape():
    """The example tape, open."""
    return Tape.open(TAPE)


def every_row(tape, **options):
    """The rows that a replay asked for so is shown, in one block a column."""
    batches = list(tape_batches(tape, Params(), ReplayOptions(**options)))
    return RowBatch(*(np.concatenate(columns) for columns in zip(*batches, strict=True)))


def test_compiled_and_interpreted_kernels_write_the_same_journal(tape):
    """Law 2 from tape to bytes; the first minutes hold triggers, refusals and a signal."""
    options = ReplayOptions(until="09:45", trace=True)

    compiled = replay_session(tape.path, Params(), (), load_kernel(), options)
    interpreted = replay_session(tape.path, Params(), (), InterpretedKernel(), options)

    assert compiled.counts["trigger"] > 0
    assert compiled.counts["fill"] > 0
    assert compiled.decisions == interpreted.decisions
    assert compiled.trace.equals(interpreted.trace)
    assert compiled.trace.height == 15 * 60 * 5


def test_until_shows_the_rows_received_by_then_and_no_other(tape):
    """The bound belongs to the session that is asked for."""
    whole = every_row(tape)
    until_ns = int(whole.ts_recv_ns[60_000])
    text = f"{np.datetime64(until_ns - 5 * 3600 * 10**9, 'ns')}"[11:]

    part = every_row(tape, until=text)

    assert at_ns(tape.session, text) == until_ns
    assert part.ts_recv_ns[-1] == until_ns
    assert len(part.ts_recv_ns) == np.searchsorted(whole.ts_recv_ns, until_ns, side="right")


def test_a_replay_that_ends_before_the_open_decides_nothing(tape):
    """The journal has its first and its last line."""
    result = replay_session(tape.path, Params(), (), load_kernel(), ReplayOptions(until="09:28"))

    kinds = [json.loads(line)["kind"] for line in result.decisions.splitlines()]
    assert kinds == ["session", "session_end"]
    assert 0 < result.rows < 10_000


def test_a_perturbed_future_leaves_the_past_alone(tape):
    """Every row up to the cut is the same; later prices and sizes are others, in the same order."""
    whole = every_row(tape)
    cut_ns = int(whole.ts_recv_ns[50_000])

    changed = every_row(tape, perturb_after_ns=cut_ns)

    after = whole.ts_recv_ns > cut_ns
    priced = after & ~np.isin(whole.kind, RARE) & (whole.price_e4 > 1000)
    assert all(np.array_equal(old[~after], new[~after]) for old, new in zip(whole, changed, strict=True))
    assert (changed.price_e4[priced] > whole.price_e4[priced]).all()
    assert (
        changed.size[after & ~np.isin(whole.kind, RARE)] == 2 * whole.size[after & ~np.isin(whole.kind, RARE)]
    ).all()
    assert np.array_equal(changed.ts_recv_ns, whole.ts_recv_ns)


@pytest.mark.parametrize("kind", RARE, ids=lambda kind: KIND_NAMES[kind])
def test_a_perturbed_future_keeps_what_a_rare_row_means(tape, kind):
    """The size of a gap row names channels; doubled, it would name others."""
    whole, changed = every_row(tape), every_row(tape, perturb_after_ns=0)

    is_kind = whole.kind == kind
    assert is_kind.sum() >= 5
    assert np.array_equal(whole.size[is_kind], changed.size[is_kind])


def test_a_decision_that_another_future_adds_is_found(monkeypatch):
    """A line more at or before the cut is as bad as a line that moved."""
    lines = [{"ts_ns": 5, "kind": "session"}, {"ts_ns": 10}, {"ts_ns": 20}, {"ts_ns": 30, "kind": "session_end"}]
    added = [*lines[:2], {"ts_ns": 10, "kind": "signal"}, *lines[2:]]

    def play(_path, _params, _blackouts, _hot, options):
        chosen = lines if options.perturb_after_ns is None else added
        return dataclasses.make_dataclass("Result", ["decisions"])(
            b"\n".join(json.dumps(each).encode() for each in chosen)
        )

    monkeypatch.setattr(sessions, "replay_session", play)

    with pytest.raises(CheckFailed) as caught:
        sessions.check_lookahead(TAPE, Params(), (), None, ReplayOptions())

    assert caught.value.hint == 'before: nothing\n      after:  {"ts_ns": 10, "kind": "signal"}'


def test_the_lookahead_check_compares_decisions_of_the_whole_session(tape):
    """Cuts spread over the day: the last one stands after more than half of what was decided."""
    compared = sessions.check_lookahead(tape.path, Params(), (), load_kernel(), ReplayOptions())

    decided = len(replay_session(tape.path, Params(), (), load_kernel(), ReplayOptions()).decisions.splitlines())
    assert compared > 1.5 * decided


def test_the_trace_is_null_where_a_tracker_knows_nothing(tape):
    """A window older than its data is unknown, never zero."""
    trace = replay_session(tape.path, Params(), (), load_kernel(), ReplayOptions(until="09:40", trace=True)).trace

    first_s = {
        name: (trace.filter(trace[name].is_not_null())["ts_ns"][0] - tape.session.open_ns) / 1e9
        for name in ("velocity_5_pct", "velocity_60_pct", "volume_ratio")
    }
    assert trace["ts_ns"][0] == tape.session.open_ns + 200_000_000
    assert 5.0 <= first_s["velocity_5_pct"] < first_s["velocity_60_pct"]
    assert first_s["velocity_60_pct"] >= 60.0
    # The example carries no profile: its own session is the baseline after 300 seconds.
    assert first_s["volume_ratio"] == 300.0
    assert trace.select("price", "vwap", "sigma").to_numpy().dtype == np.float64
    assert not any(trace[name].is_nan().any() for name in trace.columns[1:])


def test_the_trace_has_the_windows_that_are_asked_for(tape):
    """`velocity_windows_seconds` names its columns; the windows of triggers add none."""
    params = Params(scalp=ScalpConfig(velocity_windows_seconds=(10, 45)))

    trace = replay_session(tape.path, params, (), load_kernel(), ReplayOptions(until="09:31", trace=True)).trace

    assert trace.columns == [
        "ts_ns", "price", "velocity_10_pct", "velocity_45_pct", "vwap", "sigma", "volume_ratio", "session_high",
        "session_low",
    ]  # fmt: skip


def test_triggers_only_asks_for_no_fees(tmp_path, monkeypatch):
    """Days outside the fee table can still be searched for triggers."""

    def refuse(*_arguments):
        raise DataError("no fees")

    path = small_tape(tmp_path)
    monkeypatch.setattr(session_replay, "fee_schedule", refuse)

    result = replay_session(path, Params(), (), load_kernel(), ReplayOptions(triggers_only=True))

    assert result.ends["orders"] == 0
    with pytest.raises(DataError, match="no fees"):
        replay_session(path, Params(), (), load_kernel(), ReplayOptions())


def with_quality(tape, quality):
    return Tape(tape.path, dataclasses.replace(tape.manifest, quality=quality), tape.instruments, tape.session)


@pytest.mark.parametrize(
    ("quality", "limit", "is_refused"),
    [
        ({"coverage_pct": 80.0}, 80.0, False),
        ({"coverage_pct": 79.9}, 80.0, True),
        ({}, 80.0, True),
        ({}, 0.0, False),
    ],
    ids=["at the limit", "below it", "unknown", "nothing asked for"],
)
def test_a_tape_must_cover_as_much_as_is_asked_for(tape, quality, limit, is_refused):
    """Unknown coverage meets no limit."""
    judged = with_quality(tape, quality)

    if is_refused:
        with pytest.raises(DataError, match="below the limit: 80"):
            check_quality(judged, limit)
    else:
        check_quality(judged, limit)


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now_s = 100.0
        self.slept_s = []

    def perf_counter(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept_s.append(seconds)
        self.now_s += seconds


def test_pace_waits_as_long_as_the_tape_says(monkeypatch):
    """At twice real time, ten seconds of tape take five; what is late is not waited for."""
    fake = FakeClock()
    monkeypatch.setattr(clock.time, "perf_counter", fake.perf_counter)
    monkeypatch.setattr(clock.time, "sleep", fake.sleep)
    pace = clock.Pace(2.0)

    pace.wait_for(OPEN)
    pace.wait_for(OPEN + 10_000_000_000)
    fake.now_s += 60.0
    pace.wait_for(OPEN + 20_000_000_000)
    pace.wait_for(OPEN + 200_000_000_000)

    assert fake.slept_s == [5.0, 35.0]


def test_a_paced_replay_shows_rows_as_they_come(tape, monkeypatch):
    """Blocks are short, and each comes when its first row is due, the last one too."""
    fake = FakeClock()
    monkeypatch.setattr(clock.time, "perf_counter", fake.perf_counter)
    monkeypatch.setattr(clock.time, "sleep", fake.sleep)
    params = Params(replay=ReplayParams(batch_rows=65_536))

    batches = tape_batches(tape, params, ReplayOptions(speed=1.0, until="09:40"))
    lags_s = [fake.now_s - 100.0 - int(batch.ts_recv_ns[0] - next_first(tape)) / 1e9 for batch in batches]

    assert len(lags_s) > 10
    assert max(map(abs, lags_s)) < 0.001


def next_first(tape):
    """When the tape's first row was received."""
    return int(next(tape.batches(1, check_bytes=False))["ts_recv_ns"][0])


def test_tapes_come_by_session_then_symbol_whatever_order_they_are_named_in(tmp_path):
    """The journal's order, and so its digest, does not depend on the shell's."""
    first, second = small_tape(tmp_path / "a"), TAPE

    assert sessions.tapes_at([second, first]) == sessions.tapes_at([first, second])


def test_perturbing_after_the_last_row_changes_nothing(tape):
    """The batch itself comes back: nothing is copied."""
    batch = next(tape_batches(tape, Params(), ReplayOptions()))

    assert perturbed(batch, int(batch.ts_recv_ns[-1])) is batch
