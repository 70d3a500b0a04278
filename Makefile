.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv)
BIN := .venv/bin
WORKERS ?= 2
SEED ?= 1
SECONDS ?= 420
Q ?=
ONLY ?=
AUDIT ?=
RUNS ?= 1000000
WITHIN ?= 180
MODEL_NAME ?=
SIZE ?= normal

# A stamp stands for an environment that matches its requirements file.
RUNTIME := .venv/.runtime
BACKEND := .venv/.backend
DEV := .venv/.dev
MODEL := .venv/.model
PROTOS := .venv-protos/.stamp
SPIN := .venv/.spin
CHROMIUM := .venv/.chromium
PROMETHEUS := .venv/.prometheus
MANIFESTS := $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/base/*.yaml))
PEERS := $(patsubst %,.venv-peers/%/.stamp,litellm aegra afternoon pgqueuer dbos)

# One that aegra runs with; asked for only when it is installed.
PYTHON312 ?= $(shell for one in python3.12 python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.12*/bin/python; do \
  "$$one" -c '' 2>/dev/null && command -v "$$one" && break; done)

ifdef UV
  venv = uv venv -q --clear --python $(or $(2),$(PYTHON)) $(1)
  install = uv pip install --python $(1)/bin/python $(2)
else
  venv = $(or $(2),$(PYTHON)) -m venv --clear $(1)
  install = $(1)/bin/python -m pip install --disable-pip-version-check $(2)
endif

.PHONY: help run serve backend demo chat model migrate storage test test-fast check format lint types imports contract deploy-check dashboards api-docs image-check compose-check screenshots audit sbom protos kafka chaos chaos-mutants soak steady fuzz mutants model-check routing bench peers lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

run: $(RUNTIME) $(MODEL) ## Install what is missing and serve on 127.0.0.1:50051
	@$(BIN)/python main.py

serve: $(RUNTIME) ## The same without the local model: needs OPENAI_API_KEY, OPENAI_BASE_URL or ANTHROPIC_API_KEY
	@$(BIN)/python main.py

backend: $(BACKEND) ## The reference backend on 127.0.0.1:8080, in front of a service that `make run` has started
	@USE_GRPC_ORCHESTRATOR=$${USE_GRPC_ORCHESTRATOR:-true} GRPC_ORCHESTRATOR_PERCENTAGE=$${GRPC_ORCHESTRATOR_PERCENTAGE:-100} \
	  BACKEND_SESSION__SECURE=$${BACKEND_SESSION__SECURE:-false} PYTHONPATH=client $(BIN)/python -m backend

demo: $(BACKEND) $(MODEL) ## Everything at once: orchestrator, backend with demo data, console in the browser
	@PYTHONPATH=client $(BIN)/python -m deploy.demo

chat: $(RUNTIME) ## Talk to the running service in the terminal, or ask one thing: make chat Q="..."
	@$(BIN)/python -m deploy.chat $(if $(Q),"$(Q)")

model: $(MODEL) ## Install the model that answers when no provider key is set
migrate: $(RUNTIME) ## Bring the database schema up to date and end
	@$(BIN)/python main.py migrate

storage: $(RUNTIME) ## Show which tables and conversations take up how many bytes
	@$(BIN)/python main.py storage

test: $(DEV) $(MODEL) $(PROTOS) $(SPIN) $(CHROMIUM) $(PROMETHEUS) ## Install what is missing and run all tests
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal

test-fast: $(DEV) $(PROTOS) $(SPIN) $(CHROMIUM) $(PROMETHEUS) ## The tests that need no model
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m 'not model'

check: lint types imports contract deploy-check test ## Everything CI runs

format: $(DEV) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV) $(MODEL)
	$(BIN)/mypy .

imports: $(DEV)
	$(BIN)/lint-imports
	cd client && ../$(BIN)/lint-imports

contract: $(DEV) $(PROTOS) ## Lint the contract, hold it against every release, compare the stubs
	protos/check.sh

