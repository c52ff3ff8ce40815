"""`scalpcli scan-options`: what a user meets, in every format and at every width."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest
from inline_snapshot import snapshot
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.scan.fields import ROW_FIELDS, scan_schema
from tests.scan_samples import ROOT

AT = ("--tape", "examples/tapes", "--at", "09:45:05.250")
NARROW = {"COLUMNS": "80", "NO_COLOR": "1"}


@pytest.fixture
def run(monkeypatch):
    """Runs `scalpcli scan-options …` in the project's folder, without settings or keys of whoever runs the tests."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("scalpcli.config_secrets.read_secrets", lambda _environ: {})
    cleared = dict.fromkeys(name for name in os.environ if name.startswith(("SCALPCLI__", "ALPACA", "APCA")))

    def call(*words, **environ):
        env = {**cleared, "FORCE_COLOR": None, "NO_COLOR": None, "COLUMNS": None, "TERM": "xterm", **environ}
        return CliRunner().invoke(app, ["scan-options", *words], env=env, prog_name="scalpcli")

    return call


def test_a_scan_fits_eighty_columns(run):
    """A pipe or a file gets 80 columns and no colours."""
    done = run(*AT)

    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 2 pass

strike    bid x ask  spr%    IV%   delta   n  cost   tgt%  stop%  odds%  verdict
395P    3.20 x 3.25   1.6  127.4  -0.347  10  5.09  -0.67  +0.33     25  pass !
405C    3.20 x 3.25   1.6  124.0  +0.363  10  5.09  +0.64  -0.32     25  pass

395P: ! parity
! parity: call and put of this strike contradict the forward

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:
target before stop within 15 min if the stock only diffuses at the implied
volatility. cost: spread and fees of one contract's round trip, USD.
""")


def test_a_wide_terminal_shows_every_column(run):
    """At 200 columns greeks, sizes, ages and costs fit as well."""
    done = run(*AT, COLUMNS="200", FORCE_COLOR="1", NO_COLOR="1")

    text = plain(done.stdout)
    assert max(map(len, text.splitlines())) <= 200
    assert text == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 2 pass

strike    bid x ask     sizes  spr%  ticks    IV%   delta   gamma  decay/min  vega     OI  OI of  volume   age  premium   n  cost  pays%   tgt%  stop%  taken%  odds%  verdict
395P    3.20 x 3.25  200 x 10   1.6      1  127.4  -0.347  0.0271      -0.67  3.94  4,876  11-19     196  13.8      325  10  5.09  -0.04  -0.67  +0.33      10     25  pass !
405C    3.20 x 3.25   12 x 10   1.6      1  124.0  +0.363  0.0283      -0.66  4.01  6,782  11-19     647   1.3      325  10  5.09  +0.03  +0.64  -0.32      10     25  pass

395P: ! parity
! parity: call and put of this strike contradict the forward

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds: target before stop within 15 min if the stock only diffuses at the implied volatility. cost: spread and fees of one
contract's round trip, USD.
""")


def plain(text):
    """Without the codes that make text bold or coloured."""
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_terminal_has_colours_at_eighty_columns(run):
    """What passes is green; the words are those of a file."""
    done = run(*AT, "--top", "1", COLUMNS="80", FORCE_COLOR="1")

    assert done.stdout == snapshot("""\
\x1b[1mTSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC\x1b[0m
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 2 pass

\x1b[1mstrike    bid x ask  spr%    IV%   delta   n  cost   tgt%  stop%  odds%  verdict\x1b[0m
\x1b[32m395P    3.20 x 3.25   1.6  127.4  -0.347  10  5.09  -0.67  +0.33     25  pass !\x1b[0m

\x1b[2m395P: ! parity\x1b[0m
\x1b[2m! parity: call and put of this strike contradict the forward\x1b[0m

\x1b[2mMoves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:\x1b[0m
\x1b[2mtarget before stop within 15 min if the stock only diffuses at the implied\x1b[0m
\x1b[2mvolatility. cost: spread and fees of one contract's round trip, USD.\x1b[0m
""")


