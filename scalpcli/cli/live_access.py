"""Opens the way to the broker for `live` and its companions: keys, mode and hosts, agreed before anything is asked.

Decides who types the account's end, and that what a mode may not reach cannot be reached. The mode itself is
decided in `live_mode.py`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalpcli.cli.alpaca_access import Access, access
from scalpcli.cli.live_mode import Asked, Mode, asked_of, check_flags, decide_mode, hosts_of, needs_account_ends
from scalpcli.errors import DataError, UsageError
from scalpcli.runtime.clock import SteadyClock

if TYPE_CHECKING:
    from scalpcli.config import Loaded


@dataclass(frozen=True, slots=True)
class ModeFlags:
    """The flags that name a mode.

    Attributes:
        is_shadow: `--shadow`.
        is_live: `--live`.
        account_ends: `--account-ends`; empty = not given.
        rehearse: `--rehearse`; `None` = not given. An empty address was given by mistake, as by an unset variable.
    """

    is_shadow: bool = False
    is_live: bool = False
    account_ends: str = ""
    rehearse: str | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """Where and as what a call of `live` trades.

    Attributes:
        mode: SHADOW, PAPER or LIVE.
        access: Addresses, keys and clock; its hosts of orders are the mode's.
        asked: What was asked for, to be held against the account.
    """

    mode: Mode
    access: Access
    asked: Asked

    @property
    def mark(self) -> str:
        """The word on every line."""
        return self.mode.mark


def reach(
    loaded: Loaded, flags: ModeFlags, environ: Mapping[str, str], type_ends: Callable[[], str] | None = None
) -> Reached:
    """The mode of a call and the way to its broker. Nothing is asked of a broker here.

    Args:
        loaded: Settings and where they came from.
        flags: Flags that name a mode.
        environ: The environment, for keys.
        type_ends: Asks a person for the account's end; `None` where there is no terminal.

    Raises:
        ScalpcliError: what is asked for contradicts itself, or a lock is closed.
    """
    # What cannot be meant asks nobody, a rehearsal neither.
    check_flags(is_shadow=flags.is_shadow, is_live=flags.is_live, is_rehearsal=flags.rehearse is not None)
    if flags.rehearse is not None and not flags.rehearse.strip():
        raise UsageError("`--rehearse` is empty", hint="name the address of `scalpcli exchange`, or leave the flag out")
    found = access(loaded.params, environ, flags.rehearse or "")
    asked = asked_of(
        loaded,
        is_shadow=flags.is_shadow,
        is_live=flags.is_live,
        account_ends=flags.account_ends,
        is_rehearsal=found.is_rehearsal,
        key=found.key,
    )
    return _agreed(found, asked, type_ends)


def reopen(
    facts: Mapping[str, Any],
    loaded: Loaded,
    environ: Mapping[str, str],
    account_ends: str = "",
    type_ends: Callable[[], str] | None = None,
) -> Reached:
    """The way to the broker of a run, for the guard and for commands that find no process.

    A LIVE run was begun with all its locks open and its `live.json` says so; keys of a live account and the
    account's end are asked for again.

    Args:
        facts: `live.json` of the run: `mode`, `rehearse`, `enabled_in` and `account_last4` count.
        loaded: Settings; those of a run that is reopened decide about hosts as at its start.
        environ: The environment, for keys.
        account_ends: The account's end, for LIVE.
        type_ends: Asks a person for the account's end; `None` where there is no terminal.

    Raises:
        ScalpcliError: a lock is closed.
        DataError: `facts` name no mode.
    """
    try:
        mode, rehearse = Mode(facts["mode"]), str(facts.get("rehearse") or "")
    except (KeyError, ValueError):
        raise DataError("the run does not say whether it is SHADOW, PAPER or LIVE", place="`live.json`") from None
    check_flags(is_shadow=mode is Mode.SHADOW, is_live=mode is Mode.LIVE, is_rehearsal=bool(rehearse))
    found = access(loaded.params, environ, rehearse)
    asked = asked_of(
        loaded,
        is_shadow=mode is Mode.SHADOW,
        is_live=mode is Mode.LIVE,
        account_ends=account_ends,
        is_rehearsal=found.is_rehearsal,
        key=found.key,
    )
    enabled_in = str(facts.get("enabled_in") or "")
    asked = dataclasses.replace(asked, is_enabled=bool(enabled_in), enabled_in=enabled_in)
    reached = _agreed(found, asked, type_ends)
    if mode is Mode.LIVE:
        # The run's own account, before the broker is asked which one the keys open.
        decide_mode(reached.asked, f"number-{facts.get('account_last4') or ''}")
    return reached


def type_ends_at_terminal() -> Callable[[], str] | None:
    """What asks a person for the account's end; nothing where nobody sits at a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def type_ends() -> str:
        print("LIVE: real money. The account's last four characters: ", end="", file=sys.stderr, flush=True)  # noqa: T201 - words go to stderr
        return sys.stdin.readline()

    return type_ends


def check_account(reached: Reached, number: str) -> None:
    """Hold the account that the broker told against what was asked for; before the first order.

    Raises:
        UsageError: it is another account.
    """
    decide_mode(reached.asked, number)


def _agreed(found: Access, asked: Asked, type_ends: Callable[[], str] | None) -> Reached:
    if type_ends is not None and needs_account_ends(asked):
        asked = dataclasses.replace(asked, account_ends=type_ends().strip().upper())
    mode = decide_mode(asked)
    if not found.is_rehearsal:
        hosts = hosts_of(mode)
        params = dataclasses.replace(
            found.params, trading_url=hosts.trading_url, trading_stream_url=hosts.trading_stream_url
        )
        found = dataclasses.replace(found, params=params, clock=SteadyClock())
    return Reached(mode, found, asked)
