"""What one reads at 10:31 when something is wrong."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from scalpcli.cli.live_files import state_of_files
from scalpcli.cli.live_find import look_at
from scalpcli.cli.live_status import blind_to, status_lines, ways_out
from scalpcli.runtime.guard_fence import Fence, Phase, write_fence
from scalpcli.units import NS_PER_S
from tests.live_runs import ENTRY, FILL, make_run, write_journal
from tests.live_samples import NOW_NS, live_state

RUN = "live/paper/TSLA/2025-11-25"
ORDER = {
    "order_id": "scalp-20251125-abc-0001-x1",
    "leg": "exit",
    "side": "sell",
    "symbol": "TSLA251125C00420000",
    "quantity": 3,
    "filled": 1,
    "limit": 1.29,
    "status": "partially_filled",
    "sent_ns": NOW_NS - NS_PER_S,
}


def test_the_position_comes_first_and_the_ways_out_last():
    """What is held and its bid, what rests, what comes next, what is not known, how to get out."""
    assert status_lines(live_state(orders=[ORDER]), RUN) == snapshot(
        [
            "PAPER TSLA 2025-11-25 10:31:07 New York: trading (process 4242, guard 4243 alive)",
            "PAPER",
            "PAPER HELD",
            "PAPER   3 TSLA251125C00420000 at 1.20, bid 1.31, 0.0 s old: +9.17 % (+33.00 USD); stop at bid 1.02, target 1.56, time 10:44:14 (in 787 s)",
            "PAPER",
            "PAPER RESTS AT THE BROKER",
            "PAPER   sell 3 TSLA251125C00420000 limit 1.29, 1 filled, partially_filled (exit, scalp-20251125-abc-0001-x1, sent 10:31:06)",
            "PAPER",
            "PAPER NEXT",
            "PAPER   10:44:14 (in 787 s): leave TSLA251125C00420000",
            "PAPER   15:00:00 (in 16,133 s): last entry",
            "PAPER   15:10:00 (in 16,733 s): sell everything",
            "PAPER",
            "PAPER NOT KNOWN",
            "PAPER   nothing missing",
            "PAPER",
            "PAPER PROTECTIONS",
            "PAPER   open_position closed: 1 against 1",
            "PAPER",
            "PAPER ALARMS",
            "PAPER   09:41:12 trade updates were silent for 4.0 s; asked the broker by REST",
            "PAPER",
            "PAPER TO GET OUT",
            "PAPER   scalpcli live flatten --run live/paper/TSLA/2025-11-25    # sell everything now, no new entries",
            "PAPER   scalpcli live stop --run live/paper/TSLA/2025-11-25       # no new entries; what is held keeps stop, target and time",
            "PAPER   scalpcli live kill --run live/paper/TSLA/2025-11-25       # the same as flatten, and nothing starts again until `live arm`",
            "PAPER   by hand, when none of these answers:",
            "PAPER     1. kill -KILL 4242 4243    # so that nothing of ours sells beside you",
            "PAPER     2. https://app.alpaca.markets/paper/dashboard, account ending 7KQ2",
            "PAPER     3. Orders: cancel every open option order and wait until it says canceled",
            "PAPER     4. Positions: TSLA251125C00420000: Sell 3, limit at the bid (1.31) or market",
        ]
    )


def test_what_is_not_known_is_said():
    """Each blindness in words: the market, a bid, an order, a difference, the updates, the guard, the quotes."""
    state = live_state()
    state["feed"] |= {"open_gaps": ["option_quotes"], "blind": True, "option_feed": "indicative"}
    state["broker"] |= {
        "unknown": ["e1"],
        "differences": [{"symbol": "X", "held": 1, "broker": 0}],
        "updates_ready": False,
    }
    state["guard"] = {"pid": 7, "alive": False}
    state["positions"][0] |= {"quote_ns": NOW_NS - 61 * NS_PER_S}

    assert blind_to(state) == snapshot(
        [
            "the market: no rows of option_quotes",
            "the bid of TSLA251125C00420000: last quote 61 s ago",
            "what became of order e1: it is looked up",
            "a difference with the broker: X: held 1, broker 0",
            "order updates: their stream is down; orders are looked up instead",
            "the guard: its process is gone; nobody sells when this process stops answering",
            "real option quotes: these are INDICATIVE, not the NBBO",
        ]
    )


def test_a_position_without_a_quote_shows_no_number():
    """No old bid is shown as if it were one."""
    state = live_state()
    state["positions"][0] |= {"bid": None, "quote_ns": None, "pnl_usd": None, "pnl_pct": None}

    held = next(line for line in status_lines(state, RUN) if "at 1.20" in line)

    assert "bid unknown: unknown % (unknown USD)" in held
    assert blind_to(state)[0] == "the bid of TSLA251125C00420000: no quote"


def test_live_money_is_on_every_line():
    """Whatever is copied from it says whose money it is."""
    lines = status_lines(live_state(mode="live"), RUN)

    assert all(line.startswith("LIVE") for line in lines)
    assert any("app.alpaca.markets/dashboard" in line for line in lines)


def test_a_shadow_has_nothing_at_the_broker():
    """No steps by hand for orders that do not exist."""
    assert ways_out(live_state(mode="shadow"), RUN)[-1] == "nothing is at the broker: SHADOW sends no orders"


def test_a_rehearsal_has_no_dashboard():
    """Nobody looks for its orders at Alpaca."""
    lines = status_lines(live_state(), RUN, is_rehearsal=True)

    assert lines[-1] == "PAPER   nothing is at Alpaca: this is a rehearsal, and ends with its local exchange"


def test_paths_can_be_pasted():
    """Into a shell, whatever they hold."""
    assert "--run 'my runs/TSLA'" in ways_out(live_state(), "my runs/TSLA")[0]


def test_without_a_process_the_files_tell(tmp_path):
    """What the journal says is held, what may still work, and that nobody minds it."""
    folder = make_run(tmp_path)
    write_journal(folder, ENTRY, FILL, {**ENTRY, "n": 3, "order_id": "scalp-20261120-abc-0001-e1", "signal": 1})

    state = state_of_files(look_at(folder))

    assert [(each["symbol"], each["quantity"], each["bid"]) for each in state["positions"]] == [
        (ENTRY["symbol"], 2, None)
    ]
    assert [order["order_id"] for order in state["orders"]] == ["scalp-20261120-abc-0001-e1"]
    assert status_lines(state, str(folder))[0] == (
        "PAPER TSLA 2026-11-20 unknown New York: no process (no process, no guard)"
    )
    assert "the market: no rows of the feed" in blind_to(state)


@pytest.mark.parametrize(("at_ns", "held"), [(FILL["ts_ns"] + 1, {}), (FILL["ts_ns"] - 1, {ENTRY["symbol"]: 2})])
def test_what_the_guard_sold_since_is_not_told_to_be_sold_by_hand(tmp_path, at_ns, held):
    """Whoever sold it once more by hand would be short; lines of an engine that went on count more than the fence."""
    folder = make_run(tmp_path)
    write_journal(folder, ENTRY, FILL, {**ENTRY, "n": 3, "order_id": "scalp-20261120-abc-0001-e1", "signal": 1})
    write_fence(folder, Fence(1, Phase.DONE, "the engine did not answer", at_ns, is_flat=True))

    state = state_of_files(look_at(folder))

    assert {each["symbol"]: each["quantity"] for each in state["positions"]} == held
    assert bool(state["orders"]) == bool(held)
    assert any(ENTRY["symbol"] in step for step in ways_out(state, RUN)) == bool(held)


def test_a_guard_that_is_gone_is_not_to_be_killed():
    """Its number may be another process's by now."""
    state = live_state()
    state["guard"]["alive"] = False

    assert any(f"kill -KILL {state['pid']} " in step for step in ways_out(state, RUN))


@pytest.mark.parametrize("text", ["", "{", '{"phase": 1}'])
def test_a_fence_that_cannot_be_read_is_an_alarm(tmp_path, text):
    """Nobody knows then what the guard sold; the rest is still told."""
    folder = make_run(tmp_path)
    (folder / "fence.json").write_text(text, encoding="utf-8")

    state = state_of_files(look_at(folder))

    assert "nobody knows what the guard sold" in state["alarms"][0]["text"]
