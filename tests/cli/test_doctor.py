"""`scalpcli doctor`: each line passes, warns or fails, and says what to do."""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
import uuid

import pytest
from alpaca_day import CALL, DAY, OPEN_NS, S, routes
from alpaca_server import serving

from scalpcli.adapters.alpaca_time import ns_to_iso
from scalpcli.adapters.doctor_checks import AlpacaDoctor, Verdict, clock_finding, orats_finding, updates_finding
from scalpcli.adapters.orats import Orats
from scalpcli.cli import app
from scalpcli.cli.doctor_local import disk_finding, tapes_finding
from scalpcli.errors import CredentialsError
from scalpcli.model.params import AlpacaParams, RecordParams, ScalpConfig
from scalpcli.model.session import is_session, ns_to_new_york, session_of

ACCOUNT = {"status": "ACTIVE", "equity": "100000", "options_trading_level": 2}
LATEST = {"trade": {"t": ns_to_iso(OPEN_NS), "p": 400.0}}
NOW_NS = OPEN_NS + 600 * S


def calendar(query):
    first, last = (dt.date.fromisoformat(query[name]) for name in ("start", "end"))
    days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
    return [
        {"date": day.isoformat(), "open": "09:30", "close": ns_to_new_york(session_of(day).close_ns)[:5]}
        for day in days
        if is_session(day)
    ]


