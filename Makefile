PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
CONSTRAINTS := constraints.txt
NOTEBOOK := variational_autoencoder_opt
BY := search
NUM := 10
RUN_FLAGS :=
TESTS :=
SEED := 0
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Not MOLECULES, which names a file of molecules: a variable of that name would replace the user's.
WITH_MOLECULES := $(VENV)/with-molecules
WITH_ALL := $(VENV)/with-all
BENCH_BIN := build/bench-venv/bin
PIP := python -m pip install --quiet --disable-pip-version-check --no-compile
# Compiles what is used and not all that was installed, once and not in each process of a user who keeps no bytecode.
COMPILE := PYTHONDONTWRITEBYTECODE= $(BIN)/python -W ignore::SyntaxWarning -c
USED := import ipykernel.kernelapp, matplotlib.pyplot, matplotlib_inline.backend_inline, nbclient, nbconvert, pytest, \
    scipy.stats, sklearn.datasets, xdist.plugin, GPyOpt, alternatives
EXPLORER := build/explore.html
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# Installs requirements under constraints into the folder of the target. What an interrupted installation left would pass for
# installed, so the next one starts anew.
define install
@if [ -e $(@D)/unfinished ]; then rm -rf $(@D); fi; mkdir -p $(@D); touch $(@D)/unfinished
$(PYTHON) -m venv $(@D)
$(@D)/bin/$(PIP) -r $(1) -c $(2)
endef
# Several processes at once, so one thread each.
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder --numprocesses

