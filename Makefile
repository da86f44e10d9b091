# Everything a user needs: `make help`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
REQUIREMENTS ?= requirements.txt
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
INSTALLED := .venv/$(basename $(notdir $(REQUIREMENTS))).installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY ?= true

.DEFAULT_GOAL := help
.PHONY: help setup repro reproduce test test-all lint ui app lock clean

help: ## Say what the targets do
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

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

reproduce: setup ## Run the pipelines in two fresh clones and compare the bytes (RECIPE=smoke: some minutes)
	python bench/reproduce.py $(if $(RECIPE),--recipe $(RECIPE))

PYTEST := python -m pytest --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup ## Run the tests that answer within minutes: every module, and both pipelines on few images
	$(PYTEST) -n auto -m "not slow"

# Many of the slow tests wait for servers and other processes: four at a time, also on two cores.
test-all: setup ## Run every test
	$(PYTEST) -n 4

lint: setup ## Check style and types
	ruff check .
	ruff format --check .
	mypy
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	hadolint Dockerfile

ui: setup ## Open the MLflow UI on the embedded store, http://127.0.0.1:5000
	mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

app: setup ## Open the web page that classifies what you draw or drop, http://127.0.0.1:7860
	python -m classifier.apps.app

lock: ## Resolve requirements*.txt anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra dev --extra ray --extra server pyproject.toml -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra dev --extra ray --extra server --extra gpu pyproject.toml -o requirements-gpu.txt

clean: ## Delete the outputs and the MLflow store; the DVC cache stays
	rm -rf data/raw data/split data/near_duplicates data/normalized data/overview data/augmented data/weights models reports exports dvc_plots mlflow.db mlartifacts .dvc/tmp/trainings
