# make run     try it: a node with people, some days of history and a bot, in ./data-demo
# make serve   serve on this machine alone, with ./config.toml and the data in ./data
# make cluster   three nodes and a Redis on this machine, in ./data-cluster
# make test    the tests, on all cores; `make test ARGS="-n 0 -k outbox"` some of them, on one
# make test-long   the tests that take minutes, and those of the comparison with peers, one after the other
# make check   lint, types, floors, docs
# make bench-peers   install other chat servers and measure them beside gochat: bench/results/peers.md
# make docs    write config.toml, docs/reference/, and the documents and pages that a node serves anew from code and docs/
# make dist    sdist, wheel, zipapp and one-file executable, in dist/; the last needs binutils
# make lock    write the lock files anew from pyproject.toml
#
# Needs make, and Python 3.11 or later with its venv module; everything else goes into .venv.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: run serve cluster test test-long browser redis tmux check page-types docs dist bench-quick bench-peers lock clean python

# The first of these that is new enough and can make a virtual environment; `make PYTHON=python3.13` asks for one.
BASE := $(shell for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The locks name all packages, so that nothing is left to resolve; Python compiles what is imported, when it is.
INSTALL := $(PIP) install --no-deps --no-compile
# The tests and checks need 97 packages: uv installs them in 3 seconds, pip in 20. Where uv does not reach an index,
# since it reads no settings of pip's, pip does it.
UV := .venv/.uv
PYTEST := $(BIN)/python -m pytest
# Stamps live in .venv, so that removing it removes them.
RUNTIME := .venv/.runtime
DEV := .venv/.dev
# A generator of REST clients, which only a long test needs. Apart: it asks for versions of its own of what the
# checks use, ruff among them.
OPENAPI_CLIENT := .build/openapi-client/bin/openapi-python-client
# The compiler that checks the types of the page's modules, in the version that found nothing wrong with them.
TSC := .build/typescript/node_modules/.bin/tsc
# The environment that `make dist` builds with, apart from the one that is worked in: it holds what is shipped and no
# more.
DIST := .build/dist/.stamp
LINTED := $(wildcard gochat tests bench docs deploy examples hatch_build.py)
# The rules of flake8-async take a second for each 300 lines, so it reads only files that have something for them, on
# all cores, and of these only what changed since it last found nothing.
ASYNC := $(shell grep -rlE '\b(async|await|trio|BaseException)\b|except:' --include='*.py' gochat bench deploy)
ASYNC_CHECKED := .venv/.async-checked

# Three for each core: a test that waits, for a clock or another process, leaves its core to the others. With one for
# each the cores are idle for a third of the time, with two for a quarter.
WORKERS = $(shell expr "$$(nproc)" '*' 3)

run: $(RUNTIME)
	@exec $(BIN)/gochat demo $(ARGS)

serve: $(RUNTIME)
	@exec $(BIN)/gochat serve $(ARGS)

cluster: $(RUNTIME) redis
	@exec $(BIN)/gochat cluster up -n 3 $(ARGS)

test: $(DEV) browser redis tmux
	$(PYTEST) -n $(WORKERS) --maxprocesses 8 --dist worksteal $(ARGS)

test-long: $(DEV) $(OPENAPI_CLIENT) browser redis tmux
	$(PYTEST) -m 'long or peers' $(ARGS)

# A machine that has just started often looks for updates of its own. apt waits for another's installation where it is
# told to, but never for another's reading of the lists: that is tried again, and what is there may do.
APT_UPDATE := apt-get update -qq 2>/dev/null || { sleep 15; apt-get update -qq; }
APT_INSTALL := apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300

# A real browser, for the tests of the page, and the same without windows, which takes half the processor time; where
# there is none, the first runs all of them. They are the system's: where they can't be installed here, a line says how.
browser:
	@for p in chromium chromium-browser google-chrome; do command -v $$p >/dev/null && found=$$p; done; \
	command -v chromium-headless-shell >/dev/null && test -n "$$found" && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ $(APT_UPDATE); $(APT_INSTALL) chromium chromium-headless-shell; } >/dev/null 2>&1 || test -n "$$found" || \
			$(APT_INSTALL) chromium >/dev/null; \
	elif [ -n "$$found" ]; then \
		echo "The page's tests take half the processor time with: sudo apt-get install chromium-headless-shell"; \
	else echo "The page is tested in a browser, which is missing:" \
		"sudo apt-get install chromium chromium-headless-shell"; fi

