# The user's and the developer's commands. A fresh clone needs Python 3.11 and a C compiler, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNNING := .venv/.installed
TESTING := .venv/.installed-with-tests
FIGURES := $(filter-out bench/record.py bench/readme.py,$(wildcard bench/*.py))
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8

.PHONY: demo test check bench docs clean

demo: $(RUNNING)  ## train, quantize, verify, export and report a digits network: out/demo
	$(BIN)/arithmos demo -o out/demo --force

test: $(TESTING)  ## every test, the fast ones first
	$(PYTEST)

check: $(TESTING)  ## what a change must pass: format, lint, types, layers, house rules, the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST) -m "not slow"

bench: $(TESTING)  ## measure every figure into bench/results, then renew the README's tables
	set -e; for figure in $(FIGURES); do echo "== $$figure"; $(BIN)/python $$figure; done
	$(BIN)/python bench/readme.py

docs: $(TESTING)  ## the README's tables from bench/results, and every example of the documents executed
	$(BIN)/python bench/readme.py
	$(BIN)/python -m pytest tests/test_documents.py

clean:  ## everything that was made here, except the virtual environment
	rm -rf .cache out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Installed once, and again when the requirements change.
$(RUNNING): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, some minutes the first time"
	$(BIN)/python -m pip install --quiet -e '.[torch,onnx,report,data]' -c constraints.txt
	touch $@

$(TESTING): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, some minutes the first time"
	$(BIN)/python -m pip install --quiet -e '.[all,groth16,dev,bench]' -c constraints.txt
	touch $@ $(RUNNING)

$(BIN)/python:
	$(PYTHON) -m venv .venv
