"""Plain conversion of flags agrees with typer's own."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
import typer.main
from typer.testing import CliRunner

import scalpcli
from scalpcli.cli.shell import adopt


class Word(StrEnum):
    FAIL = "fail"
    FLATTEN = "flatten"


def app_with(seen: list, *, is_plain: bool) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)

    @app.callback()
    def root() -> None:
        """Options before the command."""

    @app.command()
    def do(
        tapes: Annotated[list[Path], typer.Argument()],
        jobs: Annotated[int, typer.Option(min=1, max=8)] = 2,
        latency: Annotated[float | None, typer.Option(min=0)] = None,
        word: Annotated[Word, typer.Option()] = Word.FLATTEN,
        loose: Annotated[Word, typer.Option(case_sensitive=False)] = Word.FLATTEN,
        out: Path = Path("runs"),
        name: str = "x",
        param: Annotated[list[str] | None, typer.Option("-p")] = None,
        strict: bool = False,
        quiet: Annotated[bool, typer.Option("-q")] = False,
    ) -> None:
        """Do it."""
        seen.append((tapes, jobs, latency, word, loose, out, name, param, strict, quiet))

    return adopt(app) if is_plain else app


LINES = [
    "a",
    "a b c",
    "a --jobs 8 --latency 0.5 --word fail --out there --name y -p k=1 -p l=2 --strict -q",
    "a --no-strict --loose FAIL",
    "a --latency 3",
    "",
    "a --jobs 9",
    "a --jobs 0",
    "a --jobs two",
    "a --jobs 2.5",
    "a --latency -1",
    "a --latency x",
    "a --word FAIL",
    "a --word fall",
    "a --jobs",
]


@pytest.mark.parametrize("line", LINES)
def test_plain_conversion_takes_and_refuses_what_typer_does(line):
    """The same values, of the same types, or exit 2 from both."""
    plain, own = [], []

    done = CliRunner().invoke(app_with(plain, is_plain=True), ["do", *line.split()])
    reference = CliRunner().invoke(app_with(own, is_plain=False), ["do", *line.split()])

    assert done.exit_code == reference.exit_code
    assert plain == own
    assert [[type(value) for value in values] for values in plain] == [
        [type(value) for value in values] for values in own
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_flag_is_a_finite_number(text):
    """Typer would let `nan` through any bound."""
    done = CliRunner().invoke(app_with([], is_plain=True), ["do", "a", f"--latency={text}"])

    assert done.exit_code == 2
    assert f"'{text}' is not a finite number" in done.stderr


def test_a_command_converts_its_flags_without_pydantic():
    """Its import would cost 0.1 s of every command."""
    code = (
        "import atexit, sys\n"
        "sys.argv = ['scalpcli', 'config', 'check', '-q']\n"
        "atexit.register(lambda: print('pydantic' in sys.modules, 'scalpcli.config' in sys.modules))\n"
        "from scalpcli.cli import app\n"
        "app()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(scalpcli.__file__).resolve().parents[1],
        env={"PATH": ""},
    )

    assert done.stdout.split() == ["False", "True"]
