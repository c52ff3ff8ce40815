"""The command line: each command parses, wires, runs and prints, in a file of its own.

Nothing heavy is imported here or at the top of a command's file, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from scalpcli import __version__
from scalpcli.cli import config, doctor, exchange, live, optimize, record, rehearse, replay, report, scan, tape
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


app.command("replay", epilog=f"Example: {replay.EXAMPLE}")(replay.replay)
app.command("report", epilog=f"Example: {report.EXAMPLE}")(report.report)
app.command("exchange", epilog=f"Example: {exchange.EXAMPLE}")(exchange.exchange)
app.command("rehearse", epilog=f"Example: {rehearse.EXAMPLE}")(rehearse.rehearse)
app.command("doctor", epilog=f"Example: {doctor.EXAMPLE}")(doctor.doctor)
app.add_typer(record.app, name="record")
app.add_typer(live.app, name="live")
app.command("scan-options", epilog=f"Example: {scan.EXAMPLE}")(scan.scan_options)
app.add_typer(optimize.app, name="optimize")
app.add_typer(tape.app, name="tape")
app.add_typer(config.app, name="config")
adopt(app)


def main() -> None:
    """The `scalpcli` command."""
    app()
