"""Plans an import and yields its rows in the tape's order, block by block.

Decides the order of steps: open every file, number the contracts, look through all rows once, then read them
again in stretches of time that fit in memory. Nothing is written here; the caller hands the blocks on.
Leaves layouts, reading, contracts, conditions, rows and snapshots to the modules named after them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.adapters.import_chain import ChainFolder, open_interest_rows
from scalpcli.adapters.import_codes import Codes, code_texts
from scalpcli.adapters.import_contracts import ContractRules, Contracts, classify, default_tick_rule
from scalpcli.adapters.import_interest import Interest, read_interest
from scalpcli.adapters.import_layout import Maps, Profile, Role
from scalpcli.adapters.import_read import Reading, SourceFile, open_source, read_rows
from scalpcli.adapters.import_rows import Notes, merge_rows, print_rows, quote_rows
from scalpcli.adapters.import_survey import (
    KEPT,
    BadRow,
    Day,
    Survey,
    days_found,
    reading,
    survey,
    unique_symbols,
    with_fate,
)
from scalpcli.errors import DataError, UsageError
from scalpcli.model.conditions import ConditionEncoding
from scalpcli.model.instrument import Instrument, TickRule, tick_e4
from scalpcli.model.row import COLD, OPTION_QUOTE, OPTION_TRADE, STOCK_QUOTE, STOCK_TRADE
from scalpcli.model.session import Session
from scalpcli.units import NS_PER_MIN, ms_to_ns

_BLOCK_ROWS: Final = 500_000
"""Rows read at a time, about; a stretch is never shorter than a minute."""
_BAD_SHOWN_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a user asks for; see `tape import --help`."""

    symbol: str
    session: Session
    files: Sequence[tuple[Role, Path]]
    profile: Profile
    maps: Maps = field(default_factory=dict)
    recv_delay_ms: float = 0.0
    quote_lot: int = 1
    conditions: Sequence[ConditionEncoding] = ()
    tick_rule: TickRule | None = None
    expiries_max_days: int | None = None
    strike_range_pct: float | None = None
    strict: bool = False
    block_rows: int = _BLOCK_ROWS


@dataclass(slots=True)
class _Part:
    """One file on its way."""

    source: SourceFile
    rows: pl.LazyFrame
    survey: Survey = field(default_factory=Survey)
    read: int = 0
    """Rows handed on by `blocks`."""