# A real Redis or Valkey, for a cluster and its tests; both run it on sockets of their own, and stop it. Debian's
# redis-server would be a service too, on the usual port and from every start of the machine on. Its program is in
# redis-tools, which is none: under the server's name it is the server, in .venv/bin where nothing else has that name.
cluster test test-long: export PATH := $(PATH):$(CURDIR)/$(BIN)
redis: | .venv/bin/python
	@for p in valkey-server redis-server $(BIN)/redis-server; do command -v $$p >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ $(APT_UPDATE); $(APT_INSTALL) redis-tools; } >/dev/null && \
		ln -sf "$$(command -v redis-check-rdb)" $(BIN)/redis-server; \
	else echo "A cluster needs a server, which is missing: sudo apt-get install redis-server"; fi

# A real terminal, for the tests of `gochat chat`.
tmux:
	@command -v tmux >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ $(APT_UPDATE); $(APT_INSTALL) tmux; } >/dev/null; \
	else echo "The chat is tested in a terminal, which is missing: sudo apt-get install tmux"; fi

check: $(DEV) $(ASYNC_CHECKED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory page-types; \
	else echo "The types of the page's modules are not checked: that takes node with npm."; fi
	$(PYTEST) -q tests/test_floors.py tests/test_docs.py

$(ASYNC_CHECKED): $(ASYNC) requirements-dev.lock | $(DEV)
	@echo $(if $(filter %.lock,$?),$(ASYNC),$?) | xargs -n 8 -P "$$(nproc)" \
		$(BIN)/flake8-async --disable ASYNC9,ASYNC124
	@touch $@

page-types: $(TSC)
	$(TSC) -p gochat/http/web/jsconfig.json
	$(TSC) -p gochat/http/web/worker.jsconfig.json
	$(TSC) -p gochat/http/docs/jsconfig.json

docs: $(DEV)
	$(BIN)/python docs/generate.py

dist: $(DIST)
	.build/dist/bin/python deploy/build.py

bench-quick: $(RUNTIME)
	$(BIN)/python -m bench quick

bench-peers: $(RUNTIME)
	PYTHON=$(BASE) sh bench/peers/install.sh
	@mkdir -p bench/results
	$(BIN)/python -m bench.peers --out bench/results/peers.md $(ARGS)

# The package itself is installed by the locked build backend: nothing unpinned is fetched. The first of the two
# to be made installs all it needs, so that `make test` alone reads one lock.
$(RUNTIME): requirements.lock pyproject.toml | .venv/bin/python
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-dev.lock || \
		$(INSTALL) --require-hashes -r requirements-dev.lock
	$(INSTALL) --no-build-isolation --editable .
	@touch $@ $(RUNTIME)

$(UV): requirements-uv.lock | .venv/bin/python
	$(INSTALL) --require-hashes -r requirements-uv.lock
	@touch $@

$(DIST): requirements-dist.lock | python
	@rm -rf .build/dist
	$(BASE) -m venv .build/dist
	.build/dist/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-dist.lock
	@touch $@

$(OPENAPI_CLIENT): | python
	$(BASE) -m venv .build/openapi-client
	.build/openapi-client/bin/python -m pip --disable-pip-version-check --quiet install openapi-python-client==0.29.1

$(TSC):
	npm install --silent --no-save --no-audit --no-fund --prefix .build/typescript typescript@7.0.2

.venv/bin/python: | python
	$(BASE) -m venv .venv

python:
	@test -n "$(BASE)" || { echo "gochat needs Python 3.11 or later with its venv module. On Debian or Ubuntu:"; \
		echo "    sudo apt-get install -y python3 python3-venv"; exit 1; }

# Universal locks: one file for every Python and platform, with hashes and without addresses. The locks for dev and
# dist hold the runtime lock's versions; hatchling is in these three, since it builds the package. uv, which writes
# them, has a lock of its own. `make lock ARGS=--upgrade` takes what is new; without it only what pyproject.toml asks
# for changes.
lock: $(UV)
	@for extra in "" dev dist; do \
		out=requirements$${extra:+-$$extra}.lock; \
		echo 'hatchling>=1.27' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
			--generate-hashes --no-header --no-annotate $(ARGS) --output-file $$out \
			$${extra:+--extra $$extra --constraint requirements.lock} pyproject.toml - >/dev/null && \
		sed -i "1i # Written by 'make lock' from pyproject.toml." $$out || exit 1; \
	done
	@echo 'uv>=0.9' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate $(ARGS) --output-file requirements-uv.lock - >/dev/null
	@sed -i "1i # Written by 'make lock'." requirements-uv.lock

clean:
	rm -rf .venv .build .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
