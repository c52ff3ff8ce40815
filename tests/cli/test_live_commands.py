"""`scalpcli live status`, `stop`, `flatten`, `kill` and the like, on a running process and without one."""

from __future__ import annotations

import json
import threading

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.runtime.run_lock import RunLock, this_process
from tests.live_runs import ENTRY, FILL, FakeTrader, make_run, trading, write_journal
from tests.live_samples import flat_state, live_state


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """The tester's keys and settings stay out of it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


def call(*words, out):
    return CliRunner().invoke(app, ["live", *map(str, words), "--out", str(out)], prog_name="scalpcli")


def test_status_is_the_running_processs_word(tmp_path):
    """As text for people, and whole as JSON."""
    folder = make_run(tmp_path)
    with trading(folder, FakeTrader(live_state())):
        text, plain = call("status", out=tmp_path), json.loads(call("status", "--json", out=tmp_path).stdout)

    assert text.exit_code == 0
    assert "3 TSLA251125C00420000 at 1.20, bid 1.31" in text.stdout
    assert (plain["source"], plain["state"]["positions"][0]["quantity"]) == ("process", 3)
    assert plain["ways_out"][0].startswith("scalpcli live flatten --run")


def test_status_without_a_process_is_the_files_word(tmp_path):
    """And says so first."""
    write_journal(make_run(tmp_path), ENTRY, FILL)

    done = call("status", out=tmp_path)

    assert done.stdout.startswith("PAPER no process trades it: what follows is what the files in")
    assert "2 TSLA261120C00400000 at unknown, bid unknown" in done.stdout


def test_a_process_that_holds_the_run_and_is_silent_is_named(tmp_path):
    """That is what one wants to know first, and whom to end."""
    folder = make_run(tmp_path)
    lock = RunLock(folder)
    lock.acquire()
    lock.tell(this_process().__class__(this_process().pid, this_process().started, str(tmp_path / "nobody")))

    done = call("status", out=tmp_path)

    lock.release()
    assert f"PROCESS {this_process().pid} HOLDS THE RUN AND DOES NOT ANSWER" in done.stdout
    assert f"kill -KILL {this_process().pid}" in done.stdout


@pytest.mark.parametrize("command", ["stop", "arm"])
def test_a_command_reaches_the_process(tmp_path, command):
    """Once, by its name."""
    trader = FakeTrader(flat_state())
    with trading(make_run(tmp_path), trader):
        done = call(command, out=tmp_path)

    assert (done.exit_code, trader.commands) == (0, [command])
    assert done.stderr.startswith(f"PAPER {command}: taken by process ")


def test_flatten_waits_until_it_is_flat(tmp_path):
    """What is printed is what was seen, not what was asked for."""
    trader = FakeTrader(live_state())
    with trading(make_run(tmp_path), trader):
        done = call("flatten", out=tmp_path)

    assert (done.exit_code, trader.commands) == (0, ["flatten"])
    assert "PAPER flat after" in done.stderr


def test_flatten_that_does_not_get_flat_leaves_with_8(tmp_path):
    """With what is still held, and where every way out stands."""
    with trading(make_run(tmp_path), FakeTrader(live_state(), gets_flat=False)):
        done = call("flatten", "--wait", "0.2", out=tmp_path)

    assert done.exit_code == 8
    assert "not flat after 0.2 s: 3 TSLA251125C00420000" in done.stderr
    assert "live status --run" in done.stderr


def test_a_process_that_ends_when_it_is_flat_is_flat(tmp_path):
    """Its files tell then; nobody waits for an answer that cannot come."""
    folder = make_run(tmp_path)
    write_journal(folder, ENTRY, FILL, {**FILL, "n": 3, "leg": "exit", "held": 0})
    trader = FakeTrader(live_state(), gets_flat=False)
    with trading(folder, trader) as end:
        leaving = threading.Thread(target=lambda: (trader.asked_after.wait(20), end()))
        leaving.start()
        done = call("flatten", "--wait", "20", out=tmp_path)
        leaving.join()

    assert (done.exit_code, "PAPER flat after" in done.stderr) == (0, True), done.stderr


def test_kill_writes_the_file_and_commands(tmp_path):
    """The file first: it holds even where the process does not answer."""
    trader = FakeTrader(live_state())
    with trading(make_run(tmp_path), trader):
        done = call("kill", out=tmp_path)

    assert (done.exit_code, trader.commands) == (0, ["kill"])
    assert (tmp_path / "KILL").exists()


def test_kill_without_a_process_writes_the_file(tmp_path):
    """And says what is left to do."""
    make_run(tmp_path)

    done = call("kill", out=tmp_path)

    assert (done.exit_code, (tmp_path / "KILL").exists()) == (0, True)
    assert "`scalpcli live flatten` sells" in done.stderr


def test_arm_takes_the_kill_file_away_first(tmp_path):
    """While it lies there the process would be killed again."""
    trader = FakeTrader(flat_state())
    (tmp_path / "KILL").touch()
    with trading(make_run(tmp_path), trader):
        call("arm", out=tmp_path)

    assert (trader.commands, (tmp_path / "KILL").exists()) == (["arm"], False)


@pytest.mark.parametrize("command", ["stop", "arm", "reconcile"])
def test_a_command_that_needs_a_process_says_so(tmp_path, command):
    """Exit 6, with what works without one."""
    make_run(tmp_path)

    done = call(command, out=tmp_path)

    assert done.exit_code == 6
    assert f"no process trades PAPER now: nothing can {command}" in done.stderr
    assert "scalpcli live positions" in done.stderr


def test_reconcile_shows_what_was_found(tmp_path):
    """Differences line by line, or that there are none."""
    trader = FakeTrader(flat_state())
    with trading(make_run(tmp_path), trader):
        equal = call("reconcile", out=tmp_path)
        trader.found = {"differences": [{"symbol": "X", "held": 2, "broker": 0}]}
        differs = call("reconcile", out=tmp_path)

    assert equal.stdout.startswith("PAPER no difference")
    assert differs.stdout == "PAPER differs: X: held 2, broker 0\n"


@pytest.mark.parametrize(("what", "symbol"), [("positions", "TSLA251125C00420000"), ("orders", "TSLA251125C00420000")])
def test_positions_and_orders_are_rows(tmp_path, what, symbol):
    """With the mode in the table's head and in the JSON."""
    order = {"order_id": "x1", "leg": "exit", "side": "sell", "symbol": symbol, "quantity": 3, "filled": 0}
    with trading(make_run(tmp_path), FakeTrader(live_state(orders=[order]))):
        table, plain = call(what, out=tmp_path), json.loads(call(what, "--json", out=tmp_path).stdout)

    assert table.stdout.startswith(f"PAPER {what} of ")
    assert symbol in table.stdout
    assert (plain["mode"], plain[what][0]["symbol"], plain[what][0]["quantity"]) == ("PAPER", symbol, 3)


def test_no_run_leaves_with_4(tmp_path):
    """With how one is begun."""
    done = call("status", out=tmp_path)

    assert done.exit_code == 4
    assert "scalpcli live run" in done.stderr
