"""Law 5: every refusal, miss and exit names its reason and the numbers compared; every record fits its schema."""

from __future__ import annotations

import operator
from typing import Any

from hypothesis import given, settings

from scalpcli.model.decision import DECISION_FIELDS
from tests.property.law_play import Case, Played, Record, Seen, cases, lengths, play

JSON_TYPES: dict[str, Any] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}

REFUSES_WHEN: dict[str, Any] = {
    "session_window": operator.lt, "signal_interval": operator.lt, "cooldown": operator.lt, "halt": operator.lt,
    "gap": operator.lt, "ask_size": operator.lt, "open_interest": operator.lt, "volume_today": operator.lt,
    "size_zero": operator.lt, "no_contract": operator.lt, "confidence": operator.ne, "delta": operator.ne,
    "daily_count": operator.ge, "open_position": operator.ge, "daily_loss": operator.ge, "loss_streak": operator.ge,
    "underlying_silence": operator.gt, "underlying_price_age": operator.gt, "underlying_spread": operator.gt,
    "underlying_quote_age": operator.gt,
    "option_silence": operator.gt, "option_quote_age": operator.gt, "spread": operator.gt, "theta": operator.gt,
    "price": operator.gt, "kill": operator.gt, "blackout": operator.gt, "duplicate": operator.gt,
    "option_halt": operator.gt, "message_rate": operator.ge, "rejects": operator.ge,
}  # fmt: skip
"""Gate -> how the value stands to the limit when it refuses."""
QUOTE_GATES = ("option_quote", "underlying_quote")
"""Their two numbers are bid and ask."""
STANDING_GATES = {
    "session_window", "signal_interval", "cooldown", "halt", "gap", "daily_count", "open_position", "daily_loss",
    "loss_streak", "kill", "blackout", "duplicate", "confidence", "message_rate", "rejects",
}  # fmt: skip
MAY_BE_UNKNOWN = {
    "underlying_silence", "underlying_price_age", "option_silence", "option_quote_age", "open_interest", "delta",
}  # fmt: skip

LEAVES_WHEN: dict[str, Any] = {
    "STOP_LOSS": operator.le, "TAKE_PROFIT": operator.ge, "TRAILING_STOP": operator.le, "TIME_EXIT": operator.ge,
    "MOMENTUM_REVERSED": operator.le, "STALLED": operator.le, "FLATTEN": operator.le, "EXPIRED": operator.ge,
    "GAP": operator.eq, "OPERATOR": operator.eq, "PROTECTION": operator.eq, "PROTECTIVE_STOP": operator.le,
}  # fmt: skip
"""Exit -> how the value stands to the limit; a gap, an operator and the day's loss compare nothing."""


def check_schema(record: Record) -> None:
    """Exactly the fields of its kind, each of its JSON type."""
    fields = DECISION_FIELDS[record["kind"]]
    assert set(record) == {"n", "ts_ns", "kind", *fields}, record
    for name, (json_type, _) in fields.items():
        assert any(JSON_TYPES[each](record[name]) for each in json_type.split("|")), (name, record)


def check_gate(record: Record) -> None:
    """Gate, value and limit are there and the value breaks the limit."""
    gate, value, limit = record["gate"], record["value"], record["limit"]
    assert gate in REFUSES_WHEN or gate in QUOTE_GATES, record
    assert limit is not None, record
    if value is None:
        assert gate in MAY_BE_UNKNOWN, record
    elif record["detail"] in ("halted now", "blind now"):
        assert value == 0.0, record
    elif gate in QUOTE_GATES:
        assert value <= 0 or limit <= 0 or value >= limit, record
    else:
        assert REFUSES_WHEN[gate](value, limit), record
    if record["kind"] == "refusal":
        assert record["standing"] == (gate in STANDING_GATES), record


def check_exit(record: Record) -> None:
    """Reason, value and limit are there and the value meets the limit."""
    assert LEAVES_WHEN[record["reason"]](record["value"], record["limit"]), record
    assert record["message"], record
    assert record["held_s"] >= 0, record


def check_words(played: Played) -> None:
    """What is cancelled, given up, rejected or ended says why."""
    for record in played.of("order", "cancel", "cancelled", "expired", "rejected", "unfilled"):
        assert record["reason"], record


@lengths(30, 1000)
def test_law_5_reasons_and_numbers_are_named(length: settings) -> None:
    """Whoever reads a refusal or an exit sees what was found, what was asked for, and that the one broke the other."""
    seen = Seen("law 5")

    @length
    @given(case=cases())
    def is_named(case: Case) -> None:
        played = play(case)

        seen.add(played)
        for record in played.records:
            check_schema(record)
        for record in played.of("refusal", "missed"):
            check_gate(record)
        for record in played.of("exit"):
            check_exit(record)
        check_words(played)

    is_named()

    seen.check("session_window", "signal_interval", "option_quote", "spread", "STOP_LOSS", "TAKE_PROFIT", "TIME_EXIT")
    assert len(seen.refusals) >= 15


@lengths(18, 500)
def test_law_5_each_rise_ends_once_with_what_was_said_of_it(length: settings) -> None:
    """A trigger becomes one signal or one miss; a reason is written once; the miss repeats the last one."""
    seen = Seen("law 5, episodes")

    @length
    @given(case=cases())
    def ends_once(case: Case) -> None:
        played = play(case)

        seen.add(played)
        rises = played.of("trigger")
        ends = played.of("signal", "missed")
        assert [rise["episode"] for rise in rises] == list(range(len(rises)))
        assert sorted(end["episode"] for end in ends) == list(range(len(rises)))
        for end in ends:
            rise = rises[end["episode"]]
            said = [one for one in played.of("refusal") if one["episode"] == end["episode"]]
            assert (end["trigger"], end["side"]) == (rise["trigger"], rise["side"])
            assert all(rise["ts_ns"] <= one["ts_ns"] <= end["ts_ns"] for one in said)
            assert len({one["gate"] for one in said}) == len(said)
            assert all(not one["standing"] for one in said[:-1])
            check_end(case, rise, said, end)

    ends_once()

    seen.check("signal", "missed", at_least=20)


def check_end(case: Case, rise: Record, said: list[Record], end: Record) -> None:
    """A signal follows no standing refusal; a miss repeats a reason, and comes in time."""
    patience_ns = case.params.scalp.signal_patience_ms * 1_000_000
    if end["kind"] == "signal":
        assert not any(one["standing"] for one in said)
        assert end["ts_ns"] - rise["ts_ns"] <= patience_ns
    else:
        assert end["gate"] in {one["gate"] for one in said}
        assert end["offers"] >= len(said) >= 1
        if said[-1]["standing"]:
            assert (end["ts_ns"], end["gate"], end["value"]) == (said[-1]["ts_ns"], said[-1]["gate"], said[-1]["value"])
