# `make demo` and `make test` are all a newcomer needs; both install what they need into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A container may forbid Python to keep what it compiled; the suite starts a hundred processes that read it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test soak lint format types contracts docs lock bench-nightly bench-api bench-segments bench-audiences bench-customers clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything in it

$(STAMP): requirements.lock pyproject.toml scripts/install
	@scripts/install
	@touch $(STAMP)

demo: setup ## Sample data, a full night, API and Dagster UI, until Ctrl-C
	$(BIN)/cdp demo

test: setup lint types contracts ## Lint, types, import contracts, and the whole test suite
	$(BIN)/pytest

soak: setup ## The tests that take minutes and are not part of `make test`
	$(BIN)/pytest -m soak -n 0
	IDENTITY_SEEDS=$${IDENTITY_SEEDS:-200} $(BIN)/pytest --dist load tests/identity/test_properties.py

lint: setup ## ruff (format and lint), sqlfluff (on what changed; on everything where CI is set)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python scripts/lint_sql.py

format: setup ## Rewrite files in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: setup ## mypy, strict
	$(BIN)/mypy

contracts: setup ## Which room may import which
	$(BIN)/lint-imports

docs: setup ## dbt's documentation as one page: docs/build/dbt.html
	$(BIN)/python -m pipelines.dbt_docs

bench-nightly: setup ## The night's steps at 100,000 and 1,000,000 customers, beside DuckDB alone
	$(BIN)/python -m benchmarks.nightly

bench-api: setup ## A write and a read through the API, beside the same transaction on the bare driver
	$(BIN)/python -m benchmarks.api

bench-segments: setup ## Many segments at once at 1,000,000 customers, beside rule-by-rule SQL and ClickHouse
	$(BIN)/python -m benchmarks.segments

bench-audiences: setup ## 150 tags and segments calculated by a night, and one while somebody waits, at 1,000,000 customers
	$(BIN)/python -m benchmarks.audiences

bench-customers: setup ## The customer list and Customer 360 over HTTP at 1,000,000 customers
	$(BIN)/python -m benchmarks.customers

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --group dev pyproject.toml -o requirements.lock

clean: ## Remove what was built; data stays
	rm -rf $(VENV) dbt_project/target docs/build .mypy_cache .ruff_cache .pytest_cache .sqlfluff_cache
