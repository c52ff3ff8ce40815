"""A tape is plain Parquet: one-minute bars of the example tape with Polars alone."""

from pathlib import Path

import polars as pl

TAPE = Path(__file__).parent / "tapes" / "TSLA" / "2026-11-20"
MAY_SET_LAST = 1  # flag bit of scalpcli.model.row.LAST
STOCK_TRADE = 1  # kind of scalpcli.model.row.STOCK_TRADE

bars = (
    pl.scan_parquet(TAPE / "rows.parquet")
    .filter((pl.col("kind") == STOCK_TRADE) & (pl.col("flags") & MAY_SET_LAST == MAY_SET_LAST))
    .with_columns(
        minute=pl.from_epoch("ts_recv_ns", time_unit="ns").dt.truncate("1m"),
        price=pl.col("price_e4") / 10_000,
    )
    .group_by("minute", maintain_order=True)
    .agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("size").sum(),
    )
    .collect()
)
print(bars.head(5))
