"""Several symbols in one process: one connection to each endpoint, a tape for each symbol."""

from __future__ import annotations

from tests.two_symbols import OPTION, STOCK, record, rows_of

BOTH = ("TSLA", "SPY")


def test_two_symbols_share_one_connection_to_each_endpoint(tmp_path):
    """The service lets one in: a connection for each symbol would be refused with 406 again and again."""
    recorded = record(tmp_path, BOTH, lambda session, _: all(rows_of(session, symbol) > 50 for symbol in BOTH))

    assert recorded.service.opened == {STOCK: 1, OPTION: 1}
    assert not recorded.service.refused
    assert all(rows_of(recorded.session, symbol) > 50 for symbol in BOTH)
