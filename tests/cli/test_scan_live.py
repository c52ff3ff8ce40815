"""`scan-options` on a live chain: what a service may answer, and what the user is told then."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import threading
import uuid
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from scalpcli.adapters.alpaca_chain import ChainPoller
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.cli import app
from scalpcli.errors import CredentialsError, UpstreamUnavailable
from scalpcli.exchange.fault_script import read_script
from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.plan import BASIC
from scalpcli.exchange.serving import ServingRules
from scalpcli.model.params import AlpacaParams, Params
from scalpcli.model.session import at_ns, session_of
from scalpcli.scan.expiries import choose_expiries
from scalpcli.scan.rank import Query
from scalpcli.scan.sources import live_feed
from tests.alpaca_server import serving
from tests.scan_samples import TAPE, scan_feed, scan_tape

FRIDAY = session_of(dt.date(2026, 11, 20))
NOW_NS = at_ns(FRIDAY, "10:31:00")
CONTRACTS, CHAIN, TRADE = (
    "/v2/options/contracts",
    "/v1beta1/options/snapshots/TSLA",
    "/v2/stocks/TSLA/trades/latest",
)
QUICK = AlpacaParams(
    connect_s=0.5, answer_s=0.5, tries_max=3, backoff_first_s=0.01, backoff_max_s=0.02, backoff_slow_s=0.01
)
STOCK = {"symbol": "TSLA", "trade": {"p": 400.0, "s": 100, "t": "2026-11-20T15:30:59.5Z", "x": "V"}}


def contract(symbol, interest="1200"):
    return {
        "symbol": symbol, "multiplier": "100", "size": "100", "open_interest": interest,
        "open_interest_date": "2026-11-19",
    }  # fmt: skip


def snapshot_of(bid=1.00, ask=1.02, t="2026-11-20T15:30:58Z", **more):
    quote = {"bp": bid, "bs": 20, "ap": ask, "as": 30, "t": t, "bx": "C", "ax": "C", "c": " "}
    return {"latestQuote": quote, **more}


def occ(strike, right="C", day="261120"):
    return f"TSLA{day}{right}{int(strike * 1000):08d}"


CALLS = [occ(strike) for strike in (400, 402.5, 405)]
ROUTES = {
    CONTRACTS: {"option_contracts": [contract(symbol) for symbol in CALLS], "next_page_token": None},
    CHAIN: {"snapshots": {symbol: snapshot_of() for symbol in CALLS}, "next_page_token": None},
    TRADE: STOCK,
}


def poll(server, now_ns=NOW_NS, **changes):
    """One poll and its scan."""
    params = dataclasses.replace(QUICK, trading_url=server.url, data_url=server.url, **changes)
    rest = AlpacaRest(params, uuid.uuid4().hex, uuid.uuid4().hex)
    poller = ChainPoller(rest, "TSLA", feed="sip", option_feed="opra", now_ns=lambda: now_ns)
    expiries = choose_expiries(Params(), poller.contracts(), poller.session().date, "")
    chain = poller.poll(expiries.dates)
    return scan_feed(live_feed(chain), Params(), Query(show_all=True, top=100))


def scanned(now_ns=NOW_NS, **changed):
    with serving(ROUTES | {NAMES[name]: value for name, value in changed.items()}) as server:
        return poll(server, now_ns), server


NAMES = {"contracts": CONTRACTS, "chain": CHAIN, "trade": TRADE}


def test_every_page_is_read():
    """Both lists come in pages, and a page may be empty before the last."""
    pages = {
        "": {"option_contracts": [contract(CALLS[0])], "next_page_token": "a"},
        "a": {"option_contracts": [], "next_page_token": "b"},
        "b": {"option_contracts": [contract(symbol) for symbol in CALLS[1:]], "next_page_token": None},
    }
    chains = {
        "": {"snapshots": {CALLS[0]: snapshot_of()}, "next_page_token": "x"},
        "x": {"snapshots": {symbol: snapshot_of() for symbol in CALLS[1:]}, "next_page_token": None},
    }

    found, server = scanned(
        contracts=lambda query: pages[query.get("page_token", "")],
        chain=lambda query: chains[query.get("page_token", "")],
    )

    assert sorted(row["contract"] for row in found.rows) == CALLS
    assert all(row["bid"] == 1.00 for row in found.rows)
    assert (server.count(CONTRACTS), server.count(CHAIN)) == (3, 2)


def test_missing_greeks_are_computed_and_shown_as_missing():
    """Alpaca tells none for contracts that expire today: ours stand, the feed's are null."""
    found, _ = scanned()

    for row in found.rows:
        assert row["delta"] is not None
        assert row["delta_source"] == "computed"
        assert row["feed_delta"] is row["feed_iv"] is row["delta_difference"] is None


