#!/usr/bin/env bash
# Make two sessions up, replay both at once, report on the run.
set -euo pipefail
out=${1:-$(mktemp -d)}
mkdir -p "$out"
for seed in 1 2; do
  scalpcli tape synth "$out/tapes-$seed" --date 2026-11-20 --rows 60000 --contracts 12 --seed "$seed" --halt --gap --quiet
done
scalpcli replay "$out/tapes-1" "$out/tapes-2" --jobs 2 --out "$out/runs" --quiet
scalpcli report "$out/runs"
