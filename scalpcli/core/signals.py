"""From trigger to signal (definitions, section 7).

Decides how long a trigger is offered, what a refusal does to it and how confident a signal is. Leaves the
reasons to wait to `gates`, the contract to `option_selection`, the size to `risk`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from scalpcli.core.gates import Gates, Refused, SessionTally
from scalpcli.core.layout import BREAKOUT_BIT, MOMENTUM_BIT, REJECTION_BIT
from scalpcli.core.levels import level_kind
from scalpcli.core.option_selection import OptionSelector, Selection
from scalpcli.core.risk import Ledger, Sized, size_entry
from scalpcli.core.triggers import breakout_holds, momentum_holds, rejection_holds
from scalpcli.core.view import RIGHTS, MarketView, side_name, sign_of
from scalpcli.model.params import Params
from scalpcli.units import ms_to_ns, s_to_ns

Emit = Callable[[int, str, dict[str, Any]], None]

MOMENTUM_BURST: Final = "momentum_burst"
VWAP_REJECTION: Final = "vwap_rejection"
BREAKOUT: Final = "breakout"
TRIGGERS: Final = ((MOMENTUM_BIT, MOMENTUM_BURST), (REJECTION_BIT, VWAP_REJECTION), (BREAKOUT_BIT, BREAKOUT))
"""In their order at an instant."""


@dataclass(frozen=True, slots=True)
class ScalpSignal:
    """A wish to trade: one contract, with everything needed to enter and to leave it."""

    number: int
    id: str
    ts_ns: int
    symbol: str
    signal_type: str
    trigger: str
    right: int
    episode: int
    underlying_price_e4: float
    selection: Selection
    entry_price_target_e4: int
    take_profit_pct: float
    stop_loss_pct: float
    max_hold_minutes: float
    confidence: int
    suggested_contracts: int


@dataclass(slots=True)
class Episode:
    """One rise of a trigger, from the instant it rose until it became a signal or was missed."""

    number: int
    trigger: str
    right: int
    rose_ns: int
    level_e4: float = math.nan
    offers: int = 0
    reasons: set[str] = field(default_factory=set)
    last: Refused | None = None

    def head(self) -> dict[str, Any]:
        """The fields every record of an episode begins with."""
        return {"episode": self.number, "trigger": self.trigger, "side": side_name(self.right)}


def known(value: float) -> float | None:
    """A number for the journal; nan is written as null."""
    return None if math.isnan(value) else value


class ScalpSignalGenerator:
    """Turns what rose at an instant into signals, refusals and misses.

    Args:
        params: All settings.
        symbol: The underlying.
        order_prefix: First part of every id of this session.
        view: The market.
        gates: Reasons to wait.
        selector: The chain.
        ledger: Equity and cash, for the size.
        tally: What the session has seen.
        emit: Takes decisions.
    """

    def __init__(
        self,
        params: Params,
        symbol: str,
        order_prefix: str,
        view: MarketView,
        gates: Gates,
        selector: OptionSelector,
        ledger: Ledger,
        tally: SessionTally,
        emit: Emit,
    ) -> None:
        self._params = params
        self._symbol = symbol
        self._prefix = order_prefix
        self._view = view
        self._gates = gates
        self._selector = selector
        self._ledger = ledger
        self._tally = tally
        self._emit = emit
        self._patience_ns = ms_to_ns(params.scalp.signal_patience_ms)
        self._episodes: list[Episode] = []
        self._risen = 0

    @property
    def is_offering(self) -> bool:
        """Whether an episode is under way, so that every instant matters."""
        return bool(self._episodes)

    def note_rises(self, t_ns: int, *, only: bool = False) -> None:
        """Write down what rose at this instant and begin its episodes.

        Args:
            t_ns: The instant.
            only: Write them down and begin nothing (`--triggers-only`).
        """
        for bit, trigger in TRIGGERS:
            for right in RIGHTS:
                machines = self._view.lane_side(right)
                if machines.rose_bits & bit:
                    episode = Episode(self._risen, trigger, right, t_ns)
                    if bit == BREAKOUT_BIT:
                        episode.level_e4 = float(machines.breakout_level)
                    self._risen += 1
                    self._emit(t_ns, "trigger", episode.head() | self._numbers(episode, machines))
                    if not only:
                        self._episodes.append(episode)
        # Older episodes keep their place behind a stronger trigger: order is by trigger and side, then time.
        self._episodes.sort(key=lambda each: (_priority(each.trigger), each.right, each.number))

    def _numbers(self, episode: Episode, machines: Any) -> dict[str, Any]:
        view = self._view
        is_breakout = episode.trigger == BREAKOUT
        return {
            "price_e4": view.price_e4,
            "velocity_pct": known(view.momentum_pct),
            "confirm_velocity_pct": known(view.confirm_pct),
            "threshold_pct": float(machines.threshold_pct),
            "volume_ratio": known(view.volume_ratio(episode.right)),
            "required_ratio": self._required_ratio(episode.trigger),
            "vwap_e4": known(view.vwap_e4),
            "sigma_e4": known(view.sigma_e4),
            "level_e4": known(episode.level_e4),
            "level_kind": level_kind(int(machines.breakout_slot)) if is_breakout else "",
        }

    def _required_ratio(self, trigger: str) -> float:
        scalp = self._params.scalp
        return scalp.vwap_volume_ratio if trigger == VWAP_REJECTION else scalp.volume_spike_ratio

    def evaluate(self, t_ns: int) -> Iterator[ScalpSignal]:
        """Offer every episode at this instant; the signals made, in their order.

        Each is to be executed before the next is asked for: what it claims, the next cannot have.
        """
        for episode in list(self._episodes):
            if t_ns - episode.rose_ns > self._patience_ns or not self._holds(episode):
                self._miss(episode, t_ns)
                continue
            episode.offers += 1
            offered = self._offer(episode, t_ns)
            if isinstance(offered, ScalpSignal):
                self._episodes.remove(episode)
                yield offered
                continue
            if offered.gate not in episode.reasons:
                self._emit(t_ns, "refusal", episode.head() | _judged(offered) | {"standing": offered.standing})
            episode.reasons.add(offered.gate)
            episode.last = offered
            if offered.standing:
                self._miss(episode, t_ns)

    def finish(self, t_ns: int) -> None:
        """End what is still offered when the session does."""
        for episode in list(self._episodes):
            self._miss(episode, t_ns)

    def _miss(self, episode: Episode, t_ns: int) -> None:
        self._episodes.remove(episode)
        last = episode.last or Refused("condition", False, None, None)
        self._emit(t_ns, "missed", episode.head() | _judged(last) | {"offers": episode.offers})

    def _holds(self, episode: Episode) -> bool:
        """Whether the condition that made it rise still stands (definitions, section 7)."""
        view = self._view
        sign = sign_of(episode.right)
        if episode.trigger == MOMENTUM_BURST:
            return momentum_holds(sign * view.momentum_pct, float(view.lane_side(episode.right).threshold_pct))
        if episode.trigger == VWAP_REJECTION:
            return rejection_holds(view.lane, sign * (view.price_e4 - view.vwap_e4), view.vwap_e4, view.sigma_e4)
        return breakout_holds(view.lane, sign * (view.price_e4 - episode.level_e4), episode.level_e4)

    def _offer(self, episode: Episode, t_ns: int) -> ScalpSignal | Refused:
        scalp = self._params.scalp
        confidence = self.confidence(episode.trigger, episode.right, t_ns)
        refused = self._gates.standing(t_ns, episode.trigger, episode.right, self._tally, self._view)
        if refused is None and confidence < scalp.confidence_min:
            refused = Refused("confidence", True, float(confidence), float(scalp.confidence_min), "too low")
        if refused is None and confidence > scalp.confidence_max:
            refused = Refused("confidence", True, float(confidence), float(scalp.confidence_max), "overextended")
        refused = refused or self._gates.transient(t_ns, self._view)
        if refused is not None:
            return refused
        selection = self._selector.select(episode.right, t_ns, self._view)
        if isinstance(selection, Refused):
            return selection
        refused = self._theta_refusal(selection)
        if refused is not None:
            return refused
        sized = size_entry(selection, self._params, self._ledger)
        if isinstance(sized, Refused):
            return sized
        return self._gates.last_of_all() or self._signal(episode, selection, sized, confidence, t_ns)

    def _theta_refusal(self, selection: Selection) -> Refused | None:
        limit = self._params.gates.theta_hold_pct_max
        decay_e4 = -selection.theta_per_minute_e4 * self._params.scalp.max_hold_minutes
        decay_pct = decay_e4 * 100.0 / selection.quote.ask_e4
        if limit <= 0 or decay_pct <= limit:
            return None
        return Refused("theta", False, known(decay_pct), limit, selection.instrument.symbol)

    def confidence(self, trigger: str, right: int, t_ns: int) -> int:
        """Score 0 to 100 of a trigger as it stands; not a probability.

        Source: definitions, section 7; the weights are desk choices.
        """
        scalp, view = self._params.scalp, self._view
        base = {
            MOMENTUM_BURST: scalp.confidence_base_momentum_burst,
            VWAP_REJECTION: scalp.confidence_base_vwap_rejection,
            BREAKOUT: scalp.confidence_base_breakout,
        }[trigger]
        move = sign_of(right) * view.momentum_pct / float(view.lane_side(right).threshold_pct) - 1.0
        required = self._required_ratio(trigger)
        volume = view.volume_ratio(right) / required - 1.0 if required > 0.0 else math.nan
        swept = t_ns - view.last_sweep_ns(right) <= s_to_ns(scalp.sweep_recent_s)
        score = (
            base
            + scalp.confidence_momentum_weight * _clip(move)
            + scalp.confidence_volume_weight * _clip(volume)
            + scalp.confidence_sweep_weight * swept
        )
        return min(100, round(score))

    def _signal(self, episode: Episode, selection: Selection, sized: Sized, confidence: int, t_ns: int) -> ScalpSignal:
        scalp = self._params.scalp
        number = self._tally.signals
        signal = ScalpSignal(
            number=number,
            id=f"{self._prefix}-{number:04d}",
            ts_ns=t_ns,
            symbol=self._symbol,
            signal_type="SCALP_" + side_name(episode.right).upper(),
            trigger=episode.trigger,
            right=episode.right,
            episode=episode.number,
            underlying_price_e4=self._view.price_e4,
            selection=selection,
            entry_price_target_e4=selection.quote.ask_e4,
            take_profit_pct=scalp.take_profit_pct,
            stop_loss_pct=scalp.stop_loss_pct,
            max_hold_minutes=scalp.max_hold_minutes,
            confidence=confidence,
            suggested_contracts=sized.quantity,
        )
        self._tally.signals += 1
        self._tally.last_signal_ns = t_ns
        self._tally.scalps_live += 1
        self._tally.scalps_waiting += 1
        self._tally.live_kinds.add((episode.trigger, episode.right))
        self._emit(t_ns, "signal", episode.head() | _signal_fields(signal, sized))
        return signal


def _priority(trigger: str) -> int:
    return [name for _, name in TRIGGERS].index(trigger)


def _clip(value: float) -> float:
    """0 to 1; unknown gives 0."""
    return 0.0 if math.isnan(value) else min(1.0, max(0.0, value))


def _judged(refused: Refused) -> dict[str, Any]:
    return {"gate": refused.gate, "value": refused.value, "limit": refused.limit, "detail": refused.detail}


def _signal_fields(signal: ScalpSignal, sized: Sized) -> dict[str, Any]:
    chosen = signal.selection
    return {
        "signal": signal.number,
        "id": signal.id,
        "signal_type": signal.signal_type,
        "underlying_price_e4": signal.underlying_price_e4,
        "option_symbol": chosen.instrument.symbol,
        "strike_e4": chosen.instrument.strike_e4,
        "expiry": str(chosen.instrument.expiry),
        "dte": chosen.dte,
        "delta": chosen.delta,
        "delta_source": chosen.delta_source,
        "iv": known(chosen.iv),
        "theta_per_minute_e4": known(chosen.theta_per_minute_e4),
        "open_interest": chosen.open_interest,
        "bid_e4": chosen.quote.bid_e4,
        "ask_e4": chosen.quote.ask_e4,
        "bid_size": chosen.quote.bid_size,
        "ask_size": chosen.quote.ask_size,
        "spread_pct": chosen.quote.spread_pct,
        "quote_age_ms": (signal.ts_ns - chosen.quote.ts_ns) / 1e6,
        "entry_price_target_e4": signal.entry_price_target_e4,
        "take_profit_pct": signal.take_profit_pct,
        "stop_loss_pct": signal.stop_loss_pct,
        "max_hold_minutes": signal.max_hold_minutes,
        "confidence": signal.confidence,
        "suggested_contracts": signal.suggested_contracts,
        "size_capped_by": sized.capped_by,
        "eligible": chosen.eligible,
    }
