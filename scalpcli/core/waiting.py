"""What open positions wait for: times, and quotes of the contracts they hold.

Whoever folds rows comes back to Python for these alone; the limits agree with `exits`, which decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from scalpcli.core.exits import ScalpExitManager, stop_bid_e4, target_bid_e4
from scalpcli.core.layout import NEVER_NS, WATCH_EVERY, WATCH_HIGH, WATCH_LOW, WATCH_RECOVERY
from scalpcli.core.position import Scalp
from scalpcli.model.params import Params

Watch = tuple[int, int, int]
"""Bits of `layout.WATCH_*`, low bid, high bid."""


def wake_ns(scalps: Iterable[Scalp], exits: ScalpExitManager) -> int:
    """The next time from which an instant must be looked at for an exit."""
    times = [NEVER_NS]
    for scalp in scalps:
        if scalp.held > 0 and not scalp.is_leaving:
            times.append(exits.next_time_ns(scalp))
        elif scalp.held == 0 and scalp.called_off is None:
            times.append(exits.flatten_ns)
    return min(times)


def watches(scalps: Iterable[Scalp], exits: ScalpExitManager, params: Params) -> dict[int, Watch]:
    """What each contract's quotes are watched for."""
    found: dict[int, Watch] = {}
    for scalp in scalps:
        if scalp.held == 0:
            continue
        instrument_id = scalp.instrument.instrument_id
        watch = _watch(scalp, exits, params)
        # Two scalps in one contract: look at every quote, each with its own limits.
        found[instrument_id] = (WATCH_EVERY, 0, 0) if instrument_id in found else watch
    return found


def _watch(scalp: Scalp, exits: ScalpExitManager, params: Params) -> Watch:
    if scalp.is_leaving:
        # No limit is watched any more, but the extremes of the bid are still followed.
        return (WATCH_LOW, -1, 0)
    low_e4 = stop_bid_e4(scalp.average_e4, params.scalp.stop_loss_pct)
    high_e4 = target_bid_e4(scalp.average_e4, params.scalp.take_profit_pct)
    bits = WATCH_HIGH | (WATCH_RECOVERY if scalp.is_stop_standing else WATCH_LOW)
    if exits.needs_every_quote:
        bits |= WATCH_EVERY
    return (bits, low_e4, high_e4)
