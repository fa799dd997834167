# Every target works on a fresh clone: what it needs is installed into .venv first.
#
#   make demo         sample a small zoo, dissect it, write one HTML page
#   make test         lint, types, the order of the rooms, and the tests that take seconds
#   make test-slow    the tests that take minutes
#   make docs         the documentation as a site
#
# PYTHON chooses the interpreter that makes .venv, ARGS goes to the command:
#   make demo PYTHON=python3.12 ARGS="--nets 100 --out my-demo"

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# What an installed environment was made of: the pins, and the native libraries' sources.
BUILT := pyproject.toml constraints.txt setup.py src/weightspace/native.h \
	$(wildcard src/weightspace/*/native/*.[ch]*)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: demo test test-slow lint docs clean

demo: .venv/.installed
	$(BIN)/weightspace demo $(ARGS)

test: lint
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile \
		--no-loadscope-reorder $(ARGS)

test-slow: .venv/.installed-dev
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: .venv/.installed-docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp says that .venv was made to its end. Where there is none, what lies there is missing or
# half made, and is made anew; where it is older than the pins, pip brings .venv up to date. No
# stamp stands while pip works, so that an interrupted install is never taken for a finished one.
define prepare
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"weightspace needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + \
	"; name another: make PYTHON=python3.12")'
@if [ ! -e .venv/.installed ]; then echo "making .venv (some minutes, once)"; \
	$(PYTHON) -m venv --clear .venv; fi
@rm -f .venv/.installed*
endef

.venv/.installed: $(BUILT)
	$(prepare)
	$(PIP) -e .
	@touch .venv/.installed

.venv/.installed-dev: $(BUILT)
	$(prepare)
	$(PIP) -e ".[dev]"
	@touch .venv/.installed .venv/.installed-dev

.venv/.installed-docs: $(BUILT)
	$(prepare)
	$(PIP) -e ".[docs]"
	@touch .venv/.installed .venv/.installed-docs
