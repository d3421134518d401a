# All that the project's work needs, from a fresh machine with git, make and a Python on it.

# Which Python .venv is made with: the first of these that works, or `make PYTHON=/path/to/python ...`. The highest comes
# first, wherever it is, so that `make test` runs on the highest combination that is supported.
PYTHON ?=
PYENV_VERSIONS = $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYTHONS = $(or $(PYTHON),$(foreach version,3.13 3.12 3.11,\
	python$(version) $(wildcard $(PYENV_VERSIONS)/$(version).*/bin/python$(version))) python3)
# It has to run to be believed: a pyenv shim may stand for a version that is not there, and Debian's python3 comes
# without ensurepip.
USABLE = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

BIN := .venv/bin
STAMP := .venv/.stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -n 2 --dist=worksteal

# Some tests try what is drawn at random: as much as LONG_FORM says, or little of it each time that all tests run.
LONG ?=
LONG_FORM := IMPERVA_FUZZ_SECONDS=60 IMPERVA_EXAMPLES=5000 IMPERVA_SIMULATION_SEEDS=5
LONG_TIMEOUT := --timeout=1800

.PHONY: help demo standalone plots test test-long test-cluster test-matrix lint format sanitize mutants bench docs picture build pins clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile
	@echo 'Each sets up .venv by itself when it needs it. Another Python: make clean, then make PYTHON=/path/to/python ...'

demo: $(STAMP) ## Fill a lake from a fake log repository with a real Airflow run; again: only the new logs
	@$(BIN)/python -m demo.run

standalone: $(STAMP) ## Run a whole Airflow to click through, with a repository that gains a log a minute, until Ctrl-C
	@$(BIN)/python -m demo.standalone

plots: $(STAMP) ## Draw what is in the demo's lake (after make demo), as .demo/plots.html
	$(BIN)/python analysis/plots.py .demo/lake --output .demo/plots.html

test: $(STAMP) ## Run all tests, the slow ones too; LONG=1: those of test-long in their long form
	$(if $(LONG),$(LONG_FORM)) $(PYTEST) $(if $(LONG),$(LONG_TIMEOUT))

test-long: $(STAMP) ## Five simulated months, 20,000 examples that both readers agree on, a minute of fuzzing
	$(LONG_FORM) $(PYTEST) $(LONG_TIMEOUT) \
		tests/fuzz tests/events/test_scan_agrees.py tests/events/test_w3c_rows.py tests/simulation

test-cluster: $(STAMP) ## Load by two Celery workers into S3 and kill one (needs PostgreSQL and Redis installed; minutes)
	@$(BIN)/python -m tests.cluster.run

test-matrix: $(STAMP) ## Run the unit and DAG tests on the lowest and highest Airflow and Python, unless .venv is it
	@$(BIN)/python .ci/matrix.py

lint: $(STAMP) ## Check style, format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code and put right what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sanitize: $(STAMP) ## Fuzz the compiled kernel for a minute under AddressSanitizer and UBSan (needs gcc)
	$(BIN)/python .ci/sanitize.py

mutants: $(STAMP) ## Put known bugs into a copy of the code, one at a time, and see that tests notice each (minutes)
	$(BIN)/python -m tests.mutation.check

bench: $(STAMP) ## Measure speed and memory, and write them to docs/benchmarks.md (a quarter of an hour)
	$(BIN)/python -m benchmarks.run

docs: $(STAMP) ## Build the documentation's site into .site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

picture: $(STAMP) ## Take the README's picture of the coverage page anew (needs Chromium)
	$(BIN)/python -m tests.browser.readme_picture

build: $(STAMP) ## Build wheel and sdist into dist/, and check what is in them
	@rm -rf dist build
	$(BIN)/python -m build --no-isolation
	DIST=dist $(BIN)/python -m pytest -q tests/test_package.py

pins: ## Renew requirements.txt (needs Python 3.11, 3.12 and 3.13)
	@for python in $(PYTHONS); do \
		if "$$python" -c '$(USABLE)' 2>/dev/null; then exec "$$python" .ci/pins.py; fi; \
	done; \
	echo 'No Python 3.11 or later with venv found (tried: $(PYTHONS)).' >&2; exit 1

clean: ## Remove all that make made: .venv, dist, caches, the demo's lake
	rm -rf .venv .matrix .site dist build *.egg-info .demo .cluster .artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f airflow_provider_imperva/events/scan/_kernel.*.so
	find airflow_provider_imperva benchmarks dags tests demo -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# requirements.txt is complete, so nothing is resolved and nothing else is downloaded: an old pip will do. Python compiles
# a module when it is first imported, and most never are.
$(STAMP): pyproject.toml requirements.txt setup.py $(wildcard kernel/*)
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		found=; \
		for python in $(PYTHONS); do \
			if "$$python" -c '$(USABLE)' 2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo 'No Python 3.11 or later with venv found (tried: $(PYTHONS)).' >&2; \
			echo 'Install one (Debian, Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python ...' >&2; \
			exit 1; \
		fi; \
		echo "Setting up .venv with $$("$$found" --version) (a few minutes the first time)"; \
		"$$found" -m venv --clear .venv; \
	fi
	@echo 'Installing what requirements.txt pins, and this project'
	@$(PIP) install --no-deps --no-compile --requirement requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check || { echo 'requirements.txt does not fit pyproject.toml: run make pins.' >&2; exit 1; }
	@touch $@
