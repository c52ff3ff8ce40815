"""A same-day chain around the path of the stock: quotes, prints and sweeps of a few contracts."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scalpcli.model import row
from scalpcli.model.instrument import Instrument, TickRule, round_to_tick
from tests.oracle.market import CENTRE_E4, Tick

STRIKE_STEP_E4 = 25_000
YEAR_S = 365 * 86_400
VOLATILITY = 0.5
ALL_FOUR = row.LAST | row.RANGE | row.VWAP | row.VOLUME


def instruments(symbol: str, day: dt.date, strikes: int) -> tuple[Instrument, ...]:
    """The underlying and a call and a put on each of `strikes` strikes around the centre."""
    lowest = int(CENTRE_E4) - STRIKE_STEP_E4 * (strikes // 2)
    listed = [Instrument(row.UNDERLYING_ID, symbol)]
    for k in range(strikes):
        for right in "CP":
            strike = lowest + k * STRIKE_STEP_E4
            name = f"{symbol}{day:%y%m%d}{right}{strike // 10:08d}"
            number = len(listed)
            listed.append(
                Instrument(number, name, day, strike, right, open_interest=700 + 100 * number, open_interest_date=day)
            )
    return tuple(listed)


def fair_price(contract: Instrument, spot: float, seconds_left: float) -> float:
    """Black-Scholes value without interest, 1/10000 USD."""
    spread = VOLATILITY * math.sqrt(max(seconds_left, 60.0) / YEAR_S)
    d1 = math.log(spot / contract.strike_e4) / spread + spread / 2
    call = spot * _normal(d1) - contract.strike_e4 * _normal(d1 - spread)
    return call if contract.right == "C" else call - spot + contract.strike_e4


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def chain_rows(
    rng: np.random.Generator, ticks: Sequence[Tick], listed: Sequence[Instrument], close_ms: int
) -> list[dict[str, Any]]:
    """Rows of the chain, `at_ms` in milliseconds since the open: a quote or two at every other stock print."""
    contracts = listed[1:]
    rows: list[dict[str, Any]] = []
    quotes: dict[int, tuple[int, int]] = {}
    for tick in ticks:
        if rng.random() > 0.7:
            continue
        contract = contracts[int(rng.integers(len(contracts)))]
        quote = _quote(rng, contract, tick, close_ms)
        quotes[contract.instrument_id] = (quote["price_e4"], quote["ask_e4"])
        rows.append(quote)
        dice = rng.random()
        if dice < 0.06:
            rows += _sweep(rng, contract, tick.at_ms, quotes[contract.instrument_id])
        elif dice < 0.25:
            rows.append(_lone_print(rng, contract, tick.at_ms, quotes[contract.instrument_id]))
    return rows


def _quote(rng: np.random.Generator, contract: Instrument, tick: Tick, close_ms: int) -> dict[str, Any]:
    fair = max(fair_price(contract, float(tick.price), (close_ms - tick.at_ms) / 1000), 50.0)
    half = max(50.0, fair * float(rng.uniform(0.005, 0.02)))
    bid = round_to_tick(TickRule.PENNY_PROGRAM, max(round(fair - half), 0), up=False)
    ask = round_to_tick(TickRule.PENNY_PROGRAM, round(fair + half), up=True)
    sizes = rng.integers(1, 300, 2).tolist()
    dice = rng.random()
    if dice < 0.02:
        bid, sizes[0] = 0, 0
    elif dice < 0.03:
        ask, sizes[1] = 0, 0
    elif dice < 0.04:
        bid, ask = ask, bid
    elif dice < 0.05:
        bid = ask
    if 0 in (bid, ask):
        sizes = [size if price else 0 for size, price in zip(sizes, (bid, ask), strict=True)]
    venues = rng.integers(1, 9, 2).tolist()
    return {
        "at_ms": tick.at_ms, "kind": row.OPTION_QUOTE, "instrument_id": contract.instrument_id,
        "price_e4": bid, "ask_e4": ask, "size": sizes[0], "ask_size": sizes[1],
        "exchange": venues[0], "ask_exchange": venues[1],
    }  # fmt: skip


def _print(contract: Instrument, at_ms: int, price: int, size: int, exchange: int, flags: int) -> dict[str, Any]:
    return {
        "at_ms": at_ms, "kind": row.OPTION_TRADE, "instrument_id": contract.instrument_id,
        "price_e4": max(price, 100), "size": size, "exchange": exchange, "flags": flags,
    }  # fmt: skip


def _lone_print(rng: np.random.Generator, contract: Instrument, at_ms: int, quote: tuple[int, int]) -> dict[str, Any]:
    """A print at the bid, the ask or between, sometimes one that may not count."""
    price = int(rng.choice([quote[0], quote[1], (quote[0] + quote[1]) // 200 * 100]))
    flags = ALL_FOUR if rng.random() < 0.8 else row.VOLUME
    return _print(contract, at_ms + 1, price, int(rng.integers(1, 150)), int(rng.integers(0, 9)), flags)


def _sweep(rng: np.random.Generator, contract: Instrument, at_ms: int, quote: tuple[int, int]) -> list[dict[str, Any]]:
    """A run of prints on one side; some are broken by time, by price, or by what the prints are."""
    buys = rng.random() < 0.5
    price, step = (quote[1], 100) if buys else (quote[0], -100)
    # 50 and 51 ms stand on either side of the usual limit between two prints.
    gaps = rng.choice([0, 1, 5, 20, 49, 50, 51, 120], 14, p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.1, 0.03, 0.02])
    stays_at_price, one_venue = rng.random() < 0.4, rng.random() < 0.4
    sizes = rng.integers(5, 60, 14)
    if rng.random() < 0.1:
        # The eleventh print completes 100 contracts exactly 500 ms after the first.
        gaps[:], sizes[:], sizes[0] = 50, 10, 9
    odd = [row.MULTI_LEG, row.LATE, row.CANCELLED, row.AUCTION]
    rows, now = [], at_ms + 1
    for k in range(int(rng.integers(3, 15))):
        now += int(gaps[k])
        dice = rng.random()
        flags = ALL_FOUR | (odd[int(rng.integers(4))] if dice < 0.06 else row.ISO)
        between = 0.06 < dice < 0.1
        paid = (quote[0] + quote[1]) // 2 if between else price
        venue = 3 if one_venue else int(rng.integers(0, 6))
        rows.append(_print(contract, now, paid, int(sizes[k]), venue, flags))
        if not stays_at_price and rng.random() < 0.4:
            price += step
    return rows
