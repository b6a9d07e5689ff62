# Forbear. `make run` lives a sample day on a cloud of its own; `make test` proves that all of it holds.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
EMULATOR := .local/emulator
RUN := $(VENV)/bin/python

.PHONY: help setup run test check bench clean lock package
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.made $(EMULATOR)/.made ## make both environments (only what changed)

$(VENV)/.made: requirements.txt requirements-dev.txt
	@echo "Making the environment in $(VENV) (about a minute)"
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check 'pip<26.3'
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(EMULATOR)/.made: requirements-emulator.txt
	@echo "Making the emulator's environment in $(EMULATOR) (about twenty seconds)"
	@mkdir -p .local
	@$(PYTHON) -m venv --clear $(EMULATOR)
	@$(EMULATOR)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-emulator.txt
	@touch $@

run: setup ## run the whole cloud here and live a sample day (ONCE=1 ends after the summary)
	@$(RUN) -m scripts.run $(if $(ONCE),--once)

test: setup ## run every test
	@$(RUN) -m pytest

check: setup ## format, lint, types, import arrows
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy chalicelib scripts
	@$(RUN) -m pytest tests/test_house_arrows.py

bench: setup ## measure, each figure beside a baseline of the same run
	@$(RUN) -m scripts.bench

package: setup ## build what is deployed to AWS
	@$(RUN) -m scripts.package --stage aws

lock: setup ## write the requirement files anew from the .in files
	@for name in requirements requirements-dev requirements-emulator; do \
	  $(VENV)/bin/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet $$name.in -o $$name.txt; done

clean: ## forget all state of the local cloud and everything that was written
	@rm -rf .local/cloud .local/build var
