"""No flags, environment and files lead to the host of real money without all four locks (issue 11, Done when 4)."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections import Counter
from pathlib import Path

import pytest
from alpaca_day import OPEN_NS, S, routes
from alpaca_server import serving
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scalpcli.cli.live_access import ModeFlags, check_account, reach, reopen
from scalpcli.cli.live_mode import Mode
from scalpcli.config import load
from scalpcli.errors import ScalpcliError

CASES, CASES_FULL = 1_000, 30_000
LIVE = "api.alpaca.markets"
PAPER = f"paper-{LIVE}"
ENDS = uuid.uuid4().hex[:3].upper() + "Z"
NUMBER = f"9876{ENDS}"
KEYS = {prefix: prefix + uuid.uuid4().hex[:18].upper() for prefix in ("AK", "PK", "CK", "ak", "A", "")}
HOSTS = (
    LIVE, LIVE.upper(), f"{LIVE}.", f"{LIVE}:443", f"x@{LIVE}", f"{PAPER}@{LIVE}", "api%2ealpaca.markets", "api。alpaca.markets",
    PAPER, f"{LIVE}@{PAPER}", "data.alpaca.markets", "stream.data.alpaca.markets", "127.0.0.1:9", "localhost", "broker.example", "",
)  # fmt: skip
URLS = st.one_of(
    st.builds(
        lambda scheme, host, path: f"{scheme}://{host}{path}",
        st.sampled_from(["https", "http", "wss", "ws", "HTTPS", ""]),
        st.sampled_from(HOSTS),
        st.sampled_from(["", "/", "/v2", "/v2/orders"]),
    ),
    st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\"'\\"), max_size=20),
)
URL_KEYS = (
    "alpaca.trading_url", "alpaca.trading_stream_url", "alpaca.data_url", "alpaca.stream_url", "alpaca.orats_url",
    "live.notify", "live.heartbeat_url",
)  # fmt: skip
TRUTHS = ("true", "false", '"true"', "1", '"yes"', "True", "[true]")
ENDINGS = (
    "LIVE", "PAPER", "SHADOW", "refused", "settings refused", "account refused", "reopened LIVE", "reopened PAPER", "not reopened",
)  # fmt: skip
seen: Counter[str] = Counter()


@st.composite
def assignments(draw):
    """Settings of one source, dotted key -> TOML."""
    found = {}
    if draw(st.booleans()):
        found["live.enabled"] = draw(st.sampled_from(TRUTHS))
    for key in draw(st.lists(st.sampled_from(URL_KEYS), max_size=2)):
        found[key] = f'"{draw(URLS)}"'
    if draw(st.integers(0, 4)) == 0:
        found["record.option_feed"] = draw(st.sampled_from(['"opra"', '"indicative"']))
    return found


ON = {"live.enabled": "true"}
FACTS = {"mode": "live", "rehearse": "", "enabled_in": "my.toml", "account_last4": ENDS}
SOUND = {
    "files": [ON], "overrides": {}, "environ": {}, "base_url": None, "key": "AK", "keys_in": "ALPACA", "shadow": False, "live": True,
    "ends": ENDS, "typed": None, "rehearse": None, "number": NUMBER, "facts": FACTS,
}  # fmt: skip
BEGINNINGS = (
    SOUND,
    {**SOUND, "live": False, "key": "PK", "facts": {**FACTS, "mode": "paper"}},
    {**SOUND, "live": False, "key": "PK", "shadow": True, "files": [], "ends": ""},
    {**SOUND, "live": False, "rehearse": "here", "ends": ""},
    {**SOUND, "ends": "", "typed": ENDS},
)
CHANGES = {
    "files": st.lists(assignments(), max_size=2),
    "overrides": assignments(),
    "environ": assignments(),
    "base_url": URLS,
    "key": st.sampled_from(list(KEYS)),
    "keys_in": st.sampled_from(["ALPACA", "APCA", "file"]),
    "shadow": st.booleans(),
    "live": st.booleans(),
    "ends": st.sampled_from(["", ENDS.lower(), NUMBER, ENDS[1:], "0000", "----", "١٢٣٤"]),
    "typed": st.sampled_from([None, ENDS, "", "0000", f"{ENDS}\n"]),
    "rehearse": st.one_of(st.just("here"), URLS),
    "number": st.sampled_from(["123456789", "", ENDS]),
    "facts": st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["live", "paper", "shadow", "LIVE", ""]),
            "rehearse": st.one_of(st.just(""), URLS),
            "enabled_in": st.sampled_from(["my.toml", "", None]),
            "account_last4": st.sampled_from([ENDS, "0000", "", None]),
        }
    ),
}


@st.composite
def cases(draw):
    """One call that would be let through, with up to four of its parts changed: locks, addresses, sources of settings."""
    case = dict(draw(st.sampled_from(BEGINNINGS)))
    for part in draw(st.lists(st.sampled_from(list(CHANGES)), max_size=4)):
        case[part] = draw(CHANGES[part])
    return case


def toml_of(assigned):
    sections: dict[str, list[str]] = {}
    for key, value in assigned.items():
        section, name = key.split(".")
        sections.setdefault(section, []).append(f"{name} = {value}")
    return "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in sections.items())


def environ_of(case, folder):
    key, secret = KEYS[case["key"]], uuid.uuid4().hex
    environ = {f"SCALPCLI__{name.replace('.', '__').upper()}": value for name, value in case["environ"].items()}
    if case["base_url"] is not None:
        environ["APCA_API_BASE_URL"] = case["base_url"]
    if case["keys_in"] == "file":
        path = folder / "secrets.toml"
        path.touch(mode=0o600)
        path.write_text(f'ALPACA_API_KEY = "{key}"\nALPACA_SECRET_KEY = "{secret}"\n', encoding="utf-8")
        return {**environ, "SCALPCLI_SECRETS_FILE": str(path)}
    names = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY") if case["keys_in"] == "APCA" else ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")  # fmt: skip
    return {**environ, names[0]: key, names[1]: secret}


def enabled_by_a_file(case):
    """Whether the last word on `live.enabled` is a file's, and it is true."""
    if "live.enabled" in case["overrides"] or "live.enabled" in case["environ"]:
        return False
    said = [file["live.enabled"] for file in case["files"] if "live.enabled" in file]
    return bool(said) and said[-1] == "true"


