# Everything is made on first use, in the virtual environment .venv. Stamps in it say what is there: "made", and
# "installed-..." for each group of pyproject.toml. A stamp is written last, so what was interrupted is done again.
# The project itself is not installed, it runs from this folder: pip has nothing to build, and no copy grows stale.

VENV := .venv
RUN := $(VENV)/bin/python -m
STAGES := stage1_chat stage2_ledger stage3_signed stage4_sequencer stage5_pos

# Python keeps what it has compiled, whatever the environment says: otherwise a node would take twice as long to start.
# `make clean` removes it.
unexport PYTHONDONTWRITEBYTECODE

# What is given to make is text, and may be pasted from anywhere. `value` is that text as it was typed; $(NAME) would run
# a $(shell ...) in it. Make would run it, too, to put it into the environment of programs, so that is switched off.
unexport $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))

# .venv keeps its interpreter until PYTHON names another one, or until the interpreter is gone.
MADE_WITH := $(shell test -x $(VENV)/bin/python && cat $(VENV)/made 2>/dev/null)
PYTHON ?= $(or $(MADE_WITH),python3)

# Some shells and build tools export HOST, PORT or WAIT and mean something else, so these count only where they were
# given to make itself. All but ARGS is quoted; ARGS is several words, cut by the shell: ARGS='--wallet "my wallet"'.
given = $(if $(filter command,$(origin $(1))),$(value $(1)))
option = $(if $(2),$(1) '$(subst ','\'',$(2))')
node_options = $(call option,--peer,$(value PEER)) $(call option,--host,$(call given,HOST)) \
	$(call option,--port,$(call given,PORT)) $(call option,--announce,$(call given,ANNOUNCE)) \
	$(call option,--wait,$(call given,WAIT)) $(value ARGS)

.PHONY: help clean bench soak compare attacks experiment experiments handout network lint test test-long test1 \
	test2 test3 test4 test5 grade read grade-flaky test-handout grade-all mutants \
	stage1 stage2 stage3 stage4 stage5 again
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s%s\n", $$1, $$2 }' Makefile
	@echo 'A node takes PEER=host:port HOST=... PORT=... ANNOUNCE=host:port WAIT=seconds ARGS="more options".'
	@echo 'PYTHON=python3.12 picks the interpreter.'

# --- nodes -------------------------------------------------------------------------------------------------------

stage1: ## a node of the chat room
stage2: ## a node of the replicated ledger
stage3: ## a node of the ledger of signed transactions
stage4: ## a node of the ledger in one order, set by a sequencer
stage5: ## a node of the ledger ordered by a proof-of-stake blockchain

# exec: no shell between make and the node, which gets the terminal and the signals.
stage1 stage2 stage3 stage4 stage5: $(VENV)/installed-run
	@exec $(RUN) $(filter $@_%,$(STAGES)) $(node_options)

# --- tests, lint, bench ------------------------------------------------------------------------------------------

test: ## all tests but those that take minutes; ARGS="-k fork" goes to pytest, here and below
test1: ## the tests of stage 1
test2: ## the tests of stage 2
test3: ## the tests of stage 3
test4: ## the tests of stage 4
test5: ## the tests of stage 5

# Four tests at a time, even on two cores: tests are independent, and many wait more than they compute.
test test1 test2 test3 test4 test5: $(VENV)/installed-test
	@exec $(RUN) pytest --numprocesses=4 --dist=worksteal \
		$(patsubst %,tests/%,$(filter $(@:test%=stage%)_%,$(STAGES))) $(value ARGS)

# Tests that take minutes are marked `long`, and the targets above leave them out. They run one at a time, since some
# fill the machine.
test-long: $(VENV)/installed-test ## the tests that take minutes each
	@exec $(RUN) pytest -m long --timeout=900 $(value ARGS)

lint: $(VENV)/installed-lint ## ruff, mypy and proselint on all files, and a search for duplicated code
	@$(RUN) ruff check --quiet --output-format=concise; ruff=$$?; $(RUN) mypy; mypy=$$?; \
	$(RUN) tests.house.prose; prose=$$?; \
	$(RUN) pylint --score=n common stage*_* lab tests && exit $$((ruff | mypy | prose))

bench: $(VENV)/installed-run ## measure ten nodes on this machine; JSON=1 prints JSON
	@exec $(RUN) lab.bench $(if $(filter-out 0,$(value JSON)),--json) $(value ARGS)

soak: $(VENV)/installed-run ## a network in trouble for MINUTES=30; STAGE=2 to 5 (5 if not given)
	@exec $(RUN) lab.soak $(call option,--minutes,$(value MINUTES)) $(call option,--stage,$(value STAGE)) $(value ARGS)

