"""Words and rows of a live session: one line a decision for logs, one row a position or order for tables.

Decides what is worth a line where no screen is watched: what is ordered, filled, left and stopped; triggers and
refusals are in the journal and on `live watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from scalpcli.cli.output import Column
from scalpcli.units import E4_PER_USD, NS_PER_S

_Body = Mapping[str, Any]


def line_of(decision: _Body) -> str:
    """A decision in one line; empty where it is worth none."""
    words = _WORDS.get(str(decision.get("kind")))
    return words(decision) if words is not None else ""


def notice_of(decision: _Body) -> str:
    """What somebody who is away is told: fills, exits, results, commands and alarms; empty for the rest."""
    return line_of(decision) if decision.get("kind") in _NOTICED else ""


_TITLES: Final = {
    "quantity": "n",
    "pnl_usd": "USD",
    "pnl_pct": "%",
    "stop_bid": "stop",
    "target_bid": "target",
    "time_exit_s": "time s",
}


def columns_of(rows: Sequence[_Body]) -> list[Column]:
    """Columns of a table of positions or orders; names that are typed again stay whole."""
    shown = [name for name in (rows[0] if rows else ()) if any(row.get(name) not in (None, "") for row in rows)]
    return [Column(name, title=_TITLES.get(name, ""), whole=name in ("symbol", "order_id")) for name in shown]


def position_rows(state: _Body) -> list[dict[str, Any]]:
    """What a running process holds, a row each."""
    now_ns = state.get("now_ns") or 0
    return [
        {
            "symbol": each.get("symbol"),
            "quantity": each.get("quantity"),
            "average": each.get("average"),
            "bid": each.get("bid"),
            "pnl_usd": each.get("pnl_usd"),
            "pnl_pct": each.get("pnl_pct"),
            "stop_bid": each.get("stop_bid"),
            "target_bid": each.get("target_bid"),
            "time_exit_s": _left_s(each.get("time_exit_ns"), now_ns),
            "leaving": each.get("leaving"),
        }
        for each in state.get("positions") or ()
    ]


def order_rows(state: _Body) -> list[dict[str, Any]]:
    """What a running process has at the broker, a row each."""
    names = ("order_id", "leg", "side", "symbol", "quantity", "filled", "limit", "status")
    return [{name: each.get(name) for name in names} for each in state.get("orders") or ()]


def _left_s(at_ns: int | None, now_ns: int) -> float | None:
    return round((at_ns - now_ns) / NS_PER_S, 1) if at_ns else None


def _usd(price_e4: Any) -> str:
    return f"{float(price_e4 or 0) / E4_PER_USD:,.2f}"


def _signal(body: _Body) -> str:
    quote = f"{_usd(body['bid_e4'])} x {_usd(body['ask_e4'])}"
    wish = f"{body['suggested_contracts']} {body['option_symbol']} at {quote}"
    return f"signal {body['signal']}: {body['trigger']} {body['side']}, {wish}"


def _order(body: _Body) -> str:
    limit = f"limit {_usd(body['limit_e4'])}" if body.get("limit_e4") else "market"
    return f"order {body['order_id']}: {body['leg']} {body['quantity']} {body['symbol']} {limit}"


def _fill(body: _Body) -> str:
    return f"fill {body['order_id']}: {body['quantity']} at {_usd(body['price_e4'])}, {body.get('held', '?')} held"


def _exit(body: _Body) -> str:
    return f"exit of signal {body['signal']}: {body['reason']}, {body.get('message') or ''}".rstrip(", ")


def _trade(body: _Body) -> str:
    return f"trade {body['trade']}: {body['symbol']} {body['pnl_pct']:+.1f} %, {_usd(body['gross_e4'])} USD before fees"


def _ended(body: _Body) -> str:
    return f"order {body.get('order_id')} {body['kind']}: {body.get('reason') or ''}".rstrip(": ")


def _text(body: _Body) -> str:
    return f"ALARM: {body.get('text')}"


def _live(body: _Body) -> str:
    return f"entries {'may begin' if body['phase'] == 'begins' else 'pause'}: {body.get('reason') or ''}".rstrip(": ")


def _gap(body: _Body) -> str:
    return f"gap {body['phase']}: {', '.join(body['channels'])}"


def _rest(body: _Body) -> str:
    told = ", ".join(f"{name} {value}" for name, value in body.items() if name not in ("ts_ns", "kind"))
    return f"{body['kind']}: {told}"


_WORDS: Final[dict[str, Callable[[_Body], str]]] = {
    "signal": _signal,
    "order": _order,
    "fill": _fill,
    "exit": _exit,
    "trade": _trade,
    "rejected": _ended,
    "cancelled": _ended,
    "expired": _ended,
    "alarm": _text,
    "live": _live,
    "gap": _gap,
    "operator": _rest,
    "reconcile": _rest,
    "unknown": _ended,
    "do_not_exercise": _rest,
}
_NOTICED: Final = frozenset({"fill", "exit", "trade", "alarm", "unknown", "operator", "reconcile"})
