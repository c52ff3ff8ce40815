"""`scalpcli optimize` as a user calls it."""

from __future__ import annotations

import json
import tomllib

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.optimize_samples import EAGER, SPACE, small_tapes

FIXED = [word for key, value in EAGER.items() for word in ("-p", f"{key}={value}")]
SEARCHED = [word for text in SPACE for word in ("-p", text)]


@pytest.fixture(scope="module")
def tapes(tmp_path_factory):
    """Folder of eight small sessions."""
    folder = tmp_path_factory.mktemp("tapes")
    small_tapes(folder, 8)
    return folder


def run(*words, code=0):
    """What one call prints; it must leave with `code`."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.stderr
    return done


def search(tapes, out, *words, code=0):
    return run("optimize", tapes, *FIXED, *SEARCHED, "--out", out, *words, code=code)


def test_a_search_is_printed_kept_and_shown(tapes, tmp_path):
    """The verdict, the distribution, the best settings; `show` prints the same again."""
    done = search(tapes, tmp_path, "--top", "3", "-q")
    again = run("optimize", "show", "--out", tmp_path, "--top", "3", "-q")

    assert done.stdout == again.stdout
    heads = [line for line in done.stdout.splitlines() if line.startswith(("Best", "All", "Walk"))]
    assert [head.split(":")[0] for head in heads] == snapshot(
        ["Best by expectancy", "All settings tried, percentiles", "Best settings"]
    )
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_json_holds_everything(tapes, tmp_path):
    """Verdict, windows, every setting, and that the tapes were made up."""
    found = json.loads(search(tapes, tmp_path, "--walk-forward", "4d:2d", "--json").stdout)

    assert found["synthetic"] is True
    assert len(found["settings"]) == 12
    assert [window["test"] for window in found["windows"]] == [
        ["TSLA 2026-08-07", "TSLA 2026-08-10"], ["TSLA 2026-08-11", "TSLA 2026-08-12"],
    ]  # fmt: skip
    assert found["verdict"]["trials"] == 12.0
    assert 0.0 <= found["verdict"]["pbo"] <= 1.0


def test_what_is_not_accepted_leaves_with_5(tapes, tmp_path):
    """Each comparison that fails is told with what was found."""
    done = search(tapes, tmp_path, "--accept-if", "dsr>2 and trades>=1 and oos_trades>0", "-q", code=5)

    assert "not accepted\n  dsr>2: dsr is " in done.stderr
    assert "oos_trades>0: oos_trades is unknown" in done.stderr
    assert "trades>=1:" not in done.stderr
    search(tapes, tmp_path, "--accept-if", "trials>=12 and pbo<=1", "-q")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--accept-if", "drs>0.9"], "the nearest is `dsr`"),
        (["--accept-if", "dsr>0.9 or pbo<1"], "join comparisons with `and`"),
        (["--constraint", "trade>=1"], "the nearest is `trades`"),
        (["--constraint", "trades"], "should stand"),
        (["--walk-forward", "20d"], "no walk-forward"),
        (["--holdout", "all"], "no share of the sessions"),
        (["--objective", "luck"], "no objective is named"),
        (["-p", "stop_loss=1:2:1"], "no setting that may be searched"),
        (["--executor", "dask"], "no scheduler"),
    ],
)
def test_what_cannot_be_meant_is_told_first(tapes, tmp_path, words, message):
    """Exit 2, nothing played."""
    done = search(tapes, tmp_path, *words, code=2)

    assert message in done.stderr
    assert not list(tmp_path.glob("*/scores.jsonl"))


def test_the_ledger_counts_across_searches(tapes, tmp_path):
    """A second search of other settings raises what the first one's data has seen."""
    search(tapes, tmp_path, "-q")
    words = ["optimize", tapes, *FIXED, "-p", "stop_loss_pct=6:9:1", "--out", tmp_path, "--json"]
    second = json.loads(run(*words).stdout)
    third = json.loads(run(*words).stdout)

    assert second["verdict"]["trials"] == third["verdict"]["trials"] == 16.0
    counted = json.loads(run("optimize", "ledger", tapes, "--out", tmp_path, "--json").stdout)
    assert counted == {"sessions": 8, "settings_tried": 16, "holdout_openings": 0}
    assert len(json.loads(run("optimize", "ledger", "--out", tmp_path, "--json").stdout)) == 2
    assert len(json.loads(run("optimize", "list", "--out", tmp_path, "--json").stdout)) == 3


