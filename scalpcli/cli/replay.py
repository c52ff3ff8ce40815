"""`scalpcli replay`: parses, wires, runs, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalpcli.config import Loaded
    from scalpcli.model.params import Params
    from scalpcli.runtime.replay import SessionResult

EXAMPLE = "scalpcli replay examples/tapes"


def replay(
    ctx: typer.Context,
    tapes: Annotated[list[Path] | None, typer.Argument(help="Tapes, or folders of tapes", show_default=False)] = None,
    config: ConfigFiles = None,
    param: Overrides = None,
    symbol: Annotated[str, typer.Option(help="Only tapes of this underlying")] = "",
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First session, YYYY-MM-DD")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last session, YYYY-MM-DD")] = "",
    latency_ms: Annotated[
        float | None, typer.Option(help="Time from decision until the order reaches the market, milliseconds")
    ] = None,
    fees: Annotated[str | None, typer.Option(metavar="alpaca|none", help="Fee schedule")] = None,
    fees_as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Charge the rates of this day")] = None,
    gaps: Annotated[str | None, typer.Option(metavar="fail|flatten|ignore", help="What a gap in the tape does")] = None,
    min_quality: Annotated[float | None, typer.Option(help="Least coverage of the session, percent")] = None,
    jobs: Annotated[int | None, typer.Option(help="Sessions replayed at one time")] = None,
    speed: Annotated[float, typer.Option(min=0.0, help="Times real time; 0 = as fast as it goes")] = 0.0,
    until: Annotated[str, typer.Option(metavar="HH:MM[:SS]", help="Stop at this New York time")] = "",
    triggers_only: Annotated[
        bool, typer.Option("--triggers-only", help="Write triggers down only; no chain needed")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder that receives the run")] = None,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Every instant's trackers as Parquet")] = None,
    check: Annotated[Path | None, typer.Option(metavar="FILE", help="Exit 5 unless these decisions come out")] = None,
    update: Annotated[bool, typer.Option("--update", help="With --check: bless the decisions instead")] = False,
    require: Annotated[
        list[str] | None, typer.Option(metavar="EXPR", help="Exit 5 unless it holds, like 'win_rate>=55'; repeatable")
    ] = None,
    lookahead_check: Annotated[
        bool, typer.Option("--lookahead-check", help="Exit 5 if a changed future moves a decision")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Exit 5 unless this live run's decisions come out of its own tape; settings are the run's",
        ),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the journal's JSON schema and leave")] = False,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Replay recorded sessions through the live engine and write their journal.

    Reads tapes and settings only: no network, no keys. Exit 5 when a check or requirement fails, 8 when
    something is still held at the end.
    """
    del verbose
    if schema:
        _print_schema()
        return
    if against is not None:
        from scalpcli.cli.replay_against import check_alone, prove_run

        check_alone(ctx.params, {each.name: each.default for each in ctx.command.params if each.name})
        prove_run(against, chosen_format(form, json), quiet=quiet)
        return
    if not tapes:
        raise typer.BadParameter("name at least one tape", ctx=ctx, param_hint="TAPES")
    from scalpcli.cli.output import say
    from scalpcli.cli.replay_checks import check_asked, check_blessed, check_days, check_flat, check_requirements_of
    from scalpcli.cli.replay_print import print_run
    from scalpcli.config import Flag, load
    from scalpcli.runtime.replay import ReplayOptions

    # What cannot be meant is told before any work is done.
    check_asked(check, trace, require or [], update=update)
    first, last = check_days(first, last)
    flags = {
        "simulated_broker.order_latency_ms": Flag("--latency-ms", latency_ms),
        "fees.schedule": Flag("--fees", fees),
        "fees.as_of": Flag("--fees-as-of", fees_as_of),
        "replay.gaps": Flag("--gaps", gaps),
        "replay.min_quality": Flag("--min-quality", min_quality),
        "replay.jobs": Flag("--jobs", jobs),
        "replay.out": Flag("--out", None if out is None else str(out)),
    }
    loaded = load(config, param, {key: flag for key, flag in flags.items() if flag.value is not None})
    options = ReplayOptions(triggers_only=triggers_only, until=until, speed=speed, trace=trace is not None)
    results, timings_s = _play(loaded, tapes, (symbol, first, last), options, quiet)
    if lookahead_check:
        _check_lookahead(loaded, results, options, quiet)
    if trace is not None:
        _write_trace(results, trace)
    manifest, run_dir = _write(loaded, results, timings_s, ctx)
    print_run(manifest, results, run_dir, chosen_format(form, json), quiet=quiet)
    if check is not None:
        say(check_blessed(check, results, update=update), quiet=quiet)
    if require:
        check_requirements_of(run_dir, require)
    if not until and not triggers_only:
        check_flat(results)


