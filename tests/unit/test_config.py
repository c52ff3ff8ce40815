"""Settings: precedence, origin, and that every bound of every setting holds from every source."""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from scalpcli.config import ConfigErrors, Flag, load
from scalpcli.config_fields import settings, to_toml
from scalpcli.errors import ConfigError
from scalpcli.model.params import Params

NUMBERS = [setting for setting in settings().values() if setting.kind in (int, float)]
STEP = {int: 1, float: 1e-6}


def write(folder: Path, text: str, name: str = "config.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(files=(), overrides=(), flags=None, environ=None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(files, overrides, flags, environ or {})
    return caught.value


def test_without_any_source_every_setting_has_its_default():
    """No source, no change: the dataclasses' defaults come out, and each says so."""
    loaded = load(environ={})

    assert loaded.params == Params()
    assert set(loaded.origin.values()) == {"default"}
    assert list(loaded.origin) == list(settings())


def test_a_higher_source_wins_over_every_lower_one(tmp_path):
    """Flag over `-p` over environment over later file over earlier file over default."""
    first = write(tmp_path, "[risk]\ncontracts_max = 1\n", "first.toml")
    second = write(tmp_path, "[risk]\ncontracts_max = 2\n", "second.toml")
    environ = {"SCALPCLI__RISK__CONTRACTS_MAX": "3"}
    sources = [
        {"files": [first]},
        {"files": [first, second]},
        {"files": [first, second], "environ": environ},
        {"files": [first, second], "environ": environ, "overrides": ["risk.contracts_max=4"]},
        {
            "files": [first, second],
            "environ": environ,
            "overrides": ["risk.contracts_max=4"],
            "flags": {"risk.contracts_max": Flag("--contracts-max", 5)},
        },
    ]

    found = [load(**{"environ": {}, **source}) for source in sources]

    assert [loaded.params.risk.contracts_max for loaded in found] == [1, 2, 3, 4, 5]
    assert [loaded.origin["risk.contracts_max"] for loaded in found] == [
        f"{first}, line 2",
        f"{second}, line 2",
        "environment",
        "-p",
        "--contracts-max",
    ]


def test_a_file_that_names_one_setting_leaves_its_neighbours_to_lower_sources(tmp_path):
    """Sources merge setting by setting, not section by section."""
    first = write(tmp_path, "[risk]\ncontracts_max = 7\nentry_reprices_max = 9\n", "first.toml")
    second = write(tmp_path, "[risk]\ncontracts_max = 8\n", "second.toml")

    risk = load([first, second], environ={}).params.risk

    assert (risk.contracts_max, risk.entry_reprices_max, risk.exit_reprices_max) == (8, 9, 50)


def test_the_later_of_two_overrides_of_one_setting_wins():
    """`-p a=1 -p a=2` means 2, as with every repeated flag."""
    loaded = load(overrides=["risk.contracts_max=1", "risk.contracts_max=2"], environ={})

    assert loaded.params.risk.contracts_max == 2


def test_standard_input_is_a_file_called_dash(monkeypatch):
    """`-c -` reads TOML from a pipe, and its lines are named as such."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[scalp]\nstop_loss_pct = 12\n")))

    loaded = load(["-"], environ={})

    assert loaded.params.scalp.stop_loss_pct == 12.0
    assert loaded.origin["scalp.stop_loss_pct"] == "standard input, line 2"


def test_standard_input_cannot_be_read_twice(monkeypatch):
    """The second `-` would silently be empty."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))

    error = refused(["-", "-"])

    assert error.render() == snapshot("""\
error: standard input is named twice
  in flag `-c -`

hint: it can be read once: give `-c -` once\
""")


def test_a_flag_that_was_not_given_changes_nothing():
    """Commands pass all their flags; `None` is "not given"."""
    loaded = load(flags={"replay.jobs": None, "fees.schedule": Flag("--fees", None)}, environ={})

    assert loaded.params == Params()


def test_a_flag_of_free_text_needs_no_check_and_still_wins():
    """`--out` alone must not cost the import of pydantic; it overrides `-p` all the same."""
    loaded = load(overrides=["replay.out=there"], flags={"replay.out": Flag("--out", "here")}, environ={})

    assert loaded.params.replay.out == "here"
    assert loaded.origin["replay.out"] == "--out"


def test_commands_without_settings_of_their_own_do_without_pydantic():
    """Its import takes 0.1 s of every replay; only a source that must be checked pays it."""
    code = (
        "import sys; from scalpcli.config import load, Flag\n"
        "load(flags={'replay.out': Flag('--out', 'x')}, environ={})\n"
        "print('pydantic' in sys.modules, 'numpy' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )

    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.key)
def test_a_number_beyond_its_bound_is_refused_with_both_numbers(setting):
    """Every bound of every number is checked, just beyond it, and the message names the setting and the limit."""
    bounds, step = setting.bounds, STEP[setting.kind]
    beyond = {bounds.ge: -step, bounds.le: step, bounds.gt: 0}
    cases = [(limit, setting.kind(limit + delta)) for limit, delta in beyond.items() if limit is not None]

    messages = [refused(overrides=[f"{setting.key}={value!r}"]).render() for _, value in cases]

    assert len(cases) == 2, "every number has a lower and an upper bound"
    for (limit, value), message in zip(cases, messages, strict=True):
        assert f"`{setting.key}` is {value!r}, " in message
        assert f"its limit: {setting.kind(limit)!r}\n" in message


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.key)
def test_neither_nan_nor_infinity_is_a_setting(setting):
    """An infinity passes a bare lower bound and `nan` passes any comparison; both are refused by name."""
    for text in ("nan", "inf", "-inf"):
        message = refused(overrides=[f"{setting.key}={text}"]).render()

        assert f"`{setting.key}` is {text}, not " in message


