"""Fault scripts: what a local exchange does wrong, where, when and how often.

Decides the names of faults, their settings and bounds, and reads them from TOML (`--faults FILE`) or from a flag
(`--fault NAME=SCOPE,KEY=VALUE,…`). Leaves doing it to `faults.py`.

A script in TOML:

    seed = 7

    [[fault]]
    name = "drop"
    scope = "stock"
    after_messages = [200, 900]   # drawn once from the seed
    count = 3

As a flag: `--fault drop=stock,after_messages=200..900,count=3`.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import UsageError
from scalpcli.model.session import Session, at_ns


class Scope(StrEnum):
    """Which service a fault befalls."""

    STOCK = "stock"
    OPTION = "option"
    TRADING = "trading"
    REST = "rest"


STREAMS: Final = (Scope.STOCK, Scope.OPTION)
_SOCKETS: Final = (*STREAMS, Scope.TRADING)


class FaultName(StrEnum):
    """What can go wrong."""

    DROP = "drop"
    """Connections are cut (TCP reset); new ones are cut as well for `duration_s`, and for `hold_s` the dead one still
    counts for error 406."""
    STALL = "stall"
    """Open connections get no data for `duration_s` (0: until they close); pings are answered, what passes is lost."""
    HALF_CLOSE = "half_close"
    """The server ends its side of open connections; what passes from then on is lost to them."""
    DELAY = "delay"
    """For `duration_s`, data goes out `delay_ms` late, in order."""
    DUPLICATE = "duplicate"
    """The next `messages` go out twice, the second time up to `window` messages later."""
    REORDER = "reorder"
    """The next `messages` go out in a drawn order within each `window`."""
    COALESCE = "coalesce"
    """The next `messages` go out `window` to a frame."""
    GARBAGE = "garbage"
    """`messages` frames of nonsense go out between data: `form` is `bytes`, `unknown` (an unknown type of message),
    `truncated` (a message cut off) or drawn each time."""
    REFUSE = "refuse"
    """`count` attempts (0: all) are answered with `code`, where Alpaca would say it: 429 and 5xx at the upgrade or
    the request, 402, 406 and 409 at authentication, 405 and 413 at a subscription, 407 amid data."""
    LOSE_ANSWER = "lose_answer"
    """`count` requests are carried out and then answered with `code` (504): an order that was accepted after all."""
    HANG = "hang"
    """`count` requests are carried out and not answered before `duration_s` (0: until the client gives up)."""
    REJECT = "reject"
    """`count` orders are refused with `code` (403 or 422) and Alpaca's words."""
    REJECT_LATE = "reject_late"
    """`count` orders are taken and rejected when they reach the market."""
    SLICE = "slice"
    """`count` orders fill `contracts` at each quote at most."""
    FILL_ON_CANCEL = "fill_on_cancel"
    """`count` orders whose end was asked for fill whole instead, at their limit."""
    LIQUIDATE = "liquidate"
    """The broker sells every position by an order nobody sent; with `on`, after such an update."""
    LOSE_UPDATE = "lose_update"
    """The next `messages` trade updates are lost."""
    LATE_UPDATE = "late_update"
    """The next `messages` trade updates go out `delay_ms` late, after those that follow them."""
    REPEAT_UPDATE = "repeat_update"
    """The next `messages` trade updates go out a second time, `delay_ms` later."""
    HALT = "halt"
    """For `duration_s` the underlying is halted: a status says so, trades of it and of its options stop and are lost,
    a status ends it. History and the simulated broker do not know of it."""
    CLOCK_STEP = "clock_step"
    """Event times are `delay_ms` ahead (behind, if below 0) for `duration_s` (0: from then on)."""


