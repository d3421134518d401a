# All that the project's work needs, from a fresh machine with git, make and a Python on it.

# Which Python .venv is made with: the highest that is tested and works here, or `make PYTHON=/path/to/python ...`.
PYTHON ?=
export PYTHON

# Modules are compiled when they are first imported (.ci/install says why). Images often tell Python not to keep what it
# compiled; then every process of every test would compile all of Airflow again, which takes as long as the tests.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# What has been installed into .venv, by purpose: requirements/ has a file for each.
ready = $(1:%=.venv/.ready-%)
# Some tests try what other purposes do.
# The layers are tested too, by what checks them in `make lint`.
TESTED := test lint cluster docs bench build pins
# Three at once keep two cores busy: tests wait for the services that they start.
PYTEST := $(BIN)/python -m pytest -n 3 --dist=worksteal

# Some tests try what is drawn at random: as much as LONG_FORM says, or little of it each time that all tests run.
LONG ?=
LONG_FORM := IMPERVA_FUZZ_SECONDS=60 IMPERVA_EXAMPLES=5000 IMPERVA_ONE_LINE_MEGABYTES=120 IMPERVA_SIMULATION_SEEDS=5 IMPERVA_CRASH_STRIDE=1 IMPERVA_ACCOUNTS=30 IMPERVA_PLANTED=200000
LONG_TIMEOUT := --timeout=1800
# ... and what starts a whole Airflow or a browser is left out of the quick form. What starts Airflow's services, each in a
# process, is left to `make test-cluster`.
QUICK ?=
QUICK_FORM := not airflow and not browser and not cluster and not engines

.PHONY: help demo standalone plots test test-long test-cluster test-engines test-matrix lint format sanitize mutants bench latency docs picture build pins clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile
	@echo 'Each installs into .venv what it needs and is not there yet. Another Python: make clean, then make PYTHON=/path/to/python ...'

demo: $(call ready,run) ## Fill a lake from a fake log repository with a real Airflow run; again: only the new logs
	@$(BIN)/python -m demo.run

standalone: $(call ready,run) ## Run a whole Airflow to click through, with a repository that gains a log a minute, until Ctrl-C
	@$(BIN)/python -m demo.standalone

plots: $(call ready,plots) ## Draw what is in the demo's lake (after make demo), as .demo/plots.html
	$(BIN)/python analysis/plots.py .demo/lake --output .demo/plots.html

test: $(call ready,$(TESTED)) ## Run all tests; QUICK=1: none that start a whole Airflow or a browser; LONG=1: more examples, seeds, crash points
	$(if $(LONG),$(LONG_FORM)) $(PYTEST) $(if $(LONG),$(LONG_TIMEOUT)) -m '$(if $(QUICK),$(QUICK_FORM),not cluster and not engines)'

test-long: $(call ready,test) ## Five simulated months, 20,000 examples that all readers agree on, a minute of fuzzing, every crash point, 200,000 planted secrets
	$(LONG_FORM) $(PYTEST) $(LONG_TIMEOUT) \
		tests/fuzz tests/events/test_readers_agree.py tests/events/test_scan_agrees.py tests/events/test_w3c_rows.py tests/simulation tests/crash tests/privacy

test-cluster: $(call ready,test cluster) ## Run Airflow's services: its pages in a browser, schedulers, and two Celery workers, of which one is killed (minutes)
	$(BIN)/python -m pytest -m cluster tests/cluster tests/airflow_ui tests/dag/test_metrics.py
	@$(BIN)/python -m tests.cluster.run

test-engines: $(call ready,test) .engines/.ready ## Read a lake with Spark, ClickHouse, DuckDB, DataFusion, polars, pandas and PyArrow (needs Java; 2.5 GB)
	$(BIN)/python -m pytest -m engines tests/engines

test-matrix: $(call ready,run) ## Run tests on Airflow 3.1, 3.2 and 3.3 with Python 3.11, 3.12 and 3.13
	@$(BIN)/python .ci/matrix.py

lint: $(call ready,$(TESTED)) ## Check style, format, language, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/style.py
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(call ready,lint) ## Format the code and put right what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sanitize: $(call ready,test) ## Fuzz the compiled kernel for a minute under AddressSanitizer and UBSan (needs gcc)
	$(BIN)/python .ci/sanitize.py

mutants: $(call ready,$(TESTED)) ## Put known bugs into a copy of the code, one at a time, and see that tests notice each (minutes)
	$(BIN)/python -m tests.mutation.check

bench: $(call ready,bench) ## Measure speed and memory, and write them to docs/benchmarks.md (a quarter of an hour)
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.forwarding
	$(BIN)/python -m benchmarks.forwarding --outage
	$(BIN)/python -m benchmarks.derived
	$(BIN)/python -m benchmarks.compaction
	$(BIN)/python -m benchmarks.erasure
	$(BIN)/python -m benchmarks.ocsf
	$(BIN)/python -m benchmarks.publishing

latency: $(call ready,test cluster) ## Measure how long a log takes from being listed to being queryable (half an hour)
	$(BIN)/python -m benchmarks.latency

docs: $(call ready,docs) ## Build the documentation's site into .site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

picture: $(call ready,test) ## Take the README's pictures of the coverage page (needs Chromium)
	$(BIN)/python -m tests.browser.readme_picture

build: $(call ready,test build) ## Build wheel and sdist into dist/, and check what is in them
	@rm -rf dist
	$(BIN)/python -m build --no-isolation
	DIST=dist $(BIN)/python -m pytest -q tests/test_package.py

pins: ## Write requirements/ from pyproject.toml; UPGRADE=1: with the newest version of everything
	@.ci/install pins
	$(BIN)/python .ci/pins.py $(if $(UPGRADE),--upgrade)

clean: ## Remove all that make made: .venv, dist, caches, the demo's lake
	rm -rf .venv .engines .matrix .site dist *.egg-info .demo .cluster .artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f airflow_provider_imperva/events/scan/_kernel.*.so
	find airflow_provider_imperva benchmarks tests demo -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.venv/.ready-run: requirements/run.txt pyproject.toml setup.py $(wildcard kernel/*)
	@.ci/install run

.venv/.ready-%: requirements/%.txt .venv/.ready-run
	@.ci/install $*

# Engines that readers have, in an environment of their own: they are large, and one is a release older than the demo's.
.engines/.ready: requirements/engines.txt .venv/.ready-run
	@.ci/install engines

# One pip at a time.
.NOTPARALLEL:
