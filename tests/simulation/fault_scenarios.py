"""Which faults are tried: each alone, then two to four at random, all from seeds.

Decides where in the session faults lie: in its first half, so that what follows of one is over when serving ends.
A stall or a delay is either well below the patience of the watchdog or well above it. Shorter stalls lose rows that
nobody can miss, because the wire numbers nothing; they are not tried.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from scalpcli.errors import ConfigError, CredentialsError, ScalpcliError, UpstreamUnavailable
from tests.simulation.fault_runs import Scenario

STREAMS: Final = ("stock", "option")
_EARLY: Final = {"stock": "after_messages=80..300", "option": "after_messages=200..800"}
_LATER: Final = {"stock": "after_messages=301..620", "option": "after_messages=801..1600"}
FATAL: Final[dict[int, type[ScalpcliError]]] = {
    402: CredentialsError, 405: ConfigError, 409: CredentialsError, 413: ConfigError,
}  # fmt: skip
PASSING: Final = (406, 429, 500, 502, 503, 504)
FORMS: Final = ("bytes", "unknown", "truncated")


def breaking(stream: str, at: str) -> dict[str, str]:
    """What cuts or mutes a stream."""
    return {
        "drop": f"drop={stream},{at}",
        "down": f"drop={stream},{at},duration_s=0.25",
        "half-open": f"drop={stream},{at},hold_s=0.2",
        "stall": f"stall={stream},{at}",
        "long-stall": f"stall={stream},{at},duration_s=0.9",
        "half-close": f"half_close={stream},{at}",
        "long-delay": f"delay={stream},{at},delay_ms=900,duration_s=0.6",
        "407": f"refuse={stream},code=407,{at}",
        "garbage-bytes": f"garbage={stream},{at},messages=3,form=bytes",
        "garbage-truncated": f"garbage={stream},{at},messages=3,form=truncated",
    }


def bending(stream: str, at: str) -> dict[str, str]:
    """What a stream must bear without a gap."""
    return {
        "delay": f"delay={stream},{at},delay_ms=150,duration_s=0.3",
        "duplicate": f"duplicate={stream},{at},messages=120,window=12",
        "reorder": f"reorder={stream},{at},messages=96,window=8",
        "coalesce": f"coalesce={stream},{at},messages=240,window=24",
        "garbage-unknown": f"garbage={stream},{at},messages=5,form=unknown",
    }


def beside(at: str) -> dict[str, str]:
    """What befalls others: orders, their updates, requests for history."""
    return {
        "lost-answer": "lose_answer=rest",
        "lost-update": "lose_update=trading,messages=5",
        "no-trading-stream": "drop=trading,at_s=0.2,duration_s=0.5",
        "history-429": "refuse=rest,code=429,path=/v2/stocks/quotes,count=2",
        "history-503": "refuse=rest,code=503,path=/v1beta1/options/trades,count=2",
        "contracts-500": "refuse=rest,code=500,path=/v2/options/contracts,count=2",
        "halt": f"halt=stock,{at},duration_s=0.4",
    }


def alone() -> Iterator[Scenario]:
    """Every fault of the list by itself, and refusals after a cut."""
    yield Scenario("nothing")
    for stream in STREAMS:
        at = _EARLY[stream]
        for name, fault in {**breaking(stream, at), **bending(stream, at)}.items():
            yield Scenario(f"{stream}-{name}", (fault,))
        yield Scenario(f"{stream}-drop-three-times", (f"drop={stream},after_messages=150,count=3",))
        yield Scenario(f"{stream}-exchange-ahead", (f"clock_step={stream},{at},delay_ms=2500",))
        yield Scenario(f"{stream}-exchange-behind", (f"clock_step={stream},{at},delay_ms=-2500,duration_s=0.4",))
        for code in PASSING:
            yield Scenario(f"{stream}-refused-{code}", (f"refuse={stream},code={code},count=2",))
            yield Scenario(f"{stream}-late-{code}", (f"refuse={stream},code={code},count=3",), wait_for=1)
            yield Scenario(f"{stream}-drop-then-{code}", _after_a_cut(stream, code, 2))
        for code, error in FATAL.items():
            yield Scenario(f"{stream}-refused-{code}", (f"refuse={stream},code={code}",), error=error)
            yield Scenario(f"{stream}-drop-then-{code}", _after_a_cut(stream, code, 1), error=error)
    for name, fault in beside(_EARLY["stock"]).items():
        yield Scenario(name, (fault,))
        if name.startswith("history"):
            yield Scenario(f"drop-{name}", (fault, *(f"drop={stream},{_EARLY[stream]}" for stream in STREAMS)))
    yield Scenario("no-history", ("refuse=rest,code=503,path=/v2/stocks,count=0", f"drop=stock,{_EARLY['stock']}"))
    yield Scenario(
        "no-contracts", ("refuse=rest,code=503,path=/v2/options/contracts,count=0",), error=UpstreamUnavailable
    )
    yield from restarted()
    for step_s in (-20.0, 20.0, 45.0):
        yield Scenario(f"our-clock{step_s:+.0f}", step_s=step_s)


def restarted() -> Iterator[Scenario]:
    """A recorder that is ended and started again, while nothing else is wrong and while something is."""
    yield Scenario("restart", restarts=True)
    yield Scenario("restart-after-drop", (f"drop=stock,{_EARLY['stock']}",), restarts=True)
    yield Scenario("restart-in-gap", ("drop=option,after_messages=700,duration_s=0.6",), restarts=True)
    yield Scenario("restart-in-stall", ("stall=option,after_messages=700",), restarts=True)


def _after_a_cut(stream: str, code: int, count: int) -> tuple[str, ...]:
    """A refusal that waits for whoever comes back."""
    return (f"refuse={stream},code={code},after_messages=100,count={count}", f"drop={stream},after_messages=200")


def mixed(seed: int) -> Scenario:
    """Two to four faults at random; at least one that cuts or mutes a stream in four of five."""
    chance = random.Random(seed)  # noqa: S311 - runs must be repeatable, not secret
    streams = [chance.choice(STREAMS) for _ in range(4)]
    is_calm = chance.random() < 0.2
    first, *others = streams[: chance.randint(2, 4)]
    kinds = bending if is_calm else breaking
    name, fault = chance.choice(list(kinds(first, _EARLY[first]).items()))
    chosen = {f"{first}-{name}": fault}
    step_s = 0.0
    for stream in others:
        at = chance.choice((_EARLY, _LATER))[stream]
        pool = bending(stream, at) | (beside(at) if stream == "stock" else {})
        if is_calm:
            # History knows the right time alone: what came before a gap with another one would be written twice.
            pool |= {"exchange-ahead": f"clock_step={stream},{at},delay_ms=2500"}
        else:
            pool |= breaking(stream, at)
        name, fault = chance.choice(list(pool.items()))
        chosen[f"{stream}-{name}"] = fault
    if is_calm and chance.random() < 0.5:
        step_s = chance.choice((-20.0, 20.0))
    return Scenario("+".join(chosen), tuple(chosen.values()), seed=seed, step_s=step_s)
