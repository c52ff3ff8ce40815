"""How a replay is shown: one JSON object, or a table of trades and the sums."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalpcli.cli.options import Format
from scalpcli.cli.output import Column, emit, emit_object, say
from scalpcli.model.session import ns_to_new_york
from scalpcli.runtime.journal import TRADE_COLUMNS
from scalpcli.runtime.replay import SessionResult
from scalpcli.runtime.run_folder import tape_digest

_COLUMNS = (
    Column("entered"),
    Column("contract"),
    Column("trigger"),
    Column("n", right=True),
    Column("bought", digits=2),
    Column("sold", digits=2),
    Column("held", right=True),
    Column("exit"),
    Column("net", title="net USD", digits=2),
)
_TRIGGER_WORDS = {"momentum_burst": "burst", "vwap_rejection": "reject", "breakout": "breakout"}
_EXIT_WORDS = {
    "STOP_LOSS": "stop",
    "TAKE_PROFIT": "target",
    "TRAILING_STOP": "trailing",
    "TIME_EXIT": "time",
    "MOMENTUM_REVERSED": "reversal",
}


def print_run(
    manifest: dict[str, Any], results: Sequence[SessionResult], run_dir: Path, form: Format, *, quiet: bool
) -> None:
    """Print what a replay found to stdout."""
    if form is Format.JSON:
        emit_object(summary(manifest, results, run_dir), form)
        return
    trades = [row for result in results for row in result.trades.to_dicts()]
    if form is not Format.TABLE:
        emit(trades, form, columns=[Column(name) for name in TRADE_COLUMNS])
        return
    found = summary(manifest, results, run_dir)
    made_up = "  SYNTHETIC" if found["synthetic"] else ""
    if any("indicative" in result.feeds.get("options", "") for result in results):
        made_up += "  INDICATIVE option quotes, not the NBBO"
    names = ", ".join(f"{result.symbol} {result.session}" for result in results[:3])
    more = f" and {len(results) - 3} more" if len(results) > 3 else ""
    many = len(results) > 1
    emit([_trade_row(row, with_day=many) for row in trades], form, columns=_COLUMNS, title=f"{names}{more}{made_up}")
    refused = ", ".join(f"{gate} {count}" for gate, count in found["refusals"].items()) or "none"
    sys.stdout.write(
        f"\n{found['rows']:,} rows, {found['triggers']} triggers, {found['signals']} signals, "
        f"{found['trades']} trades, net {found['net_pnl_usd']:,.2f} USD\nrefused: {refused}\n"
    )
    total_s = found["timings_s"]["total"]
    say(f"{total_s:.2f} s ({found['rows'] / total_s / 1e6:.1f} M rows/s), run in {run_dir}", quiet=quiet)


def summary(manifest: dict[str, Any], results: Sequence[SessionResult], run_dir: Path) -> dict[str, Any]:
    """The object `--format json` prints."""
    refusals: dict[str, int] = {}
    for result in results:
        for gate, count in result.ends["refusals"].items():
            refusals[gate] = refusals.get(gate, 0) + count
    counts = manifest["counts"]
    return {
        "rows": counts["rows"],
        "triggers": counts["triggers"],
        "refusals": dict(sorted(refusals.items(), key=lambda item: (-item[1], item[0]))),
        "signals": counts["signals"],
        "orders": counts["orders"],
        "fills": counts["fills"],
        "trades": counts["trades"],
        "gross_pnl_usd": sum(result.ends["gross_e4"] for result in results) / 1e4,
        "fees_usd": sum(result.ends["fees_e4"] for result in results) / 1e4,
        "net_pnl_usd": sum(result.ends["net_e4"] for result in results) / 1e4,
        "decisions_digest": manifest["decisions_digest"],
        "tape_digest": tape_digest(results),
        "config_digest": manifest["config_digest"],
        "synthetic": any(result.synthetic for result in results),
        "sessions": [{"symbol": result.symbol, "session": str(result.session)} for result in results],
        "timings_s": {name: round(value, 4) for name, value in manifest["timings_s"].items()},
        "peak_rss_mb": manifest["peak_rss_mb"],
        "run_dir": str(run_dir),
    }


def _trade_row(trade: dict[str, Any], *, with_day: bool) -> dict[str, Any]:
    held_s = round(trade["held_s"])
    clock = ns_to_new_york(trade["opened_ns"])[:8]
    same_day = "" if trade["dte"] == 0 else f" +{trade['dte']}d"
    return {
        "entered": f"{trade['session']:%m-%d} {clock[:5]}" if with_day else clock,
        "contract": f"{trade['strike']:g}{trade['side'][0].upper()}{same_day}",
        "trigger": _TRIGGER_WORDS[trade["trigger"]],
        "n": trade["quantity"],
        "bought": trade["entry_price"],
        "sold": trade["exit_price"],
        "held": f"{held_s // 60}:{held_s % 60:02d}",
        "exit": _EXIT_WORDS.get(trade["exit_reason"], trade["exit_reason"].lower()),
        "net": trade["net_pnl_usd"],
    }
