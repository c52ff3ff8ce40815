"""The live chain from Alpaca, as rows: contracts, last quotes, volumes, greeks.

Decides what an answer's parts become. A quote is stamped with the time the exchange gave it, since that is how long
it has stood; what has no quote or no greeks has none here. Gaps and halts are not told by these requests. Calls
block.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.alpaca_time import iso_to_ns
from scalpcli.adapters.contracts import fetch_contracts, numbered
from scalpcli.adapters.orats import Orats
from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GREEKS, Note
from scalpcli.model.row import COLD, COLUMNS, LAST, OPTION_QUOTE, OPTION_TRADE, PRICE_ONLY, UNDERLYING_ID, VOLUME
from scalpcli.model.session import Session, is_session, next_session, ns_to_new_york_date, session_of
from scalpcli.units import usd_to_e4

LOOK_AHEAD_DAYS: Final = 14
"""Days of expiries asked for: enough to name the next one over a week of holidays."""
SOURCE: Final = "alpaca"
_GREEKS: Final = ("delta", "gamma", "theta", "vega")
_INT32_MAX: Final = 2**31 - 1
Page = Mapping[str, Any]
_Row = dict[str, int]


@dataclass(frozen=True, slots=True)
class LiveChain:
    """One poll.

    Attributes:
        symbol: The underlying.
        session: Today's session, or the next one where there is none today or it is over.
        t_ns: When it was asked, at the market.
        instruments: By `instrument_id`, the underlying first.
        columns: Every column of `model/row.py`, in the order of time.
        notes: Greeks, for its cold rows.
        source: For people.
        notices: What is missing, in words.
    """

    symbol: str
    session: Session
    t_ns: int
    instruments: tuple[Instrument, ...]
    columns: Mapping[str, NDArray[Any]]
    notes: tuple[Note, ...]
    source: str
    notices: tuple[str, ...]


class ChainPoller:
    """Asks for the chain of one underlying, again and again.

    Args:
        rest: Where to ask.
        symbol: The underlying.
        feed: Stock feed, `sip` or `iex`.
        option_feed: `opra` or `indicative`.
        now_ns: Time at the market.
        orats: Where a token is set: its greeks go before Alpaca's.
        host: Who answers, for people.
    """

    def __init__(
        self,
        rest: AlpacaRest,
        symbol: str,
        *,
        feed: str,
        option_feed: str,
        now_ns: Callable[[], int],
        orats: Orats | None = None,
        host: str = "Alpaca",
    ) -> None:
        self.symbol = symbol
        self.polls = 0
        self._rest = rest
        self._feed = feed
        self._option_feed = option_feed
        self._now_ns = now_ns
        self._orats = orats
        self._host = host
        self._contracts: tuple[dt.date, list[Instrument]] | None = None

    def session(self) -> Session:
        """Today's session; the next one where the exchange is closed today, or closed already."""
        now_ns = self._now_ns()
        today = ns_to_new_york_date(now_ns)
        is_ahead = is_session(today) and now_ns < session_of(today).close_ns
        return session_of(today) if is_ahead else next_session(today)

    def contracts(self) -> list[Instrument]:
        """The contracts of the next two weeks, numbered from 1; asked for once a day.

        Raises:
            ScalpcliError: as `AlpacaRest.contracts`.
        """
        date = self.session().date
        if self._contracts is None or self._contracts[0] != date:
            found = fetch_contracts(self._rest, self.symbol, date, LOOK_AHEAD_DAYS)
            self._contracts = (date, numbered(found))
        return self._contracts[1]

    def poll(self, expiries: Sequence[dt.date]) -> LiveChain:
        """The chain of some expiries as it stands now.

        Raises:
            CredentialsError: keys or permission are missing.
            UpstreamUnavailable: Alpaca gives no answer.
        """
        contracts = self.contracts()
        snapshots: dict[str, Page] = {}
        for expiry in expiries:
            snapshots |= self._rest.chain(self.symbol, self._option_feed, expiry)
        trade = self._last_trade() if expiries else {}
        told = self._orats_greeks(expiries)
        self.polls += 1
        t_ns = self._now_ns()
        session = self.session()
        counts: Counter[str] = Counter()
        rows = _price_row(trade, t_ns)
        greeks: dict[str, dict[str, float]] = {}
        wanted = [each for each in contracts if each.expiry in expiries]
        for contract in wanted:
            snapshot = snapshots.get(contract.symbol)
            if snapshot is None:
                counts["without a snapshot"] += 1
                continue
            rows += _contract_rows(contract, snapshot, session.date, t_ns, counts)
            found = _greeks(snapshot)
            if found:
                greeks[contract.symbol] = found
        bodies = [{"source": SOURCE, "contracts": greeks}] if greeks else []
        notices = [f"{count} of {len(wanted)} contracts are {what}" for what, count in sorted(counts.items())]
        if not rows or rows[0]["kind"] != PRICE_ONLY:
            notices.append(f"{self._host} tells no price of {self.symbol}")
        if self._option_feed != "opra":
            notices.append(f"quotes of the {self._option_feed} feed are modified by the vendor, not the NBBO")
        if self._orats is not None and self._orats.fault:
            notices.append(f"no greeks of ORATS: {self._orats.fault}")
        bodies += told
        notes = tuple(Note(seq, t_ns, GREEKS, body) for seq, body in enumerate(bodies))
        rows.sort(key=lambda row: row["ts_recv_ns"])
        rows += [{"ts_recv_ns": t_ns, "ts_event_ns": t_ns, "kind": COLD} for _ in notes]
        instruments = (Instrument(UNDERLYING_ID, self.symbol), *contracts)
        source = f"{self._host}, {self._feed} and {self._option_feed}"
        return LiveChain(self.symbol, session, t_ns, instruments, _columns(rows), notes, source, tuple(notices))

    def _last_trade(self) -> Page:
        try:
            return self._rest.latest_trade(self.symbol, self._feed)
        except DataError:
            # Its contracts are listed, so the symbol is right: nothing has been printed yet.
            return {}

    def _orats_greeks(self, expiries: Sequence[dt.date]) -> list[dict[str, Any]]:
        if self._orats is None:
            return []
        bodies = (self._orats.greeks(self.symbol, expiry) for expiry in expiries)
        return [body for body in bodies if body is not None]


