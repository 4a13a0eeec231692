# dnswatch: `make run` does the main job on an embedded default, `make test` proves it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
LIVE   ?= 1
STAMP  := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -m 'not torture' -n 2 --dist worksteal
SHELL_TESTS := tests/io tests/cli tests/test_daemon.py tests/test_docs.py tests/test_scan.py tests/test_transfers.py

.PHONY: run test unit shell live lint torture setup packages golden bench bench-quick eval eval-quick clean help
.DEFAULT_GOAL := help

help:           ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1\t/'

setup: $(STAMP) ## create .venv with dnswatch and its test tools, at the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "dnswatch needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "The venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (about a minute, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

run: $(STAMP)   ## CONFIG=FILE: the daemon; without it: the demonstration
	@if [ -n "$(CONFIG)" ]; then exec $(BIN)/dnswatch --config "$(CONFIG)" run; else exec $(BIN)/dnswatch demo; fi

test: $(STAMP) packages lint unit shell live eval-quick ## everything: lint, types, tests, real servers, detection

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

unit: $(STAMP)  ## tests of the pure half, the data and the configuration
	@$(PYTEST) tests --ignore=tests/live $(SHELL_TESTS:%=--ignore=%)

shell: $(STAMP) ## tests of files, sockets, processes and commands; no server needed
	@$(PYTEST) $(SHELL_TESTS)

packages: $(STAMP) # Debian packages that the live tests need; LIVE=0 leaves them out
	@if [ "$(LIVE)" = 1 ]; then $(BIN)/python tests/live/packages.py --install; fi

live: $(STAMP)  ## tests against real named, dnsmasq and rsyslog on loopback
	@if [ "$(LIVE)" = 1 ]; then $(BIN)/python -m pytest tests/live -m 'not torture'; \
	 else echo "LIVE=0: the live tests are left out"; fi

torture: $(STAMP) packages ## the long matrices (not part of CI)
	@$(BIN)/python -m pytest tests -m torture --timeout 1800

bench: $(STAMP)  ## speed beside other tools (benchmarks/README.md); BENCH="--lines 20000000" and the like
	@$(BIN)/python -m benchmarks.run $(BENCH)

bench-quick: $(STAMP) ## under a minute: what moved since the results were recorded
	@$(BIN)/python -m benchmarks.run --quick $(BENCH)

eval: $(STAMP)   ## how well detection does (evaluation/README.md), 20 minutes; EVAL="--seeds 200-204" and the like
	@$(BIN)/python -m evaluation --ablation --out evaluation/results $(EVAL)

eval-quick: $(STAMP) ## one small simulated network; fails when a gate of detection does not hold
	@$(BIN)/python -m evaluation --quick $(EVAL)

golden: $(STAMP) ## rewrite tests/golden from what the code does now; review the diff
	@DNSWATCH_GOLDEN=write $(BIN)/python -m pytest tests -k golden

clean:          ## remove everything that make created
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