@pytest.mark.parametrize("setting", settings().values(), ids=lambda setting: setting.key)
def test_every_default_can_be_written_in_every_source(setting, tmp_path):
    """What `config show` prints can be given back by file, environment and `-p` alike."""
    text = to_toml(setting.default)
    file = write(tmp_path, f"[{setting.section}]\n{setting.name} = {text}\n")

    loaded = [
        load([file], environ={}),
        load(environ={setting.variable: text}),
        load(overrides=[f"{setting.key}={text}"], environ={}),
    ]

    assert [each.params for each in loaded] == [Params()] * 3
    assert [each.origin[setting.key] for each in loaded] == [f"{file}, line 2", "environment", "-p"]


@pytest.mark.parametrize("setting", settings().values(), ids=lambda setting: setting.key)
def test_a_value_of_another_type_is_refused(setting, tmp_path):
    """TOML has types: a quoted number, a bare one for a text, 1 for true are mistakes, not spellings."""
    wrong = {bool: "1", int: '"5"', float: '"5"', str: "5", tuple: "5"}[setting.kind]
    file = write(tmp_path, f"[{setting.section}]\n{setting.name} = {wrong}\n")

    error = refused([file])

    assert error.found.startswith(f"`{setting.key}` ")
    assert error.found.endswith(f", not {setting.kind_words}")
    assert error.place == f"`{file}`, line 2"


def test_a_boolean_is_no_number_and_a_whole_number_may_stand_for_one():
    """`true` is 1 to Python, not to a trader; `12` for a percentage is plainly meant."""
    error = refused(overrides=["scalp.max_daily_scalps=true", "scalp.stop_loss_pct=true"])
    loaded = load(overrides=["scalp.stop_loss_pct=12"], environ={})

    assert error.render().count("is true, not a") == 2
    assert loaded.params.scalp.stop_loss_pct == 12.0
    assert isinstance(loaded.params.scalp.stop_loss_pct, float)


def test_text_settings_take_shell_text_as_it_is():
    """A folder called 2026 or a day without quotes is text where the setting is text."""
    loaded = load(overrides=["replay.out=2026", "fees.as_of=2026-11-20"], environ={"SCALPCLI__FEES__SCHEDULE": "none"})

    assert loaded.params.replay.out == "2026"
    assert loaded.params.fees.as_of == "2026-11-20"
    assert loaded.params.fees.schedule == "none"


def test_a_line_break_in_a_variable_is_part_of_its_value():
    """One variable gives one value; a second assignment behind a line break must not vanish unseen."""
    error = refused(environ={"SCALPCLI__REPLAY__JOBS": "2\nother = 3"})

    assert error.found == '`replay.jobs` is the text "2\\nother = 3", not a whole number'


