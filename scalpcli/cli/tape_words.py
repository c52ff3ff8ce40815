"""How `scalpcli tape` words what tapes hold: figures with units, rows as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from scalpcli.runtime.tape import Tape

BYTES_PER_MB: Final = 1e6
_EXPIRIES_SHOWN_MAX: Final = 4
_RIGHTS: Final = ("last", "range", "vwap", "volume")
_LEFT_ALIGNED: Final = ("received", "kind", "symbol", "session", "at", "what")


def figures(tape: Tape) -> dict[str, str]:
    """What a tape holds and how good it is: name -> text, in the order people ask."""
    from scalpcli.model.session import ns_to_new_york

    manifest, quality, session = tape.manifest, tape.manifest.quality, tape.session
    close = ", early close" if session.is_early_close else ""
    ends = [ns_to_new_york(quality[end]) for end in ("first_ts_ns", "last_ts_ns") if quality[end] is not None]
    days = expiries(tape)
    more = f" and {len(days) - _EXPIRIES_SHOWN_MAX} more" if len(days) > _EXPIRIES_SHOWN_MAX else ""
    return {
        "tape": str(tape.path),
        "session": f"{ns_to_new_york(session.open_ns)} to {ns_to_new_york(session.close_ns)} New York{close}",
        "synthetic": "yes: an invented market" if manifest.synthetic else "no",
        "feeds": ", ".join(f"{name} {feed}" for name, feed in manifest.feeds.items()) or "-",
        "rows": f"{manifest.rows:,}",
        **{f"  {kind.replace('_', ' ')}": f"{count:,}" for kind, count in manifest.counts.items() if count},
        "contracts": ", ".join([f"{len(tape.instruments) - 1:,}", *days[:_EXPIRIES_SHOWN_MAX]]) + more,
        "first to last row": " to ".join(ends) or "-",
        "receive delay": _receive_delay(manifest.source),
        **_quality_figures(quality),
        "size": f"{size_mb(tape):,.1f} MB, {bytes_per_row(tape):.1f} bytes a row",
        "digest": manifest.rows_digest,
        "written by": ", ".join(f"{name} {version}" for name, version in manifest.written_by.items()),
    }


def _quality_figures(quality: Mapping[str, Any]) -> dict[str, str]:
    gaps, skew = quality["gaps"], quality["clock_skew_ms"]
    result = {
        "coverage": f"{quality['coverage_pct']:.2f} % of the session",
        "gaps": f"{gaps['count']}, {gaps['seconds']:.1f} s in all, longest {gaps['longest_s']:.1f} s"
        if gaps["count"]
        else "none",
    }
    for channel in ("stock_quotes", "option_quotes"):
        counts = quality[channel]
        if counts["two_sided"] + counts["one_sided"]:
            shares = f"{counts['crossed_pct']:.2f} % crossed, {counts['locked_pct']:.2f} % locked"
            result[channel.replace("_", " ")] = f"{shares}, {counts['one_sided']:,} without two sides"
    stale = (f"{name.replace('_', ' ')} {share:.2f} %" for name, share in quality["stale_pct"].items())
    result["silent over 5 s"] = ", ".join(stale) or "-"
    if skew["median"] is not None:
        result["clock skew"] = (
            f"median {skew['median']:.3f} ms, p99 {skew['p99']:.3f} ms, {skew['negative']:,} negative"
        )
    names = ("out_of_order", "unknown_conditions", "backfilled", "outside_session", "prices_rounded")
    return result | {name.replace("_", " "): f"{quality[name]:,}" for name in names}


def _receive_delay(source: Mapping[str, Any]) -> str:
    delay = source.get("recv_delay_ms")
    return "receive times are the source's own" if delay is None else f"{delay:g} ms after the event, assumed"


def expiries(tape: Tape) -> list[str]:
    """Days on which contracts of the tape expire, sorted."""
    return sorted({contract.expiry.isoformat() for contract in tape.instruments if contract.expiry})


def size_mb(tape: Tape) -> float:
    """Size of the tape's files, 1,000,000 bytes."""
    return sum(digest.bytes for digest in tape.manifest.files.values()) / BYTES_PER_MB


def bytes_per_row(tape: Tape) -> float:
    """Bytes one row takes in `rows.parquet`."""
    from scalpcli.runtime.manifest import ROWS_FILE

    return round(tape.manifest.files[ROWS_FILE].bytes / max(1, tape.manifest.rows), 2)


