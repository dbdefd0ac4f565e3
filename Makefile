# make demo     everything running, with a real Label Studio and a pre-annotated project (CHECK=1: verify it, stop, exit 0 or 1)
# make test     everything checked              make check   style, types, import arrows
# make bench    the measurements                make setup   the two environments alone
# make test-remote   the engine remote with a real server (compiled once: C++ compiler, cmake, ten minutes; RECORD=1: also
#                    writes down what it answers, for the tests that replay it)
#
# Needs Python 3.11 or 3.12 (3.13 too where a C compiler is; PYTHON=... names one) and a package index; no root, no Docker.
# Other settings: VENV=, LABEL_STUDIO_VENV=, TORCH=torch==2.13.0 (the build with CUDA), TESTS="tests/studio -k relation",
# JOBS=1 (tests that run side by side; each takes a core and 2 GB).

VENV ?= .venv
LABEL_STUDIO_VENV ?= .venv-label-studio
TORCH ?=
CHECK ?=
REMOTE_VENV ?= .venv-remote
RECORD ?=
TESTS ?=
JOBS ?= 2

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)

export LABELLOOP_LABEL_STUDIO_BIN := $(abspath $(LABEL_STUDIO_VENV))/bin/label-studio
# Packages are compiled at their first import; that must stay in the environment, or every start would pay for it again.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(abspath $(VENV))/bin

.PHONY: demo test test-remote check bench setup clean
.DEFAULT_GOAL := demo

demo: setup
	@exec $(BIN)/labelloop demo $(if $(filter-out 0,$(CHECK)),--check)

test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(TESTS)

test-remote: setup
	@$(BIN)/python scripts/remote_server.py --venv "$(REMOTE_VENV)" $(if $(filter-out 0,$(RECORD)),--record) $(TESTS)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_arrows.py

bench: setup
	@for script in benchmarks/*.py; do echo "$$script"; $(BIN)/python $$script || exit 1; done

setup:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with the modules venv and ensurepip was found." \
		"Install one (Debian, Ubuntu: apt-get install python3-venv), or name it: make PYTHON=/path/to/python3.12"; exit 5; }
	@"$(PYTHON)" scripts/setup.py --venv "$(VENV)" --label-studio "$(LABEL_STUDIO_VENV)" --torch "$(TORCH)"

clean:
	rm -rf "$(VENV)" "$(LABEL_STUDIO_VENV)" "$(REMOTE_VENV)" .demo
