"""The screen of `live watch`: only what changed is written, and no command is sent by one key alone."""

from __future__ import annotations

import asyncio
import copy

import pytest

from scalpcli.cli.live_watch_app import WatchApp
from tests.live_samples import NOW_NS, live_state

DEADLINE_S = 30.0


class Script:
    """A source that tells what the test hands it."""

    def __init__(self):
        self.commands = []
        self.told = asyncio.Queue()

    async def updates(self):
        while True:
            yield await self.told.get()
            self.told.task_done()

    async def command(self, command):
        self.commands.append(command)
        return f"{command} taken"

    async def tell(self, **update):
        """Hand over an update; returns when it was shown."""
        await self.told.put(update)
        await self.told.join()


def play(story, size=(80, 24)):
    """Run a story with the app on a terminal of this size, one snapshot shown."""

    async def whole():
        script = Script()
        app = WatchApp(script)
        async with app.run_test(size=size) as pilot:
            await script.tell(state=live_state())
            await pilot.pause()
            return await story(app, script, pilot)

    return asyncio.run(asyncio.wait_for(whole(), DEADLINE_S))


def rows(app) -> list[str]:
    """What the terminal would show."""
    return ["".join(segment.text for segment in app.canvas.render_line(y)) for y in range(app.size.height)]


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_an_unchanged_snapshot_writes_no_cell(size):
    """Four times a second the process tells the same numbers: nothing of it reaches the terminal."""

    async def story(app, script, pilot):
        before = app.canvas.written
        for _ in range(20):
            await script.tell(state=live_state())
        await pilot.pause()
        return app.canvas.written - before

    assert play(story, size) == 0


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_a_number_that_changes_is_written_alone(size):
    """The bid moves by a cent: its last digit, the profit's digits and the mark on the track; nothing beside them."""
    moved = copy.deepcopy(live_state())
    moved["positions"][0] |= {"bid": 1.32, "pnl_usd": 36.0, "pnl_pct": 10.0}

    async def story(app, script, pilot):
        before, shown = app.canvas.written, rows(app)
        await script.tell(state=moved)
        await pilot.pause()
        differ = sum(
            one != other for a, b in zip(shown, rows(app), strict=True) for one, other in zip(a, b, strict=True)
        )
        return app.canvas.written - before, differ

    written, differ = play(story, size)

    assert written == differ
    assert 0 < differ < 15


def test_the_whole_screen_is_written_when_the_terminal_changes():
    """A wider terminal is another layout."""

    async def story(app, _script, pilot):
        await pilot.resize_terminal(140, 40)
        await pilot.pause()
        return rows(app)[1][:6], len(rows(app)[1])

    assert play(story) == ("MARKET", 140)


@pytest.mark.parametrize(("key", "command"), [("f", "flatten"), ("s", "stop"), ("k", "kill")])
def test_a_command_is_sent_after_a_yes(key, command):
    """The question names command, mode and symbol; then what became of it stands where the question stood."""

    async def story(app, script, pilot):
        await pilot.press(key)
        asked, sent_before = rows(app)[-1], list(script.commands)
        await pilot.press("y")
        await pilot.pause()
        return asked, sent_before, script.commands, rows(app)[-1]

    asked, sent_before, sent, last = play(story)

    assert f"{command.upper()} PAPER TSLA" in asked
    assert sent_before == []
    assert sent == [command]
    assert f"{command} taken" in last


@pytest.mark.parametrize("answer", ["n", "escape", "k", "q", "enter"])
def test_any_other_key_sends_nothing(answer):
    """Also the same key again: two presses of one key are a slip."""

    async def story(app, script, pilot):
        await pilot.press("k", answer)
        await pilot.pause()
        return script.commands, rows(app)[-1], app.is_running

    commands, last, is_running = play(story)

    assert commands == []
    assert "kill: not sent" in last
    assert is_running


def test_a_lone_yes_sends_nothing():
    """Without a question there is nothing to agree to."""

    async def story(_app, script, pilot):
        await pilot.press("y", "y")
        return script.commands

    assert play(story) == []


def test_nothing_is_commanded_before_a_process_was_seen():
    """Nobody would know which mode it goes to."""

    async def whole():
        script = Script()
        app = WatchApp(script)
        async with app.run_test(size=(80, 24)) as pilot:
            await script.tell(lost="no run is there")
            await pilot.press("k", "y")
            return script.commands, rows(app)[1].strip()

    assert asyncio.run(asyncio.wait_for(whole(), DEADLINE_S)) == ([], "no run is there")


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_one_key_leaves(key):
    """The watched process notices nothing of it."""

    async def story(app, script, pilot):
        await pilot.press(key)
        await pilot.pause()
        return app.is_running, script.commands

    assert play(story) == (False, [])


def test_silence_is_shown_until_the_process_speaks():
    """Old numbers are called old, and no longer than they are."""

    async def story(app, script, pilot):
        shown = []
        for update in ({"silent_s": 3.0}, {"lost": "the process ended or restarts"}, {"state": live_state()}):
            await script.tell(**update)
            await pilot.pause()
            shown.append(rows(app)[1].strip())
        return shown

    silent, lost, alive = play(story)

    assert silent == "OLD NUMBERS: THE ENGINE DOES NOT ANSWER for 3 s"
    assert lost == "OLD NUMBERS: the process ended or restarts"
    assert alive.startswith("TSLA 419.84")


def test_an_event_alone_changes_nothing():
    """The next snapshot, a moment later, tells what became of it."""

    async def story(app, script, pilot):
        before = app.canvas.written
        await script.tell(event={"kind": "fill", "ts_ns": NOW_NS})
        await pilot.pause()
        return app.canvas.written - before

    assert play(story) == 0
