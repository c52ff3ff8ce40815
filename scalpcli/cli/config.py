"""`scalpcli config`: write, show and check settings."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.options import ConfigFiles, Format, Json, Overrides, Quiet, Verbose
from scalpcli.cli.shell import new_app
from scalpcli.errors import UsageError

if TYPE_CHECKING:
    from scalpcli.config import Loaded

app = new_app(
    "Write, show and check settings",
    example="scalpcli config show -p scalp.stop_loss_pct=12",
)


class ShowFormat(StrEnum):
    """How settings are printed; `toml` can be read back with `-c`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TOML = "toml"


@app.command(epilog="Example: scalpcli config init my.toml")
def init(
    path: Annotated[str, typer.Argument(help="File to write; - prints to stdout")] = "config.toml",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a commented settings file with the defaults."""
    from scalpcli.cli.output import say
    from scalpcli.config_toml import STDIN, example_text

    del verbose
    text = example_text()
    if path == STDIN:
        sys.stdout.write(text)
        return
    target = Path(path)
    try:
        with target.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            f"`{path}` exists already", place="`scalpcli config init`", hint="name another file, or add --force"
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot write `{path}`: {(error.strerror or str(error)).lower()}",
            place="`scalpcli config init`",
            hint="name a file in a folder that exists and may be written",
        ) from None
    say(f"wrote {path}; keep what you change, then use it with -c {path}", quiet=quiet)


@app.command(epilog="Example: scalpcli config show --format json -p risk.contracts_max=10")
def show(
    config: ConfigFiles = None,
    param: Overrides = None,
    form: Annotated[ShowFormat, typer.Option("--format", help="How settings are printed")] = ShowFormat.TABLE,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show every setting and where it comes from.

    Of keys to accounts it shows only whether they are set.
    """
    from scalpcli.cli.output import Column, emit
    from scalpcli.config import load
    from scalpcli.config_secrets import SECRET_NAMES, read_secrets

    del verbose
    loaded = load(config, param)
    secrets = read_secrets(os.environ)
    secret_rows = [
        {
            "setting": name,
            "value": "set" if name in secrets else "unset",
            "origin": secrets[name].origin if name in secrets else "",
        }
        for name in SECRET_NAMES
    ]
    if form is ShowFormat.TOML and not json:
        sys.stdout.write(_as_toml(loaded, secret_rows))
        return
    rows = _rows(loaded)
    chosen = Format.JSON if json else Format(form.value)
    if chosen is Format.TABLE:
        from scalpcli.config_fields import to_toml

        rows = [{**row, "value": to_toml(row["value"])} for row in rows]
    emit([*rows, *secret_rows], chosen, columns=[Column("setting", whole=True), Column("value"), Column("origin")])


def _rows(loaded: Loaded) -> list[dict[str, Any]]:
    from scalpcli.config_fields import settings

    return [
        {
            "setting": key,
            "value": getattr(getattr(loaded.params, setting.section), setting.name),
            "origin": loaded.origin[key],
        }
        for key, setting in settings().items()
    ]


def _as_toml(loaded: Loaded, secret_rows: list[dict[str, str]]) -> str:
    from scalpcli.config_fields import to_toml

    lines = []
    section = ""
    for row in _rows(loaded):
        home, name = row["setting"].split(".")
        if home != section:
            lines += ["", f"[{home}]"]
            section = home
        lines.append(f"{name} = {to_toml(row['value'])}  # {row['origin']}")
    lines.append("")
    lines += [f"# {row['setting']} is {row['value']}" for row in secret_rows]
    return "\n".join(lines[1:]) + "\n"


@app.command(epilog="Example: scalpcli config check -p scalp.stop_loss_pct=12")
def check(
    config: ConfigFiles = None,
    param: Overrides = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check settings and tell everything that is wrong.

    Leaves with 0 when all settings are right and with 2 when any is wrong.
    """
    from scalpcli.cli.output import say
    from scalpcli.config import load

    del verbose
    loaded = load(config, param)
    changed = sum(origin != "default" for origin in loaded.origin.values())
    words = f"{len(loaded.origin)} settings are right, {changed} of them set"
    if loaded.blackouts:
        words += f", {len(loaded.blackouts)} blackout windows"
    say(words, quiet=quiet)
