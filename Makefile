PYTHON ?= $(shell command -v python3.11 || command -v python3)
NOTEBOOK := notebooks/variational_autoencoder_opt.ipynb
BIN := .venv/bin
INSTALLED := .venv/installed
BENCH_BIN := build/bench-venv/bin

.PHONY: run test test-backends lab train bench notebook clean

run: $(INSTALLED)  ## execute the main notebook and leave a page to look at
	$(BIN)/python notebooks/run.py $(NOTEBOOK)

test: $(INSTALLED)  ## check style and run all tests, those on a local Dask cluster too
	@$(BIN)/python -c 'import distributed' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dask]' -c constraints.txt
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

test-backends: $(INSTALLED)  ## install JAX and PyTorch, compare their outputs with TensorFlow's, run a part of the tests on each
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[backends]' -c constraints.txt
	$(BIN)/python -m pytest tests/test_backends.py
	KERAS_BACKEND=jax $(BIN)/python -m pytest -m backends
	KERAS_BACKEND=torch $(BIN)/python -m pytest -m backends

lab: $(INSTALLED)  ## open the notebook in JupyterLab
	$(BIN)/jupyter lab $(NOTEBOOK)

train: $(INSTALLED)  ## train the pretrained models again, on MNIST
	$(BIN)/python models/train.py

bench: $(BENCH_BIN)/installed  ## compare searches, and trainings, and write the tables and figures that README shows
	$(BENCH_BIN)/python benchmarks/search.py
	$(BENCH_BIN)/python benchmarks/training.py

$(BENCH_BIN)/installed: benchmarks/requirements.txt constraints.txt
	$(PYTHON) -m venv build/bench-venv
	$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt -c constraints.txt
	@touch $@

notebook: $(INSTALLED)  ## execute all notebooks on MNIST and store their outputs in them, and README's figures
	for notebook in notebooks/*.ipynb; do $(BIN)/python notebooks/run.py $$notebook --in-place || exit 1; done
	cp build/variational_autoencoder_opt/10-*.png docs/ten-best.png
	cp build/variational_autoencoder_opt/07-*.png docs/regret.png

clean:  ## delete everything that was installed or built
	rm -rf .venv build *.egg-info

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or later is needed, this is {sys.version}"'
	@echo 'Installing into .venv (2.7 GB; only the first time) ...'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@