# --- what a teacher does with the stages -------------------------------------------------------------------------

is_set = $(filter-out 0,$(call given,$(1)))

compare: $(VENV)/installed-lab ## a table of all stages; A=3 B=4: two side by side; HIDE=1: only what differs; WHOLE=1: with inherited code; HTML=out.html
	@exec $(RUN) lab.compare $(call option,-A,$(call given,A)) $(call option,-B,$(call given,B)) \
		$(call option,--html,$(call given,HTML)) $(if $(call is_set,WHOLE),--whole) $(if $(call is_set,HIDE),--hide)

read: $(VENV)/installed-lab ## print the whole node of STAGE=5 as one text, in reading order; ALL=1: with the code of common/ that it runs; HTML=out.html
	@exec $(RUN) lab.read $(call option,--stage,$(call given,STAGE)) $(call option,--html,$(call given,HTML)) \
		$(if $(call is_set,ALL),--all)

attacks: $(VENV)/installed-lab ## the same attacks on real nodes of every stage; HTML=out.html SEED=7 ARGS="--only overdraft --stage 4"
	@exec $(RUN) lab.attacks $(call option,--html,$(call given,HTML)) $(call option,--seed,$(call given,SEED)) $(value ARGS)

experiment_needs = $(VENV)/installed-$(if $(call given,ENGINE),cluster,experiments)

experiment: $(experiment_needs) ## measure NAME=lottery next to theory, into run/experiments/; QUICK=1 SEED=7; ENGINE=tcp://scheduler:8786 on a Dask cluster
	@exec $(RUN) lab.experiments $(experiment_options) $(call option,--,$(value NAME))

experiments: $(experiment_needs) ## all experiments, one after the other; QUICK=1 SEED=7; ENGINE=tcp://scheduler:8786
	@exec $(RUN) lab.experiments --all $(experiment_options)

experiment_options = $(if $(call is_set,QUICK),--quick) $(call option,--seed,$(call given,SEED)) \
	$(call option,--engine,$(call given,ENGINE)) $(value ARGS)

# TIMEOUT_FACTOR is for a slow machine, so it counts from the environment too.
grade_options = $(call option,--stage,$(call given,STAGE)) $(call option,--node,$(call given,NODE)) \
	$(call option,--in,$(call given,IN)) $(call option,--to,$(call given,TO)) $(call option,--seed,$(call given,SEED)) \
	$(call option,--only,$(call given,ONLY)) $(if $(call is_set,CLI_ONLY),--cli-only) \
	$(if $(call is_set,ONLY_THIS_STAGE),--only-this-stage) $(if $(call is_set,SLOW),--slow) \
	$(call option,--timeout-factor,$(value TIMEOUT_FACTOR))

grade-all: $(VENV)/installed-test ## grade every submission of STAGE=3 in SUBMISSIONS=folder; run it again to continue; POINTS=points.toml TO=results SEED=7 ONLY=criteria CLI_ONLY=1 ONLY_THIS_STAGE=1 SLOW=1
	@exec $(RUN) lab.gradeall $(call option,--submissions,$(call given,SUBMISSIONS)) \
		$(call option,--stage,$(call given,STAGE)) $(call option,--to,$(call given,TO)) \
		$(call option,--points,$(call given,POINTS)) $(call option,--seed,$(call given,SEED)) \
		$(call option,--only,$(call given,ONLY)) $(if $(call is_set,CLI_ONLY),--cli-only) \
		$(if $(call is_set,ONLY_THIS_STAGE),--only-this-stage) $(if $(call is_set,SLOW),--slow) $(value ARGS)

mutants: $(VENV)/installed-test ## check that the grader notices 249 wrong programs, and write docs/mutants.md; STAGE=2 ONLY=name WHOLE=1
	@exec $(RUN) tests.mutants $(call option,--stage,$(call given,STAGE)) $(call option,--only,$(call given,ONLY)) \
		$(if $(call is_set,WHOLE),--whole) $(value ARGS)

grade: $(VENV)/installed-test ## grade a node of STAGE=3: ours, or NODE="./theirs --stage 3" IN=folder; TO=results SEED=7 ONLY=criterion CLI_ONLY=1 ONLY_THIS_STAGE=1 SLOW=1
	@exec $(RUN) lab.grade $(grade_options) $(value ARGS)

grade-flaky: $(VENV)/installed-test ## grade a node TIMES=20 times, with the options of grade; list the criteria whose verdict changes
	@exec $(RUN) lab.grade.flaky $(grade_options) $(call option,--times,$(call given,TIMES)) $(value ARGS)

