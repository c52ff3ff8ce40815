"""The live chain for `scan-options`: keys, clock and polls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from scalpcli.cli.alpaca_access import access
from scalpcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalpcli.config import Loaded
    from scalpcli.scan.moment import Feed

SYMBOL: Final = "TSLA"


def live_source(loaded: Loaded, rehearse: str, symbol: str, expiry: str, *, quiet: bool) -> Callable[[], Feed]:
    """What polls the live chain each time it is called.

    Args:
        loaded: The settings.
        rehearse: Address of a local exchange, empty for Alpaca.
        symbol: The underlying; TSLA, or what the local exchange plays, where empty.
        expiry: The wished expiry.
        quiet: `-q`.

    Raises:
        CredentialsError: keys are missing.
        UsageError: the local exchange plays another underlying.
    """
    from scalpcli.adapters.alpaca_chain import ChainPoller
    from scalpcli.adapters.alpaca_rest import AlpacaRest
    from scalpcli.adapters.orats import Orats
    from scalpcli.cli.output import say
    from scalpcli.scan.expiries import choose_expiries
    from scalpcli.scan.sources import live_feed

    reached = access(loaded.params, os.environ, rehearse)
    if rehearse and symbol and symbol != reached.symbol:
        raise UsageError(
            f"the local exchange plays {reached.symbol}, not {symbol}", hint=f"leave out `--symbol {symbol}`"
        )
    params = loaded.params
    orats = None
    if reached.orats_token:
        orats = Orats(
            params.alpaca.orats_url,
            reached.orats_token,
            connect_s=params.alpaca.connect_s,
            answer_s=params.alpaca.answer_s,
        )
    poller = ChainPoller(
        AlpacaRest(reached.params, reached.key, reached.secret),
        symbol or reached.symbol or SYMBOL,
        feed=params.record.feed,
        option_feed=params.record.option_feed,
        now_ns=reached.clock.now_ns,
        orats=orats,
        host=f"local exchange {rehearse}" if rehearse else "Alpaca",
    )

    def poll() -> Feed:
        contracts = poller.contracts()
        chosen = choose_expiries(params, contracts, poller.session().date, expiry)
        if not poller.polls:
            days = ", ".join(str(date) for date in chosen.dates) or "no expiry"
            say(f"asking for the chain of {poller.symbol}: {days}", quiet=quiet)
        return live_feed(poller.poll(chosen.dates))

    return poll
