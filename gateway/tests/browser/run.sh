#!/usr/bin/env bash
# The whole browser suite: the gallery of pages, a gateway without its shop, and a demo that sells
# while a browser shops.
# Usage: run.sh FOLDER_OF_BINARIES (as cargo lays them out: doorline, examples/page_gallery)
set -euo pipefail
binaries=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
demo=""
bereft=""
finish() {
  for child in $demo $bereft; do kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap finish EXIT

"$binaries/examples/page_gallery" "$scratch/gallery"
# More units than shoppers, so that the browser's shopper always finds one.
"$binaries/doorline" demo --shoppers 300 --stock 1000 >"$scratch/demo.log" 2>&1 &
demo=$!
base=""
for _ in $(seq 100); do
  base=$(sed -n 's|^ *shop *\(http://[^/]*\)/.*|\1|p' "$scratch/demo.log")
  if [ -n "$base" ]; then break; fi
  if ! kill -0 "$demo" 2>/dev/null; then cat "$scratch/demo.log"; exit 1; fi
  sleep 0.2
done

# Nobody listens on the discard port of a machine of today. The drop opens long after the test, so
# that its page stays the queue's.
cat >"$scratch/config.toml" <<TOML
[server]
listen = "127.0.0.1:0"
public_url = "http://shop.example"
[admin]
listen = "127.0.0.1:0"
[upstream]
url = "http://127.0.0.1:9"
[backend]
data_dir = "$scratch/data"
[[drop]]
id = "aurora"
paths = ["/drops/aurora"]
prequeue_start_time = "2026-01-01T00:00:00Z"
event_start_time = "2126-01-01T00:00:00Z"
total_active_users = 10
new_users_per_minute = 10
[[drop]]
id = "borealis"
paths = ["/drops/borealis"]
event_start_time = "2126-01-01T00:00:00Z"
total_active_users = 10
new_users_per_minute = 10
TOML
NO_COLOR=1 "$binaries/doorline" serve --config "$scratch/config.toml" --set log.format=json \
  >"$scratch/bereft.log" 2>&1 &
bereft=$!
down=""
for _ in $(seq 100); do
  down=$(sed -n 's|.*Doorline serves.*"address":"\(127\.0\.0\.1:[0-9]*\)".*|\1|p' "$scratch/bereft.log")
  if [ -n "$down" ]; then break; fi
  if ! kill -0 "$bereft" 2>/dev/null; then cat "$scratch/bereft.log"; exit 1; fi
  sleep 0.2
done
cd "$here"
node run.mjs --gallery "$scratch/gallery" --base "$base" --down "http://$down" || { cat "$scratch/demo.log"; exit 1; }
