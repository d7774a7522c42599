# Heliograph. `make help` says what there is.

PYTHON ?= python3
BIN := .venv/bin
DEMO ?=
MUTATIONS ?= 1000000

.DEFAULT_GOAL := help
# What is compiled is kept: tests start hundreds of processes, and each would compile all of our modules anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup up kafka test check check-style check-types check-docs clients fuzz bench soak parity docs lock clean

help:  ## Say what there is
	@echo "Heliograph: facts about LLM calls enter, are understood, come to rest, and are asked."
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# uv where it is, pip otherwise; both from the lock, hashes checked.
define install
	@echo "Installing from the lock, once: this takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@
endef

.venv/.run: requirements.lock pyproject.toml
	$(call install,requirements.lock)

.venv/.dev: requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock)

setup: .venv/.dev  ## Make .venv and install everything that tests and checks need

up: .venv/.run  ## Start everything on this machine (DEMO=1: with a demo provider)
	$(BIN)/heliograph up $(if $(DEMO),--demo)

kafka: .venv/.run  ## Run a Kafka broker on this machine, without Docker (Java and Maven)
	$(BIN)/python -m runtime.local_kafka

test: .venv/.dev  ## Run the tests; what a missing part leaves out is listed at the end
	$(BIN)/python -m tests.run

check: .venv/.dev  ## Lint, format, types, the rule of the rooms, the docs' own tests
	@$(MAKE) --no-print-directory --jobs --keep-going --output-sync=target check-style check-types check-docs

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

check-types:
	$(BIN)/mypy

check-docs:
	$(BIN)/python -m pytest tests/docs

clients/node/node_modules/.package-lock.json: clients/node/package-lock.json
	cd clients/node && npm ci --ignore-scripts --prefer-offline

clients: clients/node/node_modules/.package-lock.json  ## Build, test and pack the client for Node (Node.js 18 or newer)
	cd clients/node && npm test && npm pack

fuzz: .venv/.dev  ## Read a million mutated answers (MUTATIONS=…): no body may make a dialect raise
	$(BIN)/python -m tests.processors.mutations --mutations $(MUTATIONS)

bench: .venv/.dev  ## Measure: proxy beside nginx and beside an earlier one, cache and limits, processors, sink, queries, the REST API, logging, the client
	$(BIN)/python -m bench.ingress
	$(BIN)/python -m bench.headers
	$(BIN)/python -m bench.features
	$(BIN)/python -m bench.understand
	$(BIN)/python -m bench.sink
	$(BIN)/python -m bench.query
	$(BIN)/python -m bench.rest
	$(BIN)/python -m bench.logging
	$(BIN)/python -m bench.clients

soak: .venv/.dev  ## Kill processes under load, take Kafka away for five minutes, account for every row
	$(BIN)/python -m bench.soak
	$(BIN)/python -m bench.upkeep_under_fire
	$(BIN)/python -m bench.away

parity: .venv/.dev  ## The same on Kafka: two of each role and the broker, killed under load
	$(BIN)/python -m bench.parity

docs: .venv/.dev  ## Write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

lock: .venv/.dev  ## Resolve the lock files anew (needs uv)
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml --group dev -o requirements-dev.lock

clean:  ## Remove what was installed and cached; data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf clients/node/node_modules clients/node/dist clients/node/.build tests/clients/published/*/node_modules tests/clients/published/*/build
