"""All trackers, triggers and sweeps of one session, recomputed from the definitions alone.

Where the definitions leave a choice, this is what was chosen. *Reference*: the values of the three recorded
days of 2013 decide it; all else is the reading that seemed nearest to the text.

Time and price
- At interval 0 the instants are the receive times in `(O, C]` of regular, not backfilled, last-eligible prints
  and price-only rows, also when the price is the mid.
- A price is too old when its receive time lies more than `w` before `t` (before `t - w` for the older one);
  exactly `w` is still known (reference: an age limit stands on both ends).
- The mid needs a regular, not backfilled quote with both sides and bid < ask; an unusable quote leaves the one
  before it standing. It then is `P` everywhere; price-only rows move only the high and the low.
- The source's channels: stock trades and price-only rows, or stock quotes. Each channel opens and closes its
  gaps alone; an end closes whatever is open. Only velocity is blinded, halts blind nothing.
Volume
- `(V / w) / (V0 / elapsed seconds)`; the baseline includes a print received at `O` and is known from the bound
  on (reference). A profile serves the stock alone and is used even where it gives 0, which is unknown.
- The trace's ratio is the stock's, whatever confirms. `both`: either ratio must be known and enough.
VWAP and levels
- A print of size 0 does not enter VWAP. Minutes and the opening range go by receive time.
- A pivot joins the oldest of the kept levels within reach (reference); the 17th level of a side ends the oldest
  at once. A level takes its first step at the instant it becomes active.
- The extreme is judged at instants: one that is surpassed before an instant saw it old enough never is a level.
  An equal price does not renew it (reference).
Machines
- A burst without volume stays armed and may rise later while it holds.
- Rejection: through VWAP is looked at first, then the end of the 90 s (exactly 90 s may still rise), then the
  touch or the bounce. The instant that returns to idle is not counted in the next run.
- Breakout: a run that is over voids the crossing and leaves the level armed, also when the confirmation time
  passed meanwhile; the level is disarmed only at an instant that still stands beyond it. While a level is
  inactive or the price unknown, nothing moves. The least buffer is rounded to whole 1/10000 USD.
Sweeps
- Excluded prints (backfilled ones too) are invisible and break nothing. The quote is frozen before the first
  print of a run. A print that both sides claim (locked, crossed) has no side; an absent side claims nothing.
- Distances in time are absolute. A print that does not continue a run starts one. Exchange 0 is not counted.
Profile
- Window edges are floored to whole seconds since the open and clamped there; the divisor stays `w`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from scalpcli.model import row
from tests.oracle import levels, sweeps, trackers, triggers


class Recomputed(NamedTuple):
    """Values per instant in dollars and percent, triggers in the engine's order, sweeps in tape order."""

    trackers: pl.DataFrame
    triggers: list[triggers.Rise]
    sweeps: list[sweeps.Sweep]


def recompute(
    columns: Mapping[str, Any],
    open_ns: int,
    close_ns: int,
    params: Any,
    *,
    previous: tuple[int, int, int] | None = None,
    profile: Sequence[Sequence[int]] | None = None,
    rights: Mapping[int, str] | None = None,
    until_ns: int | None = None,
) -> Recomputed:
    """Recompute a session from its rows.

    Args:
        columns: Tape columns by name, in tape order.
        open_ns: Open of the session, UTC nanoseconds.
        close_ns: Close of the session, UTC nanoseconds.
        params: Anything with the attributes of `[scalp]`.
        previous: High, low and close of the session before, 1/10000 USD.
        profile: Volumes of earlier sessions, one per second since the open.
        rights: Instrument number -> `C` or `P` of every contract.
        until_ns: Last instant wanted; everything after it is left out.
    """
    times = trackers.instants(columns, params.eval_interval_ms, open_ns, close_ns)
    if until_ns is not None:
        times = times[times <= until_ns]
    session = (open_ns, close_ns)
    series = trackers.price_series(columns, params.price_source, *session)
    price, _ = series.at(times)
    channels = (
        row.CHANNEL_STOCK_QUOTES if params.price_source == "mid" else row.CHANNEL_STOCK_TRADES | row.CHANNEL_PRICE_ONLY
    )
    blind = trackers.blind_until(columns, channels, times)

    def speed(window_s: int) -> Any:
        return trackers.velocity(series, window_s, times, blind)

    window = params.volume_confirm_window_s
    stock = trackers.stock_volume(columns, *session)
    earlier = (
        trackers.profile_baseline(profile, window, times, open_ns)
        if profile
        else trackers.session_baseline(stock, window, params.volume_baseline_min_s, times, open_ns)
    )
    stock_ratio = trackers.volume_ratio(stock, window, times, earlier)
    means, sigmas = trackers.vwap_series(columns, *session)
    bands = (means.at(times)[0], sigmas.at(times)[0])
    ranges = trackers.range_series(columns, *session)
    all_levels = levels.all_levels(ranges, times, *session, params, previous)

    rises: list[triggers.Rise] = []
    for side in (1, -1):
        ratios = _ratios(columns, params, rights or {}, side, times, stock_ratio, session)
        spike = triggers.confirmed(ratios, params.volume_spike_ratio)
        if params.trigger_momentum_burst:
            long, short = speed(params.momentum_window_seconds), speed(params.momentum_confirm_window_seconds)
            rises += triggers.momentum_bursts(times, side, long, short, spike, params)
        if params.trigger_vwap_rejection:
            calm = triggers.confirmed(ratios, params.vwap_volume_ratio)
            rises += triggers.vwap_rejections(times, side, price, bands, calm, open_ns, params)
        if params.trigger_breakout:
            of_side = [level for level in all_levels if level.side == side]
            rises += triggers.breakouts(times, of_side, price, spike, params)

    values = {"price": price / triggers.E4}
    values |= {f"velocity_{w}_pct": speed(w) for w in params.velocity_windows_seconds}
    values |= {"vwap": bands[0] / triggers.E4, "sigma": bands[1] / triggers.E4, "volume_ratio": stock_ratio}
    for name, side in (("session_high", 1), ("session_low", -1)):
        values[name] = trackers.extreme_series(ranges, side).at(times)[0] / triggers.E4
    frame = pl.DataFrame({"ts_ns": times, **values}).fill_nan(None)
    found = sweeps.find_sweeps(columns, params, math.inf if until_ns is None else until_ns)
    return Recomputed(frame, triggers.in_order(rises), found)


def _ratios(
    columns: Any, params: Any, rights: Mapping[int, str], side: int, times: Any, stock: Any, session: tuple[int, int]
) -> list[Any]:
    """The volume ratios that must all confirm a trigger of this side."""
    if params.volume_source == "stock":
        return [stock]
    window = params.volume_confirm_window_s
    traded = trackers.option_volume(columns, rights, "C" if side > 0 else "P", *session)
    usual = trackers.session_baseline(traded, window, params.volume_baseline_min_s, times, session[0])
    options = trackers.volume_ratio(traded, window, times, usual)
    return [options] if params.volume_source == "options" else [stock, options]
