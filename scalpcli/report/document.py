"""A report as data: what `--format json`, `jsonl` and `csv` print, for programs to read.

Decides names and nesting; unknown is null. `render.py` lays the same values out for people.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from scalpcli.report.against_view import kept
from scalpcli.report.figures import INTERVALS, TARGETS, verdict
from scalpcli.report.funnel import TRIGGERS, Step, gates, total
from scalpcli.report.groups import grouped
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.notices import notices
from scalpcli.report.reliability import reliability
from scalpcli.report.require import check_requirements
from scalpcli.report.runs import Run
from scalpcli.report.summary import bounds, figures, funnel_counts

GROUPINGS: Final = ("exit-reason", "trigger", "side")
_RUN_FIELDS: Final = ("mode", "created_utc", "code_version", "config_digest", "decisions_digest", "seed", "command")


def document(results: Results, requirements: Sequence[str] = (), trials: int = 0) -> dict[str, Any]:
    """The whole report as one object.

    Args:
        results: What was read.
        requirements: Texts of `--require`, told as met or not.
        trials: Settings tried, see `summary.figures`.
    """
    values = figures(results, trials)
    ends = bounds(results)
    judged = values | ends
    failures = {failure.text: failure.found for failure in check_requirements(judged, requirements)}
    return {
        "synthetic": any(session.is_synthetic for session in results.sessions),
        "notices": notices(results),
        "figures": values,
        "intervals": {name: [ends[f"{name}_low"], ends[f"{name}_high"]] for name in INTERVALS},
        "targets": [
            {
                "figure": target.figure,
                "above": target.above,
                "value": values[target.figure],
                "verdict": verdict(target, judged),
            }
            for target in TARGETS
        ],
        "requirements": [
            {"requirement": text.strip(), "met": text.strip() not in failures, "found": failures.get(text.strip(), "")}
            for text in requirements
        ],
        "reliability": [dataclasses.asdict(each) for each in reliability(results.trades)],
        "by": {
            name.replace("-", "_"): [dataclasses.asdict(group) for group in grouped(results.trades, name)]
            for name in GROUPINGS
        },
        "funnel": funnel(funnel_counts(results)),
        "live": [
            {"run": run.name, "proof": told["proof"], "result": told.get("result")} for run, told in found_of(results)
        ],
        "sessions": [session_row(session) for session in results.sessions],
        "runs": run_rows(results),
    }


def found_of(results: Results) -> list[tuple[Run, dict[str, Any]]]:
    """Live runs whose proof was made before, each with what it found."""
    found = [(run, kept(run.path, run.manifest.get("decisions_digest", ""))) for run in results.runs if run.is_live]
    return [(run, told) for run, told in found if told is not None]


def run_rows(results: Results) -> list[dict[str, Any]]:
    """One row a run: where it comes from, and its figures."""
    rows = []
    for part in results.by_run():
        days = [session.day for session in part.sessions]
        rows.append(
            _run_head(part.runs[0])
            | {
                "symbols": sorted({session.symbol for session in part.sessions}),
                "first_session": min(days),
                "last_session": max(days),
                "synthetic": any(session.is_synthetic for session in part.sessions),
            }
            | figures(part)
        )
    return rows


def _run_head(run: Run) -> dict[str, Any]:
    return {"run": run.name, "path": str(run.path)} | {name: run.manifest.get(name) for name in _RUN_FIELDS}


def session_row(session: SessionResult) -> dict[str, Any]:
    """One session: its data and its result."""
    values = figures(Results.of([], [session]))
    head = session.head
    return {
        "run": session.run_name,
        "session": session.day,
        "symbol": session.symbol,
        "synthetic": session.is_synthetic,
        "coverage_pct": session.quality.coverage_pct,
        "tape": head.get("tape"),
        "tape_digest": head["tape_digest"],
        "rows": head.get("rows"),
        "feeds": head.get("feeds"),
        "quality": head.get("quality"),
        "starting_equity_usd": session.starting_equity_usd,
        "flat": session.tally.is_flat,
        **{name: values[name] for name in ("triggers", "refusals", "missed", "signals", "trades")},
        **{name: values[name] for name in ("win_rate", "net_pnl_usd", "fees_usd")},
        **{name: values[name] for name in ("max_drawdown_pct", "max_drawdown_usd")},
    }


def funnel(counts: Counter[Step]) -> dict[str, Any]:
    """The funnel, all triggers together and each alone."""
    return {"all": _funnel_of(counts, None)} | {trigger: _funnel_of(counts, trigger) for trigger in TRIGGERS}


def _funnel_of(counts: Counter[Step], trigger: str | None) -> dict[str, Any]:
    def number(name: str, gate: str | None = None) -> int:
        return total(counts, name, trigger=trigger, gate=gate)

    return {
        "triggers": number("trigger"),
        "refused": {gate: number("refusal", gate) for gate in gates(counts, "refusal")},
        "missed": {gate: number("missed", gate) for gate in gates(counts, "missed")},
        "left_open": number("trigger") - number("missed") - number("signal"),
        "signals": number("signal"),
        "signals_ordered": number("ordered"),
        "entry_orders": number("entry_order"),
        "signals_unfilled": number("unfilled"),
        "signals_filled": number("entered"),
        "entry_fills": number("entry_fill"),
        "exit_orders": number("exit_order"),
        "exit_fills": number("exit_fill"),
        "trades": number("trade"),
    }


def trade_rows(results: Results) -> list[dict[str, Any]]:
    """One row a trade, in order of run and closing, as a report read it."""
    names = {position: run.name for position, run in enumerate(results.runs)}
    ordered = results.trades.sort("run", "closed_ns", maintain_order=True)
    return [{"run": names[row.pop("run")], **row} for row in ordered.iter_rows(named=True)]
