"""`scalpcli live`: the engine of `replay` with an account at stake, and the commands that reach it."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scalpcli.cli import live_command, live_guard, live_watch
from scalpcli.cli.options import ConfigFiles, Format, Json, Overrides, Quiet, Verbose
from scalpcli.cli.shell import new_app
from scalpcli.errors import OutsideSession, UpstreamUnavailable, UsageError

if TYPE_CHECKING:
    from scalpcli.cli.live_access import Reached
    from scalpcli.cli.live_job import LiveJob
    from scalpcli.config import Loaded
    from scalpcli.model.params import Params
    from scalpcli.model.session import Session

EXAMPLE: Final = "scalpcli live run -c my.toml -p scalp.enabled=true --flatten-at close-50m"
DEFAULT_SYMBOL: Final = "TSLA"

app = new_app("Trade the live feed with an account: on paper unless four locks are open", example=EXAMPLE)
app.info.no_args_is_help = False


class OnStall(StrEnum):
    """What a blind feed does while a position is open."""

    FLATTEN = "flatten"
    HOLD = "hold"


class Foreign(StrEnum):
    """What positions that are not ours do."""

    REFUSE = "refuse"
    IGNORE = "ignore"


@app.command("run", epilog=f"Example: {EXAMPLE}")
def run(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="Underlying  [default: TSLA]", show_default=False)] = "",
    shadow: Annotated[bool, typer.Option("--shadow", help="SHADOW: decide, and send no orders")] = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="LIVE: real money; needs live keys, live.enabled in a file, and --account-ends"),
    ] = False,
    account_ends: Annotated[
        str, typer.Option("--account-ends", metavar="1234", help="The account's last 4 characters", show_default=False)
    ] = "",
    rehearse: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Trade at the local exchange there instead of Alpaca", show_default=False),
    ] = None,
    until: Annotated[
        str, typer.Option(metavar="WHEN", help="close, a New York time like 15:30, close-20m, or a duration like 20m")
    ] = "close",
    no_entry_after: Annotated[
        str, typer.Option(metavar="WHEN", help="Last entries: a time like 14:50, or close-60m", show_default=False)
    ] = "",
    flatten_at: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Everything is sold: a time like 15:10, or close-50m", show_default=False),
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with today's run, or keep it and begin another")
    ] = True,
    tap: Annotated[
        bool | None,
        typer.Option(
            "--tap/--no-tap",
            help="Rows of a running `record`, or connections of our own; else what there is",
            show_default=False,
        ),
    ] = None,
    foreign: Annotated[
        Foreign | None,
        typer.Option(help="Positions that are not ours: do not start, or leave alone", show_default=False),
    ] = None,
    on_stall: Annotated[
        OnStall | None,
        typer.Option("--on-stall", help="Blind while something is held: sell, or hold", show_default=False),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Outside the session wait for the next one, instead of leaving with 75")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of runs; this one goes to OUT/MODE/SYMBOL/DATE", show_default=False)
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Told of fills, exits, protections and alarms", show_default=False),
    ] = None,
    heartbeat_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Asked while trading goes on", show_default=False)
    ] = None,
    no_watch: Annotated[bool, typer.Option("--no-watch", help="On a terminal: lines instead of `live watch`")] = False,
    print_systemd: Annotated[
        bool, typer.Option("--print-systemd", help="Print systemd units that trade every session, and leave")
    ] = False,
    config: ConfigFiles = None,
    param: Overrides = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Trade one session: on paper, or with real money when all four locks are open.

    Every line says SHADOW, PAPER or LIVE. The tape, the journal and the run's results go to OUT/MODE/SYMBOL/DATE;
    after a crash, the same call goes on where it stopped. `live status` and the like reach it from any shell.

    The first Ctrl-C or SIGTERM, or a closed terminal, stops entries, sells what is held and ends; the second leaves at
    once, with 8 where something is held: then the guard, or the next start, takes over.

    Leaves with 7 when a protection ended trading, with 8 when something is still held, with 75 outside the session.
    """
    del verbose
    from scalpcli.config import Flag, load

    flags = {
        "live.foreign": Flag("--foreign", foreign and foreign.value),
        "live.on_stall": Flag("--on-stall", on_stall and on_stall.value),
        "live.out": Flag("--out", None if out is None else str(out)),
        "live.notify": Flag("--notify", notify),
        "live.heartbeat_url": Flag("--heartbeat-url", heartbeat_url),
    }
    given = {key: flag for key, flag in flags.items() if flag.value is not None}
    loaded = load(config, param, given)
    _check(loaded)
    if print_systemd:
        _print_systemd(ctx)
        return
    mark = "SHADOW" if shadow else "LIVE" if live else "PAPER"
    # A rehearsal's time runs from its first question on: the engine is ready before.
    hot = _kernel(mark, quiet=quiet) if rehearse and not live else None
    reached = _reach(loaded, shadow, live, account_ends, rehearse)
    session = _session(reached, loaded, symbol, wait=wait, quiet=quiet)
    times = _times(no_entry_after, flatten_at, session)
    if times:
        _check_read_once(config)
        loaded = load(config, param, given | times)
    job = _job(
        reached, loaded, session, symbol, until,
        tap=tap, is_out_given=out is not None, is_resumed=resume, quiet=quiet,
        is_watched=not (no_watch or quiet or json),
    )  # fmt: skip
    _run(job, hot or _kernel(mark, quiet=quiet), json=json)


