"""What happens rarely on a synthetic tape: a halt, gaps, an outage, and the notes at its head.

Decides when they happen and which rows tell of them. Leaves the silence itself to `synthetic.py`, which
makes no rows where a window of this file is blind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scalpcli.model.note import GAP_CAUSE, PREVIOUS_LEVELS, RUN, VOLUME_PROFILE
from scalpcli.model.row import (
    CHANNEL_OPTION_QUOTES,
    CHANNEL_OPTION_TRADES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    CHANNELS_ALL,
    COLD,
    GAP,
    GAP_BEGIN,
    GAP_END,
    HALT_BEGIN,
    HALT_END,
    STATUS,
)
from scalpcli.model.session import previous_session
from scalpcli.runtime.synthetic_path import Burst, Floats
from scalpcli.runtime.synthetic_plan import PREMARKET_S, US_PER_S, Frame, Part, Streams, SyntheticSpec
from scalpcli.units import E4_PER_USD

STOCK_CHANNELS: Final = CHANNEL_STOCK_TRADES | CHANNEL_STOCK_QUOTES
OPTION_CHANNELS: Final = CHANNEL_OPTION_TRADES | CHANNEL_OPTION_QUOTES
HALT_S: Final = 300
"""A limit-up limit-down pause lasts five minutes."""
OUTAGE_S: Final = 240
BLIND_MARGIN_US: Final = 400_000
"""Rows of the last second before a gap arrive at most so late; the gap is said to begin after them."""
_NOTICED_US: Final = 1_500_000
"""Time until a recorder notices that its stream is silent."""
_CENT_E4: Final = 100
_PROFILE_SESSIONS: Final = 5
_BURST_SPACE_S: Final = 20
_CLEAR_S: Final = 60
"""No burst begins in so many seconds before a silence, so that it is over by then."""
_QUIET_S: Final = 32
"""A burst so many seconds after a silence finds velocity known again and the quiet time not yet over."""


@dataclass(frozen=True, slots=True)
class Blind:
    """A stretch without rows of some channels, seconds since the tape's start.

    Args:
        kind: `halt`, `gap` or `outage`.
        channels: Channel bits that are silent.
        learned_afterwards: Whether the recorder knew of the gap only at its end.
        cause: What the tape says about it.
    """

    start_s: int
    end_s: int
    kind: str
    channels: int
    learned_afterwards: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """One row that is neither a trade nor a quote; `note` is set on cold rows."""

    recv_us: int
    event_us: int
    kind: int
    flags: int = 0
    size: int = 0
    condition: str = ""
    note: tuple[str, dict[str, Any]] | None = None


def plan_blind(
    spec: SyntheticSpec, frame: Frame, bursts: Sequence[Burst], streams: Streams
) -> tuple[list[Blind], list[Burst]]:
    """Windows without rows, and the bursts moved so that they do not fall into one.

    The first burst after each window begins within its quiet time, so that a refusal by it occurs.
    """
    rng = streams.of(Part.EVENTS)
    window = frame.window_s
    at = [int(window * (low + 0.06 * rng.random())) + PREMARKET_S for low in (0.24, 0.42, 0.55, 0.68, 0.83)]
    lengths = rng.integers(20, 61, size=3)
    blind: list[Blind] = []
    if spec.gap:
        faults = (
            (at[0], int(lengths[0]), OPTION_CHANNELS, False, "option stream closed by the server"),
            (at[2], int(lengths[1]), STOCK_CHANNELS, True, "stock messages lost, found by their sequence"),
            (at[4], int(lengths[2]), CHANNELS_ALL, False, "both streams closed by the server"),
        )
        blind += [Blind(begin, begin + length, "gap", bits, late, cause) for begin, length, bits, late, cause in faults]
    if spec.halt:
        length = min(HALT_S, window // 6)
        blind.append(Blind(at[1], at[1] + length, "halt", STOCK_CHANNELS | OPTION_CHANNELS, cause="LUDP"))
    if spec.outage:
        length = min(OUTAGE_S, window // 8)
        blind.append(Blind(at[3], at[3] + length, "outage", CHANNELS_ALL, cause="network down"))
    blind.sort(key=lambda one: one.start_s)
    return blind, _outside(bursts, blind, frame.total_s - _BURST_SPACE_S) if blind else list(bursts)


def _outside(bursts: Sequence[Burst], blind: Sequence[Blind], last_s: int) -> list[Burst]:
    """The bursts with the first one after each blind window moved into its quiet time, in order and apart.

    None begins in or shortly before a window; one that would thereby begin after `last_s` is left out.
    """
    starts = [burst.start_s for burst in bursts]
    for window in blind:
        first = next((index for index, start in enumerate(starts) if start > window.start_s - _CLEAR_S), None)
        if first is not None:
            starts[first] = window.end_s + _QUIET_S
    moved: list[Burst] = []
    earliest = 0
    # In order of the new starts; equal ones keep the order of the bursts.
    for start, burst in sorted(zip(starts, bursts, strict=True), key=lambda pair: pair[0]):
        begin = max(start, earliest)
        for window in blind:
            if window.start_s - _CLEAR_S < begin < window.end_s + _QUIET_S:
                begin = window.end_s + _QUIET_S
        if begin <= last_s:
            moved.append(dataclasses.replace(burst, start_s=begin))
        earliest = begin + _BURST_SPACE_S
    return moved


def blind_rows(blind: Sequence[Blind]) -> list[Control]:
    """Status and gap rows of the windows, each with the note of its cause before it."""
    rows: list[Control] = []
    for window in blind:
        begin, end = window.start_s * US_PER_S + BLIND_MARGIN_US, window.end_s * US_PER_S
        if window.kind == "halt":
            begin += 100_000
            rows.append(Control(begin, begin - 2_000, STATUS, HALT_BEGIN, condition=window.cause))
            rows.append(Control(end, end - 2_000, STATUS, HALT_END, condition="T"))
            continue
        told = end if window.learned_afterwards else begin + _NOTICED_US
        rows.append(Control(told, told, COLD, note=(GAP_CAUSE, {"cause": window.cause})))
        if window.learned_afterwards:
            rows.append(Control(end, begin, GAP, GAP_BEGIN | GAP_END, window.channels, window.kind))
        else:
            rows.append(Control(told, begin, GAP, GAP_BEGIN, window.channels, window.kind))
            rows.append(Control(end, end, GAP, GAP_END, window.channels, window.kind))
    return rows


def head_rows(spec: SyntheticSpec, volume: Floats, streams: Streams) -> list[Control]:
    """The cold rows at the tape's head: nonce, previous levels and, where asked for, the volume profile.

    `volume` is what an ordinary session is expected to trade in each of its seconds, shares.
    """
    rng = streams.of(Part.HEAD)
    before = previous_session(spec.date).date
    close = spec.spot * (1.0 + 0.008 * (rng.random() - 0.5))
    high = max(close, spec.spot) * (1.002 + 0.012 * rng.random())
    low = min(close, spec.spot) * (0.998 - 0.012 * rng.random())
    levels = {
        "session": before.isoformat(),
        **{name: _cents_e4(usd) for name, usd in (("high_e4", high), ("low_e4", low), ("close_e4", close))},
    }
    notes: list[tuple[str, dict[str, Any]]] = [
        (RUN, {"nonce": f"{int(rng.integers(0, 2**63)):016x}"}),
        (PREVIOUS_LEVELS, levels),
    ]
    if spec.profile:
        notes.append((VOLUME_PROFILE, _profile(spec, volume, rng)))
    return [Control(0, 0, COLD, note=note) for note in notes]


def _cents_e4(usd: float) -> int:
    return round(usd * E4_PER_USD / _CENT_E4) * _CENT_E4


def _profile(spec: SyntheticSpec, volume: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """Volumes of the sessions before: the day's U, each with its own level and noise."""
    sessions: list[str] = []
    volumes: list[list[int]] = []
    day = spec.date
    for _ in range(_PROFILE_SESSIONS):
        day = previous_session(day).date
        noise = (0.8 + 0.4 * rng.random()) * rng.standard_gamma(2.0, volume.size) / 2.0
        sessions.append(day.isoformat())
        volumes.append(np.rint(volume * noise).astype(np.int64).tolist())
    return {"bucket_s": 1, "sessions": sessions[::-1], "volumes": volumes[::-1]}
