# Two commands: `make demo` for a first look, `make test` for everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := export engines runtime tests benchmarks examples
NATIVE = $(shell git ls-files -co --exclude-standard 'runtime/native/*.cpp' 'runtime/native/*.hpp')

.PHONY: demo test lint install-base install-dev default-model clean

demo: install-base
	$(BIN)/python examples/demo.py --output demo-output

test: lint
	$(BIN)/python -m pytest

lint: install-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)

install-base: $(BIN)/python
	$(BIN)/python -m pip install --quiet .

# Warnings are errors here and only here: a user's newer compiler may know new ones.
install-dev: $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -C cmake.define.CCA_WERROR=ON ".[dev,export]"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Makes the shipped model anew from its checkpoint; commit the result.
default-model: install-dev
	$(BIN)/cca-export --ckpt tests/data/checkpoints/cca-small.pth --name default \
		--output runtime/cca_runtime/models/default --overwrite

clean:
	rm -rf $(VENV) build dist demo-output
