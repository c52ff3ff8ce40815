"""Greeks and minute chains from ORATS: what a row means, and a token that nobody sees."""

from __future__ import annotations

import datetime as dt
import logging
import traceback
import uuid

import httpx
import pytest

from scalpcli.adapters.orats import Orats, greeks_of
from scalpcli.errors import ConfigError, CredentialsError, ScalpcliError, UpstreamUnavailable
from scalpcli.model.session import at_ns, session_of

TOKEN = uuid.uuid4().hex
DAY = dt.date(2026, 11, 20)
ROW = {
    "ticker": "TSLA",
    "expirDate": "2026-11-20",
    "strike": 400.0,
    "delta": 0.35,
    "gamma": 0.02,
    "theta": -4.6,
    "vega": 0.04,
    "callMidIv": 0.55,
    "putMidIv": 0.56,
    "smvVol": 0.5,
}


def orats(answer):
    """A client whose requests `answer` takes; they are kept in `seen`."""
    seen = []

    def handle(request):
        seen.append(request)
        return answer(request)

    client = Orats("https://api.orats.io/datav2", TOKEN, transport=httpx.MockTransport(handle))
    return client, seen


def gives(status, **body):
    return lambda _request: httpx.Response(status, **body)


def test_the_puts_delta_is_one_less_than_the_calls():
    """ORATS gives the call's delta for both; gamma, theta and vega are shared, the volatility is each one's own."""
    contracts = greeks_of([ROW], "TSLA", DAY)

    assert contracts == {
        "TSLA261120C00400000": {"delta": 0.35, "gamma": 0.02, "theta": -4.6, "vega": 0.04, "iv": 0.55},
        "TSLA261120P00400000": {"delta": -0.65, "gamma": 0.02, "theta": -4.6, "vega": 0.04, "iv": 0.56},
    }


@pytest.mark.parametrize(
    "change", [{"delta": None}, {"delta": "null"}, {"delta": 1.5}, {"strike": ""}, {"expirDate": "2026-11-27"}]
)
def test_rows_without_a_usable_delta_are_left_out(change):
    """A missing greek is no greek; another expiry is another question."""
    assert greeks_of([{**ROW, **change}], "TSLA", DAY) == {}


def test_a_missing_volatility_falls_back_to_the_surface():
    """`callMidIv` is blank where the quote has no mid; the smoothed volatility is the strike's."""
    contracts = greeks_of([{**ROW, "callMidIv": "", "gamma": float("nan")}], "TSLA", DAY)

    assert contracts["TSLA261120C00400000"] == {"delta": 0.35, "theta": -4.6, "vega": 0.04, "iv": 0.5}


def test_one_expiry_is_asked_for():
    """The body is that of a GREEKS note."""
    client, seen = orats(gives(200, json={"data": [ROW]}))

    body = client.greeks("TSLA", DAY)

    assert body["source"] == "orats"
    assert len(body["contracts"]) == 2
    assert seen[0].url.path == "/datav2/live/strikes/monthly"
    assert dict(seen[0].url.params) == {"ticker": "TSLA", "expiry": "2026-11-20", "token": TOKEN}


def test_a_failure_means_no_greeks_and_fewer_questions():
    """Twice as many calls are left out after each failure: 1, 2, 4, …"""
    client, seen = orats(gives(500, text="oops"))

    assert [client.greeks("TSLA", DAY) for _ in range(11)] == [None] * 11
    assert len(seen) == 4
    assert client.fault == "ORATS gives no data: status 500"


def test_a_minute_of_the_past_is_csv():
    """The minute is named in New York time."""
    text = "ticker,strike,callBidPrice\nTSLA,400,1.05\n"
    client, seen = orats(gives(200, text=text))

    rows = client.minute_chain("TSLA", at_ns(session_of(DAY), "10:31"))

    assert rows == [{"ticker": "TSLA", "strike": "400", "callBidPrice": "1.05"}]
    assert seen[0].url.params["tradeDate"] == "202611201031"


def test_a_minute_that_orats_does_not_have_is_empty():
    """A hole in the history is no failure."""
    client, _ = orats(gives(404, text=""))

    assert client.minute_chain("TSLA", session_of(DAY).open_ns) == []


def test_a_wrong_token_is_a_matter_of_credentials():
    """Exit code 3; nothing to wait for."""
    client, _ = orats(gives(401, text=TOKEN))

    with pytest.raises(CredentialsError, match="refuses the token"):
        client.probe("TSLA", DAY)


def test_the_token_reaches_no_error_traceback_or_log(caplog):
    """It stands in every address, and httpx quotes addresses in errors and logs."""
    caplog.set_level(logging.DEBUG)

    def broken(request):
        raise httpx.ConnectError(f"cannot reach {request.url}", request=request)

    def slow(request):
        raise httpx.ReadTimeout(f"{request.url}", request=request)

    texts = []
    answers = [
        broken,
        slow,
        gives(403, text=TOKEN),
        gives(200, text=TOKEN),
        gives(302, headers={"Location": f"/{TOKEN}"}),
    ]
    for answer in answers:
        client, _ = orats(answer)
        with pytest.raises(ScalpcliError) as raised:
            client.probe("TSLA", DAY)
        texts += [raised.value.render(), "".join(traceback.format_exception(raised.value)), repr(raised.value)]
        client.greeks("TSLA", DAY)
        texts.append(client.fault)

    assert TOKEN not in "\n".join([*texts, caplog.text])


def test_no_token_travels_unencrypted():
    """It stands in the address itself."""
    with pytest.raises(ConfigError, match="would not travel encrypted"):
        Orats("http://api.orats.io/datav2", TOKEN)


def test_what_is_not_orats_json_is_told():
    """An HTML page of a proxy is no chain."""
    client, _ = orats(gives(200, text="<html>"))

    with pytest.raises(UpstreamUnavailable, match="not its JSON"):
        client.probe("TSLA", DAY)
