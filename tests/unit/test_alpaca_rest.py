"""The guarded wrapper over alpaca-py: patience, limits, words, and no key anywhere."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import traceback
import uuid

import pytest
from alpaca_server import serving

from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.alpaca_time import iso_to_ns, ns_to_iso
from scalpcli.errors import ConfigError, CredentialsError, DataError, ScalpcliError, UpstreamUnavailable
from scalpcli.model.params import AlpacaParams

KEY, SECRET = (uuid.uuid4().hex for _ in range(2))
QUICK = AlpacaParams(
    connect_s=0.5, answer_s=0.5, tries_max=3, backoff_first_s=0.01, backoff_max_s=0.05, backoff_slow_s=0.02
)
NOON = "Mon, 23 Nov 2026 15:00:00 GMT"


def rest_for(server, **changes):
    params = dataclasses.replace(QUICK, trading_url=server.url, data_url=server.url, **changes)
    return AlpacaRest(params, KEY, SECRET)


def failing(routes, call=lambda rest: rest.account(), **changes):
    """The error of a call, and how often the server was asked."""
    with serving(routes) as server, pytest.raises(ScalpcliError) as raised:
        call(rest_for(server, **changes))
    return raised.value, len(server.seen)


def test_keys_travel_in_headers_and_answers_come_back_whole():
    """The SDK's header names; numbers stay the texts that Alpaca sends."""
    with serving({"/v2/account": {"equity": "100000"}}) as server:
        assert rest_for(server).account() == {"equity": "100000"}

    headers = server.seen[0][3]
    assert headers["APCA-API-KEY-ID"] == KEY
    assert headers["APCA-API-SECRET-KEY"] == SECRET


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_question_is_repeated_while_the_failure_may_pass(status):
    """The SDK would wait three seconds and give up on 500; we wait as the settings say."""
    with serving({"/v2/account": [(status, "<html>"), (status, ""), {"equity": "1"}]}) as server:
        rest = rest_for(server)

        assert rest.account() == {"equity": "1"}
        assert (rest.requests, rest.retries, server.count("/v2/account")) == (3, 2, 3)


def test_tries_end_and_say_how_many_they_were():
    """Exit code 6 after `tries_max` tries."""
    error, asked = failing({"/v2/account": (503, "<html>down</html>")})

    assert asked == 3
    assert isinstance(error, UpstreamUnavailable)
    assert error.found == "Alpaca gave no answer after 3 tries: status 503"


def test_what_changes_something_is_sent_once():
    """An order that was answered 504 may be at the market; a second POST would make two of it."""
    error, asked = failing({"/v2/orders": (504, "")}, lambda rest: rest.send("POST", "/orders", {"qty": "1"}))

    assert asked == 1
    assert isinstance(error, UpstreamUnavailable)
    assert "one try" in error.found


def test_a_mute_server_is_left_after_the_time_out():
    """The SDK has no time-out at all and would wait for ever."""
    free = threading.Event()
    with serving({"/v2/account": lambda _query: free.wait(5)}) as server:
        with pytest.raises(UpstreamUnavailable) as raised:
            rest_for(server, answer_s=0.1, tries_max=2).account()
        free.set()

    assert raised.value.found == "Alpaca gave no answer after 2 tries: the answer did not come in time"


def test_nobody_there():
    """A refused connection is retried and then told without the library's own words."""
    with serving({}) as server:
        rest = rest_for(server)
    with pytest.raises(UpstreamUnavailable) as raised:
        rest.account()

    assert raised.value.found == "Alpaca gave no answer after 3 tries: the connection failed or broke off"


def test_a_redirect_is_not_followed():
    """Keys go to the address of the settings and nowhere else."""
    with serving({}) as other:
        error, _ = failing({"/v2/account": (302, "", {"Location": f"{other.url}/v2/account"})})

    assert isinstance(error, UpstreamUnavailable)
    assert other.seen == []


