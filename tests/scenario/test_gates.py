"""Every reason to wait, with the two numbers it compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scalpcli.model.params import Blackout
from tests.scenario.world import (
    BURST,
    PUT,
    Contract,
    Script,
    clock,
    market,
    perform,
)  # fmt: skip

ONE_OFFER = {"signal_patience_ms": 0}


def off_the_grid() -> Script:
    """A burst whose print came 100 ms before the instant that sees it."""
    return market(jumps={}).print("10:31:00.1", 401.0)


STANDING: dict[str, tuple[Callable[[], Script], dict[str, Any], str]] = {
    "before the first minutes are over": (
        market,
        {"gates": {"first_entry_minutes": 1.5}},
        "session_window: 1 against 1.5 (too early)",
    ),
    "after the last entry": (
        market,
        {"gates": {"last_entry_before_close_minutes": 9.5}},
        "session_window: 9 against 9.5 (too late)",
    ),
    "a blackout names its event": (
        market,
        {"blackouts": (Blackout("Fed decision", clock("10:30:30"), clock("10:31:30")),)},
        "blackout: 30 against 0 (Fed decision)",
    ),
    "the stock is halted": (
        lambda: market().halt("10:30:55"),
        {},
        "halt: 0 against 60 (halted now)",
    ),
    "the stock resumed a moment ago": (
        lambda: market().halt("10:30:10", "10:30:20"),
        {},
        "halt: 40 against 60 (resumed)",
    ),
    "a channel is blind": (
        lambda: market().gap("10:30:55"),
        {},
        "gap: 0 against 60 (blind now)",
    ),
    "a channel sees again since a moment": (
        lambda: market().gap("10:30:10", "10:30:20"),
        {},
        "gap: 40 against 60 (sees again)",
    ),
    "a blindness learned of afterwards": (
        lambda: market().gap_learned("10:30:20"),
        {},
        "gap: 40 against 60 (sees again)",
    ),
    "too little confidence": (
        market,
        {"scalp": {"confidence_min": 80}},
        "confidence: 75 against 80 (too low)",
    ),
    "an overextended move": (
        market,
        {"scalp": {"confidence_max": 70}},
        "confidence: 75 against 70 (overextended)",
    ),
    "trading with an account has not begun": (
        market,
        {"mode": "shadow"},
        "not_live: 0 against 1 (trading has not begun)",
    ),
    "trading with an account pauses": (
        lambda: market().live("10:30:10").live("10:30:50", "pauses", "reconnecting"),
        {"mode": "shadow"},
        "not_live: 0 against 1 (reconnecting)",
    ),
    "live trading is not enabled": (
        lambda: market().live("10:30:10"),
        {"mode": "paper"},
        "disabled: 0 against 1 (scalp.enabled is false)",
    ),
    "killed by the operator": (
        lambda: market().operator("10:30:30", "kill"),
        {},
        "kill: 1 against 0 (killed)",
    ),
    "stopped by the operator": (
        lambda: market().operator("10:30:30", "stop"),
        {},
        "kill: 1 against 0 (stopped by the operator)",
    ),
}


@pytest.mark.parametrize("case", STANDING)
def test_a_standing_reason_refuses_with_its_numbers_and_ends_the_episode(case: str):
    """One refusal with what was found against what was asked for, and one miss, at the instant of the rise."""
    make, settings, reason = STANDING[case]
    script = make()

    told = [line for line in script.play(**settings) if " call" in line]

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        f"10:31:00.000 refusal call {reason}",
        f"10:31:00.000 missed momentum_burst call after 1 offers: {reason.partition(':')[0]}",
    ]


TRANSIENT: dict[str, tuple[Callable[[], Script], dict[str, Any], str]] = {
    "the stock's quote lacks a side": (
        lambda: market().stock(BURST, 0.0, 401.01),
        {},
        "underlying_quote: 0 against 401.01 (missing side)",
    ),
    "the stock's quote is crossed": (
        lambda: market().stock(BURST, 401.05, 401.01),
        {},
        "underlying_quote: 401.05 against 401.01 (crossed or locked)",
    ),
    "the stock's quote is locked": (
        lambda: market().stock(BURST, 401.01, 401.01),
        {},
        "underlying_quote: 401.01 against 401.01 (crossed or locked)",
    ),
    "the stock's spread is wide": (
        lambda: market().stock(BURST, 400.0, 404.0),
        {},
        "underlying_spread: 0.995025 against 0.5",
    ),
    "no option quote came for a while": (
        market,
        {"gates": {"option_silence_ms_max": 5000}},
        "option_silence: 59400 against 5000",
    ),
    "no option quote ever came": (
        lambda: market(quote=None),
        {},
        "option_silence: unknown against 600000 (never seen)",
    ),
    "the contract's quote is old on a living channel": (
        lambda: market().option("P400", "10:30:59", 1.36, 1.40),
        {"gates": {"option_silence_ms_max": 5000, "option_quote_age_ms_max": 30_000}},
        "option_quote_age: 59400 against 30000 (C400)",
    ),
    "the contract's quote lacks a side": (
        lambda: market().option("C400", "10:30:30", 1.36, 0.0),
        {},
        "option_quote: 1.36 against 0 (C400)",
    ),
    "the contract's quote is crossed": (
        lambda: market().option("C400", "10:30:30", 1.42, 1.40),
        {},
        "option_quote: 1.42 against 1.4 (C400)",
    ),
    "the contract's quote is locked": (
        lambda: market().option("C400", "10:30:30", 1.40, 1.40),
        {},
        "option_quote: 1.4 against 1.4 (C400)",
    ),
    "the contract is halted": (
        lambda: market().halt("10:30:30", name="C400"),
        {},
        "option_halt: 1 against 0 (C400)",
    ),
    "the contract's spread is wide": (
        lambda: market(quote=(1.32, 1.40)),
        {},
        "spread: 5.88235 against 5 (C400)",
    ),
    "too few contracts are shown": (
        lambda: market(sizes=(50, 4)),
        {"gates": {"ask_size_min": 5}},
        "ask_size: 4 against 5 (C400)",
    ),
    "too little open interest": (
        lambda: market(Contract("C400", 0.35, open_interest=499)),
        {},
        "open_interest: 499 against 500 (C400)",
    ),
    "open interest is unknown": (
        lambda: market(Contract("C400", 0.35, open_interest=None)),
        {},
        "open_interest: unknown against 500 (C400)",
    ),
    "too little volume today": (
        lambda: market().option_print("C400", "10:30:30", 1.40, 40),
        {"selection": {"min_volume_today": 50}},
        "volume_today: 40 against 50 (C400)",
    ),
    "too dear": (
        lambda: market(quote=(4.90, 5.05)),
        {},
        "price: 5.05 against 5 (C400)",
    ),
    "too little delta": (
        lambda: market(Contract("C400", 0.29)),
        {},
        "delta: 0.29 against 0.3 (C400)",
    ),
    "too much delta": (
        lambda: market(Contract("C400", 0.41)),
        {},
        "delta: 0.41 against 0.4 (C400)",
    ),
    "no greeks are known": (
        lambda: market(Contract("C400", None)),
        {},
        "delta: unknown against 0.3 (C400)",
    ),
    "the recorded greeks are old": (
        market,
        {"selection": {"greeks_age_s_max": 60.0}},
        "delta: unknown against 0.3 (C400)",
    ),
    "a chain without fresh quotes names their age, not its lack of deltas": (
        lambda: market().option("P400", "10:30:59", 1.36, 1.40),
        {"selection": {"greeks_source": "computed"}, "gates": {"option_quote_age_ms_max": 30_000}},
        "option_quote_age: 59400 against 30000 (C400)",
    ),
    "time decay eats the premium": (
        market,
        {"selection": {"greeks_source": "auto"}, "gates": {"theta_hold_pct_max": 0.3}},
        "theta: 0.373362 against 0.3 (C400)",
    ),
    "the equity is too small": (
        market,
        {"risk": {"starting_equity_usd": 2799.0}},
        "size_zero: 0 against 1 (C400: equity_share allows none at 140.00 USD a contract)",
    ),
    "no expiry is near enough": (
        lambda: market(Contract("C400", 0.35, dte=3)),
        {},
        "no_contract: 0 against 1 (no call within 1 days to expiry)",
    ),
    "there are puts only": (
        lambda: market(PUT),
        {},
        "no_contract: 0 against 1 (no call within 1 days to expiry)",
    ),
}


@pytest.mark.parametrize("case", TRANSIENT)
def test_a_transient_reason_refuses_with_its_numbers(case: str):
    """Without patience it is offered once, and missed at the next instant."""
    make, settings, reason = TRANSIENT[case]
    script = make()

    told = [line for line in script.play(scalp=ONE_OFFER, **settings) if " call" in line]

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        f"10:31:00.000 refusal call {reason}",
        f"10:31:01.000 missed momentum_burst call after 1 offers: {reason.partition(':')[0]}",
    ]


@pytest.mark.parametrize(
    ("gate", "setting"),
    [("underlying_silence", "underlying_silence_ms_max"), ("underlying_price_age", "underlying_price_age_ms_max")],
)
def test_a_stale_underlying_refuses(gate: str, setting: str):
    """The last print came 100 ms before the instant; 50 are allowed."""
    script = off_the_grid()

    told = script.play(scalp={"eval_interval_ms": 200} | ONE_OFFER, gates={setting: 50}, until="10:31:00.9")

    assert told == [
        "10:31:00.200 trigger momentum_burst call",
        f"10:31:00.200 refusal call {gate}: 100 against 50",
        f"10:31:00.400 missed momentum_burst call after 1 offers: {gate}",
    ]


def test_trades_do_not_make_an_old_quote_of_the_stock_fresh():
    """It trades every second, but its last quote came 59.7 s ago; contracts are priced on its mid."""
    script = off_the_grid()

    told = script.play(
        scalp={"eval_interval_ms": 200} | ONE_OFFER, gates={"underlying_price_age_ms_max": 5000}, until="10:31:00.9"
    )

    assert told == [
        "10:31:00.200 trigger momentum_burst call",
        "10:31:00.200 refusal call underlying_quote_age: 59700 against 5000",
        "10:31:00.400 missed momentum_burst call after 1 offers: underlying_quote_age",
    ]


LIMITS: dict[str, tuple[Callable[[], Script], dict[str, Any]]] = {
    "the first minutes are just over": (market, {"gates": {"first_entry_minutes": 1.0}}),
    "the last moment of entries": (market, {"gates": {"last_entry_before_close_minutes": 9.0}}),
    "the blackout ends now": (market, {"blackouts": (Blackout("Fed decision", clock("10:30:30"), clock(BURST)),)}),
    "the blackout begins later": (market, {"blackouts": (Blackout("Fed", clock("10:31:01"), clock("10:32")),)}),
    "a minute since the halt": (lambda: market().halt("10:29:50", "10:30:00"), {}),
    "a minute since the gap": (lambda: market().gap("10:29:50", "10:30:00"), {}),
    "confidence at its bounds": (market, {"scalp": {"confidence_min": 75, "confidence_max": 75}}),
    "a spread of exactly five percent": (lambda: market().option("C400", "10:30:30", 1.365, 1.435), {}),
    "a price of exactly the cap": (market, {"scalp": {"max_contract_price": 1.40}}),
    "open interest of exactly the least": (market, {"scalp": {"min_open_interest": 1000}}),
    "volume today instead of open interest": (
        lambda: market(Contract("C400", 0.35, open_interest=0)).option_print("C400", "10:30:30", 1.40, 50),
        {"selection": {"min_volume_today": 50}},
    ),
    "delta at its lower bound": (lambda: market(Contract("C400", 0.30)), {}),
    "delta at its upper bound": (lambda: market(Contract("C400", 0.40)), {}),
    "a quote exactly as old as allowed": (market, {"gates": {"option_quote_age_ms_max": 59_400}}),
    "an unchanged quote on a living channel": (
        lambda: market().option("P400", "10:30:59", 1.36, 1.40),
        {"gates": {"option_silence_ms_max": 5000, "option_quote_age_ms_max": 60_000}},
    ),
    "the operator armed it again": (
        lambda: market().operator("10:30:20", "kill").operator("10:30:30", "arm"),
        {},
    ),
    "live trading is enabled": (
        lambda: market().live("10:30:10"),
        {"mode": "paper", "scalp": {"enabled": True}},
    ),
    "a shadow needs no switch": (lambda: market().live("10:30:10"), {"mode": "shadow", "scalp": {"enabled": False}}),
    "replay needs no switch": (market, {"scalp": {"enabled": False}}),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_limit_itself_passes(case: str):
    """What stands exactly at a limit is allowed; windows exclude their end."""
    make, settings = LIMITS[case]
    script = make()

    played = perform(script, **settings)

    assert (len(played.of("signal")), played.of("refusal")) == (1, [])
