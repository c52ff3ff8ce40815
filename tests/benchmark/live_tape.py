"""A made-up tape of even speed whose stock jumps now and then: what the live benchmark plays.

Every jump is one print, and that print completes a trigger; it can be told by its trade id.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

from scalpcli.model.instrument import Instrument, OccSymbol, round_to_tick
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLUMNS, LAST, OPTION_QUOTE, RANGE, STOCK_QUOTE, STOCK_TRADE, VOLUME, VWAP
from scalpcli.model.session import previous_session, session_of
from scalpcli.runtime.synthetic_pricing import fair_prices, uncertainty
from scalpcli.runtime.tape_writer import TapeWriter

DAY = dt.date(2026, 11, 20)
SPOT_E4 = 4_000_000
JUMP_E4 = 12_000
JUMP_S = 1.5
STRIKES = 20
CONFIG = """\
[scalp]
enabled = true
eval_interval_ms = 0
momentum_window_seconds = 1
momentum_confirm_window_seconds = 1
momentum_threshold_pct = 0.2
volume_spike_ratio = 0.0
trigger_vwap_rejection = false
trigger_breakout = false
min_signal_interval_seconds = 0.5
cooldown_after_loss_minutes = 0.0
max_daily_scalps = 10000
max_concurrent_scalps = 100
max_hold_minutes = 0.01
max_contract_price = 50.0
[risk]
messages_per_minute_max = 0
entry_reprices_max = 0
[gates]
daily_loss_usd_max = 0.0
[record]
dte = [0]
strikes = 20
"""
"""Settings with which every jump ends in an order."""


def chain() -> list[Instrument]:
    """Calls and puts of today around the spot, numbered from 1."""
    contracts = []
    for step in range(STRIKES):
        strike_e4 = SPOT_E4 + (step - STRIKES // 2) * 25_000
        for right in ("C", "P"):
            symbol = OccSymbol("TSLA", DAY, right, strike_e4).compact
            contracts.append(
                Instrument(
                    instrument_id=len(contracts) + 1,
                    symbol=symbol,
                    expiry=DAY,
                    strike_e4=strike_e4,
                    right=right,
                    open_interest=2_000,
                    open_interest_date=previous_session(DAY).date,
                )
            )
    return contracts


def write_tape(root: Path, rows_per_s: int, seconds: float) -> tuple[Path, dict[int, int]]:
    """Write it.

    Returns:
        Its folder; and of each jump's print the trade id -> receive time, UTC nanoseconds.
    """
    session = session_of(DAY)
    rows = round(rows_per_s * seconds)
    at_ns = session.open_ns + (np.arange(rows, dtype=np.int64) * 1_000_000_000) // rows_per_s
    jumped = ((at_ns - session.open_ns) // int(JUMP_S * 1e9)) % 2
    spot_e4 = SPOT_E4 + jumped * JUMP_E4
    kind = np.array([STOCK_TRADE, STOCK_QUOTE, OPTION_QUOTE, STOCK_QUOTE, OPTION_QUOTE], np.int8)[np.arange(rows) % 5]
    # The first row after a jump is its print, whatever would have stood there.
    is_jump = np.flatnonzero(np.diff(jumped, prepend=0) != 0)
    kind[is_jump] = STOCK_TRADE
    columns = {name: np.zeros(rows, dtype) for name, dtype in COLUMNS.items()}
    columns["ts_recv_ns"], columns["ts_event_ns"], columns["kind"] = at_ns, at_ns - 1_000_000, kind
    is_trade, is_quote, is_option = (kind == each for each in (STOCK_TRADE, STOCK_QUOTE, OPTION_QUOTE))
    columns["price_e4"] = np.where(is_quote, spot_e4 - 100, spot_e4)
    columns["ask_e4"] = np.where(is_quote, spot_e4 + 100, 0)
    columns["size"] = np.full(rows, 100)
    columns["ask_size"] = np.where(is_trade, 0, 100)
    columns["flags"] = np.where(is_trade, LAST | RANGE | VWAP | VOLUME, 0)
    columns["trade_id"] = np.where(is_trade, np.arange(rows) + 1, 0)
    _quote_options(columns, is_option, spot_e4, session.close_ns)
    columns = {name: values.astype(COLUMNS[name]) for name, values in columns.items()}
    with TapeWriter(
        root, "TSLA", DAY, params=TapeParams(), synthetic=True, feeds={"stock": "made", "options": "made"}, source={}
    ) as writer:
        writer.add_instruments(chain())
        columns["exchange"][:] = writer.exchange_code("V")
        columns["ask_exchange"][~is_trade] = writer.exchange_code("Q")
        columns["conditions"][is_trade] = writer.condition_code("@")
        columns["conditions"][is_quote] = writer.condition_code("R")
        columns["conditions"][is_option] = writer.condition_code("A")
        writer.append(columns, [])
        path = writer.seal()
    return path, {int(columns["trade_id"][row]): int(at_ns[row]) for row in is_jump}


def _quote_options(columns: dict[str, np.ndarray], is_option: np.ndarray, spot_e4: np.ndarray, close_ns: int) -> None:
    contracts = chain()
    count = int(is_option.sum())
    number = np.arange(count) % len(contracts)
    strike_e4 = np.array([contract.strike_e4 for contract in contracts], np.float64)[number]
    is_call = np.array([contract.right == "C" for contract in contracts])[number]
    left_s = (close_ns - columns["ts_recv_ns"][is_option]) / 1e9
    fair_e4, _ = fair_prices(spot_e4[is_option].astype(np.float64), strike_e4, is_call, uncertainty(0.55, left_s))
    rule = contracts[0].tick_rule
    bid_e4 = np.array([max(100, round_to_tick(rule, int(price * 0.99), up=False)) for price in fair_e4])
    ask_e4 = np.array([round_to_tick(rule, max(int(price * 1.01), 200), up=True) for price in fair_e4])
    columns["instrument_id"][is_option] = number + 1
    columns["price_e4"][is_option], columns["ask_e4"][is_option] = bid_e4, np.maximum(ask_e4, bid_e4 + 100)
