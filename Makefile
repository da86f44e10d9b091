# Everything a user needs: `make help`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
# What .venv has, it keeps.
REQUIREMENTS ?= $(if $(wildcard .venv/requirements-gpu.installed),requirements-gpu.txt,requirements.txt)
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
INSTALLED := .venv/$(basename $(notdir $(REQUIREMENTS))).installed
# What a command needs beyond these, by the name of its group in pyproject.toml.
with = $(foreach group,$(1),.venv/requirements-$(group).installed)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true
# Material for MkDocs and its plugins advertise successors at each start.
export DISABLE_MKDOCS_2_WARNING ?= true
export NO_MKDOCS_2_WARNING ?= true

.DEFAULT_GOAL := help
.PHONY: help setup repro reproduce test test-all lint docs docs-build ui app serve lock clean

##@ Use

help: ## Say what the targets do
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) $(call with,$(WITH)) ## Create .venv and install the locked packages (REQUIREMENTS=requirements-gpu.txt: for CUDA; WITH=ray: more)

$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	$(PYTHON) -m venv .venv
	@$(BIN)/python tools/install.py $(REQUIREMENTS)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@rm -f .venv/requirements.installed .venv/requirements-gpu.installed
	@touch $@

.venv/requirements-%.installed: requirements-%.txt $(INSTALLED)
	@$(BIN)/python tools/install.py $<
	@touch $@

repro: setup ## Run the pipelines: every stage whose inputs changed (RECIPE=best: by that recipe)
	$(if $(RECIPE),python -m stages.recipe $(RECIPE))
	python -m stages.prepare
	dvc repro
	@python -m stages.results

##@ Check

reproduce: setup ## Run the pipelines in two fresh clones and compare the bytes (RECIPE=smoke: some minutes)
	python bench/reproduce.py $(if $(RECIPE),--recipe $(RECIPE))

PYTEST := python -m pytest --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup $(call with,app serve dev) ## Run the tests that answer within minutes: every module, and both pipelines on few images
	$(PYTEST) -n auto -m "not slow"

# Many of the slow tests wait for servers and other processes: four at a time, also on two cores.
test-all: setup $(call with,app serve dev docs ray server live) ## Run every test
	$(PYTEST) -n 4

lint: setup $(call with,app serve dev) ## Check style and types
	ruff check .
	ruff format --check .
	mypy
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	hadolint Dockerfile Dockerfile.serve

##@ Look

docs: docs-build ## Build the documentation and serve it, http://127.0.0.1:8000
	mkdocs serve --dev-addr 127.0.0.1:8000

docs-build: setup $(call with,app serve docs) ## Build the documentation in site/; a broken link is an error
	mkdocs build --strict

ui: setup ## Open the MLflow UI on the embedded store, http://127.0.0.1:5000
	mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

app: setup $(call with,app) ## Open the web page that classifies what you draw or drop, http://127.0.0.1:7860
	python -m classifier.apps.app

serve: setup $(call with,serve) ## Serve the exported models over HTTP, http://127.0.0.1:8080
	python -m classifier.serve

##@ Maintain

GROUPS := uv serve app learn server ray dev docs live
# uv does not look at the upper bound of a package's Python: from 1.3 on, this one is for 3.10 alone.
LOCK = echo "backports-strenum<1.3" | uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -c -

# A group takes the versions of requirements.txt and of the groups before it.
lock: ## Resolve requirements*.txt anew (needs uv)
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --extra gpu --no-emit-package tensorflow-cpu -c requirements.txt -o requirements-gpu.txt
	files="-c requirements.txt"; for group in $(GROUPS); do \
	  $(LOCK) --group $$group $$files -o requirements-$$group.txt || exit; \
	  files="$$files -c requirements-$$group.txt"; \
	done

clean: ## Delete the outputs and the MLflow store; the DVC cache stays
	rm -rf data/raw data/split data/near_duplicates data/normalized data/overview data/augmented data/weights data/suspects models reports exports live dvc_plots mlflow.db mlartifacts .dvc/tmp/trainings
