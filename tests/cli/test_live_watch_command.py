"""`live watch` and `live signals` as processes of their own: lines, one snapshot, restarts, a real terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from scalpcli.adapters.signal_feed import ACCESS_FILE
from scalpcli.adapters.signals_schema import signals_schema
from scalpcli.cli.live_watch_layout import Watched, screen, snapshot_lines
from scalpcli.cli.live_watch_text import plain
from scalpcli.runtime.against_facts import FACTS_FILE
from tests.live_process import RunningProcess
from tests.live_samples import NOW_NS, live_state

SOURCE = Path(__file__).resolve().parents[2]
SCALPCLI = [sys.executable, "-m", "scalpcli"]
DEADLINE_S = 60.0
SHOWN = b"compared"
"""A word near the end of the screen of a process that was found."""
COLOURS = re.compile(rb"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?>$]*[a-zA-Z]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "live"


@pytest.fixture
def running(out):
    """A process that tells one snapshot."""
    with RunningProcess(out / "paper" / "TSLA" / "2025-11-25", live_state()) as process:
        yield process


def environment(**more: str) -> dict[str, str]:
    # COLUMNS, which a test runner may set, would be taken for the terminal's width.
    others = ("NO_COLOR", "COLUMNS", "LINES")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("SCALPCLI__") and name not in others
    }
    return {**kept, "PYTHONPATH": str(SOURCE), "TERM": "xterm-256color", "LANG": "C.UTF-8", **more}


def live(*words) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SCALPCLI, "live", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=DEADLINE_S,
        stdin=subprocess.DEVNULL,
    )


def until(condition) -> None:
    """Wait for a condition; fail when it never comes."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.01)


@pytest.mark.usefixtures("running")
def test_one_snapshot_as_text(out):
    """For a mail: the whole of it, 80 columns, no colours."""
    done = live("watch", "--once", "--out", out)

    assert done.returncode == 0
    assert done.stdout == plain(snapshot_lines(live_state(), 80))
    assert done.stderr == ""


@pytest.mark.usefixtures("running")
def test_one_snapshot_as_json(out):
    """One line, as the process told it."""
    done = live("watch", "--once", "--json", "--run", out / "paper" / "TSLA" / "2025-11-25")

    assert json.loads(done.stdout) == live_state()


@pytest.mark.parametrize("words", [["--once"], []], ids=["once", "lines"])
def test_without_a_process_a_script_is_told(out, words):
    """Nothing to watch is no empty success."""
    folder = out / "paper" / "TSLA" / "2025-11-25"
    folder.mkdir(parents=True)
    (folder / FACTS_FILE).write_text("{}", encoding="utf-8")

    done = live("watch", *words, "--out", out)

    assert done.returncode == 6
    assert done.stdout == ""
    assert done.stderr.replace(str(folder), "FOLDER") == snapshot("""\
error: nobody trades PAPER in `FOLDER` now

hint: begin with `scalpcli live run`; `scalpcli live status` tells what its files say
""")


def test_drawing_too_often_is_refused(out):
    """It would take time from the process that trades."""
    done = live("watch", "--interval-ms", 5, "--out", out)

    assert done.returncode == 2
    assert done.stderr == snapshot("""\
error: `--interval-ms 5` is below its limit: 50

hint: drawing more often takes time from the process that trades
""")


