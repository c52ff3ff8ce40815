"""The command line: each command parses, wires, runs and prints, in a file of its own.

Nothing heavy is imported here or at the top of a command's file, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from scalpcli import __version__
from scalpcli.cli import config
from scalpcli.cli import replay as replay_command
from scalpcli.cli.shell import adopt, new_app

__all__ = ["app", "main"]

app = new_app(
    "Record, replay and trade momentum scalps in options that expire today",
    example="scalpcli config init my.toml",
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"scalpcli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options before the command."""
    del version


app.command("replay", epilog=f"Example: {replay_command.EXAMPLE}")(replay_command.replay)
app.add_typer(config.app, name="config")
adopt(app)


def main() -> None:
    """The `scalpcli` command."""
    app()
