"""What a wrong setting is told, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from scalpcli.config import Flag, load
from scalpcli.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working folder, so that files have short names in messages."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(text="", overrides=(), flags=None, environ=None) -> str:
    files = []
    if text:
        files.append("config.toml")
        Path("config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(files, overrides, flags, environ or {})
    assert caught.value.exit_code == 2
    return caught.value.render()


def test_a_value_beyond_its_bound():
    """The found value and the limit stand side by side, in the same form."""
    message = refused("\n" * 29 + "[scalp]\nstop_loss_pct = 150\n")

    assert message == snapshot("""\
error: `scalp.stop_loss_pct` is 150.0, above its limit: 100.0
  in `config.toml`, line 31

hint: write `stop_loss_pct = 15.0`: stop, percent of the premium paid (above 0.0, at most 100.0)\
""")


def test_a_misspelt_setting():
    """A typo is answered with the nearest right name."""
    message = refused("[scalp]\nmomentum_treshold_pct = 0.4\n")

    assert message == snapshot("""\
error: unknown setting `scalp.momentum_treshold_pct`
  in `config.toml`, line 2

hint: the nearest is `scalp.momentum_threshold_pct`: percent in the window that makes a burst\
""")


def test_a_misspelt_section():
    """One message for the section, not one for each of its settings."""
    message = refused("[slection]\ndelta_min = 0.2\ndelta_max = 0.5\n")

    assert message == snapshot("""\
error: unknown section `slection`
  in `config.toml`, line 1

hint: the nearest section is [selection]; `scalpcli config show` lists every setting\
""")


def test_a_setting_of_another_section():
    """Nobody remembers which section the stop stands in."""
    message = refused("[exits]\nstop_loss_pct = 12\n")

    assert message == snapshot("""\
error: unknown setting `exits.stop_loss_pct`
  in `config.toml`, line 2

hint: `stop_loss_pct` belongs to [scalp]: write `scalp.stop_loss_pct`, in a file under `[scalp]`\
""")


def test_a_setting_without_a_section():
    """In a file the section's header was forgotten; in a shell, its name."""
    in_file = refused("stop_loss_pct = 12\n")
    in_shell = refused(overrides=["stop_loss_pct=12"])

    assert in_file == snapshot("""\
error: unknown setting `stop_loss_pct`
  in `config.toml`, line 1

hint: `stop_loss_pct` belongs to [scalp]: write `scalp.stop_loss_pct`, in a file under `[scalp]`\
""")
    assert in_shell == in_file.replace("`config.toml`, line 1", "flag `-p stop_loss_pct`")


def test_a_name_like_nothing_we_have():
    """Nothing is near, so nothing is guessed."""
    message = refused(overrides=["scalp.zzz=1"])

    assert message == snapshot("""\
error: unknown setting `scalp.zzz`
  in flag `-p scalp.zzz`

hint: `scalpcli config show` lists every setting\
""")


def test_a_section_given_as_a_value():
    """`scalp = 5` is a setting's form."""
    message = refused("scalp = 5\n")

    assert message == snapshot("""\
error: `scalp` is 5, not a section
  in `config.toml`, line 1

hint: write `[scalp]` and below it its settings, like `enabled = false`\
""")


def test_a_section_named_as_if_it_were_a_setting():
    """`-p scalp=5` names no setting."""
    message = refused(overrides=["scalp=5"])

    assert message == snapshot("""\
error: `scalp` is a section, not a setting
  in flag `-p scalp`

hint: name one of its settings: `scalp.enabled`; `scalpcli config show` lists every setting\
""")


def test_a_number_in_quotes():
    """The hint takes the quotes off instead of going back to the default."""
    message = refused('[scalp]\neval_interval_ms = "250"\n')

    assert message == snapshot("""\
error: `scalp.eval_interval_ms` is the text "250", not a whole number
  in `config.toml`, line 2

hint: write `eval_interval_ms = 250`: milliseconds between two evaluations; 0 = at every underlying trade (at least 0, at most 60000)\
""")