@contextlib.contextmanager
def watching(*words, **pipes):
    """`live watch` into pipes."""
    process = subprocess.Popen(
        [*SCALPCLI, "live", "watch", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        **pipes,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_lines_where_there_is_no_terminal(out, running):
    """Snapshots and events as they come, each with the mode it belongs to."""
    with watching("--out", out, "--interval-ms", 50) as process:
        first = json.loads(process.stdout.readline())
        running.tell({"kind": "fill", "ts_ns": NOW_NS})
        event = next(line for line in map(json.loads, process.stdout) if "event" in line)

    assert first == {"mode": "PAPER", "state": live_state()}
    assert event == {"mode": "PAPER", "event": {"kind": "fill", "ts_ns": NOW_NS}}


def test_a_process_that_restarts_is_found_again(out):
    """Another socket, the same run: the lines go on, and stderr says what happened between."""
    folder = out / "paper" / "TSLA" / "2025-11-25"
    with contextlib.ExitStack() as stack:
        before = RunningProcess(folder, live_state(pid=1))
        with before:
            process = stack.enter_context(watching("--out", out, "--interval-ms", 50))
            assert json.loads(process.stdout.readline())["state"]["pid"] == 1
        stack.enter_context(RunningProcess(folder, live_state(pid=2)))
        pids = (line["state"]["pid"] for line in map(json.loads, process.stdout))
        assert next(pid for pid in pids if pid != 1) == 2
        process.kill()
        words = process.stderr.read()

    assert words.splitlines()[0] == "PAPER: the process ended or restarts; looking for it again"


def test_a_process_that_hangs_is_told(out, running):
    """Its connection is open and nothing comes: silence is worth a line."""
    with watching("--out", out, "--interval-ms", 50) as process:
        process.stdout.readline()
        goes_on = running.stall()
        words = process.stderr.readline()
        goes_on.set()

    assert re.fullmatch(r"PAPER: the engine says nothing for \d+ s\n", words)


@pytest.mark.usefixtures("running")
def test_where_signals_are_offered_is_printed_without_the_token(out):
    """What is printed may end in a log; the file is its owner's alone."""
    path = out / "paper" / "TSLA" / "2025-11-25" / ACCESS_FILE
    path.write_text(json.dumps({"url": "ws://127.0.0.1:1/", "token": "x" * 43, "schema_version": 1}))

    done = live("signals", "--out", out)

    assert json.loads(done.stdout) == {"url": "ws://127.0.0.1:1/", "token_file": str(path)}


def test_the_schema_of_signals_is_printed():
    """For whoever writes a front end; no process is needed."""
    done = live("signals", "--schema")

    assert json.loads(done.stdout) == signals_schema()


class Terminal:
    """`live watch` on a terminal of its own.

    Args:
        out: Folder of runs.
        environ: More of the environment.
    """

    def __init__(self, out: Path, **environ: str) -> None:
        self.seen = b""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [*SCALPCLI, "live", "watch", "--out", str(out), "--interval-ms", "50"],
            stdin=side, stdout=side, stderr=side, env=environment(**environ), start_new_session=True,
        )  # fmt: skip
        os.close(side)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._main)

    def read(self) -> bytes:
        """What was written since the last call; does not wait."""
        found = b""
        while select.select([self._main], [], [], 0)[0]:
            try:
                part = os.read(self._main, 1 << 16)
            except OSError:
                break
            if not part:
                break
            found += part
        self.seen += found
        return found

    def read_until(self, word: bytes) -> None:
        """Wait until the terminal got these bytes."""
        until(lambda: self.read() is not None and word in self.seen)

    def be_quiet_for(self, running, snapshots: int) -> None:
        """Wait for so many snapshots in a row during which nothing was written."""
        begin = running.told.served

        def is_quiet() -> bool:
            nonlocal begin
            if self.read():
                begin = running.told.served
            return running.told.served - begin >= snapshots

        until(is_quiet)


def test_a_terminal_gets_no_byte_while_nothing_changes(out, running):
    """Twelve snapshots of the same numbers: not a byte. Then the bid moves: its digit and its mark are written alone."""
    with Terminal(out) as terminal:
        terminal.read_until(SHOWN)
        terminal.be_quiet_for(running, 12)
        before = len(terminal.seen)
        moved = live_state()
        moved["positions"][0]["bid"] = 1.39
        running.told.state_ = moved
        until(lambda: terminal.read() != b"")
        terminal.be_quiet_for(running, 4)

    written = ESCAPES.sub(b"", terminal.seen[before:]).decode()
    assert sorted(written) == sorted("9─◆")


@pytest.mark.usefixtures("running")
def test_no_color_leaves_no_colour(out):
    """Bold and reverse stay: the banner must be one."""
    with Terminal(out, NO_COLOR="1") as terminal:
        terminal.read_until(SHOWN)

        assert COLOURS.findall(terminal.seen) == []
        assert re.search(rb"\x1b\[[0-9;]*7[0-9;]*m PAPER", terminal.seen)


@pytest.mark.usefixtures("running")
def test_colours_where_they_are_wanted(out):
    """Else the test above would hold for a screen that has none."""
    with Terminal(out) as terminal:
        terminal.read_until(SHOWN)

        assert COLOURS.findall(terminal.seen) != []


@pytest.mark.usefixtures("running")
def test_ended_from_outside_it_leaves_the_terminal_as_it_was(out):
    """`live run` ends its screen like that: the other page and the cursor come back."""
    with Terminal(out) as terminal:
        terminal.read_until(SHOWN)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.process.wait(DEADLINE_S)
        terminal.read()

        assert terminal.process.returncode == 0
        assert b"\x1b[?1049l" in terminal.seen


@pytest.mark.usefixtures("running")
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40)])
def test_what_a_terminal_shows_is_the_screen(out, tmp_path, width, height):
    """Captured from tmux, character by character: the snapshots of the view are what a person sees."""
    server = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    words = " ".join([*SCALPCLI, "live", "watch", "--out", str(out)])
    wanted = plain(screen(Watched(live_state()), width, height))
    tmux = {**environment(), "TMUX": ""}

    def capture() -> str:
        done = subprocess.run([*server, "capture-pane", "-p"], capture_output=True, text=True, check=False, env=tmux)
        return done.stdout

    subprocess.run([*server, "new-session", "-d", "-x", str(width), "-y", str(height), words], check=True, env=tmux)
    try:
        with contextlib.suppress(AssertionError):
            until(lambda: capture() == wanted)
        shown = capture()
    finally:
        subprocess.run([*server, "kill-server"], check=False, env=tmux)

    assert shown == wanted
