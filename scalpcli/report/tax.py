"""A trade list for the broker's and the tax adviser's spreadsheet.

Decides its columns: contract, dates, quantity, proceeds, cost, fees and gain, in whole cents as booked. Which
rules of which country apply is left to whoever reads it.
"""

from __future__ import annotations

from typing import Any

from scalpcli.model.session import ns_to_new_york, ns_to_new_york_date
from scalpcli.report.load import Results
from scalpcli.report.section import Head, number, table
from scalpcli.report.view import View

_SHARES: int = 100


def tax_view(results: Results) -> View:
    """The answer to `--tax`: one row a closed trade; fees stand apart from cost and proceeds."""
    rows: list[dict[str, Any]] = []
    for trade in results.trades.sort("run", "closed_ns", maintain_order=True).iter_rows(named=True):
        shares = trade["quantity"] * _SHARES
        cost = round(trade["entry_price"] * shares, 2)
        proceeds = round(cost + trade["gross_pnl_usd"], 2)
        rows.append(
            {
                "description": f"{trade['symbol']} {trade['expiry']:%Y-%m-%d} {trade['strike']:g} {trade['side']}",
                "symbol": trade["option_symbol"],
                "acquired": ns_to_new_york_date(trade["opened_ns"]),
                "acquired_time_new_york": ns_to_new_york(trade["opened_ns"])[:8],
                "sold": ns_to_new_york_date(trade["closed_ns"]),
                "sold_time_new_york": ns_to_new_york(trade["closed_ns"])[:8],
                "quantity": trade["quantity"],
                "proceeds_usd": proceeds,
                "cost_usd": cost,
                "fees_usd": round(trade["fees_usd"], 2),
                "gain_usd": round(trade["net_pnl_usd"], 2),
                "synthetic": trade["synthetic"],
            }
        )
    cells = [
        {
            "sold": str(row["sold"]),
            "what": row["symbol"],
            "quantity": f"{row['quantity']:,}",
            **{name: number(row[f"{name}_usd"], 2) for name in ("proceeds", "cost", "fees", "gain")},
        }
        for row in rows
    ]
    heads = (
        Head("sold", "sold", right=False),
        Head("what", "contract", right=False),
        Head("quantity", "qty"),
        Head("proceeds", "proceeds"),
        Head("cost", "cost"),
        Head("fees", "fees"),
        Head("gain", "gain USD"),
    )
    return View("trades", [table("Trade list", heads, cells, "gain = proceeds - cost - fees")], rows)
