"""What the broker says of an order, in any order and any number of times: each fact becomes one reply."""

from __future__ import annotations

import itertools

import pytest

from scalpcli.core.risk import approve
from scalpcli.model.broker import Answer, BrokerFill, BrokerOrder, BrokerUpdate, Outcome
from scalpcli.model.instrument import Instrument, parse_occ
from scalpcli.model.order import TERMINAL_REPLIES, Leg, Reply, ReplyKind
from scalpcli.runtime.live_orders import OrderTracker, TrackedOrder, reply_body, reply_of, split_sum

SYMBOL = "TSLA261120C00400000"


def tracked(quantity: int = 3, leg: Leg = Leg.ENTRY) -> TrackedOrder:
    parsed = parse_occ(SYMBOL)
    instrument = Instrument(1, SYMBOL, parsed.right, parsed.strike_e4, parsed.expiry, "penny")
    return OrderTracker().add(approve("scalp-20261120-n", 0, leg, 1, instrument, quantity, 31_500), 7)


def order(status: str, filled: int = 0, sum_e4: int = 0, quantity: int = 3) -> BrokerOrder:
    return BrokerOrder(
        "scalp-20261120-n-0000-e1", "b1", SYMBOL, "buy", "limit", status, quantity, filled, sum_e4, 31_500, 9
    )


def fill(number: int, quantity: int, price_e4: int, filled: int) -> BrokerFill:
    return BrokerFill(f"x{number}", "scalp-20261120-n-0000-e1", "b1", SYMBOL, "buy", quantity, price_e4, filled, 9)


FIRST = BrokerUpdate("partial_fill", order("partially_filled", 1, 31_000), fill(1, 1, 31_000, 1), 1)
SECOND = BrokerUpdate("fill", order("filled", 3, 93_800), fill(2, 2, 31_400, 3), 3)
CANCELLED = BrokerUpdate("canceled", order("canceled", 1, 31_000), None, None)


def take(target: TrackedOrder, said: object) -> list[Reply]:
    if isinstance(said, BrokerUpdate):
        return target.take_update(said)
    if isinstance(said, Answer):
        return target.take_answer(said)
    assert isinstance(said, BrokerOrder)
    return target.take_order(said)


def sums(replies: list[Reply]) -> tuple[int, int]:
    fills = [reply for reply in replies if reply.kind is ReplyKind.FILL]
    return sum(each.quantity for each in fills), sum(each.quantity * each.price_e4 for each in fills)


FILLED = (Answer(Outcome.ACCEPTED, order("new")), FIRST, FIRST, SECOND, order("filled", 3, 93_800))
PARTLY = (Answer(Outcome.ACCEPTED, order("new")), FIRST, CANCELLED, CANCELLED, order("canceled", 1, 31_000))


def test_a_filled_order_is_told_once_in_any_order():
    """Answer, two executions, one of them twice, a look-up: accepted first and once, fills sum to the cent, no end."""
    for said in itertools.permutations(FILLED):
        target = tracked()

        replies = [reply for each in said for reply in take(target, each)]

        kinds = [reply.kind for reply in replies]
        assert kinds[0] is ReplyKind.ACCEPTED, said
        assert kinds.count(ReplyKind.ACCEPTED) == 1, said
        assert sums(replies) == (3, 93_800), said
        assert set(kinds) == {ReplyKind.ACCEPTED, ReplyKind.FILL}, said
        assert target.is_ended


def test_a_cancelled_order_ends_once_after_its_fills():
    """The fill may come after the cancel that states it: it is told before the end all the same."""
    for said in itertools.permutations(PARTLY):
        target = tracked()

        replies = [reply for each in said for reply in take(target, each)]

        kinds = [reply.kind for reply in replies]
        assert sums(replies) == (1, 31_000), said
        assert [kind for kind in kinds if kind in TERMINAL_REPLIES] == [ReplyKind.CANCELLED], said
        assert kinds[-1] is ReplyKind.CANCELLED, said


