"""A report for people: sections of small tables that fit 80 columns, in a terminal or as Markdown.

Decides order, tables and their columns. Cells are text, so a terminal and a Markdown file show the same.
"""

from __future__ import annotations

from typing import Any, Final

from scalpcli.model.session import ns_to_new_york
from scalpcli.report.against_view import kept_sections
from scalpcli.report.document import GROUPINGS, found_of, funnel, session_row, trade_rows
from scalpcli.report.figures import TRADES_MIN
from scalpcli.report.funnel import TRIGGERS
from scalpcli.report.groups import grouped
from scalpcli.report.headline import headline
from scalpcli.report.load import Results, SessionResult
from scalpcli.report.notices import notices
from scalpcli.report.quality import worst
from scalpcli.report.reliability import reliability
from scalpcli.report.section import ABSENT, Head, Section, escaped, number, quoted, section_lines, table
from scalpcli.report.summary import bounds, figures, funnel_counts
from scalpcli.report.view import View

_DIGEST_CHARS: Final = 12
_HEAD_ROWS_MAX: Final = 10
"""Rows of the tables above the result; of more sessions or runs those alike share a row."""
_UNREFUSED: Final = "condition"
"""What the journal gives as the gate of an episode whose condition went before anything refused it."""
_RIGHTS: Final = {"call": "C", "put": "P"}
_HEADS: Final = {"momentum_burst": "burst", "vwap_rejection": "rejection", "breakout": "breakout"}


def heading(results: Results) -> str:
    """The first line: which runs."""
    if len(results.runs) == 1:
        return f"Report of {results.runs[0].path}"
    return f"Report of {len(results.runs)} runs, {len(results.sessions)} sessions"


def sections(results: Results, trials: int = 0) -> list[Section]:
    """All tables of the report, in order; those without anything to tell are left out."""
    parts = [
        _data(results),
        _origin(results),
        *headline(figures(results, trials) | bounds(results)),
        _reliability(results),
        *_live(results),
        _groups(results),
        _funnel(results),
        _runs(results) if len(results.runs) > 1 else None,
        _sessions(results) if len(results.sessions) > 1 else None,
    ]
    return [part for part in parts if part is not None and part.rows]


def markdown(results: Results, trials: int = 0) -> str:
    """The report as Markdown."""
    lines = [f"# {escaped(heading(results))}", "", *quoted(notices(results))]
    for section in sections(results, trials):
        lines += section_lines(section)
    return "\n".join(lines).rstrip() + "\n"


def _data(results: Results) -> Section:
    """The tapes, each once; of many, the worst of each symbol and source: data heads a report and must not fill it."""
    tapes = {(session.symbol, session.day, session.head["tape_digest"]): session for session in results.sessions}
    alike: dict[tuple[str, ...], list[SessionResult]] = {}
    for session in tapes.values():
        source = "SYNTHETIC" if session.is_synthetic else _feeds(session.head.get("feeds"))
        day = "" if len(tapes) > _HEAD_ROWS_MAX else session.day.isoformat()
        digest = "" if len(tapes) > _HEAD_ROWS_MAX else session.head["tape_digest"]
        alike.setdefault((session.symbol, source, day, digest), []).append(session)
    rows = []
    for (symbol, source, day, digest), members in alike.items():
        quality = worst([session.quality for session in members])
        rows.append(
            {
                "session": day or f"{len({session.day for session in members})} days",
                "symbol": symbol,
                "source": source,
                "coverage": number(quality.coverage_pct, 2),
                "gaps": number(quality.gaps, 0),
                "stale": number(quality.stale_pct, 2),
                "crossed": number(quality.crossed_pct, 2),
                "tape": digest[:_DIGEST_CHARS] or f"{len(members)} tapes",
            }
        )
    heads = (
        Head("session", "session", right=False),
        Head("symbol", "symbol", right=False),
        Head("source", "source", right=False),
        Head("coverage", "cover %"),
        Head("gaps", "gaps"),
        Head("stale", "stale %"),
        Head("crossed", "cross %"),
        Head("tape", "tape"),
    )
    note = "stale: silent for over 5 s, cross: quotes crossed; of the worst channel"
    note += "; the worst day's" if len(tapes) > _HEAD_ROWS_MAX else ""
    return table("Data", heads, rows, note)


