"""Reading a recording: damage is found, told and stepped over, and no damaged row comes out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.row import COLUMNS
from scalpcli.runtime.segment_format import HEADER_BYTES, MAGIC, pack_rows, unpack_header, unpack_rows
from scalpcli.runtime.segment_read import Break, SegmentReader
from tests.segment_samples import joined, read, record, same, small_blocks
from tests.tape_samples import flip_byte


@pytest.fixture
def folder(tmp_path):
    """A recording in one segment, with blocks of 50 rows, that ended in order."""
    record(tmp_path / "recording", small_blocks())
    return tmp_path / "recording"


def frames_of(data):
    """Where each frame of a whole segment begins, and its header."""
    at, found = 0, []
    while at < len(data):
        header = unpack_header(data[at : at + HEADER_BYTES])
        found.append((at, header))
        at += HEADER_BYTES + header.length
    return found


def rows_frames(path):
    """Places of the frames that hold rows."""
    return [(at, header) for at, header in frames_of(path.read_bytes()) if header.rows]


def is_without(found, whole, begin, end):
    """Whether rows `begin` to `end`, and no others, are missing."""
    return same(found, {name: np.delete(values, slice(begin, end)) for name, values in whole.items()})


@settings(max_examples=80, deadline=None)
@given(data=st.data(), rows=st.integers(1, 40))
def test_rows_are_packed_without_loss(data, rows):
    """Any value of any column's type, also steps and differences that leave 64 bits."""
    columns = {}
    for name, dtype in COLUMNS.items():
        bounds = np.iinfo(dtype)
        values = st.integers(int(bounds.min), int(bounds.max))
        columns[name] = np.array(data.draw(st.lists(values, min_size=rows, max_size=rows)), dtype)

    back, notes = unpack_rows(pack_rows(columns, [("operator", {"command": "stop", "text": "é"})]), rows)

    assert same(back, columns)
    assert {name: values.dtype for name, values in back.items()} == COLUMNS
    assert notes == [("operator", {"command": "stop", "text": "é"})]


def test_every_flipped_bit_is_found(folder):
    """In any byte of headers and payloads: it is told, and every row that does come out is one that went in."""
    path = folder / "000001.log"
    whole = joined(small_blocks())
    data = path.read_bytes()
    starts = [at for at, _ in frames_of(data)]
    chance = random.Random(7)  # noqa: S311 - which bits are tried, no secret
    bits = {8 * (at + byte) + byte % 8 for at in starts[:8] for byte in range(HEADER_BYTES)}
    bits |= {chance.randrange(8 * len(data)) for _ in range(400)}

    for bit in sorted(bits):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        reader = SegmentReader(folder)

        (damage,) = reader.damage
        assert damage.offset <= bit // 8 < damage.offset + damage.bytes
        lost = damage.rows or 0
        assert reader.rows_read == len(whole["kind"]) - lost
        first = int(np.searchsorted(starts, damage.offset, side="right")) - 1
        begin = sum(header.rows for _, header in frames_of(data)[:first])
        assert is_without(joined(reader.blocks()), whole, begin, begin + lost)


def test_damage_is_told_by_file_byte_and_rows(folder):
    """So that a person knows what is missing, and where to look."""
    at, header = rows_frames(folder / "000001.log")[3]
    flip_byte(folder / "000001.log", at + HEADER_BYTES + 5)

    reader = SegmentReader(folder)

    (damage,) = reader.damage
    assert (damage.file, damage.offset, damage.bytes, damage.rows) == (
        "000001.log", at, HEADER_BYTES + header.length, 50,
    )  # fmt: skip
    assert damage.found == "the checksum of a frame is wrong"
    items = list(reader.blocks())
    assert [item.rows for item in items if isinstance(item, Break)] == [50]
    assert isinstance(items[3], Break)
    assert items[3].cause == "recording damaged; 50 rows lost"


def test_a_damaged_header_still_tells_how_many_rows_are_lost(folder):
    """The next frame knows how many rows came before it."""
    at, _ = rows_frames(folder / "000001.log")[3]
    flip_byte(folder / "000001.log", at)

    assert [damage.rows for damage in SegmentReader(folder).damage] == [50]


@pytest.mark.parametrize("cut", [1, 5, 39, 41, 60])
def test_a_torn_tail_costs_the_last_frame_alone(folder, cut):
    """Bytes of a frame that was being written when the process died."""
    path = folder / "000001.log"
    ends = rows_frames(path)
    at = ends[-1][0]
    path.write_bytes(path.read_bytes()[: at + cut])

    reader = SegmentReader(folder)

    (damage,) = reader.damage
    assert (damage.offset, damage.bytes) == (at, cut)
    assert damage.rows == (50 if cut > HEADER_BYTES else None)
    assert "cut off" in damage.found
    assert not reader.is_complete
    assert same(joined(reader.blocks()), joined(small_blocks()[:-1]))
    assert [item for item in reader.blocks() if isinstance(item, Break)] == [Break(0, ended=True)]


