# `make demo` and `make test` do everything, and make their own environments. `make help` lists the rest.

# The first that is here is the one that we work with; `make test` visits the others too.
PYTHONS := 3.11 3.12 3.13 3.10
OTHERS = $(shell here=; for version in $(PYTHONS); do tools/find-python $$version >/dev/null || continue; \
                 [ -z "$$here" ] || echo $$version; here=yes; done)
ENV := .venv
DEMO_ENV := .venv-demo
PEER_ENVS := .venv-ancestor .venv-exca
# A test's process on each core; who is done first takes over what others have not begun. `PROCESSES=0` for a debugger.
PROCESSES := logical
SHARED := -n $(PROCESSES) --dist worksteal
# Tests that wait, for limits and for servers, leave the cores to some more.
CORES := $(shell getconf _NPROCESSORS_ONLN)
SOME_MORE := $(shell expr $(CORES) + $(CORES) / 2)
TWICE := $(shell expr $(CORES) \* 2)
# Of each property test the first examples; `make test-slow` tries all.
FAST := -m "not slow and not real and not engine" --hypothesis-profile=some $(SHARED)
DOCTESTS := --doctest-modules --doctest-glob='*.md' src $(wildcard README.md)

.PHONY: help demo test test-all test-others test-slow test-torch test-exchange test-engines doctest soak soak-engines check format requirements readme bench bench-full clean \
        environments

help:
	@echo "make demo          the paper's grid, with progress and its result table (ARGS=--broken breaks a data set)"
	@echo "make test          fast tests and doctests on one Python: what one waits for (ARGS=\"-k checkpoint -x\")"
	@echo "make test-all      that, the other Pythons of this machine, what is slow or needs a real component, PyTorch, MLflow"
	@echo "make test-3.12     the fast tests on one Python"
	@echo "make test-slow     the tests that take long or need a real component"
	@echo "make test-torch    the tests of what needs PyTorch, matplotlib and xarray"
	@echo "make test-exchange the tests of exports to and imports from MLflow, TensorBoard, Optuna, Hydra"
	@echo "make test-engines  the tests that need Slurm, Dask, Ray, PostgreSQL or an object store; each is started here"
	@echo "make soak          kill a grid's processes at random for ten minutes (SOAK=\"--seconds 20 --tasks 3000\" for a taste)"
	@echo "make soak-engines  the same on Slurm, on Dask, and with four coordinators over PostgreSQL and an object store"
	@echo "make check         format, lint, types, imports, doctests"
	@echo "make format        rewrite the code as 'make check' wants it"
	@echo "make readme        write what the examples of README.md and the guide print today"
	@echo "make bench         measure Memento beside its peers (some minutes; ARGS=noop_cold for one workload)"
	@echo "make bench-full    the same with a million tasks and large values"
	@echo "make requirements  resolve the pinned requirements anew (needs uv)"
	@echo "make clean         remove environments and caches"

# exec: Ctrl-C must reach the program alone, with no shell between.
demo: $(DEMO_ENV)
	@exec $(DEMO_ENV)/bin/memento demo $(ARGS)

test: $(ENV)
	tools/in-memory $(ENV)/bin/python -m pytest -q $(FAST) $(ARGS)
	$(ENV)/bin/python -m pytest -q $(DOCTESTS)

test-all: test test-others test-slow test-torch test-exchange test-engines

test-others: $(ENV)
	@others="$(OTHERS)"; for version in $(PYTHONS); do \
	    case " $$others $$($(ENV)/bin/python -V) " in \
	        *" $$version "*) $(MAKE) --no-print-directory test-$$version || exit 1;; \
	        *" $$version."*) ;; \
	        *) echo "Python $$version: not on this machine, skipped";; \
	    esac; \
	done

# What says the same on every Python: how files are named and cut, what texts say.
OF_TEXTS := test_house test_layout test_project
test-3.%: .venv-3.%
	tools/in-memory .venv-3.$*/bin/python -m pytest -q $(FAST) $(OF_TEXTS:%=--ignore=tests/%.py) $(ARGS)

# All environments, two at a time: half of making one is waiting for files.
environments:
	@$(MAKE) --no-print-directory -j 2 $(ENV) $(OTHERS:%=.venv-%)

test-slow: $(ENV)
	$(ENV)/bin/python -m pytest -q -m "(slow or real or hypothesis) and not engine" -n $(SOME_MORE) --dist worksteal $(ARGS)

# What PyTorch, matplotlib and xarray bring: their values, generators, options, checkpoints, figures.
WITH_TORCH := tests/context tests/keys/test_corpus.py tests/keys/test_libraries.py tests/values/test_tensors.py \
              tests/executors/processes/test_worker_isolation.py tests/results/test_plot.py tests/worker/test_carrying.py \
              tests/worker/test_causes.py tests/e2e/test_draws.py
test-torch: .venv-torch
	.venv-torch/bin/python -m pytest -q -m "not slow and not real and not engine" $(SHARED) $(wildcard $(WITH_TORCH)) $(ARGS)

