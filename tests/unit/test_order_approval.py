"""What may become an order, and what it is called."""

from __future__ import annotations

import pytest

from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.model.order import Leg, OrderKind, OrderSide
from tests.scenario.world import CALL

CONTRACT = CALL.instrument(1)


def order(leg: Leg, price_e4: int, kind: OrderKind = OrderKind.LIMIT, quantity: int = 2) -> ApprovedOrder:
    """An order of signal 7, third try."""
    return approve("scalp-20261120-ab", 7, leg, 3, CONTRACT, quantity, price_e4, kind)


@pytest.mark.parametrize(
    ("leg", "order_id", "side"),
    [
        (Leg.ENTRY, "scalp-20261120-ab-0007-e3", OrderSide.BUY),
        (Leg.EXIT, "scalp-20261120-ab-0007-x3", OrderSide.SELL),
        (Leg.PROTECT, "scalp-20261120-ab-0007-s3", OrderSide.SELL),
        (Leg.GUARD, "scalp-20261120-ab-0007-g3", OrderSide.SELL),
    ],
)
def test_only_an_entry_buys_and_every_leg_has_its_letter(leg: Leg, order_id: str, side: OrderSide):
    """The id is a function of session, nonce, signal, leg and try."""
    made = order(leg, 14_000)

    assert (made.order_id, made.side) == (order_id, side)


@pytest.mark.parametrize(
    ("kind", "price_e4", "prices"),
    [(OrderKind.LIMIT, 14_000, (14_000, 0)), (OrderKind.MARKET, 0, (0, 0)), (OrderKind.STOP, 7_000, (0, 7_000))],
)
def test_each_kind_carries_its_price_and_no_other(kind: OrderKind, price_e4: int, prices: tuple[int, int]):
    """A limit has no stop price, a stop no limit, a market order neither."""
    made = order(Leg.EXIT, price_e4, kind)

    assert (made.limit_e4, made.stop_e4) == prices


@pytest.mark.parametrize(
    ("leg", "price_e4", "kind", "quantity"),
    [
        (Leg.ENTRY, 0, OrderKind.MARKET, 1),
        (Leg.ENTRY, 14_000, OrderKind.STOP, 1),
        (Leg.EXIT, 14_000, OrderKind.MARKET, 1),
        (Leg.EXIT, 0, OrderKind.LIMIT, 1),
        (Leg.EXIT, 14_050, OrderKind.LIMIT, 1),
        (Leg.PROTECT, 7_050, OrderKind.STOP, 1),
        (Leg.EXIT, 14_000, OrderKind.LIMIT, 0),
    ],
    ids=["entry at any price", "entry by stop", "market with a limit", "no limit", "off the grid", "stop off the grid",
         "no contract"],
)  # fmt: skip
def test_what_is_no_order_is_never_made(leg: Leg, price_e4: int, kind: OrderKind, quantity: int):
    """An entry has a limit; prices stand on the grid; contracts are whole and more than none."""
    with pytest.raises(ValueError, match="not an order"):
        order(leg, price_e4, kind, quantity)


def test_nobody_else_makes_an_order():
    """The seal is this file's."""
    made = order(Leg.EXIT, 14_000)
    fields = {name: getattr(made, name) for name in ApprovedOrder.__dataclass_fields__ if name != "seal"}

    with pytest.raises(ValueError, match=r"risk\.py alone"):
        ApprovedOrder(**fields, seal=object())
