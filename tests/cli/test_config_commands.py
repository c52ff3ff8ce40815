"""`scalpcli config`: init, show and check, as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import tomllib

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.config_fields import settings
from scalpcli.config_toml import example_text

CANARY = "PKCANARY0123456789"
SECRET_NAMES = ["ALPACA_API_KEY", "ALPACA_SECRET_KEY", "ORATS_TOKEN"]


@pytest.fixture
def scalpcli(tmp_path, monkeypatch):
    """Runs a command line in an empty folder, with an empty home and no variables of ours."""
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path)} | dict.fromkeys([*SECRET_NAMES, "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"])

    def run(line, stdin=None, **more):
        return CliRunner().invoke(app, line.split(), input=stdin, env={**environ, **more})

    return run


def test_init_writes_the_commented_file_and_says_how_to_use_it(scalpcli, tmp_path):
    """Words go to stderr; the file is the generated example."""
    done = scalpcli("config init my.toml")

    assert done.exit_code == 0
    assert (tmp_path / "my.toml").read_text(encoding="utf-8") == example_text()
    assert done.stdout == ""
    assert done.stderr == "wrote my.toml; keep what you change, then use it with -c my.toml\n"


def test_init_does_not_overwrite_what_someone_wrote(scalpcli, tmp_path):
    """Settings are work; --force says that they may go."""
    path = tmp_path / "config.toml"
    path.write_text("mine", encoding="utf-8")

    refused = scalpcli("config init")
    kept = path.read_text(encoding="utf-8")
    forced = scalpcli("config init --force -q")

    assert refused.exit_code == 2
    assert refused.stderr == snapshot("""\
error: `config.toml` exists already
  in `scalpcli config init`

hint: name another file, or add --force
""")
    assert kept == "mine"
    assert (forced.exit_code, forced.stderr) == (0, "")
    assert path.read_text(encoding="utf-8") == example_text()


def test_init_to_a_folder_that_does_not_exist(scalpcli):
    """One clear error instead of a traceback."""
    done = scalpcli("config init absent/my.toml")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: cannot write `absent/my.toml`: no such file or directory\n")


def test_init_to_stdout_can_be_checked_through_a_pipe(scalpcli):
    """`config init - | config check -c -` holds, so what is written can be read."""
    written = scalpcli("config init -")

    checked = scalpcli("config check -c -", stdin=written.stdout)

    assert written.stdout == example_text()
    assert checked.exit_code == 0
    assert checked.stderr == f"{len(settings())} settings are right, {len(settings())} of them set\n"


def test_show_tells_the_origin_of_every_value(scalpcli, tmp_path):
    """A value that surprises is found where it was written."""
    (tmp_path / "a.toml").write_text("[scalp]\nstop_loss_pct = 12\n", encoding="utf-8")

    done = scalpcli("config show --json -c a.toml -p replay.jobs=2", SCALPCLI__EXITS__STOP_CONFIRM_MS="0")

    rows = {row["setting"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert list(rows) == [*settings(), *SECRET_NAMES]
    assert rows["scalp.stop_loss_pct"] == (12.0, "a.toml, line 2")
    assert rows["replay.jobs"] == (2, "-p")
    assert rows["exits.stop_confirm_ms"] == (0, "environment")
    assert rows["scalp.enabled"] == (False, "default")
    assert rows["scalp.velocity_windows_seconds"] == ([5, 15, 30, 60], "default")


def test_show_prints_the_same_rows_in_every_format(scalpcli):
    """JSON, JSON lines and CSV differ in spelling only."""
    as_json = json.loads(scalpcli("config show --format json").stdout)
    as_jsonl = [json.loads(line) for line in scalpcli("config show --format jsonl").stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(scalpcli("config show --format csv").stdout)))
    as_table = scalpcli("config show").stdout

    assert as_jsonl == as_json
    assert [row["setting"] for row in as_csv] == [row["setting"] for row in as_json]
    assert as_csv[0] == {"setting": "scalp.enabled", "value": "false", "origin": "default"}
    assert all(f"\n{row['setting']} " in as_table for row in as_json)
    assert max(map(len, as_table.splitlines())) <= 80


def test_shown_toml_can_be_read_back(scalpcli):
    """A run's settings can be frozen into a file and used again."""
    shown = scalpcli("config show --format toml -p risk.contracts_max=7")

    again = scalpcli("config show --json -c -", stdin=shown.stdout)

    rows = {row["setting"]: row for row in json.loads(again.stdout)}
    assert tomllib.loads(shown.stdout)["risk"]["contracts_max"] == 7
    assert rows["risk.contracts_max"]["value"] == 7
    assert rows["risk.contracts_max"]["origin"].startswith("standard input, line ")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "toml"])
