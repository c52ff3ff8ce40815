"""`scalpcli exchange`: a local exchange that speaks Alpaca's protocol over a tape."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scalpcli.cli.options import Format, Json, Quiet, Verbose
from scalpcli.errors import UsageError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from scalpcli.exchange.fault_script import FaultScript
    from scalpcli.exchange.local import LocalExchange
    from scalpcli.exchange.serving import ServingRules
    from scalpcli.model.session import Session

EXAMPLE = "scalpcli exchange tapes/TSLA/2026-11-20 --speed 60 --wait-for 2"
KEY_VARIABLE: Final = "SCALPCLI_EXCHANGE_KEY"
SECRET_VARIABLE: Final = "SCALPCLI_EXCHANGE_SECRET"  # noqa: S105 - the name of a variable
_MAX: Final = "max"
_PORT_MAX: Final = 65_534


def exchange(
    tape: Annotated[Path, typer.Argument(metavar="TAPE", help="Folder of the tape to play")],
    port: Annotated[
        int, typer.Option(help="Port of the REST side on 127.0.0.1; the streams take the next; 0 takes free ones")
    ] = 18_080,
    speed: Annotated[
        str, typer.Option(metavar="NUMBER|max", help="Market seconds in a second; max = as fast as clients take it")
    ] = "1",
    start: Annotated[
        str, typer.Option(metavar="HH:MM", help="First minute to serve, New York; what is before is history only")
    ] = "",
    until: Annotated[str, typer.Option(metavar="HH:MM", help="Where serving ends, New York")] = "",
    wait_for: Annotated[
        int, typer.Option(help="Data connections that must have subscribed before messages begin; 0 waits for none")
    ] = 1,
    plan: Annotated[str, typer.Option(metavar="basic|plus", help="Data plan whose limits hold")] = "plus",
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fault script in TOML", show_default=False)
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SCOPE,KEY=VALUE,…", help="One fault, like drop=stock,after_messages=500; repeatable"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Source of all chance in faults; the script's, else 0", show_default=False)
    ] = None,
    frame_messages: Annotated[int, typer.Option(help="Data messages of a frame for a client that keeps up")] = 1,
    no_deflate: Annotated[bool, typer.Option("--no-deflate", help="Agree to no compression")] = False,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each row sent or lost per connection, JSON lines", show_default=False),
    ] = None,
    exit_at_end: Annotated[
        bool, typer.Option("--exit-at-end", help="Leave after the last row; otherwise connections stay, silent")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Play a tape as a local exchange that speaks Alpaca's protocol.

    A dress rehearsal: any client of Alpaca, the recorder too, connects to the printed addresses instead. Orders meet
    a simulated account. Any keys open it, unless SCALPCLI_EXCHANGE_KEY and SCALPCLI_EXCHANGE_SECRET are set.

    Time stands still until a first client shows up. Rows whose time came before the clients subscribed go out at
    once, none is skipped. Nothing outside this machine can connect.

    Faults: drop, stall, half_close, delay, duplicate, reorder, coalesce, garbage, refuse, halt and clock_step; of
    orders lose_answer, hang, reject, reject_late, slice, fill_on_cancel and liquidate; of their updates lose_update,
    late_update and repeat_update; of stock, option, trading or rest. Each begins at=HH:MM (New York), at_s=SECONDS
    or after_messages=N, else at once, and takes duration_s, count, messages, window, delay_ms, hold_s, code, form,
    contracts, path and method where they mean something. on=sell,nth=2 hits the second sell; on is order, buy, sell,
    limit, market, stop, cancel or question of rest, new, fill, canceled and so on of trading. Two numbers, like
    200..900, are drawn from the seed.
    """
    import asyncio
    from contextlib import ExitStack

    del verbose
    if not 0 <= port <= _PORT_MAX:
        raise UsageError(f"`--port {port}` is no port", hint=f"write a number from 0 to {_PORT_MAX}")
    if wait_for < 0 or frame_messages < 1:
        raise UsageError("`--wait-for` is below 0, or `--frame-messages` below 1", hint="write whole numbers above")
    with ExitStack() as stack:
        settings = served(tape, start, until, wait_for, faults, fault or [], seed)
        local = _exchange(
            stack,
            tape,
            log,
            speed=speed_of(speed),
            plan=plan,
            port=port,
            frame_messages=frame_messages,
            deflate=not no_deflate,
            **settings,
        )
        code = asyncio.run(_run(local, Format.JSONL if json else Format.TABLE, quiet=quiet, exit_at_end=exit_at_end))
    if code:
        raise typer.Exit(code)


