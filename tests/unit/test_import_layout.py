"""Which column means what: profiles, aliases and `--map`."""

from __future__ import annotations

import pytest

from scalpcli.adapters.import_layout import Column, Role, Unit, parse_maps, resolve_columns
from scalpcli.errors import DataError, UsageError

TRADES = ["ts", "price", "size"]


def test_known_names_are_found():
    """The layouts of recorded data need no map."""
    columns = resolve_columns(Role.TRADES, [*TRADES, "ext_conditions", "condition", "sequence"], {}, "t.parquet")

    assert columns["conditions"].name == "ext_conditions"
    assert columns["trade_id"].name == "sequence"
    assert "exchange" not in columns


def test_a_quote_carried_by_a_print_has_its_own_time():
    """The quote a print met is older than the print."""
    columns = resolve_columns(
        Role.QUOTES, ["ts", "ts_quote", "bid", "ask", "bid_size", "ask_size", "price", "size"], {}, "t.parquet"
    )

    assert columns["ts"].name == "ts_quote"


def test_a_map_names_a_column_and_its_unit():
    """`role.field=column`, a unit after a colon for times, and a map without role for every file."""
    maps = parse_maps(["trades.price=px", "ts=when:ms"])

    columns = resolve_columns(Role.TRADES, ["when", "px", "size", "price"], maps, "t.csv")

    assert columns["price"] == Column("px")
    assert columns["ts"] == Column("when", Unit.MS)


def test_a_map_may_be_a_file(tmp_path):
    """A TOML file holds the same keys, in tables or not."""
    file = tmp_path / "map.toml"
    file.write_text('ts = "when:s"\n[trades]\nprice = "px"\n', encoding="utf-8")

    maps = parse_maps([str(file)])

    assert maps == {("", "ts"): Column("when", Unit.S), ("trades", "price"): Column("px")}


def test_a_colon_in_other_fields_belongs_to_the_name():
    """Only times have units."""
    assert parse_maps(["trades.price=px:usd"]) == {("trades", "price"): Column("px:usd")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trade.price=px",
            "error: `--map trade.price`: no kind of file is called `trade`\n\nhint: write `trades.price=...`",
        ),
        (
            "trades.pricee=px",
            "error: `--map trades.pricee`: no field is called `pricee`\n\nhint: did you mean `price`?",
        ),
        (
            "ts=when:hours",
            (
                "error: `--map ts=when:hours`: a time cannot be written in `hours`\n\n"
                "hint: write `ts=when:ms`; units: auto, ns, us, ms, s, iso"
            ),
        ),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(text, message):
    """Unknown role, field and unit are told with what to write instead (exit 2)."""
    with pytest.raises(UsageError) as caught:
        parse_maps([text])

    assert caught.value.render() == message


@pytest.mark.parametrize("content", [None, "price = ", b"\xff\xfe"])
def test_a_map_file_that_cannot_be_read_is_refused(tmp_path, content):
    """An absent file and one that is no TOML are told with their path (exit 4)."""
    file = tmp_path / "map.toml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(DataError) as caught:
        parse_maps([str(file)])

    assert caught.value.place == f"`{file}`"


def test_a_file_of_another_layout_lists_what_it_has():
    """A missing column is told with the columns there are (exit 4)."""
    with pytest.raises(DataError) as caught:
        resolve_columns(Role.TRADES, ["time", "px", "size"], {}, "odd.csv")

    assert caught.value.render() == (
        "error: no column for `ts`, `price`, which --trades needs\n  in `odd.csv`\n\n"
        "hint: its columns: time, px, size; name the right one with `--map trades.ts=COLUMN`"
    )


def test_a_mapped_column_that_the_file_lacks_is_told():
    """A map is heeded or refused, never passed over."""
    with pytest.raises(DataError) as caught:
        resolve_columns(Role.TRADES, TRADES, parse_maps(["trades.price=px"]), "t.csv")

    assert caught.value.render() == (
        "error: `--map trades.price=px` names a column that the file lacks\n  in `t.csv`\n\n"
        "hint: its columns: ts, price, size"
    )
