"""`[live]`: settings of trading with an account, once: name, default, bounds and meaning.

What decides about entries and exits stands in `[gates]`, `[risk]` and `[exits]`, for replay alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from scalpcli.model.setting import setting


@dataclass(frozen=True, slots=True)
class LiveParams:
    """`[live]`: how an account is traded, and how carefully it is watched."""

    enabled: bool = setting(False, "orders with real money; live keys, --live and the account's end are asked for too")
    on_stall: str = setting(
        "flatten",
        "what a blind feed does while a position is open: flatten = sell it, for no stop can see; "
        "hold = keep stop, target and time",
        choices=("flatten", "hold"),
    )
    foreign: str = setting(
        "refuse",
        "positions of the account that are not ours: refuse = do not start, for none can be told apart; "
        "ignore = leave them alone",
        choices=("refuse", "ignore"),
    )
    order_connect_s: float = setting(2.0, "seconds for the connection of an order to open", gt=0.0, le=60.0)
    order_answer_s: float = setting(5.0, "seconds for the answer to an order", gt=0.0, le=60.0)
    look_up_s: float = setting(5.0, "seconds for which an order of unknown outcome is looked up", gt=0.0, le=60.0)
    submit_repeats_max: int = setting(2, "times the same order id is sent again after it was not found", ge=0, le=10)
    late_entry_ms_max: int = setting(
        2_000,
        "an entry decided longer ago is not sent any more, milliseconds: the burst is over by then",
        ge=1,
        le=600_000,
    )
    reconcile_s: float = setting(30.0, "seconds between two comparisons with the broker", gt=0.0, le=600.0)
    reconcile_busy_s: float = setting(
        2.0, "seconds between two comparisons while an order works or a position is open", gt=0.0, le=60.0
    )
    guard_timeout_s: float = setting(
        10.0,
        "seconds without an answer of the engine until the guard sells what is held; 0 = no guard: "
        "longer than a disk that hangs, shorter than a scalp",
        ge=0.0,
        le=600.0,
    )
    kill_file: str = setting(
        "", "entries end and positions are sold while this file exists; empty = `KILL` beside the runs"
    )
    signals_port: int = setting(0, "port of the signals' WebSocket on this machine; 0 = any free one", ge=0, le=65_535)
    heartbeat_url: str = setting("", "asked every heartbeat_s while trading goes on; empty = none")
    heartbeat_s: float = setting(30.0, "seconds between two heartbeats", gt=0.0, le=3600.0)
    notify: str = setting("", "where fills, exits, protections and alarms are sent: a URL; empty = nowhere")
    out: str = setting("live", "folder that receives live runs")