def test_greeks_of_the_feed_stand_beside_ours():
    """Both are shown with their difference; while fresh the feed's decides, as in the engine."""
    greeks = {"delta": 0.31, "gamma": 0.02, "theta": -1.5, "vega": 0.1}
    told = {symbol: snapshot_of(greeks=greeks, impliedVolatility=0.61) for symbol in CALLS}

    found, _ = scanned(chain={"snapshots": told, "next_page_token": None})

    row = found.rows[0]
    assert (row["feed_delta"], row["feed_iv"], row["feed_source"], row["delta"]) == (0.31, 0.61, "alpaca", 0.31)
    assert row["delta_difference"] == pytest.approx(0.31 - row["computed_delta"])
    assert row["iv_difference"] == pytest.approx(0.61 - row["iv"])


def test_blank_greeks_are_no_greeks():
    """Zeros without a volatility are what a feed writes where it could not solve."""
    blank = dict.fromkeys(("delta", "gamma", "theta", "vega"), 0.0)
    told = {symbol: snapshot_of(greeks=blank, impliedVolatility=0) for symbol in CALLS}

    found, _ = scanned(chain={"snapshots": told, "next_page_token": None})

    assert {row["feed_delta"] for row in found.rows} == {None}


def test_missing_quotes_and_snapshots_are_told():
    """What has no quote has no price, no greeks and a reason; the count is told."""
    told = {CALLS[0]: snapshot_of(), CALLS[1]: {"latestTrade": {"p": 1, "s": 1, "t": "2026-11-20T15:00:00Z"}}}

    found, _ = scanned(chain={"snapshots": told, "next_page_token": None})

    rows = {row["contract"]: row for row in found.rows}
    for symbol in CALLS[1:]:
        assert rows[symbol]["bid"] is rows[symbol]["iv"] is rows[symbol]["quote_age_s"] is None
        assert rows[symbol]["verdict"] == "option_quote"
    assert "1 of 3 contracts are without a quote" in found.head["notices"]
    assert "1 of 3 contracts are without a snapshot" in found.head["notices"]


@pytest.mark.parametrize(
    "quote", [{"bp": "x", "t": "2026-11-20T15:30:58Z"}, {"bp": 1, "ap": 2, "t": "soon"}, {"bp": 1}, 7]
)
def test_a_quote_that_cannot_be_read_is_left_out(quote):
    """One bad answer costs one contract, not the scan."""
    told = {CALLS[0]: {"latestQuote": quote}} | {symbol: snapshot_of() for symbol in CALLS[1:]}

    found, _ = scanned(chain={"snapshots": told, "next_page_token": None})

    assert "1 of 3 contracts are with a quote that cannot be read" in found.head["notices"]
    assert sum(row["bid"] is not None for row in found.rows) == 2


def test_a_one_sided_quote_has_no_volatility():
    """Nobody bids: the middle would be an invention."""
    found, _ = scanned(chain={"snapshots": {CALLS[0]: snapshot_of(bid=0)}, "next_page_token": None})

    row = next(row for row in found.rows if row["contract"] == CALLS[0])
    assert (row["bid"], row["mid"], row["iv"], row["verdict"]) == (None, None, None, "option_quote")
    assert "no_bid" in row["flags"]


def test_an_empty_list_of_contracts_is_told():
    """Nothing listed: no chain is asked for, and the scan is empty."""
    found, server = scanned(contracts={"option_contracts": [], "next_page_token": None})

    assert found.rows == found.misses == []
    assert "no contract is listed" in found.head["notices"]
    assert server.count(CHAIN) == 0


def test_an_empty_chain_shows_contracts_without_prices():
    """Listed but nothing quoted, as before the open."""
    found, _ = scanned(chain={"snapshots": {}, "next_page_token": None})

    assert len(found.rows) == 3
    assert {row["bid"] for row in found.rows} == {None}


