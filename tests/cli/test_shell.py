"""How every command fails: one message, its exit code, no traceback, no key."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from inline_snapshot import snapshot
from typer.testing import CliRunner

import scalpcli
from scalpcli import errors
from scalpcli.cli.options import Verbose
from scalpcli.cli.shell import adopt, help_of, new_app

SOURCE = Path(scalpcli.__file__).resolve().parents[1]
CANARY = "PKCANARY0123456789"


def app_that(fail) -> typer.Typer:
    """An app whose command `do` calls `fail`."""
    app = new_app("Do things", example="scalpcli do")

    @app.callback()
    def root() -> None:
        """Options before the command."""

    @app.command(epilog="Example: scalpcli do")
    def do(verbose: Verbose = False) -> None:
        """Do it."""
        del verbose
        fail()

    return adopt(app)


def run(fail, *words, **environ):
    return CliRunner().invoke(app_that(fail), ["do", *words], env={"SCALPCLI_DEBUG": None, **environ})


def raising(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.ConfigError, 2),
        (errors.CredentialsError, 3),
        (errors.DataError, 4),
        (errors.CheckFailed, 5),
        (errors.UpstreamUnavailable, 6),
        (errors.StoppedByProtection, 7),
        (errors.NotFlat, 8),
        (errors.OutsideSession, 75),
        (errors.Interrupted, 130),
    ],
)
def test_an_expected_failure_prints_its_message_and_leaves_with_its_code(kind, code):
    """The exit code belongs to the error's class; scripts decide by it."""
    done = run(raising(kind("the tape ends early", place="`rows.parquet`", hint="import it again")))

    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr == "error: the tape ends early\n  in `rows.parquet`\n\nhint: import it again\n"


def test_a_fault_of_ours_is_one_line_and_a_hint():
    """A traceback helps only whoever asked for one."""
    done = run(lambda: 1 // 0)

    assert done.exit_code == 1
    assert "Traceback" not in done.output
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: internal error: ZeroDivisionError: ")
    assert lines[1].startswith("  in `test_shell.py`, line ")
    assert lines[3] == snapshot(
        "hint: this is a fault of scalpcli, not of your input; set SCALPCLI_DEBUG=1 for the traceback and report it"
    )


@pytest.mark.parametrize(("words", "environ"), [(["-v"], {}), ([], {"SCALPCLI_DEBUG": "1"})])
@pytest.mark.parametrize("error", [ValueError("odd"), errors.DataError("odd")])
def test_the_traceback_comes_when_asked_for(words, environ, error):
    """-v or SCALPCLI_DEBUG, for our faults and for expected failures."""
    done = run(raising(error), *words, **environ)

    assert "Traceback (most recent call last)" in done.stderr
    assert "error: " in done.stderr


@pytest.mark.parametrize("words", [[], ["-v"]])
def test_no_key_reaches_a_message_or_a_traceback(words):
    """Law 10: a vendor's library may quote the request, key and all."""
    done = run(raising(RuntimeError(f"401 for https://host?token={CANARY}")), *words, ORATS_TOKEN=CANARY)

    assert done.exit_code == 1
    assert CANARY not in done.output
    assert "token=***" in done.stderr


def test_a_path_that_cannot_be_used_is_not_called_our_fault(tmp_path):
    """A full or missing disk is the system's answer, told in its words."""
    missing = tmp_path / "absent" / "x"

    done = run(lambda: missing.write_text("x", encoding="utf-8"))

    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: no such file or directory: `{missing}`\n")
    assert "fault of scalpcli" not in done.stderr


def test_control_characters_of_damaged_input_do_not_reach_the_terminal():
    """A symbol read from a broken file may hold an escape sequence."""
    done = run(raising(errors.DataError("unknown symbol `\x1b[2J`")))

    assert "\x1b" not in done.stderr
    assert "unknown symbol `\\x1b[2J`" in done.stderr


def test_an_interrupt_leaves_with_130():
    """Ctrl-C is an answer, not a fault."""
    done = run(raising(KeyboardInterrupt()))

    assert done.exit_code == 130
    assert done.stderr == "interrupted\n"


def test_a_reader_that_left_is_no_fault():
    """`scalpcli tape head … | head -1` must not end in a traceback."""
    done = run(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))

    assert done.exit_code == 141
    assert done.stderr == ""


@pytest.mark.parametrize("characters", [10, 100_000])
def test_a_closed_pipe_stays_quiet_to_the_end(characters):
    """Little output fails when it is flushed, much when it is written; the interpreter's last flush finds no pipe."""
    code = (
        "import sys; from scalpcli.cli.shell import adopt, new_app\n"
        "app = new_app('Do things', example='scalpcli do')\n"
        "app.callback()(lambda: None)\n"
        f"app.command(name='do')(lambda: print('x' * {characters}))\n"
        "sys.argv = ['scalpcli', 'do']; adopt(app)()\n"
    )
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": ""},
    )
    os.close(writing)

    assert done.stderr == ""
    assert done.returncode == 141


def test_what_a_command_returns_is_no_exit_code():
    """Only errors decide on exit codes."""
    done = run(lambda: 7)

    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["doo"], "no such command 'doo'. Did you mean 'do'?"),
        (["do", "--fast"], "no such option: --fast"),
        (["do", "extra"], "got unexpected extra argument(s) (extra)"),
    ],
)
def test_a_wrong_command_line_reads_like_every_other_error(line, found):
    """Found, place, hint; exit 2."""
    done = CliRunner().invoke(app_that(lambda: None), line, prog_name="scalpcli")

    command = "scalpcli do" if line[0] == "do" else "scalpcli"
    assert done.exit_code == 2
    assert done.stderr == (f"error: {found}\n  in `{command}`\n\nhint: `{command} --help` shows what it takes\n")


def test_a_docstring_becomes_help_without_what_developers_need():
    """Arguments and errors are documented twice otherwise, once in the wrong words."""

    def command():
        """Import ticks.

        Maps columns to rows.

        Args:
            out: Where to.

        Raises:
            DataError: Nothing there.
        """

    assert help_of(command) == "Import ticks\n\nMaps columns to rows."
