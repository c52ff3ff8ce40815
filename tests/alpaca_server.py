"""A small HTTP server that answers as a test tells it to; knows nothing of Alpaca."""

from __future__ import annotations

import json
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Script:
    """Answers by path: a body, or (status, body), or (status, body, headers), or a function of the query.

    A list gives one answer a request, its last one for ever. Every request is kept in `seen`.
    """

    def __init__(self, routes):
        self.routes = dict(routes)
        self.seen = []
        self.url = ""

    def answer(self, method, path, query, headers, body):
        self.seen.append((method, path, query, headers, body))
        given = self.routes.get(path, (404, {"code": 40410000, "message": "not found"}))
        if isinstance(given, list):
            given = given.pop(0) if len(given) > 1 else given[0]
        if callable(given):
            given = given(query)
        if not isinstance(given, tuple):
            given = (200, given)
        status, content, *more = given
        return status, content, more[0] if more else {}

    def count(self, path):
        return sum(1 for request in self.seen if request[1] == path)


@contextmanager
def serving(routes):
    """Run a `Script` on a free port of this machine."""
    script = Script(routes)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self):
            parts = urllib.parse.urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode() if length else ""
            query = dict(urllib.parse.parse_qsl(parts.query))
            status, content, headers = script.answer(self.command, parts.path, query, dict(self.headers), body)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PATCH = _any  # noqa: N815 - http.server's own names

        def log_message(self, *args):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            """A client that left while we answered is what some tests are about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