def test_the_limit_of_requests_is_waited_out_by_the_servers_own_clock():
    """429 and an exhausted limit name an instant of the server's clock; ours may be wrong."""
    limited = {"X-RateLimit-Remaining": "0", "Retry-After": "0.3"}
    with serving({"/v2/account": [(429, "", limited), ({"equity": "1"})]}) as server:
        rest = rest_for(server)
        began = asyncio.new_event_loop()
        before = began.time()
        rest.account()
        waited = began.time() - before
        began.close()

    assert 0.3 <= waited < 2.0


@pytest.mark.parametrize(
    ("headers", "status", "wait_s"),
    [
        ({}, 200, 0.0),
        ({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "1795446030"}, 200, 0.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795446030", "Date": NOON}, 200, 30.0),
        ({"X-RateLimit-Reset": "1795446030", "Date": NOON}, 429, 30.0),
        ({"X-RateLimit-Reset": "1795445000", "Date": NOON}, 429, 0.0),
        ({"X-RateLimit-Reset": "1795999999", "Date": NOON}, 429, 60.0),
        ({"X-RateLimit-Reset": "soon", "Date": NOON}, 429, 0.0),
        ({"X-RateLimit-Reset": "nan", "Date": NOON}, 429, 0.0),
        ({"Retry-After": "7"}, 429, 7.0),
        ({"Retry-After": "7"}, 500, 0.0),
    ],
)
def test_how_long_a_limit_lasts(headers, status, wait_s):
    """Until the reset by the server's own `Date`; never more than a minute; nothing where it cannot be read."""
    from scalpcli.adapters.alpaca_session import seconds_to_wait

    assert seconds_to_wait(headers, status) == wait_s


def test_wrong_keys():
    """Alpaca's 401 has no code in its body; nothing is repeated."""
    error, asked = failing({"/v2/account": (401, {"message": "unauthorized."})})

    assert asked == 1
    assert isinstance(error, CredentialsError)
    assert error.found == "Alpaca does not accept the keys"
    assert "paper and live accounts have keys of their own" in error.hint


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("subscription does not permit querying recent SIP data", "15 minutes old"),
        ("OPRA agreement is not signed", "signed OPRA agreement"),
        ("subscription does not permit this", "`--feed iex`"),
        ("account not eligible to trade options", "level 2"),
        ("forbidden.", "dashboard"),
    ],
)
def test_what_the_plan_or_the_account_does_not_allow(message, hint):
    """403 is a matter of keys and plan: exit code 3, with what to do."""
    error, asked = failing({"/v2/account": (403, {"code": 40310000, "message": message})})

    assert asked == 1
    assert isinstance(error, CredentialsError)
    assert message in error.found
    assert hint in error.hint


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_unknown_symbol(status):
    """Not a matter of patience: exit code 4 at once."""
    error, asked = failing(
        {"/v2/stocks/NOPE/trades/latest": (status, {"message": "invalid symbol: NOPE"})},
        lambda rest: rest.latest_trade("NOPE", "sip"),
    )

    assert asked == 1
    assert isinstance(error, DataError)
    assert "invalid symbol: NOPE" in error.found


def test_pages_are_followed_through_an_empty_one():
    """Alpaca may send a page without rows that still has another after it."""

    def page(query):
        asked = query.get("page_token")
        following = {None: "a", "a": "b", "b": None}[asked]
        rows = [] if asked == "a" else [{"i": 1 if asked is None else 2}]
        return {"trades": {"TSLA": rows}, "next_page_token": following}

    with serving({"/v2/stocks/trades": page}) as server:
        pages = list(rest_for(server).stock_pages("trades", "TSLA", 0, 10**9, "sip"))

    assert pages == [[{"i": 1}], [], [{"i": 2}]]
    assert server.seen[0][2]["end"] == "1970-01-01T00:00:00.999999999Z"


