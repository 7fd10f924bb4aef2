# awsome.distributed_training: `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
CASE ?= fsdp
PRESET ?= tiny
LAUNCHER ?=
NODES ?= 1
PARAMS ?=
LAUNCHER_PARAMS ?=

ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/awsome-distributed-training
export ANSIBLE_LOCALHOST_WARNING := false
export ANSIBLE_INVENTORY_UNPARSED_WARNING := false
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(ROOT)/Makefile

.PHONY: setup
setup: $(VENV)/.runtime ## make .venv: ansible-core, and the collection under its full name

$(VENV)/.runtime: $(ROOT)/requirements/runtime.lock
	@command -v git >/dev/null || { echo "git is missing; fix: apt-get install git"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version), older than 3.11; fix: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "module venv is missing; fix: apt-get install python3-venv"; exit 1; }
	@echo "setup: ansible-core into .venv"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r $(ROOT)/requirements/runtime.lock
	@packages=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	  mkdir -p "$$packages/ansible_collections/awsome"; \
	  ln -sfn $(ROOT) "$$packages/ansible_collections/awsome/distributed_training"
	@touch $@

$(VENV)/.dev: $(ROOT)/requirements/dev.lock $(VENV)/.runtime
	@echo "setup: tools for the tests into .venv"
	@$(PIP) -r $(ROOT)/requirements/dev.lock
	@touch $@

.PHONY: run
run: setup ## run a test case: CASE=fsdp PRESET=tiny LAUNCHER= NODES=1 PARAMS='steps=50' LAUNCHER_PARAMS=
	@$(BIN)/ansible-playbook awsome.distributed_training.run_test_case \
	  -e case=$(CASE) -e preset=$(PRESET) -e nodes=$(NODES) \
	  $(if $(LAUNCHER),-e launcher=$(LAUNCHER)) \
	  $(if $(PARAMS),-e "params='$(PARAMS)'") $(if $(LAUNCHER_PARAMS),-e "launcher_params='$(LAUNCHER_PARAMS)'")

.PHONY: test
test: $(VENV)/.dev ## every tier below, each within its budget
	@$(BIN)/python $(ROOT)/tests/tiers.py lint unit local slurm molecule-changed validate-e2e mirror fresh

.PHONY: lint unit local fresh
lint: $(VENV)/.dev ## style, types, Ansible rules, claims without evidence
	@$(BIN)/python $(ROOT)/tests/tiers.py lint
unit: $(VENV)/.dev ## pure functions, rendering, the training code's own tests
	@$(BIN)/python $(ROOT)/tests/tiers.py unit
local: $(VENV)/.dev ## the cases through the play on this machine, and what goes wrong with them
	@$(BIN)/python $(ROOT)/tests/tiers.py local
fresh: $(VENV)/.dev ## the README word by word on a bare Debian; the tarball; the oldest ansible-core
	@$(BIN)/python $(ROOT)/tests/tiers.py fresh

# not from the environment, which may mean something else by them
SCENARIO =
SYSTEMS =
AT_ONCE = 2
.PHONY: molecule
molecule: $(VENV)/.dev ## the roles of a node in containers with systemd: SCENARIO=dcgm SYSTEMS=debian12 (root, Docker, mmdebstrap)
	@SCENARIO='$(SCENARIO)' SYSTEMS='$(SYSTEMS)' AT_ONCE='$(AT_ONCE)' $(BIN)/python $(ROOT)/tests/tiers.py molecule
.PHONY: molecule-changed
molecule-changed: $(VENV)/.dev ## those of the roles that differ from origin/main, and composed ones
	@AT_ONCE='$(AT_ONCE)' $(BIN)/python $(ROOT)/tests/tiers.py molecule-changed

.PHONY: mirror
mirror: $(VENV)/.dev ## downloads, repositories, the mirror on nodes with no route out, all that they refuse (root, Docker, mmdebstrap, rpm, createrepo-c, dnf)
	@$(BIN)/python $(ROOT)/tests/tiers.py mirror

