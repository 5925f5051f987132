# What one types in this house. `make` alone prints this list.
# Every target sets up what it needs first (dev/setup), so each works on a fresh Debian or Ubuntu.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Where rustup puts cargo, for a shell that was open before Rust was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The development broker's name; several run side by side: make kafka NAME=two
NAME ?= dev

##@ Use it
.PHONY: demo
demo: ## generated logs with attacks in them, the shipped rules, alerts as they come
	@dev/setup rust build
	cargo run --release --bin haechi -- demo

.PHONY: build
build: ## the release binary: target/release/haechi
	@dev/setup rust build
	cargo build --release --bin haechi

##@ Work on it
.PHONY: setup
setup: ## install all that the targets here need and this machine lacks
	@dev/setup

.PHONY: test
test: ## every test, on a Kafka of its own (or on HAECHI_KAFKA=host:port)
	@dev/test

# How long to soak.
MINUTES ?= 60

.PHONY: soak
soak: ## simulated crashes, zombies and rebalances for MINUTES=60
	@dev/setup rust build
	HAECHI_SIM_MINUTES=$(MINUTES) cargo test --release -p haechi-engine --test sim -- --nocapture

# How many seeds of faults.
RUNS ?= 20

.PHONY: faults
faults: ## processes, clocks, topics, three brokers and the network between them broken: RUNS=20 seeds of 130 s each
	@dev/setup
	HAECHI_FAULTS_SECONDS=$${HAECHI_FAULTS_SECONDS:-130} HAECHI_FAULTS_RUNS=$(RUNS) \
	  HAECHI_PYTHON=$${HAECHI_CACHE:-$$HOME/.cache/haechi}/python/bin/python HAECHI_KAFKA_BROKERS=3 \
	  dev/with-kafka faults cargo test -p haechi-tests kafka::faults -- --ignored --nocapture

.PHONY: bench
bench: ## the pipeline's rate beside a bare consumer of the same topic
	@dev/setup
	cargo build --release --bin haechi
	dev/with-kafka bench cargo bench -p haechi-benches --bench pipeline

.PHONY: bench-detect
bench-detect: ## what detection costs beside parsing, other numbers of rules, and rsigma-eval
	@dev/setup rust build
	cargo build --release --bin haechi
	cargo build --release --locked --manifest-path benches/peer/Cargo.toml --target-dir target/peer
	HAECHI_BIN=$(CURDIR)/target/release/haechi HAECHI_BENCH_PEER=$(CURDIR)/target/peer/release/haechi-bench-peer \
	  cargo bench -p haechi-benches --bench detect

.PHONY: bench-delivery
bench-delivery: ## what exactly once costs beside at least once, and the time from event to alert
	@dev/setup
	cargo build --release --bin haechi
	HAECHI_BIN=$(CURDIR)/target/release/haechi dev/with-kafka bench cargo bench -p haechi-benches --bench delivery

.PHONY: bench-recovery
bench-recovery: ## how long events wait when a pod is killed that holds the windows of a million groups
	@dev/setup
	cargo build --release --bin haechi
	HAECHI_BIN=$(CURDIR)/target/release/haechi dev/with-kafka bench cargo bench -p haechi-benches --bench recovery

.PHONY: bench-state
bench-state: ## what open correlations cost: events a second and memory of 10 million groups by type, snapshots of one million
	@dev/setup rust build
	cargo build --release --example state
	target/release/examples/state rates
	target/release/examples/state sizes
	target/release/examples/state snapshot

.PHONY: steady
steady: ## MINUTES=60 of steady load (HAECHI_STEADY_RATE=2000 events a second): memory, and the time from event to alert
	@dev/setup
	cargo build --release --bin haechi
	HAECHI_BIN=$(CURDIR)/target/release/haechi HAECHI_STEADY_ONLY=yes HAECHI_STEADY_SECONDS=$$((60 * $(MINUTES))) \
	  dev/with-kafka steady cargo bench -p haechi-benches --bench delivery

.PHONY: lint
lint: ## formatting, clippy, docs, dependencies: what CI checks before the tests
	@.ci/run lint

.PHONY: ci
ci: ## exactly what CI runs
	@.ci/run

##@ Kafka for development
.PHONY: kafka
kafka: ## start a real Apache Kafka, print its address (NAME=two for a second one)
	@dev/kafka start $(NAME)

.PHONY: kafka-stop
kafka-stop: ## stop it; data and port are kept for the next start
	@dev/kafka stop $(NAME)

.PHONY: kafka-restart
kafka-restart: ## stop it and start it on the same port with the same data
	@dev/kafka restart $(NAME)

.PHONY: kafka-status
kafka-status: ## which ones there are
	@dev/kafka status

.PHONY: kafka-delete
kafka-delete: ## stop it and throw its data away (NAME=--all for every one)
	@dev/kafka delete $(NAME)

##@ Help
.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST)); echo
