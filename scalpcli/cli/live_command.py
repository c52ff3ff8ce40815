"""`scalpcli live status`, `positions`, `orders`, `stop`, `flatten`, `kill`, `arm` and `reconcile`, from another shell.

Each asks the running process by its socket. Where none runs, `status` reads the run's files, `kill` writes the kill
file, and `positions`, `orders` and `flatten` ask the broker themselves.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scalpcli.cli.options import ConfigFiles, Json, Verbose
from scalpcli.errors import NotFlat, UpstreamUnavailable, UsageError

if TYPE_CHECKING:
    from scalpcli.cli.live_find import FoundRun

FLAT_WITHIN_S: Final = 15.0
"""Seconds that `flatten` and `kill` watch the process get flat."""
_LOOK_S: Final = 0.1
_DEFAULT_OUT: Final = Path("live")

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of live runs, where `--run` is not given")]
Run = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A run's own folder, like live/paper/TSLA/2026-11-20", show_default=False),
]
Symbol = Annotated[str, typer.Option(help="Only runs of this underlying; empty = of any")]
AccountEnds = Annotated[
    str,
    typer.Option(
        "--account-ends", metavar="1234", help="LIVE without a process: the account's last 4", show_default=False
    ),
]
Wait = Annotated[float, typer.Option("--wait", metavar="S", help="Seconds to watch it get flat; 0 = do not")]


def status(
    out: Out = _DEFAULT_OUT, run: Run = None, symbol: Symbol = "", json: Json = False, verbose: Verbose = False
) -> None:
    """Show what is held, what rests, what comes next, what is not known, and how to get out.

    Asks the running process; where none answers, tells what the run's files say.
    """
    del verbose
    from scalpcli.cli.live_files import state_of_files
    from scalpcli.cli.live_status import blind_to, status_lines, ways_out

    found = _find(out, run, symbol)
    state, source, trouble = _state(found)
    if state is None:
        state, source = state_of_files(found), "files"
    where, is_rehearsal = str(found.folder), bool(found.facts.get("rehearse"))
    if json:
        plain = {"source": source, "trouble": trouble, "state": state, "not_known": blind_to(state)}
        _print_json({**plain, "ways_out": ways_out(state, where, is_rehearsal=is_rehearsal)})
        return
    if source == "files":
        words = trouble or "no process trades it"
        print(f"{found.mark} {words}: what follows is what the files in `{where}` say")  # noqa: T201 - data to stdout
    print("\n".join(status_lines(state, where, is_rehearsal=is_rehearsal)))  # noqa: T201 - data to stdout


def positions(
    out: Out = _DEFAULT_OUT,
    run: Run = None,
    symbol: Symbol = "",
    config: ConfigFiles = None,
    account_ends: AccountEnds = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show what is held: by the running process, or where none runs by the broker."""
    del verbose
    _show(_find(out, run, symbol), "positions", config, account_ends, json=json)


