"""Requests against the local exchange: what was served comes back the same."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import polars as pl
import pytest

from scalpcli.cli import app
from scalpcli.exchange.connections import Keys
from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.plan import BASIC
from scalpcli.exchange.serving import ServingRules
from scalpcli.model.params import TapeParams
from scalpcli.model.row import OPTION_TRADE, STOCK_QUOTE, STOCK_TRADE
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec

DAY = "2026-11-20"
COMPARED = ("ts_event_ns", "kind", "price_e4", "ask_e4", "size", "ask_size", "flags", "trade_id")


@contextmanager
def exchanging(tape, **changes):
    """A local exchange in a thread of its own, all of its tape served at once; gives its address."""
    ready, found = threading.Event(), {}

    async def serve():
        rules = ServingRules(wait_for=0)
        async with LocalExchange(tape, speed=0, serving=rules, **changes) as exchange:
            over = asyncio.Event()
            found.update(url=exchange.rest_url, over=over, loop=asyncio.get_running_loop())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(20)
        yield found["url"]
    finally:
        found["loop"].call_soon_threadsafe(found["over"].set)
        thread.join(20)


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """A small invented session."""
    import datetime as dt

    spec = SyntheticSpec(date=dt.date.fromisoformat(DAY), rows=6_000, contracts=8, seed=11)
    return write_synthetic(tmp_path_factory.mktemp("served"), spec, params=TapeParams())


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Call a command as a shell does; gives exit code, stdout, stderr."""
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ORATS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SCALPCLI_SECRETS_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(*args):
        with pytest.raises(SystemExit) as left:
            app([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


def rows_of(tape, kind):
    frame = pl.read_parquet(tape / "rows.parquet").filter(pl.col("kind") == kind)
    return frame.select(COMPARED).sort(COMPARED)


def test_a_backfill_of_what_is_served_is_what_was_served(run, tape, tmp_path):
    """Stock prints, stock quotes and option prints row by row; and the audit finds both tapes complete."""
    with exchanging(tape) as url:
        code, _, err = run("record", "backfill", DAY, "--rehearse", url, "--out", tmp_path)
        assert code == 0, err
        audits = [
            run("record", "audit", one, "--rehearse", url, "--require", "100", "--json")
            for one in (tape, tmp_path / "TSLA" / DAY)
        ]

    for kind in (STOCK_TRADE, STOCK_QUOTE, OPTION_TRADE):
        served = rows_of(tape, kind)
        assert served.height > 0
        assert rows_of(tmp_path / "TSLA" / DAY, kind).equals(served)
    assert [(code, "0 missing (0 outside of gaps), 0 extra" in err) for code, _, err in audits] == [(0, True)] * 2


def test_doctor_finds_a_rehearsal_in_order(run, tape, tmp_path):
    """No keys, no account, and nothing fails."""
    with exchanging(tape) as url:
        code, out, err = run("doctor", "--rehearse", url, "--json", "-p", f"record.out={tmp_path}")

    assert code == 0, err
    assert {line["check"] for line in json.loads(out) if line["verdict"] == "warn"} <= {"tapes"}


def test_doctor_at_an_exchange_that_takes_only_its_own_keys(run, tape):
    """Exit code 3, as with Alpaca."""
    with exchanging(tape, keys=Keys(("one", "other"))) as url:
        code, out, _ = run("doctor", "--rehearse", url, "--json")

    assert code == 3
    assert json.loads(out)[0]["found"] == "Alpaca does not accept the keys"


def test_doctor_on_the_free_plan_names_what_it_lacks(run, tape):
    """Wrong plan: exit code 3, and what to take instead."""
    with exchanging(tape, plan=BASIC) as url:
        code, out, _ = run("doctor", "--rehearse", url, "--json")
        weaker = run("doctor", "--rehearse", url, "-p", "record.feed=iex", "-p", "record.option_feed=indicative")

    failing = {line["check"]: line for line in json.loads(out) if line["verdict"] == "fail"}
    assert code == 3
    assert failing
    assert all("--feed iex" in line["hint"] or "--option-feed indicative" in line["hint"] for line in failing.values())
    assert weaker[0] == 0, weaker[1]
