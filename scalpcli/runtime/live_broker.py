"""Puts together what speaks with the broker: the sender of orders and whoever compares with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalpcli.model.order import Reply
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.live_orders import OrderTracker
from scalpcli.runtime.live_ports import LiveParts
from scalpcli.runtime.live_reconcile import Reconciler
from scalpcli.runtime.live_sender import Sender


def broker_side(
    parts: LiveParts,
    live: LiveEngine,
    tracker: OrderTracker,
    *,
    tell: Callable[[list[Reply]], None],
    note: Callable[[str, dict[str, Any]], None],
    alarm: Callable[[str], None],
    look_soon: Callable[[], None],
) -> tuple[Sender, Reconciler] | tuple[None, None]:
    """Sender and reconciler of one session; nothing in shadow mode, which sends nothing.

    Args:
        parts: What the trader is made of.
        live: What we believe.
        tracker: What is known of our orders.
        tell: Takes replies, which become rows.
        note: Takes rows of differences.
        alarm: Takes words for people.
        look_soon: Asks for a comparison at once.
    """
    if parts.desk is None:
        return None, None
    params, clock = parts.setup.params.live, parts.clock
    sender = Sender(
        parts.desk,
        tracker,
        params,
        clock,
        tell=tell,
        alarm=alarm,
        look_soon=look_soon,
        is_resumed=bool(parts.past.journal),
        close_ns=parts.setup.session.close_ns,
    )
    reconciler = Reconciler(parts.desk, live, tracker, sender, params, clock, tell=tell, note=note, alarm=alarm)
    return sender, reconciler
