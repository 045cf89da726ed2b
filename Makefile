# Everything runs in environments that this file makes: .venv for the tap, the sandbox and the tools,
# .venv-meltano for Meltano, .meltano for the plugins that Meltano installs, .venv-bench for the benchmarks, .venv-audit for the audit, .venv-build
# for what is released, .venv-dagster for the example with Dagster, .venv-mutants for the mutants, .venv-newest for the
# newest singer-sdk, which is made again each time.
# They are made again when the lists in requirements/, or the Python, change.

PYTHON ?= python3
# One more than there are cores, since many tests wait for processes that they have started.
PYTEST_ARGS ?= -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

UV := $(shell command -v uv 2>/dev/null)
PYTHON_VERSION := $(shell $(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null)

VENV := .venv/.made-by-$(PYTHON_VERSION)
PACKAGES := .venv/.packages
MELTANO_VENV := .venv-meltano/.made-by-$(PYTHON_VERSION)
PLUGINS := .meltano/.plugins
BENCH := .venv-bench/.made-by-$(PYTHON_VERSION)
MUTANTS := .venv-mutants/.made-by-$(PYTHON_VERSION)
AUDIT := .venv-audit/.made-by-$(PYTHON_VERSION)
BUILD := .venv-build/.made-by-$(PYTHON_VERSION)
DAGSTER := .venv-dagster/.made-by-$(PYTHON_VERSION)

ifdef UV
make_venv = "$(UV)" venv --quiet --clear --no-project --python "$(PYTHON)" $(1)
pip_install = "$(UV)" pip install --quiet --python $(1)/bin/python
else
make_venv = $(PYTHON) -m venv --clear $(1)
pip_install = $(1)/bin/python -m pip install -qq --disable-pip-version-check --no-input
endif

.DEFAULT_GOAL := help
.PHONY: help install test torture crashes mutants coverage lint typecheck format demo bench pictures fuzz newest audit build lock clean python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: $(PACKAGES) $(PLUGINS) ## Make the environments: tap, sandbox, tools, Meltano and its plugins

test: lint typecheck $(PLUGINS) $(DAGSTER) ## Check style and types, run every test
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

torture: $(PACKAGES) ## Kill the tap a few thousand times and see that nothing is lost (TORTURE_ARGS="--rounds 100 --seed 7 --streams contacts,deals")
	@.venv/bin/python -m tests.torture $(TORTURE_ARGS)

crashes: $(PACKAGES) $(PLUGINS) ## Kill tap, targets, Meltano and PostgreSQL and compare the tables (CRASHES_ARGS="--rounds 30 --seed 7")
	@.venv/bin/python -m tests.pipelines.crashes $(CRASHES_ARGS)

mutants: $(MUTANTS) ## Break the tap's code, line by line, and see which tests notice (MUTANTS_ARGS="state.walk api.client --sample 20")
	@rm -rf .venv-mutants/checkout
	@mkdir .venv-mutants/checkout
	@cp -r LICENSE README.md pyproject.toml devtools docs sandbox tap_lev tests .venv-mutants/checkout
	@$(call pip_install,.venv-mutants) --no-deps --no-build-isolation -e .venv-mutants/checkout -e .venv-mutants/checkout/sandbox
	@cd .venv-mutants/checkout && ../bin/python -m tests.mutation $(MUTANTS_ARGS)

coverage: $(PACKAGES) $(PLUGINS) $(DAGSTER) ## Run every test and show the lines that none reaches
	@.venv/bin/coverage erase
	@.venv/bin/coverage run -m pytest $(PYTEST_ARGS)
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report

lint: $(PACKAGES) ## Check style, the layers, and the files for GitHub and Meltano
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet
	@$(call silently,lint-imports)
	@$(call silently,zizmor --offline --pedantic --strict-collection --quiet --no-progress .)
	@$(call valid,github-workflows,.github/workflows/*.yml)
	@$(call valid,github-issue-forms,$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml)))
	@$(call valid,github-issue-config,.github/ISSUE_TEMPLATE/config.yml)
	@$(call valid,dependabot,.github/dependabot.yml)
	@$(call valid,meltano,meltano.yml)

typecheck: $(PACKAGES) ## Check types
	@.venv/bin/mypy --no-error-summary

format: $(PACKAGES) ## Put the code into the project's style
	@.venv/bin/ruff check --fix --quiet
	@.venv/bin/ruff format --quiet

demo: $(PACKAGES) $(PLUGINS) ## Load a sandbox account into a PostgreSQL, change it, load again, show what landed
	@.venv/bin/python -m devtools.demo

bench: $(BENCH) ## Measure the tap beside others and write docs/performance.md (one part: BENCH_ARGS="--only rows")
	@.venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

pictures: $(BENCH) ## Run the tap and draw the pictures of a walk and of the budget in docs
	@.venv-bench/bin/python -m devtools.pictures

fuzz: $(PACKAGES) ## Try many more odd inputs and write docs/hostile-input.md (how many: FUZZ_ARGS="--examples 20000")
	@.venv/bin/python -m tests.hostile $(FUZZ_ARGS)

# First singer-sdk alone is upgraded, so that all else stays as pinned; then what it newly needs is added.
newest: python ## Run the tests on the newest singer-sdk, pre-releases too (needs the network)
	@$(call make_venv,.venv-newest)
	@$(call pip_install,.venv-newest) --no-deps -r requirements/dev.txt
	@$(pre) $(call pip_install,.venv-newest) --no-deps --upgrade singer-sdk
	@$(pre) $(call pip_install,.venv-newest) 'singer-sdk[msgspec]'
	@$(call pip_install,.venv-newest) --no-deps --no-build-isolation -e . -e sandbox
	@.venv-newest/bin/tap-lev --version
	@.venv-newest/bin/python -m pytest $(PYTEST_ARGS) --ignore tests/pipelines

audit: $(AUDIT) ## Look the pinned packages up among the known vulnerabilities (needs the network)
	@open=; for list in requirements/*.txt; do \
	  echo "$$list"; \
	  .venv-audit/bin/pip-audit --progress-spinner off --disable-pip --require-hashes --strict -r "$$list" || open="$$open $$list"; \
	done; \
	if [ "$$open" ]; then \
	  echo "Open:$$open" >&2; \
	  echo "Where a table stands above, its packages have a known vulnerability: pin newer ones with make lock UPGRADE='--upgrade-package NAME'." >&2; \
	  echo "Where an ERROR stands above, the list was not looked up to its end: there is no network, or the package index here tells no vulnerabilities." >&2; \
	  exit 1; \
	fi

build: $(BUILD) ## Make the two files of a release in dist/
	@rm -rf dist
	@.venv-build/bin/python -m hatchling build

lock: $(MELTANO_VENV) ## Pin the packages and the dependency groups of pyproject.toml (newest versions: make lock UPGRADE=--upgrade)
	@$(call compile,dev) --group dev pyproject.toml sandbox/pyproject.toml
	@$(call compile,tap) pyproject.toml --constraints requirements/dev.txt
	@$(call compile,bench) --group bench pyproject.toml sandbox/pyproject.toml --constraints requirements/dev.txt
	@$(call compile,mutants) --group mutants pyproject.toml sandbox/pyproject.toml --constraints requirements/dev.txt
	@$(call compile,build) --group build --constraints requirements/dev.txt
	@$(call compile,target-jsonl) --group target-jsonl --overrides requirements/target-jsonl.override
	@$(foreach group,audit dagster meltano target-postgres target-duckdb target-csv,$(call compile,$(group)) --group $(group) &&) true

clean: ## Remove the environments and everything made by running
	@rm -rf .venv .venv-meltano .venv-bench .venv-mutants .venv-audit .venv-build .venv-dagster .venv-newest .meltano .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage* build dist output
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Lets pre-releases in, whichever of pip and uv installs.
pre = PIP_PRE=1 UV_PRERELEASE=allow

# Neither of the two tools is silent when all is well.
silently = found=$$(.venv/bin/$(1) 2>&1) || { echo "$$found" >&2; exit 1; }
valid = $(call silently,check-jsonschema --builtin-schema vendor.$(1) $(2))

compile = .venv-meltano/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(UPGRADE) --output-file requirements/$(1).txt

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "tap-lev needs Python 3.11 or newer, but '$(PYTHON)' is $(or $(PYTHON_VERSION),not there): name one with make PYTHON=..." >&2; \
	  exit 1; }

$(VENV): requirements/dev.txt | python
	@echo "Making .venv with Python $(PYTHON_VERSION)"
	@$(call make_venv,.venv)
	@$(call pip_install,.venv) --no-deps -r requirements/dev.txt
	@touch $@

$(PACKAGES): $(VENV) pyproject.toml sandbox/pyproject.toml
	@$(call pip_install,.venv) --no-deps --no-build-isolation -e . -e sandbox
	@touch $@

$(MELTANO_VENV): requirements/meltano.txt | python
	@echo "Making .venv-meltano with Python $(PYTHON_VERSION)"
	@$(call make_venv,.venv-meltano)
	@$(call pip_install,.venv-meltano) --no-deps -r requirements/meltano.txt
	@touch $@

$(PLUGINS): $(MELTANO_VENV) pyproject.toml meltano.yml requirements/tap.txt $(wildcard requirements/target-*.txt)
	@echo "Installing Meltano's plugins"
	@mkdir -p .meltano
	@.venv-meltano/bin/meltano --log-level=warning install --clean > .meltano/install.log 2>&1 || { cat .meltano/install.log >&2; exit 1; }
	@touch $@

$(BENCH): requirements/bench.txt pyproject.toml sandbox/pyproject.toml | python
	@echo "Making .venv-bench with Python $(PYTHON_VERSION)"
	@$(call make_venv,.venv-bench)
	@$(call pip_install,.venv-bench) --no-deps -r requirements/bench.txt
	@$(call pip_install,.venv-bench) --no-deps --no-build-isolation -e . -e sandbox
	@touch $@

$(MUTANTS): requirements/mutants.txt | python
	@echo "Making .venv-mutants with Python $(PYTHON_VERSION)"
	@$(call make_venv,.venv-mutants)
	@$(call pip_install,.venv-mutants) --no-deps -r requirements/mutants.txt
	@touch $@

$(AUDIT): requirements/audit.txt | python
	@echo "Making .venv-audit with Python $(PYTHON_VERSION)"
	@$(call make_venv,.venv-audit)
	@$(call pip_install,.venv-audit) --no-deps -r requirements/audit.txt
	@touch $@

$(BUILD): requirements/build.txt | python
	@echo "Making .venv-build with Python $(PYTHON_VERSION)"
	@$(call make_venv,.venv-build)
	@$(call pip_install,.venv-build) --no-deps -r requirements/build.txt
	@touch $@

# By Meltano's uv, which is several times as fast as pip.
$(DAGSTER): requirements/dagster.txt $(MELTANO_VENV)
	@echo "Making .venv-dagster with Python $(PYTHON_VERSION)"
	@.venv-meltano/bin/uv venv --quiet --clear --no-project --python "$(PYTHON)" .venv-dagster
	@.venv-meltano/bin/uv pip install --quiet --python .venv-dagster/bin/python --no-deps -r requirements/dagster.txt
	@touch $@
