#!/usr/bin/env bash
# Rehearse trading: the local exchange plays the first quarter of an hour of the example's tape at 200 times its speed
# and loses the answer to an order, `live` trades it on paper, and its decisions are proven from its own tape. Then the
# measured latencies are drawn from in a replay. No keys, no account, nothing leaves this machine.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)/rehearsal}
scalpcli rehearse tapes/TSLA/2026-11-20 -c configs/demo.toml -p scalp.enabled=true -p live.late_entry_ms_max=600000 \
  --speed 200 --until 09:46 --fault lose_answer=rest,at=09:43,method=POST,count=1 --out "$out" --quiet
run=$out/runs/paper/TSLA/2026-11-20
scalpcli replay --against "$run"
scalpcli report "$run" --latencies "$out/measured.csv" --quiet > "$out/report.txt"
scalpcli replay tapes/TSLA/2026-11-20 -c configs/demo.toml -p simulated_broker.latency_file="$out/measured.csv" \
  --until 10:30 --out "$out/replays"
