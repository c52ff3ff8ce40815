"""A tape of a past day from history: which rows, in which order, and what the manifest admits."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import uuid

import httpx
import numpy as np
import pytest
import typer
from alpaca_day import CALL, DAY, OPEN_NS, PUT, SESSION, S, at, routes, stock_quote, stock_trade
from alpaca_server import serving

from scalpcli.adapters.alpaca_history import bar_notes, stock_quotes
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.backfill import DayHistory, DayPlan
from scalpcli.adapters.orats import Orats
from scalpcli.cli.record_audit import audit
from scalpcli.cli.record_backfill import backfill
from scalpcli.cli.shell import adopt
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import PREVIOUS_LEVELS, VOLUME_PROFILE
from scalpcli.model.params import AlpacaParams
from scalpcli.model.row import (
    BACKFILLED,
    COLD,
    LAST,
    LATE,
    OPTION_QUOTE,
    OPTION_TRADE,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.tape import Tape

CONTRACTS = [Instrument(1, CALL, DAY, 4_000_000, "C"), Instrument(2, PUT, DAY, 4_000_000, "P")]


def rest_of(server):
    params = dataclasses.replace(AlpacaParams(), trading_url=server.url, data_url=server.url, tries_max=1)
    return AlpacaRest(params, "key", "word")


def day(answers, *, orats=None, **changes):
    """The rows of a day, all windows joined, and the history that gave them."""
    plan = DayPlan("TSLA", "sip", CONTRACTS, OPEN_NS, SESSION.close_ns, **changes)
    with serving(answers) as server:
        history = DayHistory(rest_of(server), plan, orats)
        blocks = list(history.blocks())
    joined = {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns}
    return joined, blocks, history


def test_rows_of_one_instant_stand_in_the_tapes_order():
    """A print is judged against the quote that stood before it, so quotes go first."""
    rows, _, _ = day(
        routes(
            [stock_trade(5)],
            [stock_quote(5), stock_quote(4)],
            {PUT: [{"t": at(5), "p": 1.0, "s": 2, "x": "C", "c": "I"}]},
        )
    )

    assert rows["kind"].tolist() == [STOCK_QUOTE, STOCK_QUOTE, STOCK_TRADE, OPTION_TRADE]
    assert rows["ts_event_ns"].tolist() == [OPEN_NS + second * S for second in (4, 5, 5, 5)]
    assert rows["instrument_id"].tolist() == [0, 0, 0, 2]


def test_rows_are_those_of_the_live_feed():
    """Same prices, sizes, codes and rights; not marked as backfilled, or no price of the day would move anything."""
    rows, blocks, _ = day(routes([stock_trade(5, 400.1234, 7, 99, ("@", "Z"))], [stock_quote(4, bid=0.0)]))

    assert rows["price_e4"].tolist() == [0, 4_001_234]
    assert rows["ask_e4"].tolist() == [4_000_100, 0]
    assert rows["size"].tolist() == [0, 7]
    assert rows["ask_size"].tolist() == [300, 0]
    assert rows["trade_id"].tolist() == [0, 99]
    flags = int(rows["flags"][1])
    assert flags & LATE
    assert not flags & (LAST | BACKFILLED)
    assert blocks[0].conditions == ("R", "@Z")
    assert blocks[0].exchanges == ("V", "Q")
    assert rows["exchange"].tolist() == [1, 1]
    assert rows["ask_exchange"].tolist() == [2, 0]


def test_windows_continue_each_others_codes_and_order():
    """Ten minutes are held in memory at a time; a text keeps its number all day."""
    rows, blocks, _ = day(routes([stock_trade(second, number=second) for second in (1, 700, 1300)]))

    assert rows["trade_id"].tolist() == [1, 700, 1300]
    assert rows["exchange"].tolist() == [1, 1, 1]
    assert [block.exchanges for block in blocks if block.exchanges] == [("V",)]


def test_void_prints_are_left_out_and_counted():
    """Live they were taken back by a message; history has only the mark."""
    rows, _, history = day(
        routes(
            [stock_trade(1), stock_trade(2, u="canceled"), stock_trade(3, u="incorrect"), stock_trade(4, u="corrected")]
        )
    )

    assert rows["ts_event_ns"].tolist() == [OPEN_NS + S, OPEN_NS + 4 * S]
    assert history.source()["left_out"]["void"] == 2


@pytest.mark.parametrize("wrong", [{"p": 0}, {"p": float("nan")}, {"p": None}, {"t": "noon"}, {"s": -1}, {"i": "x"}])
def test_rows_that_cannot_be_read_are_counted(wrong):
    """One bad row costs itself, never the day."""
    answers = routes([stock_trade(1)])
    answers["/v2/stocks/trades"] = lambda query: {
        "trades": {"TSLA": [stock_trade(1), {**stock_trade(2), **wrong}] if query["start"] == at(0) else []}
    }
    rows, _, history = day(answers)

    assert len(rows["kind"]) == 1
    assert history.counts["unreadable"] == 1


def test_a_delay_is_added_to_every_receipt_and_told():
    """History has no receive times; the manifest says what stands in their place."""
    rows, _, history = day(routes([stock_trade(5)]), recv_delay_ns=3_000_000)

    assert rows["ts_recv_ns"].tolist() == [OPEN_NS + 5 * S + 3_000_000]
    assert history.source()["ts_recv_ns"] == "ts_event_ns + 3000000 ns: history has no receive times"


def test_old_quotes_count_round_lots():
    """Until 2025-11-03 a size of 2 meant 200 shares."""
    old = {**stock_quote(0), "t": "2025-10-31T14:00:00Z", "bs": 2, "as": 3}
    with serving({"/v2/stocks/quotes": {"quotes": {"TSLA": [old]}}}) as server:
        start_ns = 1_761_919_200 * S
        (page,) = stock_quotes(rest_of(server), "TSLA", start_ns, start_ns + S, "sip")

    assert (page[0].bid_size, page[0].ask_size) == (200.0, 300.0)


def orats_minutes(expiry=DAY):
    header = "expirDate,strike,delta,callBidPrice,callBidSize,callAskPrice,callAskSize,putBidPrice,putBidSize,putAskPrice,putAskSize,callMidIv,putMidIv"
    line = f"{expiry},400,0.35,1.05,10,1.10,11,,,0.05,4,0.5,0.5"

    def answer(request):
        if request.url.params["tradeDate"].endswith("1000"):
            return httpx.Response(200, text=f"{header}\n{line}\n")
        return httpx.Response(404)

    return Orats("https://orats", uuid.uuid4().hex, transport=httpx.MockTransport(answer))


def test_orats_minutes_become_quotes_and_greeks_and_are_marked():
    """Once a minute a quote of each contract and one note; the manifest does not call them ticks."""
    rows, blocks, history = day(routes(), orats=orats_minutes())

    assert rows["kind"].tolist() == [OPTION_QUOTE, OPTION_QUOTE, COLD]
    assert rows["ts_event_ns"].tolist() == [OPEN_NS + 1800 * S] * 3
    assert rows["price_e4"].tolist() == [10_500, 0, 0]
    assert rows["ask_e4"].tolist() == [11_000, 500, 0]
    assert rows["size"].tolist() == [10, 0, 0]
    (note,) = [note for block in blocks for note in block.notes]
    assert note[1]["contracts"][PUT]["delta"] == -0.65
    assert note[1]["source"] == "orats one-minute"
    assert history.source()["option_quotes"] == "one-minute chains of ORATS, not ticks"
    assert history.feeds()["options"] == "alpaca history trades, orats one-minute quotes"


def test_head_rows_come_from_bars():
    """The daily bar gives the levels; a minute's volume is spread over its seconds."""
    with serving(routes()) as server:
        notes = dict(bar_notes(rest_of(server), "TSLA", DAY, "sip", sessions_max=2))

    assert notes[PREVIOUS_LEVELS] == {
        "session": "2026-11-19",
        "high_e4": 4_055_000,
        "low_e4": 3_900_000,
        "close_e4": 3_995_000,
    }
    assert notes[VOLUME_PROFILE]["sessions"] == ["2026-11-19"]
    (volumes,) = notes[VOLUME_PROFILE]["volumes"]
    assert len(volumes) == 23_400
    assert volumes[:7] == [11, 11, 11, 11, 11, 10, 10]
    assert sum(volumes) == 605


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Call `backfill` and `audit` as a shell does; gives exit code, stdout and stderr."""
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ORATS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    app = typer.Typer()
    app.command("backfill")(backfill)
    app.command("audit")(audit)
    adopt(app)

    def call(*args):
        with pytest.raises(SystemExit) as left:
            app([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


PRINTS = [stock_trade(second, number=second) for second in range(1, 200, 20)]


def test_a_past_day_becomes_a_tape_that_the_audit_calls_complete(run, tmp_path):
    """From history to a sealed tape, and back to history: nothing missing, nothing extra."""
    with serving(routes(PRINTS, [stock_quote(second) for second in range(100)])) as server:
        code, out, err = run("backfill", DAY, "--rehearse", server.url, "--out", tmp_path / "tapes", "--json")
        assert code == 0, err
        tape = Tape.open(json.loads(out)[0]["tape"])
        audited = run("audit", tape.path, "--rehearse", server.url, "--json", "--require", "100")

    assert tape.manifest.rows == 112
    assert tape.manifest.source["option_quotes"] == "none: Alpaca keeps no history of them"
    assert tape.manifest.synthetic
    assert "no option quotes: Alpaca keeps none" in err
    assert [note.kind for note in tape.notes()] == [PREVIOUS_LEVELS, VOLUME_PROFILE]
    assert [one.open_interest for one in tape.instruments[1:]] == [900, 900]
    assert audited[0] == 0, audited[2]
    assert "100.000 % complete: 10 of 10 prints; 0 missing (0 outside of gaps), 0 extra" in audited[2]
    assert len(json.loads(audited[1])) == 390


def test_an_audit_below_the_limit_fails_the_check(run, tmp_path):
    """Exit code 5, and the minute that misses a print."""
    with serving(routes(PRINTS[1:])) as server:
        run("backfill", DAY, "--rehearse", server.url, "--out", tmp_path / "tapes", "-q")
    with serving(routes(PRINTS)) as server:
        code, out, err = run("audit", tmp_path / "tapes/TSLA/2026-11-20", "--rehearse", server.url, "--require", "99")

    assert code == 5
    assert "09:30" in out
    assert "the tape has 90.000 percent of the prints, below its limit: 99" in err


def test_a_day_that_is_there_is_passed_over(run, tmp_path):
    """A line in cron may name the same day again."""
    with serving(routes(PRINTS)) as server:
        for _ in range(2):
            code, out, err = run("backfill", DAY, "--rehearse", server.url, "--out", tmp_path / "tapes", "--json")

    assert code == 0
    assert json.loads(out) == []
    assert "passed over 2026-11-20" in err


@pytest.mark.parametrize(
    ("change", "code", "found"),
    [
        ({"/v2/options/contracts": {"option_contracts": []}}, 4, "no contract of TSLA expires in 0 or 1 days"),
        ({"/v2/stocks/bars": {"bars": {}}}, 4, "Alpaca has no bars of TSLA on 2026-11-20"),
        (
            {"/v2/stocks/bars": (403, {"message": "subscription does not permit querying recent SIP data"})},
            3,
            "recent SIP",
        ),
        ({"/v2/options/contracts": (401, {"message": "unauthorized."})}, 3, "does not accept the keys"),
        ({"/v2/options/contracts": (422, {"message": "invalid symbol"})}, 4, "invalid symbol"),
    ],
)
def test_what_stops_a_backfill_leaves_nothing_behind(run, tmp_path, change, code, found):
    """One message, its exit code, and no half-written tape."""
    with serving({**routes(PRINTS), **change}) as server:
        left, _, err = run("backfill", DAY, "--rehearse", server.url, "--out", tmp_path / "tapes")

    assert left == code
    assert found in err
    assert not (tmp_path / "tapes").exists()


def test_missing_keys_and_bad_days_are_told_before_anything_is_asked(run):
    """Exit codes 3, 2 and 4."""
    code, _, err = run("backfill", DAY)
    assert (code, "`ALPACA_API_KEY` and `ALPACA_SECRET_KEY` are not set" in err) == (3, True)
    assert run("backfill", "yesterday")[0] == 2
    assert run("backfill", dt.date(2026, 11, 21))[0] == 4
    assert run("backfill", DAY, "--rehearse", "http://example.com")[0] == 2
    assert run("backfill", DAY, "--rehearse", "http://127.0.0.1:1")[0] == 6


def test_flags_of_the_recorder_hold_here_too(run, tmp_path):
    """A message that says `--feed iex` or `--dte 3` must be followed as it stands."""
    with serving(routes(PRINTS)) as server:
        code, out, err = run(
            "backfill", DAY, "--rehearse", server.url, "--out", tmp_path / "tapes", "--json",
            "--feed", "iex", "--dte", "0", "--strikes", "3",
        )  # fmt: skip
        assert code == 0, err
        assert run("backfill", DAY, "--dte", "today")[0] == 2

    assert {request[2].get("feed") for request in server.seen if request[1] == "/v2/stocks/trades"} == {"iex"}
    assert Tape.open(json.loads(out)[0]["tape"]).manifest.feeds["stock"] == "alpaca history iex"


def test_no_key_or_token_reaches_a_tape_an_output_or_a_log(run, tmp_path, monkeypatch, caplog):
    """All three are made for this run and sent; nothing that is kept or said has them."""
    caplog.set_level(logging.DEBUG)
    secrets = {name: uuid.uuid4().hex for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "ORATS_TOKEN")}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(MarketClock, "now_ns", lambda _self: SESSION.close_ns + S)
    chain = "expirDate,strike,delta,callBidPrice,callBidSize,callAskPrice,callAskSize\n2026-11-20,400,0.3,1,1,1.1,1\n"
    with serving({**routes(PRINTS), "/hist/one-minute/strikes/chain.csv": (200, chain)}) as server:
        addresses = [f"alpaca.{name}_url={server.url}" for name in ("trading", "data", "orats")]
        code, out, err = run(
            "backfill", DAY, "--options", "orats", "--out", tmp_path / "tapes", "-v", "--json",
            *(part for address in addresses for part in ("-p", address)),
        )  # fmt: skip
        server.routes["/hist/one-minute/strikes/chain.csv"] = (401, " ".join(secrets.values()))
        refused = run(
            "backfill", DAY, "--options", "orats", "--out", tmp_path / "other", "-v",
            *(part for address in addresses for part in ("-p", address)),
        )  # fmt: skip

    assert code == 0, err
    assert refused[0] == 3
    tape = Tape.open(json.loads(out)[0]["tape"])
    assert tape.manifest.counts["option_quote"] > 0
    sent = "".join(str(request) for request in server.seen)
    kept = b"".join(file.read_bytes() for file in tape.path.iterdir())
    said = "".join([out, err, *refused[1:], caplog.text])
    for value in secrets.values():
        assert value in sent
        assert value.encode() not in kept
        assert value not in said
    assert not (tmp_path / "other").exists()


def test_orats_without_a_token_is_a_matter_of_credentials(run):
    """Exit code 3; a rehearsal never uses the real one."""
    with serving(routes()) as server:
        code, _, err = run("backfill", DAY, "--rehearse", server.url, "--options", "orats")

    assert code == 3
    assert "`ORATS_TOKEN` is not set" in err
