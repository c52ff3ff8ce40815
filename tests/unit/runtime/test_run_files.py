"""Files of a run on a disk that refuses."""

from __future__ import annotations

import errno
import os

import pytest

from scalpcli.errors import DataError
from scalpcli.runtime.run_files import JournalFile, RunFacts, append_telemetry, read_run_facts


@pytest.fixture
def full(monkeypatch):
    """Makes a disk full: from then on nothing is synced and nothing is opened for writing."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "fsync", refuse)


def test_facts_on_a_full_disk_are_an_error_that_names_the_place(tmp_path, full):
    """Not a traceback at the end of a session, which would hide what is still held; the old words stay."""
    facts = RunFacts(tmp_path, {"mode": "paper"})
    full()

    with pytest.raises(DataError, match="cannot be written: no space left on device") as refused:
        facts.tell(ended={"ts_ns": 1})

    assert "live.json" in refused.value.place
    assert read_run_facts(tmp_path) == {"mode": "paper"}


def test_telemetry_that_cannot_be_written_is_an_error(tmp_path):
    """With its place."""
    with pytest.raises(DataError, match="cannot be written"):
        append_telemetry(tmp_path / "gone", {"ended": "close"})


def test_of_lines_that_did_not_fit_nothing_stays(tmp_path, monkeypatch):
    """A part of a line before the next one would make both unreadable."""
    journal = JournalFile(tmp_path)
    journal.append(b'{"n":1}\n')
    real, sizes = os.write, iter([3])

    def write(descriptor, data):
        if (size := next(sizes, None)) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:size])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(DataError, match="no space left"):
        journal.append(b'{"n":2}\n')
    monkeypatch.undo()
    journal.append(b'{"n":3}\n')
    journal.close()

    assert (tmp_path / "decisions.jsonl").read_bytes() == b'{"n":1}\n{"n":3}\n'