def test_a_terminal_has_colours_at_two_hundred_columns(run):
    """The same at 200 columns."""
    done = run(*AT, "--top", "1", COLUMNS="200", FORCE_COLOR="1")

    assert done.stdout == snapshot("""\
\x1b[1mTSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC\x1b[0m
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 2 pass

\x1b[1mstrike    bid x ask     sizes  spr%  ticks    IV%   delta   gamma  decay/min  vega     OI  OI of  volume   age  premium   n  cost  pays%   tgt%  stop%  taken%  odds%  verdict\x1b[0m
\x1b[32m395P    3.20 x 3.25  200 x 10   1.6      1  127.4  -0.347  0.0271      -0.67  3.94  4,876  11-19     196  13.8      325  10  5.09  -0.04  -0.67  +0.33      10     25  pass !\x1b[0m

\x1b[2m395P: ! parity\x1b[0m
\x1b[2m! parity: call and put of this strike contradict the forward\x1b[0m

\x1b[2mMoves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds: target before stop within 15 min if the stock only diffuses at the implied volatility. cost: spread and fees of one\x1b[0m
\x1b[2mcontract's round trip, USD.\x1b[0m
""")


def test_no_color_is_heeded(run):
    """`NO_COLOR` leaves no colour, only bold and dim."""
    done = run(*AT, "--all", COLUMNS="200", FORCE_COLOR="1", NO_COLOR="1")

    assert "\x1b[32m" not in done.stdout
    assert plain(done.stdout).count("pass") > 1


def test_all_shows_the_refused_with_every_reason(run):
    """Behind what passes come the refused ones, in the engine's order, each with all of its reasons."""
    done = run(*AT, "--all", "--top", "4")

    assert done.stdout == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 2 pass

strike    bid x ask  spr%    IV%   delta   n  cost   tgt%  stop%  odds%  verdict
395P    3.20 x 3.25   1.6  127.4  -0.347  10  5.09  -0.67  +0.33     25  pass !
405C    3.20 x 3.25   1.6  124.0  +0.363  10  5.09  +0.64  -0.32     25  pass
407.5C  2.43 x 2.46   1.2  124.4  +0.296  15  3.09  +0.59  -0.30     28  delta !
397.5P  4.15 x 4.20   1.2  126.5  -0.417  11  5.09  -0.71  +0.37     24  delta !

395P: ! parity
407.5C: delta 0.296 < 0.3; ! parity
397.5P: delta 0.417 > 0.4; ! parity
! parity: call and put of this strike contradict the forward

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:
target before stop within 15 min if the stock only diffuses at the implied
volatility. cost: spread and fees of one contract's round trip, USD.
""")


def test_nothing_passes_and_the_nearest_misses_say_why(run):
    """Exit 0 with an empty list: an answer, not a failure; the misses come with value and limit."""
    done = run(*AT, "--max-price", "0.10")

    assert done.exit_code == 0
    assert done.stdout == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 0 pass

nothing passes; nearest misses:
strike    bid x ask   delta      OI  kept out by
395P    3.20 x 3.25  -0.347   4,876  ask 3.25 > 0.10
405C    3.20 x 3.25  +0.363   6,782  ask 3.25 > 0.10
407.5C  2.43 x 2.46  +0.296   4,730  ask 2.46 > 0.10; delta 0.296 < 0.3
397.5P  4.15 x 4.20  -0.417   8,798  ask 4.20 > 0.10; delta 0.417 > 0.4
402.5C  4.40 x 4.45  +0.438  16,522  ask 4.45 > 0.10; delta 0.438 > 0.4

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:
target before stop within 15 min if the stock only diffuses at the implied
volatility. cost: spread and fees of one contract's round trip, USD.
""")


def test_fail_empty_turns_an_empty_list_into_exit_4(run):
    """For scripts: data stays on stdout, the error goes to stderr."""
    done = run(*AT, "--max-price", "0.10", "--fail-empty", "--format", "json")

    assert done.exit_code == 4
    found = json.loads(done.stdout)
    assert found["contracts"] == []
    assert len(found["nearest_misses"]) == 5
    assert done.stderr == snapshot("""\
error: no contract passes every filter

hint: the nearest misses say what kept them out
""")


def test_explain_shows_every_gate(run):
    """Value, limit and verdict of each, in the order in which they are looked at."""
    done = run(*AT, "--explain", "--type", "call", "--top", "1")

    assert done.stdout == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 6 contracts, 1 pass

strike    bid x ask  spr%    IV%   delta   n  cost   tgt%  stop%  odds%  verdict
405C    3.20 x 3.25   1.6  124.0  +0.363  10  5.09  +0.64  -0.32     25  pass

