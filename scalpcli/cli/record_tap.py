"""`scalpcli record tap`: rows of a running recorder, as they come."""

from __future__ import annotations

import asyncio
import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.options import ConfigFiles, Overrides, Quiet, Verbose
from scalpcli.cli.tape import KindName
from scalpcli.errors import DataError, Interrupted

if TYPE_CHECKING:
    from scalpcli.model.block import Block
    from scalpcli.runtime.segment_format import Names

EXAMPLE = "Example: scalpcli record tap --symbol TSLA --kind stock_trade --rows 20"


def tap(
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="The underlying that is recorded")] = "TSLA",
    feed: Annotated[str | None, typer.Option(help="Its stock feed: sip or iex", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of tapes that the recorder writes to", show_default=False)
    ] = None,
    kind: Annotated[list[KindName] | None, typer.Option("--kind", help="Only rows of this kind; repeatable")] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", help="Stop after so many rows; 0 = when the recorder does")] = 0,
    config: ConfigFiles = None,
    param: Overrides = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print the rows of a running recorder as they come, one JSON object a line.

    Any number may listen; the recorder waits for none, and drops whoever falls behind. Prices are in USD.
    """
    from scalpcli.cli.output import say
    from scalpcli.config import load
    from scalpcli.runtime.lock import is_held, read_owner
    from scalpcli.runtime.recording import symbol_folder

    del verbose
    params = load(config, param).params.record
    folder, chosen = symbol_folder(out or Path(params.out), symbol), feed or params.feed
    owner = read_owner(folder, chosen)
    if not owner.tap or not is_held(folder, chosen):
        raise DataError(
            f"no recorder of {symbol} from {chosen} is running",
            place=f"`{folder}`",
            hint=f"start one with `scalpcli record --symbol {symbol}`, or name its folder with `--out`",
        )
    say(f"listens to process {owner.pid}", quiet=quiet)
    try:
        asyncio.run(_print_rows(owner.tap, {each.value for each in kind or ()}, rows))
    except KeyboardInterrupt:
        raise Interrupted("stopped") from None


async def _print_rows(path: str, kinds: set[str], rows_max: int) -> None:
    from scalpcli.runtime.tap import TapReader

    reader = await TapReader.open(path)
    printed = 0
    try:
        async for block in reader.blocks():
            for row in _words(block, reader.names, reader.header["symbol"]):
                if kinds and row["kind"] not in kinds:
                    continue
                sys.stdout.write(json_module.dumps(row, ensure_ascii=False) + "\n")
                printed += 1
                if printed == rows_max:
                    return
            sys.stdout.flush()
    finally:
        sys.stdout.flush()
        await reader.close()


def _words(block: Block, names: Names, symbol: str) -> list[dict[str, Any]]:
    """Rows as people read them: symbols, dollars, New York time."""
    from scalpcli.model.row import FLAG_NAMES, KIND_NAMES
    from scalpcli.model.session import ns_to_new_york
    from scalpcli.units import e4_to_usd

    columns = {name: values.tolist() for name, values in block.columns.items()}
    notes = iter(block.notes)
    found = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        contract = names.instruments.get(row["instrument_id"])
        kind = KIND_NAMES[row["kind"]]
        words: dict[str, Any] = {
            "received": ns_to_new_york(row["ts_recv_ns"]),
            "ts_recv_ns": row["ts_recv_ns"],
            "ts_event_ns": row["ts_event_ns"],
            "kind": kind,
            "symbol": contract.symbol if contract else symbol,
            "price": e4_to_usd(row["price_e4"]),
            "ask": e4_to_usd(row["ask_e4"]),
            "size": row["size"],
            "ask_size": row["ask_size"],
            "flags": [name for bit, name in FLAG_NAMES.items() if row["flags"] & bit],
            "conditions": names.conditions.get(row["conditions"], ""),
            "exchange": names.exchanges.get(row["exchange"], ""),
            "ask_exchange": names.exchanges.get(row["ask_exchange"], ""),
            "trade_id": row["trade_id"],
        }
        if kind == KindName.COLD:
            words["note"], words["body"] = next(notes)
        found.append(words)
    return found
