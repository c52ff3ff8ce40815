"""What bounds a day: scalps at one time and in all, intervals, one order at a time, never more sold than held."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings

from tests.property.law_play import Case, Played, Record, Seen, cases, crowded, in_every_manner, lengths, play
from tests.property.law_sessions import S

ENDS = ("trade", "unfilled")


def rushed(case: Case) -> Case:
    """One scalp a day, orders on their way for seconds: several triggers want to be that one."""
    params = crowded(case).params
    scalp = dataclasses.replace(params.scalp, max_daily_scalps=1, eval_interval_ms=200)
    broker = dataclasses.replace(params.simulated_broker, order_latency_ms=5000.0)
    return dataclasses.replace(case, params=dataclasses.replace(params, scalp=scalp, simulated_broker=broker))


def check_counts(case: Case, played: Played) -> int:
    """Scalps at one time, in all, of one kind, and signals apart; the most that lived at once."""
    scalp = case.params.scalp
    live: dict[int, Record] = {}
    opened: set[int] = set()
    most = 0
    last_ns = None
    for record in played.of("signal", "fill", *ENDS):
        signal = record["signal"]
        if record["kind"] == "signal":
            kinds = {(one["trigger"], one["side"]) for one in live.values()}
            assert (record["trigger"], record["side"]) not in kinds, record
            if last_ns is not None:
                assert record["ts_ns"] - last_ns >= scalp.min_signal_interval_seconds * S, record
            last_ns = record["ts_ns"]
            live[signal] = record
            most = max(most, len(live))
            assert len(live) <= scalp.max_concurrent_scalps, record
        elif record["kind"] == "fill":
            assert signal in live, record
            opened.add(signal)
            assert len(opened) <= scalp.max_daily_scalps, record
        else:
            del live[signal]
    assert not live
    assert [record["signal"] for record in played.of("signal")] == list(range(len(played.of("signal"))))
    return most


def check_losses(case: Case, played: Played) -> int:
    """After a loss nothing is signalled for the cooldown, nor after the day's loss or a row of losses; losses seen."""
    scalp, gates = case.params.scalp, case.params.gates
    result_e4, in_a_row, losses, last_loss_ns = 0, 0, 0, -(2**62)
    for record in played.of("signal", "trade"):
        if record["kind"] == "trade":
            net_e4 = record["gross_e4"] - record["fees_estimate_e4"]
            result_e4 += net_e4
            in_a_row = in_a_row + 1 if net_e4 < 0 else 0
            losses += net_e4 < 0
            last_loss_ns = record["ts_ns"] if net_e4 < 0 else last_loss_ns
            continue
        assert record["ts_ns"] - last_loss_ns >= scalp.cooldown_after_loss_minutes * 60 * S, record
        if gates.daily_loss_usd_max > 0:
            assert result_e4 > -gates.daily_loss_usd_max * 10_000, record
        if gates.loss_streak_max > 0:
            assert in_a_row < gates.loss_streak_max, record
    return losses


def check_orders(played: Played) -> None:
    """One order of a scalp works at a time; no more is sold than held, no more bought than asked for."""
    asked = {signal["signal"]: signal["suggested_contracts"] for signal in played.of("signal")}
    working: dict[int, Record] = {}
    filled: Counter[str] = Counter()
    held: Counter[int] = Counter()
    tries: Counter[tuple[int, str]] = Counter()
    kinds = ("order", "fill", "accepted", "cancel", "cancelled", "expired", "rejected", *ENDS)
    for record in played.of(*kinds):
        signal, kind = record["signal"], record["kind"]
        if kind == "order":
            assert signal not in working, record
            working[signal] = record
            tries[signal, record["leg"]] += 1
            assert record["try"] == tries[signal, record["leg"]], record
            assert record["side"] == {"entry": "buy", "exit": "sell"}[record["leg"]]
            room = held[signal] if record["leg"] == "exit" else asked[signal] - held[signal]
            assert 1 <= record["quantity"] <= room, record
        elif kind in ENDS:
            assert signal not in working, record
            assert held[signal] == 0 or kind == "trade", record
        else:
            order = working[signal]
            assert record["order_id"] == order["order_id"], record
            if kind == "fill":
                filled[order["order_id"]] += record["quantity"]
                assert record["filled"] == filled[order["order_id"]] <= order["quantity"], record
                held[signal] += record["quantity"] if order["leg"] == "entry" else -record["quantity"]
                assert held[signal] >= 0, record
            if kind in ("cancelled", "expired", "rejected") or filled[order["order_id"]] == order["quantity"]:
                assert record.get("filled", 0) == filled[order["order_id"]], record
                del working[signal]
    assert not working