def test_show_says_which_keys_are_set_and_never_shows_one(scalpcli, form):
    """Law 10; the origin tells which of two names was used."""
    done = scalpcli(f"config show --format {form}", APCA_API_KEY_ID=CANARY, ORATS_TOKEN=CANARY)

    assert done.exit_code == 0
    assert CANARY not in done.output
    assert "ORATS_TOKEN" in done.stdout
    assert "unset" in done.stdout


def test_show_names_where_a_key_was_found(scalpcli):
    """The variable's own name, ours or Alpaca's."""
    done = scalpcli("config show --json", APCA_API_KEY_ID=CANARY)

    rows = [row for row in json.loads(done.stdout) if row["setting"] in SECRET_NAMES]
    assert rows == [
        {"setting": "ALPACA_API_KEY", "value": "set", "origin": "environment APCA_API_KEY_ID"},
        {"setting": "ALPACA_SECRET_KEY", "value": "unset", "origin": ""},
        {"setting": "ORATS_TOKEN", "value": "unset", "origin": ""},
    ]


def test_show_refuses_a_secrets_file_that_others_can_read(scalpcli, tmp_path):
    """Exit 3: a permission, not a setting."""
    path = tmp_path / "secrets.toml"
    path.write_text(f'ORATS_TOKEN = "{CANARY}"\n', encoding="utf-8")
    path.chmod(0o644)

    done = scalpcli("config show", SCALPCLI_SECRETS_FILE=str(path))

    assert done.exit_code == 3
    assert "has mode 0644" in done.stderr
    assert CANARY not in done.output


def test_check_is_silent_about_right_settings_when_asked(scalpcli):
    """In CI the exit code is the answer."""
    done = scalpcli("config check -q")

    assert (done.exit_code, done.output) == (0, "")


def test_check_leaves_with_2_and_tells_everything_wrong(scalpcli, tmp_path):
    """File with line, flag and variable, each in the form of every other error."""
    (tmp_path / "a.toml").write_text("[scalp]\nstop_loss_pct = 150\n", encoding="utf-8")

    done = scalpcli("config check -c a.toml -p scalp.momentum_treshold_pct=1", SCALPCLI__REPLAY__JOBS="two")

    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr == snapshot("""\
error: `scalp.stop_loss_pct` is 150.0, above its limit: 100.0
  in `a.toml`, line 2

hint: write `stop_loss_pct = 15.0`: stop, percent of the premium paid (above 0.0, at most 100.0)

error: `replay.jobs` is the text "two", not a whole number
  in environment variable `SCALPCLI__REPLAY__JOBS`

hint: write `SCALPCLI__REPLAY__JOBS=1`: sessions replayed at one time (at least 1, at most 256)

error: unknown setting `scalp.momentum_treshold_pct`
  in flag `-p scalp.momentum_treshold_pct`

hint: the nearest is `scalp.momentum_threshold_pct`: percent in the window that makes a burst
""")


def test_check_counts_blackouts(scalpcli, tmp_path):
    """The file of windows is part of the settings."""
    text = '[[blackout]]\nname = "earnings"\ndate = 2026-01-28\n'
    (tmp_path / "b.toml").write_text(text, encoding="utf-8")

    done = scalpcli("config check -p gates.blackout_file=b.toml")

    assert done.stderr == f"{len(settings())} settings are right, 1 of them set, 1 blackout windows\n"
