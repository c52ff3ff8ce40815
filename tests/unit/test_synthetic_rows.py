"""Rows of the synthetic session: prices, conditions, quotes, sweeps and the silences on request."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest
from synthetic_market import OPTION_KINDS, STOCK_KINDS, S, day, hour

from scalpcli.model import row
from scalpcli.model.instrument import TickRule, round_to_tick
from scalpcli.runtime.synthetic_plan import PREMARKET_S, US_PER_S
from scalpcli.runtime.synthetic_pricing import fair_prices, normal_cdf, uncertainty
from scalpcli.runtime.synthetic_rows import EVENT_US, RECV_US, Feed, FeedShape, empty_columns

EVENTS = {"halt": True, "gap": True, "outage": True}


def test_option_prices_stand_on_the_tick_grid():
    """Pennies below three dollars, nickels above: bids, asks and prints."""
    rows = hour().kind(*OPTION_KINDS)

    prices = np.unique(np.concatenate([rows["price_e4"], rows["ask_e4"]])).tolist()

    off_grid = [price for price in prices if round_to_tick(TickRule.PENNY_PROGRAM, price, up=False) != price]
    assert off_grid == []
    assert max(prices) > 30_000 > min(prices)


def test_most_quotes_are_two_sided_and_few_are_crossed_or_locked():
    """About one of a thousand quotes is crossed or locked, in stock and options alike."""
    for kind in (row.STOCK_QUOTE, row.OPTION_QUOTE):
        rows = day().kind(kind)
        two_sided = (rows["price_e4"] > 0) & (rows["ask_e4"] > 0)

        wrong = np.mean(rows["price_e4"] >= rows["ask_e4"])

        assert np.mean(two_sided) > 0.97
        assert 0.0003 < wrong < 0.003


def test_an_absent_bid_has_no_size_and_no_exchange():
    """Far out of the money nobody bids near the close; the row says so with zeros."""
    rows = day().kind(row.OPTION_QUOTE)

    absent = rows["price_e4"] == 0

    assert absent.any()
    assert not rows["size"][absent].any()
    assert not rows["exchange"][absent].any()
    assert (rows["size"][~absent] > 0).all()
    assert (rows["ask_size"] > 0).all()


def test_stock_quotes_are_one_to_a_few_cents_wide():
    """Tight as TSLA is, wider only in a violent second."""
    rows = day().kind(row.STOCK_QUOTE)

    cents = (rows["ask_e4"] - rows["price_e4"]) / 100

    assert np.median(cents) <= 2
    assert cents.max() <= 6
    assert (rows["price_e4"] % 100 == 0).all()


def test_option_quotes_enclose_what_the_contract_is_worth_at_once():
    """No ask below intrinsic value and no call bid above the stock, but for rounding."""
    made = day()
    rows = made.kind(row.OPTION_QUOTE)
    chain = made.plan.chain
    which = rows["instrument_id"] - 1
    mid = made.plan.market.mid_at((rows["ts_event_ns"] - made.plan.frame.start_ns) // 1_000)

    intrinsic = np.maximum(np.where(chain.is_call[which], 1, -1) * (mid - chain.strike_e4[which]), 0)

    assert (rows["ask_e4"] >= intrinsic - 500).all()
    assert (rows["price_e4"] < mid).all()


def test_mids_of_calls_and_puts_agree_about_the_stock():
    """Parity holds within the spread: the engine takes its forward from it."""
    made = hour()
    rows = made.kind(row.OPTION_QUOTE)
    sane = (rows["price_e4"] > 0) & (rows["price_e4"] < rows["ask_e4"])
    mid, width = (rows["price_e4"] + rows["ask_e4"]) / 2, rows["ask_e4"] - rows["price_e4"]
    apart = []
    for strike in range(10):
        call, put = (
            np.flatnonzero(sane & (rows["instrument_id"] == 2 * strike + side) & (rows["ts_recv_ns"] > made.open_ns))
            for side in (1, 2)
        )
        near = np.clip(np.searchsorted(rows["ts_recv_ns"][put], rows["ts_recv_ns"][call]), 0, put.size - 1)
        together = np.abs(rows["ts_recv_ns"][put[near]] - rows["ts_recv_ns"][call]) < S // 50
        c, p = call[together], put[near][together]
        spot = made.plan.market.mid_at((rows["ts_event_ns"][c] - made.plan.frame.start_ns) // 1_000)
        implied = mid[c] - mid[p] + made.plan.chain.strike_e4[2 * strike]
        apart.extend(np.abs(implied - spot) / (width[c] + width[p]))

    assert len(apart) > 100
    assert np.quantile(apart, 0.95) < 1.0


@pytest.mark.parametrize("seed", range(4))
def test_both_sides_nearly_always_have_a_contract_of_the_wanted_delta(seed):
    """Twenty contracts suffice: 0.30 to 0.40 exists on either side, outside the last hour."""
    plan = hour(minutes=None, rows=1_000, seed=seed).plan
    chain, frame = plan.chain, plan.frame
    found = []
    for second in range(10, frame.session_s - 3_600, 120):
        us = np.full(chain.strike_e4.size, (PREMARKET_S + second) * US_PER_S)
        deviation = uncertainty(plan.spec.volatility, np.full(us.size, frame.session_s - second, dtype=np.float64))
        _, delta = fair_prices(plan.market.mid_at(us), chain.strike_e4, chain.is_call, deviation)
        wanted = (delta >= 0.30) & (delta <= 0.40)
        found.append([(wanted & side).any() for side in (chain.is_call, ~chain.is_call)])

    calls, puts = np.mean(found, axis=0)

    assert min(calls, puts) > 0.75


def test_spreads_mostly_pass_the_selection_and_widen_in_bursts():
    """Calm quotes near the money are within five percent of the mid; violent ones often are not."""
    made = day()
    rows = made.kind(row.OPTION_QUOTE)
    mid = (rows["price_e4"] + rows["ask_e4"]) / 2
    near = (mid > 5_000) & (mid < 50_000) & (rows["price_e4"] < rows["ask_e4"]) & (rows["price_e4"] > 0)
    stress = made.plan.market.stress_at((rows["ts_event_ns"] - made.plan.frame.start_ns) // 1_000)
    spread_pct = (rows["ask_e4"] - rows["price_e4"]) / np.maximum(mid, 1) * 100

    calm, violent = spread_pct[near & (stress < 0.1)], spread_pct[near & (stress > 0.8)]

    assert np.mean(calm <= 5.0) > 0.9
    assert np.median(violent) > 1.5 * np.median(calm)


def test_bids_flicker_and_come_back_within_300_ms():
    """A stop that believed one quote would sell for nothing; the tape holds such quotes."""
    made = hour()
    rows = made.kind(row.OPTION_QUOTE)
    came_back = []
    for contract in range(1, 21):
        mine = (rows["instrument_id"] == contract) & (rows["price_e4"] < rows["ask_e4"])
        bid, ts = rows["price_e4"][mine], rows["ts_event_ns"][mine]
        fell = np.flatnonzero((bid[1:] > 0) & (bid[1:] < 0.82 * bid[:-1]) & (bid[:-1] > 10_000)) + 1
        for index in fell:
            soon = (ts > ts[index]) & (ts <= ts[index] + 300_000_000)
            came_back.append((bid[soon] > 0.85 * bid[index - 1]).any())

    assert len(came_back) > 20
    assert np.mean(came_back) > 0.8


def test_sweeps_cross_exchanges_within_milliseconds():
    """At least 100 contracts of one symbol, at two prices, on three exchanges, 50 ms apart at most."""
    made = hour()
    prints = made.kind(row.OPTION_TRADE)
    iso = (prints["flags"] & row.ISO) > 0
    sweeps = 0
    for contract in np.unique(prints["instrument_id"]):
        mine = iso & (prints["instrument_id"] == contract)
        runs = np.split(np.flatnonzero(mine), np.flatnonzero(np.diff(prints["ts_event_ns"][mine]) > S // 20) + 1)
        for run in runs:
            enough = prints["size"][run].sum() >= 100
            sweeps += bool(enough and len(set(prints["exchange"][run])) >= 3 and len(set(prints["price_e4"][run])) >= 2)

    assert sweeps >= 5


def test_odd_lots_are_small_and_never_set_the_price():
    """`I` marks prints below 100 shares; they are two fifths of all, and not last-eligible."""
    made = day()
    trades = made.only(made.columns["kind"] == row.STOCK_TRADE)
    odd = np.isin(trades["conditions"], [code for code, text in enumerate(made.conditions) if text in ("@I", "@FI")])

    assert 0.3 < np.mean(odd) < 0.5
    assert (trades["size"][odd] < 100).all()
    assert not (trades["flags"][odd] & row.LAST).any()


def test_average_price_prints_stand_far_away_and_move_nothing_but_volume():
    """Whoever lets them set the high sees a price at which nobody traded."""
    made = day()
    far = made.only(made.codes("@W"))
    mid = made.plan.market.mid_at((far["ts_event_ns"] - made.plan.frame.start_ns) // 1_000)

    assert far["kind"].size > 5
    assert (np.abs(far["price_e4"] / mid - 1) > 0.003).all()
    assert (far["flags"] == row.VOLUME).all()


def test_a_code_no_table_knows_is_marked():
    """It counts as none of the four rights and shows in the tape's quality."""
    made = day()

    unknown = made.only(made.codes("@q"))

    assert unknown["kind"].size > 0
    assert (unknown["flags"] == row.UNKNOWN_CONDITION).all()


