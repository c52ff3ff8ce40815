"""One self-contained page of a search: no scripts, no fonts, nothing fetched; it opens from disk.

Decides how results are drawn: the distribution of the objective, a heat map for every two settings, parallel
coordinates of the settings, and what choosing inside was worth outside.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_WIDTH, _HEIGHT, _EDGE = 860, 300, 46
_LINES_MAX: Final = 500
"""Settings drawn in parallel coordinates at most, spread over all ranks."""
_PAIRS_MAX: Final = 15
"""Heat maps at most."""
_CELLS_MAX: Final = 24
"""Rows and columns of a heat map at most; values between them fall into the nearest."""
_STYLE: Final = """
body { font: 14px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .6rem; text-align: right; font-weight: normal; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f4f6f9; }
.heat td { min-width: 3.2rem; text-align: center; } .heat tr { background: none; }
.notice { color: #a11; font-weight: bold; } svg { max-width: 100%; }
.maps { display: flex; flex-wrap: wrap; gap: 2rem; }
"""


def page(result: dict[str, Any], words: dict[str, str]) -> str:
    """The page.

    Args:
        result: What a search's folder keeps.
        words: What each figure of the verdict that is shown means.
    """
    rows = result["settings"]
    keys = [name for name in rows[0] if "." in name]
    parts = [
        f"<h1>{html.escape(result['search'])}</h1>",
        '<p class="notice">SYNTHETIC: at least one tape was made up</p>' if result["synthetic"] else "",
        f"<p>Best by {html.escape(result['objective'])}: {html.escape(_setting(result['best']))}</p>",
        "<h2>Verdict</h2>",
        _table([[name, _text(result["verdict"].get(name)), about] for name, about in words.items()]),
        "<h2>All settings tried</h2>",
        "<p>The objective of every setting, not of the chosen one alone.</p>",
        _histogram([row["objective"] for row in rows if row["objective"] is not None]),
        "<h2>Heat maps</h2><p>Median objective over all other settings; grey was not tried or is unknown.</p>",
        '<div class="maps">' + "".join(_heat(rows, *pair) for pair in _pairs(keys, rows)) + "</div>",
        "<h2>Parallel coordinates</h2><p>One line a setting; the better, the darker.</p>",
        _parallel(rows, keys),
        *_outside(result),
        *_windows(result),
        "<h2>Best settings</h2>",
        _settings(rows[:50], keys),
    ]
    title = html.escape(f"search {result['search']}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return "\n".join(
        ["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *filter(None, parts), "</body></html>", ""]
    )


def _setting(values: dict[str, Any] | None) -> str:
    return "none allowed" if values is None else ", ".join(f"{key} = {_text(value)}" for key, value in values.items())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Sequence[str]], heads: Sequence[str] = ()) -> str:
    head = "<tr>" + "".join(f"<th>{html.escape(each)}</th>" for each in heads) + "</tr>" if heads else ""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _svg(content: Sequence[str], label: str) -> str:
    name = html.escape(label, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">{"".join(content)}</svg>'


def _words(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{html.escape(text)}</text>'


def _colour(value: float) -> str:
    return "#3a6ea5" if value >= 0 else "#b5533c"


def _histogram(values: Sequence[float]) -> str:
    if not values:
        return "<p>No setting is allowed.</p>"
    counts, edges = np.histogram(np.asarray(values), bins=min(40, max(5, len(values) // 5)))
    width = (_WIDTH - 2 * _EDGE) / len(counts)
    bars = []
    for number, count in enumerate(counts):
        height = (_HEIGHT - 2 * _EDGE) * float(count) / float(counts.max())
        fill = _colour(float(edges[number]))
        x, y = _EDGE + number * width, _HEIGHT - _EDGE - height
        bars.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}" fill="{fill}"/>')
    ticks = [
        _words(
            _EDGE + share * (_WIDTH - 2 * _EDGE),
            _HEIGHT - _EDGE + 16,
            f"{edges[0] + share * (edges[-1] - edges[0]):,.4g}",
        )
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    return _svg([*bars, *ticks], "how many settings reached which objective")


def _pairs(keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    moving = [key for key in keys if len({row[key] for row in rows}) > 1]
    return list(itertools.combinations(moving, 2))[:_PAIRS_MAX]


def _bins(rows: Sequence[dict[str, Any]], key: str) -> tuple[list[str], dict[Any, int]]:
    """Heads of one axis of a heat map, and the place of each value."""
    values = sorted({row[key] for row in rows}, key=lambda value: (isinstance(value, str), value))
    groups = np.array_split(np.arange(len(values)), min(len(values), _CELLS_MAX))
    heads = [_text(values[group[len(group) // 2]]) for group in groups]
    return heads, {values[place]: number for number, group in enumerate(groups) for place in group}


def _heat(rows: Sequence[dict[str, Any]], across: str, down: str) -> str:
    heads, columns = _bins(rows, across)
    names, lines = _bins(rows, down)
    cells: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        if row["objective"] is not None:
            cells.setdefault((lines[row[down]], columns[row[across]]), []).append(row["objective"])
    medians = {place: float(np.median(values)) for place, values in cells.items()}
    largest = max((abs(value) for value in medians.values()), default=0.0) or 1.0
    body = []
    for line, name in enumerate(names):
        shown = [_cell(medians.get((line, column)), largest) for column in range(len(heads))]
        body.append(f"<tr><th>{html.escape(name)}</th>{''.join(shown)}</tr>")
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    title = f"{down.split('.')[1]} against {across.split('.')[1]}"
    return f'<div><p>{html.escape(title)}</p><table class="heat"><tr><th></th>{head}</tr>{"".join(body)}</table></div>'


def _cell(value: float | None, largest: float) -> str:
    if value is None:
        return '<td style="background:#ddd"></td>'
    red, green, blue = (58, 110, 165) if value >= 0 else (181, 83, 60)
    return f'<td style="background:rgba({red},{green},{blue},{abs(value) / largest:.2f})">{value:,.3g}</td>'


def _parallel(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> str:
    names = [*keys, "objective"]
    known = [row for row in rows if row["objective"] is not None]
    if len(known) < 2:
        return "<p>Too few settings are allowed.</p>"
    picked = [known[place] for place in np.unique(np.linspace(0, len(known) - 1, _LINES_MAX).astype(int))]
    gap = (_WIDTH - 2 * _EDGE) / (len(names) - 1)
    places = {name: _places([row[name] for row in picked]) for name in names}
    lines = []
    for number in reversed(range(len(picked))):
        points = " ".join(
            f"{_EDGE + place * gap:.1f},{_HEIGHT - _EDGE - places[name][number] * (_HEIGHT - 2 * _EDGE):.1f}"
            for place, name in enumerate(names)
        )
        dark = 0.08 + 0.72 * (1.0 - number / len(picked)) ** 3
        lines.append(f'<polyline points="{points}" fill="none" stroke="#3a6ea5" stroke-opacity="{dark:.2f}"/>')
    labels = []
    for place, name in enumerate(names):
        x = _EDGE + place * gap
        labels.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_EDGE}" y2="{_HEIGHT - _EDGE}" stroke="#888"/>')
        anchor = "start" if place == 0 else "end" if place == len(names) - 1 else "middle"
        labels.append(_words(x, _HEIGHT - _EDGE + (16 if place % 2 == 0 else 30), name.split(".")[-1], anchor))
    return _svg([*lines, *labels], "parallel coordinates of the settings tried")


def _places(values: Sequence[Any]) -> list[float]:
    """Where values lie between the least and the largest, 0 to 1; words by their order."""
    if any(isinstance(value, str) for value in values):
        order = sorted(set(values))
        values = [order.index(value) for value in values]
    low, high = float(min(values)), float(max(values))
    return [0.5 if high == low else (float(value) - low) / (high - low) for value in values]


def _outside(result: dict[str, Any]) -> list[str]:
    """What choosing on one half was worth on the other, split by split."""
    splits = result["splits"]
    if not splits:
        return []
    inside, outside = (np.asarray(each) for each in splits)
    reach = max(float(np.abs([*inside, *outside]).max()), 1e-9)

    def x(value: float) -> float:
        return _WIDTH / 2 + value / reach * (_WIDTH / 2 - _EDGE)

    def y(value: float) -> float:
        return _HEIGHT / 2 - value / reach * (_HEIGHT / 2 - 10)

    dots = [
        f'<circle cx="{x(seen):.1f}" cy="{y(later):.1f}" r="3" fill="{_colour(later)}" fill-opacity="0.4"/>'
        for seen, later in zip(inside.tolist(), outside.tolist(), strict=True)
        if math.isfinite(seen) and math.isfinite(later)
    ]
    cross = [
        f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#888"/>',
        f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="10" y2="{_HEIGHT - 10}" stroke="#888"/>',
        _words(_WIDTH - _EDGE, y(0) - 6, "Sharpe where it was chosen", "end"),
        _words(x(0) + 6, 20, "Sharpe on the other half", "start"),
    ]
    words = "<p>One dot a half-and-half split of the sessions; red lost on the half it was not chosen on.</p>"
    return ["<h2>In-sample against out-of-sample</h2>", words, _svg([*cross, *dots], "in-sample against out-of-sample")]


def _windows(result: dict[str, Any]) -> list[str]:
    if not result["windows"]:
        return []
    rows = [
        [" - ".join(each["train"]), " - ".join(each["test"]), _setting(each["best"]), _text(each["net_pnl_usd"])]
        for each in result["windows"]
    ]
    return ["<h2>Walk-forward</h2>", _table(rows, ("chosen on", "judged on", "choice", "net there, USD"))]


def _settings(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> str:
    names = ["rank", *keys, "objective", "trades", "net_pnl_usd", "sharpe_days"]
    return _table([[_text(row[name]) for name in names] for row in rows], [name.split(".")[-1] for name in names])
