# Two commands: `make demo` for a first look, `make test` for everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := console core export engines runtime tests benchmarks examples
NATIVE = $(shell git ls-files -co --exclude-standard '*.cpp' '*.hpp' '*.[ch]')
# The core and its tests, without Python.
CONFIGURE := cmake -S . -DCCA_PYTHON=OFF -DCCA_TESTS=ON -DCCA_WERROR=ON
JOBS := $(shell nproc)

ATTACK_SECONDS ?= 3600
FUZZ_SECONDS ?= 60
FUZZ_CXX ?= $(firstword $(wildcard /usr/bin/clang++ /usr/bin/clang++-*))

.PHONY: demo test test-native test-arm test-32 tsan coverage fuzz attack lint install-base install-dev install-system \
	example-cpp default-model clean

demo: install-base
	$(BIN)/python examples/demo.py --output demo-output

test: lint test-native
	$(BIN)/python -m pytest

test-native:
	$(CONFIGURE) -B build/native
	cmake --build build/native --parallel $(JOBS)
	ctest --test-dir build/native --output-on-failure

# The same for AArch64 in an emulator; needs Debian's g++-aarch64-linux-gnu and qemu-user.
test-arm:
	$(CONFIGURE) -B build/arm -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
		-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
		"-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu"
	cmake --build build/arm --parallel $(JOBS)
	ctest --test-dir build/arm --output-on-failure

# The same for 32 bits, which must give the same bytes; needs Debian's g++-arm-linux-gnueabihf and qemu-user.
test-32:
	$(CONFIGURE) -B build/arm32 -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=armv7l \
		-DCMAKE_C_COMPILER=arm-linux-gnueabihf-gcc -DCMAKE_CXX_COMPILER=arm-linux-gnueabihf-g++ \
		"-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-arm;-L;/usr/arm-linux-gnueabihf"
	cmake --build build/arm32 --parallel $(JOBS)
	ctest --test-dir build/arm32 --output-on-failure

# The tests with threads under ThreadSanitizer.
tsan:
	$(CONFIGURE) -B build/tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS=-fsanitize=thread
	cmake --build build/tsan --parallel $(JOBS) --target cca_tests
	build/tsan/core/tests/cca_tests --test-case='*threads*'

# The share of the core's lines that its own tests run, and the lines they do not.
coverage:
	$(CONFIGURE) -B build/coverage -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=--coverage
	cmake --build build/coverage --parallel $(JOBS)
	find build/coverage -name '*.gcda' -delete
	ctest --test-dir build/coverage --output-on-failure
	$(PYTHON) core/tests/coverage.py build/coverage

# Each fuzz target for a minute; FUZZ_SECONDS=3600 for an hour, FUZZ_TARGETS="decode" for one alone.
fuzz:
	CXX=$(FUZZ_CXX) core/fuzz/fuzz.sh build/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# Hostile pictures, streams and bundles (tests/attacks) for an hour; ATTACK_KINDS="streams" for one kind alone.
attack: install-dev
	mkdir -p build
	cd tests && $(abspath $(BIN))/python -m attacks.campaign --seconds $(ATTACK_SECONDS) \
		$(if $(ATTACK_KINDS),--kind $(ATTACK_KINDS)) --findings ../build/attacks.txt

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

# The Debian packages that are missing, if this may install them.
install-system:
	@missing=$$(for package in $$(grep -v '^#' packages.txt); do \
		dpkg -s $$package >/dev/null 2>&1 || echo $$package; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ $$(id -u) != 0 ]; then \
		echo "missing packages:" $$missing "(run make install-system as root)"; exit 1; fi; \
	apt-get update && apt-get install --yes --no-install-recommends $$missing

# Installs the package as a user does, and builds examples/cpp against that and nothing else.
example-cpp:
	rm -rf build/example-cpp
	$(PYTHON) -m venv build/example-cpp/venv
	build/example-cpp/venv/bin/python -m pip install --quiet -c constraints.txt ".[openvino]"
	examples/cpp/check.sh build/example-cpp/venv/bin/python build/example-cpp

# Makes the shipped model anew from its checkpoint; commit the result.
default-model: install-dev
	$(BIN)/cca-export --ckpt examples/training/default.pth --name default \
		--output runtime/cca_runtime/models/default --overwrite

clean:
	rm -rf $(VENV) build dist demo-output