def healthy(*, clock_off_s=0.0, **changes):
    """A server on which everything is as it should be; its clock runs on from where the rehearsal began."""
    answers = routes(now_s=600)
    started = []

    def rehearsal(query):
        started.append(time.monotonic())
        return answers["/rehearsal"](query)

    def clock(_query):
        return {"timestamp": ns_to_iso(NOW_NS + int((time.monotonic() - started[0] + clock_off_s) * S))}

    return {
        **answers,
        "/rehearsal": rehearsal,
        "/v2/account": ACCOUNT,
        "/v2/clock": clock,
        "/v2/calendar": calendar,
        "/v2/stocks/TSLA/trades/latest": LATEST,
        "/v1beta1/options/quotes/latest": {"quotes": {CALL: {"bp": 1.0, "ap": 1.1}}},
        **changes,
    }


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Call the command as a shell does, without any key; gives exit code, lines by check, stderr."""
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ORATS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SCALPCLI_SECRETS_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*args):
        with pytest.raises(SystemExit) as left:
            app(["doctor", "--json", "-p", "alpaca.tries_max=1", *(str(arg) for arg in args)])
        out, err = capsys.readouterr()
        return left.value.code or 0, {line["check"]: line for line in json.loads(out)} if out else {}, err

    return call


def look(run, answers, *args):
    with serving(answers) as server:
        return run("--rehearse", server.url, *args)


def test_everything_is_looked_at_and_nothing_fails(run):
    """Exit code 0; the only warning is that there is no tape yet."""
    code, lines, err = look(run, healthy())

    assert code == 0, err
    assert {name: line["verdict"] for name, line in lines.items()} == {
        **dict.fromkeys(
            [
                "keys",
                "account",
                "options level",
                "order updates",
                "equity",
                "clock",
                "calendar",
                "stock feed",
                "expiries",
                "option feed",
            ],
            "pass",
        ),
        "orats": "pass",
        "disk": "pass",
        "tapes": "warn",
    }
    assert lines["equity"]["found"] == "5 % of 100,000.00 USD is 5,000.00 USD: 10 contracts at 5.00"
    assert lines["expiries"]["found"] == "contracts expire today; 2 contracts in 0 days"


@pytest.mark.usefixtures("run")
def test_a_table_shows_verdict_and_what_to_do(capsys):
    """The way people see it; nothing to read is left out."""
    with serving(healthy()) as server, pytest.raises(SystemExit):
        app(["doctor", "--rehearse", server.url])

    out = capsys.readouterr().out
    assert "what to do" in out
    assert "record backfill" in out


@pytest.mark.parametrize(
    ("change", "check", "verdict", "words", "code"),
    [
        ({"/v2/account": (401, {"message": "unauthorized."})}, "keys", "fail", "does not accept the keys", 3),
        ({"/v2/account": (503, "")}, "keys", "fail", "no answer after one try", 4),
        ({"/v2/account": {**ACCOUNT, "trading_blocked": True}}, "account", "fail", "trading_blocked", 3),
        ({"/v2/account": {**ACCOUNT, "status": "SUBMITTED"}}, "account", "fail", "SUBMITTED", 3),
        ({"/v2/account": {**ACCOUNT, "options_trading_level": 1}}, "options level", "warn", "level 1", 0),
        ({"/v2/account": {"status": "ACTIVE", "equity": "5000"}}, "equity", "warn", "no contract above 2.50", 0),
        ({"clock_off_s": -1.0}, "clock", "warn", "ahead of", 0),
        ({"clock_off_s": 60.0}, "clock", "fail", "behind", 4),
        ({"/v2/clock": {}}, "clock", "fail", "a time cannot be read", 4),
        ({"/v2/calendar": lambda _query: []}, "calendar", "fail", "Alpaca closes at another time on 2026-11-20", 4),
        (
            {
                "/v2/stocks/TSLA/trades/latest": (
                    403,
                    {"message": "subscription does not permit querying recent SIP data"},
                )
            },
            "stock feed",
            "fail",
            "recent SIP",
            3,
        ),
        ({"/v2/stocks/TSLA/trades/latest": {}}, "stock feed", "warn", "no print of TSLA", 0),
        ({"/v2/stocks/TSLA/trades/latest": (404, {})}, "stock feed", "warn", "no print of TSLA", 0),
        ({"/v2/options/contracts": {"option_contracts": []}}, "expiries", "fail", "no contract of TSLA expires", 4),
        (
            {"/v1beta1/options/quotes/latest": (403, {"message": "OPRA agreement is not signed"})},
            "option feed",
            "fail",
            "OPRA agreement",
            3,
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_exit_code(run, change, check, verdict, words, code):
    """A warning leaves 0; keys and permissions leave 3; the rest 4."""
    left, lines, err = look(run, healthy(**change))

    assert left == code, err
    assert lines[check]["verdict"] == verdict
    assert words in lines[check]["found"]
    assert lines[check]["hint"]


def test_no_expiry_today_is_a_warning_where_another_one_is_wanted(run):
    """TSLA has days without an expiry of their own; `--dte 0,1` then means the next one."""
    later = {"symbol": "TSLA261121C00400000"}
    code, lines, _ = look(run, healthy(**{"/v2/options/contracts": {"option_contracts": [later]}}))

    assert code == 0
    assert lines["expiries"]["found"] == "nothing expires today; 1 contracts in 1 days"


def test_weaker_feeds_are_warned_of(run):
    """IEX is one exchange, and indicative quotes are not the NBBO."""
    code, lines, _ = look(run, healthy(), "-p", "record.feed=iex", "-p", "record.option_feed=indicative")

    assert code == 0
    assert (lines["stock feed"]["verdict"], lines["option feed"]["verdict"]) == ("warn", "warn")
    assert "not the NBBO" in lines["option feed"]["found"]


def test_missing_keys_do_not_hide_the_rest(run):
    """Disk and tapes are looked at all the same; exit code 3."""
    code, lines, err = run()

    assert code == 3
    assert lines["keys"]["found"] == "`ALPACA_API_KEY` and `ALPACA_SECRET_KEY` are not set"
    assert list(lines) == ["keys", "disk", "tapes"]
    assert "1 of 3 checks fail: keys" in err


def test_no_local_exchange(run):
    """Exit code 4, with what to start."""
    code, lines, _ = run("--rehearse", "http://127.0.0.1:1")

    assert code == 4
    assert "scalpcli exchange" in lines["local exchange"]["hint"]


def test_an_address_elsewhere_is_refused(run):
    """Keys of an account never go to a rehearsal on another machine."""
    code, lines, err = run("--rehearse", "http://example.com:18080")

    assert (code, lines) == (2, {})
    assert "not an address on this machine" in err


def test_no_key_is_printed_or_logged(run, monkeypatch, caplog):
    """Keys made for this run, repeated by a server that means ill."""
    caplog.set_level(logging.DEBUG)
    key, secret = uuid.uuid4().hex, uuid.uuid4().hex
    monkeypatch.setenv("ALPACA_API_KEY", key)
    monkeypatch.setenv("ALPACA_SECRET_KEY", secret)
    told = f"{key} {secret}"
    answers = healthy(
        **{
            "/v2/clock": {"timestamp": told},
            "/v2/calendar": (500, told),
            "/v2/stocks/TSLA/trades/latest": (403, {"message": told}),
            "/v2/options/contracts": (422, {"message": told}),
        }
    )
    with serving(answers) as server:
        code, lines, err = run("--rehearse", server.url, "-v")

    assert code == 3
    everything = json.dumps(lines) + err + caplog.text
    assert server.seen[1][3]["APCA-API-KEY-ID"] == key
    assert key not in everything
    assert secret[:7] not in everything


@pytest.mark.parametrize(
    ("key", "host", "hint"),
    [
        ("PK1", "https://api.alpaca.markets", "paper account"),
        ("AK1", "https://paper-api.alpaca.markets", "live account"),
    ],
)
def test_a_key_of_the_other_account_is_recognised(key, host, hint):
    """Paper keys begin with PK, live ones with AK; Alpaca answers both with the same 401."""

    class Refusing:
        def account(self):
            raise doctor_error

    doctor_error = CredentialsError("Alpaca does not accept the keys")
    doctor = AlpacaDoctor(
        Refusing(), "TSLA", RecordParams(), ScalpConfig(), DAY, lambda: 0, key, AlpacaParams(trading_url=host)
    )

    findings = list(doctor.findings())
    assert [one.verdict for one in findings] == [Verdict.FAIL, Verdict.SKIP]
    assert hint in findings[0].hint


def test_orders_and_their_updates_belong_to_one_account():
    """Paper orders with live updates would fill unseen."""
    mixed = AlpacaParams(trading_url="https://api.alpaca.markets")

    assert updates_finding(AlpacaParams()).verdict is Verdict.PASS
    assert updates_finding(mixed).verdict is Verdict.FAIL
    assert "orders would go to api.alpaca.markets" in updates_finding(mixed).found


def test_a_clock_is_judged_by_its_distance():
    """A quarter of a second passes; two seconds are the limit of a warning."""
    assert [clock_finding(offset, 20).verdict for offset in (0, -250, 251, -2000, 2001)] == [
        Verdict.PASS, Verdict.PASS, Verdict.WARN, Verdict.WARN, Verdict.FAIL
    ]  # fmt: skip


def test_orats_never_fails():
    """Without it greeks are computed."""
    import httpx

    refusing = Orats("https://orats", uuid.uuid4().hex, transport=httpx.MockTransport(lambda _: httpx.Response(401)))

    assert orats_finding(None, "TSLA", DAY).verdict is Verdict.PASS
    assert orats_finding(refusing, "TSLA", DAY).verdict is Verdict.WARN


def test_room_is_counted_in_sessions(tmp_path):
    """Twice the size of the tapes that are there; a folder that does not exist yet is judged by its parent."""
    tape = tmp_path / "TSLA" / "2026-11-19"
    tape.mkdir(parents=True)
    (tape / "rows.parquet").write_bytes(b"x" * 1000)

    assert disk_finding(tmp_path / "new" / "folder", [tape], 0.0).verdict is Verdict.PASS
    assert disk_finding(tmp_path, [], 10**9).verdict is Verdict.FAIL


def test_a_recording_left_behind_is_to_be_repaired(tmp_path):
    """Of an earlier day; today's may be running."""
    (tmp_path / ".2026-11-19.recording").mkdir()
    (tmp_path / ".2026-11-20.recording").mkdir()

    finding = tapes_finding(tmp_path, [], DAY)
    assert finding.verdict is Verdict.FAIL
    assert finding.found == "the recording of 2026-11-19 was never sealed"
    assert "record repair" in finding.hint
    assert tapes_finding(tmp_path, [], dt.date(2026, 11, 19)).verdict is Verdict.WARN


def test_a_damaged_tape_is_named(tmp_path):
    """A folder without a manifest is no tape."""
    (tmp_path / "2026-11-19").mkdir()

    finding = tapes_finding(tmp_path, [tmp_path / "2026-11-19"], DAY)
    assert finding.verdict is Verdict.FAIL
    assert "tape verify" in finding.hint
