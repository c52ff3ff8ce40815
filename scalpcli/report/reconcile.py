"""A run's books against the account's: fills, fees and what is still held.

Decides what must agree. Fills are compared by day, contract, side and price, as sums of contracts: how a broker
splits one fill is its own affair. Fees are compared by day where the account reports any (a paper account never
does, and Alpaca books them the next day). Positions are compared for the contracts the run traded.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from scalpcli.errors import CheckFailed, DataError
from scalpcli.model.session import NEW_YORK
from scalpcli.report.events import events_of
from scalpcli.report.load import Results
from scalpcli.report.section import Head, table
from scalpcli.report.view import View
from scalpcli.units import E4_PER_USD

_FEES: Final = frozenset({"FEE", "CFEE"})

FillKey = tuple[str, str, str, int]
"""Day, contract, side, price in 1/10000 USD."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the books differ.

    Args:
        kind: `fill`, `fee` or `position`.
        what: Day, contract, side and price, as far as they apply.
        run: What the run says.
        account: What the account says.
    """

    kind: str
    what: str
    run: str
    account: str


def reconcile(
    results: Results, activities: Iterable[Mapping[str, Any]], positions: Iterable[Mapping[str, Any]]
) -> tuple[list[Difference], dict[str, int]]:
    """What differs, and how much was compared.

    Args:
        results: Runs of one account.
        activities: Entries of `/v2/account/activities` of these days.
        positions: Entries of `/v2/positions`.

    Raises:
        DataError: An entry lacks what is compared.
    """
    entries = list(activities)
    traded, fees_e4, held = _of_run(results)
    symbols = {key[1] for key in traded}
    booked = _booked(entries, symbols)
    differences = [
        Difference("fill", f"{key[0]} {key[1]} {key[2]} at {key[3] / E4_PER_USD:g}", str(traded[key]), str(booked[key]))
        for key in sorted(traded.keys() | booked.keys())
        if traded[key] != booked[key]
    ]
    charged = _charged(entries)
    if charged:
        differences += [
            Difference("fee", day, f"{fees_e4[day] / E4_PER_USD:.2f}", f"{charged[day] / E4_PER_USD:.2f}")
            for day in sorted(fees_e4.keys() | charged.keys())
            if fees_e4[day] != charged[day]
        ]
    now = Counter({str(each.get("symbol")): int(_number(each, "qty")) for each in positions})
    differences += [
        Difference("position", symbol, str(held[symbol]), str(now[symbol]))
        for symbol in sorted(symbols)
        if held[symbol] != now[symbol]
    ]
    return differences, {"fills": len(traded), "fee_days": len(charged), "contracts": len(symbols)}


def _of_run(results: Results) -> tuple[Counter[FillKey], Counter[str], Counter[str]]:
    """Fills, fees by day and contracts still held, by the journals."""
    traded: Counter[FillKey] = Counter()
    fees_e4: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for session, events in events_of(results):
        day = session.day.isoformat()
        fees_e4[day] += round((session.tally.fees_usd or 0.0) * E4_PER_USD)
        for life in events.lives.values():
            symbol = life.signal["option_symbol"]
            for fill in life.fills:
                side = "buy" if fill["leg"] == "entry" else "sell"
                traded[day, symbol, side, fill["price_e4"]] += fill["quantity"]
                held[symbol] += fill["quantity"] if side == "buy" else -fill["quantity"]
            if life.trade is not None:
                # What expired is held no more, though nobody sold it.
                sold = sum(fill["quantity"] for fill in life.leg("exit"))
                held[symbol] -= life.trade["quantity"] - sold
    return traded, fees_e4, held


def _booked(entries: Iterable[Mapping[str, Any]], symbols: set[str]) -> Counter[FillKey]:
    """The account's fills of these contracts."""
    booked: Counter[FillKey] = Counter()
    for entry in entries:
        if entry.get("activity_type") == "FILL" and entry.get("symbol") in symbols:
            price_e4 = round(_number(entry, "price") * E4_PER_USD)
            side = str(entry.get("side", "")).partition("_")[0]
            booked[_day(entry), str(entry["symbol"]), side, price_e4] += int(_number(entry, "qty"))
    return booked


def _charged(entries: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """The account's fees by day, 1/10000 USD."""
    charged: Counter[str] = Counter()
    for entry in entries:
        if entry.get("activity_type") in _FEES:
            charged[_day(entry)] += round(-_number(entry, "net_amount") * E4_PER_USD)
    return charged


def _number(entry: Mapping[str, Any], name: str) -> Decimal:
    try:
        number = Decimal(str(entry[name]))
    except (KeyError, InvalidOperation):
        number = Decimal("nan")
    if not number.is_finite():
        raise DataError(
            f"an entry of the account has no number `{name}`: {entry.get(name)!r:.40}",
            place=f"activity `{str(entry.get('id', entry.get('symbol', '')))[:60]}`",
        )
    return number


def _day(entry: Mapping[str, Any]) -> str:
    """New York day of an entry."""
    text = str(entry.get("transaction_time") or entry.get("date") or "")
    try:
        if "T" not in text:
            return dt.date.fromisoformat(text).isoformat()
        return dt.datetime.fromisoformat(text).astimezone(NEW_YORK).date().isoformat()
    except ValueError:
        raise DataError(f"`{text:.40}` of an entry of the account is no time") from None


def reconcile_view(differences: list[Difference], compared: Mapping[str, int]) -> View:
    """The answer to `--reconcile`."""
    rows = [{"kind": each.kind, "what": each.what, "run": each.run, "account": each.account} for each in differences]
    heads = (
        Head("kind", "kind", right=False),
        Head("what", "what", right=False),
        Head("run", "run"),
        Head("account", "account"),
    )
    fees = f"fees of {compared['fee_days']} days" if compared["fee_days"] else "no fees, since the account reports none"
    note = f"compared: {compared['fills']} prices of fills, {compared['contracts']} contracts held, {fees}"
    told = rows or [{"kind": "all", "what": "the books agree", "run": "", "account": ""}]
    return View("differences", [table("Reconciliation", heads, told, note)], rows, {"compared": dict(compared)})


def enforce_agreement(differences: list[Difference], place: str) -> None:
    """Refuse books that differ.

    Raises:
        CheckFailed: They do; the first ones are told.
    """
    if not differences:
        return
    lines = [f"  {each.kind} {each.what}: run {each.run}, account {each.account}" for each in differences[:5]]
    more = [f"  and {len(differences) - 5} more"] if len(differences) > 5 else []
    noun = "difference" if len(differences) == 1 else "differences"
    raise CheckFailed("\n".join([f"{len(differences)} {noun} between run and account", *lines, *more]), place=place)
