"""Several symbols in one process: one connection to each endpoint, a tape for each symbol."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from scalpcli.errors import CredentialsError, DataError
from scalpcli.model.row import GAP_BEGIN, GAP_END, OPTION_QUOTE, STOCK_TRADE
from scalpcli.runtime.recorder import FAILED, TERMINATED
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_verify import verify
from tests.two_symbols import OPTION, PRICES, STOCK, columns_of, gaps_of, owner_of, record, rows_of, tape_of, track_of

BOTH = ("TSLA", "SPY")


def each_has(rows: int) -> Any:
    return lambda session, _: all(rows_of(session, symbol) >= rows for symbol in BOTH)


def test_two_symbols_share_one_connection_to_each_endpoint(tmp_path):
    """The service lets one in: a connection for each symbol would be refused with 406 again and again."""
    recorded = record(tmp_path, BOTH, each_has(50))

    assert recorded.service.opened == {STOCK: 1, OPTION: 1}
    assert not recorded.service.refused
    assert all(rows_of(recorded.session, symbol) >= 50 for symbol in BOTH)


def test_each_tape_holds_its_own_rows_and_no_others(tmp_path):
    """Every print sent, in order, up to the end of the recording; contracts and prices are the symbol's own."""
    recorded = record(tmp_path, BOTH, each_has(200))

    for symbol in BOTH:
        tape = tape_of(recorded.session, symbol)
        columns = columns_of(tape)
        prints, quotes = columns["kind"] == STOCK_TRADE, columns["kind"] == OPTION_QUOTE
        numbers = columns["trade_id"][prints].tolist()
        assert numbers == recorded.service.sent[symbol][: len(numbers)]
        assert len(numbers) >= len(recorded.service.sent[symbol]) - 10
        assert set(columns["price_e4"][prints].tolist()) == {PRICES[symbol] * 10_000}
        assert set(columns["price_e4"][quotes].tolist()) == {PRICES[symbol] * 100}
        assert {owner_of(item.symbol) for item in tape.instruments if item.is_option} == {symbol}
        assert gaps_of(tape) == []
        assert not verify(tape.path).findings


@pytest.mark.parametrize("path", [STOCK, OPTION])
def test_a_lost_connection_is_a_gap_on_every_tape(tmp_path, path):
    """Both were blind; the history of each gap is asked for each symbol."""
    cut: list[int] = []

    def done(session: Any, service: Any) -> bool:
        if not cut and each_has(20)(session, service):
            service.cut(path)
            cut.extend(rows_of(session, symbol) for symbol in BOTH)
        return bool(cut) and service.opened[path] == 2 and each_has(max(cut) + 60)(session, service)

    recorded = record(tmp_path, BOTH, done)

    channels = 3 if path == STOCK else 12
    for symbol in BOTH:
        gaps = gaps_of(tape_of(recorded.session, symbol))
        assert gaps == [(GAP_BEGIN, channels, "connection lost"), (GAP_END, channels, "")]
    wanted = "/v2/stocks/trades" if path == STOCK else "/v1beta1/options/trades"
    asked = [query["symbols"] for _, where, query, *_ in recorded.requests if where == wanted]
    assert sorted(symbols.split("2611")[0] for symbols in asked) == ["SPY", "TSLA"]


def test_the_budget_holds_for_the_sum(tmp_path):
    """The plan counts the connection's contracts, whosever they are; each symbol gets its part, and that is said."""
    recorded = record(tmp_path, BOTH, each_has(50), max_contracts=6)

    asked = [owner_of(contract) for contract in recorded.service.most[OPTION]]
    assert (asked.count("TSLA"), asked.count("SPY")) == (3, 3)
    assert "the budget of 6 contracts is divided: 3 for TSLA and 3 for SPY" in recorded.said


def test_a_symbol_that_cannot_be_recorded_leaves_the_others_alone(tmp_path):
    """It is named, nothing of it stays behind, and its error decides the exit code at the end."""
    recorded = record(tmp_path, BOTH, lambda session, _: rows_of(session, "SPY") >= 50, known=("SPY",))

    assert [track.symbol for track in recorded.session.tracks] == ["SPY"]
    assert tape_of(recorded.session, "SPY").manifest.rows >= 50
    assert recorded.session.summary()["not_recorded"] == {"TSLA": "no contract of TSLA expires today"}
    assert "TSLA: is not recorded: no contract of TSLA expires today" in recorded.said
    assert isinstance(recorded.session.refused["TSLA"], DataError)
    assert not list(tmp_path.glob("TSLA/.*.recording"))
    assert not [line for line in recorded.said if "budget" in line]