def check_tries(case: Case, played: Played) -> None:
    """An entry is tried as often as the settings allow, each dearer than the one before, none above the budget."""
    risk = case.params.risk
    targets = {signal["signal"]: signal["ask_e4"] for signal in played.of("signal")}
    last: dict[int, Record] = {}
    for order in played.of("order"):
        if order["leg"] == "entry":
            assert order["try"] <= risk.entry_reprices_max + 1, order
            assert order["limit_e4"] >= last.get(order["signal"], order)["limit_e4"], order
            # The grid may round the ask itself up by a tick.
            assert order["limit_e4"] <= targets[order["signal"]] * (1 + risk.slippage_budget_pct / 100) + 1000, order
            last[order["signal"]] = order
        else:
            assert order["try"] <= risk.exit_reprices_max + 1 + len(played.of("rejected")), order


@lengths(22, 1000)
def test_limits_of_a_day_hold(length: settings) -> None:
    """Whatever the market does, no more is opened, sold or tried, and no sooner, than the settings allow."""
    seen = Seen("limits")

    @length
    @given(case=cases())
    def hold(case: Case) -> None:
        for one in (*in_every_manner(case), rushed(case)):
            played = play(one)

            most = check_counts(one, played)
            losses = check_losses(one, played)
            check_orders(played)
            check_tries(one, played)
            seen.add(played, several_at_once=most > 1, losses=losses)

    hold()

    seen.check("several_at_once", "losses", "daily_count", "open_position", "signal_interval", "cooldown", "reprice")


@lengths(15, 500)
def test_refusals_for_counts_and_times_say_the_true_number(length: settings) -> None:
    """What a refusal says of interval, cooldown, live scalps and the day's count follows from the journal itself."""
    seen = Seen("numbers of refusals")

    @length
    @given(case=cases())
    def is_true(case: Case) -> None:
        for one in in_every_manner(case):
            played = play(one)

            seen.add(played)
            told = {"live": 0, "signal_ns": 0, "loss_ns": 0}
            begun: set[int] = set()
            for record in played.records:
                follow(told, begun, record)
                check_number(told, begun, record)

    is_true()

    seen.check("open_position", "daily_count", "signal_interval", "cooldown", at_least=2)


def follow(told: dict[str, int], begun: set[int], record: Record) -> None:
    """Count what gates ask about."""
    if record["kind"] == "signal":
        told["live"] += 1
        told["signal_ns"] = record["ts_ns"]
        begun.add(record["signal"])
    elif record["kind"] in ENDS:
        told["live"] -= 1
        if record["kind"] == "unfilled":
            begun.discard(record["signal"])
        elif record["gross_e4"] - record["fees_estimate_e4"] < 0:
            told["loss_ns"] = record["ts_ns"]


def check_number(told: dict[str, int], begun: set[int], record: Record) -> None:
    """Hold a refusal's number against the count."""
    if record["kind"] != "refusal":
        return
    expected: dict[str, Any] = {
        "open_position": told["live"],
        "daily_count": len(begun),
        "signal_interval": (record["ts_ns"] - told["signal_ns"]) / 1e9,
        "cooldown": (record["ts_ns"] - told["loss_ns"]) / 6e10,
    }
    if record["gate"] in expected:
        assert record["value"] == pytest.approx(expected[record["gate"]]), record
