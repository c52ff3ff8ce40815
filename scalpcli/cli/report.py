"""`scalpcli report`: what runs truly did, from their journals, and how sure that is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scalpcli.cli.alpaca_access import Rehearse
from scalpcli.cli.options import Format, Json, Quiet, Verbose
from scalpcli.cli.report_print import ReportFormat

if TYPE_CHECKING:
    from scalpcli.report.load import Results
    from scalpcli.report.view import View

EXAMPLE = "scalpcli report runs --require 'win_rate>=55' --require 'trades>=30'"
_WORDS: Final = ("trade", "tag", "note")
"""First words that ask for something else than the report of runs."""


class GroupKey(StrEnum):
    """What trades can be grouped by."""

    DAY = "day"
    HOUR = "hour"
    TRIGGER = "trigger"
    DTE = "dte"
    SIDE = "side"
    CONTRACT = "contract"
    EXIT_REASON = "exit-reason"
    SPREAD_BUCKET = "spread-bucket"
    CONFIDENCE = "confidence"
    STRATEGY = "strategy"
    TAG = "tag"
    SYMBOL = "symbol"


class Against(StrEnum):
    """Whose books a run is held against."""

    BROKER = "broker"


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Run folders, folders that hold runs, or globs of either  [default: the latest run in runs]",
            show_default=False,
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="COMPARISON",
            help="Leave with 5 when a figure falls short, like 'win_rate>=55'; repeatable",
        ),
    ] = None,
    timerange: Annotated[
        str,
        typer.Option(
            "--timerange", metavar="DAYS", help="Only these sessions, like 2026-11-20 or 2026-11-01..2026-11-30"
        ),
    ] = "",
    trades: Annotated[bool, typer.Option("--trades", help="List the trades instead of the report")] = False,
    group_by: Annotated[GroupKey | None, typer.Option("--group-by", help="Pool the trades by this")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Hold the second of two RUNs against the first, with the interval")
    ] = False,
    execution: Annotated[
        bool, typer.Option("--execution", help="Slippage, fills, latency, mark-outs from 100 ms to 5 min")
    ] = False,
    decay: Annotated[bool, typer.Option("--decay", help="How fast the price goes after a signal")] = False,
    attribution: Annotated[
        bool, typer.Option("--attribution", help="Each result by delta, gamma, theta, vega, spread and fees")
    ] = False,
    funnel: Annotated[
        bool, typer.Option("--funnel", help="Triggers to trades by hour and gate, and what missed ones would have made")
    ] = False,
    fees: Annotated[bool, typer.Option("--fees", help="Fees by session and kind, recomputed from the fills")] = False,
    tax: Annotated[
        bool, typer.Option("--tax", help="Trade list for the broker's or tax adviser's spreadsheet")
    ] = False,
    parity: Annotated[
        bool,
        typer.Option(
            "--parity",
            help="Decisions of one of two RUNs that the other lacks; of one live RUN, how it differs from simulated",
        ),
    ] = False,
    null: Annotated[
        int, typer.Option("--null", metavar="N", min=0, max=1_000_000, help="Beat N random traders? Replays the tapes")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random traders")] = 0,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Replay at 0 to 1,000 ms and 0 to 2 ticks worse: the break-even curve")
    ] = False,
    reconcile: Annotated[
        Against | None, typer.Option("--reconcile", help="Hold fills, fees and positions against the account's")
    ] = None,
    rehearse: Rehearse = "",
    latencies: Annotated[
        Path | None,
        typer.Option(
            "--latencies", metavar="FILE", help="Write the orders' latencies for simulated_broker.latency_file"
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", min=0, help="Settings tried before these, for the deflated Sharpe; 0 = as seen")
    ] = 0,
    list_figures: Annotated[
        bool, typer.Option("--list-figures", help="List the figures --require knows, with their formulas")
    ] = False,
    form: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="How data is printed; rows are runs  [default: table, or by --out]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write there; .html is one self-contained page")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what runs did and how sure that is: trades, statistics, slippage, the funnel, the quality of their data.

    Reads journals and, where they are still there, tapes. Unknown figures print as - and are null in JSON.

    `report trade NUMBER [RUN]` draws one trade; `report tag RUN NUMBER WORD…` and `report note RUN NUMBER WORD…`
    keep your words beside the run.
    """
    from scalpcli.cli.report_print import chosen_form, print_report, print_view
    from scalpcli.report.require import enforce, parse_requirement

    del verbose
    chosen = chosen_form(form, json, out)
    requirements = require or []
    for text in requirements:
        parse_requirement(text)
    if list_figures:
        _print_figures(chosen)
        return
    if runs and runs[0] in _WORDS:
        _about_one_trade(runs, chosen, quiet=quiet)
        return
    from scalpcli.cli.report_live import live_view, prove_all, write_measured
    from scalpcli.report.figures import REPLAYED
    from scalpcli.report.notices import notices
    from scalpcli.report.summary import bounds, figures

    asked = {
        "trades": trades, "fees": fees, "tax": tax, "execution": execution, "decay": decay,
        "attribution": attribution, "funnel": funnel, "sensitivity": sensitivity, "null": null > 0,
        "reconcile": reconcile is not None, "compare": compare, "parity": parity,
    }  # fmt: skip
    chosen_view = _only([*(name for name, is_asked in asked.items() if is_asked), *(["group-by"] if group_by else [])])
    is_pair = compare or (parity and len(runs or []) > 1)
    results = _read(runs or [], timerange, is_pair=is_pair)
    view, differences = None, None
    if latencies is not None:
        write_measured(results, latencies, quiet=quiet)
    if is_pair:
        view = _pair_view(runs or [], timerange, compare=compare)
    elif chosen_view == "parity":
        view = live_view(results, quiet=quiet)
    elif chosen_view == "null":
        from scalpcli.cli.report_replays import null_view

        view = null_view(results, null, seed, quiet=quiet)
    elif chosen_view == "reconcile":
        from scalpcli.cli.report_broker import reconciled

        view, differences = reconciled(results, rehearse)
    elif chosen_view:
        view = _made(chosen_view, results, group_by, quiet=quiet)
    if view is None:
        prove_all(results, quiet=quiet)
        print_report(results, chosen, requirements, trials, out, quiet=quiet)
    else:
        print_view(view, chosen, notices(results), out, quiet=quiet)
    sys.stdout.flush()
    values = figures(results, trials) | bounds(results) if requirements else {}
    values |= {name: row[name] for row in view.rows for name in REPLAYED if name in row} if null and view else {}
    place = ", ".join(f"`{run.path}`" for run in results.runs[:3])
    enforce(values, requirements, place=place)
    if differences:
        from scalpcli.report.reconcile import enforce_agreement

        enforce_agreement(differences, place)