def test_a_percent_sign_in_the_environment():
    """The hint names the variable and the number that was meant."""
    message = refused(environ={"SCALPCLI__SCALP__STOP_LOSS_PCT": "12 %"})

    assert message == snapshot("""\
error: `scalp.stop_loss_pct` is the text "12 %", not a number
  in environment variable `SCALPCLI__SCALP__STOP_LOSS_PCT`

hint: write `SCALPCLI__SCALP__STOP_LOSS_PCT=12`: stop, percent of the premium paid (above 0.0, at most 100.0)\
""")


def test_a_fraction_where_whole_numbers_are_counted():
    """2.5 contracts cannot be bought; 5.0 is 5."""
    fraction = refused(overrides=["risk.contracts_max=2.5"])
    whole = refused(overrides=["risk.contracts_max=5.0"])

    assert fraction == snapshot("""\
error: `risk.contracts_max` is 2.5, not a whole number
  in flag `-p risk.contracts_max`

hint: write `-p risk.contracts_max=100`: contracts of one order at most: the last bound, whatever else is set wrong (at least 1, at most 100000)\
""")
    assert "write `-p risk.contracts_max=5`" in whole


def test_not_a_number():
    """`nan` compares false with every bound; it is refused as what it is."""
    message = refused(overrides=["scalp.stop_loss_pct=nan"])

    assert message == snapshot("""\
error: `scalp.stop_loss_pct` is nan, not a finite number
  in flag `-p scalp.stop_loss_pct`

hint: write `-p scalp.stop_loss_pct=15.0`: stop, percent of the premium paid (above 0.0, at most 100.0)\
""")


def test_a_word_outside_the_list():
    """The nearest word of the list is proposed."""
    message = refused(overrides=["replay.gaps=flaten"])

    assert message == snapshot("""\
error: `replay.gaps` is the text "flaten", not one of "fail", "flatten", "ignore"
  in flag `-p replay.gaps`

hint: write `-p replay.gaps=flatten`: what a gap does: fail = exit 4, flatten = sell what is held, ignore = hold on (one of "fail", "flatten", "ignore")\
""")


def test_yes_for_true():
    """What was meant is plain, so the hint writes it as TOML does."""
    message = refused("[scalp]\nprefer_0dte = 'no'\n")

    assert message == snapshot("""\
error: `scalp.prefer_0dte` is the text "no", not true or false
  in `config.toml`, line 2

hint: write `prefer_0dte = false`: look at the same-day expiry first; false looks at the later one first\
""")


def test_a_day_without_quotes():
    """TOML makes a day of it; the setting is text."""
    message = refused("[fees]\nas_of = 2026-11-20\n")

    assert message == snapshot("""\
error: `fees.as_of` is 2026-11-20, not text
  in `config.toml`, line 2

hint: write `as_of = "2026-11-20"`: use the rates of this day (YYYY-MM-DD) instead of the session's; empty = the session's\
""")


def test_an_empty_variable():
    """An empty variable is set, and empty is no number."""
    message = refused(environ={"SCALPCLI__REPLAY__JOBS": ""})

    assert message == snapshot("""\
error: `replay.jobs` is empty, not a whole number
  in environment variable `SCALPCLI__REPLAY__JOBS`

hint: write `SCALPCLI__REPLAY__JOBS=1`: sessions replayed at one time (at least 1, at most 256)\
""")


def test_wrong_elements_of_a_list():
    """The element is named, not only the list; the shell form is quoted so that it can be pasted."""
    in_file = refused('[scalp]\nvelocity_windows_seconds = [5, "a"]\n')
    in_shell = refused(overrides=["scalp.velocity_windows_seconds=[5, 0]"])

    assert in_file == snapshot("""\
error: `scalp.velocity_windows_seconds` holds the text "a", not only whole numbers
  in `config.toml`, line 2

hint: write `velocity_windows_seconds = [5, 15, 30, 60]`: windows traced and shown, seconds (each at least 1, at most 7200)\
""")
    assert in_shell == snapshot("""\
error: `scalp.velocity_windows_seconds` holds 0, below its limit: 1
  in flag `-p scalp.velocity_windows_seconds`

hint: write `-p 'scalp.velocity_windows_seconds=[5, 15, 30, 60]'`: windows traced and shown, seconds (each at least 1, at most 7200)\
""")