def with_clock_times(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `head_rows` with New York times in the place of nanoseconds."""
    times = {name: clock(row[name]) for name in ("ts_recv", "ts_event")}
    return {**row, **times}


def clock(ns: int) -> str:
    """New York time with microseconds; a tape's stamps are finer than its clocks are right."""
    from scalpcli.model.session import ns_to_new_york

    return f"{ns_to_new_york(ns)}{ns // 1000 % 1000:03d}"


def row_words(row: Mapping[str, Any]) -> dict[str, str]:
    """One row of `head_rows` in eight short columns; a quote reads `bid x ask` and `bid size x ask size`."""
    is_quote = row["kind"].endswith("_quote")
    price = f"{_usd(row['bid'])} x {_usd(row['ask'])}" if is_quote else _usd(row["price"])
    size = f"{row['bid_size'] or 0} x {row['ask_size'] or 0}" if is_quote else f"{row['size'] or '-'}"
    sides = (row["bid_exchange"], row["ask_exchange"]) if is_quote else (row["exchange"],)
    flags = row["flags"].split("|") if row["flags"] else []
    late_ms = (row["ts_recv"] - row["ts_event"]) / 1e6
    if row["kind"] == "gap":
        what: tuple[str, ...] = (_gap_words(flags, late_ms, row["channels"]), row["conditions"])
    else:
        what = (row["conditions"], _flag_words(flags, row["kind"]), row["note"].replace("_", " "))
    return {
        "received": clock(row["ts_recv"]),
        "late ms": f"{late_ms:,.3f}" if row["kind"] not in ("gap", "cold") else "-",
        "kind": row["kind"].replace("_", " "),
        "symbol": row["symbol"] or "-",
        "price": price,
        "size": size,
        "at": " x ".join(side for side in sides if side) or "-",
        "what": "; ".join(text for text in what if text),
    }


def _flag_words(flags: Sequence[str], kind: str) -> str:
    """Flags in words; of the four rights of a print only those it lacks, since most have them all."""
    lacks = [right for right in _RIGHTS if right not in flags] if kind.endswith("_trade") else []
    others = [flag.replace("_", " ") for flag in flags if flag not in _RIGHTS]
    return ", ".join([f"not {'/'.join(lacks)}"] * bool(lacks) + others)


def _gap_words(flags: Sequence[str], length_ms: float, channels: str) -> str:
    """What a gap row says; its times are the first and the last blind moment (`model/row.py`)."""
    names = channels.replace("_", " ").replace("|", ", ")
    if "gap_begin" in flags and "gap_end" in flags:
        return f"was blind for {length_ms / 1e3:,.3f} s: {names}"
    return f"{'blind' if 'gap_begin' in flags else 'sees again'}: {names}"


def _usd(price: float | None) -> str:
    return "-" if price is None else f"{price:.4f}".removesuffix("00")


def tape_words(row: Mapping[str, Any], window_s: int) -> dict[str, str]:
    """One tape of `tape list` in short columns."""
    names = {"symbol": row["symbol"], "session": row["session"]}
    if row["error"]:
        return (
            names
            | dict.fromkeys(("rows", "contracts", "coverage %", "gaps", "bursts"), "-")
            | {
                f"max {window_s} s %": "-",
                "MB": "-",
                "what": row["error"],
            }
        )
    return names | {
        "rows": f"{row['rows']:,}",
        "contracts": f"{row['contracts']:,}",
        "coverage %": f"{row['coverage_pct']:.1f}",
        "gaps": str(row["gaps"]),
        "bursts": str(row["bursts"]),
        f"max {window_s} s %": "-" if row["largest_pct"] is None else f"{row['largest_pct']:.3f}",
        "MB": f"{row['size_mb']:,.1f}",
        "what": "synthetic" if row["synthetic"] else "",
    }


def lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Rows as aligned lines under their names; as wide as they are, since a folded row cannot be scanned."""
    if not rows:
        return []
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    heads = {name: name for name in names}
    return ["  ".join(_aligned(row[name], name, widths[name]) for name in names).rstrip() for row in (heads, *rows)]


def _aligned(text: str, name: str, width: int) -> str:
    return text.ljust(width) if name in _LEFT_ALIGNED else text.rjust(width)
