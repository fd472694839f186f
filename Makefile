# What people and CI run. `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: help setup build test lint demo clean

CARGO ?= cargo

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what tests and the demo need (Debian, root); quick when all is there
	@scripts/setup

build: ## Build the workspace
	$(CARGO) build --workspace --locked

test: setup build ## Run every test, those in network namespaces included (root)
	@scripts/test

lint: ## Formatting, clippy, documentation, and the rules of the architecture
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --document-private-items
	$(CARGO) check -p bgp --no-default-features --locked
	scripts/check-architecture

demo: setup ## Show a rack at work: two routers, three nodes, a client
	@# The lab looks for the binary routelet beside its own.
	$(CARGO) build --locked -p agent -p routelet-lab
	$(CARGO) run --locked -p routelet-lab -- demo

clean: ## Remove what was built
	$(CARGO) clean