def test_where_no_symbol_can_be_recorded_the_first_reason_is_told(tmp_path):
    """There is nothing left to record."""
    with pytest.raises(DataError, match="no contract of TSLA expires today"):
        record(tmp_path, BOTH, lambda *_: True, known=())


def test_a_symbol_that_ends_is_given_back_and_the_others_go_on(tmp_path):
    """Its subscriptions are free for others; no gap, no new connection."""
    after: list[int] = []

    def done(session: Any, service: Any) -> bool:
        spy = track_of(session, "SPY").recorder
        if not spy.ended and each_has(50)(session, service):
            spy.stop(FAILED)
        if not after and spy.ended and service.asked[STOCK] == ["TSLA"]:
            after.append(rows_of(session, "TSLA"))
        return bool(after) and rows_of(session, "TSLA") >= after[0] + 100

    recorded = record(tmp_path, BOTH, done)

    assert {owner_of(contract) for contract in recorded.service.asked[OPTION]} == {"TSLA"}
    assert recorded.service.opened == {STOCK: 1, OPTION: 1}
    assert gaps_of(tape_of(recorded.session, "TSLA")) == []
    assert [track_of(recorded.session, symbol).recorder.ended for symbol in BOTH] == [TERMINATED, FAILED]


def test_a_fault_of_ours_in_one_symbol_is_raised_when_the_others_have_ended(tmp_path):
    """What each has written is on its tape; nothing of either is thrown away."""
    after: list[int] = []

    def broken() -> Any:
        raise RuntimeError("a fault")

    def done(session: Any, service: Any) -> bool:
        if not after and each_has(50)(session, service):
            track_of(session, "SPY").market.drain = broken
            after.append(rows_of(session, "TSLA"))
        return bool(after) and rows_of(session, "TSLA") >= after[0] + 100

    with pytest.raises(RuntimeError, match="a fault"):
        record(tmp_path, BOTH, done)

    rows = {path.parent.name: Tape.open(path).manifest.rows for path in tmp_path.glob("*/2026-*")}
    assert rows["SPY"] >= 50
    assert rows["TSLA"] >= 150


def test_a_refusal_for_good_ends_every_symbol(tmp_path):
    """They share the connection, so they share its end."""
    recorded = record(tmp_path, BOTH, lambda session, _: all(t.recorder.ended for t in session.tracks), refusal=402)

    assert {type(track.recorder.failure) for track in recorded.session.tracks} == {CredentialsError}
    assert recorded.service.opened[STOCK] == 0


def test_a_recording_that_goes_on_beside_a_new_one_keeps_its_own_gap(tmp_path):
    """TSLA was recorded alone before: blind since then, and its part of the budget is smaller now."""
    record(tmp_path, ("TSLA",), lambda session, _: rows_of(session, "TSLA") >= 50, max_contracts=8)

    recorded = record(tmp_path, BOTH, each_has(80), max_contracts=8, start_s=120.0)

    causes = {symbol: [gap[2] for gap in gaps_of(tape_of(recorded.session, symbol)) if gap[2]] for symbol in BOTH}
    assert causes == {"TSLA": ["recorder was down"] * 2, "SPY": []}
    assert "TSLA: 4 contracts recorded before are given up: the budget is 4" in recorded.said
    assert len(recorded.service.most[OPTION]) == 8


def test_raw_frames_are_kept_beside_each_tape(tmp_path):
    """A frame may hold rows of both; each tape can be held against what came."""
    recorded = record(tmp_path, BOTH, each_has(50), raw=True)

    kept = [track.summary()["raw_frames"] for track in recorded.session.tracks]
    assert min(kept) > 10
    assert len(list(tmp_path.glob("*/*.raw/*.frames.zst"))) == 2


def test_a_signal_while_symbols_are_made_ready_ends_the_recording(tmp_path):
    """It came before there was a recorder to tell."""

    def latest(_query: dict[str, str]) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {"trade": {"p": 400.0}}

    recorded = record(tmp_path, BOTH, lambda *_: False, routes={"/v2/stocks/TSLA/trades/latest": latest})

    assert [track.recorder.ended for track in recorded.session.tracks] == [TERMINATED] * 2
    assert not list(tmp_path.glob("*/.*.recording"))