class ImportPlan:
    """An import that was looked through: what it will write, and the blocks themselves.

    Attributes:
        instruments: The contracts.
        codes: Texts of conditions and exchanges in the order of their codes.
        feeds: Where stock and option rows come from, in words.
        source: What was read and how; `counters` in it is complete when `blocks` is exhausted.
        bad_rows: The first refused rows of each file.
        bad_count: Refused rows in all.
        rows: Rows of the files that are kept.
    """

    def __init__(self, request: ImportRequest) -> None:
        self._request = request
        self._day = Day.of(request.session.date)
        _check_files(request)
        parts = [self._open(role, path) for role, path in request.files]
        _check_maps(request.maps, [part.source for part in parts])
        contracts, self._rules = self._classify(parts)
        for part in parts:
            part.rows = with_fate(part.source, part.rows, self._day, request.symbol, contracts)
            part.survey = survey(part.source, part.rows)
        self.bad_rows = _bad_rows(parts, strict=request.strict)
        self.bad_count = sum(part.survey.bad.total() for part in parts)
        self._check_anything(parts)
        for part in parts:
            part.rows = part.rows.filter(pl.col("fate") == KEPT)
        self._parts = parts
        self._symbols = [request.symbol, *(occ.compact for occ in contracts.parts)]
        self._interest = self._read_interest()
        self.instruments: list[Instrument] = contracts.instruments(self._rules, self._interest.before_open)
        prints = [part for part in parts if part.source.role in (Role.TRADES, Role.OPTION_TRADES)]
        self.codes: Codes = code_texts([(part.source, part.rows) for part in parts], request.conditions)
        self.rows = sum(part.survey.counts[KEPT] for part in parts if part.source.role is not Role.OPEN_INTEREST)
        self._counters = _count(parts)
        self._counters["unknown_condition_prints"] = self.codes.unknown_prints
        self.feeds = _feeds(parts, request.profile)
        self.source = self._describe(has_prints=bool(prints))

    def _open(self, role: Role, path: Path) -> _Part:
        request = self._request
        source = open_source(role, path, request.maps)
        how = Reading(request.profile, ms_to_ns(request.recv_delay_ms), request.quote_lot)
        return _Part(source, read_rows(source, how))

    def _classify(self, parts: Sequence[_Part]) -> tuple[Contracts, ContractRules]:
        request = self._request
        date = request.session.date
        rules = ContractRules(
            request.symbol,
            date,
            request.tick_rule or default_tick_rule(request.symbol, date),
            request.expiries_max_days,
            request.strike_range_pct,
            self._first_price(parts) if request.strike_range_pct is not None else None,
        )
        symbols: list[str] = []
        traded: list[str] = []
        for part in parts:
            if part.source.role.is_option:
                found = unique_symbols(part.source, part.rows, self._day)
                symbols += found
                traded += [] if part.source.role is Role.OPEN_INTEREST else found
        return classify(symbols, traded, rules), rules

    def _first_price(self, parts: Sequence[_Part]) -> int:
        """First price of the underlying from the open on, 1/10000 USD: what a strike range is measured from."""
        mid = (pl.col("bid_e4") + pl.col("ask_e4")) // 2
        underlying_mid = (pl.col("underlying_bid_e4") + pl.col("underlying_ask_e4")) // 2
        prices = {
            Role.TRADES: pl.col("price_e4"),
            Role.QUOTES: pl.when((pl.col("bid_e4") > 0) & (pl.col("ask_e4") > 0)).then(mid),
            Role.CHAIN: pl.coalesce(pl.col("spot_e4"), underlying_mid),
        }
        found: list[tuple[int, int]] = []
        for part in parts:
            price = prices.get(part.source.role)
            if price is None:
                continue
            priced = part.rows.select("ts_event_ns", "problem", price.alias("price"))
            open_ns, close_ns = self._request.session.open_ns, self._request.session.close_ns
            regular = pl.col("ts_event_ns").is_between(open_ns, close_ns)
            sound = regular & pl.col("problem").is_null() & (pl.col("price") > 0)
            with reading(part.source):
                first = priced.filter(sound).bottom_k(1, by="ts_event_ns").collect(engine="streaming")
            found += [(int(ts), int(value)) for ts, _, value in first.iter_rows()]
        if not found:
            raise UsageError(
                "`--strike-range-pct` needs a price of the underlying, and no file has one in the session",
                hint="hand in `--trades` or `--quotes`, or leave the flag out",
            )
        return min(found)[1]

    def _check_anything(self, parts: Sequence[_Part]) -> None:
        if any(part.survey.counts[KEPT] for part in parts if part.source.role is not Role.OPEN_INTEREST):
            return
        first = parts[0]
        held = days_found(first.source, first.rows)
        counts = sum((part.survey.counts for part in parts), Counter())
        raise DataError(
            f"no row of {self._request.symbol} on {self._day.date} is left to import "
            f"({', '.join(f'{reason} {count}' for reason, count in sorted(counts.items())) or 'the files are empty'})",
            place=f"`{first.source.name}`",
            hint=f"days in it: {held}; check `--date`, `--symbol` and the unit of time, like `--map ts=COLUMN:ms`",
        )

    def _read_interest(self) -> Interest:
        session = self._request.session
        files = [(part.source, part.rows) for part in self._parts if part.source.role is Role.OPEN_INTEREST]
        chains = [(part.source, part.rows) for part in self._parts if part.source.role is Role.CHAIN]
        return read_interest(files, chains, session)

    def blocks(self) -> Iterator[tuple[dict[str, NDArray[Any]], Notes]]:
        """Rows in the tape's order with the notes of their cold rows; the counters are complete at the end."""
        session = self._request.session
        interest = {number: contracts for number, (contracts, _) in self._interest.before_open.items()}
        folder = ChainFolder(
            self._symbols,
            interest,
            session=session.date,
            coder=self.codes.coder(None),
            source=", ".join(sorted({part.source.name for part in self._parts if part.source.role is Role.CHAIN})),
        )
        off_grid = 0
        for part in self._parts:
            part.read = 0
        for start_ns, end_ns in self._stretches():
            notes: Notes = []
            frames = self._read(start_ns, end_ns, folder, notes)
            if not frames:
                continue
            columns, numbers = merge_rows(frames)
            off_grid += _off_grid(columns, self._rules.tick_rule)
            yield columns, [notes[number] for number in numbers]
        _check_complete(self._parts)
        self._counters.update(folder.counters, option_prices_off_tick_grid=off_grid)
        counters: dict[str, int] = self.source["counters"]
        counters.update({name: count for name, count in sorted(self._counters.items()) if count})

    def _read(self, start_ns: int, end_ns: int, folder: ChainFolder, notes: Notes) -> list[tuple[int, pl.DataFrame]]:
        """Kind and rows of every file in `[start_ns, end_ns)`."""
        inside = pl.col("ts_recv_ns").is_between(start_ns, end_ns, closed="left")
        frames: list[tuple[int, pl.DataFrame]] = []
        snapshots: list[pl.DataFrame] = []
        for part in self._parts:
            role, rows = part.source.role, part.rows.filter(inside)
            coder = self.codes.coder(part.source.path)
            if role is Role.OPEN_INTEREST:
                continue
            with reading(part.source):
                if role is Role.CHAIN:
                    frame = rows.collect()
                    snapshots.append(frame)
                elif role in (Role.TRADES, Role.OPTION_TRADES):
                    frame = print_rows(rows, coder, is_option=role.is_option).collect()
                    frames.append((OPTION_TRADE if role.is_option else STOCK_TRADE, frame))
                else:
                    frame = quote_rows(rows, coder, is_option=role.is_option).collect()
                    frames.append((OPTION_QUOTE if role.is_option else STOCK_QUOTE, frame))
            part.read += frame.height
        if snapshots:
            frames += folder.fold(pl.concat(snapshots, how="diagonal"), notes)
        later = self._interest.later.filter(inside)
        if later.height:
            frames.append((COLD, open_interest_rows(later, self._symbols, notes)))
        return [(kind, frame) for kind, frame in frames if frame.height]

    def _stretches(self) -> list[tuple[int, int]]:
        """Whole minutes of receive time whose rows fit in memory together, in order."""
        per_minute: Counter[int] = Counter()
        for part in self._parts:
            if part.source.role is not Role.OPEN_INTEREST:
                per_minute.update(part.survey.per_minute)
        later = self._interest.later["ts_recv_ns"] // NS_PER_MIN
        per_minute.update(later.to_list())
        stretches: list[tuple[int, int]] = []
        held, start = 0, 0
        minutes = sorted(per_minute)
        for minute in minutes:
            if held and held + per_minute[minute] > self._request.block_rows:
                stretches.append((start, minute))
                held = 0
            if not held:
                start = minute
            held += per_minute[minute]
        stretches.append((start, minutes[-1] + 1))
        return [(first * NS_PER_MIN, last * NS_PER_MIN) for first, last in stretches]

    def _describe(self, *, has_prints: bool) -> dict[str, Any]:
        request = self._request
        told = [part.source.columns["ts_recv"].name for part in self._parts if part.source.has("ts_recv")]
        described: dict[str, Any] = {
            "importer": "tape import",
            "profile": str(request.profile),
            "files": [
                {"role": str(part.source.role), "name": part.source.name, "rows": part.survey.counts[KEPT]}
                for part in self._parts
            ],
            "recv_delay_ms": request.recv_delay_ms,
            "receive_time": f"column {told[0]}" if told else "event time plus recv_delay_ms",
            "tick_rule": str(self._rules.tick_rule),
            "quote_lot": request.quote_lot,
            "prices_rounded": self._counters["prices_rounded"],
            "counters": {},
        }
        if request.profile is Profile.BARS:
            described["event_time"] = "one nanosecond before the end of the bar"
            described["bars"] = "one row at the end of each; open, high and low are not kept"
        if has_prints:
            described["conditions"] = {name: str(encoding) for name, encoding in self.codes.encodings.items()}
        if request.expiries_max_days is not None:
            described["expiries_max_days"] = request.expiries_max_days
        if request.strike_range_pct is not None:
            described["strike_range_pct"] = request.strike_range_pct
        return described


