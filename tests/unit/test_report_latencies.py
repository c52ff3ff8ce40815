"""Latencies of a run, measured from its journal."""

from __future__ import annotations

import json

import pytest

from scalpcli.errors import DataError
from scalpcli.report.latencies import Latencies, measure, write_latencies
from scalpcli.runtime.replay import read_latencies

MS = 1_000_000


def lines(*records):
    """Lines of a journal."""
    return [json.dumps({"ts_ns": at_ms * MS, "kind": kind, **more}).encode() for at_ms, kind, more in records]


def about(order_id, market_ms=None, **more):
    """Fields of a record about an order."""
    return {"order_id": order_id, **({} if market_ms is None else {"ts_market_ns": market_ms * MS}), **more}


def test_an_order_measures_the_way_there_and_back():
    """Its first answer counts; later fills waited for the market."""
    found = measure(
        lines((100, "order", about("a")), (180, "accepted", about("a", 150)), (400, "fill", about("a", 380)))
    )

    assert found.orders == [(50.0, 30.0)]


def test_a_fill_will_do_where_no_acceptance_came():
    """The stream told the fill first."""
    found = measure(lines((100, "order", about("a")), (180, "fill", about("a", 150))))

    assert found.orders == [(50.0, 30.0)]


def test_an_answer_without_a_time_measures_nothing():
    """The broker did not say when; the next answer may."""
    found = measure(lines((100, "order", about("a")), (150, "accepted", about("a", 0)), (180, "fill", about("a", 170))))

    assert found.orders == [(70.0, 10.0)]


def test_a_cancel_measures_both_ways_at_once():
    """Its end carries no time of the market."""
    found = measure(lines((100, "cancel", about("a")), (130, "cancelled", about("a"))))

    assert found.cancels == [30.0]


@pytest.mark.parametrize(("market_ms", "measured"), [(90, (0.0, 80.0)), (200, (80.0, 0.0))])
def test_clocks_that_differ_are_told(market_ms, measured):
    """The market's clock is behind or ahead of ours: both ways together stay what our clock measured."""
    found = measure(lines((100, "order", about("a")), (180, "accepted", about("a", market_ms))))

    assert found.orders == [measured]
    assert "1 by clocks that differ" in found.words


def test_what_is_written_is_what_a_replay_draws_from(tmp_path):
    """The file is one of `simulated_broker.latency_file`."""
    path = tmp_path / "latencies.csv"

    write_latencies(path, Latencies([(50.0, 30.0), (12.5, 0.25)]))

    assert read_latencies(str(path)).tolist() == [[50.0, 30.0], [12.5, 0.25]]


def test_a_run_without_orders_measures_nothing(tmp_path):
    """An empty file would replay nothing: it is refused instead."""
    with pytest.raises(DataError, match="no order"):
        write_latencies(tmp_path / "latencies.csv", Latencies())
