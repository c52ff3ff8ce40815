"""Options that several commands share, so that all of them spell and explain them alike.

Use them as annotations: `def replay(config: ConfigFiles = None, set_: Overrides = None, …)`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from scalpcli.cli.shell import VERBOSE_KEY


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def _mark_verbose(ctx: typer.Context, value: bool) -> bool:
    if value:
        ctx.meta[VERBOSE_KEY] = True
    return value


ConfigFiles = Annotated[
    list[str] | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings in TOML; repeatable, later files win; - reads stdin"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", metavar="SECTION.KEY=VALUE", help="One setting, like scalp.stop_loss_pct=12; repeatable"
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How data is printed")]
Json = Annotated[bool, typer.Option("--json", help="Short for --format json")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no words and no progress, only data and errors")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print more words, and the traceback of errors", callback=_mark_verbose)
]


def chosen_format(given: Format, json: bool) -> Format:
    """`--format`, unless `--json` was given."""
    return Format.JSON if json else given
