"""Shows what searches found: `optimize list`, `show`, `compare`, `ledger` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.options import Format, FormatOption, Json, Quiet, Verbose, chosen_format
from scalpcli.errors import DataError

if TYPE_CHECKING:
    from scalpcli.optimize.store import SearchFolder

Out = Annotated[Path, typer.Option(help="Folder of searches and their ledger")]
SearchArgument = Annotated[
    Path | None, typer.Argument(metavar="SEARCH", help="Folder of a search  [default: the latest]", show_default=False)
]
_FOLDER = Path("optimizations")
_SHOWN = {
    "trades": "closed trades of it",
    "net_pnl_usd": "net of it, USD, after fees",
    "expectancy_usd": "net a trade",
    "sharpe_days": "of its sessions, not annualised",
    "psr": "chance of skill, were it the only try",
    "dsr": "chance of skill, the best of all tries",
    "sharpe_of_luck": "best Sharpe of that many without skill",
    "trials": "settings ever tried on these tapes",
    "pbo": "chance that choosing the best is overfit",
    "pbo_loss": "chance that the choice loses afterwards",
    "plateau": "its neighbours' objective over its own",
    "oos_trades": "walk-forward: trades",
    "oos_net_pnl_usd": "walk-forward: net, USD",
    "oos_expectancy_usd": "walk-forward: net a trade",
    "oos_sharpe_days": "walk-forward: of its sessions",
    "oos_ratio": "walk-forward: net a session, judged / chosen",
    "null_p": "chance that a random trader does as well",
    "profitable_pct": "of all settings tried, percent",
}
"""Figures of a verdict that people are shown, in few words; the formulas stand in `optimize/judge.py`."""


def _chosen(search: Path | None, out: Path) -> SearchFolder:
    """The search named, or the latest.

    Raises:
        DataError: there is none.
    """
    from scalpcli.optimize.store import SearchFolder, find_searches

    if search is not None:
        return SearchFolder(search if search.exists() else out / search)
    found = find_searches(out)
    if not found:
        raise DataError(
            "there are no searches", place=f"`{out}`", hint="`scalpcli optimize --help` shows how to make one"
        )
    return found[-1]


def _result(folder: SearchFolder) -> dict[str, Any]:
    folder.plan()
    result = folder.result()
    if result is None:
        hint = f"go on with `scalpcli optimize run --resume {folder.path}`"
        raise DataError("this search is not done", place=f"`{folder.path}`", hint=hint)
    return result


def print_result(result: dict[str, Any], folder: SearchFolder, top: int, form: Format, *, quiet: bool) -> None:
    """Print what came of a search: the verdict, the distribution, the best settings."""
    from scalpcli.cli.output import Column, emit, emit_object, say

    if result["synthetic"]:
        say("SYNTHETIC: at least one tape was made up", quiet=quiet)
    if form is Format.JSON:
        emit_object(result | {"path": str(folder.path)}, form)
        return
    if form is not Format.TABLE:
        emit(result["settings"], form)
        return
    _print_verdict(result)
    emit(result["distribution"], form, title="All settings tried, percentiles")
    if result["windows"]:
        emit(
            [
                {
                    "chosen on": " - ".join(window["train"]),
                    "judged on": " - ".join(window["test"]),
                    "choice": _words(window["best"]),
                    "net_pnl_usd": window["net_pnl_usd"],
                }
                for window in result["windows"]
            ],
            form,
            columns=[Column("chosen on"), Column("judged on"), Column("choice"), Column("net_pnl_usd", digits=2)],
            title="Walk-forward",
        )
    rows = [
        {"rank": row["rank"], "setting": _words({key: row[key] for key in result["best"] or _keys(row)})} | row
        for row in result["settings"][:top]
    ]
    columns = [Column("rank"), Column("setting"), Column("objective"), Column("trades", digits=0),
               Column("net_pnl_usd", digits=2), Column("sharpe_days")]  # fmt: skip
    emit(rows, form, columns=columns, title="Best settings")
    say(f"kept in {folder.path}", quiet=quiet)


def _keys(row: dict[str, Any]) -> list[str]:
    return [name for name in row if "." in name]


def _words(values: dict[str, Any] | None) -> str:
    if values is None:
        return "none allowed"
    return ", ".join(f"{key.split('.')[1]} {value:g}" if isinstance(value, float) else f"{key.split('.')[1]} {value}"
                     for key, value in values.items())  # fmt: skip


def _print_verdict(result: dict[str, Any]) -> None:
    from scalpcli.cli.output import Column, emit

    verdict = result["verdict"]
    rows = [
        {"figure": name, "value": Column(name).text(verdict.get(name)), "what it is": words}
        for name, words in _SHOWN.items()
        if verdict.get(name) is not None or name in ("dsr", "pbo")
    ]
    if result["sessions_sealed"]:
        words = f"opened {result['holdout_openings']} times; `optimize show --open-holdout` opens it"
        rows.append({"figure": "holdout", "value": str(result["sessions_sealed"]), "what it is": f"sessions, {words}"})
    title = f"Best by {result['objective']}: {_words(result['best'])}"
    emit(rows, Format.TABLE, columns=[Column("figure"), Column("value", right=True), Column("what it is")], title=title)


def list_(out: Out = _FOLDER, form: FormatOption = Format.TABLE, json: Json = False, verbose: Verbose = False) -> None:
    """List searches, the oldest first."""
    from scalpcli.cli.output import Column, emit
    from scalpcli.optimize.store import find_searches

    del verbose
    rows = []
    for folder in find_searches(out):
        plan, result = folder.plan(), folder.result()
        row = {
            "search": folder.path.name,
            "method": plan["method"],
            "sessions": len(plan["tapes"]),
            "objective": plan["objective"],
            "done": result is not None,
        }
        verdict = result["verdict"] if result else {}
        rows.append(row | {name: verdict.get(name) for name in ("trials", "net_pnl_usd", "dsr", "pbo")})
    # What fits into 80 columns; the other formats print all of it.
    columns = [
        Column("search", whole=True),
        Column("method", whole=True),
        Column("sessions"),
        Column("done", whole=True),
        Column("trials"),
        Column("net_pnl_usd", title="net USD", digits=0),
        Column("dsr", digits=2),
        Column("pbo", digits=2),
    ]
    emit(rows, chosen_format(form, json), columns=columns)


def show(
    search: SearchArgument = None,
    out: Out = _FOLDER,
    top: Annotated[int, typer.Option(min=0, help="Settings shown, the best first")] = 10,
    open_holdout: Annotated[
        bool, typer.Option("--open-holdout", help="Play the choice on the sealed sessions; the ledger keeps that")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one self-contained page with heat maps there instead")
    ] = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what a search found."""
    del verbose
    folder = _chosen(search, out)
    result = _result(folder)
    if open_holdout:
        result["holdout"] = _open(folder, result)
        result["holdout_openings"] = result["holdout"]["openings"]
        folder.write_result(result)
    if html is not None:
        from scalpcli.cli.output import say
        from scalpcli.optimize.page import page
        from scalpcli.runtime.run_folder import replace_file

        text = page(result, _SHOWN)
        replace_file(html, lambda path: path.write_text(text, encoding="utf-8"))
        say(f"wrote {html}", quiet=quiet)
        return
    print_result(result, folder, top, chosen_format(form, json), quiet=quiet)
    if result.get("holdout") and chosen_format(form, json) is Format.TABLE:
        from scalpcli.cli.output import emit_object

        emit_object(result["holdout"], Format.TABLE, title="Holdout")


