# Needs Python 3.11 or newer, make, and a package index that pip can reach. `make` alone lists what there is.
PYTHON ?= python3
PORT ?= 8000
PY := .venv/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check -q
PYTEST := $(PY) -m pytest
.DEFAULT_GOAL := help
.PHONY: help demo run seed test test-long fuzz bench bench-lists screenshots openapi lint lock system-deps clean

demo run seed openapi lint: export TASKEXPORT_ENV := development

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  Variables: VAR=folder for every file the service writes (var), PYTHON=python3.11 for a new .venv"

demo: .venv/.runtime ## one export from nothing to a verified file; FILE=tasks.csv MAP=columns.json for rows of your own
	@$(PY) manage.py demo $(if $(FILE),--file "$(FILE)") $(if $(MAP),--map "$(MAP)")

run: .venv/.runtime ## web server and queue workers on PORT=8000, until Ctrl-C
	@exec $(PY) manage.py runservice --port $(PORT)

seed: .venv/.runtime ## demo organizations, people and ROWS=20000 tasks; the last line names them in JSON
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py seed_demo $(if $(ROWS),--tasks $(ROWS))

test: .venv/.test ## all tests, on SQLite and then on PostgreSQL
	$(PYTEST) --database=sqlite -m 'not long and not once' -n 2 --dist loadgroup
	$(PYTEST) --database=postgres -n 2 --dist loadgroup

test-long: .venv/.test ## the tests that take minutes, on both databases, and 5,000 made-up calls
	$(PYTEST) --database=sqlite -m long
	$(PYTEST) --database=postgres -m long
	$(PY) -m tests.fuzz --cases 5000

fuzz: .venv/.test ## at least CASES=500 made-up calls of the REST API; SEED=1 for others than every day's
	$(PY) -m tests.fuzz $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED))

bench: .venv/.bench ## our speed beside our peers' and psql's, on ROWS=1000000 tasks; GROWTH=1: ours at a tenth and five times as many too
	@$(PY) -m benchmarks.run --rows $(or $(ROWS),1000000) $(if $(filter-out 0,$(GROWTH)),--growth) $(if $(ONLY),--only $(ONLY))

bench-lists: .venv/.test ## how long each list and read takes with ROWS=1000000 tasks and as many jobs in one organization
	@$(PY) -m benchmarks.lists --rows $(or $(ROWS),1000000)

screenshots: .venv/.test ## take the pictures of docs/images anew, on made-up data; needs the browser and fonts of `make system-deps`
	@var=$$(mktemp -d) && trap 'rm -rf "$$var"' EXIT && VAR="$$var" TASKEXPORT_ENV=development $(PY) -m tests.postgres $(PY) -m tests.browser.screenshots

openapi: .venv/.runtime ## write docs/openapi.yaml anew
	$(PY) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

lint: .venv/.test ## style, types, import layers, migrations, API schema, templates
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py spectacular --validate --fail-on-warn --file /dev/null
	@if [ -d templates ]; then echo djade --check templates; find templates -name '*.html' -exec .venv/bin/djade --check --target-version 5.2 {} +; fi

lock: ## pin requirements*.in anew, with hashes (uv, in a throw-away environment)
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && "$$tools/bin/python" -m pip install --disable-pip-version-check -q uv && \
	for name in requirements requirements-test requirements-parquet requirements-bench; do \
	  "$$tools/bin/uv" pip compile -q --universal --python-version 3.11 --generate-hashes $$name.in -o $$name.txt || exit 1; \
	done

system-deps: ## Debian packages of system-deps.txt: a browser and fonts for the tests
	@if ! command -v apt-get >/dev/null; then echo "No apt-get here. Install what matches these yourself:"; grep -v '^#' system-deps.txt; exit 0; fi; \
	missing=; for package in $$(grep -v '^#' system-deps.txt); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q '^install ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then echo "All packages of system-deps.txt are installed."; exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=env; elif command -v sudo >/dev/null; then as_root="sudo env"; \
	else echo "Missing:$$missing. Run as root:  apt-get install$$missing" >&2; exit 1; fi; \
	echo "Installing$$missing"; \
	$$as_root apt-get update -qq && $$as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

clean: ## remove .venv and caches; data in var stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or newer is needed; $(PYTHON) is %d.%d. Name another:  make PYTHON=python3.11 …" % v[:2])'
	@test -x .venv/bin/pip || $(PYTHON) -m venv --clear .venv
	@echo "Installing requirements.txt into .venv …"
	@$(PIP) --require-hashes -r requirements.txt
	@touch $@

.venv/.test: .venv/.runtime requirements-test.txt requirements-parquet.txt
	@echo "Installing requirements-test.txt and requirements-parquet.txt into .venv …"
	@$(PIP) --require-hashes -r requirements-test.txt
	@$(PIP) --require-hashes -r requirements-parquet.txt
	@touch $@

.venv/.bench: .venv/.runtime requirements-parquet.txt requirements-bench.txt
	@echo "Installing requirements-parquet.txt and requirements-bench.txt into .venv …"
	@$(PIP) --require-hashes -r requirements-parquet.txt
	@$(PIP) --require-hashes -r requirements-bench.txt
	@touch $@
