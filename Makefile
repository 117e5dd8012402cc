# `make` tells what there is. Everything is installed into .venv, hashes checked; nothing is installed twice.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.PHONY: help run test test-ceph check format bench bench-quick lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1 | \2/' | column -t -s '|'

run: .venv/.server ## the gateway with an S3 server of its own, on http://127.0.0.1:8000 (ARGS="--port 8123")
	@exec $(BIN)/gateway dev $(ARGS)

test: .venv/.dev ## all tests but those over Ceph, with real servers, clients and browser, and coverage (ARGS="tests/s3 -k name")
	@.ci/need nginx=nginx-light chromium=chromium wrk=wrk openssl=openssl curl=curl node=nodejs npm=npm \
		git=git git-lfs=git-lfs /usr/share/fonts=fonts-dejavu-core \
		clamd=clamav-daemon redis-server=redis-server /usr/share/misc/magic.mgc=libmagic1
	@tests/protocols/install
	@$(BIN)/pytest -n $(WORKERS) --ignore=tests/ceph $(if $(ARGS),$(ARGS),--cov --cov-report=term-missing:skip-covered)

test-ceph: .venv/.dev ## the tests that run over Ceph as well (ARGS="-k name")
	@.ci/need ceph=ceph-common ceph-mon=ceph-mon ceph-osd=ceph-osd radosgw=radosgw \
		chromium=chromium node=nodejs npm=npm git=git git-lfs=git-lfs /usr/share/fonts=fonts-dejavu-core
	@tests/protocols/install
	@$(BIN)/pytest tests/ceph -n $(WORKERS) $(ARGS)

check: .venv/.dev ## format, lint, types, CloudFormation
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/cfn-lint infra/*.yaml --ignore-templates infra/compose.yaml
	@echo "check: clean"

format: .venv/.dev ## put the code into its form
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

bench: .venv/.dev ## the benchmark table, with its peers, into build/bench.json
	@.ci/need wrk=wrk node=nodejs npm=npm
	@$(BIN)/python -m tests.bench $(ARGS)

bench-quick: .venv/.dev ## the benchmark in 90 s, without npm
	@.ci/need wrk=wrk
	@$(BIN)/python -m tests.bench --quick $(ARGS)

lock: .venv/.uv ## pin what pyproject.toml asks for (UPGRADE=1: the newest of it)
	@$(COMPILE) pyproject.toml --extra server --extra magic --extra redis --group check --group test -o requirements/dev.lock
	@$(COMPILE) pyproject.toml --extra server --extra magic --extra redis --constraints requirements/dev.lock -o requirements/server.lock
	@$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.lock
	@$(COMPILE) gateway/cli/ministack.in -o gateway/cli/ministack.lock
	@$(COMPILE) localstack/requirements.in -o localstack/requirements.lock

clean: ## remove what was installed and built; .gateway stays
	find tests -name node_modules -prune -exec rm -rf {} +
	rm -rf .venv .venv-* build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .localstack

.venv/.uv: requirements/bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 …")'
	@PYTHON=$(PYTHON) .ci/need python:ensurepip=python3-venv
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement $<
	@touch $@

.venv/.server: requirements/server.lock pyproject.toml .venv/.uv
	@$(UV) pip install --quiet --require-hashes --requirement $<
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.lock .venv/.server
	@$(UV) pip install --quiet --require-hashes --requirement $<
	@touch $@