# not from the environment, which may mean something else by them
MIRROR =
PARTS =
.PHONY: real-sources
real-sources: $(VENV)/.dev ## roles build and run the vendors' own sources: MIRROR=folder PARTS=enroot (root, Docker, mmdebstrap)
	@MIRROR='$(MIRROR)' PARTS='$(PARTS)' $(BIN)/python $(ROOT)/tests/tiers.py real-sources

# not from the environment, which may mean something else by them
NODE =
FAULT =
.PHONY: fake
fake: $(VENV)/.runtime ## a node that answers as hardware of its type, under build/fake: NODE=p5.48xlarge FAULT=gpu_missing,… (FAULT=help lists them)
	@cd $(ROOT) && $(BIN)/python -m ansible_collections.awsome.distributed_training.tests.fake_hardware '$(NODE)' '$(FAULT)' build/fake

.PHONY: validate-e2e
validate-e2e: $(VENV)/.dev ## playbook validate and the Slurm prolog on nodes with fake hardware (root, Docker, mmdebstrap)
	@$(BIN)/python $(ROOT)/tests/tiers.py validate-e2e

.PHONY: slurm faults
slurm: $(VENV)/.dev ## launcher, cases and faults on a local Slurm cluster (root, Docker, mmdebstrap)
	@$(BIN)/python $(ROOT)/tests/tiers.py slurm
faults: $(VENV)/.dev ## every fault on that cluster: nodes, ranks and plays that go away
	@$(BIN)/python $(ROOT)/tests/tiers.py faults

.PHONY: lock
lock: $(VENV)/.runtime ## write the lock files again (needs uv)
	@$(BIN)/python $(ROOT)/requirements/lock.py

.PHONY: record-slurm
record-slurm: $(VENV)/.runtime ## record what Slurm prints, again (root, mmdebstrap): VERSIONS='22.05 24.11'
	@$(BIN)/python $(ROOT)/tests/recording/record.py $(VERSIONS)

# not from the environment, which may have an OS or an ARCH of its own
STACK =
OVERRIDES =
OS =
KERNEL =
ARCH =
TYPE =
SETTINGS =
JOB_ENVIRONMENT =
RUNNING =
UPGRADE =
TO =
.PHONY: solve
solve: $(VENV)/.runtime ## do the stacks go together? STACK= OVERRIDES=file OS= KERNEL= ARCH= TYPE= SETTINGS= RUNNING= UPGRADE=component TO=
	@$(BIN)/python $(ROOT)/tests/lint/solve.py stack='$(STACK)' stack_overrides='$(OVERRIDES)' os='$(OS)' kernel='$(KERNEL)' \
	  arch='$(ARCH)' instance_type='$(TYPE)' settings='$(SETTINGS)' job_environment='$(JOB_ENVIRONMENT)' running='$(RUNNING)' \
	  upgrade='$(UPGRADE)' upgrade_to='$(TO)'

.PHONY: stack-report
stack-report: $(VENV)/.runtime ## what data/stack.yml has verified and what not, and docs/stack.md from it: OVERRIDES=file
	@$(BIN)/python $(ROOT)/tests/lint/stack_report.py $(if $(OVERRIDES),--overrides=$(OVERRIDES))

.PHONY: evidence
evidence: $(VENV)/.runtime ## write docs/evidence.md and docs/support.md from evidence/
	@$(BIN)/python $(ROOT)/tests/lint/evidence.py

.PHONY: role-docs
role-docs: $(VENV)/.runtime ## write the tables of variables in the roles' READMEs from their argument specs
	@$(BIN)/python $(ROOT)/tests/lint/role_docs.py

.PHONY: clean
clean: ## remove .venv, build and the runs made here
	rm -rf $(VENV) $(ROOT)/build $(ROOT)/runs

.PHONY: clean-cache
clean-cache: ## remove what the cases installed and the tests cached
	rm -rf $(CACHE)
