"""Law 8: order ids are a pure function of session, run nonce, signal number, leg and try."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings

from scalpcli.model import note
from tests.property.law_play import Case, Seen, cases, hasty, lengths, play
from tests.property.law_sessions import Day, with_head

NONCES = ("", "a7", "b1f3")


def with_nonce(day: Day, nonce: str) -> Day:
    """The day with the run's nonce at its head; empty = without one."""
    return with_head(day, note.RUN, {"nonce": nonce}) if nonce else day


@lengths(20, 400)
def test_law_8_ids_follow_from_session_nonce_signal_leg_and_try(length: settings) -> None:
    """A retry is recognised by its id, and a run with another nonce never names an order of an earlier one."""
    seen = Seen("law 8")

    @length
    @given(case=cases())
    def follow(case: Case) -> None:
        plain = hasty(case)
        days = {name: with_nonce(case.day, name) for name in NONCES}
        runs = {name: play(dataclasses.replace(plain, day=days[name])) for name in NONCES}
        again = play(dataclasses.replace(plain, day=days["a7"]))

        seen.add(runs["a7"])
        ids = {name: [order["order_id"] for order in run.of("order")] for name, run in runs.items()}
        assert again.lines == runs["a7"].lines
        for name, run in runs.items():
            prefix = f"scalp-20261120-{name or '0'}"
            expected = [
                f"{prefix}-{order['signal']:04d}-{'e' if order['leg'] == 'entry' else 'x'}{order['try']}"
                for order in run.of("order")
            ]
            assert ids[name] == expected
            assert len(set(expected)) == len(expected)
            assert [signal["id"] for signal in run.of("signal")] == [
                f"{prefix}-{signal['signal']:04d}" for signal in run.of("signal")
            ]
        assert not set(ids["a7"]) & set(ids["b1f3"])
        assert not set(ids["a7"]) & set(ids[""])
        # Nothing but the names depends on the nonce.
        renamed = [line.replace(b"-20261120-b1f3-", b"-20261120-a7-") for line in runs["b1f3"].lines]
        assert renamed == runs["a7"].lines

    follow()

    seen.check("order", "reprice")
