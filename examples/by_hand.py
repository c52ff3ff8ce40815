"""Feed the engine's parts by hand: velocity, volume and triggers of a made-up quarter of an hour.

    python examples/by_hand.py

Prices wave around 400 for fourteen minutes; then TSLA runs up 0.8 percent in twenty seconds on heavy volume.
A sweep of calls comes with it. Nothing is read, sent or kept.
"""

from datetime import UTC, datetime, timedelta

from scalpcli import PriceVelocityTracker, ScalpConfig, TechnicalScalper, VolumeAnalyzer

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
CALL = "TSLA261120C00405000"
RUN_BEGINS_S = 840
RUN_ENDS_S = 860
LAST_S = 870


def trade_at(second: int) -> tuple[float, int]:
    """Price in USD and shares of the one trade of a second."""
    if second < RUN_BEGINS_S:
        height = 0.015 if second < 300 else 0.010
        return 400.00 + (second % 40) * height, 100
    up = min(second, RUN_ENDS_S) - RUN_BEGINS_S
    return 400.00 + up * 0.16, 600


def percent(value: float | None) -> str:
    """A change for people; what is unknown is None, never zero."""
    return "unknown" if value is None else f"{value:+.4f} %"


def watch_velocity() -> None:
    """One tracker, asked now and then."""
    tracker = PriceVelocityTracker("TSLA", windows=(5, 15, 30, 60))
    for second in range(820, LAST_S + 1):
        tracker.add_price(trade_at(second)[0], OPEN + timedelta(seconds=second))
        if second in (825, 850, 860):
            v_5, v_30 = (percent(tracker.get_velocity(window).change_pct) for window in (5, 30))
            print(f"{second} s: {tracker.last_price:.2f} USD, {v_5} in 5 s, {v_30} in 30 s")
    spike = tracker.detect_spike(threshold_pct=0.5, window=30)
    if spike is not None:
        print(f"spike: {percent(spike.change_pct)} in {spike.window_seconds} s, {spike.speed:+.5f} % a second")


def watch_contract() -> None:
    """Volume of one call against its own pace before, and a sweep in it."""
    analyzer = VolumeAnalyzer()
    for minute in range(1, 15):
        analyzer.add_trade(CALL, 20, OPEN + timedelta(minutes=minute), price=1.50)
    analyzer.add_quote(CALL, 1.50, 1.55, OPEN + timedelta(seconds=RUN_BEGINS_S))
    for number, (contracts, price, exchange) in enumerate([(80, 1.55, "CBOE"), (60, 1.60, "ISE")]):
        moment = OPEN + timedelta(seconds=RUN_BEGINS_S, milliseconds=10 * (number + 1))
        analyzer.add_trade(CALL, contracts, moment, price, exchange=exchange)
    print(f"{CALL}: {analyzer.get_volume_ratio(CALL, window_minutes=5):.3f} times its usual volume")
    sweep = analyzer.detect_sweep()
    if sweep is not None:
        print(f"sweep: {sweep.side} {sweep.contracts} contracts from {sweep.price_low:.2f} to {sweep.price_high:.2f}")


def watch_triggers() -> None:
    """The engine itself, fed trade by trade; one look a second instead of five keeps it quick uncompiled."""
    scalper = TechnicalScalper("TSLA", config=ScalpConfig(eval_interval_ms=1000))
    for second in range(1, LAST_S + 1):
        price, shares = trade_at(second)
        now = OPEN + timedelta(seconds=second)
        scalper.update(price, shares, now)
        for check in (scalper.check_momentum_burst, scalper.check_vwap_rejection, scalper.check_breakout):
            trigger = check(at=now)
            if trigger is not None:
                print(f"{second} s: {trigger.trigger} {trigger.side} at {trigger.price:.2f}", end=", ")
                print(f"{percent(trigger.velocity_pct)} on {trigger.volume_ratio:.2f} times the usual volume")
    print(f"VWAP {scalper.vwap:.4f}, bands {scalper.vwap_lower:.4f} to {scalper.vwap_upper:.4f}")
    print(f"session {scalper.session_low:.2f} to {scalper.session_high:.2f}")
    print(f"support {scalper.support_levels}, resistance {scalper.resistance_levels}")


if __name__ == "__main__":
    watch_velocity()
    watch_contract()
    watch_triggers()
