"""Sweeps by hand: values of definitions section 4."""

from __future__ import annotations

import numpy as np
import pytest
from hand_rows import CALL_SYMBOL, OPEN, OTHER_SYMBOL, after

from scalpcli import SweepSignal, VolumeAnalyzer
from scalpcli.core import layout, volume_analyzer
from scalpcli.core.volume import add_to_sweep
from scalpcli.errors import UsageError
from scalpcli.model.row import AUCTION, LATE, MULTI_LEG, VOLUME


def quoted(bid: float = 2.00, ask: float = 2.10, **arguments) -> VolumeAnalyzer:
    """An analyzer that knows a quote of one call at the open."""
    made = VolumeAnalyzer(**arguments)
    made.add_quote(CALL_SYMBOL, bid, ask, OPEN)
    return made


def trade(fed: VolumeAnalyzer, at_ms: int, contracts: int, price: float | None, **arguments) -> None:
    fed.add_trade(CALL_SYMBOL, contracts, after(at_ms / 1000), price, **arguments)


def test_a_sweep_buys_through_two_prices_at_once():
    """60 and 40 contracts at and above the ask, 40 ms apart; the signal carries what it saw."""
    fed = quoted()
    trade(fed, 1000, 60, 2.10, exchange="C")
    trade(fed, 1040, 40, 2.15, exchange="N")

    sweep = fed.detect_sweep()

    assert sweep == SweepSignal(CALL_SYMBOL, "buy", 100, 2.10, 2.15, 2, after(1.0), after(1.04))


def test_a_sweep_below_the_bid_sells():
    """The side is told by the quote."""
    fed = quoted()
    trade(fed, 1000, 60, 2.00)
    trade(fed, 1010, 60, 1.95)

    sweep = fed.detect_sweep()

    assert sweep is not None
    assert (sweep.side, sweep.contracts) == ("sell", 120)


def test_a_sweep_at_one_price_touches_three_exchanges():
    """Two exchanges are a large order, three are a sweep."""
    fed = quoted()
    found = []

    for at_ms, exchange in ((1000, "C"), (1010, "N"), (1020, "P")):
        trade(fed, at_ms, 50, 2.10, exchange=exchange)
        found.append(fed.detect_sweep())

    assert [sweep and sweep.exchanges for sweep in found] == [None, None, 3]


NO_SWEEP = {
    "too few contracts": [(1000, 60, 2.10, {}), (1040, 39, 2.15, {})],
    "a pause of more than 50 ms": [(1000, 60, 2.10, {}), (1051, 60, 2.15, {})],
    "between bid and ask": [(1000, 60, 2.10, {}), (1040, 60, 2.05, {})],
    "a sale in between": [(1000, 60, 2.10, {}), (1010, 5, 2.00, {}), (1040, 60, 2.15, {})],
    "one price on two exchanges": [(1000, 60, 2.10, {"exchange": "C"}), (1040, 60, 2.10, {"exchange": "N"})],
    "a multi-leg print": [(1000, 60, 2.10, {}), (1040, 60, 2.15, {"flags": VOLUME | MULTI_LEG})],
    "a late print": [(1000, 60, 2.10, {}), (1040, 60, 2.15, {"flags": VOLUME | LATE})],
    "an auction": [(1000, 60, 2.10, {}), (1040, 60, 2.15, {"flags": VOLUME | AUCTION})],
    "no price": [(1000, 60, 2.10, {}), (1040, 60, None, {})],
    "more than 500 ms in all": [(1000 + 50 * k, 9, 2.10 + 0.05 * (k == 11), {}) for k in range(12)],
}


@pytest.mark.parametrize("prints", NO_SWEEP.values(), ids=NO_SWEEP.keys())
def test_what_is_no_sweep(prints):
    """Each leaves one condition of a sweep unmet."""
    fed = quoted()
    for at_ms, contracts, price, more in prints:
        trade(fed, at_ms, contracts, price, **more)

    sweep = fed.detect_sweep()

    assert sweep is None


def test_a_print_without_a_price_belongs_to_no_run_and_breaks_none():
    """Its side cannot be told: it neither sells at nothing nor adds to what others buy."""
    fed = quoted()
    for at_ms, contracts, price in ((1000, 60, 2.10), (1010, 500, None), (1020, 60, 2.15)):
        trade(fed, at_ms, contracts, price)

    sweep = fed.detect_sweep()

    assert sweep is not None
    assert (sweep.side, sweep.contracts) == ("buy", 120)


