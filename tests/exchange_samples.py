"""A tape, a bare client and expectations for tests of the local exchange.

The expectations are derived from a tape's columns here once more: what the exchange sends is compared with them, not
with itself.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from scalpcli.model.row import COLUMNS, OPTION_QUOTE, OPTION_TRADE, STATUS, STOCK_QUOTE, STOCK_TRADE
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from scalpcli.runtime.tape import Tape

DAY = dt.date(2026, 11, 20)
STOCK_KINDS = (STOCK_TRADE, STOCK_QUOTE, STATUS)
OPTION_KINDS = (OPTION_TRADE, OPTION_QUOTE)
PACKED = {"Content-Type": "application/msgpack"}
ALL_STOCK = {"action": "subscribe", "trades": ["TSLA"], "quotes": ["TSLA"], "statuses": ["TSLA"]}
HALT_MINUTES = 100
"""A tape of so many minutes has a halt in it."""


def make_tape(root: Path, rows: int = 3000, **settings: Any) -> Path:
    """A synthetic tape of TSLA with a halt and four contracts."""
    given = {"date": DAY, "rows": rows, "contracts": 4, "seed": 11, "minutes": HALT_MINUTES, "halt": True, **settings}
    return write_synthetic(root, SyntheticSpec(**given))


def own_pair() -> dict[str, str]:
    """A key and a secret, made up at this moment."""
    return {"key": "k".join("ey"), "secret": "s".join("ecret")}


def expected(path: Path, kinds: tuple[int, ...]) -> list[dict[str, Any]]:
    """What the streams owe a subscriber of everything of some kinds, with times in nanoseconds."""
    tape = Tape.open(path)
    found: list[dict[str, Any]] = []
    for block in tape.batches(columns=tuple(COLUMNS)):
        for row in np.flatnonzero(np.isin(block["kind"], kinds)):
            values = {name: int(column[row]) for name, column in block.items()}
            found.append(expected_message(tape, values))
    return found


def expected_message(tape: Tape, row: dict[str, int]) -> dict[str, Any]:
    """The message of one row, by the rules of the wire."""
    text = tape.manifest.conditions[row["conditions"]]
    bid_exchange = tape.manifest.exchanges[row["exchange"]]
    common = {"S": tape.instruments[row["instrument_id"]].symbol, "t": row["ts_event_ns"]}
    price, size = round(row["price_e4"] * 1e-4, 4), row["size"]
    ask = {
        "ax": tape.manifest.exchanges[row["ask_exchange"]],
        "ap": round(row["ask_e4"] * 1e-4, 4),
        "as": row["ask_size"],
    }
    quote = {"T": "q", **common, "bx": bid_exchange, "bp": price, "bs": size, **ask}
    trade = {"T": "t", **common, "x": bid_exchange, "p": price, "s": size}
    if row["kind"] == OPTION_QUOTE:
        return {**quote, "c": text}
    if row["kind"] == OPTION_TRADE:
        return {**trade, "c": text}
    if row["kind"] == STOCK_QUOTE:
        return {**quote, "c": list(text), "z": "C"}
    if row["kind"] == STOCK_TRADE:
        return {**trade, "i": row["trade_id"], "c": list(text), "z": "C"}
    begins = bool(row["flags"] & 2048)
    words = {"sm": "Trading Halt" if begins else "Trading Resumption", "rm": ""}
    return {"T": "s", **common, "sc": "H" if begins else text, "rc": text if begins else "", **words, "z": "C"}


def rows_of(path: Path, kinds: tuple[int, ...]) -> list[int]:
    """Numbers of the rows of some kinds."""
    blocks = Tape.open(path).batches(columns=("kind",))
    return np.flatnonzero(np.isin(np.concatenate([block["kind"] for block in blocks]), kinds)).tolist()


class Client:
    """A client that speaks the protocol by hand."""

    def __init__(self, socket: ClientConnection, *, packed: bool) -> None:
        self.socket = socket
        self.packed = packed

    async def say(self, **message: Any) -> None:
        await self.socket.send(msgpack.packb(message) if self.packed else json.dumps(message))

    async def hear(self) -> Any:
        """The next frame, times as nanoseconds."""
        frame = await self.socket.recv()
        return in_nanoseconds(msgpack.unpackb(frame) if self.packed else json.loads(frame))

    async def hear_all(self, count: int) -> list[dict[str, Any]]:
        """The next messages, whatever their frames."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += await self.hear()
        return found

    async def enter(self) -> None:
        """Do the handshake."""
        assert await self.hear() == [{"T": "success", "msg": "connected"}]
        await self.say(action="auth", **own_pair())
        assert await self.hear() == [{"T": "success", "msg": "authenticated"}]

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Say something and hear its one-message answer."""
        await self.say(**message)
        (answer,) = await self.hear()
        return answer


@asynccontextmanager
async def client_of(url: str, *, packed: bool = True, enter: bool = True, **settings: Any) -> AsyncIterator[Client]:
    """A connected client."""
    headers = {**(PACKED if packed else {}), **settings.pop("headers", {})}
    given = {"proxy": None, "compression": None, "max_queue": 4096, "close_timeout": 0.2, **settings}
    async with connect(url, additional_headers=headers, **given) as socket:
        client = Client(socket, packed=packed)
        if enter:
            await client.enter()
        yield client


def in_nanoseconds(messages: Any) -> Any:
    """Messages with `t` as a whole number of nanoseconds."""
    if not isinstance(messages, list):
        return messages
    return [{**item, "t": nanoseconds(item["t"])} if "t" in item else item for item in messages]


def nanoseconds(moment: Any) -> int:
    """UTC nanoseconds of a msgpack Timestamp or of RFC 3339 with nine decimals."""
    if isinstance(moment, msgpack.Timestamp):
        return moment.to_unix_nano()
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    assert len(fraction) == 9
    return int(dt.datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(fraction)
