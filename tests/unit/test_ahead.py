"""Items made in a thread of their own reach their taker as if they were made in place."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from scalpcli.runtime.ahead import Ahead


def test_items_come_in_order_and_end():
    """Whatever the room, every item comes once."""
    assert list(Ahead(iter(range(100)), 3)) == list(range(100))


def test_an_error_comes_in_its_place():
    """What was made before it is handed over first."""

    def items():
        yield 1
        raise ValueError("the second one")

    running = iter(Ahead(items(), 4))

    assert next(running) == 1
    with pytest.raises(ValueError, match="the second one"):
        next(running)


def test_no_more_is_made_ahead_than_asked_for():
    """Memory stays bounded while the taker is slow."""
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    running = iter(Ahead(items(), 2))
    next(running)
    time.sleep(0.1)

    assert len(made) <= 5


def test_who_stops_early_leaves_no_thread_behind():
    """The thread ends with its taker, and Python's own pace is given back."""
    interval_s = sys.getswitchinterval()
    running = iter(Ahead(iter(range(1000)), 1))
    next(running)

    running.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
    assert sys.getswitchinterval() == interval_s