def orders(
    out: Out = _DEFAULT_OUT,
    run: Run = None,
    symbol: Symbol = "",
    config: ConfigFiles = None,
    account_ends: AccountEnds = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show what works at the broker: by the running process, or where none runs by the broker."""
    del verbose
    _show(_find(out, run, symbol), "orders", config, account_ends, json=json)


def stop(
    out: Out = _DEFAULT_OUT, run: Run = None, symbol: Symbol = "", json: Json = False, verbose: Verbose = False
) -> None:
    """Stop entries; what is held keeps its stop, target and time. `live arm` lets entries begin again."""
    del verbose
    _command(_find(out, run, symbol), "stop", json=json)


def arm(
    out: Out = _DEFAULT_OUT, run: Run = None, symbol: Symbol = "", json: Json = False, verbose: Verbose = False
) -> None:
    """Let entries begin again after `stop`, `flatten`, `kill`, a protection or the guard; takes the kill file away."""
    del verbose
    found = _find(out, run, symbol)
    if found.kill_file.exists():
        # First: while it lies there, the process is killed again at its next look.
        found.kill_file.unlink(missing_ok=True)
        _say(found, f"took the kill file away: {found.kill_file}")
    _command(found, "arm", json=json)


def reconcile(
    out: Out = _DEFAULT_OUT, run: Run = None, symbol: Symbol = "", json: Json = False, verbose: Verbose = False
) -> None:
    """Compare with the broker now, and show what was found."""
    del verbose
    from scalpcli.cli.live_status import difference_words
    from scalpcli.runtime.control import ask

    found = _find(out, run, symbol)
    _need_process(found, "reconcile")
    answer = ask(found.control, "reconcile", answer_s=60.0)["found"]
    if json:
        _print_json({"mode": found.mark, **answer})
        return
    differences = answer.get("differences") or []
    for each in differences:
        print(f"{found.mark} differs: {difference_words(each)}")  # noqa: T201 - data to stdout
    if not differences:
        print(f"{found.mark} no difference: orders, positions and fills are as the broker says")  # noqa: T201


def flatten(
    out: Out = _DEFAULT_OUT,
    run: Run = None,
    symbol: Symbol = "",
    config: ConfigFiles = None,
    account_ends: AccountEnds = "",
    wait_s: Wait = FLAT_WITHIN_S,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Sell everything of the run now and stop entries; leaves with 8 where something is still held.

    Where no process runs, its orders are taken back and its contracts sold at the broker by this command.
    """
    del verbose
    found = _find(out, run, symbol)
    if found.control:
        _command(found, "flatten", json=json)
        _watch_flat(found, wait_s)
        return
    from scalpcli.cli.live_alone import flatten_alone

    flatten_alone(found, config, account_ends, lambda words: _say(found, words))


def kill(
    out: Out = _DEFAULT_OUT,
    run: Run = None,
    symbol: Symbol = "",
    wait_s: Wait = FLAT_WITHIN_S,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write the kill file and command the process: everything is sold, and nothing begins until `live arm`.

    The file comes first: it holds even where no process answers, for every run beside it.
    """
    del verbose
    found = _find(out, run, symbol)
    found.kill_file.parent.mkdir(parents=True, exist_ok=True)
    found.kill_file.touch(mode=0o600)
    _say(found, f"wrote the kill file: {found.kill_file}")
    if not found.control:
        _say(found, "no process runs; nothing begins while the file is there; `scalpcli live flatten` sells")
        return
    try:
        _command(found, "kill", json=json)
    except UpstreamUnavailable:
        _say(found, "the process does not answer its socket; it sees the file within a second while it lives")
    _watch_flat(found, wait_s)


def _find(out: Path, run: Path | None, symbol: str) -> FoundRun:
    from scalpcli.cli.live_find import find_run

    return find_run(out, run, symbol)


def _state(found: FoundRun) -> tuple[dict[str, Any] | None, str, str]:
    """The state of the running process, where it comes from, and what went wrong."""
    from scalpcli.runtime.control import ask

    if not found.control:
        return None, "files", ""
    try:
        return ask(found.control, "status")["state"], "process", ""
    except (UpstreamUnavailable, UsageError) as error:
        # It holds the lock and says nothing: that is what one wants to know first.
        return None, "files", f"PROCESS {found.owner.pid} HOLDS THE RUN AND DOES NOT ANSWER ({error.found})"


def _show(found: FoundRun, what: str, config: list[str] | None, account_ends: str, *, json: bool) -> None:
    from scalpcli.cli.live_words import columns_of, order_rows, position_rows
    from scalpcli.cli.output import emit

    state, _, trouble = _state(found)
    if trouble:
        _say(found, trouble)
    if state is None:
        from scalpcli.cli.live_alone import ask_broker

        rows = ask_broker(found, what, config, account_ends)
        _say(found, "no process answers: this is what the broker says")
    else:
        rows = position_rows(state) if what == "positions" else order_rows(state)
    if json:
        _print_json({"mode": found.mark, what: rows})
        return
    from scalpcli.cli.options import Format

    emit(rows, Format.TABLE, columns=columns_of(rows), title=f"{found.mark} {what} of {found.folder}")


def _command(found: FoundRun, command: str, *, json: bool) -> None:
    from scalpcli.runtime.control import ask

    _need_process(found, command)
    answer = ask(found.control, command)
    if json:
        _print_json({"mode": found.mark, **answer})
    else:
        _say(found, f"{command}: taken by process {found.owner.pid}")


def _need_process(found: FoundRun, command: str) -> None:
    if not found.control:
        raise UpstreamUnavailable(
            f"no process trades {found.mark} now: nothing can {command}",
            place=f"`{found.folder}`",
            hint="`scalpcli live status` tells what its files say; `scalpcli live positions` asks the broker",
        )


def _watch_flat(found: FoundRun, wait_s: float) -> None:
    """Wait until the process is flat.

    Raises:
        NotFlat: it is not after `wait_s`, or nobody says.
    """
    if wait_s > 0:
        asyncio.run(_wait_flat(found, wait_s))


async def _wait_flat(found: FoundRun, wait_s: float) -> None:
    from scalpcli.cli.live_files import state_of_files
    from scalpcli.runtime.control import ControlClient
    from scalpcli.runtime.run_lock import is_run_held

    loop = asyncio.get_running_loop()
    began_s = loop.time()
    left: list[str] = ["nobody says what"]
    client: ControlClient | None = None
    try:
        while loop.time() < began_s + wait_s:
            try:
                client = client or await ControlClient.open(found.control)
                state = (await client.ask("status"))["state"]
            except UpstreamUnavailable:
                client = None
                if is_run_held(found.folder):
                    # It is busy.
                    await asyncio.sleep(_LOOK_S)
                    continue
                # It has ended: then its files tell.
                state = state_of_files(found)
            held = [f"{each['quantity']} {each['symbol']}" for each in state.get("positions") or ()]
            left = held + [f"order {each['order_id']}" for each in state.get("orders") or ()]
            if not left:
                _say(found, f"flat after {loop.time() - began_s:.1f} s")
                return
            await asyncio.sleep(_LOOK_S)
    finally:
        if client is not None:
            await client.close()
    raise NotFlat(
        f"not flat after {wait_s:g} s: {', '.join(left)}",
        place=f"`{found.folder}`",
        hint=f"`scalpcli live status --run {found.folder}` shows every way out",
    )


def _say(found: FoundRun, words: str) -> None:
    print(f"{found.mark} {words}", file=sys.stderr, flush=True)  # noqa: T201 - words go to stderr


def _print_json(value: dict[str, Any]) -> None:
    from scalpcli.cli.options import Format
    from scalpcli.cli.output import emit_object

    emit_object(value, Format.JSON)
