"""The trading process killed, stopped and commanded while it holds something, over real sockets and processes."""

from __future__ import annotations

import random
import signal
import statistics
import time

import pytest

from tests.simulation.live_process import EAGER, LONG_HELD, against, check_orders, exchange, live, made_tape, until

MANAGED_S = 2.0
"""What is asked for on a machine of its own; printed, not held: others work beside this test."""
SPEED = 8


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """Twenty minutes with a burst every two or three."""
    return made_tape(tmp_path_factory.mktemp("served"))


def play_kills(tape, folder, seed, kills):
    """Kill the process at a drawn instant until it held something `kills` times, and start it again each time."""
    chance = random.Random(seed)  # noqa: S311 - when a process dies, no secret
    managed_s, worked_s, held_at_start = [], [], 0
    settings = (*EAGER, "scalp.max_hold_minutes=1")
    with exchange(tape, "--speed", SPEED) as at, live(folder, at.url, settings=settings) as run:
        run.start()
        while held_at_start < kills:
            assert len(managed_s) < 2 * kills, "most kills came when nothing was held"
            run.holding()
            time.sleep(chance.random())
            run.kill()
            held = at.held()
            run.start()
            run.state_when("a process that trades", lambda state: state["is_trading"])
            managed_s.append(time.monotonic() - run.started_s)
            worked_s.append(run.worked_s())
            held_at_start += bool(held)
            until(lambda: run.held() == at.held(), "what the broker holds, known to the process", look_s=0.5)
        trades = len(run.of_kind("trade"))
        until(lambda: len(run.of_kind("trade")) > trades, "a trade that ends by its own rules")
        run.process.send_signal(signal.SIGTERM)
        code = run.wait()
        assert code == 0, run.said[-3000:]
        counts = check_orders(run, at)
        assert at.held() == {}
        ends = {each["exit_reason"] for each in run.of_kind("trade")}
    proof = against(run)
    assert proof.returncode == 0, proof.stderr
    print(
        f"seed {seed}: {len(managed_s)} kills, {held_at_start} with a position, managed after "
        f"{', '.join(f'{each:.1f}' for each in sorted(managed_s))} s, {statistics.median(worked_s):.1f} s of them work of "
        f"the processor ({MANAGED_S:g} asked for); {dict(counts)}; "
        f"{len(run.of_kind('trade'))} trades ended by {sorted(ends)}"
    )


def test_a_killed_process_goes_on_with_its_position(tmp_path, tape):
    """Ten times at drawn instants: what is held is known again, every trade ends, no order is doubled."""
    play_kills(tape, tmp_path / "live", seed=1, kills=10)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 7))
def test_fifty_killed_processes_go_on_with_their_positions(tmp_path, tape, seed):
    """The same, fifty times."""
    play_kills(tape, tmp_path / "live", seed=seed, kills=10)


def test_a_stopped_process_is_replaced_by_its_guard(tmp_path, tape):
    """SIGSTOP: its guard ends it and is flat in its time; the next one knows of the sale, and waits to be armed."""
    timeout_s = 2.0
    settings = (*EAGER, *LONG_HELD, f"live.guard_timeout_s={timeout_s}")
    with exchange(tape, "--speed", 10) as at, live(tmp_path / "live", at.url, settings=settings) as run:
        run.start()
        state = run.holding()
        held = {each["symbol"]: each["quantity"] for each in state["positions"]}
        assert at.held() == held
        stopped_s = time.monotonic()
        run.process.send_signal(signal.SIGSTOP)
        ended_by = run.wait()
        # As a system does that starts it again at once: the guard has the run until it is done.
        run.start()
        until(lambda: run.fence()["phase"] == "done", "the fence's end")
        flat_s = time.monotonic() - stopped_s
        fence = run.fence()
        state = run.state_when("a process that knows of the sale", lambda state: state["result"]["trades"] == 1)
        sold = [order for order in at.orders() if order["side"] == "sell" and int(order["filled_qty"])]
        run.process.send_signal(signal.SIGTERM)
        code = run.wait()
        check_orders(run, at)
        assert at.held() == {}
    assert ended_by == -signal.SIGKILL, "a stopped process must never wake"
    assert state["positions"] == []
    assert not state["is_trading"]
    assert {order["symbol"]: int(order["filled_qty"]) for order in sold} == held
    assert [sale["filled"] for sale in fence["sales"] if sale["filled"]] == list(held.values())
    assert fence["is_flat"]
    assert code == 0, run.said[-3000:]
    proof = against(run)
    assert proof.returncode == 0, proof.stderr
    print(f"flat {flat_s:.1f} s after SIGSTOP; {timeout_s + 10:g} s are allowed at a time-out of {timeout_s:g} s")


def test_kill_is_flat_at_once(tmp_path, tape):
    """At the speed of the market: `live kill` sells what is held, and nothing begins afterwards, over a restart too."""
    with exchange(tape, "--speed", 1) as at, live(
        tmp_path / "live", at.url, settings=(*EAGER, *LONG_HELD)
    ) as run:  # fmt: skip
        run.start()
        run.holding()
        done = run.beside("kill")
        held = at.held()
        assert done.returncode == 0, done.stderr
        run.kill()
        run.start()
        state = run.state_when("a process that is killed", lambda state: state["killed"])
        check_orders(run, at)
    assert state["positions"] == []
    told = next(line for line in done.stderr.splitlines() if "flat after" in line)
    assert held == {}
    print(f"live kill: {told} ({MANAGED_S:g} s asked for)")
    assert (run.out / "KILL").exists()
