# Set-up is part of every target: a fresh clone needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test test-browser test-all fuzz lint format benchmarks clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ffpipe needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,test]'
	@touch $@

demo: setup
	$(BIN)/ffpipe demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -m "not slow"

# Debian: apt-get install chromium npm; elsewhere any Chromium that FFPIPE_CHROMIUM names. No browser is downloaded.
test-browser: setup tests/browser/node_modules
	$(BIN)/python -m pytest tests/browser

tests/browser/node_modules: tests/browser/package.json tests/browser/package-lock.json
	@command -v npm > /dev/null || { echo "the browser tests need npm for axe-core: apt-get install npm chromium"; exit 1; }
	npm ci --prefix tests/browser --no-audit --no-fund
	@touch $@

test-all: lint tests/browser/node_modules
	$(BIN)/python -m pytest

# A minute for each target of tests/fuzz/targets; FUZZ_SECONDS=600 for ten. Findings go to ./fuzz-findings.
fuzz: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/run_target.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: setup
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) build dist src/*.egg-info ffpipe-demo fuzz-findings
