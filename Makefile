# Two commands for a fresh machine: `make run` and `make test`. `make help` lists the others.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Installed dependencies, named by what they were installed from.
INSTALLED := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)

# What developers need beside the package: test and lint tools, the docs site, and what builds the package in place.
GROUPS := --group test --group lint --group docs --group build

# The peers of `make bench-peers`: an environment of their own, because they do not share all our versions.
PEERS := .venv-peers
PEERS_REQUIREMENTS := fruit_assets_tests/benchmarks/peers/requirements
PEERS_INSTALLED := $(PEERS)/.installed-$(shell sha256sum $(PEERS_REQUIREMENTS).txt 2>/dev/null | cut -c1-16)

# Runs of `make run` show up in `make dev`; an instance of your own is respected.
export DAGSTER_HOME ?= $(CURDIR)/.dagster
# Real photographs and weights for the tests, when they lie beside the project.
export FRUIT_ASSETS_TEST_DATA ?= $(wildcard $(CURDIR)/../shared/data)

.PHONY: help run test test-fast dev lint docs format bench bench-peers screenshots lock setup clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: dotenv setup java $(DAGSTER_HOME)/dagster.yaml ## Set up, render demo images, materialise the whole graph, say what was made
	@FRUIT_ASSETS_WEIGHTS=$${FRUIT_ASSETS_WEIGHTS:-auto} .ci/demo-run

test: setup java test-system ## Set up and pass all tests; shows the slowest
	@$(BIN)/pytest --durations=40 --durations-min=5

test-fast: setup ## Pass the tests that start no JVM, browser, Maven or server
	@JAVA_HOME=/nonexistent $(BIN)/pytest -m 'not programs'

dev: dotenv setup java $(DAGSTER_HOME)/dagster.yaml ## Open Dagit on http://localhost:3000
	@PATH="$(CURDIR)/$(BIN):$$PATH" FRUIT_ASSETS_WEIGHTS=$${FRUIT_ASSETS_WEIGHTS:-auto} $(BIN)/dagster dev -w workspace.yaml

lint: setup ## Check formatting, lint, types and the direction of imports
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

docs: setup ## Build the docs site into site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: setup ## Format and fix what can be fixed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: setup java ## Run the benchmarks, small; BENCH=--full for all sizes, BENCH="startup scale" for some
	@$(BIN)/python -m fruit_assets_tests.benchmarks $(BENCH)

bench-peers: setup java $(PEERS_INSTALLED) ## Compare with Ray Data, Daft, Spark, ONNX Runtime and plain Python, for hours; BENCH="--images 1000" for less
	@$(BIN)/python -m fruit_assets_tests.benchmarks.against_peers $(BENCH)

screenshots: setup java test-system ## Renew the README's pictures from a real browser
	@UPDATE_SCREENSHOTS=docs $(BIN)/pytest fruit_assets_tests/browser

lock: setup ## Resolve the dependencies again
	@$(UV) pip compile pyproject.toml --upgrade --all-extras $(GROUPS) --generate-hashes --no-emit-index-url --universal \
		--python-version 3.11 -o requirements.lock -q
	@$(BIN)/python -m fruit_assets.infra.node_requirements
	@sed -nE '/^(pyarrow|tqdm)==/d; s/^([a-z0-9._-]+==[^\]*[^\ ]) *\\?$$/\1/p' requirements.lock \
		| $(UV) pip compile $(PEERS_REQUIREMENTS).in --constraints /dev/stdin --upgrade --generate-hashes --no-emit-index-url \
		--no-annotate --universal --python-version 3.11 --custom-compile-command "make lock" -o $(PEERS_REQUIREMENTS).txt -q

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed (Debian 12: apt-get install python3.11-venv), or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# uv comes from the lock as well, by its hash; it installs the rest in seconds.
	@awk '/^[^ #]/ {wanted = /^uv==/} wanted' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	@# Where PYTHONDONTWRITEBYTECODE is set, as in many images, each process would compile TensorFlow again (4 s).
	@$(UV) pip sync --quiet $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installed-* && touch $@

$(PEERS_INSTALLED): $(PEERS_REQUIREMENTS).txt | setup
	@$(UV) venv --quiet --clear --python $(BIN)/python $(PEERS)
	@$(UV) pip sync --quiet --python $(PEERS)/bin/python --require-hashes $(PEERS_REQUIREMENTS).txt
	@touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(dir $@) && cp $< $@

# Dagster reads this file before it loads the project, and ends with a traceback when it cannot.
.PHONY: dotenv
dotenv:
	@test ! -e .env || iconv -f UTF-8 -t UTF-8 .env >/dev/null 2>&1 || { echo "$(CURDIR)/.env is not UTF-8 text: save it in UTF-8."; exit 1; }

# Debian packages, only where they are missing.
.PHONY: java test-system
java:
	@.ci/install-system java

test-system:
	@.ci/install-system java mvn chromium postgres

clean: ## Remove everything that can be rebuilt
	@rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis test-artefacts
