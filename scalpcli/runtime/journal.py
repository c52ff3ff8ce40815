"""Writes a session down: the lines of its journal, its trades and its equity.

Decides how decisions become bytes and tables. Leaves folders to `run_folder` and reading to `report`.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Final

import polars as pl

from scalpcli.core.engine import Engine
from scalpcli.model.decision import Decision
from scalpcli.model.instrument import STANDARD_MULTIPLIER, parse_occ
from scalpcli.units import E4_PER_USD, NS_PER_S

TRADE_COLUMNS: Final[dict[str, Any]] = {
    "session": pl.Date,
    "symbol": pl.String,
    "trade": pl.Int64,
    "signal": pl.Int64,
    "trigger": pl.String,
    "side": pl.String,
    "option_symbol": pl.String,
    "strike": pl.Float64,
    "expiry": pl.Date,
    "dte": pl.Int64,
    "quantity": pl.Int64,
    "confidence": pl.Int64,
    "delta": pl.Float64,
    "iv": pl.Float64,
    "spread_pct": pl.Float64,
    "signal_ns": pl.Int64,
    "opened_ns": pl.Int64,
    "closed_ns": pl.Int64,
    "held_s": pl.Float64,
    "signal_bid": pl.Float64,
    "signal_ask": pl.Float64,
    "signal_mid": pl.Float64,
    "entry_price": pl.Float64,
    "exit_price": pl.Float64,
    "exit_bid": pl.Float64,
    "entry_slippage_usd": pl.Float64,
    "exit_slippage_usd": pl.Float64,
    "mid_slippage_usd": pl.Float64,
    "gross_pnl_usd": pl.Float64,
    "fees_usd": pl.Float64,
    "net_pnl_usd": pl.Float64,
    "pnl_pct": pl.Float64,
    "exit_reason": pl.String,
    "mae_pct": pl.Float64,
    "mfe_pct": pl.Float64,
    "entry_tries": pl.Int64,
    "exit_tries": pl.Int64,
    "fills": pl.Int64,
}
"""`trades.parquet`: one row a closed trade; prices in USD a share, slippage in USD of the whole position,
positive = worse: entries against the ask (and the mid) at the signal, exits against the bid at the exit."""

EQUITY_COLUMNS: Final[dict[str, Any]] = {
    "session": pl.Date,
    "ts_ns": pl.Int64,
    "equity_usd": pl.Float64,
    "realised_usd": pl.Float64,
    "event": pl.String,
}
"""`equity.parquet`: equity (open positions at the bid, fees as charged so far) whenever it changed."""


def journal_line(number: int, decision: Decision) -> bytes:
    """One line of `decisions.jsonl`."""
    record = {"n": number, "ts_ns": decision.ts_ns, "kind": decision.kind, **decision.body}
    return _ENCODER.encode(record).encode() + b"\n"


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class SessionJournal:
    """Collects what one session decided; bounded by its decisions, a few thousand a day.

    Args:
        engine: Whose decisions they are.
        date: The session.
        symbol: The underlying.
    """

    def __init__(self, engine: Engine, date: dt.date, symbol: str) -> None:
        self._engine = engine
        self._date = date
        self._symbol = symbol
        self.lines: list[bytes] = []
        self.counts: dict[str, int] = {}
        self.ends: dict[str, Any] = {}
        """Body of the `session_end` decision."""
        self._by_signal: dict[int, dict[str, Any]] = {}
        self._trades: list[dict[str, Any]] = []
        self._equity: list[tuple[dt.date, int, float, float, str]] = []

    def step(self) -> None:
        """Write down what was decided since the last step."""
        for decision in self._engine.take_decisions():
            self.lines.append(journal_line(len(self.lines), decision))
            self.counts[decision.kind] = self.counts.get(decision.kind, 0) + 1
            self._follow(decision)

    def _follow(self, decision: Decision) -> None:
        body, kind = decision.body, decision.kind
        if kind == "signal":
            self._by_signal[body["signal"]] = body | {"ts_ns": decision.ts_ns, "entry": 0, "exit": 0, "fill_count": 0}
        elif kind == "order":
            about = self._by_signal[body["signal"]]
            about[body["leg"]] = max(about.get(body["leg"], 0), body["try"])
        elif kind == "fill":
            self._by_signal[body["signal"]]["fill_count"] += 1
            self._note_equity(decision.ts_ns, "fill")
        elif kind == "exit":
            self._by_signal[body["signal"]]["exit_bid_e4"] = body["bid_e4"]
        elif kind == "trade":
            self._trades.append(body)
            self._note_equity(decision.ts_ns, "trade")
        elif kind in ("session", "session_end"):
            self.ends = body if kind == "session_end" else {}
            self._note_equity(decision.ts_ns, "open" if kind == "session" else "close")

    def _note_equity(self, ts_ns: int, event: str) -> None:
        ledger = self._engine.ledger
        open_e4 = sum(
            max(self._engine.view.quote(scalp.instrument.instrument_id).bid_e4, 0) * scalp.held * STANDARD_MULTIPLIER
            for scalp in self._engine.scalps
        )
        equity_e4 = ledger.cash_e4 + open_e4 - ledger.fees.total_e4()
        realised_e4 = ledger.gross_e4 - ledger.fees.total_e4()
        self._equity.append((self._date, ts_ns, equity_e4 / E4_PER_USD, realised_e4 / E4_PER_USD, event))

    def trades(self) -> pl.DataFrame:
        """Every closed trade with its share of the day's fees."""
        shares_e4 = self._engine.ledger.fees.shares_e4()
        rows = [self._trade_row(body, shares_e4.get(body["signal"], 0)) for body in self._trades]
        return pl.DataFrame(rows, schema=TRADE_COLUMNS, orient="row")

    def equity(self) -> pl.DataFrame:
        """Equity whenever it changed."""
        return pl.DataFrame(self._equity, schema=EQUITY_COLUMNS, orient="row")

    def _trade_row(self, trade: dict[str, Any], fees_e4: int) -> dict[str, Any]:
        about = self._by_signal[trade["signal"]]
        contract = parse_occ(trade["symbol"])
        quantity = trade["quantity"]
        shares = quantity * STANDARD_MULTIPLIER
        mid_e4 = (about["bid_e4"] + about["ask_e4"]) / 2.0
        gross_usd, fees_usd = trade["gross_e4"] / E4_PER_USD, fees_e4 / E4_PER_USD
        return {
            "session": self._date,
            "symbol": self._symbol,
            "trade": trade["trade"],
            "signal": trade["signal"],
            "trigger": trade["trigger"],
            "side": trade["side"],
            "option_symbol": trade["symbol"],
            "strike": contract.strike_e4 / E4_PER_USD,
            "expiry": contract.expiry,
            "dte": about["dte"],
            "quantity": quantity,
            "confidence": about["confidence"],
            "delta": about["delta"],
            "iv": about["iv"],
            "spread_pct": about["spread_pct"],
            "signal_ns": about["ts_ns"],
            "opened_ns": trade["opened_ns"],
            "closed_ns": trade["closed_ns"],
            "held_s": (trade["closed_ns"] - trade["opened_ns"]) / NS_PER_S,
            "signal_bid": about["bid_e4"] / E4_PER_USD,
            "signal_ask": about["ask_e4"] / E4_PER_USD,
            "signal_mid": mid_e4 / E4_PER_USD,
            "entry_price": trade["cost_e4"] / shares / E4_PER_USD,
            "exit_price": trade["proceeds_e4"] / shares / E4_PER_USD,
            "exit_bid": about["exit_bid_e4"] / E4_PER_USD,
            "entry_slippage_usd": (trade["cost_e4"] - about["ask_e4"] * shares) / E4_PER_USD,
            "exit_slippage_usd": (about["exit_bid_e4"] * shares - trade["proceeds_e4"]) / E4_PER_USD,
            "mid_slippage_usd": (trade["cost_e4"] - mid_e4 * shares) / E4_PER_USD,
            "gross_pnl_usd": gross_usd,
            "fees_usd": fees_usd,
            "net_pnl_usd": (trade["gross_e4"] - fees_e4) / E4_PER_USD,
            "pnl_pct": trade["pnl_pct"],
            "exit_reason": trade["exit_reason"],
            "mae_pct": trade["mae_pct"],
            "mfe_pct": trade["mfe_pct"],
            "entry_tries": about["entry"],
            "exit_tries": about["exit"],
            "fills": about["fill_count"],
        }


def decision_time_ns(line: bytes) -> int:
    """Engine time of one journal line."""
    time_ns: int = json.loads(line)["ts_ns"]
    return time_ns
