"""A day's recording: begun, gone on with, sealed; and what earlier days leave."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from scalpcli.errors import DataError
from scalpcli.model.note import PREVIOUS_LEVELS
from scalpcli.model.params import Params
from scalpcli.model.session import session_of
from scalpcli.runtime.recording import (
    begin,
    earlier_notes,
    head_block,
    is_recorded,
    seal,
    seal_earlier,
    symbol_folder,
)
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from scalpcli.runtime.tape import Tape, find_tapes
from tests.recorder_fakes import block
from tests.tape_samples import ALL, OPEN, SESSION

PARAMS = Params()
HEADER = {
    "symbol": "TSLA",
    "session": "2026-11-20",
    "feeds": {"stock": "alpaca sip", "options": "alpaca opra"},
    "synthetic": False,
    "source": {"made_by": "record"},
}
TRADE = {"price_e4": 4_000_000, "size": 100, "flags": ALL}


def record(root, *blocks, header=HEADER, is_over=True, is_empty=False):
    """Record blocks into a session and seal them; the tape."""
    begun = begin(root, session_of(dt.date.fromisoformat(header["session"])), PARAMS.record, header)
    for each in blocks:
        begun.log.append(each)
    begun.log.close()
    return seal(begun, root, PARAMS, is_over=is_over, is_empty=is_empty)


def test_a_recording_becomes_a_tape_and_is_gone(tmp_path):
    """At its time: nothing is left beside the tape."""
    tape = record(tmp_path, block(3, **TRADE))

    assert Tape.open(tape).manifest.rows == 3
    assert is_recorded(tmp_path, "TSLA", SESSION)
    assert [path.name for path in symbol_folder(tmp_path, "TSLA").iterdir()] == ["2026-11-20"]


def test_one_that_ends_early_is_gone_on_with(tmp_path):
    """A reboot at eleven must not cost the afternoon: the longer tape begins with the rows of the shorter."""
    record(tmp_path, block(3, **TRADE), is_over=False)
    was_recorded = is_recorded(tmp_path, "TSLA", SESSION)

    tape = record(tmp_path, block(2, first=3, **TRADE))

    ids = [n for batch in Tape.open(tape).batches(columns=("kind", "trade_id")) for n in batch["trade_id"].tolist()]
    assert not was_recorded
    assert [number for number in ids if number] == [1, 2, 3, 4]
    assert is_recorded(tmp_path, "TSLA", SESSION)


def test_nothing_recorded_leaves_nothing(tmp_path):
    """Wrong keys must not leave a session that looks recorded."""
    assert record(tmp_path, *head_block([], OPEN), is_empty=True) is None
    assert find_tapes(tmp_path) == []
    assert not list(symbol_folder(tmp_path, "TSLA").iterdir())


def test_another_feed_does_not_go_on_with_it(tmp_path):
    """One tape, one feed: what came from one exchange is not mixed with what came from all."""
    record(tmp_path, block(1, **TRADE), is_over=False)
    other = {**HEADER, "feeds": {"stock": "alpaca iex", "options": "alpaca opra"}}

    with pytest.raises(DataError) as caught:
        begin(tmp_path, SESSION, PARAMS.record, other)

    assert caught.value.found == (
        "today's recording is of alpaca sip and alpaca opra, not of alpaca iex and alpaca opra"
    )


def test_what_earlier_days_left_is_sealed_after_today(tmp_path):
    """Yesterday's crash repairs itself; today's own recording is not touched."""
    said: list[str] = []
    yesterday = {**HEADER, "session": "2026-11-19"}
    early = dataclasses.replace(block(2, **TRADE))
    shift = session_of(dt.date(2026, 11, 19)).open_ns - OPEN
    for name in ("ts_recv_ns", "ts_event_ns"):
        early.columns[name][:] += shift
    begun = begin(tmp_path, session_of(dt.date(2026, 11, 19)), PARAMS.record, yesterday)
    begun.log.append(early)
    begun.log.flush()
    begun.log.abandon()
    record(tmp_path, block(2, **TRADE), is_over=False)

    seal_earlier(tmp_path, "TSLA", SESSION, PARAMS, said.append)

    assert said == [f"sealed what an earlier day left: {tmp_path / 'TSLA' / '2026-11-19'}"]
    assert not is_recorded(tmp_path, "TSLA", SESSION)
    assert is_recorded(tmp_path, "TSLA", session_of(dt.date(2026, 11, 19)))


def test_head_rows_come_from_earlier_tapes_of_the_market(tmp_path):
    """A damaged tape is named and left out, a synthetic one is no market; later ones would tell the future."""
    said: list[str] = []
    write_synthetic(tmp_path, SyntheticSpec(date=dt.date(2026, 11, 17), rows=2000, contracts=4), params=PARAMS.tape)
    for day in ("2026-11-18", "2026-11-19"):
        moved = block(2, **TRADE)
        shift = session_of(dt.date.fromisoformat(day)).open_ns - OPEN + 3_000_000
        for name in ("ts_recv_ns", "ts_event_ns"):
            moved.columns[name][:] += shift
        record(tmp_path, moved, header={**HEADER, "session": day})
    (tmp_path / "TSLA" / "2026-11-19" / "rows.parquet").write_bytes(b"damaged")

    notes = dict(earlier_notes(tmp_path, "TSLA", SESSION, 20, said.append))

    assert notes[PREVIOUS_LEVELS]["session"] == "2026-11-18"
    assert len(said) == 1
    assert "2026-11-19" in said[0]


def test_without_earlier_tapes_there_are_no_head_rows(tmp_path):
    """Then Alpaca's bars are asked."""
    assert earlier_notes(tmp_path, "TSLA", SESSION, 20, print) == []
    assert head_block([], OPEN) == ()
