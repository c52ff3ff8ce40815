"""Why a contract is refused, in words with the two numbers compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from scalpcli.core.gates import Refused
from scalpcli.core.option_selection import GateVerdict
from scalpcli.units import E4_PER_USD

_Numbers = Callable[[float, float], str]


def _ms(value: float) -> str:
    return f"{value / 1000.0:,.1f} s" if value < 600_000 else f"{value / 60_000.0:,.0f} min"


def _apart(value: float, limit: float, digits: int) -> str:
    """`value` with as many digits as tell it from the limit: `0.300 < 0.3` would contradict itself."""
    while digits < _DIGITS_MAX and float(f"{value:.{digits}f}") == limit:
        digits += 1
    return f"{value:.{digits}f}"


_DIGITS_MAX: Final = 12
_WORDS: Final[dict[str, _Numbers]] = {
    "expiry": lambda value, limit: f"{value:.0f} days to expiry {_sign(value, limit)} {limit:.0f}",
    "option_quote_age": lambda value, limit: f"quote {_ms(value)} old > {_ms(limit)}",
    "option_halt": lambda _value, _limit: "halted",
    "spread": lambda value, limit: f"spread {_apart(value, limit, 1)} % > {limit:g} %",
    "spread_ticks": lambda value, limit: f"spread {value:g} tick{'s' * (value != 1.0)} > {limit:g}",
    "ask_size": lambda value, limit: f"{value:.0f} at the ask < {limit:.0f}",
    "open_interest": lambda value, limit: f"open interest {value:,.0f} < {limit:,.0f}",
    "volume_today": lambda value, limit: f"volume {value:,.0f} < {limit:,.0f}",
    "price": lambda value, limit: f"ask {_apart(value, limit, 2)} > {limit:.2f}",
    "delta": lambda value, limit: f"delta {_apart(value, limit, 3)} {_sign(value, limit)} {limit:g}",
    "theta": lambda value, limit: f"decay {value:.1f} % of the ask > {limit:g} %",
    "size_zero": lambda _value, _limit: "the size comes to 0 contracts",
}
_UNKNOWN: Final = {
    "option_quote_age": "never quoted",
    "spread": "spread unknown",
    "spread_ticks": "spread unknown",
    "open_interest": "open interest unknown",
    "delta": "delta unknown",
    "theta": "decay unknown",
}


def _sign(value: float, limit: float) -> str:
    return ">" if value > limit else "<"


def reason_of(gate: GateVerdict, quote: Any) -> str:
    """One refusal in words; `quote` is the contract's record in the book."""
    if gate.gate == "option_quote":
        return _quote_words(int(quote.bid_e4), int(quote.ask_e4))
    if gate.value is None or gate.value != gate.value:
        return _UNKNOWN.get(gate.gate, f"{gate.gate} unknown")
    if gate.gate == "option_quote_age" and gate.value <= gate.limit:
        return "quote from before a gap"
    return _WORDS[gate.gate](gate.value, gate.limit)


def _quote_words(bid_e4: int, ask_e4: int) -> str:
    if bid_e4 <= 0 and ask_e4 <= 0:
        return "no quote"
    if bid_e4 <= 0:
        return "no bid"
    if ask_e4 <= 0:
        return "no ask"
    crossed = "crossed" if bid_e4 > ask_e4 else "locked"
    return f"{crossed}: bid {bid_e4 / E4_PER_USD:.2f}, ask {ask_e4 / E4_PER_USD:.2f}"


def market_words(refused: Refused) -> str:
    """A gate that keeps any entry out, in words."""
    name, value, limit = refused.gate.replace("_", " "), refused.value, refused.limit
    if value is None or limit is None or refused.gate in ("kill", "blackout"):
        return f"{name} ({refused.detail})" if refused.detail else name
    if refused.gate == "session_window":
        where = "after the open" if refused.detail == "too early" else "before the close"
        return f"{refused.detail}, {value:.1f} minutes {where}, limit {limit:g}"
    if refused.gate in ("halt", "gap"):
        since = "" if value == 0.0 else f" {value:.0f} s ago, limit {limit:g} s"
        return f"{name}, {refused.detail}{since}"
    if refused.gate.endswith(("_silence", "_age")):
        return f"{name} {_ms(value)}, limit {_ms(limit)}"
    told = f" ({refused.detail})" if refused.detail else ""
    return f"{name} {value:.4g}, limit {limit:g}{told}"