def _open(folder: SearchFolder, result: dict[str, Any]) -> dict[str, Any]:
    """Play the choice on the sealed sessions, after the ledger knows of it."""
    from scalpcli.cli.optimize_plan import read_plan
    from scalpcli.optimize.folds import split_holdout
    from scalpcli.optimize.ledger import LEDGER, Ledger
    from scalpcli.optimize.scores import FIGURES, figures
    from scalpcli.optimize.search import known
    from scalpcli.optimize.work import Unit, do_unit

    plan = read_plan(folder.plan())
    _, sealed = split_holdout(len(plan.tapes), plan.holdout_pct)
    if not sealed or result["best"] is None:
        raise DataError(
            "there is nothing to open", place=f"`{folder.path}`", hint="a holdout is made by `--holdout 20%`"
        )
    import numpy as np

    ledger = Ledger(folder.path.parent / LEDGER)
    digests = [plan.tapes[number].digest for number in sealed]
    ledger.add_opening(folder.path.name, digests, result["config_digest"])
    row = tuple(result["best"][key] for key in plan.space.keys)
    sums = [
        do_unit(Unit(0, plan.tapes[number].path, plan.params, plan.space.keys, (row,), plan.blackouts))[1]
        for number in sealed
    ]
    columns = figures(np.concatenate(sums)[None])
    return {"openings": ledger.openings(digests)} | {name: known(float(columns[name][0])) for name in FIGURES}


