"""Rules between settings: what cannot both be meant."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from scalpcli.config import load
from scalpcli.config_rules import contradictions
from scalpcli.errors import ConfigError
from scalpcli.model.params import Params

CONTRADICTIONS = [
    ["selection.delta_min=0.36", "selection.delta_max=0.35"],
    ["selection.min_dte=2"],
    ["scalp.confidence_min=81", "scalp.confidence_max=80"],
    ["scalp.momentum_confirm_window_seconds=31"],
    ["scalp.sweep_gap_ms_max=501"],
    ["gates.last_entry_before_close_minutes=49.9"],
    ["exits.flatten_before_close_minutes=60.1"],
    ["scalp.breakout_hold_ms=10001"],
    ["risk.messages_reserved=121"],
    ["exits.protective_stop_pct=14.9"],
    ["scalp.target_delta=0.41"],
    ["scalp.target_delta=0.29"],
    ["selection.preferred_dte=2"],
    ["scalp.velocity_windows_seconds=[]"],
    ["scalp.velocity_windows_seconds=[5, 5]"],
    ["fees.as_of=yesterday"],
    ["fees.as_of=2026-02-30"],
    ["fees.as_of=20261120"],
]

AT_THE_EDGE = [
    ["selection.delta_min=0.35", "selection.delta_max=0.35"],
    ["selection.min_dte=1"],
    ["scalp.confidence_min=80", "scalp.confidence_max=80"],
    ["scalp.momentum_confirm_window_seconds=30"],
    ["scalp.sweep_gap_ms_max=500"],
    ["gates.last_entry_before_close_minutes=50"],
    ["scalp.breakout_hold_ms=10000"],
    ["risk.messages_reserved=120"],
    ["exits.protective_stop_pct=15"],
    ["risk.messages_per_minute_max=0"],
    ["scalp.target_delta=0.4"],
    ["selection.preferred_dte=1"],
    ["fees.as_of=2024-02-29"],
]


@pytest.mark.parametrize("overrides", CONTRADICTIONS, ids=" ".join)
def test_settings_that_cannot_both_be_meant_are_refused(overrides):
    """One would silently switch the other off; the message names the setting that was given."""
    with pytest.raises(ConfigError) as caught:
        load(overrides=overrides, environ={})

    assert caught.value.exit_code == 2
    assert overrides[0].split("=")[0] in caught.value.place


@pytest.mark.parametrize("overrides", AT_THE_EDGE, ids=" ".join)
def test_settings_that_just_agree_are_accepted(overrides):
    """Equal bounds leave exactly one value, which can be meant."""
    params = load(overrides=overrides, environ={}).params

    assert params != Params()


def test_the_defaults_contradict_nothing():
    """Otherwise no command would start."""
    assert list(contradictions(Params())) == []


def test_a_contradiction_names_both_places(tmp_path, monkeypatch):
    """The two settings may stand in different sources; the mistake is in one of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("[selection]\ndelta_max = 0.5\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load(["config.toml"], overrides=["selection.delta_min=0.6", "scalp.target_delta=0.5"], environ={})

    assert caught.value.render().split("\n\nerror")[0] == snapshot("""\
error: `selection.delta_min` is 0.6, above `selection.delta_max`: 0.5
  in flag `-p selection.delta_min` and `config.toml`, line 2

hint: write `delta_min = 0.5` or less, or raise `selection.delta_max`\
""")


def test_a_target_outside_the_window_is_told_how_to_widen_it():
    """The original design knows one delta; setting it alone must not silently pick the window's edge."""
    with pytest.raises(ConfigError) as caught:
        load(overrides=["scalp.target_delta=0.5"], environ={})

    assert caught.value.render() == snapshot("""\
error: `scalp.target_delta` is 0.5, outside `selection.delta_min` to `selection.delta_max`: 0.3 to 0.4
  in flag `-p scalp.target_delta`

hint: write `target_delta` inside them, or set `selection.delta_max` to 0.5 or beyond\
""")


def test_an_entry_after_the_flatten_time_is_refused():
    """A position opened then would be sold at the next instant."""
    with pytest.raises(ConfigError) as caught:
        load(overrides=["gates.last_entry_before_close_minutes=30"], environ={})

    assert caught.value.render() == snapshot("""\
error: `exits.flatten_before_close_minutes` is 50.0, above `gates.last_entry_before_close_minutes`: 30.0
  in flag `-p gates.last_entry_before_close_minutes`

hint: write `flatten_before_close_minutes = 30.0` or less, or raise `gates.last_entry_before_close_minutes`\
""")
