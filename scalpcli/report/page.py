"""One self-contained page: figures, tables and interactive plots of a report, opened from disk without a network.

Decides the page's frame. Everything is inside: uPlot (its licence stands beside it), the script that draws, the
data as JSON. A content policy in the page allows exactly these two scripts and two styles, by their digests, and
nothing from anywhere else; so text from a journal can neither run nor load anything.

uPlot (MIT, 51 kB, no dependencies) draws 100,000 points at once; plotly would add 4.8 MB to every report.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources
from typing import Any, Final

from scalpcli.report.figures import FIGURES
from scalpcli.report.funnel import total
from scalpcli.report.headline import interval
from scalpcli.report.load import Results
from scalpcli.report.notices import notices
from scalpcli.report.page_data import WEEKDAYS, heat, page_data
from scalpcli.report.quality import worst
from scalpcli.report.render import heading, sections, trades_section
from scalpcli.report.section import Section, number, shown
from scalpcli.report.summary import bounds, figures, funnel_counts

_DIGEST_CHARS: Final = 12
_CARDS: Final = (
    "net_pnl_usd",
    "trades",
    "win_rate",
    "reward_risk",
    "profit_factor",
    "expectancy_usd",
    "sharpe_trades",
    "max_drawdown_overall_pct",
)
_PLOTS: Final = (
    ("equity", "Equity, USD", "wide"),
    ("drawdown", "Drawdown, %", "wide"),
    ("day", "Trades on the day's price, with VWAP and levels", "wide"),
    ("velocity", "Velocity around each entry", ""),
    ("volume", "Volume around each entry", ""),
    ("pnl", "Results of trades", ""),
    ("excursions", "Worst and best while held", ""),
    ("slippage", "Slippage of fills", ""),
    ("markouts", "Mark-outs after fills", ""),
    ("reliability", "Confidence against what happened", ""),
)
_STEPS: Final = (
    ("trigger", "triggers"),
    ("refusal", "refusals"),
    ("missed", "missed"),
    ("signal", "signals"),
    ("ordered", "with an order"),
    ("entered", "filled"),
    ("trade", "trades"),
)


def page(results: Results, trials: int = 0) -> str:
    """The page as text.

    Args:
        results: What was read.
        trials: Settings tried, see `summary.figures`.
    """
    data, missing = page_data(results)
    styles, scripts = [_asset("uplot.min.css"), _asset("page.css")], [_asset("uplot.min.js"), _asset("page.js")]
    policy = f"default-src 'none'; style-src {_digests(styles)}; script-src {_digests(scripts)}; base-uri 'none'"
    title = html.escape(heading(results))
    body = [
        f"<h1>{title}</h1>",
        *(f'<p class="notice">{html.escape(each)}</p>' for each in notices(results)),
        *(f"<p>{html.escape(each)}</p>" for each in missing),
        f"<p>{html.escape(_quality_words(results))}</p>",
        _cards(results, trials),
        '<div class="grid">',
        *_plots(data),
        _heat(results),
        _funnel(results),
        "</div>",
        '<div class="tables">',
        *(_table(section) for section in [*sections(results, trials), trades_section(results)] if section.rows),
        "</div>",
    ]
    licence = html.escape(_asset("uplot.LICENSE"))
    payload = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            *(f"<style>{style}</style>" for style in styles),
            "</head><body><main>",
            *body,
            f"<footer><details><summary>Plots: uPlot 1.6.32, MIT</summary><pre>{licence}</pre></details></footer>",
            "</main>",
            f'<script type="application/json" id="data">{payload}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
            "",
        ]
    )


def _asset(name: str) -> str:
    return (resources.files("scalpcli.report") / "assets" / name).read_text(encoding="utf-8")


def _digests(texts: list[str]) -> str:
    """The texts as a content policy names them."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _cards(results: Results, trials: int) -> str:
    values = figures(results, trials) | bounds(results)
    cards = []
    for name in _CARDS:
        between = interval(values, name) if f"{name}_low" in values else ""
        remark = f"95 %: {between}" if between else ""
        cards.append(
            f'<div class="figure"><span>{html.escape(FIGURES[name].title)}</span>'
            f"<b>{html.escape(shown(values, name))}</b><span>{html.escape(remark)}</span></div>"
        )
    return f'<div class="figures">{"".join(cards)}</div>'


