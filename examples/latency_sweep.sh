#!/usr/bin/env bash
# What would slower orders have cost? The same tape at four latencies, and once with latencies drawn from a file.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"
for latency_ms in 0 100 250 1000; do
  scalpcli replay tapes -c configs/demo.toml --latency-ms "$latency_ms" --out "$out" --json --quiet >"$out/$latency_ms.json"
  echo "latency $latency_ms ms: $(grep -o '"net_pnl_usd": [-0-9.]*' "$out/$latency_ms.json")"
done
scalpcli replay tapes -c configs/demo.toml -p simulated_broker.latency_file=data/latencies.csv --out "$out" --quiet