# A real MLflow server, TensorBoard's own reader, an Optuna study, Hydra's folders.
test-exchange: .venv-exchange
	.venv-exchange/bin/python -m pytest -q tests/exchange -n $(PROCESSES) --dist loadfile $(ARGS)

# What a cluster is made of, each started for real: Slurm and PostgreSQL are Debian packages, the rest are Python's.
test-engines: .venv-engines
	.venv-engines/bin/python -m pytest -q -m engine -n $(TWICE) --dist loadfile $(ARGS)

doctest: $(ENV)
	$(ENV)/bin/python -m pytest -q $(DOCTESTS)

SOAK := --seconds 600 --tasks 85000 --out docs/soak.md
soak: $(ENV)
	$(ENV)/bin/python -m benchmarks.soak $(SOAK)

check: $(ENV)
	$(ENV)/bin/ruff format --check
	$(ENV)/bin/ruff check
	$(ENV)/bin/mypy
	$(ENV)/bin/lint-imports --no-logo
	$(MAKE) --no-print-directory doctest

SOAK_ENGINES := --seconds 150 --tasks 20000 --out docs/soak.md
soak-engines: .venv-engines
	for engine in slurm dask postgres; do .venv-engines/bin/python -m benchmarks.soak_engines $$engine $(SOAK_ENGINES) || exit 1; done

format: $(ENV)
	$(ENV)/bin/ruff check --fix-only
	$(ENV)/bin/ruff format

# One file for all supported Pythons and systems; no index, no host name, no path in it.
COMPILE = uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
          --no-header --no-annotate --no-emit-index-url
requirements:
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt >/dev/null
	$(COMPILE) pyproject.toml --group build --extra demo --constraints requirements/dev.txt \
	    -o requirements/demo.txt >/dev/null
	printf 'memento-ml==1.2.0\nnumpy<2\npandas<3\n' | $(COMPILE) - -o requirements/ancestor.txt >/dev/null
	printf 'exca==0.6.0\n' | $(subst 3.10,3.11,$(COMPILE)) - -o requirements/exca.txt >/dev/null

readme: $(ENV)
	$(ENV)/bin/python tools/outputs.py README.md docs/guide.md

# Figures of a machine, never asserted; tests/perf holds what does not depend on the machine.
bench: $(ENV) $(PEER_ENVS)
	@exec $(ENV)/bin/python -m benchmarks $(ARGS)

bench-full: $(ENV) $(PEER_ENVS)
	@exec $(ENV)/bin/python -m benchmarks --full $(ARGS)

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# Peers that cannot live in our environment: Memento 1.2.0 has our package's name and runs with NumPy 1 only, exca
# brings versions of its own and wants Python 3.11. Nothing of ours is installed there.
.venv-ancestor: PEER_PYTHONS := 3.11 3.10
.venv-exca: PEER_PYTHONS := 3.11 3.12 3.13
$(PEER_ENVS): .venv-%: requirements/%.txt
	@echo "Making $@ from $< (once) ..." >&2
	@rm -rf $@
	@"$$(tools/find-python $(PEER_PYTHONS))" -m venv $@
	@$@/bin/python -m pip install -qq --no-input --disable-pip-version-check --require-hashes -r $< && touch $@

# The checkpoints of tensors are measured, and tests of tensors and figures run, where this is: `make test-torch`. These are
# no requirements of ours and hundreds of megabytes, so PyTorch's version is all that is pinned.
TORCH := torch==2.13.0 matplotlib xarray
.venv-torch: $(ENV)
	@tools/extended-environment $@ $(ENV) $(TORCH)

# The programs that we exchange results with, as `make test-exchange` meets them.
EXCHANGE := mlflow==3.17.2 tensorboard==2.21.0 tensorboardX==2.6.5 optuna==5.0.0 hydra-core==1.3.8
.venv-exchange: $(ENV)
	@tools/extended-environment $@ $(ENV) $(EXCHANGE)

# What `make test-engines` needs beside the Debian packages slurm-wlm, munge, slurmdbd, mariadb-server, postgresql and pgbouncer.
ENGINES := "dask[distributed]==2026.8.0" ray==2.60.0 "psycopg[binary]==3.3.9" obstore==0.12.1 "moto[server]==5.2.5" \
           nvidia-ml-py==13.615.71
AZURITE := azurite@3.35.0
.venv-engines: $(ENV)
	@tools/extended-environment $@ $(ENV) $(ENGINES)
	@[ -d $@/node_modules/azurite ] || npm install --silent --no-audit --no-fund --prefix $@ $(AZURITE) || \
	    echo "no $(AZURITE) could be installed by npm: the tests of Azure's object store are skipped" >&2

# tools/environment knows by content whether there is anything to do.
OTHER_ENVS := $(PYTHONS:%=.venv-%)
.PHONY: $(ENV) $(DEMO_ENV) $(OTHER_ENVS) .venv-torch .venv-exchange .venv-engines
$(ENV):
	@tools/environment $(ENV) requirements/dev.txt $(PYTHONS)
$(DEMO_ENV):
	@tools/environment $(DEMO_ENV) requirements/demo.txt $(PYTHONS)
$(OTHER_ENVS): .venv-%:
	@tools/environment $@ requirements/dev.txt $*
