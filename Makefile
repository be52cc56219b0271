# alexrep: see README.md. PYTHON=python3.12 make install chooses the interpreter of .venv.

# Allows root's tests to install Debian's packages of Slurm; empty forbids it.
ALEXREP_INSTALL_SLURM ?= yes
test coverage: export ALEXREP_INSTALL_SLURM := $(ALEXREP_INSTALL_SLURM)

# One thread each: networks at work on the same cores wait for one another. Three workers for two
# cores: many tests wait for signals, locks and Slurm.
python = OMP_NUM_THREADS=1 .venv/bin/python
# In CI in the order of the files; elsewhere in a random one, whose seed is printed.
tests = pytest -n 3 --dist loadfile $(if $(CI),-p no:randomly --durations=50)

# What the tasks below work on, as in: make train-alexnet-2012 DATA=/big/data ARGS='--device cuda:1'
DATA ?= data
RUNS ?= runs
PORT ?= 6006
ARGS ?=
alexrep = .venv/bin/alexrep

.PHONY: help install demo test check coverage lint constraints docs gallery notebook visualize report tensorboard

help:
	@echo 'make install   set up .venv, with pillow-simd if it can be built'
	@echo 'make demo      make install, then the whole pipeline on the demo edition'
	@echo 'make test      make install with the test extras, then all tests (root can run those of Slurm)'
	@echo 'make check     make lint, then the quick tests: before each commit'
	@echo 'make coverage  make test, and the share of lines that it ran, by folder'
	@echo 'make docs      docs/cli.md from the help of the commands, and the site: build/site;'
	@echo '               after make demo with the notebooks run, the lesson apart'
	@echo 'make gallery   docs/gallery: the report of the demo, and some pictures'
	@echo 'make constraints  constraints.txt of what is installed, for PIP_CONSTRAINT'
	@echo 'make lint      make install with the test extras, then linters and types only'
	@echo
	@echo 'With DATA=$(DATA) RUNS=$(RUNS) ARGS=..., for any RECIPE of alexrep recipes:'
	@echo 'make train-RECIPE       train $(RUNS)/RECIPE, or go on with it'
	@echo 'make background-RECIPE  the same in the background: prints its process and its log'
	@echo 'make resume-RECIPE      go on with $(RUNS)/RECIPE, by the recipe that it began with'
	@echo 'make eval-RECIPE        score it, centre and ten-crop'
	@echo 'make notebook           open the notebooks in Jupyter'
	@echo 'make visualize          all pictures of the runs there'
	@echo 'make report             $(RUNS)/report.html of all runs there'
	@echo 'make tensorboard        curves of all runs there, on port $(PORT)'

install:
	@./install.sh

demo: install
	.venv/bin/alexrep demo

test:
	@./install.sh test
	$(python) -m $(tests)

check: lint
	$(python) -m $(tests) -m 'not slow and not slurm and not gpu'

# Processes that the tests start are counted; those that they kill take their counts with them.
coverage:
	@./install.sh test
	@rm -f .coverage .coverage.*
	$(python) -m coverage run -m $(tests)
	@$(python) -m coverage combine --quiet
	@for folder in alexrep stages plots; do \
		printf '%-8s' $$folder; $(python) -m coverage report --include="$$folder/*" | tail -n 1; \
	done

lint:
	@./install.sh test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-logo
	.venv/bin/python tests/typecheck.py

constraints:
	@./install.sh test
	.venv/bin/python tests/constraints.py > constraints.txt

docs:
	@./install.sh docs
	.venv/bin/python -m alexrep.stages.cli.reference > docs/cli.md
	.venv/bin/python -m sphinx -q -E -W --keep-going -b html -c docs . build/site
	@echo 'build/site/docs/index.html'

gallery: demo
	.venv/bin/alexrep plot alexrep-demo/run --out docs/gallery/demo \
		--only curves --only network --only confusion --only calibration --only predictions
	.venv/bin/alexrep similar alexrep-demo/run --data alexrep-demo/data \
		--plot docs/gallery/demo/similar.png
	.venv/bin/alexrep report alexrep-demo/run --data alexrep-demo/data --out docs/gallery/demo.html
	.venv/bin/python docs/smaller.py docs/gallery

train-%:
	$(alexrep) train $(DATA) --run $(RUNS)/$* --recipe $* $(ARGS)

# A signal to the process that is printed (kill N) saves a checkpoint and ends the training.
background-%:
	@mkdir -p $(RUNS)
	@log=$(RUNS)/$*-$$(date +%Y%m%d-%H%M%S).log; \
	nohup $(alexrep) train $(DATA) --run $(RUNS)/$* --recipe $* $(ARGS) >"$$log" 2>&1 </dev/null & \
	echo "process $$!, log $$log"

resume-%:
	$(alexrep) train $(DATA) --run $(RUNS)/$* --resume must $(ARGS)

eval-%:
	$(alexrep) eval $(RUNS)/$* --data $(DATA) --views centre,ten-crop $(ARGS)

report:
	$(alexrep) report $(dir $(wildcard $(RUNS)/*/recipe.toml)) --out $(RUNS)/report.html $(ARGS)

# Of several runs: the curves of all in one picture, and a folder of pictures for each.
visualize:
	$(alexrep) plot $(dir $(wildcard $(RUNS)/*/recipe.toml)) --out $(RUNS)/plots $(ARGS)

notebook:
	@./install.sh notebook
	.venv/bin/jupyter lab notebooks $(ARGS)

tensorboard:
	.venv/bin/tensorboard --logdir $(RUNS) --port $(PORT) $(ARGS)