def test_lost_messages_are_made_good_by_the_next_look():
    """Whatever was lost, and in whatever order the rest came, a look-up tells what is missing to the cent."""
    for count in range(len(FILLED)):
        for said in itertools.permutations(FILLED, count):
            target = tracked()

            replies = [reply for each in [*said, order("filled", 3, 93_800)] for reply in take(target, each)]

            assert sums(replies) == (3, 93_800), said
            assert target.is_ended, said


def test_a_fill_after_the_end_is_told():
    """The broker is believed: what it bought is ours, whatever it said before."""
    target = tracked()
    target.take_update(BrokerUpdate("canceled", order("canceled"), None, None))

    late = target.take_update(FIRST)

    assert sums(late) == (1, 31_000)


def test_an_unknown_outcome_is_told_once_and_resolved_by_a_look():
    """It counts as working until the broker says that it has it."""
    target = tracked()

    lost = [*target.take_answer(Answer(Outcome.UNKNOWN, reason="timed out")), *target.lose("again")]
    found = target.take_order(order("new"))

    assert [reply.kind for reply in lost] == [ReplyKind.UNKNOWN]
    assert [reply.kind for reply in found] == [ReplyKind.ACCEPTED]
    assert not target.is_unknown


def test_a_rejection_of_what_was_accepted_before_changes_nothing():
    """The stream told that it works; an answer that says otherwise is looked into by the next comparison."""
    target = tracked()
    target.take_update(BrokerUpdate("new", order("new"), None, None))

    assert target.take_answer(Answer(Outcome.REJECTED, reason="duplicate")) == []


def test_an_order_given_up_that_works_after_all_is_a_stray():
    """It holds contracts back until it is taken back; a late word about one that the broker ended does not."""
    given_up, ended = tracked(leg=Leg.EXIT), tracked(leg=Leg.EXIT)
    given_up.reject("the broker never had it")
    ended.take_order(order("canceled"))

    given_up.take_order(order("new"))
    ended.take_order(order("new"))

    assert given_up.is_stray
    assert not ended.is_stray


def test_a_restored_order_tells_only_what_is_new():
    """The rows of an earlier process say what was told; ids of executions are not in them, sums are."""
    target = tracked()
    for reply in (Reply(ReplyKind.ACCEPTED, "", 1), Reply(ReplyKind.FILL, "", 1, 1, 31_000)):
        target.restore(reply)

    replies = [*target.take_update(FIRST), *target.take_update(SECOND), *target.take_order(order("filled", 3, 93_800))]

    assert [reply.kind for reply in replies] == [ReplyKind.FILL]
    assert sums(replies) == (2, 62_800)


def test_a_mean_price_that_is_rounded_gives_whole_cents():
    """Three contracts at 3.13, 3.13 and 3.14: the broker says 3.1333; the fills add up to 9.40."""
    target = tracked()

    replies = target.take_order(order("filled", 3, round(3.1333 * 10_000) * 3))

    assert sums(replies) == (3, 94_000)
    assert all(reply.price_e4 % 100 == 0 for reply in replies if reply.kind is ReplyKind.FILL)


@pytest.mark.parametrize(("quantity", "sum_e4"), [(3, 94_000), (1, 12_300), (7, 100), (4, 5), (5, 250_000)])
def test_a_split_adds_up(quantity, sum_e4):
    """At most two prices, next to each other."""
    parts = split_sum(quantity, sum_e4)

    assert sum(part for part, _ in parts) == quantity
    assert sum(part * price_e4 for part, price_e4 in parts) == sum_e4
    assert len(parts) <= 2


def test_a_reply_comes_back_from_its_row():
    """What a row says is all there is of it after a restart."""
    reply = Reply(ReplyKind.FILL, "scalp-1", 5, 2, 31_000, reason="x")

    assert reply_of(reply_body(reply)) == reply
