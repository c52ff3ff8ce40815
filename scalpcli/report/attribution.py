"""Where the result of a trade came from: delta, gamma, theta, vega, spread, fees, and what no term explains.

Decides the path: from the fill of each bought lot to the fill that sold it (first in, first out), in at most
`STEPS_MAX` even steps. At each step the greeks are Black and Scholes' at the step's beginning, with the
volatility that the mid then implies; the change of mid is split by Taylor's expansion to second order in the
underlying and first in time and volatility. The rest (higher orders, steps whose volatility is unknown) is
unexplained and shown as such. Spread is what was paid beyond the mid of the quotes the fills met. Every part is
whole cents and their sum is the trade's net, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scalpcli.core import greeks
from scalpcli.model.instrument import STANDARD_MULTIPLIER, OccSymbol, parse_occ
from scalpcli.model.session import contract_close_ns
from scalpcli.report.events import Life, SessionEvents, events_of
from scalpcli.report.fills import markets_of
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.market import Market, Quotes
from scalpcli.report.section import Head, number, table
from scalpcli.report.view import View
from scalpcli.units import E4_PER_USD, NS_PER_S

PARTS: Final = ("delta", "gamma", "theta", "vega", "spread", "fees", "unexplained")
_OF_THE_TAPE: Final = frozenset(("delta", "gamma", "theta", "vega"))
STEPS_MAX: Final = 60
RATE: Final = 0.04
"""Risk-free, per year; definitions, section 8."""
_SECONDS_MIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Lot:
    """Contracts bought in one fill and sold in one; mids are of the quotes the fills met, USD a share."""

    quantity: int
    opened_ns: int
    closed_ns: int
    mid_in: float
    mid_out: float
    spread_usd: float


def attribution_rows(results: Results, markets: Mapping[int, Market]) -> list[dict[str, Any]]:
    """One row a closed trade: its net and the parts that add up to it; the greeks' are null where its tape is missing.

    `trade` is the journal's count of the session, from 0; `number` is the one `report trade` takes, from 1.
    """
    rows = []
    positions = {id(session): position for position, session in enumerate(results.sessions)}
    for session, events in events_of(results):
        market = markets.get(positions[id(session)])
        rows += [_row(session, trade, events, market) for trade in session.trades.iter_rows(named=True)]
    return rows


def _row(session: SessionResult, trade: dict[str, Any], events: SessionEvents, market: Market | None) -> dict[str, Any]:
    life = events.lives.get(trade["signal"])
    net_cents = round(trade["net_pnl_usd"] * 100)
    cents = dict.fromkeys(PARTS, 0)
    cents["fees"] = -round(trade["fees_usd"] * 100)
    usd = _parts(life, trade["option_symbol"], market) if life is not None else {}
    cents |= {name: round(value * 100) for name, value in usd.items()}
    cents["unexplained"] = net_cents - sum(cents[name] for name in PARTS if name != "unexplained")
    # Without the contract's quotes nothing tells what the stock did to it: unknown is not zero, it is unexplained.
    unknown = frozenset() if usd.keys() >= _OF_THE_TAPE else _OF_THE_TAPE
    return {
        "run": session.run_name,
        "session": session.day,
        "trade": trade["trade"],
        "number": trade["number"],
        "option_symbol": trade["option_symbol"],
        "quantity": trade["quantity"],
        **{f"{name}_usd": None if name in unknown else cents[name] / 100 for name in PARTS},
        "net_pnl_usd": net_cents / 100,
    }


def _parts(life: Life, symbol: str, market: Market | None) -> dict[str, float]:
    """Spread and the greeks' parts of one trade, USD; without a tape the spread alone."""
    parts = {"spread": 0.0}
    contract = parse_occ(symbol)
    quotes = None if market is None else market.contracts.get(symbol)
    for lot in _lots(life):
        parts["spread"] += lot.spread_usd
        if market is not None and quotes is not None:
            for name, value in _path(lot, contract, quotes, market).items():
                parts[name] = parts.get(name, 0.0) + value
    return parts


