# make demo | test | ui | bench | lint | install | clean
# Another Python: make demo PYTHON=python3.12. Another port: make ui PORT=5001.
PYTHON ?= python3
PORT   ?= 5000
STORE  ?= mlruns
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

export TF_CPP_MIN_LOG_LEVEL ?= 3
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: install demo test ui bench lint clean

install: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "kecgi needs Python 3.11, 3.12 or 3.13. '$(PYTHON)' is not one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing kecgi and its dependencies into $(VENV): 1 GB to download, 3 GB on disk."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

# The same with extras of setup.cfg.
$(VENV)/with-%: $(VENV)/installed
	$(PIP) --editable '.[$*]'
	@touch $@

demo: install
	$(BIN)/python recipes/activation_cvae.py --preset quick
	$(BIN)/python recipes/activation_posterior.py --preset quick
	@echo
	@echo "Review both runs: make ui, then open the address above."

# Everything on TensorFlow; on JAX and PyTorch what builds a Keras model. Studies are run by hand.
# One thread to an operation, since the machine's cores are shared by the test processes.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/with-dev,dask,jax,torch
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest --numprocesses auto -m "not study"
	KERAS_BACKEND=jax $(BIN)/python -m pytest --numprocesses auto -m "backend and not study"
	KERAS_BACKEND=torch $(BIN)/python -m pytest --numprocesses auto -m "backend and not study"

ui: install
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 --port $(PORT) \
	  --backend-store-uri sqlite:///$(STORE)/mlflow.db --artifacts-destination $(STORE)/artifacts

bench: $(VENV)/with-bench,jax,torch
	$(BIN)/python -m benchmarks.simulation
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.monodomain
	$(BIN)/python -m benchmarks.anisotropic
	$(BIN)/python -m benchmarks.posterior

lint: $(VENV)/with-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
