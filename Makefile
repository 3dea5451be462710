# make demo and make test are all that a newcomer needs; both set up .venv first.
PYTHON ?= python3
BIN = .venv/bin
MINUTES ?= 4
CONSTRAINTS ?=
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=--constraint %)

.PHONY: setup demo test test-quick test-without-onednn check format tables docs site notebooks servers proof bench bench-full lock audit clean
.DEFAULT_GOAL = help

help:
	@echo "make demo    set up, get the data, train fashion_mnist for at most $(MINUTES) minutes, export, prove"
	@echo "make test    set up and run the tests"
	@echo "make test-quick  run the tests that took less than half a second in the last make test"
	@echo "make check   lint and format check, as CI does"
	@echo "make docs    build the documentation into site/; broken links are errors"
	@echo "make site    a gallery of the shipped models as a static site that runs them in the browser, into build/gallery"
	@echo "make tables  write what is generated: the README's table, the list of models in mkdocs.yml, docs/benchmarks.md"
	@echo "make notebooks  run docs/notebooks/*.py and write their pages"
	@echo "make servers install KServe, Triton and older versions of TensorFlow; the tests then run them, too"
	@echo "make proof   full-size proofs on real data (hours)"
	@echo "make bench   side by side with Keras, PyTorch and others, about ten minutes; make bench-full for all"
	@echo "make setup   only make .venv; CONSTRAINTS=requirements.lock installs the versions that CI uses"
	@echo "make lock    write requirements.lock: the versions in a new .venv"
	@echo "make audit   look up known vulnerabilities of the packages in requirements.lock (needs the internet)"

setup: .venv/.installed

.venv/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) --editable ".[test,dev]"
	@touch $@

demo: setup
	$(BIN)/python -m zoo.train fashion_mnist --recipe quick --set recipe.minutes=$(MINUTES)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-quick: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope --quick

# the certificate's tests with TensorFlow's own kernels, as on a processor where oneDNN is off
EVERY_MODEL = tests/zoo/models/test_every_model.py::test_a_test_sized_training_gives_a_verified_bundle
test-without-onednn: setup
	TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest -n 2 --dist loadscope tests/export/test_faults.py \
	    tests/export/runtime/test_onednn.py tests/export/artifacts/test_compare.py tests/export/parity/test_parity.py \
	    tests/zoo/core/test_recipes.py::test_muon_equals_keras "$(EVERY_MODEL)[cyclegan]"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: setup
	$(BIN)/python -m docs.tables
	$(BIN)/python -m docs.architecture

docs: .venv/.installed-docs
	$(BIN)/python -m docs.pages
	$(BIN)/zensical build --clean --strict

.venv/.installed-docs: .venv/.installed
	$(PIP) --editable ".[docs]"
	@touch $@

# each script as a notebook, run in an empty folder, and the notebook as a page with its outputs
NOTEBOOKS = $(wildcard docs/notebooks/*.py)
notebooks: setup
	$(PIP) --editable ".[notebooks]"
	export PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)" PYTHONWARNINGS=ignore TF_CPP_MIN_LOG_LEVEL=3 && \
	for script in $(NOTEBOOKS:docs/notebooks/%.py=%); do \
	    folder=$$(mktemp -d) && \
	    jupytext --quiet --to ipynb --output $$folder/$$script.ipynb docs/notebooks/$$script.py && \
	    jupyter nbconvert --log-level WARN --to markdown --template template --TemplateExporter.extra_template_basedirs=docs/notebooks --execute --output-dir docs/notebooks $$folder/$$script.ipynb && \
	    rm -r $$folder || exit 1; \
	done

site: setup
	$(BIN)/python -m docs.gallery $(BUNDLES)

servers: setup
	$(BIN)/python -m export servers --install all

proof: servers
	$(BIN)/python -m pytest -m proof --timeout 0

bench: setup
	$(BIN)/python -m benchmarks

bench-full: setup
	$(BIN)/python -m benchmarks --full

lock:
	rm -rf .venv
	$(MAKE) .venv/.installed-docs
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

clean:
	rm -rf .venv .venv-peers .venv-audit site docs/models docs/reference build *.egg-info .pytest_cache .ruff_cache
