"""`report --reconcile broker` against a local exchange that truly filled the orders."""

from __future__ import annotations

import json

import pytest
import tape_samples
from exchange_rest_samples import CALL, ServedExchange, option_quote
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.errors import CheckFailed, DataError
from scalpcli.report.load import load
from scalpcli.report.reconcile import Difference, enforce_agreement, reconcile
from tests.report_builder import RunBuilder


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """Bought two calls at 2.05, sold one at 2.10; one is still held."""
    rows = [option_quote(60, 20_000, 20_500), option_quote(61, 21_000, 21_500), option_quote(62, 21_000, 21_500)]
    served = ServedExchange(
        tape_samples.write(tmp_path_factory.mktemp("tape"), rows), stream_url="ws://127.0.0.1:18081"
    )
    served.at_exchange(served.serve, 1)
    served.at_exchange(lambda: served.order(qty="2", limit_price="2.05"))
    served.at_exchange(served.serve, 2)
    served.at_exchange(lambda: served.order(qty="1", side="sell", limit_price="2.10"))
    yield served
    served.close()


def run_of(folder, day, *, sold_e4=21_000, sold=1):
    """A run that says: two bought at 2.05 in two parts, `sold` sold."""
    run = RunBuilder(folder)
    session = run.session(day)
    signal = session.signal(session.trigger())
    session.records[-1]["option_symbol"] = CALL
    for price_e4, quantity, leg in ((20_500, 1, "entry"), (20_500, 1, "entry"), (sold_e4, sold, "exit")):
        session.order(signal, leg)
        session.add("fill", signal=signal, leg=leg, quantity=quantity, price_e4=price_e4)
    session.is_flat = sold == 2
    return run.write()


def call(run, url, *words):
    arguments = ["report", str(run), "--reconcile", "broker", "--rehearse", url, *words]
    return CliRunner().invoke(app, arguments, env={"NO_COLOR": "1"}, prog_name="scalpcli")


@pytest.fixture
def day(exchange):
    return exchange.market.session.date.isoformat()


def test_equal_books_leave_with_0(exchange, day, tmp_path):
    """Two parts of one price are one fill of two; one contract is held on both sides."""
    done = call(run_of(tmp_path, day), exchange.url)

    assert done.exit_code == 0, done.stderr
    assert "the books agree" in done.stdout
    assert "compared: 2 prices of fills, 1 contracts held, no fees" in " ".join(done.stdout.split())


def test_another_price_leaves_with_5(exchange, day, tmp_path):
    """The journal says 2.09, the account 2.10: both are told."""
    done = call(run_of(tmp_path, day, sold_e4=20_900), exchange.url, "--json")

    assert done.exit_code == 5
    found = json.loads(done.stdout)["differences"]
    assert [(each["kind"], each["run"], each["account"]) for each in found] == [("fill", "1", "0"), ("fill", "0", "1")]
    assert "2 differences between run and account" in done.stderr


def test_what_is_still_held_must_agree(exchange, day, tmp_path):
    """The journal sold both; the account holds one."""
    done = call(run_of(tmp_path, day, sold=2), exchange.url, "--json")

    assert done.exit_code == 5
    assert {"kind": "position", "what": CALL, "run": "0", "account": "1"} in json.loads(done.stdout)["differences"]


def test_fees_are_compared_where_the_account_reports_them(tmp_path):
    """0.50 in the journal, 0.62 on the account."""
    run = RunBuilder(tmp_path)
    run.session().trade(10.0, fees_usd=0.5)
    results = load([run.write()])
    fee = {"activity_type": "FEE", "date": "2026-11-20", "net_amount": "-0.62", "id": "1"}

    found, compared = reconcile(results, [fee], [])

    assert Difference("fee", "2026-11-20", "0.50", "0.62") in found
    assert compared["fee_days"] == 1
    with pytest.raises(CheckFailed):
        enforce_agreement(found, "`run`")


@pytest.mark.parametrize(
    "entry",
    [
        {"activity_type": "FEE", "date": "2026-11-20", "net_amount": "much"},
        {"activity_type": "FEE", "date": "soon", "net_amount": "1"},
        {"activity_type": "FEE", "date": "2026-11-20"},
    ],
)
def test_entries_that_cannot_be_read_are_named(tmp_path, entry):
    """A broker's slip is an error of data, not a traceback."""
    run = RunBuilder(tmp_path)
    run.session()

    with pytest.raises(DataError):
        reconcile(load([run.write()]), [entry], [])
