#!/usr/bin/env bash
# Dashboards, rules and runbooks, by the tree alone.
set -euo pipefail
cd "$(dirname "$0")"

node check.mjs
node types.mjs
promtool check config ../prometheus.yml >/dev/null
promtool test rules rules/*.yml | grep -v '^$'
