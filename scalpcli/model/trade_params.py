"""`[exits]`, `[risk]` and `[simulated_broker]`: settings of orders and positions: name, default, bounds and meaning.

Numbers without another source are a desk choice (definitions, head).
"""

from __future__ import annotations

from dataclasses import dataclass

from scalpcli.model.setting import setting


@dataclass(frozen=True, slots=True)
class ExitParams:
    """`[exits]`: how a position ends. Definitions, section 8; target, stop and holding time stand in `[scalp]`."""

    stop_confirm_ms: int = setting(300, "milliseconds a stop must stand before it sells; 0 = at once", ge=0, le=600_000)
    reversal_enabled: bool = setting(False, "sell when momentum turns against the position")
    reversal_window_seconds: int = setting(15, "seconds of the window that shows a reversal (v_15)", ge=1, le=7200)
    reversal_ratio: float = setting(0.5, "share of the threshold that makes a reversal", gt=0.0, le=10.0)
    reversal_after_s: float = setting(10.0, "seconds held before a reversal counts", ge=0.0, le=23_400.0)
    stalled_after_minutes: float = setting(
        0.0, "sell a position not in profit after so many minutes; 0 = off", ge=0.0, le=390.0
    )
    stalled_profit_pct: float = setting(
        0.0, "profit that counts as moving, percent of the premium", ge=-100.0, le=10_000.0
    )
    trailing_stop_pct: float = setting(
        0.0, "sell so many percent below the best bid since entry; 0 = off", ge=0.0, le=100.0
    )
    flatten_before_close_minutes: float = setting(
        50.0, "sell everything so many minutes before the close", ge=0.0, le=390.0
    )
    protective_stop_pct: float = setting(
        0.0,
        "a stop rests at the broker so many percent below the premium paid, for the case that we are gone; 0 = off:"
        " it holds the quantity, so that every exit waits until it is taken back",
        ge=0.0,
        le=99.0,
        is_later=True,
    )
    last_rung_before_close_minutes: float = setting(
        10.0,
        "contracts of the day still held so many minutes before the close (at most half of those of the flatten time)"
        " are not exercised, and somebody is called; 0 = off: one in the money by a cent becomes 100 shares",
        ge=0.0,
        le=390.0,
        is_later=True,
    )


@dataclass(frozen=True, slots=True)
class RiskParams:
    """`[risk]`: how much, and how an order is worked."""

    starting_equity_usd: float = setting(100_000.0, "equity every session starts at, USD", gt=0.0, le=1_000_000_000.0)
    contracts_max: int = setting(
        100, "contracts of one order at most: the last bound, whatever else is set wrong", ge=1, le=100_000
    )
    order_value_usd_max: float = setting(
        1_000_000.0,
        "premium of one order at most, USD: the last bound where equity or price are wrong: set it to your own",
        gt=0.0,
        le=1_000_000_000.0,
    )
    displayed_size_share_pct: float = setting(
        100.0, "share of the displayed ask size one order may take, percent", gt=0.0, le=100.0
    )
    slippage_budget_pct: float = setting(
        5.0, "the entry limit stands at most so many percent above the ask that was decided on", ge=0.0, le=100.0
    )
    entry_style: str = setting(
        "marketable",
        "marketable = from the ask up into the slippage budget; worked = from the mid to the ask, one step a try",
        choices=("marketable", "worked"),
        is_later=True,
    )
    reprice_after_ms: int = setting(1_000, "milliseconds an order works before it is re-priced", ge=1, le=600_000)
    entry_reprices_max: int = setting(2, "re-pricings of an entry before it is given up", ge=0, le=100)
    exit_reprices_max: int = setting(
        50,
        "re-pricings of an exit; each stands at the new bid, after half of them through it, the last at any price",
        ge=0,
        le=10_000,
    )
    exit_through_ticks: int = setting(2, "ticks below the bid an escalated exit stands", ge=0, le=1000)
    rejects_in_a_row_max: int = setting(
        3,
        "orders refused in a row that end entries until `arm`; 0 = off: what refuses three refuses the fourth",
        ge=0,
        le=1000,
        is_later=True,
    )
    open_premium_usd_max: float = setting(
        0.0,
        "premium of everything bought and not closed, with entries that work, of all strategies, USD; 0 = off:"
        " one strategy's size is limited by its share of the equity",
        ge=0.0,
        le=1_000_000_000.0,
        is_later=True,
    )
    price_collar_pct: float = setting(
        10.0,
        "an entry's limit stands at most so many percent above the ask of its moment, at every try; 0 = off:"
        " a price may have come down since the decision",
        ge=0.0,
        le=1000.0,
        is_later=True,
    )
    duplicate_order_s: float = setting(
        2.0,
        "an entry is not sent while an equal one, no older than this, works: two of a kind are a mistake; 0 = off",
        ge=0.0,
        le=600.0,
        is_later=True,
    )
    messages_per_minute_max: int = setting(
        120,
        "orders and cancels a minute; 0 = off: Alpaca answers about 200 requests a minute, look-ups included",
        ge=0,
        le=100_000,
        is_later=True,
    )
    messages_reserved: int = setting(
        60,
        "of these, kept for exits, which are never refused: an exit re-priced every second needs 120",
        ge=0,
        le=100_000,
        is_later=True,
    )


@dataclass(frozen=True, slots=True)
class SimulatedBrokerParams:
    """`[simulated_broker]`: what happens between decision and fill. Definitions, section 8."""

    order_latency_ms: float = setting(
        250.0, "milliseconds from decision until the order reaches the market", ge=0.0, le=600_000.0
    )
    report_latency_ms: float = setting(50.0, "milliseconds from fill until we learn of it", ge=0.0, le=600_000.0)
    latency_file: str = setting(
        "", "CSV with columns order_latency_ms, report_latency_ms to draw from (seeded); empty = the fixed values"
    )
    seed: int = setting(0, "seed of the draws from latency_file", ge=0, le=2**31 - 1)
    quote_age_ms_max: int = setting(60_000, "a quote older than this fills nothing, milliseconds", ge=1, le=7_200_000)
