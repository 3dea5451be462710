# make demo and make test are all that a newcomer needs; both set up .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
MINUTES ?= 4
# Processes of pytest, each of about 2 GB; more than two on two cores, as they wait for processes that they start.
JOBS ?= 3
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The locked versions, with hashes, of the Python that PYTHON names; LATEST=1 installs the newest ones instead.
LATEST ?=
UPGRADE ?= --upgrade
LOCKED = requirements/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# $(call install,NAME OF THE LOCK,EXTRAS)
install = if [ -z "$(LATEST)" ] && [ -f "$(LOCKED)$(1).txt" ]; then \
	    $(PIP) --require-hashes --requirement "$(LOCKED)$(1).txt" && $(PIP) --no-deps --no-build-isolation --editable .; \
	else $(PIP) --editable ".[$(2)]"; fi
EXTRAS = test,dev,docs
PROGRAMS = chromium nginx docker-compose docker-registry oras nodejs gcc
PACKAGES = $(PROGRAMS) libc6-dev mesa-vulkan-drivers
ALL_EXTRAS = $(EXTRAS),onnx,openvino,quantizer,huggingface,signing,attestation,third_party

# with it, each of the many processes of a test run compiles these packages again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-all extras demo test test-all test-changed test-rest test-without-onednn test-latest check format tables docs site notebooks servers proof bench bench-full lock audit clean
.DEFAULT_GOAL = help

help:
	@echo "make demo    set up, get the data, train fashion_mnist for at most $(MINUTES) minutes, export, prove"
	@echo "make test    set up and run the tests in JOBS=$(JOBS) processes"
	@echo "make test-all  also the tests that take longer or need more, in an environment with everything, .venv-all"
	@echo "make test-changed  the tests that import what differs from SINCE (HEAD)"
	@echo "make test-latest the certificate's tests with the newest versions that setup.cfg allows"
	@echo "make check   lint, format and spelling check, as CI does"
	@echo "make docs    build the documentation into site/; broken links are errors"
	@echo "make site    a gallery of the shipped models as a static site that runs them in the browser, into build/gallery"
	@echo "make tables  write what is generated: tables, lists and shown files in pages, docs/models, links of the course"
	@echo "make notebooks  run docs/notebooks/*.py and write their pages"
	@echo "make servers install KServe, Triton, older versions of TensorFlow, MediaPipe and others; the tests then run them, too"
	@echo "make proof   full-size proofs on real data (hours)"
	@echo "make bench   side by side with Keras, PyTorch and others, about ten minutes; make bench-full for all"
	@echo "make setup   only make .venv, with the versions of requirements/; LATEST=1 installs the newest ones"
	@echo "make setup-all  .venv-all with everything that tests are otherwise skipped without: extras, servers, and Debian packages if you are root"
	@echo "make lock    write requirements/: the newest versions, with hashes, for each supported Python; UPGRADE= keeps those that fit"
	@echo "make audit   look up known vulnerabilities of the packages in requirements/ (needs the internet)"

setup: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@$(call install,,$(EXTRAS))
	@touch $@

# what tests are skipped without, in an environment of its own; apt-get needs root
setup-all:
	$(MAKE) extras servers VENV=.venv-all

extras: setup
	@$(call install,-all,$(ALL_EXTRAS))
	@for program in $(PROGRAMS); do command -v $$program > /dev/null || missing=1; done; \
	ls /usr/share/vulkan/icd.d/lvp_icd*.json > /dev/null 2>&1 || missing=1; \
	[ -z "$$missing" ] || { apt-get update -qq && apt-get install -qq --yes --no-install-recommends $(PACKAGES) > /dev/null; } \
	    || echo "as root: apt-get install $(PACKAGES)"

demo: setup
	$(BIN)/python -m zoo.train fashion_mnist --recipe quick --set recipe.minutes=$(MINUTES)

PASSED = build/passed.txt
test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --passed=$(PASSED)

# the tests that import what differs from SINCE
SINCE ?= HEAD
test-changed: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --changed=$(SINCE)

test-all: test
	$(MAKE) test-rest

# what make test has not passed: tests that take longer, and those that need more than it installs
test-rest: setup-all
	.venv-all/bin/python -m pytest -n $(JOBS) --dist loadscope -m "not proof" --after=$(PASSED) --complete

# the certificate's tests with TensorFlow's own kernels, as on a processor where oneDNN is off
EVERY_MODEL = tests/zoo/models/test_every_model.py::test_a_test_sized_training_gives_a_verified_bundle
test-without-onednn: setup
	TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope -m "not proof" tests/export/test_faults.py \
	    tests/export/runtime/test_onednn.py tests/export/artifacts/test_compare.py tests/export/parity/test_parity.py \
	    tests/zoo/core/test_recipes.py::test_muon_equals_keras "$(EVERY_MODEL)[pix2pix]"

# what may fail beside CI: the newest versions that setup.cfg allows, in an environment of their own
LATEST_TESTS = tests/export/test_export.py tests/export/test_faults.py tests/zoo/models/test_fashion_mnist.py
test-latest:
	$(MAKE) setup LATEST=1 VENV=.venv-latest
	env -u CI .venv-latest/bin/python -m pytest -n $(JOBS) --dist loadscope $(LATEST_TESTS)

# whose spelling is checked; exceptions are in pyproject.toml
PROSE = *.md docs zoo pipelines export zoobase examples benchmarks
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell $(PROSE)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: setup
	$(BIN)/python -m docs.tables
	$(BIN)/python -m docs.pages
	$(BIN)/python -m docs.course --text
	$(BIN)/python -m docs.architecture

docs: setup
	$(BIN)/python -m docs.site
	$(BIN)/zensical build --clean --strict

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

lock: setup
	$(PIP) "uv>=0.9"
	for version in 3.11.5 3.12 3.13; do for lock in "" -all; do \
	    extras=$$([ -z "$$lock" ] && echo "$(EXTRAS)" || echo "$(ALL_EXTRAS)"); \
	    $(BIN)/uv pip compile --quiet $(UPGRADE) --constraint requirements/constraints.in --generate-hashes --no-annotate --no-header --python-version $$version \
	        $$(printf -- " --extra %s" $$(echo $$extras | tr , " ")) \
	        --output-file requirements/$$(echo $$version | cut -d. -f1,2)$$lock.txt setup.cfg || exit 1; \
	done; done
	for light in light light-onnx; do \
	    $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint requirements/3.11-all.txt --constraint requirements/light.in \
	        --generate-hashes --no-annotate --no-header --output-file requirements/$$light.txt requirements/$$light.in || exit 1; \
	done

audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --requirement requirements/3.11-all.txt --require-hashes --disable-pip

clean:
	rm -rf .venv .venv-latest .venv-peers .venv-audit site build *.egg-info .pytest_cache .ruff_cache
