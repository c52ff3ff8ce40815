"""What `live status` says: what is held, what rests, what comes next, what is not known, and how to get out.

Decides the words. They are made for the moment in which something is wrong: the position and its bid first, the ways
out last, because the end of a terminal's output is what is seen. Every line stands on what `Trader.state` tells, or,
without a process, on what its files tell; what is not known is said to be unknown.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from scalpcli.model.session import ns_to_new_york
from scalpcli.units import NS_PER_S

UNKNOWN: Final = "unknown"
STALE_QUOTE_S: Final = 5.0
"""Seconds after which a bid is called old here; the gates have limits of their own."""
_ALARMS_SHOWN: Final = 5
_DASHBOARD: Final = {
    "paper": "https://app.alpaca.markets/paper/dashboard",
    "live": "https://app.alpaca.markets/dashboard",
}


def status_lines(state: Mapping[str, Any], run: str, *, is_rehearsal: bool = False) -> list[str]:
    """The status of a running process.

    Args:
        state: As `Trader.state` tells.
        run: The run's folder.
        is_rehearsal: Whether a local exchange stands for the broker.
    """
    held = [_position(position, state) for position in state.get("positions") or ()]
    resting = [_order(order) for order in state.get("orders") or ()]
    told = [
        _head(state),
        *_section("HELD", held or ["nothing, as far as is known"]),
        *_section("RESTS AT THE BROKER", resting or ["no order of ours, as far as is known"]),
        *_section("NEXT", [_next(step, state) for step in state.get("next") or ()] or ["nothing planned"]),
        *_section("NOT KNOWN", blind_to(state) or ["nothing missing"]),
        *_section("PROTECTIONS", _protections(state)),
        *_section("ALARMS", _alarms(state) or ["none"]),
        *_section("TO GET OUT", ways_out(state, run, is_rehearsal=is_rehearsal)),
    ]
    mark = str(state.get("mode") or "").upper()
    return [f"{mark} {line}".rstrip() if line else mark for line in told]


def blind_to(state: Mapping[str, Any]) -> list[str]:
    """What the process does not know now, each in words; empty where it sees all."""
    feed, broker, guard = (state.get(name) or {} for name in ("feed", "broker", "guard"))
    now_ns = state.get("now_ns") or 0
    found = []
    gaps = feed.get("open_gaps") or ()
    if gaps or feed.get("blind"):
        found.append(f"the market: no rows of {', '.join(map(str, gaps)) or 'the feed'}")
    for position in state.get("positions") or ():
        if position.get("bid") is None:
            found.append(f"the bid of {position.get('symbol')}: no quote")
        elif (age_s := _age_s(position.get("quote_ns"), now_ns)) is not None and age_s > STALE_QUOTE_S:
            found.append(f"the bid of {position.get('symbol')}: last quote {age_s:,.0f} s ago")
    found += [f"what became of order {order_id}: it is looked up" for order_id in broker.get("unknown") or ()]
    found += [f"a difference with the broker: {difference_words(each)}" for each in broker.get("differences") or ()]
    if broker and broker.get("updates_ready") is False:
        found.append("order updates: their stream is down; orders are looked up instead")
    if guard.get("pid") and guard.get("alive") is False:
        found.append("the guard: its process is gone; nobody sells when this process stops answering")
    if feed.get("option_feed") == "indicative":
        found.append("real option quotes: these are INDICATIVE, not the NBBO")
    return found


def ways_out(state: Mapping[str, Any], run: str, *, is_rehearsal: bool = False) -> list[str]:
    """The commands that get out, ours first, then by hand at the broker."""
    here = f" --run {shlex.quote(run)}" if run else ""
    lines = [
        f"scalpcli live flatten{here}    # sell everything now, no new entries",
        f"scalpcli live stop{here}       # no new entries; what is held keeps stop, target and time",
        f"scalpcli live kill{here}       # the same as flatten, and nothing starts again until `live arm`",
    ]
    mode = str(state.get("mode") or "")
    if mode == "shadow":
        return [*lines, "nothing is at the broker: SHADOW sends no orders"]
    if is_rehearsal:
        return [*lines, "nothing is at Alpaca: this is a rehearsal, and ends with its local exchange"]
    guard = state.get("guard") or {}
    # A process that is gone is not named: its number may be another's by now.
    pids = [str(pid) for pid in (state.get("pid"), guard.get("alive") and guard.get("pid")) if pid]
    account = state.get("account") or {}
    by_hand = "by hand, when none of these answers:"
    steps = [
        f"kill -KILL {' '.join(pids)}    # so that nothing of ours sells beside you" if pids else "",
        f"{_DASHBOARD.get(mode, _DASHBOARD['paper'])}, account ending {account.get('last4') or '(see its number)'}",
        "Orders: cancel every open option order and wait until it says canceled",
        *_sales(state),
    ]
    return [*lines, by_hand, *(f"  {number}. {step}" for number, step in enumerate(filter(None, steps), 1))]


def _sales(state: Mapping[str, Any]) -> list[str]:
    positions = state.get("positions") or ()
    if not positions:
        return ["Positions: it must show no option; what it shows, sell with a limit at the bid"]
    return [
        f"Positions: {position.get('symbol')}: Sell {position.get('quantity')}, limit at the bid "
        f"({_usd(position.get('bid'))}) or market"
        for position in positions
    ]


def _head(state: Mapping[str, Any]) -> str:
    guard = state.get("guard") or {}
    process = f"process {state['pid']}" if state.get("pid") else "no process"
    watched = "no guard"
    if guard.get("pid"):
        watched = f"guard {guard['pid']} {'alive' if guard.get('alive') else 'GONE'}"
    now = _time(state.get("now_ns"))
    stands = [str(state.get("phase") or UNKNOWN)]
    stands += ["KILLED"] * bool(state.get("killed")) + ["entries stopped"] * bool(state.get("stopped"))
    return f"{state.get('symbol')} {state.get('session')} {now} New York: {', '.join(stands)} ({process}, {watched})"


def _position(position: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    now_ns = state.get("now_ns") or 0
    age_s = _age_s(position.get("quote_ns"), now_ns)
    age = f", {age_s:,.1f} s old" if age_s is not None else ""
    exits = [f"stop at bid {_usd(position.get('stop_bid'))}", f"target {_usd(position.get('target_bid'))}"]
    due_ns = position.get("time_exit_ns")
    if due_ns:
        exits.append(f"time {_time(due_ns)} (in {max(0.0, (due_ns - now_ns) / NS_PER_S):,.0f} s)")
    leaving = ""
    if position.get("leaving"):
        leaving = f"; LEAVING: {position['leaving']}, try {position.get('exit_tries') or 0}"
    return (
        f"{position.get('quantity')} {position.get('symbol')} at {_usd(position.get('average'))}, "
        f"bid {_usd(position.get('bid'))}{age}: {_signed(position.get('pnl_pct'))} % "
        f"({_signed(position.get('pnl_usd'))} USD); {', '.join(exits)}{leaving}"
    )


def _order(order: Mapping[str, Any]) -> str:
    limit = f" limit {_usd(order.get('limit'))}" if order.get("limit") else " market"
    return (
        f"{order.get('side')} {order.get('quantity')} {order.get('symbol')}{limit}, {order.get('filled') or 0} filled, "
        f"{order.get('status')} ({order.get('leg')}, {order.get('order_id')}, sent {_time(order.get('sent_ns'))})"
    )


def _next(step: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    at_ns = step.get("at_ns")
    if not at_ns:
        return str(step.get("what"))
    left_s = (at_ns - (state.get("now_ns") or 0)) / NS_PER_S
    return f"{_time(at_ns)} (in {max(0.0, left_s):,.0f} s): {step.get('what')}"


def _protections(state: Mapping[str, Any]) -> list[str]:
    if state.get("gates") is None and state.get("protections") is None:
        return ["not known without the process"]
    standing = [each for each in state.get("protections") or () if each.get("state") != "ok"]
    found = [f"{each.get('name')}: {each.get('state')} ({_compared(each, ' of ')})" for each in standing]
    told = {each.get("name") for each in standing}
    closed = [
        f"{gate.get('gate')} closed: {_compared(gate, ' against ')} {gate.get('detail') or ''}".rstrip()
        for gate in state.get("gates") or ()
        if gate.get("open") is False and gate.get("gate") not in told
    ]
    return found + closed or ["all quiet, entries may be made"]


def _alarms(state: Mapping[str, Any]) -> list[str]:
    alarms = list(state.get("alarms") or ())[-_ALARMS_SHOWN:]
    return [f"{_time(alarm.get('ts_ns'))} {alarm.get('text')}" for alarm in alarms]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)]


def _age_s(at_ns: int | None, now_ns: int) -> float | None:
    return (now_ns - at_ns) / NS_PER_S if at_ns and now_ns else None


def _time(at_ns: int | None) -> str:
    return ns_to_new_york(at_ns)[:8] if at_ns else UNKNOWN


def _usd(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+,.2f}"


def _compared(judged: Mapping[str, Any], between: str) -> str:
    return between.join(_number(judged.get(name)) for name in ("value", "limit"))


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.6g}"


def difference_words(told: Any) -> str:
    """A difference between the broker and us, in words."""
    if not isinstance(told, Mapping):
        return str(told)
    rest = ", ".join(f"{name} {value}" for name, value in told.items() if name != "symbol")
    return f"{told['symbol']}: {rest}" if "symbol" in told else rest
