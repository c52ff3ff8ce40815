"""A broker that answers nothing, for sessions in which what a true one said stands on the tape."""

from __future__ import annotations

from scalpcli.core.executor import Command
from scalpcli.core.layout import NEVER_NS
from scalpcli.model.order import Reply


class Silent:
    """A broker that says nothing: what a true one says stands on the tape."""

    def __init__(self) -> None:
        self.sent: list[Command] = []

    def send(self, command: Command, t_ns: int) -> None:
        """Keep what was sent."""
        del t_ns
        self.sent.append(command)

    def next_ns(self) -> int:
        """Nothing ever happens."""
        return NEVER_NS

    def run(self, t_ns: int) -> list[Reply]:
        """Nothing is learned."""
        del t_ns
        return []

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """No quote fills anything."""

    def watched(self) -> set[int]:
        """No quote is waited for."""
        return set()
