"""A real headless Chromium, driven over its own debugging protocol; no library beside websockets.

Tells what a page did: what it asked the network for, what it wrote to the console, what stands in its document.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websockets.sync.client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One open page."""

    def __init__(self, socket: Any, session: str) -> None:
        self._socket = socket
        self._session = session
        self._number = 0
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; events meanwhile are kept."""
        self._number += 1
        words = {"id": self._number, "method": method, "params": params, "sessionId": self._session}
        self._socket.send(json.dumps(words))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._number and message.get("sessionId") == self._session:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method", ""), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("text", "") + str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])

    def open(
        self, path: Path, *, width: int = 1200, height: int = 900, scheme: str = "light", mobile: bool = False
    ) -> None:
        """Open a file and wait until it has drawn."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        scale = 2 if mobile else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )
        self.scheme(scheme)
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + 20
        while (
            self.ask("document.readyState") != "complete" or self.ask("document.documentElement.dataset.drawn") is None
        ):
            assert time.monotonic() < deadline, f"the page never drew: {self.complaints}"
            time.sleep(0.05)

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark`."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def becomes(self, is_so: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Whether something comes true within a while: the page draws when it gets to it."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start Chromium with a profile of its own, open one empty page, end it."""
    assert CHROMIUM
    words = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(line.split(" on ")[1].strip() for line in process.stderr if "DevTools listening on" in line)
        with websockets.sync.client.connect(address, max_size=None, open_timeout=20) as socket:
            root = Page(socket, "")
            target = _at_root(root, "Target.createTarget", url="about:blank")["targetId"]
            session = _at_root(root, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            yield Page(socket, session)
    finally:
        process.kill()
        process.communicate()


def _at_root(page: Page, method: str, **params: Any) -> dict[str, Any]:
    """A command to the browser itself, which has no session."""
    page._number += 1
    page._socket.send(json.dumps({"id": page._number, "method": method, "params": params}))
    while True:
        message = json.loads(page._socket.recv(timeout=30))
        if message.get("id") == page._number and "sessionId" not in message:
            return message["result"]