def _read(patterns: Sequence[str], timerange: str, *, is_pair: bool = False) -> Results:
    from scalpcli.errors import UsageError
    from scalpcli.model.params import ReplayParams
    from scalpcli.report.load import load
    from scalpcli.report.runs import find_runs, parse_days

    if is_pair and len(patterns) != 2:
        raise UsageError(
            f"{len(patterns)} are named; two are compared",
            place="`--compare` and `--parity`",
            hint="scalpcli report --compare RUN_A RUN_B, each a run, a folder of runs, or a quoted glob",
        )
    # What was asked is looked at before what is there.
    days = parse_days(timerange) if timerange else None
    return load(find_runs(patterns, ReplayParams().out), days)


def _pair_view(patterns: Sequence[str], timerange: str, *, compare: bool) -> View:
    from scalpcli.report.compare import compare_view
    from scalpcli.report.parity import parity_view

    first, second = (_read([pattern], timerange) for pattern in patterns)
    return compare_view(first, second) if compare else parity_view(first, second)


def _only(names: Sequence[str]) -> str:
    """The one view that was asked for; empty for the whole report.

    Raises:
        UsageError: More than one was.
    """
    from scalpcli.errors import UsageError

    if len(names) > 1:
        raise UsageError(
            f"{len(names)} views are asked for: {', '.join(f'--{name}' for name in names)}",
            place="`scalpcli report`",
            hint="ask for one at a time; the whole report and its page hold the most of each",
        )
    return names[0] if names else ""