def test_a_wrong_value_of_a_named_flag():
    """The user typed the flag, so message and hint speak of the flag."""
    message = refused(flags={"simulated_broker.order_latency_ms": Flag("--latency-ms", -5.0)})

    assert message == snapshot("""\
error: `simulated_broker.order_latency_ms` is -5.0, below its limit: 0.0
  in flag `--latency-ms`

hint: write `--latency-ms 250.0`: milliseconds from decision until the order reaches the market (at least 0.0, at most 600000.0)\
""")


@pytest.mark.parametrize("override", ["replay.jobs", "replay.jobs:4", "=4", ""])
def test_an_override_that_assigns_nothing(override):
    """`-p` takes a name, an equals sign and a value."""
    message = refused(overrides=[override])

    assert message.splitlines()[-1].startswith("hint: write `-p ")


def test_an_override_without_a_value_shows_how_that_setting_is_written():
    """The example is the setting that was named."""
    message = refused(overrides=["replay.jobs"])

    assert message == snapshot("""\
error: `-p replay.jobs` gives no value
  in flag `-p replay.jobs`

hint: write `-p replay.jobs=1`\
""")


@pytest.mark.parametrize("variable", ["SCALPCLI__SCALP", "SCALPCLI__", "SCALPCLI__A__B__C", "SCALPCLI__SCALP__STOP"])
def test_an_unknown_variable_with_our_prefix(variable):
    """Whoever writes the prefix means a setting; a silent typo would trade with the default."""
    message = refused(environ={variable: "1"})

    assert f"in environment variable `{variable}`" in message


@pytest.mark.parametrize("name", ["alpaca_api_key", "ALPACA_SECRET_KEY", "orats_token", "password"])
def test_a_key_among_settings_is_refused_and_never_shown(name):
    """Law 10: a key pasted into the wrong file must not reach the screen."""
    canary = "PKCANARY123"

    messages = [
        refused(f'[scalp]\n{name} = "{canary}"\n'),
        refused(f'{name} = "{canary}"\n'),
        refused(overrides=[f"scalp.{name}={canary}"]),
        refused(environ={f"SCALPCLI__SCALP__{name}": canary}),
    ]

    for message in messages:
        assert canary not in message
        assert "keys do not belong in settings" in message


def test_a_very_long_value_is_cut():
    """A message fits a screen whatever was pasted."""
    message = refused(f'[replay]\njobs = "{"x" * 5000}"\n')

    assert len(message) < 300
    assert "xxx… (" not in message
    assert "…, not a whole number" in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[scalp]\nstop_loss_pct = 15%\n", 2),
        ("[scalp]\nenabled = True\n", 2),
        ("[scalp]\nstop_loss_pct = 1\nstop_loss_pct = 2\n", 3),
        ("[scalp\n", 1),
        ("[scalp]\n\nx = [1,\n", 3),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text, line):
    """The parser's position becomes file and line, as for every other error."""
    message = refused(text)

    assert message.startswith("error: not TOML: ")
    assert f"\n  in `config.toml`, line {line}\n" in message


def test_a_file_that_is_no_text(here):
    """A binary file given by mistake is named, with the place of the first wrong byte."""
    (here / "config.toml").write_bytes(b"# fine\n\xff\xfe")

    with pytest.raises(ConfigError) as caught:
        load(["config.toml"], environ={})

    assert caught.value.render() == snapshot("""\
error: byte 7 is not UTF-8 text
  in `config.toml`, line 2

hint: settings are a TOML file saved as UTF-8\
""")


def test_a_file_that_does_not_exist():
    """The flag that named it is the place."""
    with pytest.raises(ConfigError) as caught:
        load(["absent.toml"], environ={})

    assert caught.value.render() == snapshot("""\
error: cannot read `absent.toml`: no such file or directory
  in flag `-c absent.toml`

hint: name a TOML file that exists; `scalpcli config init` writes one\
""")


def test_a_file_without_end_is_not_read_to_its_end():
    """Settings are a short file; `/dev/zero` must not fill the memory."""
    with pytest.raises(ConfigError) as caught:
        load(["/dev/zero"], environ={})

    assert caught.value.found == "`/dev/zero` is larger than its limit: 1,048,576 bytes"
