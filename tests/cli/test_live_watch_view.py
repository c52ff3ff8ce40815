"""What `live watch` shows of a snapshot: whole screens, and the rules each of their parts keeps."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from scalpcli.cli.live_watch_layout import Watched, screen, snapshot_lines
from scalpcli.cli.live_watch_stories import stories
from scalpcli.cli.live_watch_text import plain
from tests.live_samples import CALL, CLOSE_NS, FILL, NOW_NS, OPEN_NS, SIGNAL, at, flat_state, gate, live_state


def shown(state, width=80, height=24, **known) -> str:
    return plain(screen(Watched(state, **known), width, height))


def told(decisions) -> list[str]:
    return [plain([story.told()]).rstrip("\n") for story in stories(decisions)]


def test_a_paper_session_that_holds_a_call_at_80_columns():
    """Everything that is asked for fits a terminal of 80 by 24."""
    assert shown(live_state()) == snapshot("""\
 PAPER …7KQ2  TSLA 2025-11-25  trading           10:31:07 NY  closes in 5:28:52
TSLA 419.84  419.82 x 419.86  VWAP 418.11 ±0.91 +0.41 %  415.60 to 420.02
levels  416.20 opening range  419.10 opening range  ▸  420.02 swing
                 5 s      15 s      30 s      60 s  volume 1.74 x
momentum      +0.021    +0.104    +0.310         -  % moved
velocity     +0.0043   +0.0070   +0.0103         -  % a second
POSITION ───────────────────────────────────────────────────────────────────────
3 TSLA251125C00420000    +33.00 USD   +9.2 %  bid 1.31 ask 1.33 paid 1.20
stop 1.02 ───────────────────┼───────────◆────────────────────────── 1.56 target
time exit in 13:07 ██████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ at 10:44:14
result  +85.64 made  +33.00 open  trades 1  2.36 fees  50,118.64 USD equity
gates  ● protections  ● session_window  ● market  ● daily_count  ✗ open_position
       ● pace  ● freshness  ● enabled  open_position 1 / 1
protections  ● daily_loss -85.6 / 500  ● loss_streak 0 / 3
SIGNALS ────────────────────────────────────────────────────────────────────────
10:31:05  breakout call         refused: open_position 1 / 1
10:29:14  momentum_burst call   bought 3 at 1.20
10:24:50  momentum_burst put    refused: halt 12 / 30 (resumed)
10:18:22  vwap_rejection call   missed: spread 6.3 / 5 (TSLA251125C00417500), 1…
09:41:12  ! trade updates were silent for 4.0 s; asked the broker by REST
feed  tap sip/opra  lag   12 ms  gaps none  4,812 rows/s  late   2.1 ms
broker  compared   1 s ago  updates yes  differences none  guard alive
next  10:44:14 leave TSLA251125C00420000  15:00:00 last entry
 q leave  f flatten  s stop entries  k kill
""")


def test_the_same_at_140_columns():
    """Two columns over signals and alarms."""
    assert shown(live_state(), 140, 40) == snapshot("""\
 PAPER …7KQ2  TSLA 2025-11-25  trading                                                                       10:31:07 NY  closes in 5:28:52
MARKET ─────────────────────────────────────────────────────────────────────  GATES ────────────────────────────────────────────────────────
TSLA 419.84  419.82 x 419.86  VWAP 418.11 ±0.91 +0.41 %  415.60 to 420.02     ● protections           ● session_window
levels  416.20 opening range  419.10 opening range  ▸  420.02 swing           ● market                ● daily_count
                 5 s      15 s      30 s      60 s  volume 1.74 x             ✗ open_position         ● pace
momentum      +0.021    +0.104    +0.310         -  % moved                   ● freshness             ● enabled
velocity     +0.0043   +0.0070   +0.0103         -  % a second                closed  open_position 1 / 1
POSITION ───────────────────────────────────────────────────────────────────  PROTECTIONS ──────────────────────────────────────────────────
3 TSLA251125C00420000    +33.00 USD   +9.2 %  bid 1.31 ask 1.33 paid 1.20     ● daily_loss -85.6 / 500  ● loss_streak 0 / 3
stop 1.02 ──────────────────┼─────────◆───────────────────────── 1.56 target  FEED AND BROKER ──────────────────────────────────────────────
time exit in 13:07 ██████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ at 10:44:14  feed  tap sip/opra  lag   12 ms  gaps none  4,812 rows/s
result  +85.64 made  +33.00 open  trades 1  2.36 fees  50,118.64 USD equity         late   2.1 ms
next  10:44:14 leave TSLA251125C00420000  15:00:00 last entry                 broker  compared   1 s ago  updates yes  differences none
                                                                                      guard alive