def all_locks(case):
    """The four locks, told without the product's help."""
    typed = case["ends"].strip() or (case["typed"] or "").strip()
    opened = {
        "keys": case["key"] == "AK",
        "file": enabled_by_a_file(case),
        "flag": case["live"] and not case["shadow"] and case["rehearse"] is None,
        "account": len(typed) == 4 and typed.isascii() and typed.isalnum(),
    }
    return all(opened.values())


def leads_to_money(reached):
    """Whether any address of a call could be the live host, as the most lenient reader of addresses takes it."""
    params, loaded = reached.access.params, reached.asked
    urls = (params.trading_url, params.trading_stream_url, params.data_url, params.stream_url, *loaded.others.values())
    return any(LIVE in url.lower().replace("。", ".").replace("%2e", ".").replace(PAPER, "") for url in urls)


def play(case, here):
    """Go the product's whole way; check it against the locks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = []
        for number, assigned in enumerate(case["files"]):
            path = folder / f"{number}.toml"
            path.write_text(toml_of(assigned), encoding="utf-8")
            files.append(str(path))
        environ = environ_of(case, folder)
        overrides = [f"{key}={value}" for key, value in case["overrides"].items()]
        rehearse = here if case["rehearse"] == "here" else case["rehearse"]
        flags = ModeFlags(case["shadow"], case["live"], case["ends"], rehearse)
        typed = case["typed"]
        seen["cases"] += 1
        try:
            loaded = load(files, overrides, environ=environ)
        except ScalpcliError:
            seen["settings refused"] += 1
            return
        reached = None
        with contextlib.suppress(ScalpcliError):
            reached = reach(loaded, flags, environ, None if typed is None else lambda: typed)
        check(case, reached)
        check_reopened(case, loaded, environ)


def check(case, reached):
    if reached is None:
        seen["refused"] += 1
        return
    assert (reached.mode is Mode.LIVE) <= all_locks(case)
    assert leads_to_money(reached) == (reached.mode is Mode.LIVE)
    seen[reached.mark] += 1
    try:
        check_account(reached, case["number"])
    except ScalpcliError:
        seen["account refused"] += 1
    else:
        assert reached.mode is not Mode.LIVE or case["number"].endswith(reached.asked.account_ends)


def check_reopened(case, loaded, environ):
    facts = case["facts"]
    reached = None
    with contextlib.suppress(ScalpcliError):
        reached = reopen(facts, loaded, environ, ENDS if case["typed"] else case["ends"])
    if reached is None:
        seen["not reopened"] += 1
        return
    seen[f"reopened {reached.mark}"] += 1
    was_live = facts["mode"] == "live" and facts["enabled_in"] == "my.toml" and facts["account_last4"] == ENDS
    assert (reached.mode is Mode.LIVE) <= (was_live and case["key"] == "AK" and reached.asked.account_ends == ENDS)
    assert leads_to_money(reached) == (reached.mode is Mode.LIVE)


@pytest.fixture(scope="module")
def here():
    """A local exchange that tells what it plays."""
    body = {"now_ns": OPEN_NS + 600 * S, "speed": 1.0, "session": "2026-11-20", "symbol": "TSLA"}
    with serving({**routes(), "/rehearsal": {**body, "stream_url": "ws://127.0.0.1:9"}}) as server:
        yield server.url


@pytest.fixture(autouse=True)
def no_secrets_file(monkeypatch, tmp_path):
    """The tester's own keys stay out of it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("ALPACA_", "APCA_"))]:
        monkeypatch.delenv(name)


def fuzz(here, examples):
    seen.clear()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples == CASES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases())
    def one(case):
        play(case, here)

    one()
    print(dict(seen))


def test_no_path_leads_to_real_money_without_all_four_locks(here):
    """And every kind of end was seen, so that it could have failed; the counts are printed."""
    fuzz(here, CASES)

    assert seen["cases"] >= CASES
    assert min(seen[end] for end in ENDINGS) >= 5


@pytest.mark.full
def test_no_path_leads_to_real_money_in_many_more_cases(here):
    """The same, longer."""
    fuzz(here, CASES_FULL)

    assert seen["LIVE"] >= 100
