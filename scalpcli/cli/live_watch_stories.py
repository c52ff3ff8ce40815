"""Decisions as stories for a screen: one line a trigger or an event, with its verdict and the numbers behind it.

Decides how the last decisions are told. A trigger, its refusals, its signal, fills, exit and result are one story,
which stands where its last word came. What a signal did whose beginning is not among them is told by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.cli.live_watch_text import BAD, DIM, GOOD, PLAIN, WARN, Line, Span, clean, clock, line, number, signed
from scalpcli.units import E4_PER_USD

_Body = Mapping[str, Any]


@dataclass(slots=True)
class Story:
    """One trigger, or one event of the session.

    Attributes:
        ts_ns: When its last word came, UTC nanoseconds.
        title: Trigger and side, or what happened.
        entry: What was bought, empty before it was.
        verdict: What became of it last.
    """

    ts_ns: int
    title: str
    entry: Line = ()
    verdict: Line = ()

    def told(self) -> Line:
        """The story as one line: time, trigger, verdict."""
        parts = [part for part in (self.entry, self.verdict) if part]
        words = line(*(part for each in parts for part in (each, "; ")))[:-1] if parts else ()
        return line(Span(clock(self.ts_ns), DIM), "  ", f"{self.title:<20}  ", words)


def stories(decisions: Sequence[_Body]) -> list[Story]:
    """Stories of decisions in their order, the latest first.

    Args:
        decisions: Records of the journal with `ts_ns` and `kind`, oldest first.
    """
    book: dict[object, Story] = {}
    episodes: dict[object, object] = {}
    for place, body in enumerate(decisions):
        kind, ts_ns = body["kind"], body["ts_ns"]
        if kind in _EVENTS:
            title, words = _EVENTS[kind](body)
            book["event", place] = Story(ts_ns, title, verdict=words)
        elif kind in _VERDICTS:
            story = _story_of(body, book, episodes)
            story.ts_ns = ts_ns
            _VERDICTS[kind](story, body)
    return sorted(book.values(), key=lambda story: -story.ts_ns)


def _story_of(body: _Body, book: dict[object, Story], episodes: dict[object, object]) -> Story:
    """The story that a record belongs to; begun where it has none yet."""
    signal = body.get("signal")
    key: object = ("episode", body["episode"]) if "episode" in body else episodes.get(signal, ("signal", signal))
    if signal is not None:
        episodes[signal] = key
    title = f"{body['trigger']} {body['side']}" if "trigger" in body else f"signal {signal}"
    return book.setdefault(key, Story(body["ts_ns"], title))


def _judged(body: _Body) -> str:
    """Gate and numbers of a refusal."""
    numbers = ""
    if body["value"] is not None and body["limit"] is not None:
        numbers = f" {number(body['value'])} / {number(body['limit'])}"
    detail = f" ({clean(body['detail'])})" if body["detail"] else ""
    return f"{body['gate']}{numbers}{detail}"


def _usd(price_e4: float, digits: int = 2) -> str:
    return number(price_e4 / E4_PER_USD, digits)


def _seen(story: Story, _body: _Body) -> None:
    story.verdict = line(Span("seen", DIM))


def _refused(story: Story, body: _Body) -> None:
    word, role = ("refused: ", BAD) if body["standing"] else ("waits: ", WARN)
    story.verdict = line(Span(word, role), _judged(body))


def _missed(story: Story, body: _Body) -> None:
    story.verdict = line(Span("missed: ", BAD), _judged(body), Span(f", {body['offers']} x", DIM))


def _signalled(story: Story, body: _Body) -> None:
    wanted = f"{body['suggested_contracts']} {body['option_symbol']} at {_usd(body['entry_price_target_e4'])}"
    story.verdict = line(Span("signal: ", GOOD), wanted, Span(f", confidence {body['confidence']}", DIM))


def _ordered(story: Story, body: _Body) -> None:
    price = f"at {_usd(body['limit_e4'])}" if body["limit_e4"] else "at the market"
    verb = "buying" if body["side"] == "buy" else "selling" if body["leg"] != "protect" else "protective stop:"
    words = f"{verb} {body['quantity']} {price}, try {body['try']}"
    story.verdict = line(words, Span(f" ({clean(body['reason'])})", DIM))


def _filled(story: Story, body: _Body) -> None:
    if body["leg"] == "entry":
        story.entry = line(Span(f"bought {body['filled']} at {_usd(body['price_e4'])}", GOOD))
        story.verdict = ()
    else:
        story.verdict = line(f"sold {body['filled']} at {_usd(body['price_e4'])}, {body['held']} still held")


def _ended(word: str, role: str) -> Callable[[Story, _Body], None]:
    def tell(story: Story, body: _Body) -> None:
        story.verdict = line(Span(f"{word}: ", role), clean(body["reason"]))

    return tell


def _leaving(story: Story, body: _Body) -> None:
    story.verdict = line("leaving: ", f"{body['reason']} ", signed(body["pnl_pct"], 1, " %"))


def _closed(story: Story, body: _Body) -> None:
    result = signed(body["pnl_pct"], 1, " %"), " ", signed(body["gross_e4"] / E4_PER_USD, 2, " USD")
    story.verdict = line(f"{body['exit_reason']} ", *result)


_VERDICTS: Final[dict[str, Callable[[Story, _Body], None]]] = {
    "trigger": _seen,
    "refusal": _refused,
    "missed": _missed,
    "signal": _signalled,
    "order": _ordered,
    "fill": _filled,
    "rejected": _ended("rejected", BAD),
    "unknown": _ended("outcome unknown", BAD),
    "unfilled": _ended("not bought", WARN),
    "exit": _leaving,
    "trade": _closed,
}


def _gap(body: _Body) -> tuple[str, Line]:
    role = BAD if body["phase"] == "begins" else PLAIN
    return "gap", line(Span(f"{body['phase']}: ", role), clean(", ".join(body["channels"])))


def _reconcile(body: _Body) -> tuple[str, Line]:
    counts = f"{body['symbol']}: we hold {body['held']}, the broker says {body['broker']}"
    return "reconcile", line(Span(f"{body['action']}: ", WARN), counts, Span(f" ({clean(body['reason'])})", DIM))


def _held(body: _Body) -> tuple[str, Line]:
    return "do not exercise", line(Span(f"{body['held']} {body['symbol']} expire today", BAD))


_EVENTS: Final[dict[str, Callable[[_Body], tuple[str, Line]]]] = {
    "operator": lambda body: ("operator", line(Span(body["command"], WARN))),
    "live": lambda body: ("live", line(f"{body['phase']}: {clean(body['reason'])}")),
    "halt": lambda body: ("halt", line(Span(f"{body['phase']}: {clean(body['symbol'])}", BAD))),
    "gap": _gap,
    "reconcile": _reconcile,
    "do_not_exercise": _held,
}
