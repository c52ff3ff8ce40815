"""What one session is played with, and the digest of everything in it that can change a decision."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.model.fees import FeeSchedule
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Blackout, Params
from scalpcli.model.session import Session
from scalpcli.model.setting import bounds_of

REPLAY: Final = "replay"


@dataclass(frozen=True, slots=True)
class Setup:
    """What one session is played with.

    Args:
        params: All settings.
        symbol: The underlying.
        session: Its session.
        instruments: By `instrument_id`, the underlying first.
        schedule: The day's fees.
        blackouts: Dated windows without entries.
        mode: `replay`, `shadow`, `paper` or `live`.
        synthetic: Whether the rows were made up.
        triggers_only: Write triggers down and go no further; no chain is needed.
        latencies_digest: Digest of the latencies that are drawn from, where they are.
    """

    params: Params
    symbol: str
    session: Session
    instruments: tuple[Instrument, ...]
    schedule: FeeSchedule
    blackouts: tuple[Blackout, ...] = ()
    mode: str = REPLAY
    synthetic: bool = False
    triggers_only: bool = False
    latencies_digest: str = ""

    @property
    def config_digest(self) -> str:
        """Digest of everything but the rows that can change a decision."""
        on_stall = "" if self.mode == REPLAY else self.params.live.on_stall
        return config_digest(self.params, self.blackouts, self.latencies_digest, on_stall)


def config_digest(
    params: Params, blackouts: tuple[Blackout, ...], latencies_digest: str = "", on_stall: str = ""
) -> str:
    """Digest of every setting that can change a decision: all but how rows are had, kept and replayed.

    Args:
        params: The settings.
        blackouts: Dated windows without entries.
        latencies_digest: Of the latencies that are drawn from.
        on_stall: What takes the place of `replay.gaps` where money is at stake; empty in a replay.
    """
    settings: dict[str, Any] = {
        section: _plain(getattr(params, section))
        for section in ("scalp", "gates", "selection", "exits", "risk", "simulated_broker", "fees")
    }
    settings["replay"] = {"gaps": params.replay.gaps}
    if on_stall:
        settings["live"] = {"on_stall": on_stall}
    # What a file holds decides, not where it lies.
    settings["simulated_broker"] = settings["simulated_broker"] | {"latency_file": latencies_digest}
    # Where the blackouts came from decides nothing; which they are does.
    settings["gates"] = {name: value for name, value in settings["gates"].items() if name != "blackout_file"}
    settings["blackouts"] = [dataclasses.asdict(blackout) for blackout in blackouts]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _plain(section: Any) -> dict[str, Any]:
    """One section's settings by name, to be read alone: a thousand settings of a search share most sections.

    A setting added later is left out at its default, so that a blessed result stays one.
    """
    return {
        field.name: value
        for field in dataclasses.fields(section)
        if (value := getattr(section, field.name)) != field.default or not bounds_of(field).is_later
    }