_WHERE: Final[Mapping[FaultName, tuple[Scope, ...]]] = {
    FaultName.DROP: _SOCKETS,
    FaultName.STALL: _SOCKETS,
    FaultName.HALF_CLOSE: _SOCKETS,
    FaultName.DELAY: STREAMS,
    FaultName.DUPLICATE: STREAMS,
    FaultName.REORDER: STREAMS,
    FaultName.COALESCE: STREAMS,
    FaultName.GARBAGE: STREAMS,
    FaultName.REFUSE: tuple(Scope),
    FaultName.LOSE_ANSWER: (Scope.REST,),
    FaultName.HANG: (Scope.REST,),
    FaultName.REJECT: (Scope.REST,),
    FaultName.REJECT_LATE: (Scope.REST,),
    FaultName.SLICE: (Scope.REST,),
    FaultName.FILL_ON_CANCEL: (Scope.REST,),
    FaultName.LIQUIDATE: (Scope.TRADING,),
    FaultName.LOSE_UPDATE: (Scope.TRADING,),
    FaultName.LATE_UPDATE: (Scope.TRADING,),
    FaultName.REPEAT_UPDATE: (Scope.TRADING,),
    FaultName.HALT: (Scope.STOCK,),
    FaultName.CLOCK_STEP: STREAMS,
}
HTTP_CODES: Final = (429, 500, 502, 503, 504)
"""Refusals of the upgrade or of a request."""
AUTH_CODES: Final = (402, 406, 409)
SUBSCRIBE_CODES: Final = (405, 413)
SLOW_CLIENT: Final = 407
_CODES: Final[Mapping[Scope, tuple[int, ...]]] = {
    Scope.STOCK: (*AUTH_CODES, *SUBSCRIBE_CODES, SLOW_CLIENT, *HTTP_CODES),
    Scope.OPTION: (*AUTH_CODES, *SUBSCRIBE_CODES, SLOW_CLIENT, *HTTP_CODES),
    Scope.TRADING: (402, *HTTP_CODES),
    Scope.REST: HTTP_CODES,
}
COUNTED: Final = frozenset(
    {
        FaultName.LOSE_ANSWER,
        FaultName.HANG,
        FaultName.REJECT,
        FaultName.REJECT_LATE,
        FaultName.SLICE,
        FaultName.FILL_ON_CANCEL,
    }
)
"""Faults whose `count` tells how many requests or orders they hit; they happen once."""
REJECT_CODES: Final = (403, 422)
_OWN_CODES: Final = {FaultName.REJECT: REJECT_CODES}
_DEFAULT_CODES: Final = {FaultName.LOSE_ANSWER: 504, FaultName.REJECT: 403}
FORMS: Final = ("bytes", "unknown", "truncated")
ORDER_WORDS: Final = ("order", "buy", "sell", "limit", "market", "stop", "cancel", "question")
UPDATE_WORDS: Final = ("new", "fill", "partial_fill", "canceled", "rejected", "expired", "replaced")
_WORDS: Final[Mapping[Scope, tuple[str, ...]]] = {Scope.REST: ORDER_WORDS, Scope.TRADING: UPDATE_WORDS}
"""What `on` may name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of a script, its ranges drawn.

    Attributes:
        name: What happens.
        scope: Where.
        at_ns: Market time at which it happens, UTC nanoseconds; 0 = not by market time.
        at_s: Seconds of this machine after serving began; below 0 = not by these.
        after_messages: Messages of the scope (requests, for REST) after which it happens; 0 = not by these.
            With none of the three it holds from the start.
        duration_s: How long it lasts, seconds of this machine.
        count: How often it happens, each after the same wait; for refusals and lost answers how many are hit.
        messages: How many messages it befalls each time.
        window: Messages of a frame, or among which order is drawn.
        delay_ms: Lateness, or the step of the clock, milliseconds.
        hold_s: How long a cut connection still counts as open, seconds.
        code: Error or HTTP status of a refusal.
        form: Kind of garbage; empty = drawn each time.
        path: REST: only requests whose path begins with it.
        method: REST: only requests of this method; empty = any.
        on: Only requests and orders of this kind (`ORDER_WORDS`), or updates of this event (`UPDATE_WORDS`).
        nth: The first of them to be hit, counted from 1 once the fault began.
        contracts: Of a slice.
    """

    name: FaultName
    scope: Scope
    at_ns: int = 0
    at_s: float = -1.0
    after_messages: int = 0
    duration_s: float = 0.0
    count: int = 1
    messages: int = 1
    window: int = 8
    delay_ms: float = 500.0
    hold_s: float = 0.0
    code: int = 503
    form: str = ""
    path: str = "/"
    method: str = ""
    on: str = ""
    nth: int = 1
    contracts: int = 1


