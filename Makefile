# Everything that is done by hand here. `make help` lists it. Needs Python 3.11 and nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
EMULATOR := .local/emulator
BENCH := .local/bench
AUDITORS := .local/auditors
SCORING := .local/scoring
RUN := $(VENV)/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench campaign-mutation campaign-clock campaign-fuzz campaign-kill campaign-archive campaign-erasure campaign-canaries campaign-kpis campaign-ledger campaign-money campaign-experiments campaign-properties scorecards auditors package lock clean

help:
	@echo "make run        the whole cloud on this machine, with a sample day; Ctrl-C stops it (ONCE=1 ends after the summary, PORT=8700)"
	@echo "make test       all tests"
	@echo "make check      format, lint, types, and which room may import which"
	@echo "make bench      measurements; the rules beside other rule engines, which live in an environment of their own"
	@echo "make campaign-kill   kill the local cloud five times during its day, and look whether anything was lost or sent twice"
	@echo "make campaign-mutation   change the law one thing at a time, and see that a vector tells (SAMPLE=500 SEED=1)"
	@echo "make campaign-clock  every zone and clock change of 2024-2030 against a second clock"
	@echo "make campaign-fuzz   a hundred thousand dossiers, good, bad and broken, through the rule command"
	@echo "make campaign-archive   let other people's tools verify made-up archives, flip every bit of one, and attack many (needs a Python 3.12; half an hour)"
	@echo "make campaign-erasure   erase 1,000 of 10,000 persons, and look what opens, what is found, and whether the archive still verifies"
	@echo "make campaign-kpis   twenty simulated months: every figure recomputed from the archive alone, and tied to the ledger (SEEDS=20)"
	@echo "make campaign-canaries   drive 1,000 persons through every route and error path, and look for their data everywhere"
	@echo "make campaign-experiments   live 5,000 made-up experiments with sixty looks each, and count the false alarms and what is found (RUNS=1000 SEED=1)"
	@echo "make campaign-properties   the properties over other examples than make test has, new ones each time"
	@echo "make campaign-ledger   book the same payments, reversals and pauses in 100,000 random orders, against a plain count by day (ORDERS=1000 SEED=1)"
	@echo "make campaign-money   book a million random operations on made-up cases, and see every account balance (OPERATIONS=1000 SEED=1)"
	@echo "make scorecards   fit the scorecards on the generated panel and measure them (CHECK=1 says whether those that ship are what comes out)"
	@echo "make package    what goes to AWS: template and zip (docs/running-in-aws.md)"
	@echo "make setup      both environments from their lock files; every target does this first"
	@echo "make lock       new lock files from requirements*.in"
	@echo "make clean      forget the local cloud's state, built packages and caches; environments stay"

# An environment is made anew when the lock file that it was made from differs from the one that is here.
setup:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed; set PYTHON=/path/to/python3.11")'
	@cmp -s requirements-dev.txt $(VENV)/made-from.txt || { \
	  echo "Making the environment for the service and its tests (a minute or two)"; \
	  $(PYTHON) -m venv --clear $(VENV) && \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt && \
	  cp requirements-dev.txt $(VENV)/made-from.txt; }
	@cmp -s requirements-emulator.txt $(EMULATOR)/made-from.txt || { \
	  echo "Making the environment for the emulator of AWS"; \
	  $(PYTHON) -m venv --clear $(EMULATOR) && \
	  $(EMULATOR)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-emulator.txt && \
	  cp requirements-emulator.txt $(EMULATOR)/made-from.txt; }

run: setup
	@$(RUN) scripts.run $(if $(PORT),--port $(PORT)) $(if $(SEED),--seed $(SEED))

test: setup
	@$(RUN) pytest -n auto --maxprocesses 4

check: setup
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy app.py chalicelib scripts
	@$(RUN) pytest tests/test_house_arrows.py