def _made(name: str, results: Results, group_by: GroupKey | None, *, quiet: bool) -> View:
    if group_by:
        from scalpcli.report.groups import grouped, groups_view
        from scalpcli.report.words import all_tags

        tags = all_tags(results) if group_by is GroupKey.TAG else None
        return groups_view(grouped(results.trades, group_by.value, tags), group_by.value)
    if name == "trades":
        from scalpcli.report.render import trades_view

        return trades_view(results)
    if name == "fees":
        from scalpcli.report.fees import fees_view

        return fees_view(results)
    if name == "tax":
        from scalpcli.report.tax import tax_view

        return tax_view(results)
    if name == "attribution":
        from scalpcli.report.attribution import attribution_view

        return attribution_view(results)
    if name in ("execution", "decay"):
        from scalpcli.report.execution import decay_view, execution_view

        return execution_view(results) if name == "execution" else decay_view(results)
    from scalpcli.cli.report_replays import funnel_view, sensitivity_view

    return funnel_view(results, quiet=quiet) if name == "funnel" else sensitivity_view(results, quiet=quiet)


def _about_one_trade(words: Sequence[str], form: ReportFormat, *, quiet: bool) -> None:
    """`report trade`, `report tag` and `report note`."""
    from scalpcli.cli.output import say
    from scalpcli.errors import UsageError
    from scalpcli.report.words import add_words, trade_number
    from scalpcli.runtime.clock import utc_now

    verb, *rest = words
    if verb == "trade":
        if len(rest) not in (1, 2):
            raise UsageError("a trade has one number", place="`report trade`", hint="scalpcli report trade 3 [RUN]")
        from scalpcli.cli.report_print import print_view
        from scalpcli.report.notices import notices
        from scalpcli.report.picture import trade_view

        results = _read(rest[1:], "")
        if len(results.runs) != 1:
            raise UsageError(f"`{rest[1]}` holds {len(results.runs)} runs", hint="name the run whose trade it is")
        number = trade_number(rest[0], len(results.trades))
        print_view(trade_view(results, number), form, notices(results), None, quiet=quiet)
        return
    if len(rest) < 3:
        example = f"scalpcli report {verb} runs/20261120T220000Z-0a1b2c3d 3 {'late' if verb == 'tag' else 'I moved it'}"
        raise UsageError(f"a {verb} takes a run, a trade and words", place=f"`report {verb}`", hint=example)
    results = _read(rest[:1], "")
    if len(results.runs) != 1:
        raise UsageError(f"`{rest[0]}` holds {len(results.runs)} runs", hint="name the run whose trade it is")
    folder, count = results.runs[0].path, len(results.trades)
    found = add_words(folder, count, rest[1], rest[2:], as_note=verb == "note", now=utc_now())
    tags, notes = ", ".join(found.tags) or "no tag", len(found.notes)
    say(f"trade {rest[1]}: {tags}; {notes} {'note' if notes == 1 else 'notes'}", quiet=quiet)


def _print_figures(form: ReportFormat) -> None:
    from scalpcli.cli.output import Column, emit
    from scalpcli.report.figures import NAMES

    rows = [{"figure": name, "unit": each.unit, "formula": each.formula} for name, each in NAMES.items()]
    known = form.value in list(Format)
    chosen = Format(form.value) if known else Format.TABLE
    emit(rows, chosen, columns=[Column("figure"), Column("unit"), Column("formula")])
