# What people and CI run. `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: help setup build image crds docs test soak lint instructions fuzz mutants demo bench clean

CARGO ?= cargo

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what tests and the demo need (Debian, root); quick when all is there
	@scripts/setup

build: ## Build the workspace
	$(CARGO) build --workspace --locked

image: ## Build the container image (podman, or ENGINE=docker)
	@scripts/image

crds: ## Write deploy/crds anew from the types
	ROUTELET_WRITE_CRDS=1 $(CARGO) test --locked -p routelet-api --test custom_resource_definitions

# CI does not build the book, since mdBook takes minutes to compile: the test `documentation` checks the table of contents,
# links, anchors, names of source files, and runs `routelet check` on every example.
docs: ## Build the documentation as a book in target/book (cargo install mdbook --locked), and check it
	$(CARGO) test --locked -p routelet --test documentation
	mdbook build

test: setup build ## Run every test, those in network namespaces included (root)
	@scripts/test

# How many cases, for how many seconds each property at most, of which crates: `make soak CASES=400000 CRATES=rib`.
CASES ?= 200000
LIMIT ?= 3600
CRATES ?=

soak: ## Run every property with CASES= cases (200,000: hours; CI does it every night)
	@scripts/soak $(CASES) $(LIMIT) $(CRATES)

lint: ## Formatting, clippy, documentation, and the rules of the architecture
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --document-private-items
	$(CARGO) check -p bgp --no-default-features --locked
	$(CARGO) check -p routelet-bfd -p routelet-fib -p routelet-core --locked
	$(CARGO) check -p routelet-control --locked
	@# The fuzz targets outside the agent. Nothing is linked, so libFuzzer itself need not be compiled.
	CUSTOM_LIBFUZZER_PATH=/lib/libfuzzer.a $(CARGO) check --manifest-path bgp/fuzz/Cargo.toml --target-dir target --locked
	scripts/check-architecture

instructions: ## Count what a route costs, stage by stage, and compare (valgrind)
	$(CARGO) bench --locked -p rib --bench instructions

# What to fuzz, and for how long each: `make fuzz TARGET=update SECONDS=60`. Empty means all.
TARGET ?=
SECONDS ?= 1200

fuzz: ## Fuzz every target, or TARGET=, for SECONDS= each (cargo install cargo-fuzz)
	@scripts/fuzz $(SECONDS) $(TARGET)

# What to mutate: `make mutants AREAS=bgp/src/fsm`. Empty means all that scripts/mutants knows, which takes hours.
AREAS ?=

mutants: ## Break the code in many places and see a test fail each time (cargo install cargo-mutants)
	@scripts/mutants $(AREAS)

demo: setup ## Show a rack at work: two routers, three nodes, a client
	@# The lab looks for the binary routelet beside its own.
	$(CARGO) build --locked -p routelet -p routelet-lab
	@"$$(scripts/target-directory)/debug/routelet-lab" demo

# What to measure, and how often: `make bench WORKS=A,B SPEAKERS=routelet,bird2 RUNS=1`. Empty means all.
WORKS ?=
SPEAKERS ?=
RUNS ?= 3
# Results go into this file. What is measured again takes its old place there; the rest stays.
RESULTS ?= docs/concepts/benchmarks.json
BENCH_FLAGS ?=

bench: setup ## Measure Routelet and other speakers on the same work (root; all of it takes hours)
	@# What is shipped is what is measured; the bench looks for the binary routelet beside its own.
	$(CARGO) build --profile dist --locked -p routelet -p interop-bench --bins --example storms
	@"$$(scripts/target-directory)/dist/bench" $(if $(WORKS),--work $(WORKS)) \
		$(if $(SPEAKERS),--speakers $(SPEAKERS)) --runs $(RUNS) --json $(RESULTS) --update \
		--markdown docs/concepts/benchmarks.md $(BENCH_FLAGS)

clean: ## Remove what was built
	$(CARGO) clean
