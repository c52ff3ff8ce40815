"""When one symbol is blind on one stream: its gap rows, and the spans whose history is asked for.

Decides when an outage is a gap. Leaves what an outage is to the stream's endpoint, which several symbols may share,
and the rows to the symbol's aggregator.
"""

from __future__ import annotations

from collections.abc import Callable

from scalpcli.adapters.aggregator import DataAggregator


class StreamGaps:
    """One symbol's gaps on one stream.

    Args:
        aggregator: Takes the gap rows.
        channels: The tape's channels that are blind without the stream.
        is_expected: Whether the market is open, so that being down is being blind.
        on_gap: Told the span of each gap once it has ended: channels, begin and end, UTC nanoseconds.
    """

    def __init__(
        self,
        aggregator: DataAggregator,
        channels: int,
        is_expected: Callable[[], bool],
        on_gap: Callable[[int, int, int], None],
    ) -> None:
        self.begun_ns = 0
        """From when on this process owes rows, UTC nanoseconds; what came before is another's, or nobody's."""
        self.short = 0
        """Gaps learned of afterwards."""
        self.last: tuple[int, int, str] | None = None
        """Begin and end of the last gap, UTC nanoseconds, and its cause."""
        self._aggregator = aggregator
        self._channels = channels
        self._is_expected = is_expected
        self._on_gap = on_gap
        self._down: tuple[int, str] | None = None

    def resume(self, begun_ns: int, since_ns: int, cause: str) -> None:
        """Blind since `since_ns`, when rows of an earlier process ended; those from `begun_ns` on are remembered."""
        self.begun_ns = begun_ns
        self._down = since_ns, cause

    def begin(self, now_ns: int) -> None:
        """Rows are owed from `now_ns` on, UTC nanoseconds, unless they were before."""
        self.begun_ns = self.begun_ns or now_ns

    def down(self, since_ns: int, cause: str) -> None:
        """Blind from `since_ns` on; told at once while the market is open, else once there is data again."""
        if self._down is None:
            self._down = since_ns, cause
        self.look()

    def look(self) -> None:
        """Tell of a gap that became one because the market opened."""
        if self._down is not None and self._is_expected():
            self._aggregator.begin_gap(self._channels, *self._down)

    def sees_again(self) -> None:
        """The first data after an outage is about to be written."""
        if self._down is None:
            return
        (since_ns, cause), self._down = self._down, None
        self._aggregator.begin_gap(self._channels, since_ns, cause)
        self._aggregator.end_gap(self._channels)
        self._ended(since_ns, cause)

    def lost_a_frame(self, since_ns: int) -> None:
        """A frame since `since_ns` could not be read; while a gap is open it lies within that one."""
        if self._down is None:
            cause = "undecodable frame"
            self.short += 1
            self._aggregator.short_gap(self._channels, since_ns, cause)
            self._ended(since_ns, cause)

    def _ended(self, since_ns: int, cause: str) -> None:
        until_ns = self._aggregator.stamp_ns
        self.last = since_ns, until_ns, cause
        self._on_gap(self._channels, since_ns, until_ns)