def test_without_a_quote_no_side_can_be_told():
    """An absent bid and ask claim nothing."""
    fed = quoted(bid=0.0, ask=0.0)
    trade(fed, 1000, 60, 2.10)
    trade(fed, 1010, 60, 2.15)

    sweep = fed.detect_sweep()

    assert sweep is None


def test_a_run_is_judged_by_the_quote_before_its_first_print():
    """The quote that the run itself lifts does not turn its second print into a sale."""
    fed = quoted()
    trade(fed, 1000, 60, 2.10)
    fed.add_quote(CALL_SYMBOL, 2.30, 2.40, after(1.005))
    trade(fed, 1010, 60, 2.20)

    sweep = fed.detect_sweep()

    assert sweep is not None
    assert sweep.side == "buy"


def test_a_sweep_is_told_once_and_with_what_it_has_grown_to():
    """Three more prints of the run add to it until somebody asks, and raise no other."""
    fed = quoted()
    for number in range(5):
        trade(fed, 1000 + 10 * number, 60, 2.10 + 0.05 * number)

    sweeps = [fed.detect_sweep(), fed.detect_sweep()]
    trade(fed, 1050, 60, 2.40)
    sweeps.append(fed.detect_sweep())

    assert sweeps == [SweepSignal(CALL_SYMBOL, "buy", 300, 2.10, 2.30, 0, after(1.0), after(1.01)), None, None]


def test_a_sweep_that_is_too_small_waits_until_it_has_grown():
    """Raised at 120, told at 250 to whoever asks for so many."""
    fed = quoted()
    found = []

    for number, contracts in enumerate((60, 60, 130)):
        trade(fed, 1000 + 10 * number, contracts, 2.10 + 0.05 * number)
        found.append(fed.detect_sweep(250))

    assert [sweep and sweep.contracts for sweep in found] == [None, None, 250]


def test_sweeps_are_told_oldest_first():
    """Of two contracts, in the order in which they were raised."""
    fed = quoted()
    fed.add_quote(OTHER_SYMBOL, 1.00, 1.10, after(0.5))
    for at_ms, contract, price in ((1000, OTHER_SYMBOL, 1.10), (1010, OTHER_SYMBOL, 1.15), (1020, CALL_SYMBOL, 2.10)):
        fed.add_trade(contract, 60, after(at_ms / 1000), price)
    fed.add_trade(CALL_SYMBOL, 60, after(1.03), 2.15)

    sweeps = [fed.detect_sweep(), fed.detect_sweep()]

    assert [sweep and sweep.contract for sweep in sweeps] == [OTHER_SYMBOL, CALL_SYMBOL]


def test_sweeps_nobody_asks_for_are_dropped_and_counted(monkeypatch):
    """Of three with room for two, the oldest goes."""
    monkeypatch.setattr(volume_analyzer, "SWEEPS_KEPT_MAX", 2)
    fed = quoted()
    for number in range(3):
        trade(fed, 1000 * (number + 1), 60, 2.10)
        trade(fed, 1000 * (number + 1) + 10, 60 + number, 2.15)

    sweeps = [fed.detect_sweep(), fed.detect_sweep(), fed.detect_sweep()]

    assert [sweep and sweep.contracts for sweep in sweeps] == [121, 122, None]
    assert fed.sweeps_dropped == 1


def test_a_sweep_smaller_than_those_raised_cannot_be_asked_for():
    """Runs are raised from `min_sweep_contracts` on."""
    fed = quoted()

    with pytest.raises(UsageError) as refused:
        fed.detect_sweep(50)

    assert refused.value.found == "min_contracts is 50, below the size at which sweeps are raised: 100"
    assert refused.value.hint == "write VolumeAnalyzer(ScalpConfig(min_sweep_contracts=50))"


@pytest.mark.parametrize("exchange", [62, 63, 64, 126, 127])
def test_no_exchange_code_reaches_the_sign_bit(exchange):
    """Codes beyond 62 share a bit: the mask stays positive, so both kernels count it alike and end."""
    tracker, sweep, quote = (
        np.zeros(1, kind).view(np.recarray)[0] for kind in (layout.TRACKER, layout.SWEEP, layout.BOOK)
    )
    tracker.sweep_size_min, tracker.sweep_prices_min, tracker.sweep_exchanges_min = 1, 8, 1
    quote.bid_e4, quote.ask_e4 = 10_000, 10_100

    is_sweep = add_to_sweep(sweep, tracker, quote, 10_100, 5, exchange, 0)

    assert is_sweep
    assert sweep.exchanges > 0
