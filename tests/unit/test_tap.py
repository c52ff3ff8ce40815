"""The tap: rows for other processes, never at the recorder's cost."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import numpy as np
import pytest

from scalpcli.errors import UpstreamUnavailable
from scalpcli.model.note import RUN
from scalpcli.model.row import COLD, COLUMNS
from scalpcli.runtime.tap import Tap, TapReader
from tests.recorder_fakes import block
from tests.tape_samples import CALL, contract

HEADER = {"symbol": "TSLA", "session": "2026-11-20", "feeds": {"stock": "sip", "options": "opra"}}


def run(play, **options):
    """Play with an open tap, which is closed afterwards."""

    async def whole():
        tap = Tap(HEADER, **options)
        await tap.open()
        try:
            return await asyncio.wait_for(play(tap), 10)
        finally:
            await tap.close()

    return asyncio.run(whole())


def mode_of(path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


async def admitted(tap, count=1):
    while tap.count < count:  # noqa: ASYNC110 - the tap tells no one
        await asyncio.sleep(0.001)


def test_a_reader_gets_the_rows_with_their_notes_and_names():
    """Every column comes out as it went in; what came before the reader is told by name, not by row."""
    first = block(2, news={"instruments": (contract(1, CALL),), "conditions": ("@",)}, conditions=1)
    second = block(3, first=2, news={"conditions": ("@F",), "exchanges": ("Q",)}, conditions=2, exchange=1)
    cold = block(1, first=5, kind=COLD, news={"notes": ((RUN, {"nonce": "a"}),)})

    async def play(tap):
        tap.publish(first)
        reader = await TapReader.open(tap.path)
        tap.publish(second)
        tap.publish(cold)
        await tap.close()
        return reader, [each async for each in reader.blocks()]

    reader, got = run(play)

    assert reader.header == HEADER
    assert reader.names.instruments[1].symbol == CALL
    assert (reader.names.conditions, reader.names.exchanges) == ({1: "@", 2: "@F"}, {1: "Q"})
    assert [each.rows for each in got] == [3, 1]
    assert all(np.array_equal(got[0].columns[name], second.columns[name]) for name in COLUMNS)
    assert list(got[1].notes) == [(RUN, {"nonce": "a"})]
    assert (reader.rows, reader.is_complete) == (6, True)


def test_every_reader_gets_every_row():
    """Any number may listen."""

    async def play(tap):
        readers = [await TapReader.open(tap.path) for _ in range(5)]
        for number in range(20):
            tap.publish(block(10, first=10 * number))
        await tap.close()
        return [[n async for each in reader.blocks() for n in each.columns["trade_id"].tolist()] for reader in readers]

    assert run(play) == [list(range(200))] * 5


def test_a_slow_reader_is_dropped_and_the_others_go_on():
    """It has let more pile up than it may; it learns so from an end without a word."""

    async def play(tap):
        slow = await TapReader.open(tap.path)
        quick = await TapReader.open(tap.path)
        got = []

        async def read():
            got.extend([n async for each in quick.blocks() for n in each.columns["trade_id"].tolist()])

        reading = asyncio.create_task(read())
        noise = np.random.default_rng(1)
        for number in range(400):
            tap.publish(block(2000, first=2000 * number, price_e4=noise.integers(0, 1 << 40, 2000)))
            await asyncio.sleep(0)
            await asyncio.sleep(0.0005)
        dropped, left = tap.dropped, tap.count
        await tap.close()
        await reading
        with pytest.raises(UpstreamUnavailable):
            async for _ in slow.blocks():
                pass
        return dropped, left, got

    dropped, left, got = run(play, waiting_bytes_max=1 << 20)

    assert (dropped, left) == (1, 1)
    assert got == list(range(800_000))


def test_the_socket_is_its_users_alone():
    """Rows of a paid feed, and later an account's: mode 0600 in a folder of mode 0700; gone afterwards."""

    async def play(tap):
        return [(path, mode_of(path)) for path in (tap.path, Path(tap.path).parent)]

    (_, mode), (folder, folder_mode) = run(play)

    assert (mode, folder_mode) == (0o600, 0o700)
    assert not folder.exists()


def test_a_reader_that_leaves_is_forgotten():
    """Nothing piles up for it."""

    async def play(tap):
        reader = await TapReader.open(tap.path)
        await admitted(tap)
        await reader.close()
        while tap.count:  # noqa: ASYNC110 - the tap tells no one
            await asyncio.sleep(0.001)
        tap.publish(block(1))
        return tap.dropped

    assert run(play) == 0


def test_a_dead_recorder_is_told_from_one_that_stopped():
    """`live` must know whether the market closed or its eyes did."""

    async def play(tap):
        reader = await TapReader.open(tap.path)
        await admitted(tap)
        for writer in tap._readers:
            writer.transport.abort()
        with pytest.raises(UpstreamUnavailable) as caught:
            async for _ in reader.blocks():
                pass
        return caught.value.found

    assert run(play) == "the recorder's tap ended without a word"


def test_where_nobody_listens_there_is_a_message(tmp_path):
    """Exit code 6, as for any other upstream."""
    with pytest.raises(UpstreamUnavailable) as caught:
        asyncio.run(TapReader.open(str(tmp_path / "rows")))

    assert caught.value.found == "the recorder's tap does not answer: no such file or directory"
