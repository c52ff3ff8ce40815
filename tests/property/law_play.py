"""Plays generated days through the engine as a replay does, and counts what they showed."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.model.fees import schedule_for
from scalpcli.model.params import (
    Blackout,
    GateParams,
    Params,
    ReplayParams,
    ScalpConfig,
    SelectionParams,
)
from scalpcli.model.row import RowBatch
from scalpcli.model.trade_params import ExitParams, RiskParams, SimulatedBrokerParams
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker
from tests.property.law_sessions import FEATURES, SYMBOL, THEMES, Day, S, make_day

Record = dict[str, Any]
Pick = Callable[[Sequence[Any]], Any]
"""Takes one of several."""


@dataclass(frozen=True)
class Case:
    """A day and the settings it is played with."""

    day: Day
    params: Params
    drawn_ms: tuple[tuple[float, float], ...] = ()
    blackouts: tuple[Blackout, ...] = ()


@dataclass(frozen=True)
class Played:
    """What came of a case: journal lines, the same as records, whoever wrote them, trace rows."""

    lines: list[bytes]
    records: list[Record]
    journal: SessionJournal
    trace: Any

    def of(self, *kinds: str) -> list[Record]:
        """Records of some kinds, in order."""
        return [record for record in self.records if record["kind"] in kinds]


compiled = functools.cache(load_kernel)


def play(case: Case, *, hot: Kernel | None = None, cuts: Iterable[int] = (), trace: bool = False) -> Played:
    """Play a case.

    Args:
        case: What is played.
        hot: The kernel; the compiled one unless given.
        cuts: Rows before which the input is cut into batches, in any order.
        trace: Whether to keep what every instant saw.
    """
    day, params, kernel = case.day, case.params, hot or compiled()
    setup = Setup(
        params, SYMBOL, day.session, day.instruments, schedule_for(day.session.date), case.blackouts, synthetic=True
    )
    blocks: list[Any] = []
    market = MarketState(params, day.session, day.instruments, kernel, blocks.append if trace else None)
    engine = Engine(setup, market, kernel)
    latencies = Latencies(params.simulated_broker, np.array(case.drawn_ms) if case.drawn_ms else None)
    broker = SimulatedBroker(params.simulated_broker, day.session, engine.view, latencies)
    journal = SessionJournal(engine, day.session.date, SYMBOL)
    engine.start()
    Runner(engine, market, broker, day.notes, journal.step).run(batches(day.columns, cuts))
    market.flush_trace()
    engine.finish(day.session.close_ns)
    journal.step()
    seen = np.concatenate(blocks) if blocks else np.zeros((0, 0))
    return Played(journal.lines, [json.loads(line) for line in journal.lines], journal, seen)


def batches(columns: dict[str, Any], cuts: Iterable[int]) -> list[RowBatch]:
    """The rows, cut before each of `cuts`; cuts that coincide give batches without rows."""
    whole = RowBatch.from_columns(columns)
    edges = [0, *sorted(cuts), len(whole.ts_recv_ns)]
    return [whole.slice(start, stop) for start, stop in itertools.pairwise(edges)]


# --- what is played ----------------------------------------------------------------------------------------


def scalp_configs(pick: Pick) -> ScalpConfig:
    """Thresholds low enough that a few minutes hold triggers of every kind, and limits tight enough to refuse."""
    return ScalpConfig(
        eval_interval_ms=pick([200, 0, 250, 1000]),
        momentum_threshold_pct=pick([0.1, 0.06, 0.16]),
        momentum_window_seconds=pick([10, 5, 20]),
        momentum_confirm_window_seconds=3,
        volume_spike_ratio=pick([0.0, 1.0, 1.5]),
        vwap_volume_ratio=0.0,
        volume_confirm_window_s=10,
        volume_baseline_min_s=20,
        volume_source=pick(["stock", "stock", "options", "both"]),
        price_source=pick(["trade", "trade", "mid"]),
        velocity_windows_seconds=(3, 10),
        vwap_far_s=5,
        vwap_first_minutes=1,
        level_rearm_s=5,
        level_min_age_s=20,
        opening_range_minutes=1,
        breakout_hold_ms=pick([0, 1000]),
        min_sweep_contracts=100,
        max_hold_minutes=pick([0.5, 0.1, 2.0]),
        take_profit_pct=pick([12.0, 5.0, 40.0]),
        stop_loss_pct=pick([6.0, 3.0, 15.0]),
        max_daily_scalps=pick([50, 8, 3]),
        max_concurrent_scalps=pick([1, 2, 3]),
        scalp_position_size_pct=pick([5.0, 30.0, 0.2]),
        min_signal_interval_seconds=pick([5.0, 0.0, 30.0]),
        cooldown_after_loss_minutes=pick([0.2, 0.0, 1.0]),
        signal_patience_ms=pick([2000, 0, 5000]),
        max_spread_pct=pick([8.0, 5.0, 2.0]),
        max_contract_price=pick([5.0, 2.0]),
        confidence_min=pick([0, 0, 0, 40]),
        confidence_max=pick([100, 100, 100, 80]),
    )


def gate_params(pick: Pick) -> GateParams:
    """Windows that leave most of a short day open."""
    return GateParams(
        underlying_silence_ms_max=pick([3000, 3000, 500]),
        underlying_price_age_ms_max=pick([6000, 1000]),
        option_silence_ms_max=pick([3000, 3000, 300]),
        option_quote_age_ms_max=pick([20_000, 2000]),
        underlying_spread_pct_max=pick([0.5, 0.5, 0.01]),
        ask_size_min=pick([1, 1, 5]),
        theta_hold_pct_max=pick([0.0, 0.0, 0.5]),
        first_entry_minutes=pick([0.5, 0.0]),
        last_entry_before_close_minutes=pick([2.5, 1.0]),
        gap_quiet_s=pick([10.0, 0.0]),
        halt_quiet_s=pick([10.0, 0.0]),
        daily_loss_usd_max=pick([0.0, 0.0, 1000.0]),
        loss_streak_max=pick([0, 0, 4]),
    )


def exit_params(pick: Pick) -> ExitParams:
    """Every way out."""
    return ExitParams(
        stop_confirm_ms=pick([300, 0, 2000]),
        reversal_enabled=pick([False, True]),
        reversal_window_seconds=5,
        reversal_after_s=4.0,
        stalled_after_minutes=pick([0.0, 0.2]),
        trailing_stop_pct=pick([0.0, 0.0, 4.0]),
        flatten_before_close_minutes=pick([2.0, 0.5]),
    )


def risk_params(pick: Pick) -> RiskParams:
    """Orders that are re-priced often."""
    return RiskParams(
        starting_equity_usd=pick([100_000.0, 100_000.0, 3000.0]),
        contracts_max=pick([100, 3]),
        displayed_size_share_pct=pick([100.0, 50.0]),
        slippage_budget_pct=pick([5.0, 1.0]),
        reprice_after_ms=pick([1000, 300]),
        entry_reprices_max=pick([2, 0, 4]),
        exit_reprices_max=pick([50, 4]),
    )


def all_params(pick: Pick) -> Params:
    """Settings of every section that decides."""
    return Params(
        scalp=scalp_configs(pick),
        gates=gate_params(pick),
        selection=SelectionParams(
            delta_min=0.15,
            delta_max=pick([0.6, 0.4]),
            greeks_source=pick(["auto", "computed"]),
            min_volume_today=pick([0, 0, 40]),
        ),
        exits=exit_params(pick),
        risk=risk_params(pick),
        simulated_broker=SimulatedBrokerParams(
            order_latency_ms=pick([250.0, 0.0, 1500.0]),
            report_latency_ms=pick([50.0, 0.0, 400.0]),
            quote_age_ms_max=pick([20_000, 3000]),
            seed=pick(range(10)),
        ),
        replay=ReplayParams(gaps=pick(["flatten", "ignore"])),
    )


def case_of(seed: int, minutes: tuple[int, ...] = (9, 15)) -> Case:
    """A day, its settings, sometimes drawn latencies, sometimes a blackout; all from one number.

    One number, because that spreads the examples: drawn one by one, most settings would stay as they were.
    """
    rng = np.random.default_rng(seed)

    def pick(options: Sequence[Any]) -> Any:
        return options[int(rng.integers(len(options)))]

    others = {pick(FEATURES) for _ in range(pick(range(5)))}
    features = tuple(sorted(others | set(THEMES[seed % len(THEMES)])))
    day = make_day(seed, minutes=pick(minutes), features=features)
    times_ms = tuple((pick([0.0, 40.0, 700.0]), pick([0.0, 15.0, 900.0])) for _ in range(5))
    begin_ns = day.session.open_ns + pick(range(8 * 60)) * S
    blackout = Blackout("a speech", begin_ns, begin_ns + 60 * S)
    return Case(day, all_params(pick), pick([(), (), times_ms]), pick([(), (), (blackout,)]))


def cases() -> st.SearchStrategy[Case]:
    """Cases of nine or fifteen minutes."""
    return st.integers(0, 2**32 - 1).map(case_of)


def patient(case: Case) -> Case:
    """The same day played by one who holds what was bought until the flatten time, come what may."""
    params = case.params
    scalp = dataclasses.replace(
        params.scalp, max_hold_minutes=60.0, take_profit_pct=900.0, stop_loss_pct=99.0, max_daily_scalps=50,
        cooldown_after_loss_minutes=0.0,
    )  # fmt: skip
    exits = dataclasses.replace(params.exits, reversal_enabled=False, stalled_after_minutes=0.0, trailing_stop_pct=0.0)
    return dataclasses.replace(case, params=dataclasses.replace(params, scalp=scalp, exits=exits))


def crowded(case: Case) -> Case:
    """The same day played by one who enters whenever it is allowed, and holds: limits of counts are met."""
    held = patient(case)
    scalp = dataclasses.replace(
        held.params.scalp, max_concurrent_scalps=3, max_daily_scalps=2, min_signal_interval_seconds=0.0,
        max_spread_pct=50.0, max_hold_minutes=1.0, scalp_position_size_pct=2.0,
    )  # fmt: skip
    params = dataclasses.replace(
        held.params,
        scalp=scalp,
        gates=dataclasses.replace(held.params.gates, gap_quiet_s=0.0, halt_quiet_s=0.0),
        simulated_broker=dataclasses.replace(held.params.simulated_broker, order_latency_ms=1500.0),
        replay=dataclasses.replace(held.params.replay, gaps="ignore"),
    )
    return dataclasses.replace(held, params=params, drawn_ms=())


def hasty(case: Case) -> Case:
    """The same day played by one who leaves at the smallest move, often while the entry still works."""
    scalp = dataclasses.replace(
        case.params.scalp, take_profit_pct=1.0, stop_loss_pct=1.0, min_signal_interval_seconds=0.0,
        cooldown_after_loss_minutes=0.0, scalp_position_size_pct=30.0, max_daily_scalps=50,
    )  # fmt: skip
    exits = dataclasses.replace(case.params.exits, stop_confirm_ms=0)
    risk = dataclasses.replace(
        case.params.risk, starting_equity_usd=100_000.0, contracts_max=100, entry_reprices_max=4,
        slippage_budget_pct=1.0,
    )  # fmt: skip
    params = dataclasses.replace(case.params, scalp=scalp, exits=exits, risk=risk)
    return dataclasses.replace(case, params=params)


def in_every_manner(case: Case) -> Iterator[Case]:
    """The case as its settings say, and played patiently, in a crowd and in haste."""
    yield from (case, patient(case), crowded(case), hasty(case))


def lengths(quick: int, long: int) -> Any:
    """Runs a test on a fixed number of always the same examples, and on more and other ones under `full`.

    Only the long run shrinks what fails: a hundred plays a second make that take minutes.
    """
    plain = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    return pytest.mark.parametrize(
        "length",
        [
            pytest.param(settings(plain, max_examples=quick, derandomize=True, phases=[Phase.generate]), id="quick"),
            pytest.param(settings(plain, max_examples=long), id="long", marks=pytest.mark.full),
        ],
    )


# --- what was seen -----------------------------------------------------------------------------------------


class Seen:
    """Counts over all examples of one test, so that a law that was never put to the test fails it."""

    def __init__(self, law: str) -> None:
        self.law = law
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()

    def add(self, played: Played, **more: int) -> None:
        """Count what one run showed."""
        self.counts.update(record["kind"] for record in played.records)
        self.counts.update(runs=1, **more)
        self.refusals.update(record["gate"] for record in played.of("refusal"))
        self.exits.update(record["reason"] for record in played.of("exit"))
        self.counts["partial_fill"] += sum(
            1 for order, fill in _first_fills(played) if fill["filled"] < order["quantity"]
        )
        self.counts["reprice"] += sum(order["reason"] in ("reprice", "remainder") for order in played.of("order"))

    def check(self, *needed: str, at_least: int = 1) -> None:
        """Print the counts; fail where too little happened for the law to mean anything.

        Args:
            needed: Counts, gates or exit reasons that must have been seen.
            at_least: How often each of them.
        """
        everything = self.counts + self.refusals + self.exits
        summary = f"{self.law}: {dict(self.counts)}\n  refusals {dict(self.refusals)}\n  exits {dict(self.exits)}"
        print(summary)
        assert self.counts["trigger"] >= 30, summary
        assert self.counts["trade"] >= 10, summary
        assert len(self.refusals) >= 5, summary
        missing = [name for name in needed if everything[name] < at_least]
        assert not missing, f"not seen often enough: {missing}\n{summary}"


def _first_fills(played: Played) -> Iterable[tuple[Record, Record]]:
    orders = {order["order_id"]: order for order in played.of("order")}
    for fill in played.of("fill"):
        if fill["filled"] == fill["quantity"]:
            yield orders[fill["order_id"]], fill
