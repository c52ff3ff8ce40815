"""A whole rehearsed session over real sockets and processes, with everything that may go wrong in it once."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import polars as pl

from tests.simulation.live_process import EAGER, against, cash_of, check_orders, command, exchange, live, made_tape

SPEED = 12
TRADES_MIN = 10
FAULTS = (
    # The first order is taken and answered with 504; look-ups are refused and updates lost until it counts as unknown.
    "lose_answer=rest,on=buy,nth=1,code=504",
    "refuse=rest,path=/v2/orders:by_client_order_id,code=503,count=6",
    "lose_update=trading,on=new,nth=1",
    "lose_update=trading,on=fill,nth=1",
    "reject=rest,on=buy,nth=4,code=403",
    "slice=rest,on=sell,nth=2,contracts=2,count=2",
    "drop=option,at=09:34,duration_s=0.5",
    "drop=stock,at=09:37,duration_s=0.5",
)
SETTINGS = (*EAGER, "live.look_up_s=0.6")
TIMES = ("--until", "09:42", "--flatten-at", "09:41:30", "--no-entry-after", "09:41")


def crash(run):
    """Kill the process while it holds something, and start it again."""
    run.holding()
    run.kill()
    run.start()


def flatten(run):
    """An operator's flatten that finds something held; then entries may begin again."""
    for attempt in range(6):
        run.state_when("a position that has just begun", is_young)
        if attempt < 3:
            assert run.beside("flatten").returncode == 0
        else:
            # This machine starts processes more slowly than the market moves at this speed.
            run.command_now("flatten")
        run.state_when("nothing held", lambda state: not state["positions"] and not state["orders"])
        run.command_now("arm")
        if any(trade["exit_reason"] == "OPERATOR" for trade in run.of_kind("trade")):
            return
    raise AssertionError("nothing was ever held when an operator commanded")


def is_young(state):
    """Whether something was bought in the last seconds of the market and is not being sold."""
    return any(not each["leaving"] and state["now_ns"] - each["opened_ns"] < 5e9 for each in state["positions"])


def seen_in(run):
    """How often the run met each thing that it must have met."""
    decisions = run.decisions()
    kinds = Counter(each["kind"] for each in decisions)
    quantities = {each["order_id"]: each["quantity"] for each in decisions if each["kind"] == "order"}
    parts = Counter(
        each["order_id"]
        for each in decisions
        if each["kind"] == "fill" and each["filled"] < quantities[each["order_id"]]
    )
    ends = Counter(each["exit_reason"] for each in decisions if each["kind"] == "trade")
    return {
        "trades": kinds["trade"],
        "processes": run.processes,
        "gaps": sum(each["kind"] == "gap" and each["phase"] == "begins" for each in decisions),
        "unknown outcomes": kinds["unknown"],
        "orders filled in parts": len(parts),
        "rejects": kinds["rejected"],
        "operator's flattens": sum(each["kind"] == "operator" and each["command"] == "flatten" for each in decisions),
        "trades an operator ended": ends["OPERATOR"],
    }  # fmt: skip


def test_a_rehearsed_session_holds_together(tmp_path):
    """Trades, a crash, a gap, an unknown outcome, parts, a reject, an operator: journal, tape, report, broker agree."""
    tape = made_tape(tmp_path / "served")
    flags = [word for fault in FAULTS for word in ("--fault", fault)]
    with (
        exchange(tape, "--speed", SPEED, *flags) as at,
        live(tmp_path / "live", at.url, *TIMES, settings=SETTINGS) as run,
    ):
        before = at.cash()
        run.start()
        run.state_when("three trades", lambda state: state["result"]["trades"] >= 3)
        crash(run)
        run.state_when("six trades", lambda state: state["result"]["trades"] >= 6)
        flatten(run)
        code = run.wait()
        gained = at.cash() - before
        orders = check_orders(run, at)
        held = at.held()
    assert code == 0, run.said[-3000:]
    seen = seen_in(run)
    assert held == {}
    assert round(cash_of(run), 2) == round(gained, 2)
    sums = run.of_kind("session_end")[0]
    trades = pl.read_parquet(run.folder / "trades.parquet")
    report = json.loads(
        subprocess.run(command("report", run.folder, "--json"), capture_output=True, text=True, check=True).stdout
    )
    assert sums["flat"]
    assert round(sums["gross_e4"] / 10_000, 2) == round(gained, 2)
    assert round(trades["gross_pnl_usd"].sum(), 2) == round(gained, 2)
    assert round(report["figures"]["gross_pnl_usd"], 2) == round(gained, 2)
    assert round(report["figures"]["net_pnl_usd"], 2) == round(sums["net_e4"] / 10_000, 2)
    assert sums["trades"] == trades.height == report["figures"]["trades"] == seen["trades"]
    verified = subprocess.run(
        command("tape", "verify", run.folder / "tape" / "TSLA" / "2026-11-20"), capture_output=True, check=False
    )
    assert verified.returncode == 0, verified.stdout
    proof = against(run)
    assert proof.returncode == 0, proof.stderr
    print(f"{seen}; {dict(orders)}; {gained:.2f} USD before fees by broker, journal, trades and report")
    assert seen["trades"] >= TRADES_MIN
    assert seen.pop("processes") == 2
    assert seen["gaps"] > 2, "two of them are the restart's own"
    assert min(seen.values()) >= 1, seen