def _price_row(trade: Page, t_ns: int) -> list[_Row]:
    """The last price of the underlying; nothing where Alpaca tells none that can be read."""
    try:
        price_e4, event_ns = usd_to_e4(float(trade["p"])), iso_to_ns(trade["t"])
    except (DataError, KeyError, TypeError, ValueError, OverflowError):
        return []
    if price_e4 <= 0:
        return []
    row = {"kind": PRICE_ONLY, "instrument_id": UNDERLYING_ID, "price_e4": price_e4}
    return [row | _stamps(event_ns, t_ns)]


def _stamps(event_ns: int, t_ns: int) -> _Row:
    # A clock ahead of ours must not put a row behind the instant.
    return {"ts_recv_ns": min(event_ns, t_ns), "ts_event_ns": event_ns}


def _contract_rows(contract: Instrument, snapshot: Page, today: dt.date, t_ns: int, counts: Counter[str]) -> list[_Row]:
    rows: list[_Row] = []
    quote = snapshot.get("latestQuote")
    try:
        if quote:
            rows.append(
                {
                    "kind": OPTION_QUOTE,
                    "instrument_id": contract.instrument_id,
                    "price_e4": _price_e4(quote.get("bp")),
                    "ask_e4": _price_e4(quote.get("ap")),
                    "size": _size(quote.get("bs")),
                    "ask_size": _size(quote.get("as")),
                    **_stamps(iso_to_ns(quote["t"]), t_ns),
                }
            )
        else:
            counts["without a quote"] += 1
    except (AttributeError, DataError, KeyError, TypeError, ValueError, OverflowError):
        counts["with a quote that cannot be read"] += 1
    rows += _volume_row(contract, snapshot, today, t_ns)
    return rows


def _volume_row(contract: Instrument, snapshot: Page, today: dt.date, t_ns: int) -> list[_Row]:
    """Today's volume as one print that moves nothing else."""
    try:
        bar, trade = snapshot["dailyBar"], snapshot["latestTrade"]
        stamp_ns = iso_to_ns(trade["t"])
        volume = _size(bar.get("v"))
        if ns_to_new_york_date(iso_to_ns(bar["t"])) != today or volume <= 0:
            return []
        price_e4 = _price_e4(trade.get("p"))
    except (AttributeError, DataError, KeyError, TypeError, ValueError, OverflowError):
        return []
    row = {"kind": OPTION_TRADE, "instrument_id": contract.instrument_id, "flags": VOLUME | LAST}
    return [row | {"price_e4": price_e4, "size": volume, **_stamps(stamp_ns, t_ns)}]


def _price_e4(value: Any) -> int:
    return max(0, usd_to_e4(float(value or 0.0)))


def _size(value: Any) -> int:
    return min(_INT32_MAX, max(0, int(value or 0)))


def _greeks(snapshot: Page) -> dict[str, float]:
    """Greeks a snapshot tells; empty where it has none, as Alpaca has for contracts that expire today."""
    told = snapshot.get("greeks") or {}
    try:
        greeks = {name: float(told[name]) for name in _GREEKS if told.get(name) is not None}
        volatility = float(snapshot.get("impliedVolatility") or 0.0)
    except (AttributeError, TypeError, ValueError):
        return {}
    if volatility > 0.0:
        greeks["iv"] = volatility
    # A delta of exactly nothing beside no volatility is a blank, not a greek.
    return greeks if greeks.get("delta") or volatility > 0.0 else {}


def _columns(rows: Sequence[_Row]) -> dict[str, NDArray[Any]]:
    return {name: np.array([row.get(name, 0) for row in rows], kind) for name, kind in COLUMNS.items()}
