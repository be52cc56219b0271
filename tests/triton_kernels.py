"""The kernels in Triton's interpreter, on the CPU, for tests."""

import contextlib
import importlib
import sys
from collections.abc import Iterator

import pytest
import torch

from alexrep import kernels
from alexrep.kernels import choice

CPU = torch.device("cpu")
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@contextlib.contextmanager
def interpreted() -> Iterator[None]:
    """Have all modules of kernels that are imported in the block run in Triton's interpreter.

    Triton asks its variable when a kernel is defined: modules from before, or from the block, are
    of no use on the other side of its border.
    """
    pytest.importorskip("triton")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        _forget()
        yield
        _forget()


@contextlib.contextmanager
def compiled_here() -> Iterator[None]:
    """Have all modules of kernels that are imported in the block be ready to be compiled."""
    pytest.importorskip("triton")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TRITON_INTERPRET", raising=False)
        _forget()
        yield
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.startswith("alexrep.kernels.")]:
        if sys.modules[name] is not choice:
            del sys.modules[name]
            delattr(kernels, name.rpartition(".")[2])
    importlib.invalidate_caches()