def _check(loaded: Loaded) -> None:
    """What cannot be meant is told before anything is asked of anyone."""
    params = loaded.params.live
    if params.notify or params.heartbeat_url:
        from scalpcli.adapters.notify import check_url

        if params.notify:
            check_url(params.notify, "--notify", any_service=True)
        if params.heartbeat_url:
            check_url(params.heartbeat_url, "--heartbeat-url")


def _check_read_once(config: list[str] | None) -> None:
    """Times are settings of one session, which is known only now: the settings are read again with them."""
    if any(not Path(file).is_file() for file in config or ()):
        raise UsageError(
            "`--flatten-at` and `--no-entry-after` need settings in files: a pipe cannot be read twice",
            hint="write them as `-p exits.flatten_before_close_minutes=50`, or the settings to a file",
        )


def _print_systemd(ctx: typer.Context) -> None:
    from scalpcli.cli.live_schedule import units_text
    from scalpcli.cli.record import schedule_arguments

    typer.echo(units_text(schedule_arguments(ctx), Path.cwd()), nl=False)


def _kernel(mark: str, *, quiet: bool) -> Any:
    from scalpcli.cli.output import say
    from scalpcli.runtime.compiler import load_kernel

    return load_kernel(lambda text: say(f"{mark} {text}", quiet=quiet))


def _reach(loaded: Loaded, shadow: bool, live: bool, account_ends: str, rehearse: str | None) -> Reached:
    from scalpcli.cli.live_access import ModeFlags, reach, type_ends_at_terminal

    return reach(loaded, ModeFlags(shadow, live, account_ends, rehearse), os.environ, type_ends_at_terminal())


def _session(reached: Reached, loaded: Loaded, symbol: str, *, wait: bool, quiet: bool) -> Session:
    """The session that is on, or begins soon.

    Raises:
        OutsideSession: there is none now.
    """
    import asyncio

    from scalpcli.cli.output import say
    from scalpcli.runtime.record_window import next_window, window_at

    clock, record = reached.access.clock, loaded.params.record
    played = reached.access.symbol
    if symbol and played and symbol != played:
        raise UsageError(f"the local exchange plays {played}, not {symbol}", hint=f"write `--symbol {played}`")
    window = next_window(clock.now_ns(), record) if wait else window_at(clock.now_ns(), record)
    if clock.now_ns() >= window.session.close_ns:
        raise OutsideSession(
            f"the session of {window.session.date} is over", hint="start before the next one; `--wait` waits for it"
        )
    if clock.now_ns() < window.start_ns:
        say(f"{reached.mark} waits for the session of {window.session.date}", quiet=quiet)
        asyncio.run(_sleep_until(reached, window.start_ns))
    return window.session


async def _sleep_until(reached: Reached, start_ns: int) -> None:
    """Sleep in pieces: a clock may be set meanwhile."""
    import asyncio

    clock = reached.access.clock
    while (left_s := (start_ns - clock.now_ns()) / 1e9 / clock.speed) > 0:
        await asyncio.sleep(min(left_s, 5.0))
        clock.follow()


def _times(no_entry_after: str, flatten_at: str, session: Session) -> dict[str, Any]:
    from scalpcli.cli.live_times import before_close_flags

    return before_close_flags(no_entry_after, flatten_at, session)


