#!/usr/bin/env bash
# Dashboards, rules, runbooks and load scripts: by the tree alone, then against a running sale.
# Usage: run.sh DOORLINE [K6]
set -euo pipefail
doorline=$(realpath "$1")
k6=${2:+$(realpath "$2")}
cd "$(dirname "$0")"

node check.mjs
node types.mjs
node compose.mjs "$doorline"
promtool check config ../prometheus.yml >/dev/null
promtool test rules rules/*.yml | grep -v '^$'
node live.mjs --doorline "$doorline" ${k6:+--k6 "$k6"}
node live.mjs --doorline "$doorline" --form distributed
