"""Many settings over one market: what lanes share and what each has of its own.

Trackers do not depend on thresholds, and of all settings few tell two trigger machines apart. So lanes whose
trackers agree share the market's state, lanes whose thresholds of one trigger agree share its machines, and
lanes that judge contracts alike share the chain. Decides which those are, and gives each lane its view of the
market. Leaves rows and the order of things to `runtime/lanes.py`, and every decision to the engine of each lane.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from scalpcli.core.gates import Refused
from scalpcli.core.layout import BREAKOUT_BIT, LANE, MOMENTUM_BIT, REJECTION_BIT, SIDES, TRACKER
from scalpcli.core.market_state import MarketState, fill_lane, fill_tracker, momentum_threshold_pct, windows_s
from scalpcli.core.option_selection import Expiry, OptionSelector, Priced, Selection
from scalpcli.core.view import RIGHTS, MarketView, Quote
from scalpcli.model.params import Params, ScalpConfig
from scalpcli.model.session import Session

_SWITCHES: Final = ("trigger_momentum_burst", "trigger_vwap_rejection", "trigger_breakout")
_MACHINE_FIELDS: Final[dict[int, tuple[str, ...]]] = {
    MOMENTUM_BIT: (
        "trigger_momentum_burst", "momentum_threshold_pct", "momentum_threshold_call_pct",
        "momentum_threshold_put_pct", "momentum_rearm_ratio", "volume_spike_ratio",
    ),
    REJECTION_BIT: (
        "trigger_vwap_rejection", "vwap_volume_ratio", "vwap_tolerance_sigma", "vwap_tolerance_pct",
        "vwap_far_sigma", "vwap_far_s", "vwap_through_ratio", "vwap_bounce_sigma", "vwap_bounce_tolerance_ratio",
        "vwap_touch_s", "vwap_first_minutes",
    ),
    BREAKOUT_BIT: (
        "trigger_breakout", "breakout_buffer_usd", "breakout_buffer_pct", "breakout_hold_ms", "breakout_confirm_s",
        "level_rearm_s", "volume_spike_ratio",
    ),
}  # fmt: skip
"""Every setting a trigger's machine reads (`triggers.py`), by trigger."""
_JUDGED_BY: Final = ("target_delta", "max_spread_pct", "min_open_interest", "max_contract_price", "prefer_0dte")
"""Settings of `[scalp]` that the chain is judged by."""


def tracker_key(params: Params, session: Session) -> tuple[tuple[int, ...], bytes]:
    """Equal for settings whose trackers agree, so that their lanes can share one pass."""
    windows = windows_s(params)
    tracker = np.zeros(1, TRACKER).view(np.recarray)
    fill_tracker(tracker[0], params, session, windows)
    return windows, tracker.tobytes()


class Machines:
    """The trigger machines of all lanes: one of a kind for each set of its settings.

    Args:
        lanes: Thresholds of each lane.
    """

    def __init__(self, lanes: Sequence[ScalpConfig]) -> None:
        numbers: dict[ScalpConfig, int] = {}
        self.of_lane: list[tuple[int, ...]] = []
        """Numbers of each lane's machines, in the order of triggers."""
        self.members: list[list[int]] = []
        """Lanes of each machine."""
        for number, scalp in enumerate(lanes):
            own = []
            for names in _MACHINE_FIELDS.values():
                off = dict.fromkeys(_SWITCHES, False)
                config = ScalpConfig(**(off | {name: getattr(scalp, name) for name in names}))
                machine = numbers.setdefault(config, len(numbers))
                if machine == len(self.members):
                    self.members.append([])
                self.members[machine].append(number)
                own.append(machine)
            self.of_lane.append(tuple(own))
        self.configs = tuple(numbers)
        """Thresholds of each machine, every other trigger off: what the kernel takes as lanes."""