# A path, or a name in notebooks/.
NOTEBOOK_PATH := $(firstword $(filter %.ipynb,$(wildcard $(NOTEBOOK) $(NOTEBOOK:%=notebooks/%) $(NOTEBOOK:%=notebooks/%.ipynb))))
ifeq ($(NOTEBOOK_PATH),)
$(error There is no notebook '$(NOTEBOOK)', but there are $(basename $(notdir $(wildcard notebooks/*.ipynb))))
endif
NEEDED := $(if $(filter molecules.ipynb,$(notdir $(NOTEBOOK_PATH))),$(WITH_MOLECULES),$(INSTALLED))

.PHONY: help run test test-quick test-all test-long test-oldest test-backends test-outputs test-jax test-torch test-browser \
    test-pages lab explore images train train-molecules bench bench-training bench-molecules notebook docs clean

help:
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

run: $(NEEDED)  ## execute the main notebook and write it as a web page; another one: make run NOTEBOOK=alternatives
	@$(BIN)/python notebooks/run.py $(NOTEBOOK_PATH) $(RUN_FLAGS)

test: $(INSTALLED)  ## check style and types, and run the tests, but for the long ones
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(MAKE) test-quick

test-quick: $(INSTALLED)
	$(PYTEST) 2 -m 'not slow' $(TESTS)

test-all: $(WITH_ALL)  ## run the long tests too: notebooks, kills, statistics, a Dask cluster, a wheel, other backends
	@$(MAKE) test
	$(MAKE) --jobs 3 --output-sync test-long test-jax test-torch $(if $(CHROMIUM),test-pages)
	$(if $(CHROMIUM),,@echo 'Skipped: make test-browser needs Chromium.')

test-long:
	$(PYTEST) 2 -m 'slow and not browser'

test-oldest:  ## run the quick tests and the main notebook with the oldest versions, on Python 3.11
	@$(MAKE) build/oldest/with-molecules test-quick run VENV=build/oldest PYTHON=python3.11 \
	    CONSTRAINTS=constraints-oldest.txt RUN_FLAGS='--set dataset=digits'

test-backends: $(INSTALLED)  ## install JAX and PyTorch, compare their outputs with TensorFlow's, run some tests on each
	$(BIN)/$(PIP) -e '.[backends]' -c constraints.txt
	@$(COMPILE) 'import jax, torch'
	$(MAKE) --jobs 3 --output-sync test-outputs test-jax test-torch

test-outputs:
	$(ONE_THREAD) $(BIN)/python -m pytest tests/vae_opt_util/test_backends.py

# JAX takes longer to compile than to compute what tests ask for.
test-jax test-torch: test-%:
	$(ONE_THREAD) XLA_FLAGS=--xla_backend_optimization_level=0 KERAS_BACKEND=$* $(BIN)/python -m pytest -m backends

test-browser: $(INSTALLED)  ## install Playwright, and try our pages in the Chromium that is there
	@if [ -z '$(CHROMIUM)' ]; then \
	    echo 'There is no Chromium. Install it (Debian: apt install chromium), or name one: make test-browser CHROMIUM=PATH'; \
	    exit 1; fi
	$(BIN)/$(PIP) -e '.[browser]' -c constraints.txt
	@$(MAKE) test-pages

test-pages: $(EXPLORER)
	CHROMIUM='$(CHROMIUM)' $(BIN)/python -m pytest -m browser

explore: $(EXPLORER)  ## write a page to move over the latent spaces in a browser
	@echo 'Page to explore: $(CURDIR)/$(EXPLORER)'

$(EXPLORER): $(INSTALLED) vae_opt_util.py $(wildcard explorer/* models/*.npz digits/*.py networks/*.py latent_search/*.py)
	@$(BIN)/python explorer/explore.py

lab: $(NEEDED)  ## open the main notebook in JupyterLab
	@if [ "$$(id -u)" = 0 ] && [ -z '$(JUPYTER_FLAGS)' ]; then \
	    echo 'JupyterLab refuses to run as root. If you want that: make lab JUPYTER_FLAGS=--allow-root'; exit 1; fi
	@echo 'JupyterLab opens $(NOTEBOOK_PATH). Ctrl-C ends it.'
	@$(BIN)/jupyter lab $(NOTEBOOK_PATH) --ServerApp.root_dir=. $(JUPYTER_FLAGS)

images: $(INSTALLED)  ## save images of a digit and a table of their points: make images DIGIT=7 BY=search or conditional
	@$(BIN)/python models/generate.py $(DIGIT) --by '$(BY)' --num '$(NUM)' --seed '$(SEED)' \
	    $(if $(FOLDER),--folder '$(FOLDER)')

train: $(INSTALLED)  ## train the pretrained models again, on MNIST
	$(BIN)/python models/train.py
	$(BIN)/python benchmarks/tables.py

train-molecules: $(WITH_MOLECULES)  ## train the models of molecules again: make train-molecules MOLECULES=PATH
	$(BIN)/python models/train_molecules.py
	$(BIN)/python benchmarks/tables.py

bench: build/bench-venv/installed  ## compare searches, and write their tables and figures in docs/
	@echo 'Approximate minutes on two cores: search 70, typical 5, many_dimensions 22, any_function 30, ablation 35, rough 10, prediction 6, candidates 15'
	for part in search.py typical.py 'many_dimensions.py --dimensions 20' \
	    'many_dimensions.py --dimensions 200 --seeds-of-slow 0' any_function.py \
	    'any_function.py --dimensions 40 160 --seeds-of-slow 0' ablation.py rough.py prediction.py candidates.py; do \
	    TQDM_DISABLE=1 $(BENCH_BIN)/python benchmarks/$$part || exit 1; done

bench-training: build/bench-venv/installed  ## compare recipes and trainings, and write their tables and figures in docs/
	TQDM_DISABLE=1 $(BENCH_BIN)/python benchmarks/training_times.py
	TQDM_DISABLE=1 $(BENCH_BIN)/python benchmarks/training.py

bench-molecules: build/bench-venv/installed  ## compare searches for molecules: make bench-molecules MOLECULES=PATH
	TQDM_DISABLE=1 $(BENCH_BIN)/python benchmarks/molecule_search.py

build/bench-venv/installed: benchmarks/requirements.txt constraints.txt
	$(call install,$<,constraints.txt)
	@mv $(@D)/unfinished $@

notebook: $(WITH_MOLECULES)  ## execute all notebooks on MNIST and store their outputs in them, and their figures in docs/
	rm -rf build/journals
	for notebook in notebooks/*.ipynb; do $(BIN)/python notebooks/run.py $$notebook --in-place || exit 1; done
	TQDM_DISABLE=1 $(BIN)/python benchmarks/gallery.py
	$(BIN)/python benchmarks/tables.py

docs: $(INSTALLED)  ## write all tables of README, docs/ and the models' card from what was measured
	$(BIN)/python benchmarks/tables.py

clean:  ## delete everything that was installed or built
	rm -rf .venv build *.egg-info

$(INSTALLED): requirements.txt $(CONSTRAINTS) pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit( \
	    f"Python 3.11 or later is needed, up to 3.13, and $(PYTHON) is {v[0]}.{v[1]}. Name one: make PYTHON=PATH")'
	@echo 'Installing into $(VENV) (2.7 GB; only the first time) ...'
	$(call install,$<,$(CONSTRAINTS))
	@$(COMPILE) '$(USED)'
	@mv $(@D)/unfinished $@

$(WITH_MOLECULES): $(INSTALLED)
	@echo 'Installing RDKit, SELFIES and tblite for molecules (180 MB; only the first time) ...'
	@$(BIN)/$(PIP) -e '.[molecules]' -c $(CONSTRAINTS)
	@$(COMPILE) 'import molecules.experiments, molecules.latent_space'
	@touch $@

$(WITH_ALL): $(WITH_MOLECULES)
	@echo 'Installing Dask, JAX, PyTorch and Playwright for all tests ...'
	@$(BIN)/$(PIP) -e '.[dask,backends,browser]' -c $(CONSTRAINTS)
	@$(COMPILE) 'import dask.distributed, jax, torch'
	@touch $@
