"""The tap: a recorder's rows, as they come, for other processes of the same user.

Alpaca allows one connection per feed; the process that owns it offers its rows on a Unix socket of mode 0600 in a
folder of mode 0700. A reader connects and reads, and writes nothing. What it gets are the frames of
`segment_format.py`, as in a recording: first BEGIN, whose JSON has `header` (symbol, session, feeds) and `names`
(contracts, conditions and exchanges known so far); then NAMES before the rows that use new ones, and ROWS; END when
the recorder stopped in order. A frame's `first_row` counts the rows of the recording before it.

Rows reach readers up to `flush_ms` before they are on disk. A reader that lets `WAITING_BYTES_MAX` pile up is
dropped: its connection ends without END. The recorder waits for no one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import zstandard

from scalpcli.errors import DataError, UpstreamUnavailable
from scalpcli.model.block import Block
from scalpcli.model.row import COLD, COLUMNS
from scalpcli.runtime import socket_folder
from scalpcli.runtime.segment_format import (
    BEGIN,
    END,
    FRAME_ROWS_MAX,
    HEADER_BYTES,
    NAMES,
    ROWS,
    VERSION,
    Names,
    pack_frame,
    pack_rows,
    unpack_header,
    unpack_rows,
)
from scalpcli.runtime.socket_folder import RUNTIME_VARIABLE, make_folder, protect, runtime_folder

WAITING_BYTES_MAX: Final = 8 << 20
"""Bytes one reader may be behind."""
READERS_MAX: Final = 64
_FRAME_BYTES_MAX: Final = 64 << 20
_PROCESS: Final = 1
# The level is low: rows cross one machine once, and the event loop packs them.
_LEVEL: Final = 1
_KIND: Final = "tap"


class Tap:
    """The writing end, in the recorder's event loop.

    Args:
        header: What readers are told first: `symbol`, `session`, `feeds`.
        names: Contracts and codes that are known already.
        rows: Rows of the recording so far.
        waiting_bytes_max: Bytes one reader may be behind.
    """

    def __init__(
        self,
        header: Mapping[str, Any],
        names: Names | None = None,
        rows: int = 0,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self.dropped = 0
        self._header = dict(header)
        self._names = names or Names()
        self._rows = rows
        self._last_ns = 0
        self._waiting_bytes_max = waiting_bytes_max
        self._readers: set[asyncio.StreamWriter] = set()
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None

    @property
    def count(self) -> int:
        """Readers that are connected."""
        return len(self._readers)

    @property
    def path(self) -> str:
        """The socket; empty while the tap is not open."""
        return str(self._folder / "rows") if self._folder else ""

    async def open(self) -> None:
        """Listen from now on.

        Raises:
            DataError: no folder for the socket can be made.
        """
        try:
            self._folder = make_folder(_KIND)
            self._server = await asyncio.start_unix_server(self._serve, self.path)
            protect(Path(self.path))
        except OSError as error:
            raise DataError(
                f"the tap cannot listen: {(error.strerror or str(error)).lower()}",
                place=f"`{self._folder or runtime_folder()}`",
                hint=f"set {RUNTIME_VARIABLE} to a short path of a folder of your own",
            ) from None

    async def close(self) -> None:
        """Say that recording ended, and take the socket away."""
        end = self._frame(END, {"rows": self._rows})
        for reader in self._readers.copy():
            reader.write(end)
            reader.close()
        self._readers.clear()
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def publish(self, block: Block) -> None:
        """Hand a block to every reader; one that is too far behind is dropped."""
        new = self._names.new_of(block, "the tap")
        self._names.update(new)
        if self._readers:
            names = self._frame(NAMES, new.to_plain()) if new else b""
            data = names + b"".join(self._row_frames(block))
            for reader in self._readers.copy():
                self._hand(reader, data)
        self._rows += block.rows
        if block.rows:
            self._last_ns = int(block.columns["ts_recv_ns"][-1])

    def _row_frames(self, block: Block) -> list[bytes]:
        frames, noted = [], 0
        for begin in range(0, block.rows, FRAME_ROWS_MAX):
            part = {name: block.columns[name][begin : begin + FRAME_ROWS_MAX] for name in COLUMNS}
            rows = len(part["kind"])
            # Notes pair with cold rows; a block that is cut keeps them with the rows they belong to.
            cold = int((part["kind"] == COLD).sum())
            payload = self._compress(pack_rows(part, block.notes[noted : noted + cold]))
            last_ns = int(part["ts_recv_ns"][-1])
            frames.append(pack_frame(ROWS, payload, _PROCESS, rows=rows, first_row=self._rows + begin, last_ns=last_ns))
            noted += cold
        return frames

    def _hand(self, reader: asyncio.StreamWriter, data: bytes) -> None:
        if reader.is_closing():
            self._readers.discard(reader)
            return
        reader.write(data)
        if reader.transport.get_write_buffer_size() > self._waiting_bytes_max:
            self._readers.discard(reader)
            self.dropped += 1
            reader.transport.abort()

    def _frame(self, kind: int, value: Mapping[str, Any]) -> bytes:
        payload = self._compress(json.dumps(value, ensure_ascii=False).encode())
        return pack_frame(kind, payload, _PROCESS, first_row=self._rows, last_ns=self._last_ns)

    async def _serve(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        if len(self._readers) >= READERS_MAX:
            outgoing.close()
            return
        # Told and admitted in one turn of the event loop: no block comes between.
        outgoing.write(self._frame(BEGIN, {"header": self._header, "names": self._names.to_plain()}))
        self._readers.add(outgoing)
        with contextlib.suppress(ConnectionError):
            # A reader has nothing to say; its end of file tells that it left.
            await incoming.read(1)
        self._readers.discard(outgoing)
        outgoing.close()


class TapReader:
    """The reading end of a tap.

    Attributes:
        header: Symbol, session and feeds of what is recorded.
        names: Contracts and codes, as far as rows used them.
        rows: Rows of the recording before the next block.
        is_complete: Whether the recorder said that it stopped.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.header: dict[str, Any] = {}
        self.names = Names()
        self.rows = 0
        self.is_complete = False
        self._reader = reader
        self._writer = writer
        self._decompress = zstandard.ZstdDecompressor().decompress

    @classmethod
    async def open(cls, path: str) -> TapReader:
        """Connect to a tap and read what it holds.

        Raises:
            UpstreamUnavailable: nobody listens there.
            DataError: what listens there is no tap, or a newer one.
        """
        try:
            result = cls(*await asyncio.open_unix_connection(path))
        except OSError as error:
            raise UpstreamUnavailable(
                f"the recorder's tap does not answer: {(error.strerror or str(error)).lower()}",
                place=f"`{path}`",
                hint="it may have stopped a moment ago; try again",
            ) from None
        frame = await result._next()
        if frame is None or frame[0] != BEGIN:
            await result.close()
            raise DataError("what listens there is no tap", place=f"`{path}`")
        told = json.loads(frame[1])
        result.header = told["header"]
        result.names = Names.from_plain(told["names"])
        result.rows = frame[3]
        return result

    async def blocks(self) -> AsyncIterator[Block]:
        """Blocks as they come, until the recorder stops; `names` is ahead of the rows that use it.

        Raises:
            UpstreamUnavailable: the connection ended without the recorder's word: it died, or this reader was
                too slow.
        """
        try:
            while (frame := await self._next()) is not None:
                kind, data, rows, self.rows = frame
                if kind == END:
                    self.is_complete = True
                    return
                if kind == NAMES:
                    self.names.update(Names.from_plain(json.loads(data)))
                elif kind == ROWS:
                    columns, notes = unpack_rows(data, rows)
                    self.rows += rows
                    yield Block(columns, tuple(notes))
        finally:
            self._writer.close()
        raise UpstreamUnavailable(
            "the recorder's tap ended without a word", hint="this reader was too slow, or the recorder died"
        )

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _next(self) -> tuple[int, bytes, int, int] | None:
        """Kind, content, rows and rows before of the next frame; nothing at the end."""
        try:
            header = unpack_header(await self._reader.readexactly(HEADER_BYTES))
            if header is None or header.version > VERSION or header.length > _FRAME_BYTES_MAX:
                raise DataError("the tap speaks another language", hint="use one version of scalpcli on both sides")
            payload = await self._reader.readexactly(header.length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return header.kind, self._decompress(payload), header.rows, header.first_row


def remove_leftover(path: str) -> None:
    """Remove the socket that a killed recorder left, and its folder."""
    socket_folder.remove_leftover(path, _KIND)
