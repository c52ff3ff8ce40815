"""SHADOW, PAPER and LIVE cannot be mixed up: four locks, and one place that knows the host of real money."""

from __future__ import annotations

import dataclasses
import uuid
from pathlib import Path

import pytest

import scalpcli
from scalpcli.cli.live_access import ModeFlags, check_account, reach, reopen
from scalpcli.cli.live_mode import Asked, Mode, decide_mode, hosts_of, needs_account_ends, words_of_feed
from scalpcli.config import load
from scalpcli.errors import ConfigError, CredentialsError, DataError, ScalpcliError, UsageError
from scalpcli.model.params import AlpacaParams

PACKAGE = Path(scalpcli.__file__).resolve().parent
LIVE_KEY, PAPER_KEY, OTHER_KEY = (prefix + uuid.uuid4().hex[:18].upper() for prefix in ("AK", "PK", "CK"))
ENDS = uuid.uuid4().hex[:3].upper() + "Z"
OPEN = Asked(
    is_shadow=False,
    is_live=True,
    account_ends=ENDS,
    is_rehearsal=False,
    is_enabled=True,
    enabled_in="my.toml",
    alpaca=AlpacaParams(),
    others={},
    option_feed="opra",
    key=LIVE_KEY,
)
PAPER = dataclasses.replace(OPEN, is_live=False, is_enabled=False, enabled_in="", account_ends="", key=PAPER_KEY)


@pytest.fixture(autouse=True)
def no_secrets_file(monkeypatch, tmp_path):
    """The tester's own keys stay out of it."""
    monkeypatch.setenv("HOME", str(tmp_path))


def but(asked, **changes):
    return dataclasses.replace(asked, **changes)


def with_url(asked, **urls):
    return but(asked, alpaca=dataclasses.replace(asked.alpaca, **urls))


def test_four_open_locks_are_live():
    """And each other mode is what was asked for."""
    assert decide_mode(OPEN) is Mode.LIVE
    assert decide_mode(PAPER) is Mode.PAPER
    assert decide_mode(but(PAPER, is_shadow=True)) is Mode.SHADOW
    assert decide_mode(but(PAPER, is_rehearsal=True, key="rehearsal")) is Mode.PAPER


@pytest.mark.parametrize(
    ("closed", "error", "words"),
    [
        ({"key": PAPER_KEY}, CredentialsError, "LIVE needs keys of a live account; the key is of a paper account"),
        ({"key": OTHER_KEY}, CredentialsError, "neither a paper nor a live account"),
        ({"key": ""}, CredentialsError, "neither"),
        ({"is_enabled": False}, ConfigError, "`live.enabled` is false"),
        ({"enabled_in": ""}, ConfigError, "not by a file on disk"),
        ({"is_live": False}, CredentialsError, "PAPER needs keys of a paper account; the key is of a live account"),
        ({"account_ends": ""}, UsageError, "LIVE needs the last 4 characters"),
        ({"account_ends": "12"}, UsageError, "found 2 characters"),
        ({"account_ends": "12 4"}, UsageError, "takes 4 letters or digits"),
        ({"account_ends": "12345"}, UsageError, "found 5 characters"),
        ({"is_shadow": True}, UsageError, "`--shadow` and `--live` contradict"),
        ({"is_rehearsal": True}, UsageError, "`--rehearse` and `--live` contradict"),
        ({"option_feed": "indicative"}, ConfigError, "no ground for LIVE orders"),
    ],
)
def test_one_closed_lock_stops_live(closed, error, words):
    """It is refused, with its reason; it does not become PAPER unsaid."""
    with pytest.raises(error, match=words):
        decide_mode(but(OPEN, **closed))


@pytest.mark.parametrize(
    ("number", "is_right"),
    [(f"123{ENDS}", True), (f"123{ENDS.lower()}", True), ("123456789", False), (ENDS, False), ("", False)],
    ids=["its end", "in lower case", "another end", "nothing before it", "no number"],
)
@pytest.mark.parametrize("asked", [OPEN, but(PAPER, account_ends=ENDS)])
def test_the_account_must_be_the_one_that_was_named(asked, number, is_right):
    """The broker tells whose keys they are; a paper account is held against its end too where one was given."""
    if is_right:
        assert decide_mode(asked, number) is decide_mode(asked)
        return

    with pytest.raises(UsageError, match="another account"):
        decide_mode(asked, number)


