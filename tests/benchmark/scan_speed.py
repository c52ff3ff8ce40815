"""How long a scan takes: process time beyond imports, at one instant of a tape with a large chain.

Run: `python -m tests.benchmark.scan_speed [--rows N] [--contracts N]`. Prints one JSON object.

- `greeks_ms`: implied volatility and greeks of the whole chain by the engine's selector, best of 20, warm.
- `scan_s`: opening the tape, folding its rows up to the instant, judging, ranking, arithmetic of the ten shown.
- `all_s`: the same with `--all --top` as large as the chain: arithmetic and odds of every contract.
- `poll_s`: one poll of a live chain of that size and its scan, answers parsed from text, no network.
- `watch_cpu_pct`: what a poll every 5 s takes of one core.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
import time
from pathlib import Path

from scalpcli.adapters.alpaca_chain import ChainPoller
from scalpcli.adapters.alpaca_time import ns_to_iso
from scalpcli.model.params import Params, TapeParams
from scalpcli.model.session import at_ns, session_of
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.synthetic import write_synthetic
from scalpcli.runtime.synthetic_plan import SyntheticSpec
from scalpcli.scan.expiries import choose_expiries
from scalpcli.scan.moment import play
from scalpcli.scan.rank import Query, scan
from scalpcli.scan.sources import live_feed, tape_feed

AT = "15:00:00"
DAY = dt.date(2026, 11, 20)


def measure(rows: int, contracts: int, folder: Path) -> dict[str, float]:
    """The numbers of the head's list."""
    spec = SyntheticSpec(date=DAY, rows=rows, contracts=contracts, strike_step=0.5, seed=3)
    tape = write_synthetic(folder, spec, params=TapeParams())
    hot = load_kernel()
    params = Params()
    # Lazy imports are not the scan's.
    _scan(tape, params, hot, Query())
    started = time.process_time()
    found = _scan(tape, params, hot, Query())
    scan_s = time.process_time() - started
    started = time.process_time()
    everything = _scan(tape, params, hot, Query(show_all=True, top=contracts))
    all_s = time.process_time() - started
    moment = found.moment
    expiry = moment.selector.expiries[0]
    greeks_s = []
    for _ in range(20):
        began = time.perf_counter()
        moment.selector.judge(expiry, moment.feed.t_ns, moment.view)
        greeks_s.append(time.perf_counter() - began)
    poll_s = measure_poll(params, hot, contracts)
    return {
        "rows": rows,
        "contracts": len(expiry.ids),
        "shown_with_all": len(everything.rows),
        "greeks_ms": round(min(greeks_s) * 1e3, 3),
        "scan_s": round(scan_s, 3),
        "all_s": round(all_s, 3),
        "poll_s": round(poll_s, 3),
        "watch_cpu_pct": round(poll_s / 5.0 * 100.0, 1),
    }


class _Answers:
    """Alpaca's answers as text, parsed at every call."""

    def __init__(self, contracts: int, now_ns: int) -> None:
        stamp = ns_to_iso(now_ns - 500_000_000)
        quote = {"bp": 1.0, "bs": 10, "ap": 1.02, "as": 12, "t": stamp, "bx": "C", "ax": "N", "c": " "}
        snapshot = {"latestQuote": quote, "latestTrade": {"p": 1.01, "s": 1, "t": stamp, "x": "C", "c": "I"}}
        symbols = [
            f"TSLA261120{right}{int((300 + step * 0.5) * 1000):08d}" for step in range(contracts // 2) for right in "CP"
        ]
        self._contracts = json.dumps(
            [
                {"symbol": symbol, "multiplier": "100", "open_interest": "900", "open_interest_date": "2026-11-19"}
                for symbol in symbols
            ]
        )
        self._chain = json.dumps(dict.fromkeys(symbols, snapshot))
        self._trade = {"p": 425.0, "s": 10, "t": stamp}

    def contracts(self, *_, **__):
        return json.loads(self._contracts)

    def chain(self, *_):
        return json.loads(self._chain)

    def latest_trade(self, *_):
        return self._trade


def measure_poll(params: Params, hot, contracts: int) -> float:
    """Seconds of process time of one poll and its scan, best of five."""
    now_ns = at_ns(session_of(DAY), "11:00:00")
    poller = ChainPoller(_Answers(contracts, now_ns), "TSLA", feed="sip", option_feed="opra", now_ns=lambda: now_ns)
    found = []
    for _ in range(5):
        began = time.process_time()
        expiries = choose_expiries(params, poller.contracts(), DAY, "")
        scanned = scan(play(live_feed(poller.poll(expiries.dates)), expiries.params, (), hot), Query(), expiries)
        found.append(time.process_time() - began)
        assert len(scanned.tables[0].expiry.ids) == contracts
    return min(found)


def _scan(tape, params, hot, query):
    feed = tape_feed(tape, AT)
    expiries = choose_expiries(params, feed.instruments, feed.session.date, "")
    return scan(play(feed, expiries.params, (), hot), query, expiries)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--contracts", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.rows, given.contracts, Path(folder)), indent=2))


if __name__ == "__main__":
    main()
