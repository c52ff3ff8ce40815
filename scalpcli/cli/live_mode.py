"""SHADOW, PAPER or LIVE: which one a call of `live` is, and the hosts that each one may reach.

Decides the mode in one pure function, and the hosts in one table; nothing else in the product names the host of real
money. LIVE needs four locks, each of them explicit: keys of a live account, `live.enabled = true` in a file on disk,
`--live`, and the last four characters of the account's number. Whatever contradicts itself, or cannot be read as
meant, is refused; nothing falls through to LIVE, and nothing that asks for LIVE falls back to PAPER unsaid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from scalpcli.adapters.rehearsal import is_loopback
from scalpcli.errors import ConfigError, CredentialsError, ScalpcliError, UsageError

if TYPE_CHECKING:
    from scalpcli.config import Loaded
    from scalpcli.model.params import AlpacaParams

ENDS_CHARACTERS: Final = 4
_ENABLED: Final = "live.enabled"
_BROKER: Final = "alpaca.markets"
_LIVE_HOST: Final = f"api.{_BROKER}"
_PAPER_KEY, _LIVE_KEY = "PK", "AK"
"""How Alpaca's keys of paper and of live accounts begin."""
_INDICATIVE: Final = "indicative"


class Mode(StrEnum):
    """What a session does with its orders."""

    SHADOW = "shadow"
    """They are decided and not sent."""
    PAPER = "paper"
    """They are sent to an account without money."""
    LIVE = "live"
    """They are sent to an account with money."""

    @property
    def mark(self) -> str:
        """The word that stands on every line, prompt and manifest."""
        return self.name


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where orders and account of a mode are.

    Attributes:
        trading_url: Address of requests.
        trading_stream_url: Address of order updates.
    """

    trading_url: str
    trading_stream_url: str


_PAPER_HOSTS: Final = Hosts("https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets")
_HOSTS: Final = {
    Mode.SHADOW: _PAPER_HOSTS,
    Mode.PAPER: _PAPER_HOSTS,
    Mode.LIVE: Hosts(f"https://{_LIVE_HOST}", f"wss://{_LIVE_HOST}"),
}
_TRADING: Final = ("trading_url", "trading_stream_url")
_DATA: Final = ("data_url", "stream_url")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for, before anything is asked of anyone.

    Attributes:
        is_shadow: `--shadow`.
        is_live: `--live`.
        account_ends: What was passed or typed as the account's last four characters; empty = nothing.
        is_rehearsal: `--rehearse`: a local exchange answers, which the address was checked for.
        is_enabled: Value of `live.enabled`.
        enabled_in: The file on disk that gave it; empty where the environment, a flag or a pipe did, or nothing.
        alpaca: `[alpaca]`.
        others: Other addresses that are asked or told something, by the name of their setting.
        option_feed: Feed of option quotes.
        key: Key of the account, of which the beginning alone is looked at.
    """

    is_shadow: bool
    is_live: bool
    account_ends: str
    is_rehearsal: bool
    is_enabled: bool
    enabled_in: str
    alpaca: AlpacaParams
    others: Mapping[str, str]
    option_feed: str
    key: str = field(repr=False)


def asked_of(
    loaded: Loaded, *, is_shadow: bool, is_live: bool, account_ends: str, is_rehearsal: bool, key: str
) -> Asked:
    """What a call asks for, from its flags and settings."""
    params = loaded.params
    return Asked(
        is_shadow=is_shadow,
        is_live=is_live,
        account_ends=account_ends.strip().upper(),
        is_rehearsal=is_rehearsal,
        is_enabled=params.live.enabled,
        enabled_in=str(loaded.files.get(_ENABLED, "")),
        alpaca=params.alpaca,
        others={
            "alpaca.orats_url": params.alpaca.orats_url,
            "live.heartbeat_url": params.live.heartbeat_url,
            "live.notify": params.live.notify,
        },
        option_feed=params.record.option_feed,
        key=key,
    )


def decide_mode(asked: Asked, account: str | None = None) -> Mode:
    """The mode of a call.

    Args:
        asked: What it asks for.
        account: Number of the account that the keys open, as the broker told it; `None` = not asked yet. Before the
            first order of any mode this is called once more with it.

    Raises:
        UsageError: flags contradict each other, or the account's end is missing or another one.
        ConfigError: a setting contradicts the mode.
        CredentialsError: keys are of another kind of account.
    """
    check_flags(is_shadow=asked.is_shadow, is_live=asked.is_live, is_rehearsal=asked.is_rehearsal)
    mode = Mode.LIVE if asked.is_live else Mode.SHADOW if asked.is_shadow else Mode.PAPER
    _check_others(asked.others)
    if not asked.is_rehearsal:
        _check_hosts(asked.alpaca, mode)
        _check_key(asked.key, mode)
    if mode is Mode.LIVE:
        _check_locks(asked)
    _check_ends(asked.account_ends)
    if asked.account_ends and account is not None:
        _check_account(asked.account_ends, account)
    return mode