def compare(
    searches: Annotated[list[Path], typer.Argument(metavar="SEARCH...", help="Folders of searches")],
    out: Out = _FOLDER,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show the verdicts of several searches side by side."""
    from scalpcli.cli.output import emit
    from scalpcli.optimize.judge import VERDICT

    del verbose
    results = [_result(_chosen(search, out)) for search in searches]
    names = [f"{number}: {result['search']}" for number, result in enumerate(results, start=1)]
    rows: list[dict[str, Any]] = [
        {"figure": "best setting"} | {name: _words(each["best"]) for name, each in zip(names, results, strict=True)}
    ]
    rows += [
        {"figure": figure} | {name: each["verdict"].get(figure) for name, each in zip(names, results, strict=True)}
        for figure in VERDICT
    ]
    emit(rows, chosen_format(form, json))


def ledger(
    tapes: Annotated[list[str] | None, typer.Argument(help="Only what was tried on these tapes")] = None,
    out: Out = _FOLDER,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show how many settings were ever tried, and every opening of a holdout.

    With tapes, the count for this data set: what `trials` of a verdict is.
    """
    from scalpcli.cli.optimize_plan import tapes_of
    from scalpcli.cli.output import emit, emit_object
    from scalpcli.optimize.ledger import LEDGER, Ledger

    del verbose
    kept = Ledger(out / LEDGER)
    chosen = chosen_format(form, json)
    if tapes:
        digests = [manifest.rows_digest for _, manifest in tapes_of(tapes, ("", "", ""))]
        words = {"sessions": len(digests), "settings_tried": len(kept.settings_tried(digests))}
        emit_object(words | {"holdout_openings": kept.openings(digests)}, chosen)
        return
    emit(
        [
            {
                "created_utc": record["created_utc"],
                "kind": record["kind"],
                "search": record["search"],
                "sessions": len(record["tapes"]),
                "new_settings": len(record["settings"]),
            }
            for record in kept.records()
        ],
        chosen,
    )


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML to write")],
    search: Annotated[
        Path | None, typer.Option(metavar="SEARCH", help="Folder of a search  [default: the latest]")
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Which of its settings, 1 the best")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where there is one")] = False,
    out: Out = _FOLDER,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write one of a search's settings as TOML, with where it comes from."""
    from scalpcli.cli.optimize_export import config_text
    from scalpcli.cli.output import say
    from scalpcli.errors import UsageError
    from scalpcli.runtime.run_folder import replace_file

    del verbose
    folder = _chosen(search, out)
    result = _result(folder)
    if rank > len(result["settings"]):
        raise UsageError(f"it has {len(result['settings'])} settings", place="`--rank`", hint="choose a lower rank")
    if file.exists() and not overwrite:
        raise UsageError("the file exists", place=f"`{file}`", hint="replace it with --overwrite")
    text = config_text(folder, result, rank)
    replace_file(file, lambda path: path.write_text(text, encoding="utf-8"))
    say(f"wrote rank {rank} of {result['search']} to {file}", quiet=quiet)
