"""`scalpcli report`: what runs truly did, from their journals."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from scalpcli.cli.options import Format, Json, Quiet, Verbose

if TYPE_CHECKING:
    from scalpcli.report.load import Results
    from scalpcli.report.section import Section

EXAMPLE = "scalpcli report runs --require 'win_rate>=55' --require 'trades>=30'"


class ReportFormat(StrEnum):
    """How a report is printed; CSV and JSON lines have one row a run."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"


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
    trades: Annotated[bool, typer.Option("--trades", help="List the trades instead of the report")] = False,
    list_figures: Annotated[
        bool, typer.Option("--list-figures", help="List the figures --require knows, with their formulas")
    ] = False,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How data is printed; csv and jsonl have one row a run")
    ] = ReportFormat.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what runs did: trades, statistics, slippage, the funnel and the quality of their data.

    Reads journals only. Unknown figures print as - and are null in JSON.
    """
    from scalpcli.report.require import enforce, parse_requirement

    del verbose
    chosen = ReportFormat.JSON if json else form
    requirements = require or []
    for text in requirements:
        parse_requirement(text)
    if list_figures:
        _print_figures(chosen)
        return
    from scalpcli.model.params import ReplayParams
    from scalpcli.report.load import load
    from scalpcli.report.runs import find_runs
    from scalpcli.report.summary import bounds, figures

    results = load(find_runs(runs or [], ReplayParams().out))
    if trades:
        _print_trades(results, chosen, quiet=quiet)
    else:
        _print_report(results, chosen, requirements, quiet=quiet)
    sys.stdout.flush()
    values = figures(results) | bounds(results) if requirements else {}
    enforce(values, requirements, place=", ".join(f"`{run.path}`" for run in results.runs[:3]))


def _print_report(results: Results, form: ReportFormat, requirements: Sequence[str], *, quiet: bool) -> None:
    from scalpcli.cli.output import emit, emit_object, say
    from scalpcli.report.document import document, run_rows
    from scalpcli.report.render import heading, markdown, sections
    from scalpcli.report.summary import notices

    if form is ReportFormat.JSON:
        emit_object(document(results, requirements), Format.JSON)
    elif form is ReportFormat.MARKDOWN:
        sys.stdout.write(markdown(results))
    elif form is ReportFormat.TABLE:
        _print_head(heading(results), notices(results))
        for section in sections(results):
            _print_section(section)
    else:
        # Rows have no place for words, and a made-up market must not pass unnoticed.
        for notice in notices(results):
            say(notice, quiet=quiet)
        emit(run_rows(results), Format(form.value))


def _print_trades(results: Results, form: ReportFormat, *, quiet: bool) -> None:
    from scalpcli.cli.output import emit, say
    from scalpcli.report.document import trade_rows
    from scalpcli.report.render import trades_section
    from scalpcli.report.section import section_markdown
    from scalpcli.report.summary import notices

    if form in (ReportFormat.TABLE, ReportFormat.MARKDOWN):
        section = trades_section(results)
        if form is ReportFormat.MARKDOWN:
            sys.stdout.write(section_markdown(section, notices(results)))
            return
        _print_head("", notices(results))
        _print_section(section)
        return
    for notice in notices(results):
        say(notice, quiet=quiet)
    emit(trade_rows(results), Format(form.value))


def _print_figures(form: ReportFormat) -> None:
    from scalpcli.cli.output import Column, emit
    from scalpcli.report.figures import NAMES

    rows = [{"figure": name, "unit": each.unit, "formula": each.formula} for name, each in NAMES.items()]
    chosen = Format.TABLE if form is ReportFormat.MARKDOWN else Format(form.value)
    emit(rows, chosen, columns=[Column("figure"), Column("unit"), Column("formula")])


def _print_head(heading: str, notices: Sequence[str]) -> None:
    """Which runs, and what a reader must know first: where a terminal has colours, red."""
    from rich.console import Console
    from rich.text import Text

    from scalpcli.cli.output import TABLE_COLUMNS

    lines = [Text(heading)] if heading else []
    for notice in notices:
        wrapped = textwrap.wrap(f"! {notice}", TABLE_COLUMNS, subsequent_indent="  ", break_on_hyphens=False)
        lines += [Text(line, style="bold red") for line in wrapped]
    console = Console(highlight=False, soft_wrap=True)
    for line in [*lines, Text()] if lines else []:
        console.print(line)


def _print_section(section: Section) -> None:
    from scalpcli.cli.output import Column, emit

    columns = [Column(head.name, title=head.title or " ", right=head.right) for head in section.heads]
    emit(section.rows, Format.TABLE, columns=columns, title=section.title)
    sys.stdout.write(f"{section.note}\n\n" if section.note else "\n")