def test_no_price_of_the_underlying_leaves_everything_unpriced():
    """Nothing is guessed from the strikes."""
    found, _ = scanned(trade={"symbol": "TSLA", "trade": None})

    assert found.head["spot"] is None
    assert {row["delta"] for row in found.rows} == {None}
    assert any("no price" in notice for notice in found.head["notices"])


def test_a_stale_price_is_recognised_by_the_exchanges_time():
    """The answer is young, what it tells is not."""
    old = {"symbol": "TSLA", "trade": {"p": 400.0, "s": 100, "t": "2026-11-20T15:29:00Z"}}

    found, _ = scanned(trade=old)

    assert found.head["spot_age_s"] == 120.0
    assert [gate["gate"] for gate in found.head["market"]] == ["underlying_silence"]


def test_a_stale_quote_is_refused_and_unpriced():
    """Its age counts from when the exchange gave it."""
    told = {symbol: snapshot_of(t="2026-11-20T15:28:00Z") for symbol in CALLS}

    found, _ = scanned(chain={"snapshots": told, "next_page_token": None})

    assert {row["verdict"] for row in found.rows} == {"option_quote_age"}
    assert {row["quote_age_s"] for row in found.rows} == {180.0}
    assert {row["iv"] for row in found.rows} == {None}


def test_volume_of_today_is_counted_and_that_of_another_day_is_not():
    """A daily bar is stamped at midnight in New York."""
    trade = {"p": 1.01, "s": 3, "t": "2026-11-20T15:20:00Z"}
    told = {
        CALLS[0]: snapshot_of(dailyBar={"v": 321, "t": "2026-11-20T05:00:00Z"}, latestTrade=trade),
        CALLS[1]: snapshot_of(dailyBar={"v": 999, "t": "2026-11-19T05:00:00Z"}, latestTrade=trade),
    }

    found, _ = scanned(chain={"snapshots": told, "next_page_token": None})

    volumes = {row["contract"]: row["volume"] for row in found.rows}
    assert (volumes[CALLS[0]], volumes[CALLS[1]]) == (321, 0)


def test_no_same_day_expiry_shows_the_next_one():
    """A Tuesday: the list has Wednesday's contracts; they are inside `max_dte` and may pass."""
    tuesday = at_ns(session_of(dt.date(2026, 11, 24)), "10:31:00")
    symbols = [occ(strike, day="261125") for strike in (400, 402.5, 405)]

    found, _ = scanned(
        tuesday,
        contracts={"option_contracts": [contract(symbol) for symbol in symbols], "next_page_token": None},
        chain={"snapshots": {symbol: snapshot_of() for symbol in symbols}, "next_page_token": None},
    )

    assert "no contract expires today (2026-11-24); the next expiry is Wed 2026-11-25 (1 day)" in found.head["notices"]
    assert [expiry["dte"] for expiry in found.head["expiries"]] == [1]


def test_an_expiry_beyond_the_settings_is_shown_and_refused():
    """Thursday before a holiday: the next one is days away, so the engine would not trade it."""
    symbols = [occ(strike, day="261127") for strike in (400, 402.5, 405)]
    tuesday = at_ns(session_of(dt.date(2026, 11, 24)), "10:31:00")

    found, _ = scanned(
        tuesday,
        contracts={"option_contracts": [contract(symbol) for symbol in symbols], "next_page_token": None},
        chain={
            "snapshots": {symbol: snapshot_of(t="2026-11-24T15:30:58Z") for symbol in symbols},
            "next_page_token": None,
        },
    )

    assert {row["verdict"] for row in found.rows} == {"expiry"}
    assert found.rows[0]["reasons"][0] == "3 days to expiry > 1"
    assert "no contract expires within 0 to 1 days; shown is Fri 2026-11-27 (3 days)" in found.head["notices"]


def test_on_a_closed_day_days_count_from_the_next_session():
    """A scalper looks at Monday's chain on Sunday."""
    sunday_ns = NOW_NS + 2 * 86_400 * 10**9
    symbols = [occ(400, day="261123")]

    found, _ = scanned(
        sunday_ns,
        contracts={"option_contracts": [contract(symbol) for symbol in symbols], "next_page_token": None},
        chain={"snapshots": {symbol: snapshot_of() for symbol in symbols}, "next_page_token": None},
    )

    assert found.head["notices"][0] == ("no session on 2026-11-22: days to expiry count from the next one, 2026-11-23")
    assert found.rows[0]["dte"] == 0
    assert found.rows[0]["verdict"] == "option_quote_age"