@pytest.mark.parametrize("name", ["trading_url", "trading_stream_url", "data_url", "stream_url"])
@pytest.mark.parametrize(
    "host",
    [
        "api.alpaca.markets",
        "API.alpaca.markets",
        "api.alpaca.markets.",
        "paper-api.alpaca.markets@api.alpaca.markets",
        "api.alpaca.markets:443",
        "api。alpaca。markets",
        "broker.example",
    ],
)
def test_no_address_of_the_settings_leads_paper_elsewhere(name, host):
    """An address set for a recorder, or misread by somebody, must not decide whose money is at stake."""
    scheme = "wss" if "stream" in name else "https"

    with pytest.raises(ConfigError, match="PAPER does not reach the host"):
        decide_mode(with_url(PAPER, **{name: f"{scheme}://{host}"}))


@pytest.mark.parametrize("name", ["trading_url", "trading_stream_url", "data_url", "stream_url"])
@pytest.mark.parametrize("host", ["paper-api.alpaca.markets.", "127.0.0.1:18080", "data.example"])
def test_real_money_is_not_traded_on_other_addresses(name, host):
    """A local exchange's quotes, or another's account, under LIVE: both are a mistake."""
    scheme = "ws" if "stream" in name else "http"

    with pytest.raises(ConfigError, match="LIVE does not reach the host"):
        decide_mode(with_url(OPEN, **{name: f"{scheme}://{host}"}))


def test_the_modes_own_hosts_may_be_spelled_out():
    """A settings file that says what would be taken anyway is no mistake."""
    live, paper = hosts_of(Mode.LIVE), hosts_of(Mode.PAPER)

    assert decide_mode(with_url(OPEN, trading_url=f"{live.trading_url}/")) is Mode.LIVE
    assert decide_mode(with_url(PAPER, trading_stream_url=paper.trading_stream_url)) is Mode.PAPER
    assert decide_mode(with_url(PAPER, data_url="http://127.0.0.1:18080")) is Mode.PAPER


@pytest.mark.parametrize("name", ["live.notify", "live.heartbeat_url", "alpaca.orats_url"])
def test_whoever_is_told_something_is_not_the_broker(name):
    """No address of any setting may be the broker's by mistake."""
    with pytest.raises(ConfigError, match=f"`{name}` names a host"):
        decide_mode(but(PAPER, others={name: "https://api.alpaca.markets/v2/orders"}))


def test_the_last_lock_alone_is_asked_for_at_a_terminal():
    """A person is asked to type only what would open LIVE, never to get past a closed lock."""
    assert needs_account_ends(but(OPEN, account_ends=""))
    assert not needs_account_ends(but(OPEN, account_ends="", is_enabled=False))
    assert not needs_account_ends(PAPER)
    assert not needs_account_ends(OPEN)


def test_indicative_quotes_are_marked_loudly():
    """PAPER may run on them, and says what they are."""
    assert "PAPER: OPTION QUOTES ARE INDICATIVE" in words_of_feed(Mode.PAPER, "indicative")
    assert words_of_feed(Mode.PAPER, "opra") == ""


def test_one_place_knows_the_host_of_real_money():
    """Whoever adds another one must come past the locks: take `hosts_of` instead. `doctor` names it to explain keys."""
    naming = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if "api.alpaca.markets" in path.read_text(encoding="utf-8").replace("paper-api.alpaca.markets", "")
        or '"api.{' in path.read_text(encoding="utf-8")
    ]

    assert naming == ["adapters/doctor_checks.py", "cli/live_mode.py"]


