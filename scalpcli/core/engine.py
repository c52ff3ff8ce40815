"""The engine: rows and replies in, decisions and orders out (design, section 3).

Ties trackers, triggers, gates, selection, risk, exits and executor together for one session. It owns no
clock and touches nothing outside: whoever drives it (`runtime/runner.py`) hands in rows and replies and
takes decisions and commands away. The same code runs in live and in replay.
"""

from __future__ import annotations

from typing import Any

from scalpcli.core.executor import AutoExecutor, Command, Watch
from scalpcli.core.exits import ExitReason, ScalpExitManager
from scalpcli.core.gates import Gates, SessionTally
from scalpcli.core.layout import NEVER_NS, NO_TIME_NS
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.core.option_selection import OptionSelector
from scalpcli.core.position import Scalp
from scalpcli.core.protections import ProtectionState
from scalpcli.core.risk import Ledger
from scalpcli.core.setup import REPLAY, Setup, config_digest
from scalpcli.core.signals import ScalpSignalGenerator
from scalpcli.core.stops import ENDED_BY_ARM, NOT_LIVE
from scalpcli.core.view import MarketView
from scalpcli.errors import DataError
from scalpcli.model import note as notes
from scalpcli.model.decision import JOURNAL_SCHEMA_VERSION, Decision
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import Note
from scalpcli.model.order import Reply
from scalpcli.model.row import CHANNEL_NAMES, GAP_BEGIN, GAP_END, HALT_BEGIN, HALT_END
from scalpcli.units import usd_to_e4

__all__ = ["REPLAY", "Engine", "Setup", "config_digest"]