deploy-check: $(DEV) $(PROMETHEUS)
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/compose.tls.yml
	$(BIN)/kubernetes-validate --strict --quiet $(MANIFESTS)
	@if [ -x $(BIN)/envoy ]; then for file in deploy/envoy/*.yaml; do \
	  $(BIN)/envoy --mode validate --log-level warning --config-path $$file || exit 1; done; \
	  else echo "Envoy's wheel is for Linux: its configuration is not checked"; fi
	@if command -v kubectl >/dev/null; then for folder in deploy/kubernetes/*/; do kubectl kustomize $$folder | \
	  $(BIN)/kubernetes-validate --strict --quiet /dev/stdin || exit 1; done; \
	  else echo "kubectl is missing: the overlays are not put together"; fi
	@if command -v promtool >/dev/null; then cd deploy/prometheus && promtool check config prometheus.yml && \
	  promtool check config compose.yml && promtool test rules alerts_test.yml; else echo "promtool is missing: the alerts are not checked"; fi

dashboards: $(DEV) ## Make Grafana's dashboards, deploy/grafana/*.json, of the TOML files beside them
	$(BIN)/python -m deploy.dashboards

api-docs: $(DEV) ## Make docs/api/, the reference of the API, of protos/*.proto
	$(BIN)/python -m deploy.reference

image-check: $(DEV) ## Build the images and try them, without a container engine (Debian, as root; about 2 minutes)
	GRPCURL=$(CURDIR)/$(BIN)/grpcurl deploy/check_image.sh

compose-check: $(DEV) $(PROMETHEUS) ## Run docker-compose.yml by podman-compose, with and without TLS (Debian, as root; about 6 minutes)
	GRPCURL=$(CURDIR)/$(BIN)/grpcurl PODMAN_COMPOSE=$(CURDIR)/$(BIN)/podman-compose PYTHON=$(CURDIR)/$(BIN)/python \
	  ENVOY=$$($(BIN)/python -c 'import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / "_bin/envoy")') \
	  deploy/check_image.sh compose

screenshots: $(DEV) $(CHROMIUM) ## Make docs/images/ anew, the console light and dark
	PYTHONPATH=client $(BIN)/python -m tests.backend.console.screenshots

audit: $(DEV) ## Ask an advisory service about every locked package; exit code 3 where it could not be asked, 4 where it knows of something
	$(BIN)/python -m deploy.audit $(AUDIT) requirements.txt requirements-backend.txt requirements-dev.txt requirements-protos.txt requirements-model.txt

sbom: $(DEV) ## Write sbom.json, CycloneDX, of what the service runs on
	$(BIN)/python -m deploy.sbom > sbom.json.new && mv sbom.json.new sbom.json

protos: $(PROTOS) ## Generate the gRPC stubs from protos/*.proto
	protos/generate.sh

soak: $(DEV) $(MODEL) $(PROTOS) ## The tests that grow, ten times as large as in CI
	TEST_SCALE=10 $(BIN)/pytest -q --timeout 1800 tests/integration/life tests/integration/checkpoints tests/integration/tasks/test_machine.py tests/integration/permissions/test_races.py tests/integration/events/test_kills.py tests/integration/soak tests/integration/flood tests/upgrade tests/isolation/test_matrix.py tests/isolation/test_tokens.py -rP
	@deploy/install_faketime.sh
	GRPC_VERBOSITY=NONE PYTHONPATH=client $(BIN)/python -m tests.chaos --seed $(SEED) --seconds 1800
	@$(MAKE) --no-print-directory steady

steady: $(DEV) ## Half an hour at 70 % of the capacity, which is measured first: memory, descriptors, tasks, connections stay level
	GRPC_VERBOSITY=NONE PYTHONPATH=client $(BIN)/python -m tests.soak --seconds 1800 --load 0.7

chaos: $(DEV) ## Break what the service stands on, by a seed, and check that nothing is lost or done twice (about 8 minutes)
	@deploy/install_faketime.sh
	GRPC_VERBOSITY=NONE PYTHONPATH=client $(BIN)/python -m tests.chaos --seed $(SEED) --seconds $(SECONDS)

fuzz: $(DEV) ## A million inputs to whatever reads foreign bytes, guided by coverage; some of them: make fuzz ONLY="openai" RUNS=50000
	PYTHONPATH=.:client $(BIN)/python -m tests.fuzz --runs $(RUNS) $(ONLY)

chaos-mutants: $(DEV) ## Break the code on purpose and see which invariants chaos finds it by; some of them: make chaos-mutants ONLY="..."
	@deploy/install_faketime.sh
	$(BIN)/python -m tests.chaos.mutants $(ONLY) --seeds 3