bench: setup
	@cmp -s requirements-bench.txt $(BENCH)/made-from.txt || { \
	  echo "Making the environment for the engines that the rules are measured beside"; \
	  $(PYTHON) -m venv --clear $(BENCH) && \
	  $(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt && \
	  cp requirements-bench.txt $(BENCH)/made-from.txt; }
	@for module in $(basename $(notdir $(wildcard scripts/bench*.py))); do echo "== $$module"; $(RUN) scripts.$$module || exit 1; done

campaign-kill: setup
	@$(RUN) scripts.campaign_kill

campaign-mutation: setup
	@$(RUN) scripts.campaign_mutation $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

campaign-clock: setup
	@$(RUN) scripts.clock_oracle

campaign-fuzz: setup
	@$(RUN) scripts.campaign_fuzz

# The tools of others need a younger Python than the service, so they have an environment of their own.
campaign-archive: setup auditors
	@$(RUN) scripts.campaign_archive

auditors:
	@cmp -s requirements-auditors.txt $(AUDITORS)/made-from.txt || { \
	  echo "Making the environment for other people's verifiers"; \
	  for each in "$(AUDITOR_PYTHON)" python3.14 python3.13 python3.12 $$HOME/.pyenv/versions/3.1[2-9]*/bin/python; do \
	    "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && found="$$each" && break; done; \
	  [ -n "$$found" ] || { echo "Python 3.12 or later is needed for them; set AUDITOR_PYTHON=/path/to/python3.12"; exit 1; }; \
	  "$$found" -m venv --clear $(AUDITORS) && \
	  $(AUDITORS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-auditors.txt && \
	  cp requirements-auditors.txt $(AUDITORS)/made-from.txt; }

campaign-erasure: setup
	@PERSONS=10000 $(RUN) pytest tests/flows/test_erasure_campaign.py -q -n auto --maxprocesses 4

campaign-kpis: setup
	@$(RUN) scripts.campaign_kpis $(if $(SEEDS),--seeds $(SEEDS))

campaign-canaries: setup
	@CANARIES=1000 $(RUN) pytest tests/flows/test_canaries.py -q -n auto --maxprocesses 4

campaign-experiments: setup
	@$(RUN) scripts.campaign_experiments $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

campaign-properties: setup
	@$(RUN) pytest -m hypothesis --hypothesis-profile drawn -n auto --maxprocesses 4

campaign-ledger: setup
	@$(RUN) scripts.campaign_ledger $(if $(ORDERS),--orders $(ORDERS)) $(if $(SEED),--seed $(SEED))

campaign-money: setup
	@$(RUN) scripts.campaign_money $(if $(OPERATIONS),--operations $(OPERATIONS)) $(if $(SEED),--seed $(SEED))

scorecards: setup
	@cmp -s requirements-scoring.txt $(SCORING)/made-from.txt || { \
	  echo "Making the environment in which scorecards are fitted"; \
	  $(PYTHON) -m venv --clear $(SCORING) && \
	  $(SCORING)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-scoring.txt && \
	  cp requirements-scoring.txt $(SCORING)/made-from.txt; }
	@$(SCORING)/bin/python -m scripts.fit_scorecard $(if $(CHECK),--check)

package: setup
	@$(RUN) scripts.package --stage aws

lock: setup
	$(VENV)/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 requirements.in -o requirements.txt
	$(VENV)/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	$(VENV)/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 requirements-emulator.in -o requirements-emulator.txt
	$(VENV)/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 requirements-bench.in -o requirements-bench.txt
	$(VENV)/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 requirements-scoring.in -o requirements-scoring.txt
	$(VENV)/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.12 requirements-auditors.in -o requirements-auditors.txt

clean:
	rm -rf .local/cloud .local/build .local/issuer .local/outbox.jsonl .local/day.json var
	rm -rf .mypy_cache .ruff_cache .hypothesis
	find app.py chalicelib scripts tests -name __pycache__ -prune -exec rm -rf {} +
