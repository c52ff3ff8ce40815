"""What a proof of a live run found, as tables, as rows, and as a file beside the run.

Decides layout and what is kept; `against.py` has the arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from scalpcli import __version__
from scalpcli.model.session import ns_to_new_york
from scalpcli.report.against import PARTS, Split, short_name
from scalpcli.report.events import Life
from scalpcli.report.section import Head, Section, number, table
from scalpcli.runtime.run_folder import replace_file
from scalpcli.units import E4_PER_USD

KEPT_FILE: Final = "against.json"
_TITLE: Final = "Live against the simulated broker"


# --- kept beside the run ---------------------------------------------------------------------------------------


def keep(folder: Path, digest: str, found: dict[str, Any]) -> None:
    """Keep what was found in the run's folder, whole or not at all.

    Args:
        folder: The run.
        digest: sha256 of its journal; what was found holds for that one alone.
        found: `proof`, `result`, `trades` and `notices`.

    Raises:
        OSError: the folder cannot be written to.
    """
    text = json.dumps({"decisions_digest": digest, "code_version": __version__, **found}, indent=2) + "\n"
    replace_file(folder / KEPT_FILE, lambda work: work.write_text(text, encoding="utf-8"))


def kept(folder: Path, digest: str) -> dict[str, Any] | None:
    """What this version found about a run before; nothing where it did not, or the journal is another one now."""
    try:
        found: dict[str, Any] = json.loads((folder / KEPT_FILE).read_bytes())
        is_same = found["decisions_digest"] == digest and found["code_version"] == __version__
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if is_same else None


# --- as tables and rows --------------------------------------------------------------------------------------


def usd(value_e4: int) -> float:
    """Money in USD."""
    return value_e4 / E4_PER_USD


def trade_rows(found: Split) -> list[dict[str, Any]]:
    """One row a trade, for programs; money in USD."""
    return [
        {
            "signal_ns": each.life.signal["ts_ns"],
            "side": each.life.signal["side"],
            "option_symbol": each.life.signal["option_symbol"],
            "in_live": each.live is not None,
            "in_simulated": each.simulated is not None,
            "quantity_live": _of_trade(each.live, "quantity"),
            "quantity_simulated": _of_trade(each.simulated, "quantity"),
            "gross_live_usd": _usd_of_trade(each.live),
            "gross_simulated_usd": _usd_of_trade(each.simulated),
            "latency_usd": usd(each.latency_e4),
            "price_usd": usd(each.price_e4),
            "missed_usd": usd(each.missed_e4),
            "partial_usd": usd(each.partial_e4),
            "why": each.why,
        }
        for each in found.trades
    ]


def _of_trade(life: Life | None, name: str) -> int | None:
    return None if life is None or life.trade is None else life.trade[name]


def _usd_of_trade(life: Life | None) -> float | None:
    gross_e4 = _of_trade(life, "gross_e4")
    return None if gross_e4 is None else usd(gross_e4)


def result_object(found: Split) -> dict[str, Any]:
    """Results and parts for programs; money in USD, parts add up to `difference_usd`."""
    return {
        "live_net_usd": usd(found.live.net_e4),
        "simulated_net_usd": usd(found.simulated.net_e4),
        "difference_usd": usd(found.difference_e4),
        **{f"{name}_usd": usd(value) for name, value in found.parts_e4.items()},
    }


def proof_words(proof: dict[str, Any]) -> str:
    """A proof in words.

    Args:
        proof: As `keep` was given it.
    """
    if not proof["equal"]:
        return f"DIFFERS at line {proof['difference']['line']}"
    return f"{proof['decisions']:,} decisions equal{'' if proof['finished'] else ', session not finished'}"


def kept_sections(found: Sequence[tuple[str, dict[str, Any]]]) -> list[Section]:
    """What was found about live runs before, as tables of a report.

    Args:
        found: Name of a run and what `kept` tells of it.
    """
    if len(found) == 1 and found[0][1]["proof"]["equal"]:
        told = found[0][1]
        return [result_section(told["result"], proof_words(told["proof"]))]
    heads = (
        Head("run", "run", right=False),
        Head("proof", "proof", right=False),
        Head("difference", "difference"),
        *(Head(name, name) for name in PARTS),
    )
    rows = []
    for name, told in found:
        result = told.get("result", {})
        parts = {each: number(result.get(f"{each}_usd"), 2) for each in ("difference", *PARTS)}
        rows.append({"run": name, "proof": proof_words(told["proof"]), **parts})
    return [table(_TITLE, heads, rows, "USD, live less simulated")] if rows else []


def result_section(result: dict[str, Any], note: str = "") -> Section:
    """The parts as a table.

    Args:
        result: As `result_object` tells it.
        note: Line below it.
    """
    heads = (Head("part", "", right=False), Head("usd", "USD"), Head("what", "what it is", right=False))
    rows = [
        {"part": "live", "usd": number(result["live_net_usd"], 2), "what": "result after fees"},
        {"part": "simulated", "usd": number(result["simulated_net_usd"], 2), "what": "same rows, simulated broker"},
        {"part": "difference", "usd": number(result["difference_usd"], 2), "what": "live less simulated; of this:"},
    ]
    rows += [
        {"part": f"  {name}", "usd": number(result[f"{name}_usd"], 2), "what": what} for name, what in PARTS.items()
    ]
    return table(_TITLE, heads, rows, note)


def trades_section(rows: Sequence[dict[str, Any]]) -> Section:
    """What each trade that both made gave to the difference.

    Args:
        rows: As `trade_rows` tells them.
    """
    heads = (
        Head("at", "signal", right=False),
        Head("contract", "contract", right=False),
        Head("n", "n"),
        Head("live", "live"),
        Head("simulated", "sim."),
        Head("latency", "latency"),
        Head("price", "price"),
        Head("partial", "partial"),
    )
    cells = [
        {
            "at": ns_to_new_york(row["signal_ns"])[:8],
            "contract": short_name(row["option_symbol"]),
            "n": _quantities(row),
            "live": number(row["gross_live_usd"], 2),
            "simulated": number(row["gross_simulated_usd"], 2),
            "latency": number(row["latency_usd"], 2),
            "price": number(row["price_usd"], 2),
            "partial": number(row["partial_usd"], 2),
        }
        for row in rows
        if row["in_live"] and row["in_simulated"]
    ]
    return table("Trades of both, USD before fees", heads, cells)


def missed_section(rows: Sequence[dict[str, Any]]) -> Section:
    """Trades that only one of the two made, and why the other did not.

    Args:
        rows: As `trade_rows` tells them.
    """
    heads = (
        Head("at", "signal", right=False),
        Head("contract", "contract", right=False),
        Head("by", "made by", right=False),
        Head("usd", "USD"),
        Head("why", "why not by the other", right=False),
    )
    cells = [
        {
            "at": ns_to_new_york(row["signal_ns"])[:8],
            "contract": short_name(row["option_symbol"]),
            "by": "live" if row["in_live"] else "simulation",
            "usd": number(row["gross_live_usd"] if row["in_live"] else row["gross_simulated_usd"], 2),
            "why": row["why"],
        }
        for row in rows
        if row["in_live"] != row["in_simulated"]
    ]
    return table("Missed", heads, cells)


def _quantities(row: dict[str, Any]) -> str:
    told = [str(row[name]) for name in ("quantity_live", "quantity_simulated") if row[name] is not None]
    return "/".join(dict.fromkeys(told))