def _feeds(feeds: Any) -> str:
    """`sip, opra` of `{"stock": "sip", "options": "opra"}`; of a long description its first words."""
    if not isinstance(feeds, dict):
        return ABSENT
    return ", ".join(dict.fromkeys(str(feed).split(",")[0] for feed in feeds.values() if feed))


def _origin(results: Results) -> Section:
    """What made each run; of many runs, what made those that are alike."""
    is_many = len(results.runs) > _HEAD_ROWS_MAX
    alike: dict[tuple[str, ...], list[str]] = {}
    for position, run in enumerate(results.runs, start=1):
        seed = ABSENT if run.manifest.get("seed") is None else str(run.manifest["seed"])
        key = (run.manifest["mode"], run.manifest["code_version"], run.manifest["config_digest"][:_DIGEST_CHARS], seed)
        alike.setdefault(key if is_many else (*key, str(position)), []).append(run.manifest["created_utc"][:19])
    rows = [
        {
            "number": str(len(made)) if is_many else key[-1],
            "mode": key[0],
            "code": key[1],
            "config": key[2],
            "seed": key[3],
            "made": made[0] if len(made) == 1 else f"{min(made)[:10]} to {max(made)[:10]}",
        }
        for key, made in alike.items()
    ]
    heads = (
        Head("mode", "mode", right=False),
        Head("code", "code version", right=False),
        Head("config", "config digest", right=False),
        Head("seed", "seed"),
        Head("made", "made (UTC)", right=False),
    )
    numbered = (Head("number", "runs" if is_many else "run"),) if len(results.runs) > 1 else ()
    return table("Origin", (*numbered, *heads), rows)


def _reliability(results: Results) -> Section | None:
    """Confidence against what happened, where there are trades enough to see anything."""
    if len(results.trades) < TRADES_MIN:
        return None
    rows = tuple(
        {
            "score": f"{each.low} to {each.high}",
            "trades": f"{each.trades:,}",
            "win": number(each.win_rate, 1),
            "interval": f"{number(each.interval.low, 1)} to {number(each.interval.high, 1)}",
            "mean": number(each.expectancy_usd, 2),
        }
        for each in reliability(results.trades)
    )
    heads = (
        Head("score", "confidence", right=False),
        Head("trades", "trades"),
        Head("win", "win %"),
        Head("interval", "95 % interval"),
        Head("mean", "mean USD"),
    )
    return Section("Confidence", heads, rows, "a score is no probability: it promises that higher ones win more often")


def _live(results: Results) -> list[Section]:
    """What live runs' own tapes prove, as far as that was found before."""
    return kept_sections([(run.name, told) for run, told in found_of(results)])


def _groups(results: Results) -> Section:
    """Trades by exit, trigger and side; and by source where real and made-up sessions are mixed."""
    titles = {"exit-reason": "exit", "trigger": "trigger", "side": "side", "source": "source"}
    trades = results.trades
    is_mixed = len({session.is_synthetic for session in results.sessions}) > 1
    rows = []
    for by in (*GROUPINGS, *(("source",) if is_mixed else ())):
        for position, group in enumerate(grouped(trades, by)):
            rows.append(
                {
                    "by": "" if position else titles[by],
                    "name": group.name,
                    "trades": f"{group.trades:,}",
                    "win": number(group.win_rate, 1),
                    "net": number(group.net_pnl_usd, 2),
                    "mean": number(group.expectancy_usd, 2),
                    "hold": number(group.hold_s_median, 1),
                }
            )
    heads = (
        Head("by", "by", right=False),
        Head("name", right=False),
        Head("trades", "trades"),
        Head("win", "win %"),
        Head("net", "net USD"),
        Head("mean", "mean USD"),
        Head("hold", "hold s"),
    )
    return table("Trades", heads, rows)


