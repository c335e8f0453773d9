# Sixfold's commands. `make run` and `make test` install what they need on Debian; neither needs
# Docker, protoc or a running PostgreSQL.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Builds are kept outside the clone, so that a fresh clone builds warm.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sixfold-target
export SQLX_OFFLINE ?= true

# s3s declares a newer Rust than it needs; on that newer Rust the flag does nothing.
CARGO_FLAGS := --ignore-rust-version --locked
# The same for every step of a test, so that nothing is compiled twice.
SIMULATION := --features sixfold/simulation

# The load generator; BENCH="…" hands options on to it.
BENCH_PROGRAM = cargo run --quiet --release $(CARGO_FLAGS) -p compat-tests --bin bench --
BENCH ?=
PROFILE ?= profile

# Where `make run` keeps its data, and where `make install` puts the programs.
DIR ?= ./data
PREFIX ?= /usr/local

ROOT_SHELL := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help run build install reachable postgresql check test test-code test-long test-memory soak simulate demo bench bench-quick bench-growth bench-micro profile docs sqlx deny

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: postgresql reachable build ## build a release and start `sixfold server DIR` (DIR=./data)
	@echo "make run: the program is $$CARGO_TARGET_DIR/release/sixfold; make install puts it onto PATH"
	@echo "make run: starting sixfold server $(DIR); Ctrl-C stops it"
	@exec "$$CARGO_TARGET_DIR/release/sixfold" server "$(DIR)"

build:
	@echo "make: building a release (a few minutes the first time)"
	@cargo build --release -p sixfold -p sixfold-node $(CARGO_FLAGS)

install: build ## copy sixfold and sixfold-node to PREFIX/bin (PREFIX=/usr/local)
	@scripts/install.sh "$$CARGO_TARGET_DIR/release" "$(DESTDIR)$(PREFIX)/bin"

# Started as root, PostgreSQL runs as another account: said before the build, not after it.
reachable:
	@scripts/check-reach.sh "$(DIR)"

# PostgreSQL's server programs, without Debian's own cluster: nothing starts, nothing listens.
postgresql:
	@if command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; \
	then exit 0; fi; \
	echo "make: installing PostgreSQL's server programs (without a cluster of Debian's)"; \
	config=/etc/postgresql-common/createcluster.conf; \
	if [ ! -e $$config ]; then $(ROOT_SHELL) mkdir -p /etc/postgresql-common; \
	  echo 'create_main_cluster = false' | $(ROOT_SHELL) tee $$config >/dev/null; fi; \
	for attempt in 1 2 3; do \
	  $(ROOT_SHELL) apt-get update -qq \
	    && $(ROOT_SHELL) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	      --no-install-recommends postgresql >/dev/null && exit 0; \
	  echo "make: the installation failed (attempt $$attempt of 3)"; sleep $$((attempt * 5)); \
	done; \
	echo "make: PostgreSQL can't be installed; install initdb and postgres, 15 to 18" >&2; exit 1

check: ## the fast half of the tests: format, lints, unit tests
	@echo "make check: formatting, lints, unit tests"
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets $(CARGO_FLAGS) -- -D warnings
	@cargo test -p sixfold -p sixfold-node -p sixfold-proto $(CARGO_FLAGS)

test: ## install what the tests need and run them all
	@echo "make test: installing the clients that the tests use"
	@compat-tests/install.sh
	@$(MAKE) --no-print-directory test-code