405C  TSLA261120C00405000  pass
  option_quote, USD                  3.2       ask 3.25        ok
  option_quote_age, ms          1,308.25   at most 60,000      ok
  option_halt                          0   at most 0           ok
  spread, %                      1.55039   at most 5           ok
  ask_size, contracts                 10  at least 1           ok
  open_interest, contracts         6,782  at least 500         ok
  volume_today, contracts            647  at least 0           ok
  price, USD                        3.25   at most 5           ok
  delta                         0.362843           0.3 to 0.4  ok
  size_zero, contracts                10  at least 1           ok

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:
target before stop within 15 min if the stock only diffuses at the implied
volatility. cost: spread and fees of one contract's round trip, USD.
""")


def test_plot_draws_smile_and_candidates(run):
    """The drawing fits the width, too."""
    done = run(*AT, "--plot", "--type", "call")

    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 6 contracts, 1 pass

strike    bid x ask  spr%    IV%   delta   n  cost   tgt%  stop%  odds%  verdict
405C    3.20 x 3.25   1.6  124.0  +0.363  10  5.09  +0.64  -0.32     25  pass

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:
target before stop within 15 min if the stock only diffuses at the implied
volatility. cost: spread and fees of one contract's round trip, USD.

implied volatility, expiry 2026-11-20
 132.0 % |                            :            p
         |              c             :
         |                            :
 130.2 % |                            :
         |                            :            c
         |                            :
 128.3 % |                            :
         |                            :
         |p                           :
 126.5 % |              p             :
         |                            :
         |                            :
 124.7 % |                            p                                        c
 124.0 % |                            :                          C
         +----------------------------------------------------------------------
          395                                                              407.5
c call, p put, C and P candidates, : the forward
""")


def test_columns_are_chosen_by_name(run):
    """Any field of the schema; numbers as they are."""
    done = run(*AT, "--columns", "contract,gamma,vega_usd,flags")

    assert done.stdout == snapshot("""\
TSLA 2026-11-20 09:45:05.250 New York  SYNTHETIC
TSLA 399.75, 1.2 s old; tape examples/tapes
expires today: 374.9 min left, forward 400.10, 12 contracts, 2 pass

contract                 gamma  vega_usd  flags
TSLA261120P00395000  0.0271169   3.94444  parity
TSLA261120C00405000  0.0283022   4.00839  -

395P: ! parity
! parity: call and put of this strike contradict the forward

Moves of TSLA at once; target +30 % and stop -15 % of the ask, at the bid. Odds:
target before stop within 15 min if the stock only diffuses at the implied
volatility. cost: spread and fees of one contract's round trip, USD.
""")


def matches(value, schema, defs):
    """A small reading of JSON Schema: types, required, no others; enough to hold rows against it."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[1]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types = {
        "string": str, "number": (int, float), "integer": int, "boolean": bool, "array": list, "object": dict,
        "null": type(None),
    }  # fmt: skip
    assert any(isinstance(value, types[kind]) for kind in kinds), (value, kinds)
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        for name, item in value.items():
            matches(item, schema["properties"][name], defs)
    if isinstance(value, list) and "items" in schema:
        for item in value:
            matches(item, schema["items"], defs)


@pytest.mark.parametrize("more", [(), ("--explain", "--all"), ("--max-price", "0.1"), ("--expiry", "1dte")])
def test_json_keeps_to_the_published_schema(run, more):
    """Every field is there, of its type, and no other; `--schema` prints what they are."""
    found = json.loads(run(*AT, "--json", *more).stdout)
    schema = json.loads(run("--schema").stdout)

    assert schema == scan_schema()
    matches(found, schema, schema["$defs"])
    assert all(schema["properties"][name]["description"] for name in schema["properties"])


def test_csv_and_jsonl_hold_the_same_rows(run):
    """One contract a line, all fields; words go to stderr."""
    lines = [json.loads(line) for line in run(*AT, "--format", "jsonl").stdout.splitlines()]
    done = run(*AT, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(done.stdout)))

    assert [line["contract"] for line in lines] == [row["contract"] for row in table]
    assert list(table[0]) == list(ROW_FIELDS)
    assert float(table[0]["delta"]) == lines[0]["delta"]
    assert "synthetic" in done.stderr


def test_an_empty_csv_has_its_heads(run):
    """A reader of the file finds the columns it expects."""
    done = run(*AT, "--format", "csv", "--max-price", "0.1", "--columns", "contract,ask")

    assert done.stdout == "contract,ask\n"
    assert "near miss: TSLA" in done.stderr


def test_missing_is_shown_as_missing(run):
    """At the first instant hardly anything was quoted: null and -, never 0."""
    rows = json.loads(run("--tape", "examples/tapes", "--at", "09:30:00", "--all", "--json").stdout)["contracts"]

    assert rows
    for row in rows:
        if row["quote_age_s"] is None:
            assert row["bid"] is row["ask"] is row["iv"] is row["delta"] is row["target_first_pct"] is None
            assert "no quote" in row["reasons"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--tape", "examples/tapes"),
            snapshot("""\
