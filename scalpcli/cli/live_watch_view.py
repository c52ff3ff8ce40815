"""What `live watch` shows: a snapshot of the running process as lines, part by part.

Decides which numbers stand where and in which words; pure functions of the snapshot and a width. Leaves the order on
the screen to `live_watch_layout.py` and drawing to `live_watch_app.py`. A number that is not known is `-`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scalpcli.cli.live_watch_text import (
    ABSENT,
    BAD,
    DIM,
    GOOD,
    PLAIN,
    TITLE,
    WARN,
    Line,
    Span,
    apart,
    bar,
    clean,
    clock,
    fit,
    flow,
    line,
    number,
    signed,
    span_of,
    track,
)
from scalpcli.units import NS_PER_S

State = Mapping[str, Any]

WINDOWS: Final = ("5", "15", "30", "60")
"""Seconds of the velocity windows while the process told none."""
_WINDOWS_SHOWN: Final = 5
BANNERS: Final = {
    "shadow": "SHADOW: NOTHING IS SENT",
    "paper": "PAPER",
    "live": "LIVE: REAL MONEY",
}
_LEVELS_SHOWN: Final = 2
_AGED_NS: Final = 5 * NS_PER_S
"""From this age on a price is marked."""
_LIGHT, _CLOSED, _UNKNOWN = "●", "✗", "?"
_OK: Final = "ok"


def banner(state: State, width: int) -> Line:
    """Mode, account, symbol, phase and time: the line that nobody may overlook."""
    mode, now = state["mode"], clock(state["now_ns"])
    account = f" …{clean(state['account']['last4'])}" if state["account"]["last4"] else ""
    left, phase = f" {BANNERS[mode]}{account}  {state['symbol']}", f"  {state['phase'].replace('_', ' ')}"
    session, bell = f" {state['session']}", f" NY  {_until_bell(state)}"
    room = width - len(left) - len(phase) - len(now) - 2
    # What the terminal has no room for is left out whole: first the day, then the bell.
    if room < len(session) + len(bell):
        session = ""
    if room < len(bell):
        bell = ""
    return apart(line(Span(f"{left}{session}{phase}", mode)), line(Span(f"{now}{bell} ", mode)), width, mode)


def _until_bell(state: State) -> str:
    now_ns, open_ns, close_ns = state["now_ns"], state["open_ns"], state["close_ns"]
    if now_ns < open_ns:
        return f"opens in {span_of(open_ns - now_ns)}"
    return f"closes in {span_of(close_ns - now_ns)}" if now_ns < close_ns else "closed"


def notices(state: State) -> list[Line]:
    """What is wrong or ended now, one line each; nothing where all is well."""
    feed, broker = state["feed"], state["broker"]
    found = {
        "KILLED: everything is sold and nothing is bought; `scalpcli live arm` ends it": state["killed"],
        "STOPPED: nothing is bought; `scalpcli live arm` ends it": state["stopped"] and not state["killed"],
        "NO ENTRIES NOW: what stands against them is told by the alarms and the log": _is_held_back(state),
        f"BLIND: {clean(', '.join(feed['open_gaps'])) or 'the feed is silent'}": feed["blind"] or feed["open_gaps"],
        f"THE BROKER HOLDS SOMETHING ELSE: {_joined(broker['differences'])}": broker["differences"],
        f"OUTCOME UNKNOWN: {_joined(broker['unknown'])}": broker["unknown"],
        f"THE BROKER IS SILENT: {clean(broker['silent'])}": broker["silent"],
        "NO ORDER UPDATES: the broker is asked instead": broker["updates_ready"] is False and state["mode"] != "shadow",
        "THE GUARD IS GONE: nobody sells when this process hangs": _guard_is_gone(state),
    }
    return [line(Span(f"! {words}", BAD)) for words, holds in found.items() if holds]


def _is_held_back(state: State) -> bool:
    """Whether entries are not made for a reason that no gate tells: not compared with the broker yet, or fenced."""
    return state["phase"] == "trading" and not (state["is_trading"] or state["killed"] or state["stopped"])


def _guard_is_gone(state: State) -> bool:
    guard = state["guard"]
    return bool(guard.get("pid")) and guard.get("alive") is False


def _joined(values: list[Any]) -> str:
    return clean(", ".join(str(value) for value in values))


def market(state: State, width: int) -> list[Line]:
    """Price, quote, VWAP, range and the levels around it."""
    underlying = state["underlying"]
    price, vwap = underlying["price"], underlying["vwap"]
    over_pct = None if not vwap or price is None else (price - vwap) / vwap * 100.0
    items = [
        line(Span(f"{state['symbol']} {number(price, 2)}", TITLE)),
        line(f"{number(underlying['bid'], 2)} x {number(underlying['ask'], 2)}"),
        line(f"VWAP {number(vwap, 2)} ±{number(underlying['sigma'], 2)} ", signed(over_pct, 2, " %"))
        if vwap
        else line("VWAP -"),
        line(f"{number(underlying['session_low'], 2)} to {number(underlying['session_high'], 2)}"),
    ]
    age = _old(state["now_ns"], underlying["price_ns"])
    return [
        *flow([items[0], *age, *items[1:]], width),
        *flow(_levels(underlying["levels"], price), width, label="levels")[:1],
    ]


def _old(now_ns: int, ts_ns: int | None) -> list[Line]:
    """The mark of a price that is no news any more."""
    if ts_ns is None or now_ns - ts_ns < _AGED_NS:
        return []
    return [line(Span(f"{(now_ns - ts_ns) // NS_PER_S} s old", BAD))]


def _levels(levels: list[Any], price: float | None) -> list[Line]:
    """The nearest levels below and above, lowest first, with the price's place between them."""
    if price is None or not levels:
        return [line(Span("none yet", DIM))]
    # A close counts on both sides; on the screen it is one level.
    ordered = sorted({(level["price"], level["kind"]) for level in levels})
    told = [(level, line(f"{number(level, 2)} ", Span(kind.replace("_", " "), DIM))) for level, kind in ordered]
    below = [words for level, words in told if level <= price]
    above = [words for level, words in told if level > price]
    return [*below[-_LEVELS_SHOWN:], line(Span("▸", TITLE)), *above[:_LEVELS_SHOWN]]


