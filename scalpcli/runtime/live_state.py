"""How everything stands, as one object of plain values: for `live status`, the screen and the signals.

Decides what is told and in which unit: dollars, percent and UTC nanoseconds. What is not known is null. Reading it
changes nothing, and costs about a millisecond.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scalpcli.core.exits import ScalpExitManager, pnl_pct, stop_bid_e4, target_bid_e4
from scalpcli.core.gates import Gates
from scalpcli.core.layout import LEVEL_SLOTS, NEVER_NS
from scalpcli.core.position import Scalp
from scalpcli.core.protections import OK
from scalpcli.core.stops import DAILY_LOSS, OVERSOLD, RECONCILE, REJECTS
from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.model.order import OrderSide
from scalpcli.model.params import SWING_LEVELS_MAX
from scalpcli.model.row import CHANNEL_NAMES
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.live_orders import TrackedOrder
from scalpcli.runtime.live_reconcile import NOTHING_TO_COMPARE
from scalpcli.units import E4_PER_USD

if TYPE_CHECKING:
    from scalpcli.runtime.trader import Trader

_LEVEL_KINDS: Final = ("opening_range", "session_extreme", "previous", "previous_close")
_SIDE_NAMES: Final = ("resistance", "support")
_LAST4: Final = 4


def state_of(trader: Trader) -> dict[str, Any]:
    """The state of a trader.

    Args:
        trader: Whose.
    """
    parts, live = trader.parts, trader.live
    setup, tally = parts.setup, live.engine.tally
    exits = ScalpExitManager(setup.params, setup.session)
    gates = Gates(setup.params, setup.session, setup.blackouts, is_live=setup.mode in ("paper", "live"))
    positions = [_position(trader, scalp, exits) for scalp in live.scalps if scalp.held]
    return {
        "mode": setup.mode,
        "symbol": setup.symbol,
        "session": str(setup.session.date),
        "now_ns": parts.clock.now_ns(),
        "open_ns": setup.session.open_ns,
        "close_ns": setup.session.close_ns,
        "started_ns": trader.started_ns,
        **{name: parts.about.get(name) for name in ("run", "pid", "version")},
        "phase": trader.phase,
        "is_trading": trader.permission.is_begun,
        "flatten_ns": exits.flatten_ns,
        "last_entry_ns": gates.last_entry_ns,
        "underlying": _underlying(trader),
        "gates": _gates(trader, gates),
        "decisions": list(trader.news.decisions),
        "positions": positions,
        "orders": [_order(tracked) for tracked in trader.tracker.working.values()],
        "account": _account(trader),
        "result": _result(trader, positions),
        "protections": _protections(trader),
        "killed": tally.is_killed,
        "stopped": tally.is_stopped,
        "alarms": list(trader.news.alarms),
        "feed": _feed(trader),
        "broker": _broker(trader),
        "guard": parts.guard(),
        "next": _next(trader, exits, gates, positions),
        "late": trader.watch.percents(),
    }


def _underlying(trader: Trader) -> dict[str, Any]:
    live = trader.live
    view, tracker, market = live.engine.view, live.market.tracker, live.market
    quote = view.underlying
    velocity = zip(market.windows_s, market.state.windows["velocity_pct"].tolist(), strict=True)
    return {
        "price": _usd(view.price_e4),
        "price_ns": _time(int(view.underlying_price_ns)),
        "bid": _usd(quote.bid_e4) if quote.bid_e4 > 0 else None,
        "ask": _usd(quote.ask_e4) if quote.ask_e4 > 0 else None,
        "vwap": _usd(view.vwap_e4),
        "sigma": _usd(view.sigma_e4),
        "volume_ratio": _known(float(tracker["stock_ratio"])),
        "velocity_pct": {str(seconds): _known(percent) for seconds, percent in velocity},
        "session_high": _usd(int(tracker["session_high"])) if tracker["has_range"] else None,
        "session_low": _usd(int(tracker["session_low"])) if tracker["has_range"] else None,
        "levels": _levels(trader),
    }


def _levels(trader: Trader) -> list[dict[str, Any]]:
    levels = trader.live.market.state.levels
    found = []
    # Whole columns at once: a record of NumPy's costs a microsecond for each of its names.
    for number in np.flatnonzero(levels["active"]).tolist():
        side, slot = divmod(number, LEVEL_SLOTS)
        kind = "swing" if slot < SWING_LEVELS_MAX else _LEVEL_KINDS[slot - SWING_LEVELS_MAX]
        found.append({"kind": kind, "side": _SIDE_NAMES[side], "price": _usd(float(levels["value"][number]))})
    return found


def _gates(trader: Trader, gates: Gates) -> list[dict[str, Any]]:
    live = trader.live
    lights = gates.lights(live.known_ns, live.engine.tally, live.engine.view)
    return [
        {
            "gate": name if refused is None else refused.gate,
            "open": refused is None,
            "value": None if refused is None else _known(refused.value),
            "limit": None if refused is None else _known(refused.limit),
            "detail": "" if refused is None else refused.detail,
        }
        for name, refused in lights.items()
    ]


def _position(trader: Trader, scalp: Scalp, exits: ScalpExitManager) -> dict[str, Any]:
    params = trader.parts.setup.params.scalp
    quote = trader.live.engine.view.quote(scalp.instrument.instrument_id)
    average_e4, bid_e4 = scalp.average_e4, max(quote.bid_e4, 0)
    return {
        "signal": scalp.number,
        "trigger": scalp.signal.trigger,
        "symbol": scalp.instrument.symbol,
        "side": scalp.head()["side"],
        "quantity": scalp.held,
        "average": _usd(average_e4),
        "bid": _usd(bid_e4) if quote.bid_e4 > 0 else None,
        "ask": _usd(quote.ask_e4) if quote.ask_e4 > 0 else None,
        "quote_ns": _time(quote.ts_ns),
        "pnl_usd": round((bid_e4 - average_e4) * scalp.held * STANDARD_MULTIPLIER / E4_PER_USD, 2),
        "pnl_pct": round(pnl_pct(bid_e4, average_e4), 2),
        "stop_bid": _usd(stop_bid_e4(average_e4, params.stop_loss_pct)),
        "target_bid": _usd(target_bid_e4(average_e4, params.take_profit_pct)),
        "opened_ns": _time(scalp.opened_ns),
        "time_exit_ns": _time(exits.next_time_ns(scalp)),
        "leaving": scalp.exit_reason,
        "exit_tries": scalp.exit_tries,
    }


def _order(tracked: TrackedOrder) -> dict[str, Any]:
    order = tracked.order
    status = tracked.status or ("unknown" if tracked.is_unknown else "accepted" if tracked.is_accepted else "sending")
    return {
        "order_id": tracked.order_id,
        "broker_id": tracked.broker_id or None,
        "signal": order.signal,
        "leg": str(order.leg),
        "symbol": order.instrument.symbol,
        "side": "buy" if order.side is OrderSide.BUY else "sell",
        "quantity": order.quantity,
        "filled": tracked.told_quantity,
        "limit": _usd(order.limit_e4) if order.limit_e4 else None,
        "status": "cancelling" if tracked.is_cancelling else status,
        "sent_ns": tracked.sent_ns or None,
    }


def _account(trader: Trader) -> dict[str, Any]:
    account = trader.reconciler.account if trader.reconciler is not None else None
    if account is None:
        return dict.fromkeys(("cash_usd", "equity_usd", "buying_power_usd", "last4", "options_level"))
    return {
        "cash_usd": _usd(account.cash_e4),
        "equity_usd": _usd(account.equity_e4),
        "buying_power_usd": _usd(account.buying_power_e4),
        "last4": account.number[-_LAST4:],
        "options_level": account.options_level,
    }


def _result(trader: Trader, positions: list[dict[str, Any]]) -> dict[str, Any]:
    ledger = trader.live.engine.ledger
    fees_e4 = ledger.fees.total_e4()
    open_usd = sum(each["pnl_usd"] for each in positions)
    realised_usd = (ledger.gross_e4 - fees_e4) / E4_PER_USD
    return {
        "trades": trader.live.journal.counts.get("trade", 0),
        "realised_usd": round(realised_usd, 2),
        "open_usd": round(open_usd, 2),
        "fees_usd": round(fees_e4 / E4_PER_USD, 2),
        "equity_usd": round(ledger.starting_equity_e4 / E4_PER_USD + realised_usd + open_usd, 2),
    }


def _protections(trader: Trader) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "value": _known(each.value), "limit": _known(each.limit), "state": each.state}
        for each in trader.live.engine.protections(trader.live.known_ns)
    ]


def stopped_by(live: LiveEngine) -> str:
    """The protection that ended entries for the day, in words; empty where none did.

    Limits that a later minute lifts, like messages or open positions, are none.
    """
    for each in live.engine.protections(live.known_ns):
        is_for_good = each.name in _FOR_GOOD or (each.name == "kill" and live.engine.tally.is_killed)
        if is_for_good and each.state != OK:
            limit = (
                "" if each.limit is None or each.name == "kill" else f", {each.value:g} at a limit of {each.limit:g}"
            )
            return each.name + limit
    return ""


_FOR_GOOD: Final = (DAILY_LOSS, "loss_streak", REJECTS, OVERSOLD, RECONCILE)


def _feed(trader: Trader) -> dict[str, Any]:
    parts, told = trader.parts, trader.parts.feed_status()
    open_gaps = parts.maker.open_gaps
    lags = told.get("lag_ms")
    return {
        "source": parts.about.get("source"),
        "feed": parts.about.get("feed"),
        "option_feed": parts.about.get("option_feed"),
        "lag_ms": max(lags.values(), default=None) if isinstance(lags, dict) else lags,
        "rows": trader.live.rows,
        "rows_per_s": told.get("rows_per_s"),
        "open_gaps": [name for bit, name in CHANNEL_NAMES.items() if open_gaps & bit],
        "blind": bool(open_gaps),
    }


def _broker(trader: Trader) -> dict[str, Any]:
    status = NOTHING_TO_COMPARE if trader.reconciler is None else trader.reconciler.status()
    return {**status, "updates_ready": trader.permission.has_updates}


def _next(
    trader: Trader, exits: ScalpExitManager, gates: Gates, positions: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What will be done by the clock, earliest first."""
    now_ns, engine = trader.parts.clock.now_ns(), trader.live.engine
    due: list[dict[str, Any]] = [
        {"what": "last entry", "at_ns": gates.last_entry_ns},
        {"what": "sell everything", "at_ns": exits.flatten_ns},
        {"what": "end of the run", "at_ns": trader.parts.limits.until_ns},
    ]
    due += [{"what": f"leave {each['symbol']}", "at_ns": each["time_exit_ns"]} for each in positions]
    if engine.deadline_ns() < NEVER_NS:
        due.append({"what": "re-price what works, or decide a standing stop", "at_ns": engine.deadline_ns()})
    coming = [each for each in due if each["at_ns"] is not None and each["at_ns"] > now_ns]
    return sorted(coming, key=lambda each: each["at_ns"])


def _usd(price_e4: float) -> float | None:
    return None if math.isnan(price_e4) else round(price_e4 / E4_PER_USD, 4)


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _time(time_ns: int) -> int | None:
    """A time, or nothing where there is none yet."""
    return time_ns if 0 < time_ns < NEVER_NS else None
