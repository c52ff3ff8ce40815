"""Sweeps: one hand lifting several quotes of a contract within moments (definitions, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scalpcli.model import row

_NOT_A_SWEEP = row.MULTI_LEG | row.LATE | row.CANCELLED | row.AUCTION | row.BACKFILLED


class Sweep(NamedTuple):
    """A sweep, at the receive time of the print that completed it."""

    ts_ns: int
    instrument_id: int
    side: str


class Print(NamedTuple):
    """One option print that may belong to a sweep."""

    event_ns: int
    price: int
    size: int
    exchange: int


def side_of(price: int, bid: int, ask: int) -> str | None:
    """Side by the quote rule; None between the quotes, without a quote, and where both sides claim the print."""
    buys, sells = ask > 0 and price >= ask, bid > 0 and price <= bid
    if buys == sells:
        return None
    return "buy" if buys else "sell"


def is_sweep(run: list[Print], params: Any) -> bool:
    """Whether the prints of a run make a sweep."""
    prices = {each.price for each in run}
    exchanges = {each.exchange for each in run if each.exchange != 0}
    contracts: int = sum(each.size for each in run)
    is_wide = len(prices) >= params.sweep_prices_min or len(exchanges) >= params.sweep_exchanges_min
    return bool(is_wide and contracts >= params.min_sweep_contracts)


def find_sweeps(columns: Mapping[str, Any], params: Any, until_ns: float) -> list[Sweep]:
    """All sweeps of the tape, in tape order."""
    rows = np.flatnonzero(np.isin(columns["kind"], (row.OPTION_TRADE, row.OPTION_QUOTE)))
    quotes: dict[int, tuple[int, int]] = {}
    runs: dict[int, Run] = {}
    found = []
    names = ("ts_recv_ns", "ts_event_ns", "kind", "instrument_id", "price_e4", "ask_e4", "size", "flags", "exchange")
    for received, event, kind, contract, price, ask, size, flags, exchange in zip(
        *(columns[name][rows].tolist() for name in names), strict=True
    ):
        if received > until_ns:
            break
        if kind == row.OPTION_QUOTE:
            if not flags & row.BACKFILLED:
                quotes[contract] = (price, ask)
            continue
        if flags & _NOT_A_SWEEP:
            continue
        one = Print(event, price, size, exchange)
        run = runs.get(contract)
        if run is None or not run.takes(one, params):
            run = runs[contract] = Run(quotes.get(contract, (0, 0)), one)
        if run.side is not None and not run.is_raised and is_sweep(run.prints, params):
            run.is_raised = True
            found.append(Sweep(received, contract, run.side))
    return found


class Run:
    """Prints of one contract on one side, judged by the quote that stood before the first of them."""

    def __init__(self, quote: tuple[int, int], first: Print) -> None:
        self.quote = quote
        self.prints = [first]
        self.side = side_of(first.price, *quote)
        self.is_raised = False

    def takes(self, one: Print, params: Any) -> bool:
        """Add a print if it continues the run."""
        gap = abs(one.event_ns - self.prints[-1].event_ns)
        whole = abs(one.event_ns - self.prints[0].event_ns)
        soon = gap <= params.sweep_gap_ms_max * 1_000_000 and whole <= params.sweep_run_ms_max * 1_000_000
        continues = self.side is not None and soon and side_of(one.price, *self.quote) == self.side
        if continues:
            self.prints.append(one)
        return continues
