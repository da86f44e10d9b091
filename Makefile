# Everything a user needs: `make help`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
REQUIREMENTS ?= requirements.txt
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
INSTALLED := .venv/$(basename $(notdir $(REQUIREMENTS))).installed
DOCS_INSTALLED := .venv/requirements-docs.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true
# MkDocs and Material advertise their successors in each build.
export NO_MKDOCS_2_WARNING := 1
export DISABLE_MKDOCS_2_WARNING := true
# Material for MkDocs and its plugins advertise successors at each start.
export DISABLE_MKDOCS_2_WARNING ?= true
export NO_MKDOCS_2_WARNING ?= true

.DEFAULT_GOAL := help
.PHONY: help setup repro reproduce test test-all lint docs docs-build ui app serve lock clean

##@ Use

help: ## Say what the targets do
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Create .venv and install the locked dependencies (REQUIREMENTS=requirements-gpu.txt for CUDA)

# pip compiles bytecode as it installs; without, importing TensorFlow takes three times as long.
$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r $(REQUIREMENTS)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

repro: setup ## Run the pipelines: every stage whose inputs changed (RECIPE=best: by that recipe)
	$(if $(RECIPE),python -m stages.recipe $(RECIPE))
	python -m stages.prepare
	dvc repro

##@ Check

reproduce: setup ## Run the pipelines in two fresh clones and compare the bytes (RECIPE=smoke: some minutes)
	python bench/reproduce.py $(if $(RECIPE),--recipe $(RECIPE))

PYTEST := python -m pytest --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup ## Run the tests that answer within minutes: every module, and both pipelines on few images
	$(PYTEST) -n auto -m "not slow"

# Many of the slow tests wait for servers and other processes: four at a time, also on two cores.
test-all: setup $(DOCS_INSTALLED) ## Run every test
	$(PYTEST) -n 4

lint: setup ## Check style and types
	ruff check .
	ruff format --check .
	mypy
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	hadolint Dockerfile Dockerfile.serve

##@ Look

docs: docs-build ## Build the documentation and serve it, http://127.0.0.1:8000
	mkdocs serve --dev-addr 127.0.0.1:8000

docs-build: setup $(DOCS_INSTALLED) ## Build the documentation in site/; a broken link is an error
	mkdocs build --strict

$(DOCS_INSTALLED): requirements-docs.txt $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-docs.txt
	@touch $@

ui: setup ## Open the MLflow UI on the embedded store, http://127.0.0.1:5000
	mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

app: setup ## Open the web page that classifies what you draw or drop, http://127.0.0.1:7860
	python -m classifier.apps.app

serve: setup ## Serve the exported models over HTTP, http://127.0.0.1:8080
	python -m classifier.serve

##@ Maintain

lock: ## Resolve requirements*.txt anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra dev --extra ray --extra server pyproject.toml -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra dev --extra ray --extra server --extra gpu pyproject.toml -o requirements-gpu.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group docs -c requirements.txt -o requirements-docs.txt

clean: ## Delete the outputs and the MLflow store; the DVC cache stays
	rm -rf data/raw data/split data/near_duplicates data/normalized data/overview data/augmented data/weights models reports exports dvc_plots mlflow.db mlartifacts .dvc/tmp/trainings