class BidHistory:
    """Extremes of watched contracts' bids, from any of several beginnings.

    The kernel follows one low and one high a contract. Each beginning closes what it followed so far as a
    piece, so the extremes since any beginning are those of the pieces since. Bounded by the scalps of all lanes.

    Args:
        market: Whose contracts they are.
    """

    def __init__(self, market: MarketState) -> None:
        self._market = market
        self._pieces: dict[int, tuple[list[int], list[int]]] = {}
        self._begun: dict[int, int] = {}
        """Moment of the last beginning, by contract."""

    def begin(self, instrument_id: int, moment: int) -> int:
        """Begin to follow one contract; where `extremes` is to count from."""
        lows, highs = self._pieces.setdefault(instrument_id, ([], []))
        if self._begun.get(instrument_id) != moment:
            # Of beginnings at one moment the first is everyone's: nothing was folded between them.
            self._begun[instrument_id] = moment
            quote = self._market.book[instrument_id]
            lows.append(int(quote["bid_low_e4"]))
            highs.append(int(quote["bid_high_e4"]))
            self._market.restart_bid_extremes(instrument_id)
        return len(lows)

    def extremes(self, instrument_id: int, since: int) -> tuple[int, int]:
        """Lowest and highest valid bid since a beginning."""
        lows, highs = self._pieces[instrument_id]
        quote = self._market.book[instrument_id]
        return (
            min(int(quote["bid_low_e4"]), *lows[since:]) if len(lows) > since else int(quote["bid_low_e4"]),
            max(int(quote["bid_high_e4"]), *highs[since:]) if len(highs) > since else int(quote["bid_high_e4"]),
        )