def _funnel(results: Results) -> Section:
    """From triggers to trades, a column for each trigger."""
    parts = funnel(funnel_counts(results))
    whole = parts["all"]
    if not whole["triggers"]:
        return Section("Funnel", (Head("step", right=False),), ({"step": "no trigger rose"},))

    def row(step: str, *path: str) -> dict[str, str]:
        cells = {"step": step}
        for name, part in parts.items():
            value: Any = part
            for key in path:
                value = value[key]
            cells[name] = f"{sum(value.values()) if isinstance(value, dict) else value:,}"
        return cells

    rows = [row("triggers", "triggers")]
    rows += [row(f"  refused: {gate}", "refused", gate) for gate in whole["refused"]]
    rows.append(row("  missed", "missed"))
    if _UNREFUSED in whole["missed"]:
        rows.append(row("    gone before any gate spoke", "missed", _UNREFUSED))
    if whole["left_open"]:
        rows.append(row("  not pursued", "left_open"))
    rows += [
        row("signals", "signals"),
        row("  entry orders, every try", "entry_orders"),
        row("  given up unfilled", "signals_unfilled"),
        row("signals filled", "signals_filled"),
        row("trades closed", "trades"),
    ]
    heads = (Head("step", right=False), Head("all", "all"), *(Head(name, _HEADS[name]) for name in TRIGGERS))
    note = "a trigger may be refused several times, once for each reason" if whole["refused"] else ""
    return table("Funnel", heads, rows, note)


def _sessions(results: Results) -> Section:
    """One row a session: drawdown per day stands here."""
    is_many = len(results.runs) > 1
    rows = []
    for session in results.sessions:
        values = session_row(session)
        rows.append(
            {
                "number": str(session.run + 1),
                "session": session.day.isoformat(),
                "symbol": session.symbol,
                "triggers": number(values["triggers"], 0),
                "trades": number(values["trades"], 0),
                "win": number(values["win_rate"], 1),
                "net": number(values["net_pnl_usd"], 2),
                "fees": number(values["fees_usd"], 2),
                "drawdown": number(values["max_drawdown_pct"], 2),
            }
        )
    heads = (
        *((Head("number", "run"),) if is_many else ()),
        Head("session", "session", right=False),
        Head("symbol", "symbol", right=False),
        Head("triggers", "triggers"),
        Head("trades", "trades"),
        Head("win", "win %"),
        Head("net", "net USD"),
        *(() if is_many else (Head("fees", "fees USD"),)),
        Head("drawdown", "drawdown %"),
    )
    return table("Sessions", heads, rows)


def _runs(results: Results) -> Section:
    """Runs side by side."""
    rows = []
    for position, part in enumerate(results.by_run(), start=1):
        values = figures(part)
        rows.append(
            {
                "number": str(position),
                "run": part.runs[0].name,
                "days": number(values["days"], 0),
                "trades": number(values["trades"], 0),
                "win": number(values["win_rate"], 1),
                "net": number(values["net_pnl_usd"], 2),
                "factor": number(values["profit_factor"], 2),
                "drawdown": number(values["max_drawdown_pct"], 2),
            }
        )
    heads = (
        Head("number", "run"),
        Head("run", "folder", right=False),
        Head("days", "days"),
        Head("trades", "trades"),
        Head("win", "win %"),
        Head("net", "net USD"),
        Head("factor", "PF"),
        Head("drawdown", "DD %"),
    )
    return table("Runs", heads, rows)


def trades_view(results: Results) -> View:
    """The answer to `--trades`."""
    return View("trades", [trades_section(results)], trade_rows(results))


def trades_section(results: Results) -> Section:
    """One row a trade."""
    numbered = (Head("run", "run"),) if len(results.runs) > 1 else ()
    rows = tuple(
        {
            "run": str(trade["run"] + 1),
            "number": str(trade["number"]),
            "opened": f"{trade['session']:%m-%d} {ns_to_new_york(trade['opened_ns'])[:5]}",
            "contract": f"{trade['symbol']} {trade['strike']:g}{_RIGHTS[trade['side']]} {trade['expiry']:%m-%d}",
            "quantity": f"{trade['quantity']:,}",
            "entry": number(trade["entry_price"], 2),
            "exit": number(trade["exit_price"], 2),
            "net": number(trade["net_pnl_usd"], 2),
            "reason": trade["exit_reason"],
        }
        for trade in results.trades.sort("run", "closed_ns", maintain_order=True).iter_rows(named=True)
    )
    heads = (
        *numbered,
        Head("number", "#"),
        Head("opened", "opened (ET)"),
        Head("contract", "contract"),
        Head("quantity", "qty"),
        Head("entry", "entry"),
        Head("exit", "exit"),
        Head("net", "net USD"),
        Head("reason", "exit by", right=False),
    )
    return Section("Trades", heads, rows)