SIGNALS ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
10:31:05  breakout call         refused: open_position 1 / 1
10:29:14  momentum_burst call   bought 3 at 1.20
10:24:50  momentum_burst put    refused: halt 12 / 30 (resumed)
10:18:22  vwap_rejection call   missed: spread 6.3 / 5 (TSLA251125C00417500), 11 x
10:11:02  breakout put          bought 2 at 1.45; TAKE_PROFIT +30.3 % +88.00 USD
ALARMS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
09:41:12  ! trade updates were silent for 4.0 s; asked the broker by REST

















 q leave  f flatten  s stop entries  k kill
""")


def test_a_shadow_session_with_nothing_held():
    """The banner says that nothing is sent; the position's place says that there is none."""
    text = shown(flat_state(mode="shadow", account=None, guard=None))

    assert text.splitlines()[0] == snapshot(
        " SHADOW: NOTHING IS SENT  TSLA  trading          10:31:07 NY  closes in 5:28:52"
    )
    assert text.splitlines()[7] == snapshot("nothing held")


def test_real_money_is_said_in_words():
    """No colour is needed to see which mode it is."""
    first = shown(live_state(mode="live")).splitlines()[0]

    assert first == snapshot(" LIVE: REAL MONEY …7KQ2  TSLA  trading           10:31:07 NY  closes in 5:28:52")


def test_the_banner_is_reversed_over_its_whole_width():
    """Its role is the mode's name from the first cell to the last."""
    banners = {mode: screen(Watched(live_state(mode=mode)), 80, 24)[0] for mode in ("shadow", "paper", "live")}

    assert {mode: [span.role for span in banner] for mode, banner in banners.items()} == {
        "shadow": ["shadow"],
        "paper": ["paper"],
        "live": ["live"],
    }


def test_everything_that_is_wrong_stands_below_the_banner():
    """One line each, before any number."""
    state = live_state(
        killed=True,
        feed={"open_gaps": ["stock_trade", "option_quote"], "blind": True},
        broker={"differences": [f"{CALL}: we hold 3, the broker 2"], "updates_ready": False, "unknown": ["x-1-e-1"]},
        guard={"pid": 4243, "alive": False},
    )

    lines = shown(state).splitlines()

    assert lines[1:7] == snapshot(
        [
            "! KILLED: everything is sold and nothing is bought; `scalpcli live arm` ends it",
            "! BLIND: stock_trade, option_quote",
            "! THE BROKER HOLDS SOMETHING ELSE: TSLA251125C00420000: we hold 3, the broker 2",
            "! OUTCOME UNKNOWN: x-1-e-1",
            "! NO ORDER UPDATES: the broker is asked instead",
            "! THE GUARD IS GONE: nobody sells when this process hangs",
        ]
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stopped": True}, "! STOPPED: nothing is bought; `scalpcli live arm` ends it"),
        ({"is_trading": False}, "! NO ENTRIES NOW: what stands against them is told by the alarms and the log"),
        ({"is_trading": False, "phase": "waiting"}, None),
        ({"mode": "shadow", "broker": {"updates_ready": False}}, None),
    ],
)
def test_a_notice_stands_only_while_it_holds(changes, words):
    """What is normal (waiting for the open, no updates in SHADOW) is no news."""
    lines = shown(live_state(**changes)).splitlines()

    assert [line for line in lines if line.startswith("!")] == ([words] if words else [])


def test_before_the_first_numbers_everything_is_unknown():
    """A process that waits for the open knows its mode and the time; nothing on the screen fails for it."""
    state = {"mode": "paper", "symbol": "TSLA", "session": "2025-11-25", "now_ns": at("09:25:00"), "phase": "waiting"}

    assert shown(state | {"open_ns": OPEN_NS, "close_ns": CLOSE_NS}) == snapshot("""\
 PAPER  TSLA 2025-11-25  waiting                     09:25:00 NY  opens in 5:00
TSLA -  - x -  VWAP -  - to -
levels  none yet
                 5 s      15 s      30 s      60 s  volume - x
momentum           -         -         -         -  % moved
velocity           -         -         -         -  % a second
POSITION ───────────────────────────────────────────────────────────────────────
nothing held
result  - made  - open  trades -  - fees  - USD equity
gates
protections
SIGNALS ────────────────────────────────────────────────────────────────────────
none yet
feed  - -/-  lag    - ms  gaps none      - rows/s  late     - ms
broker  compared   - s ago  updates -  differences none  guard none








 q leave  f flatten  s stop entries  k kill
""")


def drop(value, keep):
    """The value with whatever `keep` says no to as `None`."""
    if isinstance(value, dict):
        # A level that is told has its kind and price.
        return {
            name: (part if keep() else []) if name == "levels" else drop(part, keep) for name, part in value.items()
        }
    if isinstance(value, list):
        return [drop(part, keep) for part in value]
    return value if keep() else None


