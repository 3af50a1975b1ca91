# Two commands on a fresh machine do everything: `make demo` and `make test`.
# Both set up .venv in this checkout from the hash-locked requirement files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
YEARS ?= 1
FIRST ?= 0
WIDE ?= 0
WHOLE ?= 0

.PHONY: demo test lint types fast format lock clean benchmarks simulate crashes

demo: $(VENV)/.installed
	$(BIN)/tenor demo

test: $(VENV)/.installed-dev
	.ci/check

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy

fast: $(VENV)/.installed-dev
	$(BIN)/pytest -q -x -m "not postgres"

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Seeded years of buying on the three sandbox clouds (WIDE=1: on all three at once, under one policy;
# WHOLE=1: of the whole service, from billing exports to alerts, a minute each); a year that shows a
# problem names its seed.
simulate: $(VENV)/.installed-dev
	$(BIN)/python -m tests.purchase.simulation.run --years $(YEARS) --first $(FIRST) --wide $(WIDE) --whole $(WHOLE)

# Every kind of purchase and alteration, killed at every step under every fault: the suite's part and the rest.
crashes: $(VENV)/.installed-dev
	EVERY_CRASH=1 $(BIN)/pytest -q -n 2 --dist loadfile tests/purchase/enumeration

benchmarks: $(VENV)/.installed-dev
	for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

lock: $(VENV)/.installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" .ci/lock

clean:
	rm -rf $(VENV) build dist var

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Tenor needs Python 3.11 or newer; set PYTHON=... to one") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.installed
