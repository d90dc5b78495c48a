# `make lab` and `make test` do all their own set-up: Python >= 3.10 and make are enough. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))/bin
SETUP := PYTHON="$(PYTHON)" VENV="$(VENV)" tools/setup.sh
# Child processes (kernels, nbgrader, jupyter) must find the environment's programs and kernel first.
RUN := PATH="$(BIN):$$PATH" JUPYTER_PREFER_ENV_PATH=1
CHECKED := NCSN_EDU_FIGURES=check NCSN_EDU_PROGRESS=0
# Notebooks are stored as they run without any data set that must be fetched; on /dev/null nothing can ever be found.
STORED := $(CHECKED) NCSN_EDU_DATA=/dev/null
# Three workers for two cores, as many tests wait for something; file by file, in the order of conftest.py.
BY_FILE := -n 3 --dist loadfile --no-loadscope-reorder
heading = @printf '\n== %s\n' "$(1)"
# $(call together,first; then,other): what stands first goes on behind the other, and is heard after it.
together = @log=$$(mktemp); { set -e; $(1); } >"$$log" 2>&1 & behind=$$!; \
	$(2); ended=$$?; wait $$behind; behind=$$?; cat "$$log"; rm -f "$$log"; [ $$ended = 0 ] && [ $$behind = 0 ]
SUBMAKE = $(MAKE) --no-print-directory
BROWSED := tests/browser
BROWSERS := 2
SITE := tests/browser/test_built_site.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab edit quick test lint-unit beside lint unit nbval browser-test walk notebooks pull release public figures \
        figures-check bench site site-check constraints address clean setup-lab setup-dev setup-browser

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nOptions go in ARGS: make notebooks ARGS=07; another Python: make PYTHON=python3.12 lab\n'

lab: setup-lab ## set up, and open a copy of the notebooks, yours to work in (work/; ARGS="--folder PATH" for another)
	@$(RUN) "$(BIN)/python" -m ncsn_edu lab $(ARGS)

edit: setup-lab ## open the project's own notebooks, with outputs, to change them
	@$(RUN) "$(BIN)/python" -m ncsn_edu lab --edit $(ARGS)

test: setup-dev setup-browser lint-unit beside ## set up and test everything
	$(call heading,all tests passed)

# Unit tests and those in the browser wait for something some of their time: others run meanwhile.
lint-unit: ## lint, the tests of the site, and the unit tests at the same time
	$(call together,$(SUBMAKE) lint; $(SUBMAKE) browser-test BROWSED=$(SITE) BROWSERS=0,$(SUBMAKE) unit)

beside: ## the other tests in the browser and nbval at the same time
	$(call together,$(SUBMAKE) browser-test ARGS="--ignore $(SITE) $(ARGS)",$(SUBMAKE) nbval)

quick: lint ## lint, types, and the tests and notebooks near what has changed since main (ARGS=COMMIT for another)
	$(call heading,tests and notebooks near the change)
	@$(RUN) $(CHECKED) python tools/quick.py $(ARGS)

lint: setup-dev ## style and types of the package, tests, tools and notebooks
	$(call heading,lint)
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

unit: setup-dev ## unit tests
	$(call heading,unit tests)
	@$(RUN) $(CHECKED) python -m pytest -q $(BY_FILE) --durations=12 -m "not browser" tests $(ARGS)

nbval: setup-dev ## run every notebook and compare each output, figures included
	$(call heading,notebooks: every cell run and every output compared)
	@$(RUN) $(STORED) python -m pytest -q --nbval --nbval-current-env -p no:cacheprovider notebooks $(BY_FILE) $(ARGS)

browser-test: setup-dev setup-browser ## tests that drive JupyterLab in a real browser
	$(call heading,browser tests)
	@$(RUN) python -m pytest -q -m "browser and not walk" -n $(BROWSERS) $(BROWSED) $(ARGS)

walk: setup-dev setup-browser ## a newcomer's walk: fresh clone, every notebook and explorer in the browser (half an hour)
	@$(RUN) python -m pytest -q -s -m walk tests/browser $(ARGS)

notebooks: setup-dev ## make the notebooks from notebooks/source (ARGS=07 for one)
	@$(RUN) python tools/notebooks.py build $(ARGS)

pull: setup-dev ## carry an edit made in JupyterLab back to notebooks/source
	@$(RUN) python tools/notebooks.py pull $(ARGS)

release: setup-dev ## make the assignments for students from notebooks/source/assignments (ARGS=a1 for one)
	@$(RUN) python tools/assignments.py release $(ARGS)

public: setup-dev ## copy the project without solutions and hidden tests (ARGS=FOLDER)
	@$(RUN) python tools/assignments.py public $(ARGS)

figures: setup-dev ## make the figures again
	@$(RUN) python -m ncsn_edu figures $(ARGS)

figures-check: setup-dev ## make the figures and compare them with the stored ones
	@$(RUN) $(STORED) python -m ncsn_edu figures --check $(ARGS)

site: setup-dev ## build the site into build/site (ARGS=FOLDER for another), with nothing from outside
	@$(RUN) python tools/website.py $(ARGS)

site-check: setup-dev setup-browser ## look at all of its pages in a browser: links, width of a phone, accessibility
	@$(RUN) python tools/site_check.py $(ARGS)

bench: setup-dev ## run the benchmarks
	@set -e; for file in tests/benchmarks/*.py; do printf '\n== %s\n' "$$file"; $(RUN) python "$$file" $(ARGS); done

constraints: setup-dev ## write constraints.txt from what is installed
	@$(RUN) python tools/constraints.py

address: setup-dev ## write the repository's address, from pyproject.toml, into README.md and other files
	@$(RUN) python tools/address.py $(ARGS)

clean: ## remove caches and build products (the environment stays: remove .venv by hand)
	rm -rf build dist ./*.egg-info .pytest_cache .ruff_cache .mypy_cache
	find ncsn_edu tests tools notebooks conftest.py -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

setup-lab:
	@$(SETUP) lab

setup-dev:
	@$(SETUP) dev

setup-browser: setup-dev
	@$(SETUP) browser