class Moment:
    """One return from the kernel: what lanes read of it is read once.

    Args:
        market: The state they share.
    """

    def __init__(self, market: MarketState) -> None:
        self.market = market
        self.known: dict[Any, Any] = {}
        self.rose: list[int] = []
        """Trigger bits of each machine's two sides at the last instant."""
        self.number = 0
        self.bids = BidHistory(market)

    def begin(self) -> None:
        """Forget what was known of the last one."""
        self.number += 1
        self.known.clear()

    def read_rises(self) -> list[int]:
        """Machines of which something rose at this instant."""
        self.rose = self.market.state.lane_sides.view(np.ndarray)["rose_bits"].tolist()
        return [index // SIDES for index, bits in enumerate(self.rose) if bits]


class LaneSide:
    """The trigger machines of one side as one lane sees them; fields as `layout.LANE_SIDE`."""

    def __init__(self, moment: Moment, machines: tuple[int, ...], right: int, threshold_pct: float) -> None:
        self._moment = moment
        self._rows = tuple(machine * SIDES + right for machine in machines)
        self.threshold_pct = threshold_pct

    @property
    def rose_bits(self) -> int:
        """Triggers that rose at the last instant."""
        rose = self._moment.rose
        first, second, third = self._rows
        return rose[first] | rose[second] | rose[third]

    @property
    def breakout_level(self) -> float:
        """Level whose breakout rose last."""
        return float(self._moment.market.state.lane_sides[self._rows[-1]].breakout_level)

    @property
    def breakout_slot(self) -> int:
        """Its slot."""
        return int(self._moment.market.state.lane_sides[self._rows[-1]].breakout_slot)


def _once(name: str) -> Any:
    """A property of `MarketView` that is read once a moment."""
    read: Callable[[MarketView], Any] = vars(MarketView)[name].fget

    def remembered(view: LaneView) -> Any:
        known = view.moment.known
        if name not in known:
            known[name] = read(view)
        return known[name]

    return property(remembered, doc=read.__doc__)


def _once_of(name: str) -> Any:
    """A method of `MarketView` with at most one argument, asked once a moment."""
    read: Callable[..., Any] = vars(MarketView)[name]

    def remembered(view: LaneView, *arguments: int) -> Any:
        known, key = view.moment.known, (name, *arguments)
        if key not in known:
            known[key] = read(view, *arguments)
        return known[key]

    remembered.__doc__ = read.__doc__
    return remembered


class LaneView(MarketView):
    """The market as one lane sees it: its own triggers and bids, all else read once for all lanes.

    Args:
        moment: What lanes share.
        machines: Numbers of its trigger machines.
        scalp: Its thresholds.
    """

    def __init__(self, moment: Moment, machines: tuple[int, ...], scalp: ScalpConfig) -> None:
        super().__init__(moment.market)
        self.moment = moment
        thresholds = np.zeros(1, LANE).view(np.recarray)
        fill_lane(thresholds[0], scalp)
        self._lane = SimpleNamespace(**{name: thresholds[name][0].item() for name in LANE.names or ()})
        self._sides = [
            LaneSide(moment, machines, right, float(momentum_threshold_pct(scalp, right))) for right in RIGHTS
        ]
        self._bids_since: dict[int, int] = {}

    price_e4 = _once("price_e4")
    vwap_e4 = _once("vwap_e4")
    sigma_e4 = _once("sigma_e4")
    momentum_pct = _once("momentum_pct")
    confirm_pct = _once("confirm_pct")
    reversal_pct = _once("reversal_pct")
    has_stock_quotes = _once("has_stock_quotes")
    underlying_last_ns = _once("underlying_last_ns")
    underlying_price_ns = _once("underlying_price_ns")
    spot_e4 = _once("spot_e4")
    volume_ratio = _once_of("volume_ratio")
    last_sweep_ns = _once_of("last_sweep_ns")
    channel_last_ns = _once_of("channel_last_ns")
    is_halted = _once_of("is_halted")
    halt_end_ns = _once_of("halt_end_ns")
    blind_until_ns = _once_of("blind_until_ns")
    sees_options_since_ns = _once_of("sees_options_since_ns")

    @property
    def lane(self) -> Any:
        """Thresholds of this lane."""
        return self._lane

    def lane_side(self, right: int) -> Any:
        """Trigger machines of one side."""
        return self._sides[right]

    def quote(self, instrument_id: int) -> Quote:
        """The quote of one instrument."""
        known = self.moment.known
        found: Quote | None = known.get(instrument_id)
        if found is None:
            found = known[instrument_id] = super().quote(instrument_id)
        return found

    def bid_extremes_e4(self, instrument_id: int) -> tuple[int, int]:
        """Lowest and highest valid bid since this lane restarted them."""
        return self.moment.bids.extremes(instrument_id, self._bids_since[instrument_id])

    def restart_bid_extremes(self, instrument_id: int) -> None:
        """Let the extremes of the bid count from the quote that stands, for this lane."""
        self._bids_since[instrument_id] = self.moment.bids.begin(instrument_id, self.moment.number)


def selector_key(params: Params) -> tuple[Any, ...]:
    """Equal for settings that judge the chain alike."""
    gates = params.gates
    judged_by = tuple(getattr(params.scalp, name) for name in _JUDGED_BY)
    return (*judged_by, gates.option_quote_age_ms_max, gates.ask_size_min, params.selection)


class SharedSelector(OptionSelector):
    """Judges the chain once an instant for all lanes that judge it alike.

    Prices of the chain go further: they are shared by all lanes whose prices rest on the same settings.
    """

    moment: Moment
    """Set by `shared_selector`; what is known is forgotten with it."""

    def select(self, right: int, t_ns: int, view: MarketView) -> Selection | Refused:
        """The contract of one side to buy at `t_ns`, or what keeps the nearest one out."""
        key = (id(self), right)
        known = self.moment.known
        if key not in known:
            known[key] = super().select(right, t_ns, view)
        found: Selection | Refused = known[key]
        return found

    def price(self, expiry: Expiry, t_ns: int, view: MarketView) -> Priced:
        """Greeks of one expiry."""
        selection = self.params.selection
        rules = (selection.time_to_expiry_s_min, selection.risk_free_rate, selection.forward_strikes)
        key = (expiry.date, self.params.gates.option_quote_age_ms_max, *rules)
        known = self.moment.known
        if key not in known:
            known[key] = super().price(expiry, t_ns, view)
        found: Priced = known[key]
        return found


def lanes_of(settings: Sequence[Params], key: Callable[[Params], Any]) -> list[list[int]]:
    """Numbers of settings, grouped by `key`, in the order of first sight."""
    groups: dict[Any, list[int]] = {}
    for number, params in enumerate(settings):
        groups.setdefault(key(params), []).append(number)
    return list(groups.values())


def with_values(params: Params, values: dict[str, Any]) -> Params:
    """Settings with some changed.

    Args:
        params: The others.
        values: By dotted name, like `scalp.stop_loss_pct`.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, field = name.split(".")
        sections.setdefault(section, {})[field] = value
    changed = {name: dataclasses.replace(getattr(params, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(params, **changed)
