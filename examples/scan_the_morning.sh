#!/usr/bin/env bash
# Which contract would a signal have bought through the morning, at what cost, and how far was its target?
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"
fields=contract,ask,spread_pct,delta,round_trip_usd,target_move_pct,stop_move_pct,target_first_pct
for at in 09:45 10:15 10:45 11:15; do
  for side in call put; do
    echo "$at $side: $(scalpcli scan-options --tape tapes --at "$at" --type "$side" --top 1 \
      --format csv --columns "$fields" --quiet | tail -n +2)"
  done
done | tee "$out/morning.txt"
# The whole chain of one instant with every gate, for a script of your own.
scalpcli scan-options --tape tapes --at 10:15 --all --top 100 --explain --json >"$out/chain.json"
