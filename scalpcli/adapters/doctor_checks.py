"""What `doctor` asks of Alpaca and ORATS before a session: keys, data, clock, calendar, contracts, money.

Decides what passes, what is worth a warning and what fails, and what to do about it. Every check ends in a
finding; none raises. Leaves disk and tapes to the command, and printing too.
"""

from __future__ import annotations

import datetime as dt
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from scalpcli.adapters.alpaca_rest import AlpacaRest, NotKnown, Page
from scalpcli.adapters.alpaca_time import iso_to_ns
from scalpcli.adapters.contracts import fetch_contracts, look_ahead_days
from scalpcli.adapters.orats import Orats
from scalpcli.errors import CredentialsError, ScalpcliError
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument
from scalpcli.model.params import AlpacaParams, RecordParams, ScalpConfig
from scalpcli.model.session import LAST_DATE, is_session, next_session, ns_to_new_york, session_of
from scalpcli.units import NS_PER_MS

CLOCK_WARN_MS: Final = 250.0
"""A quarter of the default limit of an option quote's age: more, and fresh quotes look old."""
CLOCK_FAIL_MS: Final = 2_000.0
HORIZON_WARN_DAYS: Final = 60
_CALENDAR_DAYS: Final = 30
_OPTION_LEVEL: Final = 2
"""Alpaca's level that may buy calls and puts."""
_PAPER_KEY, _LIVE_KEY = "PK", "AK"
_PAPER_HOST, _LIVE_HOST = "paper-api.alpaca.markets", "api.alpaca.markets"


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        check: What was looked at.
        verdict: How it ended.
        found: What was found.
        hint: What to do; empty where nothing is to be done.
        is_credentials: Whether a failure is one of keys or permission.
    """

    check: str
    verdict: Verdict
    found: str
    hint: str = ""
    is_credentials: bool = False


def failed(check: str, error: ScalpcliError) -> Finding:
    """The finding of a check that an error ended."""
    return Finding(check, Verdict.FAIL, error.found, error.hint, isinstance(error, CredentialsError))


@dataclass(slots=True)
class AlpacaDoctor:
    """The checks that ask Alpaca.

    Args:
        rest: Alpaca.
        symbol: The underlying.
        record: What is recorded: feeds and days to expiry.
        scalp: What is traded: size and price of a position.
        today: Day in New York.
        now_ns: Time of this machine.
        key: Key of the account; only its first two letters are looked at.
        params: `[alpaca]`: the hosts that are asked.
    """

    rest: AlpacaRest
    symbol: str
    record: RecordParams
    scalp: ScalpConfig
    today: dt.date
    now_ns: Callable[[], int]
    key: str
    params: AlpacaParams

    def findings(self) -> Iterator[Finding]:
        """One finding after another, as each is known."""
        account: Page = {}
        try:
            account = self.rest.account()
        except CredentialsError as error:
            yield Finding("keys", Verdict.FAIL, error.found, self._host_hint() or error.hint, is_credentials=True)
            yield Finding("account", Verdict.SKIP, "not looked at: the keys do not open it")
            return
        except ScalpcliError as error:
            yield failed("keys", error)
            return
        yield Finding("keys", Verdict.PASS, f"accepted by {urllib.parse.urlsplit(self.params.trading_url).netloc}")
        yield updates_finding(self.params)
        yield account_finding(account)
        yield options_finding(account)
        yield equity_finding(account, self.scalp)
        yield self._checked("clock", self._clock)
        yield self._checked("calendar", self._calendar)
        yield self._checked("stock feed", self._stock_feed)
        contracts: list[Instrument] = []
        yield self._checked("expiries", lambda: self._expiries(contracts))
        yield self._checked("option feed", lambda: self._option_feed(contracts))

    def _checked(self, name: str, check: Callable[[], Finding]) -> Finding:
        try:
            return check()
        except ScalpcliError as error:
            return failed(name, error)

    def _host_hint(self) -> str:
        host = urllib.parse.urlsplit(self.params.trading_url).netloc
        if self.key.startswith(_PAPER_KEY) and host == _LIVE_HOST:
            return f"this is a key of the paper account: `-p alpaca.trading_url=https://{_PAPER_HOST}`"
        if self.key.startswith(_LIVE_KEY) and host == _PAPER_HOST:
            return f"this is a key of the live account: `-p alpaca.trading_url=https://{_LIVE_HOST}`"
        return ""

    def _clock(self) -> Finding:
        before_ns = self.now_ns()
        told_ns = iso_to_ns(str(self.rest.clock().get("timestamp", "")))
        after_ns = self.now_ns()
        # The service read its clock somewhere between question and answer: only what lies outside is sure.
        if before_ns <= told_ns <= after_ns:
            offset_ms = 0.0
        else:
            offset_ms = ((before_ns if told_ns < before_ns else after_ns) - told_ns) / NS_PER_MS
        return clock_finding(offset_ms, (after_ns - before_ns) / NS_PER_MS)

    def _calendar(self) -> Finding:
        left = (LAST_DATE - self.today).days
        last = min(self.today + dt.timedelta(days=_CALENDAR_DAYS), LAST_DATE)
        theirs = {str(day.get("date")): str(day.get("close")) for day in self.rest.calendar(self.today, last)}
        days = [self.today + dt.timedelta(days=number) for number in range((last - self.today).days + 1)]
        ours = {day.isoformat(): ns_to_new_york(session_of(day).close_ns)[:5] for day in days if is_session(day)}
        different = sorted(day for day in ours.keys() | theirs.keys() if ours.get(day) != theirs.get(day))
        if different:
            return Finding(
                "calendar",
                Verdict.FAIL,
                f"Alpaca closes at another time on {', '.join(different[:3])}",
                "an unplanned closing, or this version is too old: install a newer scalpcli",
            )
        if left < HORIZON_WARN_DAYS:
            hint = "install a newer scalpcli before then"
            return Finding("calendar", Verdict.WARN, f"it ends on {LAST_DATE}, in {left} days", hint)
        return Finding("calendar", Verdict.PASS, f"agrees with Alpaca's until {last}; it ends on {LAST_DATE}")

    def _stock_feed(self) -> Finding:
        try:
            trade = self.rest.latest_trade(self.symbol, self.record.feed)
        except NotKnown:
            # Before the first print of a rehearsal; an unknown symbol has no contracts either, and fails there.
            trade = {}
        if not trade:
            return Finding(
                "stock feed", Verdict.WARN, f"{self.record.feed} has no print of {self.symbol}", "check the symbol"
            )
        if self.record.feed == "iex":
            found = f"iex answers for {self.symbol}; it is one exchange of many, some 2.5 percent of the volume"
            return Finding("stock feed", Verdict.WARN, found, "`--feed sip` needs the data plan")
        return Finding("stock feed", Verdict.PASS, f"{self.record.feed} answers for {self.symbol}")

    def _expiries(self, contracts: list[Instrument]) -> Finding:
        session = session_of(self.today) if is_session(self.today) else next_session(self.today)
        contracts += fetch_contracts(self.rest, self.symbol, session.date, look_ahead_days(self.record.dte))
        days = sorted({(one.expiry - session.date).days for one in contracts if one.expiry is not None})
        when = "today" if session.date == self.today else f"on {session.date}"
        wanted = [number for number in days if number in self.record.dte]
        if not wanted:
            later = f"the next in {days[0]} days: `--dte {days[0]}`" if days else "check the symbol"
            what = ", ".join(map(str, self.record.dte))
            found = f"no contract of {self.symbol} expires within {what} days of {session.date}"
            return Finding("expiries", Verdict.FAIL, found, later)
        count = sum((one.expiry - session.date).days in wanted for one in contracts if one.expiry is not None)
        found = f"{count:,} contracts in {', '.join(map(str, wanted))} days"
        if 0 in self.record.dte and 0 not in days:
            hint = "the next expiry is used where settings allow it; else nothing is traded"
            return Finding("expiries", Verdict.WARN, f"nothing expires {when}; {found}", hint)
        return Finding("expiries", Verdict.PASS, f"contracts expire {when}; {found}")

    def _option_feed(self, contracts: list[Instrument]) -> Finding:
        feed = self.record.option_feed
        if not contracts:
            return Finding("option feed", Verdict.SKIP, "not looked at: there is no contract to ask for")
        self.rest.latest_option_quotes([contracts[len(contracts) // 2].symbol], feed)
        if feed == "indicative":
            found = "indicative answers; its quotes are modified and not the NBBO"
            return Finding(
                "option feed", Verdict.WARN, found, "do not trade on it; `--option-feed opra` needs the plan"
            )
        return Finding("option feed", Verdict.PASS, f"{feed} answers")


def updates_finding(params: AlpacaParams) -> Finding:
    """Whether orders and the updates about them belong to one account: paper and live have hosts of their own."""
    orders, updates = (urllib.parse.urlsplit(url).hostname for url in (params.trading_url, params.trading_stream_url))
    if orders != updates:
        return Finding(
            "order updates",
            Verdict.FAIL,
            f"orders would go to {orders}, and their updates be listened for at {updates}",
            "write the same host into `alpaca.trading_url` and `alpaca.trading_stream_url`",
        )
    return Finding("order updates", Verdict.PASS, f"from the host that takes the orders, {updates}")


def account_finding(account: Page) -> Finding:
    """Whether the account is open and may trade."""
    status = str(account.get("status", "unknown"))
    blocks = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    blocked = [name for name in blocks if account.get(name) is True]
    if status != "ACTIVE" or blocked:
        found = f"status {status}" + (f", {', '.join(blocked)}" if blocked else "")
        return Finding("account", Verdict.FAIL, found, "see the account's dashboard", is_credentials=True)
    return Finding("account", Verdict.PASS, "active")


def options_finding(account: Page) -> Finding:
    """Whether the account may buy calls and puts."""
    level = _number(account.get("options_trading_level"))
    if level is None or level < _OPTION_LEVEL:
        found = f"level {0 if level is None else int(level)}, below what buying options needs: {_OPTION_LEVEL}"
        hint = "ask Alpaca to approve the account for options; recording works without"
        return Finding("options level", Verdict.WARN, found, hint)
    return Finding("options level", Verdict.PASS, f"level {int(level)}")


def equity_finding(account: Page, scalp: ScalpConfig) -> Finding:
    """What one scalp's share of the equity buys."""
    equity = _number(account.get("equity"))
    if equity is None:
        return Finding("equity", Verdict.WARN, "Alpaca tells no equity", "see the account's dashboard")
    share = equity * scalp.scalp_position_size_pct / 100.0
    dearest = scalp.max_contract_price * STANDARD_MULTIPLIER
    contracts = int(share // dearest)
    what = f"{scalp.scalp_position_size_pct:g} % of {equity:,.2f} USD is {share:,.2f} USD"
    if contracts:
        found = f"{what}: {contracts:,} contracts at {scalp.max_contract_price:.2f}"
        return Finding("equity", Verdict.PASS, found)
    return Finding(
        "equity",
        Verdict.WARN,
        f"{what}: no contract above {share / STANDARD_MULTIPLIER:.2f} can be bought",
        "raise `scalp.scalp_position_size_pct`, or lower `scalp.max_contract_price` to look at what can be bought",
    )


def clock_finding(offset_ms: float, answer_ms: float) -> Finding:
    """What an offset of this machine's clock means; positive is ahead of the market."""
    size = abs(offset_ms)
    if size <= CLOCK_WARN_MS:
        found = f"{size:,.0f} ms from Alpaca's, as far as an answer of {answer_ms:,.0f} ms can tell"
        return Finding("clock", Verdict.PASS, found)
    word = "ahead of" if offset_ms > 0 else "behind"
    verdict = Verdict.WARN if size <= CLOCK_FAIL_MS else Verdict.FAIL
    found = f"{size:,.0f} ms {word} Alpaca's, limit {CLOCK_WARN_MS:g}"
    return Finding("clock", verdict, found, "let NTP set it: `timedatectl set-ntp true`")


def orats_finding(orats: Orats | None, symbol: str, expiry: dt.date) -> Finding:
    """Whether ORATS gives greeks."""
    if orats is None:
        return Finding("orats", Verdict.PASS, "no token is set: greeks are computed")
    try:
        contracts = orats.probe(symbol, expiry)
    except ScalpcliError as error:
        # Without ORATS greeks are computed, so nothing fails.
        return Finding("orats", Verdict.WARN, error.found, error.hint)
    if not contracts:
        return Finding("orats", Verdict.WARN, f"no greeks of {symbol} for {expiry}", "greeks are computed meanwhile")
    return Finding("orats", Verdict.PASS, f"greeks of {contracts:,} contracts for {expiry}")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
