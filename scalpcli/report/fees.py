"""What trading cost in fees: by session and by kind of fee, recomputed from the fills and held against the journal.

Decides nothing about rates, which stand in `model/fees.py`; a session is charged by the settings its run was
played with.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from scalpcli.model.fees import BUY, SELL, DayFees, FeeSchedule, schedule_for
from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.report.events import SessionEvents, events_of
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.section import Head, number, table
from scalpcli.report.view import View
from scalpcli.units import E4_PER_USD


def schedule_of(results: Results, session: SessionResult) -> FeeSchedule:
    """The schedule a session was charged by, from its run's settings.

    Raises:
        DataError: No rates are known for its day.
    """
    settings = results.runs[session.run].manifest.get("config", {}).get("fees", {})
    as_of = dt.date.fromisoformat(settings["as_of"]) if settings.get("as_of") else None
    return schedule_for(session.day, settings.get("schedule", "alpaca"), as_of)


def day_fees(schedule: FeeSchedule, events: SessionEvents) -> DayFees:
    """The bill of one session, fill by fill as the journal tells them."""
    bill = DayFees(schedule)
    fills = sorted((fill["n"], number, fill) for number, life in events.lives.items() for fill in life.fills)
    for _, signal, fill in fills:
        side = BUY if fill["leg"] == "entry" else SELL
        bill.add(side, fill["quantity"], fill["price_e4"] * fill["quantity"] * STANDARD_MULTIPLIER, signal)
    return bill


def fees_view(results: Results) -> View:
    """The answer to `--fees`."""
    rows: list[dict[str, Any]] = []
    kinds: Counter[str] = Counter()
    for session, events in events_of(results):
        bill = day_fees(schedule_of(results, session), events)
        by_kind = {fee.name: e4 / E4_PER_USD for fee, e4 in bill.by_type_e4().items()}
        kinds.update(by_kind)
        contracts = sum(fill["quantity"] for life in events.lives.values() for fill in life.fills)
        told = session.tally.fees_usd
        rows.append(
            {
                "run": session.run_name,
                "session": session.day,
                "symbol": session.symbol,
                "contracts_traded": contracts,
                "gross_pnl_usd": round(float(session.trades["gross_pnl_usd"].sum()), 4),
                "fees_usd": told,
                "recomputed_usd": bill.total_e4() / E4_PER_USD,
                "agrees": None if told is None else round(told * E4_PER_USD) == bill.total_e4(),
                **{f"{name.lower()}_usd": usd for name, usd in by_kind.items()},
            }
        )
    cells = [
        {
            "session": str(row["session"]),
            "symbol": row["symbol"],
            "contracts": f"{row['contracts_traded']:,}",
            "fees": number(row["fees_usd"], 2),
            "each": number(row["fees_usd"] / row["contracts_traded"] if _is_charged(row) else None, 4),
            "gross": number(row["gross_pnl_usd"], 2),
            "agrees": {True: "yes", False: f"NO: {row['recomputed_usd']:,.2f}", None: "-"}[row["agrees"]],
        }
        for row in rows
    ]
    heads = (
        Head("session", "session", right=False),
        Head("symbol", "symbol", right=False),
        Head("contracts", "contracts"),
        Head("fees", "fees USD"),
        Head("each", "a contract"),
        Head("gross", "gross USD"),
        Head("agrees", "recomputed", right=False),
    )
    kind_heads = (Head("fee", "fee", right=False), Head("usd", "USD"))
    kind_cells = [{"fee": name, "usd": number(usd, 2)} for name, usd in kinds.most_common()]
    sections = [
        table("Fees", heads, cells, "recomputed from the fills by the day's rates, each kind rounded up once a day"),
        table("Fees by kind", kind_heads, kind_cells),
    ]
    return View("fees", [each for each in sections if each.rows], rows, {"by_kind_usd": dict(kinds)})


def _is_charged(row: dict[str, Any]) -> bool:
    return bool(row["contracts_traded"]) and row["fees_usd"] is not None
