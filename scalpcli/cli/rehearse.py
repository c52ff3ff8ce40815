"""`scalpcli rehearse`: a local exchange and `live` against it in one command, then the report and the parity proof."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import DataError, ScalpcliError, UsageError

if TYPE_CHECKING:
    from scalpcli.exchange.market import ServedMarket
    from scalpcli.report.section import Section

EXAMPLE = "scalpcli rehearse examples/tapes/TSLA/2026-11-20 -c config.toml -p scalp.enabled=true --speed 60"
STREAMS: Final = 2
"""Data connections of `live`, of stocks and of options: rows are served once both have subscribed."""
RUNS_FOLDER: Final = "runs"
LATENCIES_FILE: Final = "latencies.csv"
_KEYS: Final = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ORATS_TOKEN")
_SIGNALLED: Final = 128
_PATIENCE: Final = 3
"""The so-manieth signal ends `live` the hard way."""


def rehearse(
    tape: Annotated[Path, typer.Argument(metavar="TAPE", help="Folder of the tape to play")],
    config: ConfigFiles = None,
    param: Overrides = None,
    speed: Annotated[float, typer.Option(min=0.1, max=1000.0, help="Market seconds in a second")] = 60.0,
    start: Annotated[
        str, typer.Option(metavar="HH:MM", help="First minute to serve, New York; what is before is history only")
    ] = "",
    until: Annotated[str, typer.Option(metavar="HH:MM", help="Where the rehearsal ends, New York")] = "",
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Decide and send nothing, instead of trading on paper")
    ] = False,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What goes wrong: a fault script in TOML", show_default=False)
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SCOPE,KEY=VALUE,…", help="One fault, as `scalpcli exchange` takes it; repeatable"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Source of all chance in faults; the script's, else 0", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="New folder for all of it  [default: rehearsals/TIME]", show_default=False),
    ] = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Trade yesterday's tape with tomorrow's settings against a local exchange, without keys.

    Starts the exchange and `scalpcli live run` against it, and waits for the end of the session. Then shows what came
    of it, proves that every decision comes out of the recorded tape again, and holds the result against the simulated
    broker's. Ctrl-C ends `live` in order, then tells the same; a third one ends it at once.

    Latencies and time-outs are the market's: at --speed 60 what takes 5 ms here takes 300 ms there. A machine that is
    slow at a high speed is late; --speed 1 tells latencies as they are.

    Leaves with the exit code of `live` where that is not 0, else with 5 when a decision does not come out again.
    """
    del verbose
    from scalpcli.cli.exchange import served
    from scalpcli.cli.output import say
    from scalpcli.config import load
    from scalpcli.exchange.local_thread import exchange_thread
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.runtime.tape import find_tape

    # What cannot be meant is told before anything is started.
    if "-" in (config or ()):
        raise UsageError("settings are read twice, standard input once", place="`-c -`", hint="name a file")
    loaded = load(config, param)
    tape = find_tape(tape)
    settings = served(tape, start, until, STREAMS, faults, fault or [], seed) | {"speed": speed}
    if not shadow and not loaded.params.scalp.enabled:
        say("scalp.enabled is false: nothing will be ordered; `-p scalp.enabled=true` trades", quiet=quiet)
    # Compiled before the market's time runs.
    load_kernel(lambda text: say(text, quiet=quiet))
    folder = _folder(out, tape)
    # A recorder that runs beside plays another exchange.
    words = ["--no-tap", *(["--shadow"] if shadow else [])]
    words += [word for file in config or () for word in ("-c", file)]
    words += [word for each in param or () for word in ("-p", each)]
    with exchange_thread(tape, keep_log=False, **settings) as thread:
        say(f"a local exchange plays {tape} at {thread.exchange.rest_url}, speed {speed:g}", quiet=quiet)
        words += _until(until, thread.exchange.market)
        code = _trade(folder, thread.exchange.rest_url, words, quiet=quiet)
    run = _run_below(folder / RUNS_FOLDER)
    if run is not None:
        try:
            _tell(run, folder, chosen_format(form, json), quiet=quiet)
        except ScalpcliError as failed:
            if not code:
                raise
            # What `live` left for is what the caller must hear.
            say(failed.render())
    elif not code:
        raise DataError("`live` left no run", place=f"`{folder}`", hint=f"its words are in `{folder / 'live.txt'}`")
    if code:
        raise typer.Exit(code)


