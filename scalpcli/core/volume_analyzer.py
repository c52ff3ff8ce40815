"""Volume by hand: trades and quotes of contracts in, volume ratios and sweeps out.

A view over the engine's own arrays: every contract has a market state of its own, into which
`kernel.advance` folds its rows. What a ratio and a sweep are stands in `volume.py`.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from scalpcli.core.by_hand import (
    INTERPRETED,
    HandFed,
    SessionDay,
    asked_ns,
    check_order,
    moment_ns,
    moment_of,
    price_in_e4,
    whole_size,
)
from scalpcli.core.layout import CALL, NO_TIME_NS
from scalpcli.core.market_state import Kernel
from scalpcli.core.volume import count_bits
from scalpcli.errors import UsageError
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params, ScalpConfig
from scalpcli.model.row import LAST, MULTI_LEG, OPTION_QUOTE, OPTION_TRADE, VOLUME
from scalpcli.model.session import Session
from scalpcli.model.trade_params import ExitParams
from scalpcli.units import e4_to_usd, min_to_ns

CONTRACTS_MAX: Final = 4096
"""Contracts one analyzer follows at most."""
SWEEPS_KEPT_MAX: Final = 1024
"""Sweeps that wait to be asked for at most; the oldest is dropped and counted."""
EXCHANGES_MAX: Final = 63
WINDOW_MINUTES_MAX: Final = 390.0

_CONTRACT_ID: Final = 1


@dataclass(frozen=True, slots=True)
class SweepSignal:
    """A large order that took out several prices or exchanges at once.

    Args:
        contract: What was traded.
        side: `buy` at or above the ask, `sell` at or below the bid.
        contracts: Size of the run's prints together.
        price_low: Lowest price of the run, USD.
        price_high: Highest price of the run, USD.
        exchanges: Exchanges it touched, of those that were named.
        started_at: Its first print, UTC.
        timestamp: The print that made it a sweep, UTC.
    """

    contract: str
    side: Literal["buy", "sell"]
    contracts: int
    price_low: float
    price_high: float
    exchanges: int
    started_at: dt.datetime
    timestamp: dt.datetime


@dataclass(slots=True)
class _Contract:
    """One contract's market, and which of its runs was raised last."""

    feed: HandFed
    raised: int = 0
    raised_ns: int = NO_TIME_NS
    sweep_number: int = -1


@dataclass(slots=True)
class _Sweeps:
    """Sweeps nobody has asked for yet, by number, oldest first."""

    waiting: dict[int, SweepSignal] = field(default_factory=dict)
    raised: int = 0
    dropped: int = 0


