"""`python -m alexrep.stages`, as torchrun and multiprocessing start it."""

from . import run

if __name__ == "__main__":
    run()
