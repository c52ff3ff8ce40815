"""`scalpcli doctor`: is everything there for the next session?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalpcli.cli.alpaca_access import Access, Rehearse
from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import CredentialsError, DataError, ScalpcliError, UsageError

if TYPE_CHECKING:
    import datetime as dt

    from scalpcli.adapters.doctor_checks import Finding
    from scalpcli.model.params import Params

EXAMPLE = "scalpcli doctor --symbol TSLA"


def doctor(
    symbol: Annotated[str, typer.Option(metavar="TEXT", help="The underlying")] = "TSLA",
    rehearse: Rehearse = "",
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check that everything is there for the next session.

    Keys and their host, account, options level, feeds, clock, calendar, expiries, what the equity can buy, room on
    the disk, the tapes. Leaves with 0 when nothing fails, 3 when keys or a permission fail, else 4.
    """
    import os

    from scalpcli.adapters.doctor_checks import Verdict
    from scalpcli.cli.output import Column, emit, say
    from scalpcli.config import load
    from scalpcli.config_secrets import redact
    from scalpcli.model.instrument import check_underlying

    del verbose
    check_underlying(symbol)
    params = load(config, param).params
    findings = list(_findings(params, symbol, rehearse))
    rows = [
        # A service may repeat what it was sent; errors are redacted on their way out, and so is this.
        {"check": one.check, "verdict": str(one.verdict), "found": redact(one.found, os.environ), "hint": one.hint}
        for one in findings
    ]
    columns = [Column("verdict", " "), Column("check"), Column("found"), Column("hint", "what to do")]
    emit(rows, chosen_format(form, json), columns=columns)
    bad = [one for one in findings if one.verdict is Verdict.FAIL]
    warned = sum(one.verdict is Verdict.WARN for one in findings)
    if not bad:
        say(f"nothing fails, {warned} warnings" if warned else "everything passes", quiet=quiet)
        return
    kind = CredentialsError if any(one.is_credentials for one in bad) else DataError
    raise kind(f"{len(bad)} of {len(findings)} checks fail: {', '.join(one.check for one in bad)}")


def _findings(params: Params, symbol: str, rehearse: str) -> Iterator[Finding]:
    import os

    from scalpcli.adapters.doctor_checks import failed
    from scalpcli.cli.alpaca_access import access
    from scalpcli.cli.doctor_local import local_findings
    from scalpcli.model.session import ns_to_new_york_date
    from scalpcli.runtime.clock import MarketClock

    reach: Access | None = None
    try:
        reach = access(params, os.environ, rehearse)
    except UsageError:
        raise
    except ScalpcliError as error:
        yield failed("keys" if isinstance(error, CredentialsError) else "local exchange", error)
    today = ns_to_new_york_date((reach.clock if reach else MarketClock()).now_ns())
    if reach is not None:
        yield from _remote(reach, params, symbol, today)
    yield from local_findings(Path(params.record.out), symbol, today, min_free_gb=params.record.min_free_gb)


def _remote(reach: Access, params: Params, symbol: str, today: dt.date) -> Iterator[Finding]:
    from scalpcli.adapters.alpaca_rest import AlpacaRest
    from scalpcli.adapters.doctor_checks import AlpacaDoctor, failed, orats_finding
    from scalpcli.adapters.orats import Orats
    from scalpcli.model.session import is_session, next_session

    try:
        rest = AlpacaRest(reach.params, reach.key, reach.secret)
    except ScalpcliError as error:
        yield failed("keys", error)
        return
    orats = None
    try:
        yield from AlpacaDoctor(
            rest, symbol, params.record, params.scalp, today, reach.clock.now_ns, reach.key, reach.params
        ).findings()
        if reach.orats_token:
            where = reach.params
            orats = Orats(where.orats_url, reach.orats_token, connect_s=where.connect_s, answer_s=where.answer_s)
        yield orats_finding(orats, symbol, today if is_session(today) else next_session(today).date)
    finally:
        rest.close()
        if orats is not None:
            orats.close()