def _lots(life: Life) -> Iterator[_Lot]:
    """Bought and sold quantities matched first in, first out; what expired was sold at its worth, without spread."""
    bought = [[fill["quantity"], fill] for fill in life.leg("entry")]
    sales = [[fill["quantity"], fill] for fill in life.leg("exit")]
    if life.trade is not None and (expired := life.trade["quantity"] - sum(sale[0] for sale in sales)) > 0:
        rest_e4 = life.trade["proceeds_e4"] - sum(s[1]["price_e4"] * s[0] * STANDARD_MULTIPLIER for s in sales)
        price_e4 = rest_e4 / (expired * STANDARD_MULTIPLIER)
        worth = {"price_e4": price_e4, "bid_e4": price_e4, "ask_e4": price_e4}
        sales.append([expired, worth | {"ts_market_ns": life.trade["closed_ns"]}])
    for sale in sales:
        while sale[0] and bought:
            quantity = min(sale[0], bought[0][0])
            buy, sell = bought[0][1], sale[1]
            mid_in, mid_out = _mid(buy), _mid(sell)
            shares = quantity * STANDARD_MULTIPLIER
            paid = (buy["price_e4"] / E4_PER_USD - mid_in) + (mid_out - sell["price_e4"] / E4_PER_USD)
            yield _Lot(quantity, buy["ts_market_ns"], sell["ts_market_ns"], mid_in, mid_out, -paid * shares)
            sale[0] -= quantity
            bought[0][0] -= quantity
            if not bought[0][0]:
                bought.pop(0)


def _mid(fill: Mapping[str, Any]) -> float:
    if fill["bid_e4"] > 0 and fill["ask_e4"] >= fill["bid_e4"]:
        return float(fill["bid_e4"] + fill["ask_e4"]) / 2.0 / E4_PER_USD
    return float(fill["price_e4"]) / E4_PER_USD


def _path(lot: _Lot, contract: OccSymbol, quotes: Quotes, market: Market) -> dict[str, float]:
    """The change of mid of one lot by greek, USD."""
    steps = min(STEPS_MAX, max(1, (lot.closed_ns - lot.opened_ns) // NS_PER_S))
    times = np.linspace(lot.opened_ns, lot.closed_ns, int(steps) + 1).astype(np.int64)
    spots, mids = market.underlying.at(times), quotes.mid(times)
    mids[0], mids[-1] = lot.mid_in, lot.mid_out
    close_ns, is_call = contract_close_ns(contract.expiry), contract.right == "C"
    strike = contract.strike_e4 / E4_PER_USD
    years = [greeks.years_to_close(int(time), close_ns, _SECONDS_MIN) for time in times]
    vols = [
        greeks.implied_volatility(float(mid), float(spot) * math.exp(RATE * left), strike, left, RATE, is_call)
        for mid, spot, left in zip(mids, spots, years, strict=True)
    ]
    parts = {"delta": 0.0, "gamma": 0.0, "theta": 0.0, "vega": 0.0}
    shares = lot.quantity * STANDARD_MULTIPLIER
    for step in range(int(steps)):
        spot, move, vol = float(spots[step]), float(spots[step + 1] - spots[step]), vols[step]
        if math.isnan(spot + move + vol):
            continue
        at = (spot, strike, years[step], vol, RATE, 0.0)
        parts["delta"] += greeks.delta(*at, is_call) * move * shares
        parts["gamma"] += greeks.gamma(*at) * move * move / 2.0 * shares
        parts["theta"] += greeks.theta(*at, is_call) * (years[step] - years[step + 1]) * shares
        if not math.isnan(vols[step + 1]):
            parts["vega"] += greeks.vega(*at) * (vols[step + 1] - vol) * shares
    return parts


def _sum(rows: list[dict[str, Any]], name: str) -> float | None:
    """Of all rows; unknown where one of them is."""
    values = [row[name] for row in rows]
    return None if None in values else math.fsum(values)


def attribution_view(results: Results) -> View:
    """The answer to `--attribution`."""
    markets, missing = markets_of(results)
    rows = attribution_rows(results, markets)
    sums = {name: _sum(rows, f"{name}_usd") for name in (*PARTS, "net_pnl")}
    size = math.fsum(abs(row[f"{name}_usd"] or 0.0) for row in rows for name in PARTS)
    rest = math.fsum(abs(row["unexplained_usd"]) for row in rows)
    share_pct = 100.0 * rest / size if size else None
    cells = [
        {
            "trade": str(row["number"]),
            **{name: number(row[f"{name}_usd"], 0) for name in PARTS},
            "net": number(row["net_pnl_usd"], 2),
        }
        for row in rows
    ]
    if rows:
        whole = {name: number(sums[name], 0) for name in PARTS}
        # First, so that it is not cut off with the rows of a long list.
        cells.insert(0, {"trade": "all", **whole, "net": number(sums["net_pnl"], 2)})
    heads = (Head("trade", "#"), *(Head(name, name) for name in PARTS), Head("net", "net USD"))
    note = f"USD; unexplained {number(share_pct, 1)} % of all parts' sizes" if rows else ""
    more = {"notices": missing, "sums_usd": sums, "unexplained_pct": share_pct}
    return View("attribution", [table("Attribution", heads, cells, note)], rows, more)
