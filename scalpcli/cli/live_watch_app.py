"""The screen of `live watch` on a terminal: one widget that writes the cells that changed, and nothing else.

Decides colours, keys and what is asked before a command is sent. What is shown is `live_watch_layout.screen`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from typing import Any, ClassVar, Final

from rich.console import Console, RenderableType
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual._compositor import ChopsUpdate
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from scalpcli.cli.live_watch_layout import KEYS, Watched, screen
from scalpcli.cli.live_watch_source import Source
from scalpcli.cli.live_watch_text import BAD, DIM, GOOD, PLAIN, TITLE, WARN, Line

_STYLES: Final = {
    PLAIN: Style(),
    DIM: Style(dim=True),
    TITLE: Style(bold=True),
    GOOD: Style(color="green"),
    BAD: Style(color="red", bold=True),
    WARN: Style(color="yellow"),
    # Reversed, so that the banner is one without colours too.
    "shadow": Style(color="blue", bold=True, reverse=True),
    "paper": Style(color="cyan", bold=True, reverse=True),
    "live": Style(color="red", bold=True, reverse=True),
    "silent": Style(color="yellow", bold=True, reverse=True),
}
_QUESTIONS: Final = {
    "f": ("flatten", "FLATTEN {of}: sell everything?"),
    "s": ("stop", "STOP {of}: end entries?"),
    "k": ("kill", "KILL {of}: sell everything, end entries?"),
}
_YES: Final = "y"
_ANSWER_SHOWN_S: Final = 10.0


class Canvas(Widget):
    """Lines of text; a cell is written again only when it changed.

    Attributes:
        written: Cells handed to the terminal since the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: tuple[Line, ...]) -> None:
        """Show these lines; what is equal stays untouched."""
        before, self._lines = self._lines, lines
        if [_width(each) for each in before] != [_width(each) for each in lines]:
            self.written += sum(map(_width, lines))
            self.refresh()
            return
        pairs = enumerate(zip(before, lines, strict=True))
        regions = [region for y, (old, new) in pairs if old != new for region in _changes(y, old, new)]
        if regions:
            self.written += sum(region.width for region in regions)
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """One line in the terminal's styles."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width)
        return Strip([Segment(span.text, _STYLES[span.role]) for span in self._lines[y]])


def _width(of: Line) -> int:
    return sum(len(span.text) for span in of)


def _changes(y: int, old: Line, new: Line) -> list[Region]:
    """Runs of cells of one line that differ in text or role."""
    olds, news = ([(char, span.role) for span in each for char in span.text] for each in (old, new))
    regions: list[Region] = []
    for x, (one, other) in enumerate(zip(olds, news, strict=True)):
        if one == other:
            continue
        if regions and regions[-1].right == x:
            regions[-1] = Region(regions[-1].x, y, regions[-1].width + 1, 1)
        else:
            regions.append(Region(x, y, 1, 1))
    return regions


class _Cells(ChopsUpdate):
    """An update that writes the changed cells alone: textual's own begins each at the left end of its line."""

    def render_segments(self, console: Console) -> str:
        """The terminal's sequences."""
        return "".join(
            Control.move_to(max(x, begin), y).segment.text
            + strip.crop(max(begin - x, 0), min(end, cut) - x).render(console)
            for y, begin, end in self.spans
            for cut, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False)
            if strip is not None and x < end and cut > begin
        )


class WatchApp(App[None]):
    """Follows one process and sends its operator's commands.

    Args:
        source: The process.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", priority=True)]
    CSS = """
    Screen { background: ansi_default; }
    Canvas { width: 1fr; height: 1fr; background: ansi_default; }
    """

    def __init__(self, source: Source) -> None:
        # The terminal's own colours: they fit its background, and NO_COLOR takes them away.
        super().__init__(ansi_color=True)
        self.watched = Watched()
        self.canvas = Canvas()
        self._source = source
        self._asked = ""
        self._forgetting: Timer | None = None

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        # The one place where an update can be narrowed before it reaches the terminal.
        if isinstance(renderable, ChopsUpdate):
            renderable = _Cells(renderable.chops, renderable.spans, renderable.chop_ends)
        super()._display(screen, renderable)

    def compose(self) -> ComposeResult:
        """The one widget."""
        yield self.canvas

    def on_mount(self) -> None:
        """Begin to follow; whoever ends this process from outside gets the terminal back as it was."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
        self.run_worker(self._follow())

    def on_resize(self, event: events.Resize) -> None:
        """Lay out anew."""
        self._draw(event.size.width, event.size.height)

    def on_key(self, event: events.Key) -> None:
        """A question's answer, or one of the keys of the last line."""
        event.stop()
        if self._asked:
            asked, self._asked = self._asked, ""
            if event.key == _YES:
                self.run_worker(self._send(asked))
            self.take(question="", answer="" if event.key == _YES else f"{asked}: not sent")
        elif event.key == KEYS[0][0]:
            self.exit()
        elif event.key in _QUESTIONS and self.watched.state is not None:
            self._asked, words = _QUESTIONS[event.key]
            of = f"{self.watched.state['mode'].upper()} {self.watched.state['symbol']}"
            self.take(question=words.format(of=of))

    def take(self, **changes: Any) -> None:
        """Change what is known and show it."""
        self.watched = dataclasses.replace(self.watched, **changes)
        self._draw(self.size.width, self.size.height)
        if changes.get("answer"):
            if self._forgetting is not None:
                self._forgetting.stop()
            self._forgetting = self.set_timer(_ANSWER_SHOWN_S, lambda: self.take(answer=""))

    def _draw(self, width: int, height: int) -> None:
        self.canvas.show(screen(self.watched, width, height))

    async def _follow(self) -> None:
        async for update in self._source.updates():
            if "state" in update:
                self.take(state=update["state"], silent_s=0.0, waiting="")
            elif "lost" in update:
                self.take(waiting=update["lost"])
            elif "silent_s" in update:
                self.take(silent_s=update["silent_s"])

    async def _send(self, command: str) -> None:
        self.take(answer=await self._source.command(command))
