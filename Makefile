# make setup | demo | test | lint | bench
#
# Needs Python 3.11 or newer (with venv) and make; everything else goes into .venv.
#   PYTHON=python3.12        interpreter to build .venv with
#   TORCH_OPTIONS="..."      further options for `pip install torch`, e.g. the index of CPU builds
#   PYTEST_OPTIONS="..."     further options for pytest

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
NOT_BY_DEFAULT := not slow and not gpu and not network and not slicer
PYTHON ?=
TORCH_OPTIONS ?=
PYTEST_OPTIONS ?=

.PHONY: help setup demo test lint bench
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	@found=""; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "No Python 3.11 or newer found. Install one, or say which: make setup PYTHON=/path/to/python3" >&2; \
	  exit 1; fi; \
	if ! $$found -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$found cannot make virtual environments: its modules venv and ensurepip are missing." >&2; \
	  echo "Install them (Debian, Ubuntu: apt install python3-venv), or choose another: make setup PYTHON=..." >&2; \
	  exit 1; fi; \
	echo "Making $(VENV) with $$found"; \
	rm -rf $(VENV); $$found -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# torch comes first and alone: no other package may choose its version.
$(VENV)/.torch-installed: constraints.txt | $(BIN)/python
	$(PIP_INSTALL) $(TORCH_OPTIONS) "$(TORCH)"
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch-installed
	$(PIP_INSTALL) -e ".[test,preview,mrml,widgets]"
	@touch $@

setup: $(VENV)/.installed

demo: setup
	$(BIN)/python -m FlareMRCore demo -o demo-output

test: setup
	$(BIN)/python -m pytest -q --durations=10 -m "$(NOT_BY_DEFAULT)" $(PYTEST_OPTIONS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: setup
	@set -e; for script in Testing/benchmarks/bench_*.py; do \
	  echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script"; done