def test_prints_before_the_open_carry_their_conditions():
    """The tape starts at 09:25; nothing before the open may set a price, and options are silent."""
    made = day()
    early = made.only(made.columns["ts_event_ns"] < made.open_ns)
    trades = early["kind"] == row.STOCK_TRADE

    assert trades.any()
    assert not (early["flags"][trades] & (row.LAST | row.RANGE | row.VWAP)).any()
    assert not np.isin(early["kind"], OPTION_KINDS).any()


def test_late_prints_happened_seconds_before_they_arrived():
    """`Z` is sold out of sequence: an old event time, and no right to set the price."""
    made = day()
    regular = made.columns["ts_event_ns"] >= made.open_ns + 10 * S

    late = made.only(made.codes("@Z") & regular)

    assert late["kind"].size > 5
    assert (late["ts_recv_ns"] - late["ts_event_ns"] >= S).all()
    assert not (late["flags"] & row.LAST).any()


def test_numbers_of_stock_trades_rise_on_every_exchange():
    """Corrections and duplicate checks need numbers that are unique there."""
    rows = hour().kind(row.STOCK_TRADE)
    for exchange in np.unique(rows["exchange"]):
        numbers = rows["trade_id"][rows["exchange"] == exchange]

        assert (np.diff(numbers) == 1).all()