kafka: $(DEV) ## The kills of the events' relay in front of Apache Kafka, ten times as large as in CI (needs Java 17 and mvn)
	mvn -q -B -f deploy/kafka.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/.venv/kafka
	KAFKA_JARS=$(CURDIR)/.venv/kafka TEST_SCALE=10 $(BIN)/pytest -q --timeout 1800 tests/integration/events/test_kills.py -k apache_kafka -rP

mutants: $(DEV) $(MODEL) ## Break each trap's guard on purpose and see its test fail; some of them: make mutants ONLY="guard"
	$(BIN)/python -m tests.mutants $(ONLY)

model-check: $(DEV) $(SPIN) ## Check the model of a run's protocol in all its interleavings, and that its mutants fail
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal tests/protocol

routing: $(DEV) $(MODEL) ## How well requests find their agents, also with a model: make routing WITHIN=60 MODEL_NAME=... (no gate)
	$(BIN)/python -m tests.routing --seconds $(WITHIN) $(if $(MODEL_NAME),--model $(MODEL_NAME))

peers: $(PEERS) ## Install what make bench measures us beside, in environments of their own (1 GB)

bench: $(DEV) $(BACKEND) $(MODEL) $(PEERS) ## Everything beside its peers in one run, goals, charts and the README's numbers (about 15 minutes); longer: make bench SIZE=full
	$(BIN)/python -m bench --size $(SIZE)

lock: ## Compile requirements*.in into requirements*.txt (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv: pip install uv"; exit 1; }
	for name in requirements requirements-backend requirements-dev requirements-protos; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links $$name.in -o $$name.txt || exit 1; done
	uv pip compile -q --universal --no-deps --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links requirements-model.in -o requirements-model.txt

clean: ## Remove environments and caches; .data, which holds your conversations, stays
	rm -rf .venv .venv-protos .venv-peers .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.data/*' -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "==> .venv: making the virtual environment"
	@$(call venv,.venv)

$(RUNTIME): requirements.txt | .venv/bin/python
	@echo "==> .venv: installing the service's packages"
	@$(call install,.venv,--require-hashes -r requirements.txt)
	@touch $@

$(BACKEND): requirements-backend.txt $(RUNTIME)
	@echo "==> .venv: installing what the client and the reference backend need"
	@$(call install,.venv,--require-hashes -r requirements-backend.txt)
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "==> .venv: installing what tests and checks need"
	@$(call install,.venv,--require-hashes -r requirements-dev.txt)
	@touch $@

$(MODEL): requirements-model.txt $(RUNTIME)
	@echo "==> .venv: installing the local model (127 MB)"
	@$(call install,.venv,--require-hashes --no-deps -r requirements-model.txt)
	@$(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || deploy/install_libgomp.sh
	@touch $@

.venv-peers/aegra/.stamp: bench/peers/aegra.txt
	@mkdir -p .venv-peers
	@if [ -z "$(PYTHON312)$(UV)" ]; then echo "==> aegra is left out: it needs Python 3.12, and there is none"; else \
	  echo "==> .venv-peers/aegra: installing a peer that make bench measures us beside" && \
	  $(call venv,.venv-peers/aegra,$(or $(PYTHON312),3.12)) && $(call install,.venv-peers/aegra,-r $<) && touch $@; fi

.venv-peers/%/.stamp: bench/peers/%.txt
	@echo "==> .venv-peers/$*: installing a peer that make bench measures us beside"
	@mkdir -p .venv-peers
	@$(call venv,.venv-peers/$*)
	@$(call install,.venv-peers/$*,-r $<)
	@touch $@

$(PROTOS): requirements-protos.txt
	@echo "==> .venv-protos: installing the oldest supported gRPC, which generates and tries the stubs"
	@$(call venv,.venv-protos)
	@$(call install,.venv-protos,--require-hashes -r requirements-protos.txt)
	@touch $@

# Not fatal where it cannot be installed: then the tests of the model are skipped, with the reason. It is with CI set.
$(SPIN): deploy/install_spin.sh | .venv/bin/python
	@deploy/install_spin.sh
	@if command -v spin >/dev/null && command -v cc >/dev/null; then touch $@; fi

$(CHROMIUM): deploy/install_chromium.sh | .venv/bin/python
	@deploy/install_chromium.sh
	@for name in chromium chromium-browser google-chrome; do \
	  if command -v $$name >/dev/null; then touch $@; fi; done

# Likewise.
$(PROMETHEUS): deploy/install_prometheus.sh | .venv/bin/python
	@deploy/install_prometheus.sh
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then touch $@; fi