def settings_file(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def environ_of(key):
    return {"ALPACA_API_KEY": key, "ALPACA_SECRET_KEY": uuid.uuid4().hex}


def test_live_reaches_the_live_host_and_holds_the_account_against_its_end(tmp_path):
    """The whole way from files and flags."""
    loaded = load([settings_file(tmp_path, "[live]\nenabled = true\n")], environ={})

    reached = reach(loaded, ModeFlags(is_live=True, account_ends=ENDS.lower()), environ_of(LIVE_KEY))

    assert (reached.mode, reached.mark) == (Mode.LIVE, "LIVE")
    assert reached.access.params.trading_url == hosts_of(Mode.LIVE).trading_url
    assert reached.access.params.trading_stream_url == hosts_of(Mode.LIVE).trading_stream_url
    assert LIVE_KEY not in repr(reached)
    check_account(reached, f"1234{ENDS}")
    with pytest.raises(UsageError, match="another account"):
        check_account(reached, "123456789")


@pytest.mark.parametrize(
    ("overrides", "environ"),
    [(["live.enabled=true"], {}), ([], {"SCALPCLI__LIVE__ENABLED": "true"}), (["live.enabled=false"], {})],
)
def test_only_a_file_enables_live(tmp_path, overrides, environ):
    """A variable left in a shell, or a flag in a script's history, is not a decision written down."""
    text = "[live]\nenabled = false\n" if overrides != ["live.enabled=false"] else "[live]\nenabled = true\n"
    loaded = load([settings_file(tmp_path, text)], overrides, environ=environ)

    with pytest.raises(ConfigError, match=r"live\.enabled"):
        reach(loaded, ModeFlags(is_live=True, account_ends=ENDS), environ_of(LIVE_KEY))


def test_a_pipe_is_no_file(monkeypatch):
    """What is typed or piped leaves no trace to look up afterwards."""
    import io
    import sys

    stream = io.TextIOWrapper(io.BytesIO(b"[live]\nenabled = true\n"))
    monkeypatch.setattr(sys, "stdin", stream)
    loaded = load(["-"], environ={})

    with pytest.raises(ConfigError, match="not by a file on disk"):
        reach(loaded, ModeFlags(is_live=True, account_ends=ENDS), environ_of(LIVE_KEY))


def test_the_end_may_be_typed(tmp_path):
    """At a terminal; what is typed is held against the account like what is passed."""
    loaded = load([settings_file(tmp_path, "[live]\nenabled = true\n")], environ={})

    reached = reach(loaded, ModeFlags(is_live=True), environ_of(LIVE_KEY), lambda: f" {ENDS}\n")

    assert (reached.mode, reached.asked.account_ends) == (Mode.LIVE, ENDS)


FACTS = {"mode": "live", "rehearse": "", "enabled_in": "my.toml", "account_last4": ENDS}


def test_a_live_run_is_reopened_with_its_account():
    """The guard has no person to ask: the run's own words, live keys and the account's end open it again."""
    reached = reopen(FACTS, load(environ={}), environ_of(LIVE_KEY), ENDS)

    assert reached.access.params.trading_url == hosts_of(Mode.LIVE).trading_url


@pytest.mark.parametrize(
    ("facts", "key", "ends", "error"),
    [
        ({}, PAPER_KEY, ENDS, CredentialsError),
        ({}, LIVE_KEY, "", UsageError),
        ({"account_last4": "0000"}, LIVE_KEY, ENDS, UsageError),
        ({"account_last4": None}, LIVE_KEY, ENDS, UsageError),
        ({"enabled_in": ""}, LIVE_KEY, ENDS, ConfigError),
        ({"mode": "paper"}, LIVE_KEY, ENDS, CredentialsError),
        ({"mode": "LIVE!"}, LIVE_KEY, ENDS, DataError),
        ({"rehearse": "http://127.0.0.1:9"}, LIVE_KEY, ENDS, UsageError),
    ],
    ids=[
        "paper key",
        "no end",
        "another account",
        "unknown account",
        "not enabled",
        "paper run",
        "no mode",
        "rehearsal",
    ],
)
def test_a_run_that_was_not_live_is_not_reopened_as_live(facts, key, ends, error):
    """What stands in a file of an earlier run opens no lock that was closed then."""
    with pytest.raises(error):
        reopen({**FACTS, **facts}, load(environ={}), environ_of(key), ends)


def test_every_refusal_says_what_to_do():
    """Found, and what to write instead."""
    for closed in ({"key": PAPER_KEY}, {"is_enabled": False}, {"account_ends": ""}, {"is_shadow": True}):
        with pytest.raises(ScalpcliError) as refused:
            decide_mode(but(OPEN, **closed))
        assert refused.value.hint


@pytest.mark.parametrize("flags", [ModeFlags(rehearse=""), ModeFlags(is_shadow=True, rehearse=" ")])
def test_an_empty_address_of_a_rehearsal_is_refused(flags):
    """A rehearsal whose shell variable was not set must not become a day at the market."""
    with pytest.raises(UsageError, match="`--rehearse` is empty"):
        reach(load(environ={}), flags, environ_of(PAPER_KEY))