def test_no_message_is_like_another():
    """A recorder takes what comes twice, alike in all that crosses the wire, for a duplicate."""
    made = hour()
    for kind in (row.STOCK_TRADE, row.STOCK_QUOTE, row.OPTION_TRADE, row.OPTION_QUOTE):
        rows = made.kind(kind)
        seen = np.stack([rows["instrument_id"].astype(np.int64), rows["ts_event_ns"]])

        assert np.unique(seen, axis=1).shape == seen.shape


def test_option_trades_carry_no_number():
    """The option stream sends none, so a recording of the session could not hold it."""
    assert not hour().kind(row.OPTION_TRADE)["trade_id"].any()


def test_one_connection_never_delivers_out_of_order():
    """A packet that waits in the queue holds up those behind it, also over the end of a minute."""
    market = hour().plan.market
    feed = Feed(FeedShape(latency_ms=200.0), exchanges=1)
    received = []
    for block, first_us in enumerate((600_000_000, 600_010_000)):
        rows = empty_columns(50)
        rows[EVENT_US][:] = first_us + 400 * np.arange(50)
        feed.deliver(rows, market, np.random.default_rng(block))
        received.append(rows[RECV_US])

    joined = np.concatenate(received)

    assert (np.diff(joined) >= 0).all()
    assert (joined[:50] > 600_000_000 + 400 * np.arange(50)).all()


def test_messages_of_one_packet_share_a_receive_stamp():
    """What happens within 300 µs arrives at once; what happens later has a stamp of its own."""
    rows = empty_columns(4)
    rows[EVENT_US][:] = 600_000_000 + np.array([0, 100, 350, 900_000])

    Feed(FeedShape(latency_ms=3.0), exchanges=1).deliver(rows, hour().plan.market, np.random.default_rng(1))

    received = rows[RECV_US].tolist()
    assert received[0] == received[1] == received[2] < received[3]


def test_a_halt_silences_stock_and_options_between_two_status_rows():
    """A five-minute pause: status, nothing, status, and a re-opening auction first."""
    made = hour(minutes=None, rows=60_000, **EVENTS)
    begin, end = (
        made.only((made.columns["flags"] & flag) > 0)["ts_recv_ns"][0] for flag in (row.HALT_BEGIN, row.HALT_END)
    )
    market = np.isin(made.columns["kind"], (*STOCK_KINDS, *OPTION_KINDS))

    between = market & (made.columns["ts_recv_ns"] > begin) & (made.columns["ts_recv_ns"] < end)

    assert 299 <= (end - begin) / S <= 301
    assert not between.any()
    trades = made.only((made.columns["kind"] == row.STOCK_TRADE) & (made.columns["ts_recv_ns"] > end))
    assert made.conditions[trades["conditions"][0]] == "@5"


def test_gaps_silence_just_the_channels_they_name():
    """Begin and end rows or one row afterwards; what the gap does not name goes on."""
    made = hour(minutes=None, rows=60_000, **EVENTS)
    bit_of = {
        row.STOCK_TRADE: row.CHANNEL_STOCK_TRADES,
        row.STOCK_QUOTE: row.CHANNEL_STOCK_QUOTES,
        row.OPTION_TRADE: row.CHANNEL_OPTION_TRADES,
        row.OPTION_QUOTE: row.CHANNEL_OPTION_QUOTES,
    }
    told = [window for window in made.plan.blind if window.kind != "halt"]
    heard_others = 0
    for window in told:
        begin = made.plan.frame.start_ns + window.start_s * S + 400_000_000
        end = made.plan.frame.start_ns + window.end_s * S
        for kind, bit in bit_of.items():
            rows = made.kind(kind)
            inside = ((rows["ts_recv_ns"] >= begin) & (rows["ts_recv_ns"] < end)).any()

            assert not (inside and window.channels & bit)
            heard_others += bool(inside)

    assert [window.kind for window in told] == ["gap", "gap", "outage", "gap"]
    assert all(20 <= window.end_s - window.start_s <= 60 for window in told if window.kind == "gap")
    assert heard_others >= 2


