# Every target works from a bare clone: it makes .venv and installs what it needs first.
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
ifneq ($(words $(ROOT)),1)
$(error make cannot work in a folder whose path has a space: $(ROOT))
endif
VENV := $(ROOT).venv
BIN := $(VENV)/bin
CHECKERBOARD := $(BIN)/checkerboard
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
# Behind a company's TLS proxy, uv too has to trust what the system trusts, as pip does. Where the system has no
# certificates, those that uv brings have to do.
ifneq ($(wildcard /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem /etc/ssl/certs/ca-*.crt /etc/pki/tls/certs/ca-*.crt),)
UV_SYSTEM_CERTS ?= true
export UV_SYSTEM_CERTS
endif
INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help run demo demo-ingest check test-fast test walk openapi studio bench load eval eval-ingest ocr-data doctor audit sbom lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' "$(ROOT)Makefile" | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: $(VENV)/.runtime ## serve on http://127.0.0.1:8000 (or PORT=8001): embedded servers, offline model, sample postings
	@$(CHECKERBOARD) serve $(if $(PORT),--port "$(PORT)")

demo: $(VENV)/.runtime ## one generation and one regeneration for a sample profile, in the terminal
	@$(CHECKERBOARD) demo

demo-ingest: $(VENV)/.runtime ocr-data ## 30 sample posters (or POSTERS=4), from image to search result
	@$(CHECKERBOARD) ingest demo $(if $(POSTERS),--posters "$(POSTERS)")

check: $(VENV)/.dev ## lint, types, imports, unused code and dependencies, docs and the API's description: under a minute
	@cd "$(ROOT)" && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache && $(BIN)/vulture && $(BIN)/deptry . && $(BIN)/mypy && $(BIN)/python -m pytest tests/test_house.py

test-fast: $(VENV)/.dev ## the tests that need no server, under a minute (ROOMS=ingest for others)
	@cd "$(ROOT)" && $(BIN)/python -m pytest -n 2 -m "not servers" $(addprefix tests/,$(or $(ROOMS),nodes graph tools))

