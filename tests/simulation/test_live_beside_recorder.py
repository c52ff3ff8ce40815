"""`live run` beside a running `record`: one connection to each feed, the recorder's, and two tapes of the same market."""

from __future__ import annotations

import json
import signal
import subprocess

from scalpcli.cli.live_tap import has_tap
from tests.simulation.live_process import EAGER, against, command, exchange, live, made_tape, until


def test_a_late_start_takes_the_morning_and_then_the_tap(tmp_path):
    """It decides on every row since the open, its own tape holds them, and all of it comes out again."""
    tapes = tmp_path / "tapes"
    settings = (*EAGER, f"record.out={tapes}", "live.guard_timeout_s=0")
    with exchange(made_tape(tmp_path / "served"), "--speed", 20) as at:
        words = ["record", "--rehearse", at.url, "-p", f"record.out={tapes}"]
        recorder = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: has_tap(tapes / "rehearsal", "TSLA", "sip"), "a recorder's tap")
            until(lambda: any((tapes / "rehearsal" / "TSLA").glob(".*.recording/*.log")), "rows on the disk")
            with live(tmp_path / "live", at.url, "--tap", settings=settings) as run:
                run.start()
                state = run.state_when(
                    "rows by the tap", lambda told: told["is_trading"] and told["underlying"]["price"]
                )
                run.process.send_signal(signal.SIGTERM)
                code, said = run.wait(), run.said
                proof = against(run)
                session = run.of_kind("session")[0]
        finally:
            recorder.terminate()
            recorder.communicate(timeout=60)

    assert code == 0, said[-2000:]
    assert state["feed"]["source"] == "tap"
    assert "takes the rows of a running recorder" in said
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert json.loads((run.folder / "manifest.json").read_bytes())["sessions"][0]["rows"] > 0
    assert session["mode"] == "paper"