handout: $(VENV)/installed-run ## write to TO=folder what students of STAGE=3 get: that stage without its bodies; WITH=tasks.toml changes points
	@exec $(RUN) lab.handout $(call option,--stage,$(call given,STAGE)) $(call option,--to,$(call given,TO)) \
		$(call option,--with,$(call given,WITH))

test-handout: $(VENV)/installed-test ## run the tests of a handout of STAGE=3, from a fresh copy, on a student's folder OF=folder; WITH=tasks.toml
	@exec $(RUN) lab.handout.pristine $(call option,--stage,$(call given,STAGE)) $(call option,--of,$(call given,OF)) \
		$(call option,--with,$(call given,WITH))

network: $(VENV)/installed-lab ## a network in one terminal: STAGE=1 to 5 (5 if not given), N=10 nodes
	@exec $(RUN) lab.live $(call option,--stage,$(call given,STAGE)) $(call option,--nodes,$(call given,N)) $(value ARGS)

clean: ## remove .venv and the caches; wallets and keys stay
	@rm -rf $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

# --- the virtual environment -------------------------------------------------------------------------------------

# "new" if PYTHON is new enough, "new venv" if it can also make virtual environments.
abilities = $(shell $(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11); print("new"); \
	import venv, ensurepip; print("venv")' 2>/dev/null)
advice = or name another Python, as in: make $(MAKECMDGOALS) PYTHON=python3.12

# Prints what a group of pyproject.toml needs, one requirement a line; "run" is what every node and its prompt need.
print_requirements = import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	optional = project["optional-dependencies"]; \
	groups = {"run": [*project["dependencies"], *optional["terminal"]], **optional}; \
	print(*groups[sys.argv[1]], sep="\n")

# The first lines of a recipe that only one make at a time may run in this folder. Another make waits, and then checks
# again what is left to do. The shell holds the lock, on the open Makefile, so the lock ends when the recipe ends.
# Python takes it, since macOS has no flock(1). Where the disk has no locks, a make says the same, and goes on at once.
define alone
if [ -w Makefile ]; then exec 9<>Makefile; else exec 9<Makefile; fi; lock='import fcntl; fcntl.flock(9, fcntl.LOCK_EX'; \
	$(PYTHON) -c "$$lock | fcntl.LOCK_NB)" 2>/dev/null || { \
		echo 'another make is at work on $(VENV): waiting for it' >&2; $(PYTHON) -c "$$lock)" 2>/dev/null; }
endef

ifneq ($(PYTHON),$(MADE_WITH))
$(VENV)/made: again
endif
$(VENV)/made:
	@$(if $(filter new,$(abilities)),,$(error $(PYTHON) is not Python 3.11 or newer: install one, $(advice)))
	@$(if $(filter venv,$(abilities)),,$(error $(PYTHON) lacks venv: install it (Debian, Ubuntu: apt install python3-venv), $(advice)))
	@$(alone); \
	if [ -x $(VENV)/bin/python ] && [ "$$(cat $@ 2>/dev/null)" = '$(PYTHON)' ]; then exit; fi; \
	echo 'making $(VENV) with $(PYTHON)' >&2; \
	log=$$($(PYTHON) -m venv --clear $(VENV) 2>&1) || { echo "$$log" >&2; exit 1; }; \
	echo '$(PYTHON)' > $@

# What pip says is shown only if it fails. --no-compile halves the time; Python compiles what it imports.
$(VENV)/installed-run $(VENV)/installed-lab $(VENV)/installed-experiments $(VENV)/installed-cluster $(VENV)/installed-test $(VENV)/installed-lint: $(VENV)/installed-%: pyproject.toml $(VENV)/made
	@$(alone); \
	if [ $@ -nt pyproject.toml ] && [ $@ -nt $(VENV)/made ]; then exit; fi; \
	echo 'installing into $(VENV) what pyproject.toml lists for $*' >&2; \
	$(VENV)/bin/python -c '$(print_requirements)' $* > $(VENV)/$*.txt || exit 1; \
	log=$$($(RUN) pip --disable-pip-version-check install --no-input --no-compile -r $(VENV)/$*.txt 2>&1) || \
		{ echo "$$log" >&2; echo 'pip has failed, see above; make $(MAKECMDGOALS) tries again' >&2; exit 1; }; \
	touch $@

$(VENV)/installed-lab: $(VENV)/installed-run
$(VENV)/installed-experiments: $(VENV)/installed-lab
$(VENV)/installed-cluster: $(VENV)/installed-experiments
$(VENV)/installed-test: $(VENV)/installed-cluster
$(VENV)/installed-lint: $(VENV)/installed-test