def test_a_list_of_searches_has_a_line_each(tapes, tmp_path):
    """A name that is typed again is not folded, at the 80 columns of a pipe either."""
    search(tapes, tmp_path, "-q")

    _, _, line = run("optimize", "list", "--out", tmp_path).stdout.splitlines()

    assert line.split()[0] == next(path.name for path in tmp_path.iterdir() if path.is_dir())


def test_opening_the_holdout_is_logged(tapes, tmp_path):
    """Each opening counts, and the verdict says how many there were."""
    search(tapes, tmp_path, "--holdout", "25%", "-q")

    for count in (1, 2):
        opened = json.loads(run("optimize", "show", "--open-holdout", "--out", tmp_path, "--json").stdout)
        assert opened["holdout"]["openings"] == opened["holdout_openings"] == count
        assert opened["holdout"]["trades"] is not None


def test_an_exported_setting_is_the_one_that_was_played(tapes, tmp_path):
    """A replay with the exported file has the digest the search states."""
    found = json.loads(search(tapes, tmp_path / "o", "--json").stdout)
    file = tmp_path / "best.toml"

    run("optimize", "export", file, "--out", tmp_path / "o", "-q")
    replay = run("replay", tapes, "-c", file, "--out", tmp_path / "runs", "--json")

    text = file.read_text()
    assert tomllib.loads(text)["scalp"]["stop_loss_pct"] == found["best"]["scalp.stop_loss_pct"]
    assert "# verdict: trades" in text
    assert "SYNTHETIC" in text
    manifest = json.loads((tmp_path / "runs").glob("*/manifest.json").__next__().read_text())
    assert manifest["config_digest"] == found["config_digest"]
    assert json.loads(replay.stdout)["trades"] == found["verdict"]["trades"]
    run("optimize", "export", file, "--out", tmp_path / "o", code=2)


def test_a_search_is_resumed_by_its_folder(tapes, tmp_path):
    """All that was asked for is in the plan; nothing else has to be said."""
    first = json.loads(search(tapes, tmp_path, "--method", "tpe", "--trials", "22", "--json").stdout)

    again = json.loads(run("optimize", "--resume", first["path"], "--json").stdout)

    assert again == first


def test_another_tape_is_not_resumed_on(tmp_path):
    """What was found on one tape says nothing of another."""
    folder = tmp_path / "tapes"
    small_tapes(folder, 4)
    found = json.loads(search(folder, tmp_path / "o", "--json").stdout)
    for path in folder.glob("*/*"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    small_tapes(folder, 4, seed=50)

    done = run("optimize", "--resume", found["path"], code=4)

    assert "the tape is not the one the search began with" in done.stderr


def test_an_estimate_plays_little_and_keeps_nothing(tapes, tmp_path):
    """How long it would take, from two passes over the largest session."""
    found = json.loads(search(tapes, tmp_path, "--estimate", "--json").stdout)

    assert (found["settings"], found["sessions"]) == (12, 8)
    assert found["estimate_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_searches_side_by_side(tapes, tmp_path):
    """One column a search."""
    paths = [json.loads(search(tapes, tmp_path, "--seed", seed, "--json").stdout)["path"] for seed in (1, 2)]

    rows = json.loads(run("optimize", "compare", *paths, "--json").stdout)

    assert rows[0]["figure"] == "best setting"
    assert all(len(row) == 3 for row in rows)


def test_the_choice_against_random_traders(tapes, tmp_path):
    """`--null-traders` gives the chance that a random trader does as well."""
    found = json.loads(search(tapes, tmp_path, "--null-traders", "50", "--json").stdout)

    assert 0.0 < found["verdict"]["null_p"] <= 1.0


def test_a_page_opens_from_disk(tapes, tmp_path):
    """One file: heat maps of every two settings, parallel coordinates, inside against outside; nothing is fetched."""
    search(tapes, tmp_path / "o", "--walk-forward", "4d:2d", "-q")
    file = tmp_path / "page.html"

    run("optimize", "show", "--out", tmp_path / "o", "--html", file, "-q")

    text = file.read_text()
    assert text.count('class="heat"') == 3
    assert text.count("<polyline") == 12
    assert "In-sample against out-of-sample" in text
    assert "SYNTHETIC" in text
    assert "<script" not in text
    assert "http" not in text


def test_there_is_nothing_to_show(tmp_path):
    """No search, or a folder that is none."""
    assert "there are no searches" in run("optimize", "show", "--out", tmp_path, code=4).stderr
    assert "this is no folder of a search" in run("optimize", "show", tmp_path, code=4).stderr