def _print_schema() -> None:
    import json

    from scalpcli.model.decision import journal_schema

    typer.echo(json.dumps(journal_schema(), indent=2))


def _settings(loaded: Loaded) -> Params:
    """The settings with files named relative to the settings that named them."""
    import dataclasses

    latency_file = loaded.path("simulated_broker.latency_file")
    if latency_file is None:
        return loaded.params
    broker = dataclasses.replace(loaded.params.simulated_broker, latency_file=str(latency_file))
    return dataclasses.replace(loaded.params, simulated_broker=broker)


def _play(
    loaded: Loaded, tapes: Sequence[Path], which: tuple[str, str, str], options: Any, quiet: bool
) -> tuple[list[SessionResult], dict[str, float]]:
    from scalpcli.cli.output import progress, say
    from scalpcli.runtime import clock
    from scalpcli.runtime.sessions import replay_all, tapes_at

    def tell(words: str) -> None:
        say(words, quiet=quiet)

    started_s = clock.seconds()
    paths = tapes_at(tapes, *which)
    results = []
    with progress(len(paths), "replaying", quiet=quiet) as advance:
        for result in replay_all(
            paths, _settings(loaded), tuple(loaded.blackouts), options, lambda text: say(text, quiet=quiet)
        ):
            results.append(result)
            advance(1)
    timings_s = {name: sum(result.timings_s[name] for result in results) for name in ("read", "engine")}
    return results, timings_s | {"total": clock.seconds() - started_s}


def _check_lookahead(loaded: Loaded, results: Sequence[SessionResult], options: Any, quiet: bool) -> None:
    from scalpcli.cli.output import say
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.runtime.sessions import check_lookahead

    hot = load_kernel()
    compared = sum(
        check_lookahead(Path(result.tape), _settings(loaded), tuple(loaded.blackouts), hot, options)
        for result in results
    )
    say(f"look-ahead check: {compared} decisions stood while their future was changed", quiet=quiet)


def _write_trace(results: Sequence[SessionResult], path: Path) -> None:
    import polars as pl

    from scalpcli.runtime.run_folder import replace_file

    table = pl.concat([result.trace for result in results if result.trace is not None])
    replace_file(path, table.write_parquet)


def _write(
    loaded: Loaded, results: list[SessionResult], timings_s: dict[str, float], ctx: typer.Context
) -> tuple[dict[str, Any], Path]:
    import resource

    from scalpcli.runtime.run_folder import run_manifest, write_run

    peak_kb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    facts = {
        "mode": "replay",
        "command": _command_line(ctx),
        "timings_s": timings_s,
        "peak_rss_mb": round(peak_kb / 1024, 1),
    }
    manifest = run_manifest(results, loaded.params, facts)
    return manifest, write_run(Path(loaded.params.replay.out), results, manifest)


def _command_line(ctx: typer.Context) -> list[str]:
    """The words of this call: its tapes, then every option that was not left at its default."""
    words = [ctx.command_path]
    for param in sorted(ctx.command.params, key=lambda param: param.param_type_name != "argument"):
        value = ctx.params.get(param.name or "")
        if not value or value == param.default:
            continue
        flag = [param.opts[0]] if param.param_type_name == "option" else []
        for each in value if isinstance(value, list) else [value]:
            words += flag if each is True else [*flag, str(each)]
    return words
