#!/usr/bin/env bash
# The check a CI run makes: the example tape must give the blessed decisions, and at least ten trades.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"
scalpcli tape verify tapes
scalpcli replay tapes -c configs/demo.toml --check blessed/decisions.jsonl --require 'trades>=10' --out "$out"
