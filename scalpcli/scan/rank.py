"""The chain, ranked: what passes, in the engine's order, and what came nearest where nothing does.

Decides order, what is shown, and the nearest misses. The first contract of a right is the one `OptionSelector.select`
takes there; a test compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scalpcli.core.gates import Gates, Refused
from scalpcli.core.layout import CALL
from scalpcli.core.odds import moves_of, odds_of
from scalpcli.core.option_selection import GateVerdict
from scalpcli.errors import UsageError
from scalpcli.model.session import ns_to_new_york
from scalpcli.scan.expiries import Expiries
from scalpcli.scan.fields import COMPUTED_LATE, ROW_FIELDS, SCAN_SCHEMA_VERSION
from scalpcli.scan.moment import Moment
from scalpcli.scan.reasons import market_words
from scalpcli.scan.table import ExpiryTable, ExtraLimits, hold_minutes, known
from scalpcli.units import E4_PER_USD, NS_PER_MIN, NS_PER_S

RIGHTS: Final = ("call", "put", "both")
MISSES_SHOWN: Final = 5
_UNSORTABLE: Final = ("reasons", "flags")


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of an instant.

    Attributes:
        right: `call`, `put` or `both`.
        sort: A field, with `-` before it for falling values; empty = the engine's order.
        top: Contracts shown at most.
        show_all: Whether refused contracts are shown as well.
        explain: Whether every gate is told.
        max_spread_ticks: Limit beyond the engine's gates.
        min_open_interest: Likewise, asked besides today's volume.
    """

    right: str = "both"
    sort: str = ""
    top: int = 10
    show_all: bool = False
    explain: bool = False
    max_spread_ticks: float | None = None
    min_open_interest: int | None = None


@dataclass(slots=True)
class Scan:
    """What was found; `document` is what `--format json` prints."""

    moment: Moment
    head: dict[str, Any]
    rows: list[dict[str, Any]]
    misses: list[dict[str, Any]]
    tables: list[ExpiryTable] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Head, contracts and nearest misses, in the layout of `fields.scan_schema`."""
        return self.head | {"contracts": self.rows, "nearest_misses": self.misses}


@dataclass(frozen=True, slots=True)
class _Place:
    """One contract and its place in the engine's order."""

    table: ExpiryTable
    row: int
    passed: bool
    key: tuple[Any, ...]


def check_sort(sort: str) -> None:
    """Refuse a field that is none.

    Raises:
        UsageError: naming the fields.
    """
    name = sort.removeprefix("-")
    if name and (name not in ROW_FIELDS or name in _UNSORTABLE):
        import difflib  # noqa: PLC0415 - for the message only

        near = difflib.get_close_matches(name, ROW_FIELDS, 1)
        hint = f"did you mean `{near[0]}`?" if near else "`scan-options --schema` lists them"
        raise UsageError(f"`--sort {sort}`: no field is called `{name}`", hint=hint)


def scan(moment: Moment, query: Query, expiries: Expiries) -> Scan:
    """Rank the contracts of an instant.

    Args:
        moment: The instant, folded with `expiries.params`.
        query: What is asked.
        expiries: Which expiries are looked at.
    """
    outside = expiries.refused
    limits = ExtraLimits(
        query.max_spread_ticks,
        query.min_open_interest,
        None if outside is None else GateVerdict(outside.gate, outside.value, outside.limit or 0.0, passed=False),
    )
    tables = [ExpiryTable.of(moment, expiry, limits) for expiry in moment.selector.expiries]
    places = sorted(_places(tables, query.right), key=lambda place: place.key)
    passed = [place for place in places if place.passed]
    shown = _shown(places if query.show_all else passed, query)
    misses: list[_Place] = [] if passed or query.show_all else _nearest(places)
    head = _head(moment, expiries, tables, places)
    head["matching"] = len(passed)
    return Scan(moment, head, _told(shown, query), _told(misses, query), tables)


def _places(tables: Iterable[ExpiryTable], right: str) -> Iterable[_Place]:
    for number, table in enumerate(tables):
        spot_e4 = table.moment.view.spot_e4
        spot_e4 = 0.0 if math.isnan(spot_e4) else spot_e4
        for row in range(len(table.expiry.ids)):
            is_call = bool(table.expiry.is_call[row])
            if right == "both" or is_call == (right == "call"):
                passed = table.has_passed(row)
                distance, *rest = table.moment.selector.rank(table.judged, row)
                # An unknown delta stands behind all known ones, nearest the money first.
                unknown = math.isnan(distance)
                away = abs(float(table.expiry.strike[row]) - spot_e4)
                order = (unknown, away if unknown else distance, *(math.inf if x != x else x for x in rest))  # noqa: PLR0124
                yield _Place(table, row, passed, (not passed, number, *order))


