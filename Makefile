# Every target builds the environment it needs: Python 3.11 or newer and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: env
env: $(STAMP) ## Build .venv with everything that running and testing need

.PHONY: demo
demo: env ## Watch two calendars on a real CalDAV server being kept in step (ONCE=1 ends by itself)
	$(BIN)/calendarsync demo $(if $(ONCE),--once) $(if $(KEEP),--keep)

.PHONY: serve
serve: env ## Run the API and the schedule on http://127.0.0.1:8000
	$(BIN)/calendarsync serve

.PHONY: test
test: env ## Run the whole test suite
	$(BIN)/python -m pytest -m "not long and not live" --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: test-long
test-long: env ## Run the tests that take many minutes
	$(BIN)/python -m pytest -m long --timeout=3600

.PHONY: test-postgres
test-postgres: env ## Run the tests that talk to PostgreSQL (CALENDARSYNC_TEST_POSTGRESQL_URL names a server)
	$(BIN)/python -m pytest -m "postgresql and not long" --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: test-live
test-live: env ## Run the providers' contract against Google and Microsoft (docs/guide/live-tests.md)
	$(BIN)/python -m pytest -m live tests/live -rs

.PHONY: lint
lint: env ## Check style, types and the committed OpenAPI document
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m calendarsync.api.openapi --check openapi.json
	$(BIN)/python -m calendarsync.client.generate --check

.PHONY: format
format: env ## Put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: openapi
openapi: env ## Write openapi.json from the code
	$(BIN)/python -m calendarsync.api.openapi openapi.json

.PHONY: client
client: env ## Make the client's blocking flavour from its asynchronous one
	$(BIN)/python -m calendarsync.client.generate

.PHONY: bench
bench: env ## Measure speed and memory beside a physical limit
	$(BIN)/python -m benchmarks

.PHONY: bench-scale
bench-scale: env ## Measure N pairs (100000) under full load: WORKERS=1,2,4 SECONDS=60 SOAK=minutes OUT=file
	$(BIN)/python -m benchmarks.scale

.PHONY: corpus-table
corpus-table: env ## Write the tables of docs/reference/corpus.md from the corpus in ../shared
	CALENDARSYNC_WRITE_TABLES=1 $(BIN)/python -m pytest tests/corpus

.PHONY: lock
lock: env ## Renew the hashed requirements locks from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra demo -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra demo --extra dev -o requirements-dev.lock pyproject.toml