def _check_files(request: ImportRequest) -> None:
    if not any(role is not Role.OPEN_INTEREST for role, _ in request.files):
        raise UsageError(
            "no file with rows was named",
            hint="hand in at least one of `--trades`, `--quotes`, `--option-trades`, `--option-quotes`, `--chain`",
        )


def _check_maps(maps: Maps, sources: Sequence[SourceFile]) -> None:
    """Refuse a `--map` that no file heeds: what it was meant to name would silently be read otherwise."""
    for (role, name), column in maps.items():
        heeded = any(source.columns.get(name) == column for source in sources if role in ("", source.role))
        if not heeded:
            key = f"{role}.{name}" if role else name
            files = ", ".join(source.name for source in sources if role in ("", source.role))
            raise UsageError(
                f"`--map {key}={column.name}` names a column that no file has"
                if files
                else f"`--map {key}` has no file",
                place=files and f"`{files}`",
                hint=f"hand in the file with {Role(role).flag}"
                if not files
                else "check its columns and the flag's spelling",
            )


def _check_complete(parts: Sequence[_Part]) -> None:
    """A file that changed meanwhile, or whose damage ended a read early without an error, must not make a tape."""
    for part in parts:
        kept = part.survey.counts[KEPT]
        if part.source.role is not Role.OPEN_INTEREST and part.read != kept:
            raise DataError(
                f"{part.read:,} rows could be read where {kept:,} were counted before",
                place=f"`{part.source.path}`",
                hint="the file changed meanwhile or is damaged; import it again",
            )