@pytest.mark.parametrize(
    ("status", "error"), [(403, CredentialsError), (503, UpstreamUnavailable), (429, UpstreamUnavailable)]
)
def test_refusals_end_with_what_to_do(status, error):
    """403 at once, since asking again changes nothing; 429 and 5xx after every try."""
    with serving(ROUTES | {CHAIN: (status, {"message": "OPRA agreement is not signed"})}) as server:
        with pytest.raises(error) as raised:
            poll(server)

        assert server.count(CHAIN) == (1 if status == 403 else 3)
    assert raised.value.hint


@pytest.mark.parametrize("status", [429, 500, 504])
def test_a_failure_that_passes_is_not_told(status):
    """The second try answers."""
    with serving(ROUTES | {CHAIN: [(status, ""), ROUTES[CHAIN]]}) as server:
        assert len(poll(server).rows) == 3


# --- against the local exchange ---------------------------------------------------------------------------


@contextmanager
def exchanging(start="10:31", **changes):
    """A local exchange in a thread of its own, standing at `start` of the example tape; gives its address."""
    ready, found = threading.Event(), {}

    async def serve():
        rules = ServingRules(at_ns(FRIDAY, start), 0, 0)
        # So slow that its market stands still while it is asked.
        async with LocalExchange(TAPE, serving=rules, speed=0.001, **changes) as exchange:
            over = asyncio.Event()
            found.update(exchange=exchange, over=over, loop=asyncio.get_running_loop())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(20)
        yield found["exchange"]
    finally:
        found["loop"].call_soon_threadsafe(found["over"].set)
        thread.join(20)


def run(url, *words):
    env = {"ALPACA_API_KEY": None, "ALPACA_SECRET_KEY": None, "NO_COLOR": "1", "FORCE_COLOR": None}
    words = ["scan-options", "--rehearse", url, *words, "-p", "alpaca.backoff_first_s=0.01", "-p", "alpaca.tries_max=2"]
    return CliRunner().invoke(app, words, env=env, prog_name="scalpcli")


def test_a_rehearsal_shows_what_the_tape_shows():
    """Live and tape are one: the same contracts, quotes, interest and verdicts at the same instant."""
    with exchanging() as exchange:
        found = json.loads(run(exchange.rest_url, "--all", "--top", "100", "--json").stdout)

    rows = {row["contract"]: row for row in scan_tape(TAPE, "10:31:00", Params(), Query(show_all=True, top=100)).rows}
    assert found["session"] == "2026-11-20"
    assert len(found["contracts"]) == len(rows)
    for row in found["contracts"]:
        same = ("bid", "bid_size", "ask", "ask_size", "open_interest", "open_interest_date", "spread_ticks")
        assert {name: row[name] for name in same} == {name: rows[row["contract"]][name] for name in same}


def test_refusals_of_the_exchange_reach_the_user():
    """Requests refused once are asked again; refused for ever they end with exit code 6."""
    once = read_script(None, ["refuse=rest,code=429,count=1"], FRIDAY, 0)
    always = read_script(None, ["refuse=rest,code=503,count=0"], FRIDAY, 0)

    with exchanging(faults=once) as exchange:
        passed = run(exchange.rest_url, "-p", "alpaca.backoff_slow_s=0.01")
    with exchanging(faults=always) as exchange:
        refused = run(exchange.rest_url)

    assert passed.exit_code == 0
    assert "TSLA 2026-11-20 10:31:0" in passed.stdout
    assert refused.exit_code == 6
    assert "gave no answer after 2 tries: status 503" in refused.stderr
    assert refused.stdout == ""


def test_a_plan_without_opra_is_told():
    """Exit code 3 and the flag or agreement that helps."""
    with exchanging(plan=BASIC) as exchange:
        done = run(exchange.rest_url)

    assert done.exit_code == 3
    assert "OPRA" in done.stderr


def test_the_free_plan_shows_the_indicative_feed_and_says_so():
    """What the refusal's hint names can be pasted."""
    with exchanging(plan=BASIC) as exchange:
        done = run(exchange.rest_url, "--option-feed", "indicative", "--feed", "iex")

    assert done.exit_code == 0
    assert "iex and indicative" in done.stdout
    assert "not the" in done.stdout


