# The project's verbs. `make run` and `make test` need Python 3.11 to 3.13 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
ON_EVERY_CORE := --numprocesses logical --dist loadscope --no-loadscope-reorder

.PHONY: setup setup-dev run test lint types layers debian-packages coverage bench soak mutants docs lock sbom audit clean

setup: $(VENV)/.users  ## install what `make run` needs
setup-dev: $(VENV)/.developers  ## install what `make test` needs beside it

$(VENV)/.installers: requirements/install.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/install.txt
	touch $@

$(VENV)/.users: $(VENV)/.installers requirements/users.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements/users.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.developers: $(VENV)/.users requirements/developers.txt
	$(INSTALL) --require-hashes -r requirements/developers.txt
	touch $@

run: setup  ## start everything on this machine
	$(BIN)/reportgen up

lint: types layers  ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy
	$(BIN)/mypy docs

layers: setup-dev
	$(BIN)/lint-imports

debian-packages:
	tests/install-debian-packages

test: setup-dev  ## everything that CI runs
	$(MAKE) --jobs 2 lint debian-packages
	$(BIN)/python -m pytest $(ON_EVERY_CORE)

coverage: setup-dev  ## what the tests without servers reach of the code; takes twice as long as they do
	$(BIN)/python -m pytest $(ON_EVERY_CORE) --ignore tests/e2e --cov --cov-report=term:skip-covered --cov-report=html --cov-fail-under=85

bench: setup-dev  ## ratios against hand-written peers
	$(BIN)/python -m tests.bench $(BENCH)

soak: setup-dev debian-packages  ## the rigs that CI has no time for: thousands of questions, cut uploads, races, outages; over an hour
	$(BIN)/python -m tests.soak

mutants: setup-dev  ## change the gate of expressions in small ways; tests must notice 90 % of them
	rm -rf mutants && mkdir mutants
	$(BIN)/mutmut run --max-children 2 >mutants/log 2>&1 || { tail -n 40 mutants/log; exit 1; }
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/mutmut results
	$(BIN)/python -m tests.mutants

docs: setup-dev  ## write the generated pages
	$(BIN)/python docs/build.py

lock: setup-dev  ## compile the lock files anew
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header -o requirements/users.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --extra telemetry --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header -o requirements/developers.txt
	$(BIN)/uv pip compile --group install --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header -o requirements/install.txt

sbom: setup-dev  ## write what an installation is made of to dist/reportgen.cdx.json
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements/users.txt --pyproject pyproject.toml --output-reproducible -o dist/reportgen.cdx.json

audit: setup-dev  ## ask whether a locked package has a known weakness; needs the network
	$(BIN)/uv tool run pip-audit --disable-pip --require-hashes --requirement requirements/users.txt

clean:  ## remove what the verbs made, but not .reportgen
	rm -rf $(VENV) htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .bench mutants dist
