"""Refusals in words, and how a blind, halted or silent market is shown."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.core.gates import Refused
from scalpcli.core.option_selection import GATE_ORDER, GateVerdict
from scalpcli.model.params import Params
from scalpcli.runtime.tape import Tape
from scalpcli.scan.rank import Query
from scalpcli.scan.reasons import market_words, reason_of
from tests.scan_samples import params_with, scan_tape

SOUND = SimpleNamespace(bid_e4=10_000, ask_e4=10_200)


@pytest.mark.parametrize(
    ("gate", "value", "limit", "words"),
    [
        ("option_quote_age", 75_200.0, 60_000.0, "quote 75.2 s old > 60.0 s"),
        ("option_quote_age", 5_400_000.0, 60_000.0, "quote 90 min old > 60.0 s"),
        ("option_quote_age", 900.0, 60_000.0, "quote from before a gap"),
        ("option_quote_age", None, 60_000.0, "never quoted"),
        ("option_halt", 1.0, 0.0, "halted"),
        ("spread", 7.06, 5.0, "spread 7.1 % > 5 %"),
        ("spread", float("nan"), 5.0, "spread unknown"),
        ("spread_ticks", 12.0, 5.0, "spread 12 ticks > 5"),
        ("ask_size", 0.0, 1.0, "0 at the ask < 1"),
        ("open_interest", 1234.0, 5000.0, "open interest 1,234 < 5,000"),
        ("open_interest", None, 500.0, "open interest unknown"),
        ("volume_today", 3.0, 10.0, "volume 3 < 10"),
        ("price", 7.2, 5.0, "ask 7.20 > 5.00"),
        ("delta", 0.4361, 0.4, "delta 0.436 > 0.4"),
        ("delta", 0.12, 0.3, "delta 0.120 < 0.3"),
        ("delta", None, 0.3, "delta unknown"),
        ("expiry", 3.0, 1.0, "3 days to expiry > 1"),
        ("theta", 41.2, 30.0, "decay 41.2 % of the ask > 30 %"),
        ("size_zero", 0.0, 1.0, "the size comes to 0 contracts"),
    ],
)
def test_a_contracts_refusal(gate, value, limit, words):
    """Both numbers, in the unit a trader uses."""
    assert reason_of(GateVerdict(gate, value, limit, passed=False), SOUND) == words


@pytest.mark.parametrize(
    ("bid", "ask", "words"),
    [(0, 0, "no quote"), (0, 500, "no bid"), (500, 0, "no ask"), (10_200, 10_000, "crossed: bid 1.02, ask 1.00"),
     (10_000, 10_000, "locked: bid 1.00, ask 1.00")],
)  # fmt: skip
def test_a_quote_that_is_none(bid, ask, words):
    """Which side is missing, or how the two stand."""
    gate = GateVerdict("option_quote", bid / 1e4, ask / 1e4, passed=False)

    assert reason_of(gate, SimpleNamespace(bid_e4=bid, ask_e4=ask)) == words


@pytest.mark.parametrize("gate", GATE_ORDER)
def test_every_gate_of_the_engine_has_words(gate):
    """With a value and without one."""
    assert reason_of(GateVerdict(gate, 1.0, 0.5, passed=False), SOUND)
    assert reason_of(GateVerdict(gate, None, 0.5, passed=False), SOUND)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (Refused("session_window", True, 12.0, 60.0, "too late"), "too late, 12.0 minutes before the close, limit 60"),
        (Refused("session_window", True, -5.0, 0.0, "too early"), "too early, -5.0 minutes after the open, limit 0"),
        (Refused("halt", True, 0.0, 60.0, "halted now"), "halt, halted now"),
        (Refused("gap", True, 4.2, 60.0, "sees again"), "gap, sees again 4 s ago, limit 60 s"),
        (Refused("underlying_silence", False, 65_600.0, 5_000.0), "underlying silence 65.6 s, limit 5.0 s"),
        (Refused("option_silence", False, None, 5_000.0, "never seen"), "option silence (never seen)"),
        (Refused("underlying_spread", False, 0.71, 0.5), "underlying spread 0.71, limit 0.5"),
        (Refused("blackout", True, 300.0, 0.0, "Fed"), "blackout (Fed)"),
    ],
)
def test_a_market_that_lets_nothing_in(refused, words):
    """What keeps every entry out, whatever the contract."""
    assert market_words(refused) == words


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    """A synthetic Tuesday with a pause, gaps and an outage."""
    folder = tmp_path_factory.mktemp("rough")
    words = ["tape", "synth", folder, "--date", "2026-11-24", "--rows", "60000", "--contracts", "16", "--seed", "9"]
    done = CliRunner().invoke(app, [*map(str, words), "--halt", "--gap", "--outage"])
    assert done.exit_code == 0, done.output
    return Tape.open(folder).path


def test_a_gap_of_option_quotes_blinds_the_chain(rough):
    """What stood before it says nothing of now: no verdict passes, no volatility, and the market says why."""
    found = scan_tape(rough, "11:14:10", Params(), Query(show_all=True, top=100))

    assert "gap" in [gate["gate"] for gate in found.head["market"]]
    assert {row["iv"] for row in found.rows} == {None}
    assert all(row["verdict"] != "pass" for row in found.rows)
    assert any("quote from before a gap" in row["reasons"] for row in found.rows)


def test_a_halt_is_shown(rough):
    """During it and a minute after it."""
    during, after = (scan_tape(rough, at, Params()).head["market"][0] for at in ("12:33:00", "12:37:10"))

    assert (during["gate"], during["detail"]) == ("halt", "halted now")
    assert (after["gate"], after["detail"]) == ("halt", "resumed")


def test_a_silent_underlying_is_recognised(rough):
    """Its price is shown with its age, and the engine would wait."""
    head = scan_tape(rough, "12:33:00", Params()).head

    assert head["spot_age_s"] > 5.0
    assert "underlying_silence" in [gate["gate"] for gate in head["market"]]


def test_decay_and_size_are_asked_of_the_chosen(rough):
    """The engine takes no other contract where they refuse, so the order stays and the verdict tells."""
    params = params_with(gates={"theta_hold_pct_max": 0.001}, selection={"max_dte": 1})
    poor = params_with(risk={"starting_equity_usd": 100.0})

    first = scan_tape(rough, "11:00:00", Params()).rows[0]
    slow = scan_tape(rough, "11:00:00", params).rows[0]
    small = scan_tape(rough, "11:00:00", poor).rows[0]

    assert (slow["contract"], small["contract"]) == (first["contract"], first["contract"])
    assert (first["verdict"], slow["verdict"], small["verdict"]) == ("pass", "theta", "size_zero")
    assert (small["contracts"], small["size_capped_by"]) == (0, "equity_share")
