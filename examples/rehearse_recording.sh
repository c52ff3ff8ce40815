#!/usr/bin/env bash
# Rehearse a recording: the local exchange plays the example's tape at 60 times its speed and loses a connection,
# the recorder writes what comes, and the tape it seals is checked. No keys, no account, nothing leaves this machine.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"
unset ALPACA_API_KEY ALPACA_SECRET_KEY
scalpcli exchange tapes/TSLA/2026-11-20 --port 0 --speed 60 --start 09:30 --wait-for 2 \
  --fault drop=stock,after_messages=200 --json > "$out/exchange.json" &
trap 'kill $! 2> /dev/null' EXIT
until grep -q '}' "$out/exchange.json" 2> /dev/null; do sleep 0.1; done
address=$(sed -n 's/.*"rest": "\([^"]*\)".*/\1/p' "$out/exchange.json")
scalpcli record --rehearse "$address" --out "$out/tapes" --dte 0 --until 3m > "$out/summary.json"
scalpcli tape verify "$out/tapes/TSLA/2026-11-20"
scalpcli tape info "$out/tapes/TSLA/2026-11-20"
