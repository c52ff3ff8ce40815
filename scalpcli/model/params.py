"""Every setting of the product, once: name, default, bounds and meaning.

`config.py` builds its pydantic models, `config.example.toml` and its error messages from these
dataclasses; the engine takes them as plain values. Names and defaults of `ScalpConfig` up to
`cooldown_after_loss_minutes` are the user's original design and stay. Numbers without another
source are a desk choice (definitions, head).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from scalpcli.model.live_params import LiveParams
from scalpcli.model.setting import setting
from scalpcli.model.trade_params import ExitParams, RiskParams, SimulatedBrokerParams


@dataclass(frozen=True, slots=True)
class ScalpConfig:
    """`[scalp]`: the strategy. Definitions, sections 1 to 7."""

    enabled: bool = setting(False, "live only, its last gate: nothing is ordered while false; replay always evaluates")
    eval_interval_ms: int = setting(
        200, "milliseconds between two evaluations; 0 = at every underlying trade", ge=0, le=60_000
    )
    momentum_threshold_pct: float = setting(0.5, "percent in the window that makes a burst", gt=0.0, le=100.0)
    momentum_window_seconds: int = setting(30, "seconds of the momentum window", ge=1, le=7200)
    volume_spike_ratio: float = setting(
        2.0, "volume ratio that confirms a burst or breakout; 0 asks for nothing", ge=0.0, le=1000.0
    )
    min_sweep_contracts: int = setting(100, "contracts that make a sweep", ge=1, le=1_000_000)
    target_delta: float = setting(0.35, "absolute delta looked for", gt=0.0, le=1.0)
    max_spread_pct: float = setting(5.0, "widest spread, percent of the mid price", gt=0.0, le=200.0)
    min_open_interest: int = setting(500, "least open interest, contracts", ge=0, le=10_000_000)
    prefer_0dte: bool = setting(True, "look at the same-day expiry first; false looks at the later one first")
    take_profit_pct: float = setting(30.0, "target, percent of the premium paid", gt=0.0, le=10_000.0)
    stop_loss_pct: float = setting(15.0, "stop, percent of the premium paid", gt=0.0, le=100.0)
    max_hold_minutes: float = setting(15.0, "minutes after which a position is sold", gt=0.0, le=390.0)
    max_daily_scalps: int = setting(
        5, "scalps opened in one session at most: more are a fault, or a day to leave alone", ge=0, le=10_000
    )
    max_concurrent_scalps: int = setting(
        1, "scalps open or working at one time at most: two of one underlying are one bet twice", ge=1, le=100
    )
    scalp_position_size_pct: float = setting(5.0, "percent of the equity one scalp may cost", gt=0.0, le=100.0)
    max_contract_price: float = setting(5.0, "dearest ask, USD per share", gt=0.0, le=10_000.0)
    min_signal_interval_seconds: float = setting(60.0, "seconds between two signals", ge=0.0, le=86_400.0)
    cooldown_after_loss_minutes: float = setting(
        5.0, "minutes without entries after a losing trade closed", ge=0.0, le=390.0
    )

    price_source: str = setting("trade", "what velocity is measured on", choices=("trade", "mid"))
    momentum_threshold_call_pct: float = setting(
        0.0, "threshold for calls alone; 0 = momentum_threshold_pct", ge=0.0, le=100.0
    )
    momentum_threshold_put_pct: float = setting(
        0.0, "threshold for puts alone; 0 = momentum_threshold_pct", ge=0.0, le=100.0
    )
    momentum_confirm_window_seconds: int = setting(
        5, "seconds of the short window that must agree (v_5)", ge=1, le=7200
    )
    momentum_rearm_ratio: float = setting(
        0.6, "share of the threshold below which a burst is armed again", ge=0.0, le=1.0
    )
    velocity_windows_seconds: tuple[int, ...] = setting(
        (5, 15, 30, 60), "windows traced and shown, seconds", ge=1, le=7200
    )
    volume_confirm_window_s: int = setting(30, "seconds of the volume window that confirms", ge=1, le=7200)
    volume_source: str = setting("stock", "whose volume confirms", choices=("stock", "options", "both"))
    volume_baseline_min_s: int = setting(300, "seconds of session before its own baseline is known", ge=0, le=23_400)
    sweep_gap_ms_max: int = setting(50, "milliseconds between two prints of one sweep at most", ge=0, le=60_000)
    sweep_run_ms_max: int = setting(500, "milliseconds one sweep lasts at most", ge=0, le=60_000)
    sweep_prices_min: int = setting(2, "prices a sweep takes out at least (or sweep_exchanges_min)", ge=1, le=8)
    sweep_exchanges_min: int = setting(3, "exchanges a sweep touches at least (or sweep_prices_min)", ge=1, le=64)
    sweep_recent_s: int = setting(60, "seconds for which a sweep adds to the confidence", ge=0, le=7200)
    level_merge_pct: float = setting(0.05, "percent within which a swing joins a level", ge=0.0, le=10.0)
    level_min_touches: int = setting(2, "pivots that make a swing level active", ge=1, le=100)
    level_min_age_s: int = setting(300, "seconds a session extreme stands before it is a level", ge=0, le=23_400)
    level_rearm_s: int = setting(60, "seconds below a level before a breakout of it counts", ge=0, le=23_400)
    opening_range_minutes: int = setting(5, "minutes of the opening range", ge=1, le=390)
    vwap_volume_ratio: float = setting(
        1.2, "volume ratio that confirms a rejection; 0 asks for nothing", ge=0.0, le=1000.0
    )
    vwap_tolerance_sigma: float = setting(0.10, "touch tolerance, standard deviations", ge=0.0, le=10.0)
    vwap_tolerance_pct: float = setting(0.03, "touch tolerance at least, percent of VWAP", ge=0.0, le=10.0)
    vwap_far_sigma: float = setting(0.50, "standard deviations that count as far from VWAP", ge=0.0, le=10.0)
    vwap_far_s: int = setting(60, "seconds the price must have been far", ge=0, le=23_400)
    vwap_through_ratio: float = setting(1.5, "tolerances beyond VWAP that void a touch", ge=0.0, le=100.0)
    vwap_bounce_sigma: float = setting(0.25, "standard deviations of a bounce", ge=0.0, le=10.0)
    vwap_bounce_tolerance_ratio: float = setting(2.0, "tolerances of a bounce at least", ge=0.0, le=100.0)
    vwap_touch_s: int = setting(90, "seconds from touch to bounce at most", ge=0, le=23_400)
    vwap_first_minutes: int = setting(15, "minutes after the open before a rejection counts", ge=0, le=390)
    breakout_buffer_usd: float = setting(0.02, "distance beyond a level at least, USD", ge=0.0, le=1000.0)
    breakout_buffer_pct: float = setting(0.03, "distance beyond a level at least, percent of it", ge=0.0, le=10.0)
    breakout_hold_ms: int = setting(2000, "milliseconds beyond the level before it counts", ge=0, le=600_000)
    breakout_confirm_s: int = setting(10, "seconds after the crossing within which volume must confirm", ge=0, le=7200)
    trigger_momentum_burst: bool = setting(True, "whether momentum bursts are looked for")
    trigger_vwap_rejection: bool = setting(True, "whether VWAP rejections are looked for")
    trigger_breakout: bool = setting(True, "whether breakouts are looked for")
    signal_patience_ms: int = setting(
        2000, "milliseconds a trigger is offered again after a transient refusal", ge=0, le=600_000
    )
    confidence_base_momentum_burst: int = setting(50, "confidence of a bare burst", ge=0, le=100)
    confidence_base_vwap_rejection: int = setting(40, "confidence of a bare rejection", ge=0, le=100)
    confidence_base_breakout: int = setting(30, "confidence of a bare breakout", ge=0, le=100)
    confidence_momentum_weight: float = setting(25.0, "points for twice the threshold", ge=0.0, le=100.0)
    confidence_volume_weight: float = setting(15.0, "points for twice the required volume", ge=0.0, le=100.0)
    confidence_sweep_weight: float = setting(10.0, "points for a recent sweep on this side", ge=0.0, le=100.0)
    confidence_min: int = setting(0, "least confidence that is traded", ge=0, le=100)
    confidence_max: int = setting(
        100, "highest confidence that is traded: overextended moves revert; 100 = off", ge=0, le=100
    )


@dataclass(frozen=True, slots=True)
class GateParams:
    """`[gates]`: reasons to wait. Design, section 6."""

    underlying_silence_ms_max: int = setting(
        5_000, "milliseconds without any underlying row before it counts as stale", ge=1, le=7_200_000
    )
    underlying_price_age_ms_max: int = setting(15_000, "oldest underlying price, milliseconds", ge=1, le=7_200_000)
    option_silence_ms_max: int = setting(
        5_000, "milliseconds without any option quote before the channel counts as stale", ge=1, le=7_200_000
    )
    option_quote_age_ms_max: int = setting(
        60_000,
        "oldest quote of the contract, milliseconds; an unchanged quote on a living channel is fresh",
        ge=1,
        le=7_200_000,
    )
    underlying_spread_pct_max: float = setting(
        0.5, "widest spread of the underlying, percent of the mid", gt=0.0, le=100.0
    )
    ask_size_min: int = setting(1, "contracts shown at the ask at least", ge=0, le=100_000)
    theta_hold_pct_max: float = setting(
        0.0, "time decay over max_hold_minutes, percent of the ask, at most; 0 = off", ge=0.0, le=1000.0
    )
    first_entry_minutes: float = setting(
        0.0, "minutes after the open without entries; 0 = none: wide spreads have a gate of their own", ge=0.0, le=390.0
    )
    last_entry_before_close_minutes: float = setting(
        60.0, "no entries in the last minutes of the session", ge=0.0, le=390.0
    )
    gap_quiet_s: float = setting(60.0, "seconds after a gap without entries: indicators are cold", ge=0.0, le=23_400.0)
    halt_quiet_s: float = setting(60.0, "seconds after a halt without entries", ge=0.0, le=23_400.0)
    daily_loss_usd_max: float = setting(
        0.0,
        "loss of the session that ends entries, after fees and with what is open at the bid, USD; 0 = off:"
        " how much is too much depends on the account",
        ge=0.0,
        le=100_000_000.0,
    )
    daily_loss_sells: bool = setting(
        False, "also sell what is held when the day's loss is reached; else its own stop ends it", is_later=True
    )
    loss_streak_max: int = setting(
        0, "losing trades in a row that end entries; 0 = off: `max_daily_scalps` ends a bad day too", ge=0, le=1000
    )
    blackout_file: str = setting("", "TOML of dated windows without entries (a Fed decision, earnings); empty = none")


@dataclass(frozen=True, slots=True)
class SelectionParams:
    """`[selection]`: which contract. Definitions, section 7 and 8 (greeks)."""

    delta_min: float = setting(0.30, "least absolute delta", ge=0.0, le=1.0)
    delta_max: float = setting(0.40, "largest absolute delta", ge=0.0, le=1.0)
    min_dte: int = setting(0, "fewest calendar days to expiry", ge=0, le=365)
    max_dte: int = setting(1, "most calendar days to expiry", ge=0, le=365)
    preferred_dte: int = setting(-1, "days to expiry looked at first; -1 = as prefer_0dte says", ge=-1, le=365)
    min_volume_today: int = setting(
        0, "least volume today, asked instead of open interest; 0 = off", ge=0, le=10_000_000
    )
    greeks_source: str = setting(
        "auto",
        "tape = only recorded greeks, computed = only ours, auto = recorded while fresh",
        choices=("auto", "tape", "computed"),
    )
    greeks_age_s_max: float = setting(30.0, "oldest recorded greeks, seconds", ge=0.0, le=23_400.0)
    risk_free_rate: float = setting(0.04, "interest rate of the pricing formula, per year", ge=-0.1, le=1.0)
    time_to_expiry_s_min: float = setting(
        60.0, "shortest time to expiry used in the pricing formula, seconds", gt=0.0, le=86_400.0
    )
    forward_strikes: int = setting(3, "strikes nearest the money whose parity gives the forward (median)", ge=1, le=50)


@dataclass(frozen=True, slots=True)
class FeeParams:
    """`[fees]`: what trading costs beside the spread. Rates: `model/fees.py`."""

    schedule: str = setting("alpaca", "dated table of fees", choices=("alpaca", "none"))
    as_of: str = setting("", "use the rates of this day (YYYY-MM-DD) instead of the session's; empty = the session's")


@dataclass(frozen=True, slots=True)
class TapeParams:
    """`[tape]`: how tapes are written."""

    compression_level: int = setting(3, "zstd level", ge=1, le=19)
    row_group_rows: int = setting(65_536, "rows of one row group", ge=1024, le=16_777_216)
    profile_sessions_max: int = setting(20, "earlier sessions kept in the volume profile at most", ge=1, le=250)


@dataclass(frozen=True, slots=True)
class ReplayParams:
    """`[replay]`: how a replay runs."""

    gaps: str = setting(
        "flatten",
        "what a gap does: fail = exit 4, flatten = sell what is held, ignore = hold on",
        choices=("fail", "flatten", "ignore"),
    )
    min_quality: float = setting(0.0, "least coverage of the session, percent", ge=0.0, le=100.0)
    batch_rows: int = setting(65_536, "rows handed to the engine at a time", ge=1, le=16_777_216)
    jobs: int = setting(1, "sessions replayed at one time", ge=1, le=256)
    out: str = setting("runs", "folder that receives runs")


@dataclass(frozen=True, slots=True)
class AlpacaParams:
    """`[alpaca]`: where the market and the account are reached, and how patiently."""

    trading_url: str = setting("https://paper-api.alpaca.markets", "host of account, orders, contracts and calendar")
    data_url: str = setting("https://data.alpaca.markets", "host of history, chains and news")
    stream_url: str = setting("wss://stream.data.alpaca.markets", "host of the stock and option streams")
    trading_stream_url: str = setting("wss://paper-api.alpaca.markets", "host of the order updates")
    connect_s: float = setting(5.0, "seconds for a connection to open", gt=0.0, le=300.0)
    answer_s: float = setting(5.0, "seconds for an answer: to a request, or a handshake's step", gt=0.0, le=300.0)
    tries_max: int = setting(5, "tries of a request that only asks, before it is given up", ge=1, le=100)
    stale_stock_s: float = setting(8.0, "seconds of a session until a silent stock stream is mute", gt=0.0, le=3600.0)
    stale_option_s: float = setting(
        20.0, "seconds of a session until a silent option stream is mute", gt=0.0, le=3600.0
    )
    backoff_first_s: float = setting(0.1, "seconds before the first new try of a stream; doubles", gt=0.0, le=300.0)
    backoff_max_s: float = setting(30.0, "seconds between two tries at most", gt=0.0, le=3600.0)
    backoff_slow_s: float = setting(
        5.0,
        "seconds before the first new try after 406 (too many connections) or 429 (too fast); doubles",
        gt=0.0,
        le=300.0,
    )
    ping_s: float = setting(10.0, "seconds between two pings, and for their answer", gt=0.0, le=300.0)
    history_wait_s: float = setting(1.0, "seconds after a gap until its history is asked for", ge=0.0, le=600.0)
    rows_waiting_max: int = setting(
        2_000_000, "rows that may wait to be written; more are dropped, counted, a gap", ge=1, le=100_000_000
    )
    orats_url: str = setting("https://api.orats.io/datav2", "host of ORATS; used when a token is set")


@dataclass(frozen=True, slots=True)
class RecordParams:
    """`[record]`: what is recorded, and how safely."""

    feed: str = setting("sip", "stock feed: sip = all exchanges, iex = one of them", choices=("sip", "iex"))
    option_feed: str = setting(
        "opra", "option feed; indicative is modified by the vendor and not the NBBO", choices=("opra", "indicative")
    )
    dte: tuple[int, ...] = setting((0, 1), "days to expiry that are recorded, calendar days", ge=0, le=60)
    strikes: int = setting(12, "strikes on each side of the money that are recorded", ge=1, le=500)
    atm_pct: float = setting(
        0.0, "record strikes within so many percent of the money instead of `strikes`; 0 = off", ge=0.0, le=50.0
    )
    max_contracts: int = setting(200, "contracts of all symbols at most; the plan's limit holds too", ge=1, le=10_000)
    recentre_s: float = setting(30.0, "seconds between two looks whether the money has moved", gt=0.0, le=3600.0)
    greeks_s: float = setting(15.0, "seconds between two polls of greeks; 0 = none are asked for", ge=0.0, le=3600.0)
    flush_ms: int = setting(250, "milliseconds after which rows are on disk; all a crash can lose", ge=1, le=60_000)
    fsync: str = setting(
        "interval",
        "when the disk itself is waited for: never, every fsync_s, or at every flush",
        choices=("never", "interval", "always"),
    )
    fsync_s: float = setting(5.0, "seconds between two waits for the disk, with fsync = interval", gt=0.0, le=3600.0)
    segment_mb: int = setting(64, "size at which a new segment is begun, MB", ge=1, le=4096)
    segment_minutes: float = setting(15.0, "minutes after which a new segment is begun", gt=0.0, le=1440.0)
    min_free_gb: float = setting(1.0, "free disk space at which recording stops with exit 4, GB", ge=0.0, le=100_000.0)
    raw: bool = setting(False, "also keep every frame as it came over the wire")
    notify: str = setting("", "where to send a line when recording starts, is blind, or ends: a URL; empty = nowhere")
    heartbeat_url: str = setting(
        "", "asked every heartbeat_s, so that an outside watcher sees when it stops; empty = none"
    )
    heartbeat_file: str = setting("", "touched every heartbeat_s; empty = none")
    heartbeat_s: float = setting(30.0, "seconds between two heartbeats", gt=0.0, le=3600.0)
    start_before_open_minutes: float = setting(
        5.0, "minutes before the open at which recording may begin", ge=0.0, le=330.0
    )
    stop_after_close_minutes: float = setting(
        1.0, "minutes after the close until late prints are waited for", ge=0.0, le=240.0
    )
    out: str = setting("tapes", "folder that receives tapes")


@dataclass(frozen=True, slots=True)
class Params:
    """All settings, one field per section of the TOML."""

    scalp: ScalpConfig = dataclasses.field(default_factory=ScalpConfig)
    gates: GateParams = dataclasses.field(default_factory=GateParams)
    selection: SelectionParams = dataclasses.field(default_factory=SelectionParams)
    exits: ExitParams = dataclasses.field(default_factory=ExitParams)
    risk: RiskParams = dataclasses.field(default_factory=RiskParams)
    simulated_broker: SimulatedBrokerParams = dataclasses.field(default_factory=SimulatedBrokerParams)
    fees: FeeParams = dataclasses.field(default_factory=FeeParams)
    tape: TapeParams = dataclasses.field(default_factory=TapeParams)
    replay: ReplayParams = dataclasses.field(default_factory=ReplayParams)
    alpaca: AlpacaParams = dataclasses.field(default_factory=AlpacaParams)
    record: RecordParams = dataclasses.field(default_factory=RecordParams)
    live: LiveParams = dataclasses.field(default_factory=LiveParams)


@dataclass(frozen=True, slots=True)
class Blackout:
    """A dated window without entries."""

    name: str
    start_ns: int
    end_ns: int


SWING_LEVELS_MAX: Final = 16
"""Most recently created swing levels kept a side (definitions, section 5); sizes the kernel's arrays."""
SWEEP_PRICES_MAX: Final = 8
"""Different prices of one sweep that are told apart; bounds `scalp.sweep_prices_min`."""
