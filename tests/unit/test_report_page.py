"""The page of a report: self-contained, safe, drawn by a real browser where one is present."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from scalpcli.report.load import load
from scalpcli.report.page import page
from scalpcli.report.page_data import DAYS_MAX, POINTS_MAX, equity, histogram, page_data, thinned
from tests.browser import CHROMIUM, browser
from tests.report_builder import RunBuilder
from tests.report_samples import example_run

PLOTS = ["equity", "drawdown", "day", "velocity", "volume", "pnl", "excursions", "slippage", "markouts", "reliability"]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return load([example_run(tmp_path_factory.mktemp("runs"))])


@pytest.fixture(scope="module")
def file(example, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(example), encoding="utf-8")
    return path


def test_nothing_is_asked_of_the_network(file):
    """No address is loaded by any element; the policy names digests only."""
    text = file.read_text()

    assert not re.search(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert len(text) < 400_000


def test_the_same_run_gives_the_same_page(example, file):
    """No clock and no chance in it."""
    assert page(example) == file.read_text()


def test_text_of_a_journal_cannot_become_code(tmp_path):
    """A run's name with markup in it is text, in the page and in its data."""
    run = RunBuilder(tmp_path, "<script>alert(1)<&>'\"")
    run.session("2026-11-19").trade(5.0, exit_reason="</script><script>alert(2)</script>")
    run.session("2026-11-20").trade(5.0)

    text = page(load([run.write()]))

    assert "<script>alert" not in text
    assert text.count("<script") == 3


@pytest.mark.parametrize("trades", [[], [5.0], [-5.0, -7.0]])
def test_small_runs_have_a_page(tmp_path, trades):
    """Nothing to draw leaves plots out; JSON holds no NaN."""
    run = RunBuilder(tmp_path)
    session = run.session()
    for usd in trades:
        session.trade(usd)
    results = load([run.write()])

    data, missing = page_data(results)

    json.dumps(data, allow_nan=False)
    assert page(results).endswith("</body></html>\n")
    assert bool(missing) == bool(trades)


def test_long_curves_keep_their_extremes():
    """A year of minutes at 4,000 points: the least and the largest are among them, in order."""
    values = np.cumsum(np.random.default_rng(1).normal(size=97_500))

    kept = thinned(values, POINTS_MAX)

    assert len(kept) <= POINTS_MAX + 2
    assert (np.diff(kept) > 0).all()
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
    assert (kept[0], kept[-1]) == (0, len(values) - 1)


def test_equity_goes_on_from_day_to_day(tmp_path):
    """Down 100 and up 50: the second day starts where the first ended, a unit further on."""
    run = RunBuilder(tmp_path)
    run.session("2026-11-19").trade(-100.0)
    run.session("2026-11-20").trade(50.0)

    found = equity(load([run.write()]))

    assert found["usd"][-1] == 100_000.0 - 50.0
    assert min(found["drawdown_pct"]) == pytest.approx(-0.1)
    assert found["x"] == sorted(found["x"])
    assert 1.0 < found["x"][-1] < 2.0


def test_a_histogram_holds_every_value():
    """Counts add up; nothing has no bins."""
    assert sum(histogram([1.0, 2.0, 2.5, 9.0, 9.0])["counts"]) == 5
    assert histogram([]) == {"x": [], "counts": []}


def test_only_the_last_days_are_drawn(tmp_path):
    """A month keeps its page small and says what it leaves out."""
    run = RunBuilder(tmp_path)
    for day in range(2, 12):
        run.session(f"2026-11-{day:02d}").trade(5.0)

    _, missing = page_data(load([run.write()]))

    assert any(f"the last {DAYS_MAX} sessions" in words for words in missing)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_a_real_browser_draws_it(chromium, file, scheme, width):
    """Every plot has ink, nothing complains, only the file itself is asked for, nothing is wider than the screen."""
    chromium.requests.clear()
    chromium.complaints.clear()

    chromium.open(file, width=width, scheme=scheme, mobile=width < 500)

    assert chromium.complaints == []
    assert chromium.requests == [file.resolve().as_uri()]
    inked = chromium.ask(
        "[...document.querySelectorAll('.uplot canvas')].map(c => ({"
        " id: c.closest('[id]').id,"
        " ink: c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v) }))"
    )
    assert [each["id"] for each in inked] == PLOTS
    assert all(each["ink"] for each in inked)
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    paper = chromium.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 22, 27)")


def test_a_change_of_theme_draws_anew(chromium, file):
    """The curve's colour follows the theme without loading the page again."""
    chromium.open(file)
    pixels = "(() => { const c = document.querySelector('#equity canvas'); return c.toDataURL(); })()"
    light = chromium.ask(pixels)

    chromium.scheme("dark")

    assert chromium.becomes(lambda: chromium.ask(pixels) != light)
    assert chromium.complaints == []


def test_a_session_can_be_chosen(chromium, example, tmp_path):
    """Two runs of the day: the list redraws the price."""
    run = example.runs[0].path
    twin = tmp_path / "twin"
    twin.symlink_to(run)
    path = tmp_path / "page.html"
    path.write_text(page(load([run, twin])), encoding="utf-8")

    chromium.open(path)
    chromium.ask(
        "(() => { const s = document.getElementById('day-choice'); s.selectedIndex = 1;"
        " s.dispatchEvent(new Event('change')); })()"
    )

    assert chromium.ask("document.querySelectorAll('#day-choice option').length") == 2
    assert chromium.ask("document.querySelectorAll('#day canvas').length") == 1
    assert chromium.complaints == []
