# make demo   install into .venv and fine-tune the default model on the embedded sample
# make test   install and run ruff, mypy and the tests
# make xla-test   install torch_xla into .venv-xla and run the tests of hardware=tpu on its CPU client
PYTHON ?= python3
VENV := .venv
XLA := .venv-xla
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt

.PHONY: demo test slow-tests xla-test clean

demo: $(VENV)/.installed
	$(BIN)/bisum

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

slow-tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

xla-test: $(XLA)/.installed
	PJRT_DEVICE=CPU $(XLA)/bin/python -m pytest tests/hardware/test_tpu.py

$(VENV)/.installed: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14) and "bisum needs Python 3.11 to 3.13 (hydra-core 1.3 does not run on 3.14): make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing bisum and what it needs into $(VENV) (some minutes the first time)"
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

# torch_xla goes with the torch of its own version, and accelerate takes it wherever it is installed.
$(XLA)/.installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(XLA)
	@echo "installing torch_xla, bisum and what they need into $(XLA) (some minutes and gigabytes the first time)"
	grep -v '^torch==' .ci/constraints.txt > $(XLA)/constraints.txt
	$(XLA)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(XLA)/constraints.txt \
		torch==2.9.0 torch_xla==2.9.0 --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(XLA) build dist .mypy_cache .pytest_cache .ruff_cache