test-code: postgresql
	@echo "make test: formatting"
	@cargo fmt --all --check
	@echo "make test: lints"
	@cargo clippy --workspace --all-targets $(CARGO_FLAGS) $(SIMULATION) -- -D warnings
	@echo "make test: documentation"
	@RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps $(CARGO_FLAGS) $(SIMULATION) --quiet
	@echo "make test: the offline data of the checked queries"
	@scripts/sqlx-prepare.sh --check
	@echo "make test: building the programs that the tests start"
	@cargo build --workspace --bins $(CARGO_FLAGS) $(SIMULATION)
	@echo "make test: the quick benchmark, on builds without optimisation: for its answers, not its times"
	@mkdir -p "$$CARGO_TARGET_DIR/bench-quick"
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/debug" "$$CARGO_TARGET_DIR/debug/bench" \
	  --quick --little --out "$$CARGO_TARGET_DIR/bench-quick"
	@echo "make test: tests"
	@SIXFOLD_MEMORY_MIB=$${SIXFOLD_MEMORY_MIB:-48} cargo test --workspace $(CARGO_FLAGS) $(SIMULATION)

demo: postgresql build ## real files in, two drives away, everything back
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" scripts/demo.sh

bench: postgresql build ## what a request costs in both forms; PEER=NAME=URL,key,secret,pid beside it
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" $(BENCH_PROGRAM) --out docs \
	  $(if $(PEER),--peer "$(PEER)") $(BENCH)

bench-quick: postgresql build ## the same in under three minutes; fails on broken answers only
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" $(BENCH_PROGRAM) --quick $(BENCH)

bench-growth: postgresql build ## requests at OBJECTS=10000,1000000 objects; memory by what grows
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" $(BENCH_PROGRAM) growth --out docs \
	  $(if $(OBJECTS),--objects $(OBJECTS)) $(BENCH)

bench-micro: postgresql ## codec, hashing, ring, chunk store and commit by themselves, with criterion
	@cargo bench $(CARGO_FLAGS) -p sixfold -p sixfold-node --bench micro \
	  --features sixfold/micro,sixfold-node/micro -- $(BENCH)

profile: postgresql build ## flame graphs of the hot paths, below PROFILE (profile/)
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" scripts/profile.sh $(PROFILE) $(BENCH_PROGRAM)

test-long: test-memory ## the long forms of the failures in docs/reliability.md, and a soak of an hour
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" SIXFOLD_TEST_LONG=1 \
	  cargo test -p compat-tests --test nodes_lost --test rolling --test register \
	  --test changed_under_reads --test database --test spoiled --test node_processes --test healed \
	  --test membership $(CARGO_FLAGS) -- --nocapture --test-threads=1
	@$(MAKE) --no-print-directory soak

soak: postgresql build ## faults at random under real clients' load, for MINUTES=60; SEED=… repeats one
	@compat-tests/install.sh python
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" SIXFOLD_SOAK_MINUTES=$(or $(MINUTES),60) \
	  $(if $(SEED),SIXFOLD_SEED=$(SEED)) \
	  cargo test -p compat-tests --test soak $(CARGO_FLAGS) -- --nocapture

test-memory: postgresql build ## memory under large bodies in full: 32 of 512 MiB, one of 5 GiB
	@SIXFOLD_BIN_DIR="$$CARGO_TARGET_DIR/release" SIXFOLD_MEMORY_MIB=512 \
	  cargo test --release -p compat-tests --test memory $(CARGO_FLAGS) -- --nocapture

simulate: ## the simulation under SEEDS=200 seeds; SIXFOLD_SEED=7 shows one of them
	@SIXFOLD_SEEDS="$(or $(SEEDS),200)" cargo test --release -p sixfold --lib $(CARGO_FLAGS) \
	  $(SIMULATION) simulation::tests::every_seed_keeps_the_invariants -- --nocapture

docs: ## write docs/configuration.md and docs/metrics.md anew
	@cargo run --quiet -p sixfold $(CARGO_FLAGS) -- config reference > docs/configuration.md.new
	@mv docs/configuration.md.new docs/configuration.md
	@cargo run --quiet -p sixfold $(CARGO_FLAGS) -- config metrics > docs/metrics.md.new
	@mv docs/metrics.md.new docs/metrics.md

sqlx: postgresql ## write .sqlx/ anew, from a PostgreSQL that is started for it
	@scripts/sqlx-prepare.sh

deny: ## advisories, licences and sources of all dependencies (installs cargo-deny)
	@command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	@cargo deny check
