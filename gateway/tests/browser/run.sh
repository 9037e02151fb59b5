#!/usr/bin/env bash
# The whole browser suite: the gallery of pages, and a demo that sells while a browser shops.
# Usage: run.sh FOLDER_OF_BINARIES (as cargo lays them out: doorline, examples/page_gallery)
set -euo pipefail
binaries=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
demo=""
finish() {
  if [ -n "$demo" ]; then kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; fi
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
cd "$here"
node run.mjs --gallery "$scratch/gallery" --base "$base" || { cat "$scratch/demo.log"; exit 1; }