test: check ## the checks, and then every test
	@# Without these some tests are skipped; in CI they fail.
	-@cd "$(ROOT)" && for part in ingest.parsers.tessdata "samples.programs.draw_posters --fonts" evals.posters.chromium; do $(BIN)/python -m $$part; done
	@cd "$(ROOT)" && $(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/test_house.py

openapi: $(VENV)/.dev ## write docs/openapi.json anew, after a change of the API
	@cd "$(ROOT)" && $(BIN)/python -m tests.openapi

walk: $(VENV)/.dev ## walk through the README in a fresh clone and home: its commands and its curls
	@cd "$(ROOT)" && $(BIN)/python -m tests.walk

studio: $(VENV)/.dev ## serve the graph for LangGraph Studio (PORT=2025), with the sample postings where no others are
	@$(CHECKERBOARD) studio $(if $(PORT),--port "$(PORT)")

bench: $(VENV)/.runtime ## CPU of a generation, beside the same service of defaults and the bare remote work (GENERATIONS=20)
	@cd "$(ROOT)" && $(BIN)/python -m evals.bench.generation $(if $(GENERATIONS),--generations "$(GENERATIONS)")

load: $(VENV)/.dev ## how many people the service holds, a tenth of real time (PEOPLE=200 WORKERS=1 ARRIVAL=burst TIME=1 MODE=sync PAGE=yes)
	@cd "$(ROOT)" && $(BIN)/python -m evals.load $(if $(PEOPLE),--people "$(PEOPLE)") $(if $(WORKERS),--workers "$(WORKERS)") $(if $(ARRIVAL),--arrival "$(ARRIVAL)") $(if $(TIME),--time-scale "$(TIME)") $(if $(MODE),--mode "$(MODE)") $(if $(GENERATIONS),--generations "$(GENERATIONS)") $(if $(PAGE),--page)

eval: $(VENV)/.runtime ## whether the service got better or worse: two suites offline, held against the kept baselines
	@# Without a key, whatever the shell has: the kept baselines are the offline model's.
	@set -e; export OPENAI_API_KEY= OPENAI_BASE_URL=; for suite in quick retrieval; do $(CHECKERBOARD) eval run --suite $$suite; $(CHECKERBOARD) eval gate --suite $$suite; done

eval-ingest: $(VENV)/.runtime ocr-data ## what is read of posters with known truth, and sorted into positions (POSTERS=4 of each set); what each stage costs (DOCUMENTS=50)
	-@cd "$(ROOT)" && $(BIN)/python -m evals.posters.chromium
	@cd "$(ROOT)" && $(BIN)/python -m evals.bench.parsers $(if $(POSTERS),--posters "$(POSTERS)") && $(BIN)/python -m evals.bench.tagging $(if $(POSTERS),--posters "$(POSTERS)") && $(BIN)/python -m evals.bench.ingest $(if $(DOCUMENTS),--documents "$(DOCUMENTS)")

ocr-data: $(VENV)/.runtime ## get Tesseract's data for the local parser, where the system has none
	@cd "$(ROOT)" && $(BIN)/python -m ingest.parsers.tessdata

doctor: $(VENV)/.runtime ## check every dependency and say what to do about what is missing
	@$(CHECKERBOARD) doctor

audit: $(VENV)/.dev ## known weaknesses of all that is pinned, as OSV has them: needs the network (OSV=https://…/v1/query for a mirror)
	@cd "$(ROOT)" && $(BIN)/pip-audit --disable-pip --require-hashes --vulnerability-service osv $(if $(OSV),--osv-url "$(OSV)") --timeout 60 --progress-spinner off --desc on -r requirements/bootstrap.txt -r requirements/dev.txt

sbom: $(VENV)/.dev ## write what production installs as a CycloneDX bill of materials: checkerboard.cdx.json (or SBOM=path)
	@cd "$(ROOT)" && $(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible --validate -o "$(or $(SBOM),checkerboard.cdx.json)" requirements/production.txt

lock: $(VENV)/.uv ## write the lock files anew from pyproject.toml
	@cd "$(ROOT)" && for lock in bootstrap production runtime dev; do $(MAKE) --no-print-directory lock-$$lock || exit 1; done

COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
EXTRAS = --extra local --extra ocr --extra eval
.PHONY: lock-bootstrap lock-production lock-runtime lock-dev
lock-bootstrap:
	@$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.txt
lock-production:
	@$(COMPILE) pyproject.toml --group build -o requirements/production.txt
lock-runtime:
	@$(COMPILE) pyproject.toml --group build $(EXTRAS) -c requirements/production.txt -o requirements/runtime.txt
lock-dev:
	@$(COMPILE) pyproject.toml --group build $(EXTRAS) --extra load --extra ray --extra dev -c requirements/runtime.txt -o requirements/dev.txt

clean: ## remove .venv and what the embedded parts keep
	@rm -rf "$(VENV)" "$(ROOT).checkerboard"

# Two that are started at the same time set up .venv one after the other, and the second finds it done.
define SET_UP
@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; none was found. Install one, or name it: make PYTHON=/path/to/python3.11 …"; exit 1; }
@$(PYTHON) "$(ROOT)requirements/alone.py" "$(ROOT).setup.lock" $(MAKE) --no-print-directory -f "$(ROOT)Makefile" ALONE=yes $@
endef

ifndef ALONE
$(VENV)/.uv: $(ROOT)requirements/bootstrap.txt
	$(SET_UP)
$(VENV)/.runtime: $(addprefix $(ROOT)requirements/,bootstrap.txt runtime.txt) $(ROOT)pyproject.toml
	$(SET_UP)
$(VENV)/.dev: $(addprefix $(ROOT)requirements/,bootstrap.txt runtime.txt dev.txt) $(ROOT)pyproject.toml
	$(SET_UP)
else
# The stamps are written last, so that an installation that was cut short is done again.
$(VENV)/.uv: $(ROOT)requirements/bootstrap.txt
	@echo "Setting up .venv with $(PYTHON) …"
	@$(PYTHON) -m venv "$(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$(ROOT)requirements/bootstrap.txt"
	@touch "$@"

$(VENV)/.runtime: $(VENV)/.uv $(ROOT)requirements/runtime.txt $(ROOT)pyproject.toml
	@echo "Installing the service …"
	@$(INSTALL) --require-hashes -r "$(ROOT)requirements/runtime.txt"
	@$(INSTALL) --no-deps --no-build-isolation --editable "$(ROOT)"
	@touch "$@"

$(VENV)/.dev: $(VENV)/.runtime $(ROOT)requirements/dev.txt
	@echo "Installing what the tests need …"
	@# Without looking for dependencies: the lock has them all, and the tests' tools cap what they need not.
	@$(INSTALL) --no-deps --require-hashes -r "$(ROOT)requirements/dev.txt"
	@touch "$@"
endif