class VolumeAnalyzer:
    """Analyzes the volume of contracts of one session.

    Time stamps of all contracts together never fall: hand everything in as it was received.

    Args:
        config: Thresholds: `volume_baseline_min_s`, `min_sweep_contracts` and the other limits of a sweep.
        session: Whose open the baseline counts from; `None` takes the calendar's on the day of the first
            time stamp. Prints outside its hours are not counted in ratios.
        window_minutes_max: Longest window that will be asked for; prints are kept for so long.
        hot: The kernel; `runtime.compiler.load_kernel()` hands in the compiled one.

    Raises:
        UsageError: `window_minutes_max` outside its bounds.

    Source: definitions, section 4.
    """

    def __init__(
        self,
        config: ScalpConfig | None = None,
        session: Session | None = None,
        *,
        window_minutes_max: float = 30.0,
        hot: Kernel = INTERPRETED,
    ) -> None:
        self.config = config or ScalpConfig()
        _check_window(window_minutes_max, WINDOW_MINUTES_MAX)
        self._window_minutes_max = window_minutes_max
        self._day = SessionDay(session)
        self._hot = hot
        self._contracts: dict[str, _Contract] = {}
        self._exchanges: dict[str, int] = {"": 0}
        self._sweeps = _Sweeps()
        self.last_ns = NO_TIME_NS
        """Time of the last trade or quote of any contract, UTC nanoseconds."""

    @property
    def sweeps_dropped(self) -> int:
        """Sweeps nobody asked for in time."""
        return self._sweeps.dropped

    def add_trade(
        self,
        contract: str,
        volume: int,
        timestamp: dt.datetime,
        price: float | None = None,
        *,
        exchange: str = "",
        flags: int = LAST | VOLUME,
    ) -> None:
        """Record a trade.

        Args:
            contract: Its symbol; any text that names it.
            volume: Contracts.
            timestamp: When it was learned of; aware, and no earlier than anything before.
            price: USD per share. Without it the trade counts as volume and belongs to no sweep.
            exchange: Where it traded; empty = unknown.
            flags: What it was (`model.row`): a multi-leg, late, cancelled or auction print belongs to no
                sweep, one without `VOLUME` counts nowhere.

        Raises:
            DataError: no volume or price, a time stamp out of order or of another session.
            UsageError: a time stamp without a time zone; more contracts or exchanges than are followed.
        """
        ts_ns, size = moment_ns(timestamp), whole_size(volume)
        # No side can be told without a price; what is not single-leg is left out of runs in the same way.
        price_e4, flags = (0, (flags | MULTI_LEG) & ~LAST) if price is None else (price_in_e4(price), flags)
        code = self._exchange_code(exchange)
        feed = self._contract(contract, ts_ns).feed
        feed.fold(
            OPTION_TRADE, ts_ns, instrument_id=_CONTRACT_ID, price_e4=price_e4, size=size, flags=flags, exchange=code
        )
        self.last_ns = ts_ns
        self._follow_sweep(contract)

    def add_quote(self, contract: str, bid: float, ask: float, timestamp: dt.datetime) -> None:
        """Record the best bid and offer, against which the sides of the trades that follow are judged.

        Args:
            contract: Its symbol.
            bid: USD per share; 0 = no bid.
            ask: USD per share; 0 = no offer.
            timestamp: As for a trade.

        Raises:
            DataError: a negative price, a time stamp out of order or of another session.
            UsageError: as for a trade.
        """
        ts_ns = moment_ns(timestamp)
        bid_e4 = price_in_e4(bid, "bid") if bid != 0.0 else 0
        ask_e4 = price_in_e4(ask, "ask") if ask != 0.0 else 0
        feed = self._contract(contract, ts_ns).feed
        feed.fold(OPTION_QUOTE, ts_ns, instrument_id=_CONTRACT_ID, price_e4=bid_e4, ask_e4=ask_e4)
        self.last_ns = ts_ns

    def get_volume_ratio(self, contract: str, window_minutes: float = 5, at: dt.datetime | None = None) -> float | None:
        """Volume of the window against the session's own pace before it.

        Args:
            contract: Its symbol.
            window_minutes: Length of the window, at most `window_minutes_max`.
            at: Its end; `None` = the last time stamp handed in, of whichever contract.

        Returns:
            1.0 = usual, 2.0 = twice the usual volume; `None` = unknown: nothing traded before the window,
            or less of the session is over than two windows or `volume_baseline_min_s`.

        Raises:
            UsageError: a window longer than `window_minutes_max`; `at` before the last time stamp.
        """
        _check_window(window_minutes, self._window_minutes_max)
        at_ns = asked_ns(at, self.last_ns)
        followed = self._contracts.get(contract)
        if followed is None:
            return None
        place = int(followed.feed.tracker["volume_window"])
        with followed.feed.looking(at_ns, place, min_to_ns(window_minutes)):
            ratio = float(followed.feed.option_sides[CALL]["ratio"])
        return None if math.isnan(ratio) else ratio

    def detect_sweep(self, min_contracts: int | None = None) -> SweepSignal | None:
        """The oldest sweep that nobody was told of yet; each is told once.

        Args:
            min_contracts: Size the run has reached by now at least; `None` = `config.min_sweep_contracts`
                (100). Smaller sweeps go on waiting, and growing.

        Raises:
            UsageError: fewer contracts than `config.min_sweep_contracts`, from which on runs are raised.
        """
        size_min = self.config.min_sweep_contracts if min_contracts is None else min_contracts
        if size_min < self.config.min_sweep_contracts:
            raise UsageError(
                f"min_contracts is {size_min}, below the size at which sweeps are raised: "
                f"{self.config.min_sweep_contracts}",
                hint=f"write VolumeAnalyzer(ScalpConfig(min_sweep_contracts={size_min}))",
            )
        waiting = self._sweeps.waiting
        number = next((number for number, sweep in waiting.items() if sweep.contracts >= size_min), None)
        return None if number is None else waiting.pop(number)

    def _contract(self, contract: str, ts_ns: int) -> _Contract:
        """The contract's market, made when it is first heard of."""
        check_order(ts_ns, self.last_ns)
        session = self._day.session_at(ts_ns)
        followed = self._contracts.get(contract)
        if followed is None:
            if len(self._contracts) >= CONTRACTS_MAX:
                raise UsageError(
                    f"`{contract}` would be one contract more than are followed: {CONTRACTS_MAX}",
                    hint="hand in the expiries and strikes you trade",
                )
            instruments = (Instrument(0, ""), Instrument(_CONTRACT_ID, contract))
            followed = _Contract(HandFed(_params(self.config), session, instruments, self._hot))
            window = followed.feed.windows[int(followed.feed.tracker["volume_window"])]
            window["window_ns"] = min_to_ns(self._window_minutes_max)
            self._contracts[contract] = followed
        return followed

    def _exchange_code(self, exchange: str) -> int:
        code = self._exchanges.setdefault(exchange, len(self._exchanges))
        if code > EXCHANGES_MAX:
            del self._exchanges[exchange]
            raise UsageError(
                f"`{exchange}` would be one exchange more than are told apart: {EXCHANGES_MAX}",
                hint="write one name for each exchange",
            )
        return code

    def _follow_sweep(self, contract: str) -> None:
        """Note a run that has just been raised, or that has grown since."""
        followed = self._contracts[contract]
        run, side = followed.feed.sweeps[_CONTRACT_ID], followed.feed.option_sides[CALL]
        sweeps = self._sweeps
        raised = int(side["sweeps"] + side["sell_sweeps"])
        if raised > followed.raised:
            followed.raised = raised
            followed.raised_ns = self.last_ns
            followed.sweep_number = sweeps.raised
            sweeps.raised += 1
            sweeps.waiting[followed.sweep_number] = _sweep_signal(contract, run, followed.raised_ns)
            if len(sweeps.waiting) > SWEEPS_KEPT_MAX:
                del sweeps.waiting[next(iter(sweeps.waiting))]
                sweeps.dropped += 1
        elif run["raised"] != 0 and followed.sweep_number in sweeps.waiting:
            sweeps.waiting[followed.sweep_number] = _sweep_signal(contract, run, followed.raised_ns)


