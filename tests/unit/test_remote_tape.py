"""Tapes that lie elsewhere are copied once, whole, and read as any other."""

from __future__ import annotations

import pytest

from scalpcli.errors import DataError, UpstreamUnavailable, UsageError
from scalpcli.runtime import remote_tape
from scalpcli.runtime.remote_tape import is_remote, local_tape, tapes_below
from scalpcli.runtime.tape import Tape
from tests.optimize_samples import plan_over, search_in, small_tapes

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Two sessions in a store in memory; its address."""
    monkeypatch.setenv("SCALPCLI_CACHE_DIR", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    for path in small_tapes(tmp_path / "tapes", 2):
        files.put(str(path), f"/bucket/{path.parent.name}/{path.name}", recursive=True)
    yield "memory://bucket"
    files.rm("/bucket", recursive=True)


def test_tapes_below_an_address(store):
    """All of them in order, or the one named."""
    found = tapes_below(store)

    assert [address.rsplit("/", 2)[1:] for address in found] == [["TSLA", "2026-08-03"], ["TSLA", "2026-08-04"]]
    assert tapes_below(found[1]) == [found[1]]


def test_a_remote_tape_is_copied_once(store, monkeypatch):
    """The copy is the tape, byte for byte, and is not fetched again."""
    address = tapes_below(store)[0]
    folder = local_tape(address)

    assert sum(len(columns["kind"]) for columns in Tape.open(folder).batches()) == 2_500
    monkeypatch.setattr(remote_tape, "_copy", lambda *_: pytest.fail("copied again"))
    assert local_tape(address) == folder


def test_a_folder_is_itself(tmp_path):
    """What is no address is a path."""
    assert not is_remote(str(tmp_path))
    assert local_tape(str(tmp_path)) == tmp_path


def test_a_search_on_remote_tapes(store, tmp_path):
    """Results are those of the same tapes on this machine."""
    here = plan_over([local_tape(address) for address in tapes_below(store)], walk=None, holdout_pct=0.0)
    there = plan_over([local_tape(address) for address in tapes_below(store)], walk=None, holdout_pct=0.0)
    tapes = tuple(
        type(tape)(tape.session, address, tape.digest)
        for tape, address in zip(there.tapes, tapes_below(store), strict=True)
    )
    object.__setattr__(there, "tapes", tapes)

    found = [search_in(tmp_path / name, plan).run().values.tolist() for name, plan in (("a", here), ("b", there))]

    assert found[0] == found[1]


def test_what_cannot_be_reached_is_told(store, monkeypatch):
    """No tape, no driver, no answer: each its own error."""
    with pytest.raises(DataError, match="there is no tape"):
        tapes_below("memory://nowhere")
    with pytest.raises(DataError, match="there is no tape"):
        local_tape("memory://nowhere")
    with pytest.raises(UsageError, match="cannot be reached"):
        tapes_below("nosuchstore://bucket")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("access denied")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "glob", refuse)
    with pytest.raises(UpstreamUnavailable, match="access denied"):
        tapes_below(store)