def test_pages_that_never_end_are_refused():
    """A page that names itself as the next one would be asked for ever."""
    with serving({"/v2/stocks/trades": {"trades": {}, "next_page_token": "x"}}) as server:
        pages = rest_for(server).stock_pages("trades", "TSLA", 0, 10**9, "sip")

        with pytest.raises(UpstreamUnavailable, match="does not end"):
            list(pages)
    assert len(server.seen) == 2


def test_many_contracts_are_asked_a_hundred_at_a_time():
    """The service's own limit of one question."""
    symbols = [f"S{number}" for number in range(150)]
    with serving({"/v1beta1/options/trades": {"trades": {}}}) as server:
        list(rest_for(server).option_trade_pages(symbols, 0, 10**9))

    assert [len(request[2]["symbols"].split(",")) for request in server.seen] == [100, 50]


def test_stopping_ends_a_wait():
    """A recorder that is told to stop does not wait for a limit to pass."""
    with serving({"/v2/account": (429, "", {"Retry-After": "50"})}) as server:
        rest = rest_for(server)

        async def ask_and_stop():
            asked = asyncio.create_task(asyncio.to_thread(rest.account))
            await asyncio.sleep(0.2)
            rest.close()
            await asked

        with pytest.raises(UpstreamUnavailable, match="stopping"):
            asyncio.run(asyncio.wait_for(ask_and_stop(), 5))


def test_no_key_travels_unencrypted():
    """Plain http is for this machine only."""
    with pytest.raises(ConfigError, match="would not travel encrypted"):
        AlpacaRest(AlpacaParams(trading_url="http://paper-api.alpaca.markets"), KEY, SECRET)


@pytest.mark.parametrize("wrong", ["", "with blank", "with\nline", "ü"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(wrong):
    """The HTTP library would quote it in its own error."""
    with pytest.raises(CredentialsError) as raised:
        AlpacaRest(AlpacaParams(), f"{KEY}{wrong}" if wrong else "", SECRET)

    assert KEY not in raised.value.render()


def test_no_key_reaches_an_error_a_traceback_or_a_log(caplog):
    """A service may repeat in its body what it was sent."""
    caplog.set_level(logging.DEBUG)
    texts = []
    bodies = [
        (status, {"code": 1, "message": f"no such key {KEY} {SECRET}"}) for status in (400, 401, 403, 404, 429, 500)
    ]
    bodies += [(500, f"<html>{SECRET}</html>"), (200, f"{SECRET}"), (302, "", {"Location": f"http://127.0.0.1/{KEY}"})]
    for body in bodies:
        with serving({"/v2/account": body}) as server, pytest.raises(ScalpcliError) as raised:
            rest_for(server, tries_max=1).account()
        texts += [raised.value.render(), "".join(traceback.format_exception(raised.value)), repr(raised.value)]

    everything = "\n".join([*texts, caplog.text, repr(rest_for(server).__dict__.keys())])
    assert KEY not in everything
    assert SECRET not in everything


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-23T15:00:00Z", 0),
        ("2026-11-23T15:00:00.152687113Z", 152_687_113),
        ("2026-11-23T15:00:00.12Z", 120_000_000),
        ("2026-11-23T10:00:00.12-05:00", 120_000_000),
        ("2026-11-23T10:00:00-05:00", 0),
    ],
)
def test_times_keep_every_nanosecond(text, ns):
    """Trailing zeros may be cut off, so the text's length varies."""
    assert iso_to_ns(text) == 1_795_446_000_000_000_000 + ns


def test_times_go_back_as_they_came():
    """What we ask for is what Alpaca reads."""
    assert iso_to_ns(ns_to_iso(1_795_446_000_152_687_113)) == 1_795_446_000_152_687_113


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-23", "2026-11-23T15:00:00", "2026-11-23T15:00:00.Z?", None, 5]
)
def test_what_is_no_time_is_refused(text):
    """A time that cannot be read is never taken for another."""
    with pytest.raises(DataError):
        iso_to_ns(text)