@dataclass(frozen=True, slots=True)
class FaultScript:
    """Faults in the order they were written, and the seed of all chance in them."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0


# Setting -> type, lowest and highest value.
_NUMBERS: Final[Mapping[str, tuple[type, float, float]]] = {
    "at_s": (float, 0, 86_400),
    "after_messages": (int, 1, 1_000_000_000),
    "duration_s": (float, 0, 86_400),
    "count": (int, 0, 1_000_000),
    "messages": (int, 1, 1_000_000),
    "window": (int, 2, 10_000),
    "delay_ms": (float, -3_600_000, 3_600_000),
    "hold_s": (float, 0, 600),
    "code": (int, 400, 599),
    "nth": (int, 1, 1_000_000),
    "contracts": (int, 1, 1_000_000),
}
_TEXTS: Final = ("name", "scope", "at", "form", "path", "method", "on")
_RANGE: Final = ".."
_TRIGGERS: Final = ("at", "at_s", "after_messages")


@dataclass(slots=True)
class _Reader:
    """Checks one entry after the other; chance is drawn in their order."""

    session: Session
    seed: int
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a script must be repeatable, not secret

    def fault(self, entry: Mapping[str, Any], place: str) -> Fault:
        """An entry as a fault.

        Raises:
            UsageError: naming the setting, its value and what may stand there.
        """
        known = (*_TEXTS, *_NUMBERS)
        for key in entry:
            if key not in known:
                raise UsageError(f"a fault has no setting `{key}`", place=place, hint=f"settings: {', '.join(known)}")
        name = _choice(FaultName, entry.get("name"), "name", place)
        scope = _choice(Scope, entry.get("scope"), "scope", place)
        if scope not in _WHERE[name]:
            raise UsageError(
                f"`{name}` cannot befall `{scope}`", place=place, hint=f"it can befall {', '.join(_WHERE[name])}"
            )
        if len([key for key in _TRIGGERS if key in entry]) > 1:
            raise UsageError(
                "a fault has more than one beginning", place=place, hint=f"give one of {', '.join(_TRIGGERS)}"
            )
        numbers = {key: self._number(key, entry[key], place) for key in _NUMBERS if key in entry}
        if name is FaultName.REFUSE or name in _DEFAULT_CODES:
            codes = _OWN_CODES.get(name, _CODES[scope])
            if numbers.setdefault("code", _DEFAULT_CODES.get(name, 503)) not in codes:
                raise UsageError(
                    f"`{scope}` cannot {'reject' if name is FaultName.REJECT else 'refuse'} with {numbers['code']}",
                    place=place,
                    hint=f"it can with {', '.join(map(str, codes))}",
                )
        words = _WORDS.get(scope, ())
        if "on" in entry and entry["on"] not in words:
            hint = f"write one of {', '.join(words)}" if words else f"only {Scope.REST} and {Scope.TRADING} have it"
            raise UsageError(f"`on` is `{entry['on']}`", place=place, hint=hint)
        form = entry.get("form", "")
        if form and form not in FORMS:
            raise UsageError(f"`form` is `{form}`", place=place, hint=f"write one of {', '.join(FORMS)}")
        texts: dict[str, Any] = {key: str(entry[key]) for key in ("form", "path", "method", "on") if key in entry}
        at = at_ns(self.session, str(entry["at"])) if "at" in entry else 0
        return Fault(name, scope, at_ns=at, **numbers, **texts)

    def _number(self, key: str, value: Any, place: str) -> Any:
        kind, low, high = _NUMBERS[key]
        ends = value if isinstance(value, list) else [value]
        is_range = len(ends) == 2
        fits = all(isinstance(end, int | float) and not isinstance(end, bool) and low <= end <= high for end in ends)
        if not fits or len(ends) not in (1, 2) or (is_range and ends[0] > ends[1]):
            raise UsageError(
                f"`{key}` is `{value}`",
                place=place,
                hint=f"write a number from {low:g} to {high:g}, or two of them to draw from",
            )
        if kind is int:
            return self.random.randint(int(ends[0]), int(ends[-1]))
        return self.random.uniform(ends[0], ends[-1]) if is_range else float(ends[0])


def read_script(path: Path | None, flags: Sequence[str], session: Session, seed: int | None = None) -> FaultScript:
    """The script of a file and of flags, the file's faults first.

    Args:
        path: TOML file, or none.
        flags: `NAME=SCOPE,KEY=VALUE,…` each.
        session: Gives `at` its day.
        seed: Replaces the file's; 0 where neither says one.

    Raises:
        UsageError: the file cannot be read, or a fault cannot be meant.
    """
    script = _read_toml(path) if path is not None else {}
    unknown = [key for key in script if key not in ("seed", "fault")]
    if unknown:
        raise UsageError(f"`{unknown[0]}` is no part of a script", place=f"`{path}`", hint="write `seed`, `[[fault]]`")
    drawn = script.get("seed", 0) if seed is None else seed
    entries = script.get("fault", [])
    if not isinstance(drawn, int) or not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise UsageError("the script is not a whole number `seed` and tables `[[fault]]`", place=f"`{path}`")
    reader = _Reader(session, drawn)
    faults = [reader.fault(entry, f"`{path}`, fault {number}") for number, entry in enumerate(entries, 1)]
    faults += [reader.fault(parse_flag(flag), f"`--fault {flag}`") for flag in flags]
    return FaultScript(tuple(faults), drawn)


def parse_flag(text: str) -> dict[str, Any]:
    """The entry that `NAME=SCOPE,KEY=VALUE,…` means.

    Raises:
        UsageError: the text is not of that shape.
    """
    parts = [part.strip().partition("=") for part in text.split(",")]
    if any(not sign or not key or not value for key, sign, value in parts):
        raise UsageError(
            f"`--fault {text}` is not NAME=SCOPE,KEY=VALUE,…",
            hint="write for example --fault drop=stock,after_messages=500",
        )
    (name, _, scope), *rest = parts
    return {"name": name, "scope": scope} | {key: _value(key, value) for key, _, value in rest}


def _value(key: str, text: str) -> Any:
    if key in _TEXTS:
        return text
    try:
        ends = [float(end) if "." in end else int(end) for end in text.split(_RANGE)]
    except ValueError:
        return text
    return ends if len(ends) > 1 else ends[0]


def _choice(kind: type[StrEnum], value: Any, what: str, place: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        found = f"`{value}` is no {what} of a fault" if value else f"a fault has no `{what}`"
        raise UsageError(found, place=place, hint=f"write one of {', '.join(kind)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the fault script cannot be read: {error.strerror}", place=f"`{path}`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the fault script is not TOML: {error}", place=f"`{path}`") from None
