# Everything one does here. `make` alone lists it; each target sets up what it needs, on a fresh machine too.
#
# Variables (`make chat PORT=9000`):
#   HOST, PORT   where `make chat` listens
#   ARGS         more arguments for pytest: `make test ARGS="-k mailbox -x"`, or for the script of the target
#   VENV         the virtual environment to make and use
#   PYTHON       the interpreter to make it of; otherwise tools/find-python chooses

HOST ?= 127.0.0.1
PORT ?= 8000
VENV ?= .venv
ARGS ?=

SHELL := bash
.DEFAULT_GOAL := help
# The stages of `make test` come one after the other, whatever MAKEFLAGS says: the first that fails is the last shown.
.NOTPARALLEL:
# A recipe that fails must not leave its stamp behind.
.DELETE_ON_ERROR:

bin := $(abspath $(VENV))/bin
runtime := $(VENV)/.installed-runtime
dev := $(VENV)/.installed-dev
sources := src tests examples benchmarks interop docs tools

.PHONY: help chat test pytest lint style types imports format docs test-matrix bench bench-quick profile interop audit system clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

chat: $(runtime) ## Run the example chat on http://127.0.0.1:8000/ (HOST=, PORT=)
	@cd examples/chat && \
	$(bin)/python manage.py migrate --no-input --verbosity 0 && \
	$(bin)/python manage.py demo && \
	exec $(bin)/python -m fairway --workers 2 --bind $(HOST) --port $(PORT) config.asgi:application

test: lint docs pytest ## Check everything: lint, types, imports, docs, then all the tests (ARGS= for pytest)

pytest: $(dev) system
	@echo "== tests: pytest"
	@$(bin)/python -m pytest $(ARGS)

lint: style types imports ## Check style (ruff), types (mypy --strict) and the direction of imports

style: $(dev)
	@echo "== style: ruff check, ruff format"
	@$(bin)/ruff check --quiet $(sources)
	@$(bin)/ruff format --quiet --check $(sources) || { echo 'Run "make format".' >&2; exit 1; }

types: $(dev)
	@echo "== types: mypy --strict"
	@$(bin)/mypy
	@cd examples/chat && $(bin)/mypy

imports: $(dev)
	@echo "== imports: import-linter"
	@$(bin)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log >&2; exit 1; }

format: $(dev) ## Format the code and apply the safe fixes of ruff
	@$(bin)/ruff check --quiet --fix-only $(sources)
	@$(bin)/ruff format $(sources)

docs: $(dev) ## Build the documentation into docs/_build/html; a warning is an error
	@echo "== docs: sphinx"
	@$(bin)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -b html docs docs/_build/html
	@echo "   docs/_build/html/index.html"

test-matrix: ## Run the tests on every supported Python and Django that this machine offers
	@"$$(tools/find-python)" tools/matrix.py $(ARGS)

bench: $(runtime) ## Measure Fairway beside its peers, in one run (ARGS=all: all of it; ARGS=--help tells more)
	@tools/system-packages nghttp2 redis || echo "What needs these is left out."
	@$(bin)/python benchmarks/run.py $(ARGS)

bench-quick: $(runtime) ## Count the instructions of the hot paths beside the stored baseline (ARGS="echo group", ARGS=--help)
	@tools/system-packages valgrind
	@$(bin)/python benchmarks/count.py $(ARGS)

profile: $(runtime) ## Show where the time goes in a scenario: a table and a flame graph (ARGS="group", ARGS=--help)
	@$(bin)/python benchmarks/flame.py $(ARGS)

audit: $(dev) ## Ask whether what Fairway requires has known vulnerabilities (ARGS=--strict: no answer is an error)
	@echo "== audit: pip-audit"
	@[ -x .venv-audit/bin/pip-audit ] || { $(bin)/python -m venv --clear .venv-audit && .venv-audit/bin/pip install -qq pip-audit; } \
	|| echo "pip-audit cannot be installed."
	@$(bin)/python tools/audit.py .venv-audit/bin/pip-audit $(ARGS)

interop: $(runtime) ## Prove on the real packages that Fairway works with them (ARGS="-k daphne", ARGS=--help)
	@tools/system-packages redis postgresql nginx
	@$(bin)/python interop/prove.py $(ARGS)

system:
	@tools/system-packages chromium redis
	@tools/system-packages caddy curl haproxy nginx || echo "Tests that need these are left out."

clean: ## Remove the virtual environments and everything built
	@rm -rf $(VENV) .venv-matrix .venv-audit docs/_build build dist .mypy_cache examples/chat/.mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps: installed again only when pyproject.toml is newer. The tools include what the example needs.
$(runtime): pyproject.toml
	@tools/install $(VENV)
	@touch $@

$(dev): pyproject.toml
	@tools/install $(VENV) dev
	@touch $@ $(runtime)
