# Needs Python 3.11 or newer with venv, and make. Nothing else: everything the targets use is installed into .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install demo test bench check format clean
.DELETE_ON_ERROR:

install: $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Sendgate needs Python 3.11 or newer; set PYTHON=/path/to/python3.11 and run make again." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing; install it (Debian: apt-get install python3-venv) and run make again." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Sendgate and what it needs into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-for-tests: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Sendgate, what it needs and its test tools into $(VENV) ..."
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-for-demo

$(VENV)/.installed-for-demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Sendgate, what it needs and the demo's clock into $(VENV) ..."
	@$(PIP) --editable '.[demo]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed-for-demo
	@$(BIN)/python -m examples.demo

test: $(VENV)/.installed-for-tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.installed-for-tests
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

check: $(VENV)/.installed-for-tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.installed-for-tests
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Also the data of the local stack in .sendgate: its messages, contacts and mailbox.
clean:
	rm -rf $(VENV) .sendgate .mypy_cache .ruff_cache .pytest_cache .hypothesis