REQUIRED = ("mode", "symbol", "session", "now_ns", "open_ns", "close_ns", "decisions", "phase")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(1, 200), height=st.integers(1, 60))
def test_any_screen_is_exactly_as_large_as_the_terminal(data, width, height):
    """Whatever is unknown, and however small the terminal: no line is longer, none is missing."""
    state = live_state()
    chance = data.draw(st.randoms(use_true_random=False))
    partly = {
        name: value if name in REQUIRED else drop(value, lambda: chance.random() < 0.7) for name, value in state.items()
    }

    lines = screen(Watched(partly), width, height)

    assert [sum(len(span.text) for span in line) for line in lines] == [width] * height


def test_the_line_of_keys_is_always_the_last():
    """On the smallest terminal too, one can see how to leave."""
    lines = [shown(live_state(), 80, height).splitlines()[-1] for height in (1, 5, 24, 60)]

    assert lines == [" q leave  f flatten  s stop entries  k kill"] * 4


def test_position_and_result_give_way_last():
    """On 15 lines, signals and alarms are gone; what is held stands where it stood."""
    lines = shown(live_state(), 80, 15).splitlines()

    assert any(line.startswith(f"3 {CALL}") for line in lines)
    assert any(line.startswith("result") for line in lines)
    assert not any("SIGNALS" in line for line in lines)


def changed(before: str, after: str) -> list[int]:
    """Lines that differ."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [number for number, (one, other) in enumerate(pairs) if one != other]


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_a_moment_later_only_the_clocks_differ(size):
    """What did not change looks the same: the time, the bell and the time exit are on two lines."""
    before = live_state()
    # A whole second, and the ages that are told stay as they are.
    after = copy.deepcopy(before) | {"now_ns": NOW_NS + 1_000_000_000}
    after["broker"]["reconciled_ns"] += 1_000_000_000

    lines = changed(shown(before, *size), shown(after, *size))

    assert len(lines) == 2


def test_a_gate_that_closes_moves_no_other_light():
    """In two columns each light keeps its place, also when a group names the gate that closed."""
    before = live_state()
    after = copy.deepcopy(before)
    after["gates"][6] = gate("underlying_price_age", 2_310.0, 2_000.0, is_open=False)

    one, other = (shown(state, 140, 40).splitlines() for state in (before, after))

    assert len([1 for a, b in zip(one[2:6], other[2:6], strict=True) if a != b]) == 1


def test_an_old_price_is_marked():
    """A price of seven seconds ago is no price."""
    state = live_state()
    state["underlying"]["price_ns"] = NOW_NS - 7_400_000_000
    state["positions"][0]["quote_ns"] = NOW_NS - 9_000_000_000

    text = shown(state)

    assert "TSLA 419.84  7 s old" in text
    assert "9 s old" in text


def test_a_position_without_a_bid_says_so():
    """Whoever must sell now meets no buyer: no mark on the track."""
    state = live_state()
    state["positions"][0] |= {
        "bid": None,
        "pnl_usd": -360.0,
        "pnl_pct": -100.0,
        "leaving": "STOP_LOSS",
        "exit_tries": 2,
    }

    lines = [line for line in shown(state).splitlines() if "◆" in line or CALL in line or "leaving" in line]

    assert lines == snapshot(
        [
            "3 TSLA251125C00420000   -360.00 USD -100.0 %  bid - ask 1.33 paid 1.20",
            "leaving: STOP_LOSS, try 2",
            "next  10:44:14 leave TSLA251125C00420000  15:00:00 last entry",
        ]
    )


def test_orders_that_work_are_shown():
    """With what was filled and how long they have been out."""
    state = flat_state(
        orders=[
            {
                "order_id": "20251125-7f3a-2-e-1",
                "broker_id": None,
                "signal": 2,
                "leg": "entry",
                "symbol": CALL,
                "side": "buy",
                "quantity": 3,
                "filled": 1,
                "limit": 1.22,
                "status": "sending",
                "sent_ns": NOW_NS - 2_000_000_000,
            }
        ]
    )

    assert [line for line in shown(state).splitlines() if line.startswith("order")] == snapshot(
        ["order entry buy 3 TSLA251125C00420000 at 1.22 sending, 1 filled, 2 s  20251125-…"]
    )


def test_a_process_that_does_not_answer_is_called_so():
    """Its numbers are old: that stands below the banner, in place of nothing else."""
    lines = shown(live_state(), silent_s=3.4).splitlines()

    assert lines[1] == " OLD NUMBERS: THE ENGINE DOES NOT ANSWER for 3 s"


def test_a_process_that_ended_is_called_so():
    """With the words of whoever looked for it."""
    lines = shown(live_state(), waiting="the process ended or restarts").splitlines()

    assert lines[1] == " OLD NUMBERS: the process ended or restarts"


def test_without_any_process_the_reason_is_shown():
    """Nothing is known yet, and why."""
    assert shown(None, 60, 4, waiting="no run is there") == snapshot("""\
 scalpcli live watch
 no run is there

 q leave  f flatten  s stop entries  k kill
