# Two commands are all a newcomer needs: `make demo` and `make test`.
SHELL := /bin/bash
PY := .venv/bin/python
PYTEST_ARGS ?=
LOCK_ARGS ?=
ENV_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help env demo up down status test nightly lint lock

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 18

env: ## make .venv from the pinned lock
	@command -v python3 >/dev/null || { echo "make env: python3 is missing. Install it: apt-get install python3 python3-venv"; exit 1; }
	@python3 tools/setup_env.py $(ENV_ARGS)

demo: env ## the whole job once: train, score and register the demo under a real Airflow (about 10 minutes)
	@$(PY) -m skillsengine demo

up: env ## start the embedded Airflow and leave it running
	@$(PY) -m skillsengine up

down: ## stop the embedded Airflow
	@test -x $(PY) || { echo "nothing to stop: there is no .venv"; exit 0; }; $(PY) -m skillsengine down

status: ## is the embedded Airflow running, and where
	@test -x $(PY) || { echo "not running: there is no .venv"; exit 0; }; $(PY) -m skillsengine status

# Slow suites (the real base, a real browser) carry the mark `nightly`: .ci/nightly runs them.
# Three at a time on two cores: a third of the time they wait, for disks, servers and Airflow.
test: env ## all but the nightly tests
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest -m "not nightly" -n 3 $(PYTEST_ARGS)

nightly: env ## the slow suites
	@OMP_NUM_THREADS=2 $(PY) -m pytest -m nightly $(PYTEST_ARGS)

lint: env ## style, types, the import contract and the Dockerfile
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports \
		&& .venv/bin/hadolint Dockerfile

# Not after `env`: an edited pyproject.toml and its old lock do not agree.
lock: ## write locks/ anew from pyproject.toml, for all Pythons
	@$(PY) tools/lock.py $(LOCK_ARGS)
