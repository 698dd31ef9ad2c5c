# Everything is made on first use, in the virtual environment .venv. PYTHON=python3.12 picks the interpreter.

VENV := .venv
# Python keeps what it has compiled, whatever the environment says: otherwise a node would take twice as long to start.
unexport PYTHONDONTWRITEBYTECODE
# What is given to make is text. `value` is that text as it was typed; $(NAME) would run a $(shell ...) in it.
unexport $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
PYTHON ?= python3

# Some shells export HOST, PORT or WAIT and mean something else: these count only where they were given to make itself.
given = $(if $(filter command,$(origin $(1))),$(value $(1)))
option = $(if $(2),$(1) '$(subst ','\'',$(2))')

.PHONY: help test grade $(NAMES)

help: ## list the targets
	@echo 'make test     the tasks of $(THIS) and your score; TASK=3 is one task, ARGS="-x" or ARGS=path goes to pytest, ALL=1 shows all'
	@echo 'make grade    your node as a grader sees it, with points; ONLY=criterion SEED=7 repeats one; SLOW=1 checks all'
	@echo 'make $(lastword $(NAMES))   a node; PEER=host:port HOST=... PORT=... ANNOUNCE=host:port WAIT=seconds, ARGS=--help shows the options'

test: $(VENV)/installed
	@exec $(VENV)/bin/python -m lab.tasks $(THIS) $(call option,--task,$(call given,TASK)) \
		$(if $(filter-out 0,$(call given,ALL)),--all) $(value ARGS)

grade: $(VENV)/installed
	@exec $(VENV)/bin/python -m lab.grade --stage $(or $(call given,STAGE),$(patsubst stage%,%,$(lastword $(NAMES)))) \
		$(call option,--only,$(call given,ONLY)) $(call option,--seed,$(call given,SEED)) \
		$(if $(filter-out 0,$(call given,SLOW)),--slow) $(value ARGS)

$(NAMES): $(VENV)/installed
	@exec $(VENV)/bin/python -m $(filter $@_%,$(STAGES)) $(call option,--peer,$(value PEER)) \
		$(call option,--host,$(call given,HOST)) $(call option,--port,$(call given,PORT)) \
		$(call option,--announce,$(call given,ANNOUNCE)) $(call option,--wait,$(call given,WAIT)) $(value ARGS)

# If two makes run together, one waits, and then checks again. The lock is on the open Makefile, and ends with the recipe.
# Python takes it, since macOS has no flock(1).
$(VENV)/installed: requirements.txt
	@if [ -w Makefile ]; then exec 9<>Makefile; else exec 9<Makefile; fi; lock='import fcntl; fcntl.flock(9, fcntl.LOCK_EX'; \
	$(PYTHON) -c "$$lock | fcntl.LOCK_NB)" 2>/dev/null || { \
		echo 'another make is at work on $(VENV): waiting for it' >&2; $(PYTHON) -c "$$lock)" 2>/dev/null; }; \
	if [ $@ -nt requirements.txt ]; then exit; fi; \
	echo 'making $(VENV) with $(PYTHON)' >&2; \
	$(PYTHON) -m venv --clear $(VENV) && \
	$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet -r requirements.txt && \
	touch $@
