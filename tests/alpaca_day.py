"""One small past session as Alpaca's history tells it, served by `alpaca_server`."""

from __future__ import annotations

import datetime as dt

from scalpcli.adapters.alpaca_time import iso_to_ns, ns_to_iso
from scalpcli.model.session import previous_session, session_of

DAY = dt.date(2026, 11, 20)
SESSION = session_of(DAY)
OPEN_NS = SESSION.open_ns
S = 1_000_000_000
CALL, PUT = "TSLA261120C00400000", "TSLA261120P00400000"


def at(second, ns=0):
    return ns_to_iso(OPEN_NS + int(second * S) + ns)


def stock_trade(second, price=400.0, size=10, number=1, conditions=("@",), **more):
    return {"t": at(second), "x": "V", "p": price, "s": size, "c": list(conditions), "i": number, "z": "C", **more}


def stock_quote(second, bid=399.99, ask=400.01, **more):
    return {"t": at(second), "bx": "V", "bp": bid, "bs": 200, "ax": "Q", "ap": ask, "as": 300, "c": ["R"], **more}


def contract(symbol):
    return {"symbol": symbol, "size": "100", "open_interest": "900", "open_interest_date": "2026-11-19"}


def routes(trades=(), quotes=(), option_trades=None, *, now_s=24_000.0, contracts=(CALL, PUT), url=""):
    """What a server of this day answers; pages hold two rows."""

    def within(rows, query):
        first, last = iso_to_ns(query["start"]), iso_to_ns(query["end"])
        chosen = [row for row in rows if first <= iso_to_ns(row["t"]) <= last]
        start = int(query.get("page_token", "0"))
        following = str(start + 2) if start + 2 < len(chosen) else None
        return chosen[start : start + 2], following

    def stock(name, rows):
        def answer(query):
            page, following = within(rows, query)
            return {name: {"TSLA": page} if page else {}, "next_page_token": following}

        return answer

    def options(query):
        wanted = query["symbols"].split(",")
        result = {}
        for symbol, rows in (option_trades or {}).items():
            first, last = iso_to_ns(query["start"]), iso_to_ns(query["end"])
            page = [row for row in rows if first <= iso_to_ns(row["t"]) <= last]
            if symbol in wanted and page:
                result[symbol] = page
        return {"trades": result, "next_page_token": None}

    earlier = previous_session(DAY)
    daily = [{"t": "2026-11-19T05:00:00Z", "o": 395, "h": 405.5, "l": 390, "c": 399.5, "v": 1000}]
    minutes = [
        {"t": ns_to_iso(earlier.open_ns), "o": 395, "h": 396, "l": 394, "c": 395, "v": 605},
        {"t": at(0), "o": 400.0, "h": 401.0, "l": 399.0, "c": 400.5, "v": 10},
    ]

    def bars(query):
        return stock("bars", daily if query["timeframe"] == "1Day" else minutes)(query)

    return {
        "/rehearsal": lambda _query: {
            "now_ns": OPEN_NS + int(now_s * S),
            "speed": 1.0,
            "session": DAY.isoformat(),
            "symbol": "TSLA",
            "stream_url": url or "ws://127.0.0.1:1",
        },
        "/v2/options/contracts": {"option_contracts": [contract(one) for one in contracts], "next_page_token": None},
        "/v2/stocks/trades": stock("trades", list(trades)),
        "/v2/stocks/quotes": stock("quotes", list(quotes)),
        "/v2/stocks/bars": bars,
        "/v1beta1/options/trades": options,
    }