2
error: `--tape` needs an instant of the session of 2026-11-20

hint: name one from 09:30 to 16:00 New York time, like `--at 10:31:05.250`
"""),
        ),
        (
            ("--tape", "examples/tapes", "--at", "10:75"),
            snapshot("""\
2
error: `10:75` is not a time of day

hint: write New York time as HH:MM, HH:MM:SS or HH:MM:SS.fff, like 10:31:05.250
"""),
        ),
        (
            ("--tape", "examples/tapes", "--at", "10:00", "--symbol", "SPY"),
            snapshot("""\
2
error: the tape is of TSLA, not of SPY
  in `examples/tapes`

hint: leave `--symbol` out, or write `--symbol TSLA`
"""),
        ),
        (
            ("--tape", "nowhere", "--at", "10:00"),
            snapshot("""\
4
error: `nowhere` does not exist
  in `nowhere`

hint: name the folder that holds `manifest.json`
"""),
        ),
        (
            ("--tape", "examples/tapes", "--snapshot", "a.csv"),
            snapshot("""\
2
error: `--tape` and `--snapshot` name two sources

hint: name one
"""),
        ),
        (
            (*AT, "--type", "calls"),
            snapshot("""\
2
error: `--type calls` is no right

hint: write call, put or both
"""),
        ),
        (
            (*AT, "--delta", "0.4"),
            snapshot("""\
2
error: `--delta 0.4` is no range

hint: write two absolute deltas, like 0.30:0.40
"""),
        ),
        (
            (*AT, "--expiry", "friday"),
            snapshot("""\
2
error: `--expiry friday` is no expiry

hint: write 0dte, 1dte or a day like 2026-11-27
"""),
        ),
        (
            (*AT, "--greeks", "orats"),
            snapshot("""\
2
error: `--greeks orats` is no source

hint: write computed, feed or both
"""),
        ),
        (
            (*AT, "--sort", "detla"),
            snapshot("""\
2
error: `--sort detla`: no field is called `detla`

hint: did you mean `delta`?
"""),
        ),
        (
            (*AT, "--columns", "strike,bidd"),
            snapshot("""\
2
error: `--columns`: no field is called `bidd`

hint: did you mean `bid`?
"""),
        ),
        (
            (*AT, "--watch", "5"),
            snapshot("""\
2
error: `--watch` with `--tape`: an instant of a tape does not change

hint: leave one out
"""),
        ),
        (
            ("--watch", "0.1"),
            snapshot("""\
2
error: `--watch 0.1` is below its limit: 0.5

hint: write seconds, like 5
"""),
        ),
        (
            ("--watch", "5", "--json"),
            snapshot("""\
2
error: `--watch` with `--format json` would print many documents

hint: write `--format jsonl`
"""),
        ),
        (
            ("--at", "10:00"),
            snapshot("""\
2
error: `--at` needs `--tape` or `--snapshot`

hint: leave it out to see the chain as it is now
"""),
        ),
        (
            ("--date", "2026-11-20"),
            snapshot("""\
2
error: `--map` and `--date` are for `--snapshot`

hint: name the file, or leave them out
"""),
        ),
        (
            (*AT, "--max-spread-pct", "900"),
            snapshot("""\
2
error: `scalp.max_spread_pct` is 900.0, above its limit: 200.0
  in flag `--max-spread-pct`

hint: write `--max-spread-pct 5.0`: widest spread, percent of the mid price (above 0.0, at most 200.0)
"""),
        ),
        (
            (),
            snapshot("""\
3
error: `ALPACA_API_KEY` and `ALPACA_SECRET_KEY` are not set

hint: export both keys of your Alpaca account, or write them to `~/.config/scalpcli/secrets.toml` with mode 0600; without keys, rehearse with `scalpcli exchange` and `--rehearse`
"""),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_clear_message(run, words, expected):
    """What was found, where, and what to write instead."""
    done = run(*words)

    assert done.stdout == ""
    assert f"{done.exit_code}\n{done.stderr}" == expected