def _quality_words(results: Results) -> str:
    """The quality of the data and what made the runs, in one line; the tables below tell each session's."""
    found = worst([session.quality for session in results.sessions])
    configs = sorted({run.manifest["config_digest"][:_DIGEST_CHARS] for run in results.runs})
    codes = sorted({run.manifest["code_version"] for run in results.runs})
    tapes = {session.head["tape_digest"] for session in results.sessions}
    named = next(iter(tapes))[:_DIGEST_CHARS] if len(tapes) == 1 else str(len(tapes))
    noun = "tape" if len(tapes) == 1 else "tapes:"
    return (
        f"Data: coverage at least {number(found.coverage_pct, 2, '%')}, {number(found.gaps, 0)} gaps, silent at most"
        f" {number(found.stale_pct, 2, '%')}, crossed at most {number(found.crossed_pct, 2, '%')}, {noun} {named};"
        f" code {', '.join(codes)}, settings {', '.join(configs[:3])}"
    )


def _plots(data: dict[str, Any]) -> list[str]:
    """Places of the plots that have something to draw."""
    filled = {
        "equity": data["equity"]["x"],
        "drawdown": data["equity"]["x"],
        "day": data["days"],
        "velocity": data["around"]["trades"],
        "volume": [value for value in data["around"]["volume_ratio_mean"] if value is not None],
        **{name: data[name]["x"] for name in ("pnl", "slippage", "excursions", "markouts", "reliability")},
    }
    places = []
    for name, title, width in _PLOTS:
        if not filled[name]:
            continue
        choice = _choice(data["days"]) if name == "day" else ""
        places.append(f'<section class="{width}"><h2>{title}</h2>{choice}<div id="{name}"></div></section>')
    return places


def _choice(days: list[dict[str, Any]]) -> str:
    if len(days) < 2:
        return f"<p>{html.escape(days[0]['name'])}</p>"
    options = "".join(f"<option>{html.escape(day['name'])}</option>" for day in days)
    return f'<p><select id="day-choice" aria-label="session">{options}</select></p>'


def _heat(results: Results) -> str:
    cells = heat(results)
    if not cells:
        return ""
    days = [name for name in WEEKDAYS if any(day == name for day, _ in cells)]
    hours = sorted({hour for _, hour in cells})
    head = "".join(f"<th>{hour}</th>" for hour in hours)
    rows = []
    for name in days:
        found = [cells.get((name, hour)) for hour in hours]
        tds = "".join(
            "<td></td>" if each is None else f'<td data-net="{each[1]:.2f}">{each[1]:,.0f}<br>{each[0]}</td>'
            for each in found
        )
        rows.append(f"<tr><th>{name}</th>{tds}</tr>")
    return (
        "<section><h2>Net USD and trades by weekday and hour (New York)</h2>"
        f'<div class="scroll"><table class="heat"><tr><th></th>{head}</tr>{"".join(rows)}</table></div></section>'
    )


def _funnel(results: Results) -> str:
    counts = funnel_counts(results)
    numbers = [(title, total(counts, step)) for step, title in _STEPS]
    most = max(count for _, count in numbers)
    if not most:
        return ""
    bars = "".join(
        f'<div class="bar"><span>{title}</span><i data-share="{100.0 * count / most:.2f}"></i>'
        f'<span class="right">{count:,}</span></div>'
        for title, count in numbers
    )
    return f"<section><h2>Funnel</h2>{bars}</section>"


def _table(section: Section) -> str:
    has_heads = any(head.title for head in section.heads)
    classes = {head.name: ' class="right"' if head.right else "" for head in section.heads}
    head = "".join(f"<th{classes[each.name]}>{html.escape(each.title)}</th>" for each in section.heads)
    rows = "".join(
        "<tr>" + "".join(f"<td{classes[h.name]}>{html.escape(row[h.name])}</td>" for h in section.heads) + "</tr>"
        for row in section.rows
    )
    note = f"<p>{html.escape(section.note)}</p>" if section.note else ""
    return (
        f"<section><h2>{html.escape(section.title)}</h2>"
        f'<div class="scroll"><table>{f"<tr>{head}</tr>" if has_heads else ""}{rows}</table></div>{note}</section>'
    )
