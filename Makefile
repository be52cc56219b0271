# alexrep: see README.md. PYTHON=python3.12 make install chooses the interpreter of .venv.

# Allows root's tests to install Debian's packages of Slurm; empty forbids it.
ALEXREP_INSTALL_SLURM ?= yes
test: export ALEXREP_INSTALL_SLURM := $(ALEXREP_INSTALL_SLURM)

.PHONY: help install demo test lint

help:
	@echo 'make install   set up .venv, with pillow-simd if it can be built'
	@echo 'make demo      make install, then the whole pipeline on the demo edition'
	@echo 'make test      make install with the test extras, then all tests; as root, with Slurm'
	@echo 'make lint      make install with the test extras, then the linters only'

install:
	@./install.sh

demo: install
	.venv/bin/alexrep demo

test:
	@./install.sh test
	@# One thread each: networks at work on the same cores wait for one another. Three workers for
	@# two cores: many tests wait for signals, locks and Slurm.
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 3 --dist loadfile

lint:
	@./install.sh test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-logo
	.venv/bin/python tests/typecheck.py