def check_flags(*, is_shadow: bool, is_live: bool, is_rehearsal: bool) -> None:
    """Refuse flags that cannot be meant together.

    Raises:
        UsageError: two of them contradict each other.
    """
    if is_shadow and is_live:
        raise UsageError("`--shadow` and `--live` contradict each other", hint="give one of them, or none for PAPER")
    if is_rehearsal and is_live:
        raise UsageError("`--rehearse` and `--live` contradict each other", hint="a rehearsal is PAPER: leave `--live`")


def hosts_of(mode: Mode) -> Hosts:
    """Where orders and account of a mode are: the one place that knows. A rehearsal has its own, on this machine."""
    return _HOSTS[mode]


def needs_account_ends(asked: Asked) -> bool:
    """Whether only the last lock is missing: then a person at a terminal is asked for it."""
    try:
        decide_mode(asked)
    except AccountEndsMissing:
        return True
    except ScalpcliError:
        return False
    return False


def words_of_feed(mode: Mode, option_feed: str) -> str:
    """What everyone has to be told about the quotes; empty where they are the market's."""
    if option_feed != _INDICATIVE:
        return ""
    return f"{mode.mark}: OPTION QUOTES ARE INDICATIVE: modified by the vendor, not the NBBO; fills will differ"


class AccountEndsMissing(UsageError):
    """All locks but the last are open."""


def _check_locks(asked: Asked) -> None:
    if not asked.is_enabled:
        raise ConfigError(
            "`--live` is given and `live.enabled` is false",
            hint="write `enabled = true` under `[live]` in a settings file, and name it with `-c`",
        )
    if not asked.enabled_in:
        raise ConfigError(
            "`live.enabled` is true, but not by a file on disk",
            hint="the environment, `-p` and pipes do not count: write it into the file that `-c` names",
        )
    if asked.option_feed == _INDICATIVE:
        raise ConfigError(
            "indicative option quotes are no ground for LIVE orders: they are not the NBBO",
            hint='set `record.option_feed = "opra"`; it needs the plan that carries it',
        )
    if not asked.account_ends:
        raise AccountEndsMissing(
            f"LIVE needs the last {ENDS_CHARACTERS} characters of the account's number",
            hint="pass them with `--account-ends`, or start at a terminal and type them",
        )


def _check_ends(ends: str) -> None:
    if ends and (len(ends) != ENDS_CHARACTERS or not ends.isascii() or not ends.isalnum()):
        raise UsageError(
            f"`--account-ends` takes {ENDS_CHARACTERS} letters or digits, found {len(ends)} characters",
            hint="they end the account's number on Alpaca's dashboard",
        )


def _check_account(ends: str, account: str) -> None:
    # A number shorter than what was typed cannot be the account that was meant.
    if len(account) <= ENDS_CHARACTERS or not account.upper().endswith(ends):
        raise UsageError(
            "the keys open another account than the one that ends as was given",
            place="`--account-ends`",
            hint="look up the account's number on Alpaca's dashboard, and which keys are set",
        )


def _check_key(key: str, mode: Mode) -> None:
    wanted = _LIVE_KEY if mode is Mode.LIVE else _PAPER_KEY
    if key.startswith(wanted):
        return
    kind = {_LIVE_KEY: "a live account", _PAPER_KEY: "a paper account"}.get(
        key[:2], "neither a paper nor a live account"
    )
    raise CredentialsError(
        f"{mode.mark} needs keys of a {'live' if mode is Mode.LIVE else 'paper'} account; the key is of {kind}",
        place="`ALPACA_API_KEY`",
        hint=f"its first letters must be {wanted}; `scalpcli doctor` tells where keys are found",
    )


def _check_hosts(alpaca: AlpacaParams, mode: Mode) -> None:
    """Settings name no other host than the mode's: an address once set for something else must not decide."""
    hosts, defaults = hosts_of(mode), type(alpaca)()
    for name in _TRADING:
        given, wanted = getattr(alpaca, name), getattr(hosts, name)
        # The default stands for whichever host the mode has.
        if given not in {getattr(defaults, name), wanted, f"{wanted}/"}:
            raise _wrong_host(f"alpaca.{name}", given, mode, wanted)
    for name in _DATA:
        given, wanted = getattr(alpaca, name), getattr(defaults, name)
        # Quotes of a rehearsal must not decide about money.
        is_rehearsed = mode is not Mode.LIVE and is_loopback(given, ("http", "ws"))
        if given not in {wanted, f"{wanted}/"} and not is_rehearsed:
            raise _wrong_host(f"alpaca.{name}", given, mode, wanted)


def _check_others(urls: Mapping[str, str]) -> None:
    """Whoever is told or asked something else is not the broker; by the text, since readers of addresses differ."""
    for name, url in urls.items():
        if _BROKER in url.lower() or not url.isascii() or "%" in _host(url):
            raise ConfigError(
                f"`{name}` names a host that it cannot mean: `{_host(url) or 'unreadable'}`",
                hint="it is asked or told things that do not concern the broker: write another address",
            )


def _wrong_host(name: str, given: str, mode: Mode, wanted: str) -> ConfigError:
    return ConfigError(
        f"{mode.mark} does not reach the host that `{name}` names: `{_host(given) or 'unreadable'}`",
        hint=f"leave the setting out, or write {wanted}; a local exchange is named by `--rehearse`",
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
