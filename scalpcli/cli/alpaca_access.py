"""What a command needs to reach Alpaca, or a local exchange in its place: addresses, keys and the clock.

Decides where keys come from, that they are there, and how a rehearsal takes Alpaca's place. Nothing is
asked of Alpaca here.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scalpcli.errors import CredentialsError

if TYPE_CHECKING:
    from scalpcli.model.params import AlpacaParams, Params
    from scalpcli.runtime.clock import MarketClock

REHEARSAL_KEY: Final = "rehearsal"
"""Key and secret of a rehearsal where none are set: a local exchange takes any pair."""
_KEY_NAMES: Final = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")

Rehearse = Annotated[
    str,
    typer.Option(
        "--rehearse", metavar="URL", help="Ask the local exchange there instead of Alpaca", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class Access:
    """Addresses, keys and clock of one command.

    Attributes:
        params: `[alpaca]`, its addresses replaced in a rehearsal.
        key: Key of the account.
        secret: Its secret.
        clock: Time at the market.
        orats_token: Token of ORATS, empty where none is set; always empty in a rehearsal.
        is_rehearsal: Whether a local exchange answers.
        session: Day the local exchange plays, `None` without one.
        symbol: Underlying the local exchange plays, empty without one.
        key_origin: Where the key was found, for messages.
    """

    params: AlpacaParams
    key: str = field(repr=False)
    secret: str = field(repr=False)
    clock: MarketClock
    orats_token: str = field(default="", repr=False)
    is_rehearsal: bool = False
    session: dt.date | None = None
    symbol: str = ""
    key_origin: str = ""


def access(params: Params, environ: Mapping[str, str], rehearse: str = "") -> Access:
    """Where and as whom a command asks.

    Args:
        params: Checked settings.
        environ: The environment; names keys or the file that holds them.
        rehearse: Address of a local exchange, empty for Alpaca itself.

    Raises:
        CredentialsError: A key is missing, or the file of keys cannot be used.
        UsageError: `rehearse` is not an address on this machine.
        UpstreamUnavailable: No local exchange answers at `rehearse`.
    """
    from scalpcli.config_secrets import read_secrets
    from scalpcli.runtime.clock import MarketClock, RehearsalClock

    secrets = read_secrets(environ)
    found = {name: secrets[name].value if name in secrets else "" for name in (*_KEY_NAMES, "ORATS_TOKEN")}
    key, secret = (found[name] for name in _KEY_NAMES)
    if rehearse:
        from scalpcli.adapters.rehearsal import read_rehearsal

        played = read_rehearsal(rehearse, answer_s=params.alpaca.answer_s)
        return Access(
            dataclasses.replace(
                params.alpaca,
                trading_url=played.url,
                data_url=played.url,
                stream_url=played.stream_url,
                trading_stream_url=played.stream_url,
            ),
            key if key and secret else REHEARSAL_KEY,
            secret if key and secret else REHEARSAL_KEY,
            RehearsalClock(played.now_ns, played.speed),
            is_rehearsal=True,
            session=played.session,
            symbol=played.symbol,
            key_origin="the rehearsal",
        )
    missing = [name for name in _KEY_NAMES if not found[name]]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise CredentialsError(
            f"{' and '.join(f'`{name}`' for name in missing)} {are} not set",
            hint="export both keys of your Alpaca account, or write them to `~/.config/scalpcli/secrets.toml` "
            "with mode 0600; without keys, rehearse with `scalpcli exchange` and `--rehearse`",
        )
    return Access(
        params.alpaca,
        key,
        secret,
        MarketClock(),
        orats_token=found["ORATS_TOKEN"],
        key_origin=secrets[_KEY_NAMES[0]].origin,
    )
