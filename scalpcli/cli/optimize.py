"""`scalpcli optimize`: searches settings on tapes and says whether what it found is more than luck."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scalpcli.cli import optimize_show
from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Quiet, Verbose, chosen_format
from scalpcli.cli.shell import new_app

EXAMPLE = (
    "scalpcli optimize run examples/tapes --param momentum_threshold_pct=0.2:0.6:0.1"
    " --param stop_loss_pct=10:20:5 --accept-if 'dsr>0.95 and pbo<0.2'"
)

app = new_app("Search settings on tapes, and say whether what was found is more than luck", example=EXAMPLE)
app.command("list", epilog="Example: scalpcli optimize list")(optimize_show.list_)
app.command("show", epilog="Example: scalpcli optimize show --top 20")(optimize_show.show)
app.command("compare", epilog="Example: scalpcli optimize compare SEARCH SEARCH")(optimize_show.compare)
app.command("ledger", epilog="Example: scalpcli optimize ledger examples/tapes")(optimize_show.ledger)
app.command("export", epilog="Example: scalpcli optimize export best.toml")(optimize_show.export)


class Method(StrEnum):
    """How settings are proposed."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"


class Executor(StrEnum):
    """Who does the work."""

    LOCAL = "local"
    DASK = "dask"


@app.command("run", epilog=f"Example: {EXAMPLE}")
def run(
    ctx: typer.Context,
    tapes: Annotated[
        list[str] | None,
        typer.Argument(help="Tapes, or folders of tapes; also remote, like s3://bucket/tapes", show_default=False),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="KEY=LOW:HIGH:STEP",
            help="A setting to search: LOW:HIGH:STEP, LOW:HIGH or A,B,C; with one value, to set; repeatable",
        ),
    ] = None,
    space: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings to search, in TOML")] = None,
    config: ConfigFiles = None,
    symbol: Annotated[str, typer.Option(help="Only tapes of this underlying")] = "",
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First session, YYYY-MM-DD")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last session, YYYY-MM-DD")] = "",
    method: Annotated[Method, typer.Option(help="How settings are proposed")] = Method.GRID,
    trials: Annotated[int, typer.Option(min=1, help="Settings to propose; a grid takes all of its own")] = 100,
    objective: Annotated[
        str,
        typer.Option(metavar="NAME|FILE:FUNCTION", help="What to make large: expectancy, sharpe, profit_factor"),
    ] = "expectancy",
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMPARISON", help="What a setting must meet to be chosen, like 'trades>=100'; repeatable"
        ),
    ] = None,
    walk_forward: Annotated[
        str, typer.Option(metavar="TRAIN:TEST:STEP", help="Choose on sessions, judge on the next, like 20d:5d:5d")
    ] = "",
    purge: Annotated[str, typer.Option(metavar="DAYS", help="Sessions left out before those judged on")] = "0d",
    embargo: Annotated[str, typer.Option(metavar="DAYS", help="Sessions left out after those judged on")] = "0d",
    holdout: Annotated[str, typer.Option(metavar="PERCENT", help="Last sessions that are sealed, like 20%")] = "0%",
    null_traders: Annotated[int, typer.Option(min=0, help="Random traders the choice is held against; 0 = none")] = 0,
    accept_if: Annotated[
        str, typer.Option(metavar="CONDITION", help="Exit 5 unless it holds, like 'dsr>0.95 and pbo<0.2'")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Source of all chance")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes")] = 1,
    executor: Annotated[Executor, typer.Option(help="Who does the work")] = Executor.LOCAL,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="Of the Dask scheduler")] = "",
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say how long it would take")] = False,
    resume: Annotated[
        Path | None, typer.Option(metavar="SEARCH", help="Go on with a search that was broken off; all else is its own")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that receives searches and their ledger")] = Path("optimizations"),
    top: Annotated[int, typer.Option(min=0, help="Settings shown, the best first")] = 5,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Try settings on tapes, choose the best, and judge what was chosen.

    Replays each session once for many settings. Every setting ever tried on these tapes is counted in a ledger,
    and the choice is held against what so many tries show by luck alone. Exit 5 when --accept-if does not hold.
    """
    del verbose
    from scalpcli.cli.optimize_run import Asked, run_search

    if not tapes and resume is None:
        raise typer.BadParameter("name at least one tape", ctx=ctx, param_hint="TAPES")
    asked = Asked(
        tapes=tapes or [],
        which=(symbol, first, last),
        params=param or [],
        space=space,
        config=config or [],
        method=method.value,
        trials=trials,
        objective=objective,
        constraints=constraint or [],
        walk_forward=walk_forward,
        purge=purge,
        embargo=embargo,
        holdout=holdout,
        seed=seed,
    )
    run_search(
        asked,
        resume,
        out,
        jobs=jobs,
        scheduler=scheduler if executor is Executor.DASK else None,
        accept_if=accept_if,
        null_traders=null_traders,
        is_estimate=estimate,
        top=top,
        form=chosen_format(form, json),
        quiet=quiet,
    )
