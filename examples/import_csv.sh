#!/usr/bin/env bash
# Ticks in a CSV of your own: name its columns, look at the tape, search it for triggers.
set -euo pipefail
out=${1:-$(mktemp -d)}
mkdir -p "$out"
csv="$out/trades.csv"
python3 - "$csv" <<'P'
import sys
with open(sys.argv[1], "w") as file:
    file.write("when_ms,px,qty,venue,cond\n")
    for second in range(1200):
        price = 400 + (0.02 * (second % 60) if second % 300 < 60 else 0)
        file.write(f"{1795185000000 + second * 1000},{price:.2f},{100 + second % 7 * 50},Q,@\n")
P
scalpcli tape import "$out/tapes" --symbol TSLA --date 2026-11-20 --trades "$csv" --profile ticks \
  --map trades.ts=when_ms:ms --map trades.price=px --map trades.size=qty --map trades.exchange=venue --map trades.conditions=cond
scalpcli tape head "$out/tapes" -n 5
scalpcli replay "$out/tapes" --triggers-only -p scalp.momentum_threshold_pct=0.1 -p scalp.volume_spike_ratio=0 --out "$out/runs"
