"""Small sessions that do trade: a stock with bursts, a same-day chain that follows it, and every kind of dirt.

`make_day` is a pure function of its arguments. A day here lasts minutes, not hours, so that last entry,
flatten time, close and expiry fall into each one; contracts are priced as if they had the usual hours left.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalpcli.model import note, row
from scalpcli.model.instrument import Instrument, TickRule, round_to_tick
from scalpcli.model.note import Note
from scalpcli.model.session import Session, session_of
from tests.oracle.algoseek import empty_columns
from tests.oracle.chain import ALL_FOUR, fair_price
from tests.oracle.market import CENTRE_E4, Leg, Market, Tick

DATE = dt.date(2026, 11, 20)
SYMBOL = "TSLA"
S, MS = 1_000_000_000, 1_000_000
MINUTE_MS = 60_000
STRIKES = 7
STRIKE_STEP_E4 = 20_000
PRICING_S = 6 * 3600.0
HALF_SPREADS = (0.003,) * 8 + (0.008,) * 8 + (0.015,) * 3 + (0.04,)
"""Of the fair price; one in twenty quotes is wide."""
FEATURES = (
    "backfilled", "crossed", "gaps", "halts", "no_bid", "no_stock_quotes", "notes", "price_only", "silence", "thin",
    "worthless",
)  # fmt: skip
"""What a day may hold beside stock and chain; `worthless`: bids are gone from some time on, up to the close."""
THEMES = (
    ("gaps",), ("halts", "thin"), ("worthless",), ("crossed", "no_bid"), ("backfilled", "silence"), ("notes", "thin"),
    ("no_stock_quotes", "price_only"),
)  # fmt: skip
"""What stands in the foreground of a day, in turn."""


@dataclass(frozen=True)
class Day:
    """A generated day and what belongs to its tape."""

    columns: dict[str, Any]
    notes: tuple[Note, ...]
    session: Session
    instruments: tuple[Instrument, ...]

    def __repr__(self) -> str:
        return f"Day({len(self.columns['kind'])} rows, {len(self.notes)} notes)"


def chain() -> tuple[Instrument, ...]:
    """The underlying, then calls and puts of today around the centre; one without open interest, one on nickels."""
    listed = [Instrument(row.UNDERLYING_ID, SYMBOL)]
    lowest = int(CENTRE_E4) - STRIKE_STEP_E4 * (STRIKES // 2)
    for strike in range(lowest, lowest + STRIKES * STRIKE_STEP_E4, STRIKE_STEP_E4):
        for right in "CP":
            number = len(listed)
            name = f"{SYMBOL}{DATE:%y%m%d}{right}{strike // 10:08d}"
            rule = TickRule.NICKEL if number == 11 else TickRule.PENNY_PROGRAM
            interest = None if number == 6 else 200 if number == 9 else 900 + 10 * number
            listed.append(
                Instrument(number, name, DATE, strike, right, tick_rule=rule, open_interest=interest)
            )  # fmt: skip
    return tuple(listed)


INSTRUMENTS = chain()


@functools.lru_cache(maxsize=16)
def make_day(seed: int, *, minutes: int = 12, features: tuple[str, ...] = FEATURES) -> Day:
    """A day.

    Args:
        seed: Every random choice follows from it.
        minutes: From the open to the close.
        features: What is in it, out of `FEATURES`.
    """
    rng = np.random.default_rng(seed)
    wanted = frozenset(features)
    regular = session_of(DATE)
    session = Session(DATE, regular.open_ns, regular.open_ns + minutes * 60 * S, is_early_close=False)
    ticks = list(_ticks(Market(rng), minutes * MINUTE_MS - 1))
    rows = _stock_rows(rng, ticks, wanted)
    rows += _chain_rows(rng, ticks, wanted, minutes)
    _stamp(rng, rows, session.open_ns)
    if "notes" in wanted:
        rows += _notes(rng, session, minutes)
    if "silence" in wanted:
        rows = _with_silence(rng, rows, session, minutes)
    if "halts" in wanted:
        rows = _with_halts(rng, rows, session, minutes)
    if "gaps" in wanted:
        rows = _with_gaps(rng, rows, session, minutes)
    if "backfilled" in wanted:
        _delay_some(rng, rows)
    return finished(rows, session)


def finished(rows: list[dict[str, Any]], session: Session) -> Day:
    """Rows in any order as the columns and notes of a day."""
    rows = sorted(rows, key=lambda one: one["ts_recv_ns"])
    columns = empty_columns(len(rows))
    for name, column in columns.items():
        column[:] = [one.get(name, 0) for one in rows]
    cold = [one for one in rows if one["kind"] == row.COLD]
    notes = tuple(Note(seq, one["ts_recv_ns"], *one["note"]) for seq, one in enumerate(cold))
    return Day(columns, notes, session, INSTRUMENTS)


def with_head(day: Day, kind: str, body: dict[str, Any]) -> Day:
    """The day with one more cold row before all others."""
    head = finished([_cold(int(day.columns["ts_recv_ns"][0]), kind, body)], day.session)
    columns = {name: np.concatenate([head.columns[name], day.columns[name]]) for name in day.columns}
    later = tuple(dataclasses.replace(each, seq=each.seq + 1) for each in day.notes)
    return dataclasses.replace(day, columns=columns, notes=head.notes + later)


# --- the stock ---------------------------------------------------------------------------------------------


def _ticks(market: Market, until_ms: int) -> Iterator[Tick]:
    """Calm stretches and bursts; after a burst the price runs on, turns round or stays."""
    rng = market.rng
    while market.at_ms < until_ms:
        side = 1 if market.price < CENTRE_E4 else -1
        if rng.random() < 0.25:
            side = -side
        burst = side * market.uniform(0.0012, 0.0035)
        after = float(rng.choice([0.8, -2.0, 0.0, -0.7])) * burst
        legs = [
            Leg(market.uniform(8, 16), market.price * (1 - 0.0003 * side), 0.8),
            Leg(market.uniform(5, 9), market.price * (1 + burst), market.uniform(2.5, 5.0)),
            Leg(market.uniform(8, 35), market.price * (1 + burst + after), 1.2),
        ]
        for leg in legs:
            yield from (tick for tick in market.play(leg) if tick.at_ms < until_ms)
        if rng.random() < 0.1:
            market.silence(market.uniform(3, 12))


def _stock_rows(rng: np.random.Generator, ticks: list[Tick], wanted: frozenset[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for tick in ticks:
        if "no_stock_quotes" not in wanted and rng.random() < 0.7:
            bid, ask = tick.price - 100 * int(rng.integers(0, 3)), tick.price + 100 * int(rng.integers(1, 4))
            if "crossed" in wanted and rng.random() < 0.08:
                bid, ask = ((ask, bid), (bid, bid), (0, ask), (bid - 20_000, ask + 20_000))[int(rng.integers(4))]
            rows.append(
                {
                    "at_ms": tick.at_ms, "kind": row.STOCK_QUOTE, "price_e4": bid, "ask_e4": ask,
                    "size": 5 * (bid > 0), "ask_size": 5,
                }
            )  # fmt: skip
        if "price_only" in wanted and rng.random() < 0.05:
            rows.append({"at_ms": tick.at_ms, "kind": row.PRICE_ONLY, "price_e4": tick.price})
        flags = ALL_FOUR if rng.random() < 0.93 else int(rng.choice([row.VWAP | row.VOLUME, row.VOLUME, 0]))
        rows.append(
            {
                "at_ms": tick.at_ms, "kind": row.STOCK_TRADE, "price_e4": tick.price, "size": tick.size,
                "flags": flags, "exchange": 1,
            }
        )  # fmt: skip
    return rows


# --- the chain ---------------------------------------------------------------------------------------------


def _chain_rows(
    rng: np.random.Generator, ticks: list[Tick], wanted: frozenset[str], minutes: int
) -> list[dict[str, Any]]:
    """Quotes of one or two contracts at every tick, now and then a print or a sweep at the ask."""
    bidless = _bidless_spans(rng, wanted, minutes)
    rows: list[dict[str, Any]] = []
    last: dict[int, dict[str, Any]] = {}
    for tick in ticks:
        for contract in (INSTRUMENTS[1 + int(k)] for k in rng.integers(0, len(INSTRUMENTS) - 1, 2)):
            quote = _option_quote(rng, contract, tick, wanted)
            stood = last.get(contract.instrument_id)
            if "thin" in wanted and stood and min(stood["price_e4"], stood["ask_e4"]) > 0 and rng.random() < 0.5:
                # Another size at the prices that stood.
                quote |= {name: stood[name] for name in ("price_e4", "ask_e4")}
                quote |= {"size": max(1, quote["size"]), "ask_size": max(1, quote["ask_size"])}
            last[contract.instrument_id] = quote
            if any(start <= tick.at_ms < end for start, end in bidless[contract.instrument_id]):
                quote["price_e4"] = quote["size"] = 0
            rows.append(quote)
            if rng.random() < 0.03 and quote["ask_e4"]:
                count = int(rng.choice([1, 4]))
                rows += [
                    {
                        "at_ms": tick.at_ms + 1 + k, "kind": row.OPTION_TRADE, "instrument_id": contract.instrument_id,
                        "price_e4": quote["ask_e4"], "size": 40, "exchange": 1 + k, "flags": ALL_FOUR,
                    }
                    for k in range(count)
                ]  # fmt: skip
    return rows


def _option_quote(rng: np.random.Generator, contract: Instrument, tick: Tick, wanted: frozenset[str]) -> dict[str, Any]:
    fair = max(fair_price(contract, float(tick.price), PRICING_S - tick.at_ms / 1000), 50.0)
    half = max(40.0, fair * HALF_SPREADS[int(20 * rng.random())])
    bid = round_to_tick(contract.tick_rule, max(round(fair - half), 0), up=False)
    ask = round_to_tick(contract.tick_rule, round(fair + half), up=True)
    bid_size, ask_size = rng.integers(1, 9 if "thin" in wanted else 200, 2).tolist()
    if "crossed" in wanted and rng.random() < 0.12:
        bid, ask = ((ask, bid), (ask, bid), (ask, ask), (bid, 0), (0, ask))[int(rng.integers(5))]
    return {
        "at_ms": tick.at_ms, "kind": row.OPTION_QUOTE, "instrument_id": contract.instrument_id,
        "price_e4": bid, "ask_e4": ask, "size": bid_size * (bid > 0), "ask_size": ask_size * (ask > 0),
        "exchange": 1,
    }  # fmt: skip


def _bidless_spans(rng: np.random.Generator, wanted: frozenset[str], minutes: int) -> dict[int, list[tuple[int, int]]]:
    """Contract -> begin and end, in milliseconds since the open, of the times nobody bids for it."""
    spans: dict[int, list[tuple[int, int]]] = {each.instrument_id: [] for each in INSTRUMENTS}
    end_ms = minutes * MINUTE_MS
    if "no_bid" in wanted:
        for _ in range(2 * minutes):
            start = int(rng.integers(0, end_ms))
            spans[int(rng.integers(1, len(INSTRUMENTS)))].append((start, start + int(rng.integers(200, 30_000))))
    if "worthless" in wanted:
        start = int(rng.integers(end_ms // 3, end_ms))
        for of_contract in spans.values():
            of_contract.append((start, end_ms))
    return spans


# --- time and dirt -----------------------------------------------------------------------------------------


def _stamp(rng: np.random.Generator, rows: list[dict[str, Any]], open_ns: int) -> None:
    """Both clocks. Every fifth row arrives exactly on a 200 ms mark, so that bounds and ties are met."""
    delays = rng.integers(0, 30 * MS, len(rows)).tolist()
    on_mark = (rng.random(len(rows)) < 0.2).tolist()
    mark = 200 * MS
    for one, delay, is_on_mark in zip(rows, delays, on_mark, strict=True):
        event = open_ns + one.pop("at_ms") * MS
        received = event + delay
        one["ts_event_ns"] = event
        one["ts_recv_ns"] = -(-received // mark) * mark if is_on_mark else received


def _cold(t_ns: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"kind": row.COLD, "ts_recv_ns": t_ns, "ts_event_ns": t_ns, "note": (kind, body)}


def _moment(rng: np.random.Generator, session: Session, minutes: int) -> int:
    """Some time of the day; half of the time exactly on a 200 ms mark."""
    at_ms = int(rng.integers(1000, minutes * MINUTE_MS))
    return session.open_ns + (at_ms // 200 * 200 if rng.random() < 0.5 else at_ms) * MS


def _notes(rng: np.random.Generator, session: Session, minutes: int) -> list[dict[str, Any]]:
    """Levels at the head; greeks, open interest and an operator's commands where they happen."""
    high, low, close = (
        round(CENTRE_E4 * (1 + float(rng.uniform(*ends))) / 100) * 100
        for ends in ((0, 0.006), (-0.006, 0), (-0.003, 0.003))
    )
    levels = {"session": "2026-11-19", "high_e4": high, "low_e4": low, "close_e4": close}
    rows = [_cold(session.open_ns - 60 * S, note.PREVIOUS_LEVELS, levels)]
    for _ in range(minutes // 3):
        deltas = {
            each.symbol: {"delta": float(rng.uniform(0.2, 0.5)) * (1 if each.right == "C" else -1)}
            for each in INSTRUMENTS[1:]
            if rng.random() < 0.5
        }
        body = {"source": "test", "contracts": deltas}
        rows.append(_cold(_moment(rng, session, minutes), note.GREEKS, body))
    interest = {each.symbol: int(rng.integers(100, 3000)) for each in INSTRUMENTS[1:]}
    rows.append(
        _cold(_moment(rng, session, minutes), note.OPEN_INTEREST, {"date": "2026-11-20", "contracts": interest})
    )
    for command, after in (("flatten", None), ("stop", "arm"), ("kill", "arm")):
        if rng.random() < 0.4:
            t_ns = _moment(rng, session, minutes)
            rows.append(_cold(t_ns, note.OPERATOR, {"command": command}))
            if after:
                rows.append(_cold(t_ns + int(rng.integers(1, 60)) * S, note.OPERATOR, {"command": after}))
    return rows


def _with_silence(
    rng: np.random.Generator, rows: list[dict[str, Any]], session: Session, minutes: int
) -> list[dict[str, Any]]:
    """Stretches in which the stock, the whole chain or one contract says nothing."""
    stock, options = (row.STOCK_TRADE, row.STOCK_QUOTE, row.PRICE_ONLY), (row.OPTION_QUOTE,)
    for _ in range(minutes):
        begin = _moment(rng, session, minutes)
        end = begin + int(rng.integers(2, 14)) * S
        kinds = stock if rng.random() < 0.3 else options
        number = int(rng.integers(0, len(INSTRUMENTS))) if kinds is options else 0
        rows = [
            one
            for one in rows
            if not (
                begin <= one["ts_recv_ns"] < end
                and one["kind"] in kinds
                and (number in (0, one.get("instrument_id", 0)))
            )
        ]
    return rows


def _with_halts(
    rng: np.random.Generator, rows: list[dict[str, Any]], session: Session, minutes: int
) -> list[dict[str, Any]]:
    """Halts of the stock and of single contracts; quotes go on, trades of the stock do not."""
    contracts = rng.integers(1, len(INSTRUMENTS), 3 * minutes).tolist()
    for number in [*([row.UNDERLYING_ID] * (minutes // 3)), *contracts]:
        begin = _moment(rng, session, minutes)
        end = begin + int(rng.integers(1, 25)) * S
        if number == 0:
            rows = [one for one in rows if one["kind"] != row.STOCK_TRADE or not begin <= one["ts_recv_ns"] < end]
        for moment, flag in ((begin, row.HALT_BEGIN), (end, row.HALT_END)):
            rows.append(
                {
                    "kind": row.STATUS, "instrument_id": number, "ts_recv_ns": moment, "ts_event_ns": moment,
                    "flags": flag,
                }
            )  # fmt: skip
    return rows


CHANNEL_OF = {
    row.STOCK_TRADE: row.CHANNEL_STOCK_TRADES,
    row.STOCK_QUOTE: row.CHANNEL_STOCK_QUOTES,
    row.OPTION_TRADE: row.CHANNEL_OPTION_TRADES,
    row.OPTION_QUOTE: row.CHANNEL_OPTION_QUOTES,
    row.PRICE_ONLY: row.CHANNEL_PRICE_ONLY,
}


def _with_gaps(
    rng: np.random.Generator, rows: list[dict[str, Any]], session: Session, minutes: int
) -> list[dict[str, Any]]:
    """Gaps, known while open or only afterwards; what was lost is lost."""
    options = row.CHANNEL_OPTION_QUOTES
    for _ in range(int(rng.integers(2, 2 + minutes))):
        begin = _moment(rng, session, minutes)
        end = begin + int(rng.integers(100, 5000)) * MS
        mask = int(rng.choice([row.CHANNELS_ALL, options, options, row.CHANNEL_STOCK_TRADES, 3]))
        rows = [one for one in rows if not (CHANNEL_OF.get(one["kind"], 0) & mask and begin <= one["ts_recv_ns"] < end)]
        both = row.GAP_BEGIN | row.GAP_END
        if rng.random() < 0.4:
            rows.append(_gap(begin, end, mask, both))
            continue
        rows.append(_gap(begin, min(begin + int(rng.integers(0, 2000)) * MS, end), mask, row.GAP_BEGIN))
        rows.append(_gap(end, end, mask, row.GAP_END))
    return rows


def _gap(event_ns: int, received_ns: int, mask: int, flags: int) -> dict[str, Any]:
    return {"kind": row.GAP, "ts_event_ns": event_ns, "ts_recv_ns": received_ns, "size": mask, "flags": flags}


def _delay_some(rng: np.random.Generator, rows: list[dict[str, Any]]) -> None:
    """Two percent of all prints and quotes arrive late, marked as backfilled."""
    movable = (row.STOCK_TRADE, row.STOCK_QUOTE, row.OPTION_TRADE, row.OPTION_QUOTE)
    for one, dice in zip(rows, rng.random(len(rows)).tolist(), strict=True):
        if dice < 0.02 and one["kind"] in movable:
            one["ts_recv_ns"] += int(rng.integers(1, 60_000)) * MS
            one["flags"] = one.get("flags", 0) | row.BACKFILLED