def test_lost_and_strange_bytes_cost_no_neighbour(folder):
    """Bytes taken out, zeros put in, the magic among them: reading goes on at the next sound frame."""
    path = folder / "000001.log"
    data = path.read_bytes()
    (first, _), (second, header), (third, _) = rows_frames(path)[2:5]
    shorter = data[: second + HEADER_BYTES + 3] + data[second + HEADER_BYTES + 9 :]
    longer = data[:third] + bytes(5000) + MAGIC + bytes(60) + data[third:]

    path.write_bytes(shorter)
    without_one = SegmentReader(folder)
    path.write_bytes(longer)
    with_more = SegmentReader(folder)

    assert first < second < third
    assert [(damage.offset, damage.bytes, damage.rows) for damage in without_one.damage] == [
        (second, HEADER_BYTES + header.length - 6, 50)
    ]
    assert [(damage.offset, damage.bytes, damage.rows) for damage in with_more.damage] == [(third, 5064, 0)]
    assert with_more.rows_read == 600


def test_one_hit_on_names_takes_no_name(folder):
    """They stand before and behind the first rows that use them."""
    path = folder / "000001.log"
    places = [at for at, header in frames_of(path.read_bytes()) if not header.rows]

    for at in places[:-1]:
        flip_byte(path, at + HEADER_BYTES + 1)
        names = SegmentReader(folder).names
        flip_byte(path, at + HEADER_BYTES + 1)

        assert (len(names.instruments), len(names.conditions), len(names.exchanges)) == (2, 2, 2)


def test_the_header_file_stands_in_for_the_first_frame(folder):
    """A recording of one segment would otherwise be lost with one byte."""
    flip_byte(folder / "000001.log", 0)

    reader = SegmentReader(folder)

    assert reader.header["symbol"] == "TSLA"
    assert reader.rows_read == 600


def test_without_any_word_about_itself_a_recording_is_refused(folder):
    """Nobody could say of which day it is."""
    flip_byte(folder / "000001.log", 0)
    (folder / "recording.json").write_text("{")

    with pytest.raises(DataError, match="no segment says what it holds"):
        SegmentReader(folder)


def test_an_absent_segment_is_told(tmp_path):
    """Somebody took a file away: its rows are counted as lost."""
    folder, blocks = tmp_path / "recording", small_blocks()
    record(folder, blocks[:4], close=False)
    for begin in (4, 8):
        record(folder, blocks[begin : begin + 4], continuation=SegmentReader(folder).continuation())
    (folder / "000002.log").unlink()

    reader = SegmentReader(folder)

    assert [(damage.file, damage.found) for damage in reader.damage] == [
        ("000003.log", "the segment before it is missing")
    ]
    assert [item for item in reader.blocks() if isinstance(item, Break)] == [Break(200, restarted=True)]


def test_a_newer_layout_is_refused(folder, monkeypatch):
    """Rather than read by rules that may have changed."""
    monkeypatch.setattr("scalpcli.runtime.segment_read.VERSION", 0)

    with pytest.raises(DataError, match="has version 1; this scalpcli reads up to 0"):
        SegmentReader(folder)


@pytest.mark.parametrize("make", [False, True])
def test_no_recording_is_told(tmp_path, make):
    """Neither an absent folder nor an empty one is a recording."""
    if make:
        (tmp_path / "recording").mkdir()

    with pytest.raises(DataError, match="there is no recording"):
        SegmentReader(tmp_path / "recording")


def test_lost_names_leave_their_numbers(folder):
    """A process that goes on must not give a number away again that rows use already."""
    path = folder / "000001.log"
    record(folder, [Block(joined([]), conditions=("I",))], continuation=SegmentReader(folder).continuation())
    later = SegmentReader(folder).continuation()
    for at, header in frames_of(path.read_bytes()):
        if not header.rows:
            flip_byte(path, at + HEADER_BYTES)
    data = bytearray((folder / "000002.log").read_bytes())
    data[HEADER_BYTES] ^= 1
    (folder / "000002.log").write_bytes(bytes(data))

    continuation = SegmentReader(folder).continuation()

    assert later.conditions == ("@", "@ F", "I")
    assert continuation.conditions == ("lost-1", "lost-2", "I")


def test_rows_that_cannot_be_unpacked_are_told(folder, monkeypatch):
    """The bytes are what was written, but no rows: the others are read all the same."""

    def unpack(data, rows):
        columns, notes = unpack_rows(data, rows)
        if columns["trade_id"].max() > 200 and not notes and not seen:
            seen.append(rows)
            raise ValueError(data)
        return columns, notes

    seen = []
    monkeypatch.setattr("scalpcli.runtime.segment_read.unpack_rows", unpack)
    reader = SegmentReader(folder)

    found = list(reader.blocks())

    assert sum(isinstance(item, Break) for item in found) == 1
    assert len(joined(found)["kind"]) == 550
    assert [(damage.rows, "cannot be unpacked" in damage.found) for damage in reader.damage] == [(50, True)]


def test_cold_rows_and_notes_stay_paired(folder):
    """They lie in one frame: damage takes both or neither."""
    at, _ = rows_frames(folder / "000001.log")[-1]
    flip_byte(folder / "000001.log", at + HEADER_BYTES)

    columns, notes = read(folder)

    assert int((columns["kind"] == 8).sum()) == len(notes) == 1
