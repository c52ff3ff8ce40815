"""The digest of a configuration: everything that can change a decision, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from scalpcli.core.engine import Setup, config_digest
from scalpcli.model.fees import schedule_for
from scalpcli.model.params import Params
from tests.scenario.world import DAY, SESSION

BLESSED = "631d418f979220d570b30e54f2c74704169cdf345211191100b888b5da40f17d"
"""Of the settings the example's decisions were blessed with, before the settings of live trading were added."""


def settings(**sections: dict[str, Any]) -> Params:
    """The defaults with some settings laid over them."""
    return dataclasses.replace(
        Params(), **{name: dataclasses.replace(getattr(Params(), name), **given) for name, given in sections.items()}
    )


def digest(mode: str, params: Params) -> str:
    """Of a session in a mode."""
    return Setup(params, "TSLA", SESSION, (), schedule_for(DAY, "none"), mode=mode).config_digest


def test_a_setting_added_later_leaves_blessed_results_alone():
    """At its default it is not in the digest: the example's is the one it was blessed with."""
    demo = settings(scalp={"max_daily_scalps": 20, "cooldown_after_loss_minutes": 1.0})

    assert config_digest(demo, ()) == BLESSED


@pytest.mark.parametrize(
    "given",
    [
        {"risk": {"entry_style": "worked"}},
        {"risk": {"rejects_in_a_row_max": 4}},
        {"risk": {"price_collar_pct": 0.0}},
        {"exits": {"protective_stop_pct": 50.0}},
        {"exits": {"last_rung_before_close_minutes": 0.0}},
        {"gates": {"daily_loss_sells": True}},
    ],
    ids=str,
)
def test_a_setting_added_later_counts_where_it_is_set(given: dict[str, Any]):
    """Another value decides otherwise."""
    assert config_digest(settings(**given), ()) != config_digest(Params(), ())


def test_what_a_blind_feed_does_counts_where_money_is_at_stake_only():
    """`live.on_stall` decides in shadow, paper and live; a replay does not read it."""
    hold = settings(live={"on_stall": "hold"})

    differs = {mode: digest(mode, hold) != digest(mode, Params()) for mode in ("replay", "shadow", "paper", "live")}

    assert differs == {"replay": False, "shadow": True, "paper": True, "live": True}