def _sweep_signal(contract: str, run: Any, raised_ns: int) -> SweepSignal:
    return SweepSignal(
        contract=contract,
        side="buy" if run["side"] > 0 else "sell",
        contracts=int(run["contracts"]),
        price_low=e4_to_usd(int(run["price_min"])),
        price_high=e4_to_usd(int(run["price_max"])),
        exchanges=count_bits(int(run["exchanges"])),
        started_at=moment_of(int(run["first_event_ns"])),
        timestamp=moment_of(raised_ns),
    )


def _params(config: ScalpConfig) -> Params:
    """The caller's thresholds over the volume of one contract; one window is measured."""
    window_s = config.volume_confirm_window_s
    names = ("min_sweep_contracts", "sweep_gap_ms_max", "sweep_run_ms_max", "sweep_prices_min", "sweep_exchanges_min")
    scalp = ScalpConfig(
        velocity_windows_seconds=(window_s,),
        momentum_window_seconds=window_s,
        momentum_confirm_window_seconds=window_s,
        volume_confirm_window_s=window_s,
        volume_source="options",
        volume_baseline_min_s=config.volume_baseline_min_s,
        **{name: getattr(config, name) for name in names},
    )
    return Params(scalp=scalp, exits=ExitParams(reversal_window_seconds=window_s))


def _check_window(window_minutes: float, longest: float) -> None:
    if not 0.0 < window_minutes <= longest:
        raise UsageError(
            f"the window is {window_minutes} minutes, outside its limits: above 0, at most {longest}",
            hint="name the longest window when the analyzer is made: "
            f"VolumeAnalyzer(window_minutes_max=60), at most {WINDOW_MINUTES_MAX}",
        )
