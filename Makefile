# Two commands: `make encode SOURCE=film.mkv OUT=out` and `make test`. Everything else serves them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= out
# three on two cores: a good part of the tests waits for browsers and servers
JOBS   ?= 3
MINUTES ?= 30
SEED   ?= 1
CODE   := raven watcher master worker scrub.py tests benchmarks

.PHONY: help encode check test test-fast faults chaos lock settings-example clean
.DELETE_ON_ERROR:

help:
	@echo 'make encode SOURCE=film.mkv OUT=out   encode a film on this machine (a test picture without SOURCE)'
	@echo 'make test                             install what the tests need, run all of them'
	@echo 'make test-fast                        the tests that need no server and no browser'
	@echo 'make faults                           every kind of fault once, on real servers'
	@echo 'make chaos MINUTES=30 SEED=1           random faults over a stream of tasks; the seed reproduces them'
	@echo 'make check                            lint, types, architecture'
	@echo 'make lock                             renew the lock files after a change of setup.cfg'
	@echo 'make settings-example                 renew deploy/raven.env.example after a change of raven/config.py'

# --- environment -----------------------------------------------------------------------------------------------

$(BIN)/python:
	@deploy/venv.sh $(PYTHON) $(VENV)

$(VENV)/.installed: requirements.lock setup.cfg pyproject.toml | $(BIN)/python
	@echo 'installing Raven into $(VENV)'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

lock:
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --output-file requirements.lock setup.cfg requirements.in
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --extra dev --output-file requirements-dev.lock setup.cfg requirements.in

settings-example: $(VENV)/.installed
	$(BIN)/python -m raven.settings_example > deploy/raven.env.example

# --- use -------------------------------------------------------------------------------------------------------

encode: $(VENV)/.installed
	@deploy/encode.sh '$(BIN)' '$(SOURCE)' '$(OUT)'

# --- tests -----------------------------------------------------------------------------------------------------

check: $(VENV)/.dev
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/pytest -q tests/unit/test_architecture.py

test-fast: $(VENV)/.dev
	$(BIN)/pytest -q -n $(JOBS) -m 'not servers and not players and not slow'

test: check
	tests/install.sh
	RAVEN_TEST_SERVERS=require $(BIN)/pytest -n $(JOBS) --dist loadgroup

faults: $(VENV)/.dev
	RAVEN_TEST_FAULTS=1 RAVEN_TEST_SERVERS=require $(BIN)/pytest -v tests/fault

chaos: $(VENV)/.dev
	$(BIN)/python -m tests.fault.chaos --minutes $(MINUTES) --seed $(SEED)

clean:
	rm -rf $(VENV) .cache build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