def velocity(state: State) -> list[Line]:
    """Momentum (percent moved) and velocity (percent a second) over each window, and the volume behind them."""
    moved = state["underlying"]["velocity_pct"]
    windows = sorted(moved, key=int)[:_WINDOWS_SHOWN] or WINDOWS
    heads = "".join(f"{window + ' s':>10}" for window in windows)
    ratio = state["underlying"]["volume_ratio"]
    momentum = [signed(moved.get(window), 3) for window in windows]
    speeds = [None if moved.get(window) is None else moved[window] / int(window) for window in windows]
    return [
        line(Span(f"{'':<10}{heads}", DIM), f"  volume {number(ratio, 2)} x"),
        line(Span("momentum  ", TITLE), *(_wider(each, 10) for each in momentum), Span("  % moved", DIM)),
        line(Span("velocity  ", TITLE), *(_wider(signed(speed, 4), 10) for speed in speeds), Span("  % a second", DIM)),
    ]


def positions(state: State, width: int) -> list[Line]:
    """What is held: profit at the bid, how far to stop and target, when time is over."""
    if not state["positions"]:
        return [line(Span("nothing held", DIM))]
    return [each for held in state["positions"] for each in _position(state, held, width)]


def _position(state: State, held: Mapping[str, Any], width: int) -> list[Line]:
    items = [
        line(Span(f"{held['quantity']} {held['symbol']}", TITLE)),
        line(_wider(signed(held["pnl_usd"], 2, " USD"), 12), _wider(signed(held["pnl_pct"], 1, " %"), 9)),
        line(f"bid {number(held['bid'], 2)} ask {number(held['ask'], 2)} paid {number(held['average'], 2)}"),
        *_old(state["now_ns"], held["quote_ns"]),
    ]
    return [*flow(items, width), _stop_and_target(held, width), _time_left(state["now_ns"], held, width)]


def _wider(span: Span, width: int) -> Span:
    return Span(f"{span.text:>{width}}", span.role)


def _stop_and_target(held: Mapping[str, Any], width: int) -> Line:
    stop, target, bid, average = (held[name] for name in ("stop_bid", "target_bid", "bid", "average"))
    left, right = f"stop {number(stop, 2)} ", f" {number(target, 2)} target"
    if stop is None or target is None or stop >= target:
        return line(left, right)
    marks = [] if average is None else [(average, "┼", DIM)]
    if bid is not None:
        marks.append((bid, "◆", GOOD if average is not None and bid > average else BAD))
    room = max(width - len(left) - len(right), 1)
    return line(Span(left, BAD), track(stop, target, marks, room), Span(right, GOOD))


def _time_left(now_ns: int, held: Mapping[str, Any], width: int) -> Line:
    if held.get("leaving"):
        return line(Span(f"leaving: {clean(held['leaving'])}, try {held['exit_tries']}", WARN))
    opened_ns, until_ns = held["opened_ns"], held["time_exit_ns"]
    if opened_ns is None or until_ns is None or until_ns <= opened_ns:
        return line(f"sold for time at {clock(until_ns)}")
    left = f"time exit in {span_of(until_ns - now_ns)} "
    right = f" at {clock(until_ns)}"
    share = (now_ns - opened_ns) / (until_ns - opened_ns)
    return line(left, bar(share, max(width - len(left) - len(right), 1), WARN), right)


def orders(state: State) -> list[Line]:
    """Orders that work; nothing where there is none."""
    return [
        line(
            Span("order ", TITLE),
            f"{order['leg']} {order['side']} {order['quantity']} {order['symbol']} ",
            f"at {number(order['limit'], 2)} " if order["limit"] else "at the market ",
            Span(f"{clean(order['status'])}, {order['filled']} filled, ", WARN),
            f"{_seconds_since(state, order['sent_ns'])} s  ",
            Span(clean(order["order_id"]), DIM),
        )
        for order in state["orders"]
    ]


