# make demo, make test: each alone, on a fresh clone. make check: what to run before committing.
# make explore: the tests with new random cases. make proof: kills, interrupts and planted bugs at full size; more than an hour.
# make clusters: the tests of engines on Dask, Ray and Spark as well, one after another: clusters of separate processes,
# their parts killed, then embedded ones. Half an hour. What cannot be had is skipped, with its reason and its count.
# make bench: Shardwise beside its peers, which get an environment of their own; ARGS chooses (ARGS="group_mean --runs 3").
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto

.PHONY: demo test explore clusters proof check format lint types bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,demo]"
	touch $@

demo: .venv/ready
	@$(BIN)/shardwise demo

test: .venv/ready
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

explore: .venv/ready
	SHARDWISE_EXPLORE=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

CLUSTERS := SHARDWISE_CLUSTERS=1 SHARDWISE_PATIENCE=300 $(BIN)/python -m pytest -q

clusters: .venv/ready
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dask,ray,spark]"
	$(CLUSTERS) tests/conformance/test_engines.py tests/engines tests/api/test_executor_clusters.py tests/test_examples.py
	$(CLUSTERS) tests/faults/test_clusters.py tests/faults/test_relay.py
	SHARDWISE_ENGINES="dask ray spark" $(CLUSTERS) tests/conformance/test_engines.py

proof: .venv/ready
	$(BIN)/python proof/run.py

check: .venv/ready lint types test

lint: .venv/ready
	$(BIN)/ruff format --check src tests examples benchmarks proof
	$(BIN)/ruff check src tests examples benchmarks proof

format: .venv/ready
	$(BIN)/ruff format src tests examples benchmarks proof
	$(BIN)/ruff check --fix src tests examples benchmarks proof

types: .venv/ready
	$(BIN)/mypy

BENCH := .venv-bench/bin
ARGS ?=

.venv-bench/ready: pyproject.toml constraints-bench.txt
	$(PYTHON) -m venv .venv-bench
	PIP_CONSTRAINT=constraints-bench.txt $(BENCH)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	touch $@

bench: .venv-bench/ready
	$(BENCH)/python -m benchmarks $(ARGS) --output docs/benchmarks.md

clean:
	rm -rf .venv .venv-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