def test_a_rehearsal_of_another_symbol_is_refused():
    """The exchange plays one underlying."""
    with exchanging() as exchange:
        done = run(exchange.rest_url, "--symbol", "SPY")

    assert done.exit_code == 2
    assert "plays TSLA, not SPY" in done.stderr


class FakeOrats:
    """Greeks or a fault, without a network."""

    def __init__(self, greeks=None, fault=""):
        self._greeks, self.fault = greeks, fault

    def greeks(self, symbol, expiry):
        assert (symbol, expiry) == ("TSLA", dt.date(2026, 11, 20))
        return None if self._greeks is None else {"source": "orats", "contracts": self._greeks}


def with_orats(orats):
    with serving(ROUTES) as server:
        params = dataclasses.replace(QUICK, trading_url=server.url, data_url=server.url)
        rest = AlpacaRest(params, uuid.uuid4().hex, uuid.uuid4().hex)
        poller = ChainPoller(rest, "TSLA", feed="sip", option_feed="opra", now_ns=lambda: NOW_NS, orats=orats)
        expiries = choose_expiries(Params(), poller.contracts(), FRIDAY.date, "")
        return scan_feed(live_feed(poller.poll(expiries.dates)), Params(), Query(show_all=True, top=100))


def test_greeks_of_orats_stand_beside_ours():
    """Where a token is set they are the feed's; a contract they leave out has none."""
    found = with_orats(FakeOrats({CALLS[0]: {"delta": 0.33, "iv": 0.5}}))

    rows = {row["contract"]: row for row in found.rows}
    assert (rows[CALLS[0]]["feed_delta"], rows[CALLS[0]]["feed_source"]) == (0.33, "orats")
    assert rows[CALLS[1]]["feed_delta"] is None


def test_a_fault_of_orats_is_told_and_ours_stand():
    """A scan does not fail for want of another vendor."""
    found = with_orats(FakeOrats(fault="ORATS did not answer in time"))

    assert "no greeks of ORATS: ORATS did not answer in time" in found.head["notices"]
    assert found.rows[0]["delta_source"] == "computed"


def test_after_the_close_the_next_session_is_looked_at():
    """In the evening a scalper looks at tomorrow's chain, not at contracts that have expired."""
    monday = occ(400, day="261123")

    found, _ = scanned(
        at_ns(FRIDAY, "17:00"),
        contracts={"option_contracts": [contract(monday)], "next_page_token": None},
        chain={"snapshots": {monday: snapshot_of()}, "next_page_token": None},
    )

    assert found.head["notices"][0] == (
        "the session of 2026-11-20 is over: days to expiry count from the next one, 2026-11-23"
    )
    assert [row["contract"] for row in found.rows] == [monday]


def test_watching_scans_again_until_it_is_interrupted(monkeypatch):
    """Each scan is one document's lines; Ctrl-C ends with 130."""
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("scalpcli.cli.scan.pause_s", wait)
    with exchanging() as exchange:
        done = run(exchange.rest_url, "--watch", "5", "--format", "jsonl", "--top", "1", "--all", "-q")

    assert waits == [5.0, 5.0, 5.0]
    assert done.exit_code == 130
    assert len(done.stdout.splitlines()) == 3
    assert len({json.loads(line)["contract"] for line in done.stdout.splitlines()}) == 1


def test_watching_outlasts_a_failure(monkeypatch):
    """One poll without an answer is told; the next one is shown. Without a first answer the command ends."""
    polls, waits, poll_truly = [], [], ChainPoller.poll

    def poll_badly(poller, expiries):
        polls.append(expiries)
        if len(polls) == 2:
            raise UpstreamUnavailable("Alpaca gave no answer after 2 tries: status 503")
        return poll_truly(poller, expiries)

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("scalpcli.cli.scan.pause_s", wait)
    monkeypatch.setattr(ChainPoller, "poll", poll_badly)
    with exchanging() as exchange:
        done = run(exchange.rest_url, "--watch", "5", "--format", "jsonl", "--top", "1", "--all")

    assert len(polls) == 3
    assert len(done.stdout.splitlines()) == 2
    assert "status 503; asking again in 5 s" in done.stderr