""")


def test_a_question_takes_the_place_of_the_keys():
    """So that nobody presses one of them by mistake."""
    last = shown(live_state(), question="KILL PAPER TSLA: sell everything?").splitlines()[-1]

    assert last == " KILL PAPER TSLA: sell everything?  y = yes, other keys = no"


def test_words_of_others_cannot_move_the_cursor():
    """A broker's text may hold anything; one character stays one cell."""
    state = live_state(alarms=[{"ts_ns": NOW_NS, "text": "re\x1b[2Jjected\r\n\t幅 e\u0301\u202e"}])

    text = shown(state)

    assert "! re?[2Jjected   ? e??" in text
    assert "\x1b" not in text


def test_one_snapshot_leaves_nothing_out():
    """In a mail there is room for all: every alarm, every signal."""
    alarms = [{"ts_ns": NOW_NS + number, "text": f"alarm {number}"} for number in range(20)]

    text = plain(snapshot_lines(live_state(alarms=alarms), 80))

    assert all(f"alarm {number}\n" in text for number in range(20))
    assert "10:11:02  breakout put" in text


def test_a_story_begins_with_its_trigger_and_ends_with_its_verdict():
    """From seen over signal, order and fill to the result; each step says what stands now."""
    order = {
        "ts_ns": SIGNAL["ts_ns"], "kind": "order", "order_id": "x", "signal": 1, "leg": "entry", "try": 1,
        "symbol": CALL, "side": "buy", "quantity": 3, "limit_e4": 12_000, "bid_e4": 1, "ask_e4": 1, "reason": "signal",
    }  # fmt: skip
    sell = order | {"leg": "exit", "side": "sell", "limit_e4": 0, "reason": "STOP_LOSS", "try": 3}
    sold = FILL | {"leg": "exit", "quantity": 2, "filled": 2, "held": 1, "price_e4": 10_100}
    leaving = {"ts_ns": 1, "kind": "exit", "signal": 1, "reason": "STOP_LOSS", "pnl_pct": -15.8}
    steps = [live_state()["decisions"][-5], SIGNAL, order, FILL, leaving, sell, sold]

    last = [told(steps[: number + 1])[0].split("  ", 2)[2].strip() for number in range(len(steps))]

    assert last == snapshot(
        [
            "seen",
            "signal: 3 TSLA251125C00420000 at 1.20, confidence 78",
            "buying 3 at 1.20, try 1 (signal)",
            "bought 3 at 1.20",
            "bought 3 at 1.20; leaving: STOP_LOSS -15.8 %",
            "bought 3 at 1.20; selling 3 at the market, try 3 (STOP_LOSS)",
            "bought 3 at 1.20; sold 2 at 1.01, 1 still held",
        ]
    )


def test_a_signal_whose_beginning_is_gone_is_told_by_its_number():
    """The snapshot holds the last thirty decisions; a position may be older."""
    assert told([FILL]) == snapshot(["10:29:14  signal 1              bought 3 at 1.20"])


def test_events_of_the_session_are_stories_too():
    """Commands, gaps, halts and differences explain why nothing was bought."""
    events = [
        {"ts_ns": at("10:00:00"), "kind": "operator", "command": "stop"},
        {"ts_ns": at("10:00:01"), "kind": "gap", "phase": "begins", "channels": ["stock_trade"], "start_ns": 1},
        {"ts_ns": at("10:00:02"), "kind": "halt", "phase": "begins", "symbol": "TSLA"},
        {"ts_ns": at("10:00:03"), "kind": "live", "phase": "pauses", "reason": "the broker is silent"},
        {
            "ts_ns": at("10:00:04"), "kind": "reconcile", "symbol": CALL, "action": "adopt", "held": 3, "broker": 2,
            "price_e4": 0, "applied": True, "reason": "sold by hand",
        },
        {"ts_ns": at("10:00:05"), "kind": "do_not_exercise", "symbol": CALL, "held": 1},
        {"ts_ns": at("10:00:06"), "kind": "session", "mode": "paper"},
    ]  # fmt: skip

    assert told(events) == snapshot(
        [
            "10:00:05  do not exercise       1 TSLA251125C00420000 expire today",
            "10:00:04  reconcile             adopt: TSLA251125C00420000: we hold 3, the broker says 2 (sold by hand)",
            "10:00:03  live                  pauses: the broker is silent",
            "10:00:02  halt                  begins: TSLA",
            "10:00:01  gap                   begins: stock_trade",
            "10:00:00  operator              stop",
        ]
    )
