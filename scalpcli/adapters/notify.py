"""Tells the outside: a line when something happened, a heartbeat while all is well.

Decides how a URL is told. Nothing here may stop or delay a recording: each call has a time-out, and a failure is
counted and forgotten. A URL may hold a token, so no message of ours shows more than its host.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from scalpcli.errors import UsageError

ANSWER_S: Final = 10.0
"""Seconds that telling may take."""
LINES_WAITING_MAX: Final = 100
"""Lines that wait to be told; the oldest are dropped."""
_HTTP: Final = ("http", "https")
_DONE_BELOW: Final = 400


def check_url(url: str, flag: str, *, any_service: bool = False) -> None:
    """Refuse a URL that nobody can be told by.

    Args:
        url: The URL.
        flag: The flag it was given by, for the message.
        any_service: Take what apprise knows too, where it is installed.

    Raises:
        UsageError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme in _HTTP and parts.netloc:
        return
    if any_service and parts.scheme and importlib.util.find_spec("apprise") is not None:
        return
    hint = "write an address like https://hc-ping.com/…"
    if any_service:
        hint += "; other services (`mailto:`, `tgram:`, …) need `pip install apprise`"
    found = f"one that begins with `{parts.scheme}:`" if parts.scheme else "a text without `https://`"
    raise UsageError(f"`{flag}` takes a web address; found {found}", hint=hint)


class Notifier:
    """Tells one URL lines, in order, one at a time.

    Args:
        url: A web address, which gets each line as the body of a POST, or a URL of apprise; empty = nobody.
        answer_s: Seconds that telling may take.
    """

    def __init__(self, url: str, answer_s: float = ANSWER_S) -> None:
        self.told = 0
        self.failed = 0
        self._url = url
        self._answer_s = answer_s
        self._lines: deque[str] = deque(maxlen=LINES_WAITING_MAX)
        self._task: asyncio.Task[None] | None = None

    def say(self, line: str) -> None:
        """Have a line told soon; returns at once."""
        if not self._url:
            return
        self._lines.append(line)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._tell_all())

    async def close(self) -> None:
        """Wait until the lines are told, as long as telling one may take."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=self._answer_s)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _tell_all(self) -> None:
        while self._lines:
            is_told = await self._tell(self._lines.popleft())
            self.told += is_told
            self.failed += not is_told

    async def _tell(self, line: str) -> bool:
        if urlsplit(self._url).scheme in _HTTP:
            return await _ask("POST", self._url, self._answer_s, content=line.encode())
        try:
            # An extra that most do without: looked for when there is a line to tell.
            service = importlib.import_module("apprise").Apprise()
            service.add(self._url)
            return bool(await asyncio.wait_for(service.async_notify(body=line), self._answer_s))
        except Exception:  # noqa: BLE001 - services fail in their own ways; none may stop a recording
            return False


async def beat(url: str, answer_s: float = ANSWER_S) -> bool:
    """Ask a URL once, so that whoever watches it knows that we are alive; whether it answered well."""
    return await _ask("GET", url, answer_s)


async def _ask(method: str, url: str, answer_s: float, **content: Any) -> bool:
    # At INFO httpx logs the address whole.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        async with httpx.AsyncClient(timeout=answer_s) as client:
            answer = await client.request(method, url, **content)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return False
    return answer.status_code < _DONE_BELOW
