"""Runs an iterator in a thread of its own, a few items ahead of whoever takes them."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_SWITCH_INTERVAL_S: Final = 0.0005
"""Python lets a thread wait 5 ms for its turn; each return from the kernel may wait so long for the decoder."""


class Ahead(Generic[T]):
    """An iterator whose items are made while the one before is used.

    It pays where both sides leave Python: decoding and checking blocks of rows beside the compiled kernel.

    Args:
        items: Made in the thread; its error is raised here, in its place.
        items_max: How many may wait.
    """

    def __init__(self, items: Iterator[T], items_max: int) -> None:
        self._items = items
        self._made: queue.Queue[T | _End] = queue.Queue(items_max)
        self._is_closed = False
        self._thread = threading.Thread(target=self._make, name="ahead", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._made.put(item)
                if self._is_closed:
                    return
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the items are taken
            error = raised
        self._made.put(_End(error))

    def __iter__(self) -> Iterator[T]:
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        try:
            while not isinstance(item := self._made.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            sys.setswitchinterval(interval_s)
            self._close()

    def _close(self) -> None:
        """Let the thread end: whoever stops early leaves it waiting for room."""
        self._is_closed = True
        while self._thread.is_alive():
            try:
                self._made.get(timeout=0.01)
            except queue.Empty:
                continue


class _End:
    """The end of the items, and what ended them."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
