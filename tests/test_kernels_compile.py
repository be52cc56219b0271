"""The kernels compile for the GPUs that they are made for, whether one is here or not."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from triton_kernels import compiled_here

MAPS = {"AFTER_RELU": True, "STEP": 1, "CHANNELS": 48, "WIDE": False, "BLOCK": 512}
COLUMNS = {"STEP": 256, "ROWS": 27, "COLUMNS": 27, "WIDE": True, "BLOCK": 128}
MASKS = {"IS_HALF": False, "IS_SCALED": True, "WIDE": False, "BLOCK": 1024}
PATCHES = {"STORED": 256, "SIDE": 224, "PADDED": 227, "FOLLOWS": True, "IS_BGR": True}
PATCHES |= {"IS_NOISY": True, "IS_SCALED": True, "WIDE": True, "BLOCK": 1024}
HALF, SCALES = "*bf16", ["i32", "fp32", "fp32"]

KERNELS: list[tuple[str, str, list[str], dict[str, object]]] = [
    ("across_maps", "_forward", [HALF] * 2 + SCALES, dict(MAPS)),
    ("across_maps", "_backward", [HALF] * 3 + SCALES, dict(MAPS)),
    ("within_map", "_forward", [HALF] * 2 + SCALES, dict(COLUMNS)),
    ("within_map", "_backward", [HALF] * 3 + SCALES, dict(COLUMNS)),
    ("dropout", "_masked", [HALF, "*i64", HALF, *["i32"] * 3, "i64", "fp32"], dict(MASKS)),
    ("patches", "_make", ["*u8", "*i64", *["*fp32"] * 3, HALF, "i64", "fp32"], dict(PATCHES)),
    ("momentum_2012", "_update", ["*i64"] * 2 + ["fp32"] * 3, {"DECAYS": True, "BLOCK": 1024}),
]
"""Module, kernel, types of its arguments, and its constants."""


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_to_machine_code(
    capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    with compiled_here():
        from triton import compiler
        from triton.backends.compiler import GPUTarget

        for module, name, kinds, constants in KERNELS:
            kernel: Any = getattr(importlib.import_module(f"alexrep.kernels.{module}"), name)
            names, rest = list(kernel.arg_names), iter(kinds)
            signature = {n: "constexpr" if n in constants else next(rest) for n in names}
            values = {(names.index(n),): value for n, value in constants.items()}
            source = compiler.ASTSource(fn=kernel, signature=signature, constexprs=values)
            made = compiler.compile(source, target=GPUTarget("cuda", capability, 32))
            assert made.asm["cubin"], (module, name)