def _job(
    reached: Reached,
    loaded: Loaded,
    session: Session,
    symbol: str,
    until: str,
    *,
    tap: bool | None,
    is_out_given: bool,
    is_resumed: bool,
    is_watched: bool,
    quiet: bool,
) -> LiveJob:
    import sys

    from scalpcli.cli.live_find import KILL_FILE, runs_root
    from scalpcli.cli.live_job import LiveJob
    from scalpcli.cli.live_mode import words_of_feed
    from scalpcli.cli.live_times import until_ns
    from scalpcli.cli.live_watch_lines import Lines
    from scalpcli.cli.output import say
    from scalpcli.model.instrument import check_underlying

    symbol = symbol or reached.access.symbol or DEFAULT_SYMBOL
    check_underlying(symbol)
    params = loaded.params
    root = runs_root(Path(params.live.out), is_rehearsal=reached.access.is_rehearsal and not is_out_given)
    named = loaded.path("live.kill_file") if params.live.kill_file else None
    job = LiveJob(
        reached=reached,
        params=params,
        blackouts=tuple(loaded.blackouts),
        symbol=symbol,
        session=session,
        until_ns=until_ns(until, session, reached.access.clock.now_ns()),
        root=root,
        tapped=_recorder_of(params, symbol, is_rehearsal=reached.access.is_rehearsal) if tap is not False else None,
        kill_file=named or root / KILL_FILE,
        is_resumed=is_resumed,
        is_watched=is_watched and sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty(),
        command=_command_line(params, sys.argv[1:]),
        environ=os.environ,
        out=Lines(lambda line: say(line, quiet=quiet)),
    )
    if tap and job.tapped is None:
        raise UpstreamUnavailable(
            f"no recorder of {symbol} from {params.record.feed} is running",
            place="`--tap`",
            hint="start `scalpcli record`, or leave `--tap` out to own the connections",
        )
    words = words_of_feed(reached.mode, params.record.option_feed)
    if words:
        # Loud: `-q` does not silence it.
        say(words)
    return job


def _command_line(params: Params, words: list[str]) -> str:
    """The call, without addresses that may hold a token."""
    import shlex

    line = shlex.join(["scalpcli", *words])
    for url in (params.live.notify, params.live.heartbeat_url):
        line = line.replace(url, "***") if url else line
    return line


def _recorder_of(params: Params, symbol: str, *, is_rehearsal: bool) -> Path | None:
    """Folder of tapes of a recorder of the symbol that runs now; nothing where none does."""
    from scalpcli.cli.live_tap import has_tap
    from scalpcli.cli.record import REHEARSAL_FOLDER

    root = Path(params.record.out) / (REHEARSAL_FOLDER if is_rehearsal else "")
    return root if has_tap(root, symbol, params.record.feed) else None


def _run(job: LiveJob, hot: Any, *, json: bool) -> None:
    import asyncio

    from scalpcli.cli.live_job import leave, summary
    from scalpcli.cli.live_run import run as run_live
    from scalpcli.cli.output import emit_object

    outcome = asyncio.run(run_live(job, hot))
    title = f"{job.reached.mark} {job.symbol} {job.session.date}"
    emit_object(summary(job, outcome), Format.JSON if json else Format.TABLE, title="" if json else title)
    leave(job, outcome)


# After `run`, which is what `live` is for.
app.command("status", epilog="Example: scalpcli live status")(live_command.status)
app.command("positions", epilog="Example: scalpcli live positions")(live_command.positions)
app.command("orders", epilog="Example: scalpcli live orders")(live_command.orders)
app.command("stop", epilog="Example: scalpcli live stop")(live_command.stop)
app.command("flatten", epilog="Example: scalpcli live flatten")(live_command.flatten)
app.command("kill", epilog="Example: scalpcli live kill")(live_command.kill)
app.command("arm", epilog="Example: scalpcli live arm")(live_command.arm)
app.command("reconcile", epilog="Example: scalpcli live reconcile")(live_command.reconcile)
app.command("guard", epilog=f"Example: {live_guard.EXAMPLE}")(live_guard.guard)
app.command("watch", epilog=f"Example: {live_watch.WATCH_EXAMPLE}")(live_watch.watch)
app.command("signals", epilog=f"Example: {live_watch.SIGNALS_EXAMPLE}")(live_watch.signals)
