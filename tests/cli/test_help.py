"""`--help`: fast, light, and ending with a line to paste."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import typer.main
from typer.testing import CliRunner

import scalpcli
from scalpcli.cli import app

HEAVY = (
    "numba", "llvmlite", "polars", "numpy", "pandas", "alpaca", "httpx", "websockets", "pydantic", "rich.console",
    "textual",
)  # fmt: skip
"""Modules that no help may load; each costs between 0.05 and 0.9 seconds."""
ROOT = typer.main.get_command(app)
SOURCE = Path(scalpcli.__file__).resolve().parents[1]


def commands(command=ROOT, path=()) -> list[tuple[str, ...]]:
    """Every command and group, as words after `scalpcli`."""
    found = [path]
    for name, child in getattr(command, "commands", {}).items():
        found += commands(child, (*path, name))
    return found


def run(*words, **environ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environ},
    )


def help_of(path) -> str:
    done = CliRunner().invoke(app, [*path, "--help"], prog_name="scalpcli")
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("path", commands(), ids=lambda path: " ".join(path) or "scalpcli")
def test_help_ends_with_a_command_line_that_parses(path):
    """The last line can be pasted: it names a command that exists, its flags exist, nothing it needs is missing."""
    last = help_of(path).rstrip().splitlines()[-1]

    assert last.startswith("Example: scalpcli ")
    command, name = ROOT, "scalpcli"
    context = typer.Context(command, info_name=name)
    words = shlex.split(last.removeprefix("Example: scalpcli "))
    while words and words[0] in getattr(command, "commands", {}):
        name = words.pop(0)
        command = command.commands[name]
        context = typer.Context(command, info_name=name, parent=context)
    # `record` is a group that does something by itself.
    stops_at_group = getattr(command, "commands", {}) and not command.invoke_without_command
    assert not stops_at_group, "the example stops at a group"
    options, rest, _ = command.make_parser(context).parse_args(args=words)
    assert rest == []
    missing = [param.name for param in command.params if param.required and options.get(param.name) in (None, ())]
    assert missing == []


@pytest.mark.parametrize("path", commands(), ids=lambda path: " ".join(path) or "scalpcli")
def test_help_says_what_a_command_does_in_one_line(path):
    """The first words start with a capital verb and end without a period; developers' sections stay out."""
    text = help_of(path)

    first = text.splitlines()[2].strip()
    assert first[0].isupper()
    assert not first.endswith(".")
    for heading in ("Args:", "Raises:", "Returns:"):
        assert heading not in text


@pytest.mark.parametrize("path", [(), ("config",), ("config", "show")], ids=lambda path: " ".join(path) or "scalpcli")
def test_help_loads_nothing_heavy(path):
    """`--help` must answer before a person wonders; what it loads decides that."""
    code = (
        "import atexit, sys\n"
        f"sys.argv = ['scalpcli', *{list(path)!r}, '--help']\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from scalpcli.cli import app\n"
        "app()\n"
    )

    done = run("-c", code)

    loaded = done.stderr.split()
    assert done.returncode == 0
    assert "Example: scalpcli" in done.stdout
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_python_dash_m_is_the_same_command():
    """Where the script is not on the path, the module is; names in its help stay the script's."""
    done = run("-m", "scalpcli", "--help")

    assert done.returncode == 0
    assert done.stdout.startswith("Usage: scalpcli [OPTIONS] COMMAND")


def test_the_version_is_the_packages():
    """One place knows the version."""
    done = CliRunner().invoke(app, ["--version"])

    assert done.stdout == f"scalpcli {scalpcli.__version__}\n"
    assert done.exit_code == 0


def test_no_command_shows_help_and_is_no_success():
    """A script that forgot its command must notice; a person wants the list."""
    done = CliRunner().invoke(app, [])

    assert done.exit_code == 2
    assert "Commands:" in done.stderr
    assert done.stdout == ""
