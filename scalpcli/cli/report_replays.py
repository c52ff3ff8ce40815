"""What `report` must replay for: random traders, refused triggers, other latencies.

Decides which sessions can be replayed: those whose tape is there and whose settings the run's manifest restores
to the digest it states. Everything else is told and left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scalpcli.cli.output import progress, say
from scalpcli.errors import DataError

if TYPE_CHECKING:
    from scalpcli.model.params import Blackout, Params
    from scalpcli.report.load import Results, SessionResult
    from scalpcli.report.view import View

_SECTIONS: Final = ("scalp", "gates", "selection", "exits", "risk", "simulated_broker", "fees")

Playable = tuple["SessionResult", Path, "Params", tuple["Blackout", ...]]


def _playable(results: Results, notices: list[str], *, must: bool = True) -> Iterator[Playable]:
    """Sessions that can be replayed; why others cannot is added to `notices`.

    Raises:
        DataError: None can, and one `must`.
    """
    from scalpcli.report.market import find_tape_of

    settings: dict[int, tuple[Params, tuple[Blackout, ...]] | str] = {}
    played = 0
    for session in results.sessions:
        run = results.runs[session.run]
        if session.run not in settings:
            settings[session.run] = _settings(run.manifest)
        restored = settings[session.run]
        folder = find_tape_of(session)
        why = next((each for each in (restored, folder) if isinstance(each, str)), None)
        if why is not None:
            notices.append(f"{session.symbol} {session.day}: {why}; it is left out")
            continue
        assert not isinstance(restored, str)
        assert not isinstance(folder, str)
        played += 1
        yield session, folder, *restored
    if must and not played:
        raise DataError(
            f"none of {len(results.sessions)} sessions can be replayed",
            place=notices[0],
            hint="run the report where the tapes' paths in the run's manifest hold, or replay the tapes again",
        )


def _settings(manifest: dict[str, Any]) -> tuple[Params, tuple[Blackout, ...]] | str:
    """The settings a run was played with, or why they cannot be had."""
    import hashlib

    from scalpcli.config import load
    from scalpcli.config_fields import settings
    from scalpcli.core.engine import config_digest
    from scalpcli.errors import ScalpcliError
    from scalpcli.runtime.replay import read_latencies

    known = settings()
    stated = manifest.get("config", {})
    flags = {
        f"{section}.{name}": value
        for section in _SECTIONS
        for name, value in stated.get(section, {}).items()
        if f"{section}.{name}" in known
    }
    flags["replay.gaps"] = stated.get("replay", {}).get("gaps", "flatten")
    try:
        loaded = load(flags=flags, environ={})
        drawn = read_latencies(loaded.params.simulated_broker.latency_file)
    except ScalpcliError as error:
        return f"its settings cannot be restored: {error.found}"
    digest = "" if drawn is None else hashlib.sha256(drawn.tobytes()).hexdigest()
    if config_digest(loaded.params, tuple(loaded.blackouts), digest) != manifest["config_digest"]:
        return "its settings cannot be restored: another version wrote the run, or a file it used has changed"
    return loaded.params, tuple(loaded.blackouts)


def null_view(results: Results, traders: int, seed: int, *, quiet: bool) -> View:
    """Hold the entries against random traders."""
    from scalpcli.report.luck import luck_of, luck_view
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.runtime.hypothetical import every_minute, play_wishes
    from scalpcli.runtime.null_trader import Entry, Pool, random_totals
    from scalpcli.runtime.tape import Tape

    notices: list[str] = []
    hot = load_kernel(lambda text: say(text, quiet=quiet))
    drawn = []
    with progress(len(results.sessions), "playing every minute", quiet=quiet) as advance:
        for session, folder, params, blackouts in _playable(results, notices):
            columns = ("signal_ns", "side", "net_pnl_usd")
            entries = [Entry(*row) for row in session.trades.select(columns).iter_rows()]
            if entries:
                wishes = every_minute(Tape.open(folder).session)
                outcomes = play_wishes(folder, params, blackouts, hot, wishes, gated=True)
                drawn.append((entries, Pool.of(outcomes)))
            advance(1)
    totals, matched = random_totals(drawn, traders, seed)
    entered = sum(len(entries) for entries, _ in drawn)
    if matched < entered:
        notices.append(f"{entered - matched} entries have no minute of their side to stand against")
    net_usd = math.fsum(entry.net_usd for entries, pool in drawn for entry in entries if len(pool.ts_ns[entry.side]))
    return luck_view(luck_of(net_usd, totals, matched) if matched else None, notices)


def sensitivity_view(results: Results, *, quiet: bool) -> View:
    """Replay every session at other latencies."""
    from scalpcli.report import luck
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.runtime.sensitivity import sensitivity

    notices: list[str] = []
    hot = load_kernel(lambda text: say(text, quiet=quiet))
    points = []
    with progress(len(results.sessions), "replaying", quiet=quiet) as advance:
        for _, folder, params, blackouts in _playable(results, notices):
            points += list(sensitivity(folder, params, blackouts, hot))
            advance(1)
    return luck.sensitivity_view(points, notices)


def funnel_view(results: Results, *, quiet: bool) -> View:
    """The funnel by hour and gate, with what missed triggers would have made."""
    from scalpcli.report import funnel_view as tables
    from scalpcli.report.events import events_of
    from scalpcli.runtime.compiler import load_kernel
    from scalpcli.runtime.hypothetical import Wish, play_wishes, relaxed

    notices: list[str] = []
    missed = {id(session): _missed(events.episodes) for session, events in events_of(results)}
    found = []
    hot = load_kernel(lambda text: say(text, quiet=quiet)) if any(missed.values()) else None
    for session, folder, params, blackouts in _playable(results, notices, must=False):
        gates = missed.get(id(session), [])
        if not gates or hot is None:
            continue
        wishes = [Wish(ts_ns, side) for ts_ns, side, _ in gates]
        by_wish: dict[tuple[int, str], list[str]] = {}
        for ts_ns, side, gate in gates:
            by_wish.setdefault((ts_ns, side), []).append(gate)
        outcomes = play_wishes(folder, relaxed(params), blackouts, hot, wishes, gated=False)
        for outcome in outcomes:
            gate = by_wish[outcome.wish.ts_ns, outcome.wish.side].pop(0)
            found.append(tables.Counterfactual(gate, outcome.net_usd))
    return tables.funnel_view(results, found, notices)


def _missed(episodes: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """When each missed trigger rose, its side, and the gate that had the last word."""
    rose = {record["episode"]: record["ts_ns"] for record in episodes if record["kind"] == "trigger"}
    return [
        (rose[record["episode"]], record["side"], record["gate"])
        for record in episodes
        if record["kind"] == "missed" and record["episode"] in rose
    ]
