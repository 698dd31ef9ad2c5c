# Everything is made on first use, in the virtual environment .venv. PYTHON=python3.12 picks the interpreter.

VENV := .venv
# Python keeps what it has compiled, whatever the environment says: a node would take twice as long to start.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3

# Some shells export HOST or PORT and mean something else: these two count only where they were given to make itself.
given = $(if $(filter command,$(origin $(1))),$($(1)))

.PHONY: help test $(NAMES)

help: ## list the targets
	@echo 'make test     the tests of $(THIS); ARGS="-x -k fork" goes to pytest'
	@echo 'make $(lastword $(NAMES))   a node; PEER=host:port HOST=... PORT=..., ARGS=--help shows the options'

# A file of tests that needs one of your functions to be loaded is an error until that is written, and no reason to stop.
test: $(VENV)/installed
	@exec $(VENV)/bin/python -m pytest --continue-on-collection-errors --numprocesses=2 tests/$(THIS) $(ARGS)

$(NAMES): $(VENV)/installed
	@exec $(VENV)/bin/python -m $(filter $@_%,$(STAGES)) $(if $(PEER),--peer '$(PEER)') \
		$(if $(call given,HOST),--host '$(HOST)') $(if $(call given,PORT),--port '$(PORT)') $(ARGS)

$(VENV)/installed: requirements.txt
	@echo 'making $(VENV) with $(PYTHON)' >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet -r requirements.txt
	@touch $@