def _seconds_since(state: State, ts_ns: int | None) -> str:
    return number(None if ts_ns is None else (state["now_ns"] - ts_ns) / NS_PER_S, 0)


def result(state: State, width: int) -> list[Line]:
    """The session's result."""
    told = state["result"]
    items = [
        line(signed(told["realised_usd"], 2), " made"),
        line(signed(told["open_usd"], 2), " open"),
        line(f"trades {number(told['trades'])}"),
        line(f"{number(told['fees_usd'], 2)} fees"),
        line(f"{number(told['equity_usd'], 2)} USD equity"),
    ]
    return flow(items, width, label="result")


def gates(state: State) -> list[Line]:
    """Every gate as a light with its name, each in its place."""
    return [line(_light(gate), f" {clean(gate['gate'])}") for gate in state["gates"]]


def closed_gates(state: State) -> list[Line]:
    """Why nothing would be bought now: the closed gates with their numbers."""
    return [_closed(gate) for gate in state["gates"] if gate["open"] is False]


def _light(gate: Mapping[str, Any]) -> Span:
    is_open = gate["open"]
    if is_open is None:
        return Span(_UNKNOWN, WARN)
    return Span(_LIGHT, GOOD) if is_open else Span(_CLOSED, BAD)


def _closed(gate: Mapping[str, Any]) -> Line:
    numbers = "" if gate["value"] is None else f" {number(gate['value'])} / {number(gate['limit'])}"
    detail = f" ({clean(gate['detail'])})" if gate["detail"] else ""
    return line(Span(f"{clean(gate['gate'])}{numbers}", BAD), detail)


def protections(state: State) -> list[Line]:
    """Every protection as a light with its numbers."""
    lights = []
    for each in state["protections"]:
        is_ok = each["state"] == _OK
        light = Span(_LIGHT, GOOD) if is_ok else Span(_CLOSED, BAD)
        limit = "off" if each["limit"] is None else number(each["limit"])
        words = f" {clean(each['name'])} {number(each['value'])} / {limit}"
        lights.append(line(light, words, "" if is_ok else Span(f" {clean(each['state'])}", BAD)))
    return lights


def feed(state: State, width: int) -> list[Line]:
    """Where rows come from, how late they are, what is missing; the broker and the guard."""
    told, broker, guard, late = state["feed"], state["broker"], state["guard"], state["late"]
    gaps = clean(", ".join(told["open_gaps"])) or "none"
    indicative = told["option_feed"] == "indicative"
    rows = [
        line(f"{told['source']} {told['feed']}/{told['option_feed']}"),
        line(Span("INDICATIVE QUOTES, NOT THE NBBO", WARN) if indicative else ""),
        line(f"lag {number(told['lag_ms'], 0):>4} ms"),
        line("gaps ", Span(gaps, BAD if told["open_gaps"] else PLAIN)),
        line(f"{number(_rows_per_s(told['rows_per_s']), 0):>5} rows/s"),
        line(f"late {number(late['p99_ms'], 1):>5} ms"),
    ]
    compared = _seconds_since(state, broker["reconciled_ns"])
    parties = [
        line(f"compared {compared:>3} s ago"),
        line("updates ", _updates(broker["updates_ready"])),
        line(f"differences {_joined(broker['differences']) or 'none'}"),
        line("guard ", Span(*_guard_words(guard))),
    ]
    return [
        *flow([row for row in rows if row], width, label="feed"),
        *flow(parties, width, label="broker"),
    ]


def _rows_per_s(told: Mapping[str, float] | float | None) -> float | None:
    """Rows of all kinds; the process tells them by kind."""
    return sum(filter(None, told.values())) if isinstance(told, Mapping) else told


def _updates(is_ready: bool | None) -> Span:
    if is_ready is None:
        return Span(ABSENT, DIM)
    return Span("yes") if is_ready else Span("no", WARN)


def _guard_words(guard: Mapping[str, Any]) -> tuple[str, str]:
    if not guard.get("pid"):
        return "none", DIM
    return ("alive", GOOD) if guard["alive"] else ("gone", BAD)


def upcoming(state: State, width: int) -> list[Line]:
    """What the process will do next, and when."""
    items = [line(f"{clock(each['at_ns'])} ", Span(clean(each["what"]), DIM)) for each in state["next"]]
    return flow(items, width, label="next")[:1] if items else []


def alarms(state: State) -> list[Line]:
    """Alarms, the latest first."""
    latest = sorted(state["alarms"], key=lambda alarm: -alarm["ts_ns"])
    return [line(Span(clock(alarm["ts_ns"]), DIM), "  ", Span(f"! {clean(alarm['text'])}", BAD)) for alarm in latest]


def silence(silent_s: float, waiting: str, width: int) -> Line:
    """The line that says that all numbers are old: the process does not answer, or is gone."""
    why = clean(waiting) or f"THE ENGINE DOES NOT ANSWER for {silent_s:.0f} s"
    return fit(line(Span(f" OLD NUMBERS: {why}", "silent")), width, "silent")
