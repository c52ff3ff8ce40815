"""Scans of tapes for tests, and what a replay takes when it is forced to signal."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from pathlib import Path
from unittest import mock

import pytest

from scalpcli.core.engine import Engine
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.signals import MOMENTUM_BURST, Episode
from scalpcli.model.params import Params
from scalpcli.model.session import ns_to_new_york
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.replay import ReplayOptions, replay_session
from scalpcli.scan.expiries import choose_expiries
from scalpcli.scan.moment import play
from scalpcli.scan.rank import Query, scan
from scalpcli.scan.sources import file_feed, tape_feed

ROOT = Path(__file__).resolve().parents[1]
TAPE = ROOT / "examples" / "tapes" / "TSLA" / "2026-11-20"


def shared(*parts):
    """A file of the recorded data beside the project; its absence skips the test."""
    folder = Path(os.environ.get("SCALPCLI_SHARED") or ROOT.parent / "shared")
    path = folder.joinpath("data", *parts)
    if not path.exists():
        pytest.skip(f"recorded data is absent: {path}; set SCALPCLI_SHARED to the folder that holds `data`")
    return path


def params_with(**sections):
    """Settings with some values of some sections changed."""
    params = Params()
    changed = {section: dataclasses.replace(getattr(params, section), **values) for section, values in sections.items()}
    return dataclasses.replace(params, **changed)


OPEN = params_with(
    scalp={
        "min_signal_interval_seconds": 0.0,
        "cooldown_after_loss_minutes": 0.0,
        "max_daily_scalps": 10_000,
        "max_concurrent_scalps": 100,
    },
    gates={
        "underlying_silence_ms_max": 7_200_000,
        "underlying_price_age_ms_max": 7_200_000,
        "option_silence_ms_max": 7_200_000,
        "underlying_spread_pct_max": 100.0,
        "last_entry_before_close_minutes": 0.0,
        "gap_quiet_s": 0.0,
        "halt_quiet_s": 0.0,
    },
    exits={"flatten_before_close_minutes": 0.0},
    risk={"starting_equity_usd": 1e9, "order_value_usd_max": 1e9},
)
"""Nothing but the contract decides whether a forced signal is made."""


def scan_tape(path, at, params=OPEN, query=None, expiry=""):
    """The scan of a tape at an instant."""
    feed = tape_feed(path, at)
    return scan_feed(feed, params, query, expiry)


def scan_file(path, at="", params=OPEN, query=None, expiry="", date=None, symbol=""):
    """The scan of a file of snapshots at an instant."""
    return scan_feed(file_feed(path, (), at, symbol, date), params, query, expiry)


def scan_feed(feed, params, query=None, expiry=""):
    expiries = choose_expiries(params, feed.instruments, feed.session.date, expiry)
    return scan(play(feed, expiries.params, (), load_kernel()), query or Query(), expiries)


def random_instants(session, count, seed, interval_ms=200, last_minutes=5.0):
    """Instants of the session's grid, in order."""
    last = int((session.close_ns - session.open_ns) / 1e6 - last_minutes * 60_000) // interval_ms
    picked = sorted(random.Random(seed).sample(range(1, last), count))  # noqa: S311 - a seeded choice of instants
    return [session.open_ns + step * interval_ms * 1_000_000 for step in picked]


def forced_by_replay(path, instants, params=OPEN):
    """What a replay of the tape takes when a call and a put are forced at each instant: instant, right -> symbol.

    The gate's name stands in the place of the symbol where no contract is taken.
    """

    waiting = list(instants)

    class Forced(Engine):
        def wake_ns(self):
            return min(waiting[0] if waiting else NEVER_NS, super().wake_ns())

        def on_instant(self, t_ns):
            generator = self.parts.generator
            if waiting and t_ns >= waiting[0]:
                assert t_ns == waiting.pop(0)
                self.tally.live_kinds.clear()
                self.tally.scalps_live = 0
                for right in (0, 1):
                    generator._episodes.append(Episode(t_ns, MOMENTUM_BURST, right, t_ns))
            super().on_instant(t_ns)
            generator._episodes.clear()

    with (
        mock.patch("scalpcli.runtime.replay.Engine", Forced),
        mock.patch("scalpcli.core.signals.ScalpSignalGenerator._holds", return_value=True),
        mock.patch("scalpcli.core.signals.ScalpSignalGenerator.note_rises"),
    ):
        result = replay_session(path, params, (), load_kernel(), ReplayOptions())
    taken = {}
    for line in result.decisions.splitlines():
        record = json.loads(line)
        if record["kind"] == "signal":
            taken[record["ts_ns"], record["side"]] = record["option_symbol"]
        elif record["kind"] == "refusal":
            taken[record["ts_ns"], record["side"]] = record["gate"]
    return taken


def first_of_scans(path, instants, params=OPEN):
    """What a scan shows first at each instant: instant, right -> symbol; empty where nothing passes."""
    found = {}
    for t_ns in instants:
        for side in ("call", "put"):
            shown = scan_tape(path, ns_to_new_york(t_ns), params, Query(right=side, top=1)).rows
            found[t_ns, side] = shown[0]["contract"] if shown else ""
    return found