def _bad_rows(parts: Sequence[_Part], *, strict: bool) -> list[BadRow]:
    examples = [example for part in parts for example in part.survey.examples]
    if strict and examples:
        first = examples[0]
        total = sum(part.survey.bad.total() for part in parts)
        raise DataError(
            f"{total} bad rows, the first: {first}",
            place=f"`{first.file}`, row {first.row}",
            hint="mend the file, or leave `--strict` out to import the others and count these",
        )
    return examples[:_BAD_SHOWN_MAX]


def _count(parts: Sequence[_Part]) -> Counter[str]:
    counters: Counter[str] = Counter()
    for part in parts:
        counters.update({fate: count for fate, count in part.survey.counts.items() if fate != KEPT})
        counters.update(part.survey.rounded)
    return counters


def _feeds(parts: Sequence[_Part], profile: Profile) -> dict[str, str]:
    feeds: dict[str, str] = {}
    for part in parts:
        source = part.source
        if source.role is Role.OPEN_INTEREST:
            continue
        channel = "options" if source.role.is_option else "stock"
        feeds.setdefault(channel, f"imported {profile}")
        columns: Mapping[str, Any] = source.columns
        # One column for both sides: each row is the book of one exchange, not the best of all.
        if (
            source.role is Role.QUOTES
            and source.has("bid_exchange")
            and columns["bid_exchange"] == columns["ask_exchange"]
        ):
            feeds[channel] = f"imported {profile}, quotes of single exchanges (not NBBO)"
        if source.role is Role.CHAIN and (source.has("spot") or source.has("underlying_bid")):
            feeds.setdefault("stock", f"imported {profile}, price of the underlying in the chain")
    return feeds


def _off_grid(columns: Mapping[str, NDArray[Any]], rule: TickRule) -> int:
    """Prices of option quotes off the class's grid: many of them say that the tick rule is not the class's."""
    quotes = columns["kind"] == OPTION_QUOTE
    sides = np.concatenate([columns["price_e4"][quotes], columns["ask_e4"][quotes]])
    prices, counts = np.unique(sides, return_counts=True)
    pairs = zip(prices.tolist(), counts.tolist(), strict=True)
    return sum(count for price, count in pairs if price % tick_e4(rule, price))
