PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test lint clean

$(VENV)/.test-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[test]"
	touch $@

test: $(VENV)/.test-stamp
	$(BIN)/pytest

lint: $(VENV)/.test-stamp
	$(BIN)/ruff check miniagents tests examples
	$(BIN)/ruff format --check miniagents tests examples
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