def test_lists_from_toml_become_tuples():
    """Parameters are immutable; TOML knows only lists."""
    loaded = load(overrides=["scalp.velocity_windows_seconds=[10, 20]"], environ={})

    assert loaded.params.scalp.velocity_windows_seconds == (10, 20)


def test_an_environment_variable_may_be_written_in_any_case():
    """Shells and CI systems differ in the case they allow."""
    loaded = load(environ={"scalpcli__Scalp__stop_loss_PCT": "11"})

    assert loaded.params.scalp.stop_loss_pct == 11.0


def test_variables_of_other_programs_are_none_of_our_business():
    """Only the prefix with two underscores names settings."""
    loaded = load(environ={"SCALPCLI_DEBUG": "1", "SCALP__STOP_LOSS_PCT": "1", "PATH": "/bin"})

    assert loaded.params == Params()


def test_a_wrong_value_is_refused_even_where_a_higher_source_overrides_it(tmp_path):
    """A file is right or wrong by itself; otherwise dropping a flag would break a command that worked."""
    file = write(tmp_path, "[scalp]\nstop_loss_pct = 150\n")

    error = refused([file], overrides=["scalp.stop_loss_pct=15"])

    assert error.place == f"`{file}`, line 2"


def test_everything_wrong_is_told_at_once_in_the_order_it_was_written(tmp_path):
    """Users mend a file from top to bottom, once."""
    text = "[risk]\nnonsense = 1\ncontracts_max = 0\n[scalp]\nenabled = 1\n"
    file = write(tmp_path, text)

    error = refused([file], overrides=["replay.jobs=0"], environ={"SCALPCLI__REPLAY__GAPS": "skip"})

    assert isinstance(error, ConfigErrors)
    assert [(each.found, each.place.removeprefix(f"`{tmp_path}/")) for each in error.problems] == snapshot(
        [
            ("unknown setting `risk.nonsense`", "config.toml`, line 2"),
            ("`risk.contracts_max` is 0, below its limit: 1", "config.toml`, line 3"),
            ("`scalp.enabled` is 1, not true or false", "config.toml`, line 5"),
            (
                '`replay.gaps` is the text "skip", not one of "fail", "flatten", "ignore"',
                "environment variable `SCALPCLI__REPLAY__GAPS`",
            ),
            ("`replay.jobs` is 0, below its limit: 1", "flag `-p replay.jobs`"),
        ]
    )
    assert error.render().count("error: ") == 5


def test_several_errors_survive_the_way_back_from_a_worker_process():
    """`replay --jobs` pickles what it raises; no message may be lost."""
    error = refused(overrides=["replay.jobs=0", "risk.contracts_max=0"])

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert copy.render() == error.render()
    assert copy.exit_code == 2


def test_a_named_file_is_found_beside_the_settings_that_name_it(tmp_path):
    """A configuration folder can be moved whole; from a shell the working folder counts."""
    file = write(tmp_path, '[simulated_broker]\nlatency_file = "latency.csv"\n')

    from_file = load([file], environ={}).path("simulated_broker.latency_file")
    from_shell = load(overrides=["simulated_broker.latency_file=latency.csv"], environ={})

    assert from_file == tmp_path / "latency.csv"
    assert from_shell.path("simulated_broker.latency_file") == Path("latency.csv")
    assert load(environ={}).path("simulated_broker.latency_file") is None


def test_every_setting_says_what_it_is_for():
    """Help text is the documentation of a setting; every number is bounded on both sides."""
    for setting in settings().values():
        bounds = setting.bounds

        assert setting.bounds.help.strip(), setting.key
        assert setting.kind in (bool, int, float, str, tuple), setting.key
        if setting.kind in (int, float):
            lower = bounds.ge if bounds.gt is None else bounds.gt
            assert lower is not None, setting.key
            assert bounds.le is not None, setting.key
            assert math.isfinite(lower + bounds.le), setting.key


def test_the_table_of_settings_is_the_dataclasses_and_nothing_else():
    """One source: a field added to the parameters is a setting at once."""
    fields = [
        f"{section.name}.{field.name}"
        for section in dataclasses.fields(Params)
        for field in dataclasses.fields(getattr(Params(), section.name))
    ]

    assert list(settings()) == fields