def speed_of(text: str) -> float:
    """Market seconds in a second; 0 for `max`.

    Raises:
        UsageError: `text` is neither a number above 0 nor `max`.
    """
    if text == _MAX:
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise UsageError(f"`--speed {text}` is no speed", hint="write a number above 0, like 60, or max")
    return speed


def keys_of(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The only pair that opens the exchange, or none.

    Raises:
        UsageError: one of the two is there without the other.
    """
    key, secret = environ.get(KEY_VARIABLE, ""), environ.get(SECRET_VARIABLE, "")
    if bool(key) != bool(secret):
        given, missing = (KEY_VARIABLE, SECRET_VARIABLE) if key else (SECRET_VARIABLE, KEY_VARIABLE)
        raise UsageError(f"`{given}` is set without `{missing}`", hint="set both, or none to let every pair in")
    return (key, secret) if key else None


def served(
    tape: Path, start: str, until: str, wait_for: int, faults: Path | None, flags: list[str], seed: int | None
) -> dict[str, Any]:
    """Times and faults as `LocalExchange` takes them, from flags that need the tape's session.

    Raises:
        DataError: there is no tape.
        UsageError: a time of day or a fault cannot be meant.
    """
    from scalpcli.exchange.fault_script import read_script
    from scalpcli.runtime.tape import Tape

    session = Tape.open(tape).session
    return {"serving": _serving(session, start, until, wait_for), "faults": read_script(faults, flags, session, seed)}


def _serving(session: Session, start: str, until: str, wait_for: int) -> ServingRules:
    from scalpcli.exchange.serving import ServingRules
    from scalpcli.model.session import at_ns

    start_ns = at_ns(session, start) if start else 0
    until_ns = at_ns(session, until) if until else 0
    if until_ns and start_ns >= until_ns:
        raise UsageError(f"`--start {start}` is not before `--until {until}`", hint="write two times of day in order")
    return ServingRules(start_ns, until_ns, wait_for)


def _exchange(
    stack: ExitStack, tape: Path, log: Path | None, *, plan: str, faults: FaultScript, **settings: Any
) -> LocalExchange:
    from scalpcli.exchange.local import LocalExchange
    from scalpcli.exchange.plan import PLANS

    if plan not in PLANS:
        raise UsageError(f"`--plan {plan}` is no plan", hint=f"write {' or '.join(PLANS)}")
    file = stack.enter_context(log.open("w", encoding="utf-8")) if log is not None else None
    keys = keys_of(os.environ)
    return LocalExchange(tape, plan=PLANS[plan], faults=faults, keys=keys, log_file=file, keep_log=False, **settings)


async def _run(local: LocalExchange, form: Format, *, quiet: bool, exit_at_end: bool) -> int:
    """Serve until the end, a signal or a failure; the exit code."""
    import asyncio
    import signal
    import sys

    from scalpcli.cli.output import emit, emit_object, say
    from scalpcli.cli.shell import INTERRUPTED

    stopped: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def stop(code: int) -> None:
        if not stopped.done():
            stopped.set_result(code)

    for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 0)):
        asyncio.get_running_loop().add_signal_handler(number, stop, code)
    async with local:
        ready = {
            "symbol": local.market.symbol,
            "session": local.market.session.date.isoformat(),
            "rows": len(local.market.rows["kind"]),
            "rest": local.rest_url,
            "streams": local.stream_url,
            "record": f"scalpcli record --rehearse {local.rest_url}",
        }
        if form is Format.JSONL:
            emit([{"event": "ready", **ready}], form)
        else:
            emit_object(ready, form)
        sys.stdout.flush()
        say("time stands still until a client shows up; Ctrl-C ends", quiet=quiet)
        ended: asyncio.Future[Any] = asyncio.ensure_future(local.wait_end())
        await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
            say("the tape is at its end; connections stay open and silent", quiet=quiet or exit_at_end)
            if not exit_at_end:
                await stopped
        ended.cancel()
    done = {"event": "end", "rows_served": local.market.known, **local.log.totals}
    if form is Format.JSONL:
        emit([done], form)
    else:
        say(f"served {local.market.known:,} rows; {_totals(local.log.totals)}", quiet=quiet)
    return int(stopped.result()) if stopped.done() else 0


def _totals(totals: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in totals.items()) or "nobody listened"
