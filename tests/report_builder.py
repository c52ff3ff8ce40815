"""Run folders made from a few words, for tests of the report: what the journal writes, without an engine.

Records hold every field of `DECISION_FIELDS` (those not given are 0, empty or null), and `trades.parquet`
every column, so what the report reads here it reads from a true run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from scalpcli.model.decision import DECISION_FIELDS, JOURNAL_SCHEMA_VERSION
from scalpcli.runtime.journal import EQUITY_COLUMNS, TRADE_COLUMNS
from scalpcli.units import NS_PER_S, usd_to_e4

EQUITY_USD = 100_000.0
SESSION_S = 23_400
BURST, REJECTION, BREAKOUT = "momentum_burst", "vwap_rejection", "breakout"
QUALITY = {
    "coverage_pct": 99.5,
    "gaps": {"count": 1, "seconds": 4.0, "longest_s": 4.0},
    "stock_quotes": {"crossed_pct": 0.25},
    "option_quotes": {"crossed_pct": 0.0},
    "stale_pct": {"stock_quotes": 0.5, "option_quotes": 1.75},
}
_BLANK = {"integer": 0, "number": 0.0, "string": "", "boolean": False, "array": [], "object": {}}


def record(kind: str, **given: Any) -> dict[str, Any]:
    """A record of one kind with every field of it."""
    fields = DECISION_FIELDS[kind]
    unknown = given.keys() - fields.keys()
    assert not unknown, f"{kind} has no field {unknown}"
    blank = {
        name: None if json_type.endswith("|null") else _BLANK[json_type] for name, (json_type, _) in fields.items()
    }
    return {"kind": kind, **blank, **given}


class SessionBuilder:
    """One session: `trigger`, `refusal` and so on write records; `trade` a whole life from trigger to trade."""

    def __init__(
        self, symbol: str, day: str, *, synthetic: bool, equity_usd: float, quality: dict[str, Any] | None
    ) -> None:
        self.symbol = symbol
        self.day = dt.date.fromisoformat(day)
        self.synthetic = synthetic
        self.quality = QUALITY if quality is None else quality
        self.open_ns = int(dt.datetime(self.day.year, self.day.month, self.day.day, 14, 30, tzinfo=dt.UTC).timestamp())
        self.open_ns *= NS_PER_S
        self.now_ns = self.open_ns
        self.records: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.equity_usd = equity_usd
        self.realised_usd = 0.0
        self.equity: list[dict[str, Any]] = []
        self.fees_usd = 0.0
        self.is_flat = True
        self.is_closed = True
        self._origin: dict[int, tuple[str, str]] = {}
        self._signals = 0
        self.add(
            "session",
            schema_version=JOURNAL_SCHEMA_VERSION,
            symbol=symbol,
            session=day,
            mode="replay",
            synthetic=synthetic,
            starting_equity_e4=usd_to_e4(equity_usd),
            open_ns=self.open_ns,
            close_ns=self.open_ns + SESSION_S * NS_PER_S,
        )
        self.mark("open")

    def add(self, kind: str, **given: Any) -> None:
        """Write a record, a second after the one before."""
        self.now_ns += NS_PER_S
        self.records.append({"n": len(self.records), "ts_ns": self.now_ns, **record(kind, **given)})

    def mark(self, event: str, open_usd: float = 0.0) -> None:
        """Write a row of the equity curve; `open_usd` is the profit of what is held."""
        self.equity.append(
            {
                "session": self.day,
                "ts_ns": self.now_ns,
                "equity_usd": self.equity_usd + self.realised_usd + open_usd,
                "realised_usd": self.realised_usd,
                "event": event,
            }
        )

    def trigger(self, trigger: str = BURST, side: str = "call") -> int:
        """A trigger rises; gives its episode."""
        episode = len(self._origin)
        self._origin[episode] = (trigger, side)
        self.add("trigger", **self._episode(episode))
        return episode

    def refusal(self, episode: int, gate: str, *, standing: bool = False) -> None:
        """A gate refuses it."""
        self.add("refusal", **self._episode(episode), gate=gate, value=2.0, limit=1.0, standing=standing)

    def missed(self, episode: int, gate: str) -> None:
        """Its episode ends without a signal."""
        self.add("missed", **self._episode(episode), gate=gate, offers=3)

    def signal(self, episode: int) -> int:
        """It becomes a signal; gives its number."""
        number = self._signals
        self._signals += 1
        self.add("signal", **self._episode(episode), signal=number, option_symbol=self.contract(), confidence=60)
        return number

    def order(self, signal: int, leg: str = "entry", attempt: int = 1) -> None:
        """An order is sent."""
        self.add("order", signal=signal, leg=leg, **{"try": attempt}, order_id=f"{signal}-{leg}-{attempt}")

    def fill(self, signal: int, leg: str = "entry", quantity: int = 1) -> None:
        """A fill is learned of."""
        self.add("fill", signal=signal, leg=leg, quantity=quantity)

    def unfilled(self, episode: int, signal: int) -> None:
        """The entry is given up."""
        self.add("unfilled", **self._episode(episode), signal=signal, reason="slippage budget")

    def trade(
        self,
        net_usd: float,
        *,
        fees_usd: float = 1.0,
        trigger: str = BURST,
        side: str = "call",
        exit_reason: str = "TAKE_PROFIT",
        held_s: float = 120.0,
        quantity: int = 10,
        entry_slippage_usd: float | None = 5.0,
        exit_slippage_usd: float | None = 3.0,
        worst_open_usd: float = 0.0,
        confidence: int = 60,
    ) -> None:
        """A trade from its trigger to its end."""
        episode = self.trigger(trigger, side)
        signal = self.signal(episode)
        self.order(signal)
        self.fill(signal, quantity=quantity)
        opened_ns = self.now_ns
        self.mark("fill", worst_open_usd)
        self.now_ns = opened_ns + round(held_s * NS_PER_S)
        self.order(signal, "exit")
        self.fill(signal, "exit", quantity)
        self.add(
            "trade",
            **self._episode(episode),
            signal=signal,
            trade=len(self.trades),
            symbol=self.contract(),
            quantity=quantity,
            gross_e4=usd_to_e4(net_usd + fees_usd),
            exit_reason=exit_reason,
        )
        self.realised_usd += net_usd
        self.fees_usd += fees_usd
        self.mark("trade")
        blank = dict.fromkeys(TRADE_COLUMNS)
        self.trades.append(
            blank
            | {
                "session": self.day,
                "symbol": self.symbol,
                "trade": len(self.trades),
                "signal": signal,
                "trigger": trigger,
                "side": side,
                "option_symbol": self.contract(),
                "strike": 250.0,
                "expiry": self.day,
                "dte": 0,
                "quantity": quantity,
                "confidence": confidence,
                "opened_ns": opened_ns,
                "closed_ns": self.now_ns,
                "held_s": held_s,
                "entry_price": 2.0,
                "exit_price": round(2.0 + (net_usd + fees_usd) / (100 * quantity), 4),
                "entry_slippage_usd": entry_slippage_usd,
                "exit_slippage_usd": exit_slippage_usd,
                "mid_slippage_usd": None if entry_slippage_usd is None else entry_slippage_usd + quantity * 2.0,
                "gross_pnl_usd": net_usd + fees_usd,
                "fees_usd": fees_usd,
                "net_pnl_usd": net_usd,
                "pnl_pct": (net_usd + fees_usd) / (2.0 * quantity),
                "exit_reason": exit_reason,
                "entry_tries": 1,
                "exit_tries": 1,
                "fills": 2,
            }
        )

    def end(self) -> None:
        """Close the session's books."""
        kinds = Counter(each["kind"] for each in self.records)
        self.add(
            "session_end",
            signals=kinds["signal"],
            orders=kinds["order"],
            fills=kinds["fill"],
            trades=kinds["trade"],
            gross_e4=usd_to_e4(self.realised_usd + self.fees_usd),
            fees_e4=usd_to_e4(self.fees_usd),
            net_e4=usd_to_e4(self.realised_usd),
            flat=self.is_flat,
        )
        self.mark("close")

    def contract(self) -> str:
        """The contract of all its trades."""
        return f"{self.symbol}{self.day:%y%m%d}C00250000"

    def _episode(self, episode: int) -> dict[str, Any]:
        trigger, side = self._origin[episode]
        return {"episode": episode, "trigger": trigger, "side": side}

    def head(self) -> dict[str, Any]:
        """What the run's manifest says of it."""
        return {
            "symbol": self.symbol,
            "session": self.day.isoformat(),
            "tape": f"tapes/{self.symbol}/{self.day}",
            "tape_digest": hashlib.sha256(f"{self.symbol} {self.day}".encode()).hexdigest(),
            "rows": 5_000_000,
            "synthetic": self.synthetic,
            "quality": self.quality,
            "feeds": {"stock": "synthetic"} if self.synthetic else {"stock": "sip", "options": "opra"},
        }


