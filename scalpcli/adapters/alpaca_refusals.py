"""What a stream's refusal means: come back at once, come back slowly, or end with a message.

Decides by code and HTTP status, never by text, and tells nothing that could hold a key.
Source: Alpaca's table of stream errors; alpaca-go (which codes end a stream).
"""

from __future__ import annotations

from typing import Final

from scalpcli.errors import ConfigError, CredentialsError, ScalpcliError, UsageError

ALREADY_AUTHENTICATED: Final = 403
SYMBOL_LIMIT: Final = 405
NOT_ENTITLED: Final = 409
_SLOW_CODES: Final = frozenset({406})
_SLOW_STATUSES: Final = frozenset({429})
_KEYS: Final = "check the key and the secret, and that they are for this host: paper and live have different ones"

_WORDS: Final = {
    401: "not authenticated",
    404: "authentication took too long",
    406: "too many connections",
    407: "we read too slowly",
    429: "reconnecting too fast",
    500: "internal error of the server",
}
_FATAL_CODES: Final[dict[int, tuple[type[ScalpcliError], str, str]]] = {
    400: (UsageError, "the request was refused as invalid", "check the symbols"),
    402: (CredentialsError, "the keys were refused", _KEYS),
    405: (ConfigError, "more symbols were asked for than the plan allows", "lower `record.max_contracts`"),
    409: (
        CredentialsError,
        "the subscription does not include this feed",
        "use `--feed iex` or `--option-feed indicative`, or subscribe to the feed",
    ),
    410: (ConfigError, "this feed has no such channel", "check `record.feed` and `record.option_feed`"),
    411: (CredentialsError, "the keys have no right to this stream", "make keys that may read market data"),
    412: (ConfigError, "the server takes no msgpack where options need it", "check `alpaca.stream_url`"),
    413: (ConfigError, "all option quotes at once cannot be had", "name contracts"),
}
_FATAL_STATUSES: Final = frozenset({401, 403})


class Refused(Exception):
    """A connection that did not come about or was ended, and what to do about it.

    Args:
        cause: Few words, for gap rows.
        is_slow: Come back slowly.
        fatal: The error that ends the stream, or none.
        code: The server's code; 0 without one.
    """

    def __init__(self, cause: str, *, is_slow: bool = False, fatal: ScalpcliError | None = None, code: int = 0) -> None:
        super().__init__(cause)
        self.cause = cause
        self.is_slow = is_slow
        self.fatal = fatal
        self.code = code


def refusal_of_code(code: int, stream: str) -> Refused:
    """What an error message with `code` on the stream called `stream` means."""
    fatal = _FATAL_CODES.get(code)
    if fatal is not None:
        kind, found, hint = fatal
        return Refused(f"refused {code}", fatal=kind(f"{found} ({code})", place=stream, hint=hint), code=code)
    cause = f"{_WORDS.get(code, 'refused')} {code}" if code else "refused"
    return Refused(cause, is_slow=code in _SLOW_CODES or code in _SLOW_STATUSES, code=code)


def refusal_of_status(status: int, stream: str) -> Refused:
    """What an HTTP `status` instead of a stream means."""
    if status in _FATAL_STATUSES:
        fatal = CredentialsError(f"the keys were refused (HTTP {status})", place=stream, hint=_KEYS)
        return Refused(f"HTTP {status}", fatal=fatal, code=status)
    return Refused(f"HTTP {status}", is_slow=status in _SLOW_STATUSES, code=status)
