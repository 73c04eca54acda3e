# Two commands do everything: 'make serve' and 'make test'.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
EXTRAS := dev,cluster,spatialdata,train,movie,parquet,openvino

.PHONY: help install serve test system check unit browser format bench accuracy constraints clean

help:
	@echo "make serve     install, make the demo study, serve it"
	@echo "make test      install, run every check and test"
	@echo "make check     formatting, lint, types, directions of imports"
	@echo "make unit      the tests that need no browser"
	@echo "make browser   the tests in Chromium"
	@echo "make bench     measure speed; writes docs/benchmarks.*; SECTIONS='page export' for some"
	@echo "make accuracy  measure accuracy on the real data; writes docs/accuracy.*"
	@echo "make clean     remove the virtual environment and what tools left"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

system:
	@sh deploy/system-packages.sh $(NEEDS)

serve: install
	@sh deploy/system-packages.sh egl
	$(BIN)/vortex-viewer serve $(STUDY)

test: install
	@sh deploy/system-packages.sh egl chromium nginx
	$(MAKE) --no-print-directory check
	$(BIN)/pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest tests/unit tests/fault

browser: install
	@sh deploy/system-packages.sh egl chromium nginx
	$(BIN)/pytest tests/browser

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	@sh deploy/system-packages.sh egl chromium
	$(BIN)/python tests/bench/bench.py $(SECTIONS)

accuracy: install
	$(BIN)/python tests/bench/accuracy.py

# Resolves anew, without the old pins; run the tests before you commit what it wrote.
constraints:
	rm -rf build/resolve && $(PYTHON) -m venv build/resolve
	build/resolve/bin/python -m pip install --quiet '.[$(EXTRAS)]'
	( echo "# Every package, pinned: the versions that were tested together. Refresh with 'make constraints'."; \
	  build/resolve/bin/python -m pip freeze --exclude vortex-viewer | sed 's/+cpu//' ) > constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
