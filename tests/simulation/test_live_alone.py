"""`live flatten`, `positions`, `orders` and leaving at once, over sockets, where no process is there to ask."""

from __future__ import annotations

import json
import signal

import pytest

from tests.simulation.live_process import EAGER, LONG_HELD, against, exchange, live, made_tape, until

# No guard: it would sell first.
ALONE = (*EAGER, *LONG_HELD, "live.guard_timeout_s=0")


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    return made_tape(tmp_path_factory.mktemp("tapes"))


def test_what_a_dead_process_holds_is_sold_from_another_shell(tmp_path, tape):
    """The broker is asked itself; what was sold is fenced off, so that a run that goes on knows it and waits for arm."""
    with exchange(tape, "--speed", 10) as at, live(tmp_path / "live", at.url, settings=ALONE) as run:
        run.start()
        run.holding()
        run.kill()
        held = at.held()
        seen = run.beside("positions", "--json")
        done = run.beside("flatten")
        after = run.beside("positions", "--json")
        run.start()
        state = run.state_when("trading again", lambda told: told["broker"]["reconciled_ns"])
        said = run.said

    assert {each["symbol"] for each in json.loads(seen.stdout)["positions"]} == set(held) != set()
    assert done.returncode == 0, done.stderr
    assert "flat: the broker says" in done.stderr
    assert json.loads(after.stdout)["positions"] == state["positions"] == []
    assert "no entries until `scalpcli live arm`" in said


def test_a_run_that_holds_something_is_not_set_aside(tmp_path, tape):
    """Its guard leaves with the folder, and the next run refuses what is not its own: nobody would sell it."""
    with exchange(tape, "--speed", 10) as at, live(tmp_path / "live", at.url, settings=ALONE) as run:
        run.start()
        run.holding()
        run.kill()
        run.words = ("--no-resume",)
        run.start()
        refused = run.wait()
        folders = [path.name for path in run.folder.parent.iterdir()]
        sold = run.beside("flatten")
        run.start()
        run.state_when("trading", lambda told: told["phase"] == "trading")
        later = sorted(path.name for path in run.folder.parent.iterdir())

    assert refused == 2, run.said[-3000:]
    assert "at the broker: set aside, nobody would mind it" in run.said
    assert folders == ["2026-11-20"]
    assert sold.returncode == 0, sold.stderr
    assert later == ["2026-11-20", "2026-11-20.1"]


def test_the_second_signal_leaves_at_once_and_tells_what_is_held(tmp_path, tape):
    """Exit 8 with the ways out; the next start goes on with the position, and every decision comes out again."""
    with exchange(tape, "--speed", 10) as at, live(tmp_path / "live", at.url, settings=ALONE) as run:
        run.start()
        run.holding()
        run.process.send_signal(signal.SIGSTOP)
        # Both are there when it wakes: no time to sell between them.
        run.process.send_signal(signal.SIGINT)
        run.process.send_signal(signal.SIGTERM)
        run.process.send_signal(signal.SIGCONT)
        code, held = run.wait(), at.held()
        proof = against(run)
        run.start()
        state = run.state_when("the position", lambda told: told["phase"] == "trading")
        run.process.send_signal(signal.SIGTERM)
        again = run.wait()
        flat = until(lambda: not at.held(), "flat")

    # The first signal's sale may be filled behind it.
    assert code == 8 or not held, run.said[-3000:]
    assert code != 8 or "scalpcli live flatten --run" in run.said
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert state["mode"] == "paper"
    assert (again, flat) == (0, True)