def test_gap_rows_name_channels_and_the_moment_the_recorder_went_blind():
    """Every window has a begin and an end, in one row or in two, and a note of its cause before."""
    made = hour(minutes=None, rows=60_000, **EVENTS)
    gaps = made.kind(row.GAP)

    both = row.GAP_BEGIN | row.GAP_END

    flags = gaps["flags"].tolist()
    assert flags == [row.GAP_BEGIN, row.GAP_END, both, row.GAP_BEGIN, row.GAP_END, row.GAP_BEGIN, row.GAP_END]
    assert gaps["size"].tolist() == [12, 12, 3, 31, 31, 31, 31]
    begins = gaps["ts_event_ns"][(gaps["flags"] & row.GAP_BEGIN) > 0]
    windows = [window for window in made.plan.blind if window.kind != "halt"]
    assert begins.tolist() == [made.plan.frame.start_ns + window.start_s * S + 400_000_000 for window in windows]
    assert [kind for kind, _ in made.notes].count("gap_cause") == 4


def test_a_burst_follows_a_silence_within_its_quiet_time():
    """So that a tape with gaps holds refusals by gap and by halt."""
    plan = hour(minutes=None, rows=60_000, **EVENTS).plan

    waits = [min(b.start_s - w.end_s for b in plan.bursts if b.start_s >= w.end_s) for w in plan.blind]

    assert waits == [32] * len(plan.blind)
    for window in plan.blind:
        assert not any(window.start_s <= burst.start_s < window.end_s for burst in plan.bursts)


def test_a_day_without_an_expiry_gets_contracts_of_the_next():
    """TSLA lists Monday, Wednesday and Friday: a Tuesday's nearest contracts have one day left."""
    tuesday = hour(date=dt.date(2026, 11, 24), rows=2_000, next_expiry=4)

    expiries = [one.expiry for one in tuesday.plan.chain.instruments]

    assert expiries == [dt.date(2026, 11, 25)] * 20 + [dt.date(2026, 11, 27)] * 4


def test_strikes_stand_around_the_money_calls_and_puts_alike():
    """Ten strikes 2.50 apart about 400, each with both rights and most with open interest enough."""
    chain = hour().plan.chain

    strikes = sorted({one.strike_e4 for one in chain.instruments})

    assert np.diff(strikes).tolist() == [25_000] * 9
    assert strikes[0] < 4_000_000 < strikes[-1]
    assert chain.is_call.sum() == 10
    interest = np.array([one.open_interest for one in chain.instruments])
    assert interest.max() <= 20_000
    assert np.mean(interest >= 500) > 0.7


def test_later_contracts_are_dearer():
    """The next expiry has a session more to go."""
    chain = hour(next_expiry=10).plan.chain
    money = np.flatnonzero(chain.is_call & (chain.strike_e4 == 4_000_000))

    left = 3_600.0 + chain.later_s[money]
    price, _ = fair_prices(np.full(2, 4e6), chain.strike_e4[money], chain.is_call[money], uncertainty(0.55, left))

    assert chain.later_s[money].tolist() == [0.0, 23_400.0]
    assert price[1] > 2 * price[0]


def test_the_normal_table_is_exact_enough():
    """Against the error function, to 1e-7 over the whole range and 0 or 1 beyond."""
    x = np.linspace(-9.0, 9.0, 20_001)
    exact = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x])

    assert np.abs(normal_cdf(x) - exact).max() < 1e-7


def test_fair_prices_obey_parity_and_convexity():
    """No butterfly is worth less than nothing, calls fall and puts rise with the strike."""
    strikes = np.arange(350.0, 450.5, 2.5)
    forward, deviation = np.full_like(strikes, 401.3), np.full_like(strikes, 0.02)

    calls, delta = fair_prices(forward, strikes, np.ones(strikes.size, bool), deviation)
    puts, _ = fair_prices(forward, strikes, np.zeros(strikes.size, bool), deviation)

    assert calls - puts == pytest.approx(401.3 - strikes, abs=1e-9)
    assert (np.diff(calls) <= 0).all()
    assert (np.diff(calls, 2) > -1e-4).all()
    assert (np.diff(delta) <= 0).all()