class RunBuilder:
    """One run folder: add sessions, then `write`."""

    def __init__(self, root: Path, name: str = "20261120T220000Z-0a1b2c3d", created_utc: str = "") -> None:
        self.path = root / name
        self.created_utc = created_utc or "2026-11-20T22:00:00+00:00"
        self.config_digest = "c0ffee" * 10 + "c0ff"
        self.sessions: list[SessionBuilder] = []

    def session(
        self,
        day: str = "2026-11-20",
        symbol: str = "TSLA",
        *,
        synthetic: bool = False,
        equity_usd: float = EQUITY_USD,
        quality: dict[str, Any] | None = None,
    ) -> SessionBuilder:
        """Begin the next session."""
        self.sessions.append(SessionBuilder(symbol, day, synthetic=synthetic, equity_usd=equity_usd, quality=quality))
        return self.sessions[-1]

    def write(self) -> Path:
        """Write the folder and give its path."""
        self.path.mkdir(parents=True)
        for session in self.sessions:
            if session.is_closed:
                session.end()
        lines = [json.dumps(each) for session in self.sessions for each in session.records]
        (self.path / "decisions.jsonl").write_text("".join(f"{line}\n" for line in lines))
        self._table("trades", [row for session in self.sessions for row in session.trades], TRADE_COLUMNS)
        self._table("equity", [row for session in self.sessions for row in session.equity], EQUITY_COLUMNS)
        (self.path / "telemetry.jsonl").write_text("")
        (self.path / "manifest.json").write_text(json.dumps(self.manifest(), indent=2))
        return self.path

    def _table(self, name: str, rows: list[dict[str, Any]], schema: dict[str, Any]) -> None:
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(self.path / f"{name}.parquet")

    def manifest(self) -> dict[str, Any]:
        """Content of `manifest.json`."""
        return {
            "schema_version": 1,
            "mode": "replay",
            "config": {"scalp": {"stop_loss_pct": 15.0}},
            "config_digest": self.config_digest,
            "code_version": "0.1.0",
            "seed": 0,
            "sessions": [session.head() for session in self.sessions],
            "decisions_digest": "d" * 64,
            "counts": {},
            "timings_s": {"read": 0.1, "engine": 0.1, "write": 0.1, "total": 0.3},
            "peak_rss_mb": 300.0,
            "created_utc": self.created_utc,
            "command": ["scalpcli", "replay", "tapes/TSLA/2026-11-20"],
        }
