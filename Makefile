# Everything from a clean clone: `make demo`, `make test`. Set-up happens by itself and only once; it needs
# Python 3.11 or newer, and nothing but the package index (and, as root on Debian, apt for system packages).

PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet

# What is installed is remembered by the content of pyproject.toml: a touched file re-installs nothing, and a
# complete .venv works without a network.
STATE := $(shell cksum < pyproject.toml | tr ' ' '-')
PACKAGE := .venv/.package-$(STATE)
DEV := .venv/.dev-$(STATE)
VENDOR := dashboard/static/vendor/vendor.lock
UI := .venv/bin/python tools/vendor_ui.py
BENCH := .venv/.bench-$(STATE)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ui ui lint bench bench-interop mutants test-faults test-interop test-ops pictures clean

help:
	@echo "make demo [SECONDS=60] [CHAOS=1]   everything running in this terminal; prints the URL to open"
	@echo "make test [TESTS=tests/circuits]   ruff, mypy and all tests"
	@echo "make test-ui                       the tests of the web UI alone, in a Chromium, and those that take longer"
	@echo "make ui                            bundle the web UI, which a server then hands out in place of its sources"
	@echo "make lint                          ruff and mypy only"
	@echo "make bench [BENCH_ARGS=--short]    what a call costs, beside other libraries"
	@echo "make bench-interop                 when Eureka clients see a change, here and at Netflix's server"
	@echo "make mutants                       break the source line by line; the tests must notice"
	@echo "make test-interop                  with other languages' Eureka clients, as far as they are installed"
	@echo "make test-ops                      a real Prometheus over a small estate, with the files of ops/"
	@echo "make test-faults                   real processes, killed and cut off"
	@echo "make pictures                      the pictures of the docs, from the running demo"
	@echo "make setup                         the virtual environment in .venv, for everything above"
	@echo "make clean                         remove .venv and all caches"

setup: $(DEV)

demo: $(PACKAGE) $(VENDOR)
	@.venv/bin/resilient demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CHAOS),--chaos)

test: lint ui .venv/.system
	@.venv/bin/python -m pytest $(or $(TESTS),-n 2 --dist loadfile)
	@echo "make test: all good"

test-ui: ui .venv/.system
	@UI=full .venv/bin/python -m pytest tests/dashboard

# Made anew where its sources changed. Without it, and without npm, servers and tests take the sources.
ui: $(DEV)
	@$(UI)

lint: $(DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet . || { echo "not formatted; run .venv/bin/ruff format"; exit 1; }
	@.venv/bin/mypy

bench: $(BENCH)
	@.venv/bin/python -m benchmarks $(BENCH_ARGS)
	@.venv/bin/python -m benchmarks.amplification
	@.venv/bin/python -m benchmarks.push --short

bench-interop: $(DEV)
	@.venv/bin/python tests/interop/visible.py $(BENCH_ARGS)

mutants: $(DEV)
	@.venv/bin/python tools/mutants.py

test-faults: $(DEV)
	@FAULTS=full .venv/bin/python -m pytest -rs tests/faults tests/demo tests/balancing/test_simulation.py
	@HOSTILE_REQUESTS=$(or $(HOSTILE_REQUESTS),20000) .venv/bin/python -m pytest -rs tests/hostile/test_hostile_fuzz.py tests/hostile/test_hostile_growth.py

pictures: $(DEV) .venv/.system
	@.venv/bin/python tools/pictures.py
	@tools/get_prometheus
	@.venv/bin/python tools/picture_alerts.py

test-interop: $(DEV)
	@INTEROP=full .venv/bin/python -m pytest -rs tests/interop

test-ops: $(DEV)
	@tools/get_prometheus
	@OPS=full .venv/bin/python -m pytest -rs tests/ops

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist tests/interop/js/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@PYTHON="$(PYTHON)" tools/make_venv

# The web UI's libraries: a build brings them, this only where somebody removed them or changed their versions.
$(VENDOR): dashboard/package-lock.json | $(PACKAGE)
	@$(UI)
	@touch $@

$(PACKAGE): | .venv/bin/python
	@echo "installing resilient into .venv"
	@$(PIP) install --editable .
	@rm -f .venv/.package-* && touch $@

$(DEV): $(PACKAGE) | $(VENDOR)
	@echo "installing what the tests need into .venv"
	@$(PIP) install --group dev
	@rm -f .venv/.dev-* && touch $@

$(BENCH): $(PACKAGE)
	@echo "installing the libraries to compare with into .venv"
	@$(PIP) install --group bench
	@rm -f .venv/.bench-* && touch $@

# The browser tests want a Chromium, those of the Redis storage a server. Asked for once; `rm .venv/.system`
# asks again.
.venv/.system: | $(DEV)
	@tools/get_chromium
	@tools/get_redis
	@touch $@
