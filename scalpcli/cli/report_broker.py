"""`report --reconcile broker`: asks the account what it booked, and holds the run against it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalpcli.report.load import Results
    from scalpcli.report.reconcile import Difference
    from scalpcli.report.view import View


def reconciled(results: Results, rehearse: str) -> tuple[View, list[Difference]]:
    """The view and what differs.

    Args:
        results: Runs of one account.
        rehearse: Address of a local exchange; empty for Alpaca itself.

    Raises:
        CredentialsError: A key is missing or refused.
        UpstreamUnavailable: Nobody answers.
    """
    from scalpcli.adapters.alpaca_rest import AlpacaRest
    from scalpcli.cli.alpaca_access import access
    from scalpcli.config import load
    from scalpcli.report.reconcile import reconcile, reconcile_view

    found = access(load().params, os.environ, rehearse)
    rest = AlpacaRest(found.params, found.key, found.secret)
    try:
        days = [session.day for session in results.sessions]
        activities = list(rest.activities(min(days), max(days)))
        differences, compared = reconcile(results, activities, rest.positions())
    finally:
        rest.close()
    return reconcile_view(differences, compared), differences