def _shown(places: Sequence[_Place], query: Query) -> list[_Place]:
    if not query.sort:
        return list(places[: query.top])
    name, falling = query.sort.removeprefix("-"), query.sort.startswith("-")
    rows = _told(places, query) if name in COMPUTED_LATE else [place.table.row(place.row) for place in places]
    values = [row[name] for row in rows]
    found = [index for index, value in enumerate(values) if value is not None]
    absent = [index for index, value in enumerate(values) if value is None]
    found.sort(key=lambda index: values[index], reverse=falling)
    return [places[index] for index in (found + absent)[: query.top]]


def _nearest(places: Sequence[_Place]) -> list[_Place]:
    """The refused contracts that fewest gates keep out, nearest the target delta first."""
    refusals = {id(place): sum(not gate.passed for gate in place.table.gates(place.row)) for place in places}
    return sorted(places, key=lambda place: (refusals[id(place)], place.key))[:MISSES_SHOWN]


def _told(places: Sequence[_Place], query: Query) -> list[dict[str, Any]]:
    rows = [place.table.row(place.row, explain=query.explain) for place in places]
    plans = [place.table.plan(place.row) for place in places]
    odds = iter(odds_of([plan for plan in plans if plan is not None]))
    for row, plan in zip(rows, plans, strict=True):
        if plan is None:
            continue
        moves, chances = moves_of(plan), next(odds)
        row |= {
            "cost_move_pct": known(moves.cost_pct, 9),
            "target_move_pct": known(moves.target_pct, 9),
            "stop_move_pct": known(moves.stop_pct, 9),
            "target_move_late_pct": known(moves.target_late_pct, 9),
            "stop_move_late_pct": known(moves.stop_late_pct, 9),
            "target_first_pct": known(chances.target_first_pct, 6),
            "stop_first_pct": known(chances.stop_first_pct, 6),
            "neither_pct": known(chances.neither_pct, 6),
        }
    return rows


def market_gates(moment: Moment) -> list[Refused]:
    """Gates that keep any entry out at the instant: the first standing one and the first transient one.

    The session's own counts, pauses and losses are not known here, only what rows tell.
    """
    gates = Gates(moment.params, moment.feed.session, moment.blackouts, is_live=False)
    t_ns = moment.feed.t_ns
    found = [
        gates.standing(t_ns, "", CALL, moment.engine.tally, moment.view),
        gates.transient(t_ns, moment.view),
    ]
    return [refused for refused in found if refused is not None]


def _head(
    moment: Moment, expiries: Expiries, tables: Sequence[ExpiryTable], places: Sequence[_Place]
) -> dict[str, Any]:
    feed, view = moment.feed, moment.view
    # Where a quote stands, contracts are priced on it, however lively trades are.
    last_ns = view.underlying.ts_ns if view.underlying.is_valid else view.underlying_last_ns
    has_price = math.isfinite(view.spot_e4)
    market = market_gates(moment)
    notices = [*feed.notices, *expiries.notices]
    if not has_price:
        notices.append("the underlying has no price, so nothing can be priced")
    if moment.fees is None:
        notices.append(
            f"the fees of {feed.session.date} are not known: costs are the spread alone (see `--fees-as-of`)"
        )
    notices += [f"an entry now would be refused: {market_words(refused)}" for refused in market]
    return {
        "schema_version": SCAN_SCHEMA_VERSION,
        "symbol": feed.symbol,
        "session": str(feed.session.date),
        "at": ns_to_new_york(feed.t_ns),
        "at_ns": feed.t_ns,
        "source": feed.source,
        "synthetic": feed.synthetic,
        "spot": known(view.spot_e4 / E4_PER_USD, 6),
        "spot_age_s": round((feed.t_ns - last_ns) / NS_PER_S, 6) if has_price else None,
        "hold_minutes": round(hold_minutes(moment, tables[0].expiry), 4) if tables else 0.0,
        "notices": notices,
        "market": [
            {"gate": each.gate, "value": known(each.value), "limit": known(each.limit), "detail": each.detail}
            for each in market
        ],
        "expiries": [_expiry_head(table, places) for table in tables],
    }


def _expiry_head(table: ExpiryTable, places: Sequence[_Place]) -> dict[str, Any]:
    own = [place for place in places if place.table is table]
    left_ns = max(0, table.expiry.close_ns - table.moment.feed.t_ns)
    return {
        "expiry": str(table.expiry.date),
        "dte": table.expiry.dte,
        "minutes_left": round(left_ns / NS_PER_MIN, 4),
        "forward": known(table.judged.forward_e4 / E4_PER_USD, 6),
        "contracts": len(own),
        "passed": sum(place.passed for place in own),
    }