class Engine:
    """The engine of one session.

    Args:
        setup: What it is played with.
        market: The market's state, which its driver advances.
        hot: Prices the chain.
        view: Reads the market; `None` = as its only lane sees it.
        selector: Judges the chain; `None` = one of its own.
    """

    def __init__(
        self,
        setup: Setup,
        market: MarketState,
        hot: Kernel,
        view: MarketView | None = None,
        selector: OptionSelector | None = None,
    ) -> None:
        self._setup = setup
        self._market = market
        self._hot = hot
        self.view = view or MarketView(market)
        self.selector = selector
        self.tally = SessionTally()
        self.ledger = Ledger(usd_to_e4(setup.params.risk.starting_equity_usd), setup.schedule)
        self.expired: dict[str, int] = {}
        """Contracts that expired in our hands, by symbol: nobody sold them in time."""
        self._decisions: list[Decision] = []
        self._counts: dict[str, dict[str, int]] = {"trigger": {}, "refusal": {}}
        self._nonce = "0"
        self._last_ns = NO_TIME_NS
        self._parts: _Parts | None = None
        self._is_replay = setup.mode == REPLAY
        if not self._is_replay:
            self.tally.stops.set(NOT_LIVE, "", 0.0, 1.0, "trading has not begun")

    # --- beginning ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Write the session down; the first rows may follow."""
        setup = self._setup
        body = {
            "schema_version": JOURNAL_SCHEMA_VERSION,
            "symbol": setup.symbol,
            "session": str(setup.session.date),
            "mode": setup.mode,
            "open_ns": setup.session.open_ns,
            "close_ns": setup.session.close_ns,
            "config_digest": setup.config_digest,
            "synthetic": setup.synthetic,
            "starting_equity_e4": self.ledger.starting_equity_e4,
        }
        self._emit(setup.session.open_ns, "session", body)

    @property
    def parts(self) -> _Parts:
        """Generator, executor and selector; made when first needed, so that the head's nonce names orders."""
        if self._parts is None:
            self._parts = _Parts(self._setup, self)
        return self._parts

    @property
    def scalps(self) -> list[Scalp]:
        """Scalps whose entry works or of which contracts are held."""
        return self._parts.executor.scalps if self._parts else []

    @property
    def order_prefix(self) -> str:
        """First part of every id: session and run nonce (law 8)."""
        return f"scalp-{self._setup.session.date:%Y%m%d}-{self._nonce}"

    @property
    def hot(self) -> Kernel:
        """The hot functions."""
        return self._hot

    def _emit(self, ts_ns: int, kind: str, body: dict[str, Any]) -> None:
        if kind in self._counts:
            name = body["trigger"] if kind == "trigger" else body["gate"]
            self._counts[kind][name] = self._counts[kind].get(name, 0) + 1
        self._last_ns = max(self._last_ns, ts_ns)
        self._decisions.append(Decision(ts_ns, kind, body))

    @property
    def emit(self) -> Any:
        """Takes decisions of the engine's parts."""
        return self._emit

    # --- what happens ----------------------------------------------------------------------------------

    def on_instant(self, t_ns: int) -> None:
        """Look at an instant: exits first, then what rose and what is still offered."""
        parts = self.parts
        if self._setup.triggers_only:
            parts.generator.note_rises(t_ns, only=True)
            return
        parts.executor.on_instant(t_ns)
        parts.executor.protect(t_ns)
        parts.generator.note_rises(t_ns)
        for signal in parts.generator.evaluate(t_ns):
            threshold_pct = float(self.view.lane_side(signal.right).threshold_pct)
            parts.executor.execute_scalp(signal, threshold_pct, t_ns)

    def on_watch(self, instrument_id: int, t_ns: int) -> None:
        """Look at a quote row of a contract that is held."""
        self.parts.executor.on_quote(instrument_id, t_ns)

    def on_deadline(self, t_ns: int) -> None:
        """Decide what is due though no row came."""
        self.parts.executor.on_deadline(t_ns)

    def on_reply(self, reply: Reply, t_ns: int) -> None:
        """Take one answer of the broker."""
        self.parts.executor.on_reply(reply, t_ns)

    def on_halt(self, instrument_id: int, flags: int, t_ns: int) -> None:
        """Write a status row down; gates read the halt from the market's state."""
        if not flags & (HALT_BEGIN | HALT_END):
            return
        symbol = self._setup.instruments[instrument_id].symbol
        phase = "begins" if flags & HALT_BEGIN else "ends"
        self._emit(t_ns, "halt", {"symbol": symbol, "phase": phase})

    def on_gap(self, mask: int, flags: int, start_ns: int, t_ns: int) -> None:
        """Follow a gap row as `replay.gaps` says, or `live.on_stall` where money is at stake.

        Raises:
            DataError: gaps are not accepted.
        """
        names = [name for bit, name in CHANNEL_NAMES.items() if mask & bit]
        both = GAP_BEGIN | GAP_END
        phase = "learned" if flags & both == both else "begins" if flags & GAP_BEGIN else "ends"
        self._emit(t_ns, "gap", {"phase": phase, "channels": names, "start_ns": start_ns})
        params = self._setup.params
        gaps = params.replay.gaps if self._is_replay else params.live.on_stall
        if gaps == "fail":
            raise DataError(
                f"the tape has a gap on {', '.join(names)}",
                place=f"the row received at {t_ns} ns",
                hint="accept it with `--gaps flatten` or `--gaps ignore`",
            )
        if phase == "begins" and gaps == "flatten" and not self._setup.triggers_only:
            self.parts.executor.leave_all(ExitReason.GAP, f"blind on {', '.join(names)}", t_ns)

    def on_note(self, note: Note) -> None:
        """Take one cold row."""
        body, t_ns = note.body, note.ts_recv_ns
        if note.kind == notes.PREVIOUS_LEVELS:
            self._market.set_previous_levels(body["high_e4"], body["low_e4"], body["close_e4"])
        elif note.kind == notes.VOLUME_PROFILE:
            self._market.set_volume_profile(body["volumes"])
        elif note.kind == notes.RUN:
            if self._parts is not None:
                raise DataError(
                    "the tape's `run` note comes after one that trading needs",
                    place=f"`notes.jsonl`, seq {note.seq}",
                    hint="order ids carry its nonce: it must be the tape's first note",
                )
            self._nonce = str(body["nonce"])
        elif note.kind == notes.GREEKS:
            deltas = {symbol: greeks["delta"] for symbol, greeks in body["contracts"].items() if "delta" in greeks}
            self.parts.selector.set_greeks(deltas, t_ns)
        elif note.kind == notes.OPEN_INTEREST:
            self.parts.selector.set_open_interest(body["contracts"], t_ns)
        elif note.kind == notes.OPERATOR:
            self._on_operator(str(body["command"]), t_ns)
        elif not self._is_replay:
            self._on_live_note(note)

    def _on_live_note(self, note: Note) -> None:
        """Take what the account's side says; in a replay the simulated broker answers instead."""
        body, t_ns = note.body, note.ts_recv_ns
        if note.kind == notes.LIVE:
            phase, reason = str(body["phase"]), str(body.get("reason", ""))
            self._emit(t_ns, "live", {"phase": phase, "reason": reason})
            if phase == "begins":
                self.tally.stops.clear(NOT_LIVE)
            else:
                self.tally.stops.set(NOT_LIVE, "", 0.0, 1.0, reason)
        elif note.kind == notes.BROKER:
            self.on_reply(notes.reply_of(note), t_ns)
        elif note.kind == notes.RECONCILE:
            self.parts.executor.discrepancies.reconcile(note)

    def _on_operator(self, command: str, t_ns: int) -> None:
        self._emit(t_ns, "operator", {"command": command})
        self.tally.is_killed = command == "kill" or (self.tally.is_killed and command != "arm")
        self.tally.is_stopped = command == "stop" or (self.tally.is_stopped and command != "arm")
        for gate in ENDED_BY_ARM if command == "arm" else ():
            self.tally.stops.clear(gate)
        if command == "arm":
            self.tally.rejects_in_a_row = 0
        if command in ("kill", "flatten"):
            self.parts.executor.leave_all(ExitReason.OPERATOR, f"operator: {command}", t_ns)

    # --- what the driver takes away and must know -----------------------------------------------------

    def take_decisions(self) -> list[Decision]:
        """Decisions since the last call."""
        taken, self._decisions = self._decisions, []
        return taken

    def take_commands(self) -> list[Command]:
        """Orders, cancels and wishes not to exercise since the last call."""
        if self._parts is None:
            return []
        flow = self._parts.executor.flow
        taken = flow.commands
        if taken:
            flow.commands = []
        return taken

    def deadline_ns(self) -> int:
        """The next time at which `on_deadline` must be called."""
        return self._parts.executor.deadline_ns() if self._parts else NEVER_NS

    def wake_ns(self) -> int:
        """The first time from which an instant must be handed in though nothing rose."""
        return self._parts.executor.wake_ns() if self._parts else NEVER_NS

    @property
    def wants_every_instant(self) -> bool:
        """Whether every instant must be handed in."""
        if self._parts is None:
            return False
        parts = self._parts
        if parts.generator.is_offering or not parts.executor.scalps:
            return parts.generator.is_offering
        return parts.exits.needs_every_instant or parts.executor.protections.follows_loss

    def watches(self) -> dict[int, Watch]:
        """What each contract's quotes are watched for."""
        return self._parts.executor.watches() if self._parts else {}

    def protections(self, t_ns: int) -> list[ProtectionState]:
        """How every protection stands, for people; nothing before the tape's head was read."""
        return self._parts.executor.protections.states(self.scalps, t_ns) if self._parts else []

    # --- ending ------------------------------------------------------------------------------------------

    def finish(self, t_ns: int) -> None:
        """End the session: settle what expires at its close, write the sums down.

        Args:
            t_ns: Where it ends: the close, or earlier when no more rows are wanted. A reply learned after the
                close moves it on.
        """
        parts = self.parts
        t_ns = max(t_ns, self._last_ns)
        parts.generator.finish(t_ns)
        for scalp in list(parts.executor.scalps) if t_ns >= self._setup.session.close_ns else []:
            if scalp.held > 0 and scalp.instrument.expiry == self._setup.session.date:
                symbol = scalp.instrument.symbol
                self.expired[symbol] = self.expired.get(symbol, 0) + scalp.held
                parts.executor.expire(scalp, self._intrinsic_e4(scalp.instrument), t_ns)
        fees_e4 = self.ledger.fees.total_e4()
        body = {
            "triggers": self._counts["trigger"],
            "refusals": self._counts["refusal"],
            "signals": self.tally.signals,
            "orders": len(parts.executor.flow.sent),
            "fills": parts.executor.fills,
            "trades": parts.executor.books.trades,
            "sweeps": self.view.sweep_counts(),
            "gross_e4": self.ledger.gross_e4,
            "fees_e4": fees_e4,
            "net_e4": self.ledger.gross_e4 - fees_e4,
            "equity_e4": self.ledger.starting_equity_e4 + self.ledger.gross_e4 - fees_e4,
            "flat": all(scalp.held == 0 for scalp in parts.executor.scalps),
        }
        self._emit(t_ns, "session_end", body)

    def _intrinsic_e4(self, instrument: Instrument) -> int:
        spot_e4 = self.view.price_e4
        if spot_e4 != spot_e4:  # noqa: PLR0124 - nan: a session without a price settles at nothing
            return 0
        worth = spot_e4 - instrument.strike_e4 if instrument.right == "C" else instrument.strike_e4 - spot_e4
        return max(0, round(worth))


class _Parts:
    """What trades, made once the head of the tape has been read."""

    def __init__(self, setup: Setup, engine: Engine) -> None:
        params = setup.params
        self.selector = engine.selector or OptionSelector(params, setup.session, setup.instruments, engine.hot)
        self.exits = ScalpExitManager(params, setup.session)
        gates = Gates(params, setup.session, setup.blackouts, is_live=setup.mode in ("paper", "live"))
        self.generator = ScalpSignalGenerator(
            params, setup.symbol, engine.order_prefix, engine.view, gates, self.selector, engine.ledger,
            engine.tally, engine.emit,
        )  # fmt: skip
        self.executor = AutoExecutor(
            params, engine.order_prefix, engine.view, self.exits, engine.ledger, engine.tally, engine.emit
        )