def _folder(out: Path | None, tape: Path) -> Path:
    """A new folder for a rehearsal.

    Raises:
        UsageError: the one that was named holds something.
    """
    from scalpcli.runtime.clock import utc_now

    folder = out or Path("rehearsals") / f"{utc_now():%Y%m%dT%H%M%SZ}-{tape.parent.name}-{tape.name}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"`{folder}` holds something", place="`--out`", hint="name a new folder, or leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _until(until: str, market: ServedMarket) -> list[str]:
    """Where `live` ends: where it was asked to, or with a tape that does not reach the close."""
    from scalpcli.model.session import ns_to_new_york

    last_ns = int(market.rows["ts_recv_ns"][-1])
    if not until and last_ns < market.session.close_ns:
        until = ns_to_new_york(last_ns)[:8]
    return ["--until", until] if until else []


def _trade(folder: Path, url: str, words: Sequence[str], *, quiet: bool) -> int:
    """Run `live` against the exchange until its end; its exit code."""
    call = [sys.executable, "-m", "scalpcli", "live", "run", "--rehearse", url, "--out", str(folder / RUNS_FOLDER)]
    # No key of an account goes anywhere near a rehearsal, and none is asked for.
    environ = {name: value for name, value in os.environ.items() if name not in _KEYS}
    with contextlib.ExitStack() as stack:
        said = stack.enter_context((folder / "live.txt").open("wb"))
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
            [*call, *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said if quiet else None,
            env=environ,
            # Ctrl-C reaches it through us alone, once: the exchange must outlive it.
            start_new_session=True,
        )
        # Signals are passed on until nothing runs any more: one in between must not leave the guard.
        stack.enter_context(_passing_signals(child))
        stack.callback(_end, child, folder)
        code = child.wait()
    # As a shell says it of a process that a signal ended.
    return code if code >= 0 else _SIGNALLED - code


def _end(child: subprocess.Popen[bytes], folder: Path) -> None:
    """Leave nothing running: neither `live` nor the guard of one that was killed, whose exchange is about to go."""
    from scalpcli.runtime.process_identity import identity_of, kill
    from scalpcli.runtime.run_lock import read_run_owner

    if child.poll() is None:
        child.kill()
        child.wait()
    run = _run_below(folder / RUNS_FOLDER)
    guard_pid = 0 if run is None else read_run_owner(run).guard_pid
    guard = identity_of(guard_pid) if guard_pid else None
    if guard is not None:
        kill(guard)


@contextlib.contextmanager
def _passing_signals(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand interrupts and wishes to end on to `live`, which puts things in order."""
    received = 0

    def pass_on(number: int, frame: object) -> None:
        nonlocal received
        del frame
        received += 1
        child.send_signal(signal.SIGKILL if received >= _PATIENCE else number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_below(root: Path) -> Path | None:
    """The run that `live` wrote at `ROOT/MODE/SYMBOL/DATE`, or nothing."""
    from scalpcli.runtime.against_facts import FACTS_FILE

    found = sorted(root.glob(f"*/*/*/{FACTS_FILE}"))
    return found[0].parent if found else None


def _result(run: Path) -> list[Section]:
    """The headline of the run's report; nothing where its process did not come to write one."""
    from scalpcli.report.headline import headline
    from scalpcli.report.load import load
    from scalpcli.report.summary import bounds, figures

    try:
        results = load([run])
    except DataError:
        return []
    return headline(figures(results) | bounds(results))[:1]


def _tell(run: Path, folder: Path, form: Format, *, quiet: bool) -> None:
    """Print what came of it, and prove it.

    Raises:
        CheckFailed: a decision did not come out of the tape.
        DataError: there is no tape, or it cannot be read.
    """
    from scalpcli.cli.output import say
    from scalpcli.cli.replay_against import check_equal, compared, proof_words
    from scalpcli.cli.report_print import ReportFormat, print_view
    from scalpcli.report.latencies import measure, write_latencies
    from scalpcli.runtime.against import prove
    from scalpcli.runtime.compiler import load_kernel

    hot = load_kernel()
    proof = prove(run, hot)
    view = compared(proof, hot)
    view = dataclasses.replace(view, sections=[*_result(run), *view.sections])
    print_view(view, ReportFormat(form.value), (), None, quiet=quiet)
    check_equal(proof)
    say(f"{proof_words(proof)}, in {run}", quiet=quiet)
    found = measure(proof.journal.lines)
    if found.orders:
        write_latencies(folder / LATENCIES_FILE, found)
        say(f"{found.words}; in {folder / LATENCIES_FILE}", quiet=quiet)
