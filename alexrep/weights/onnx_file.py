"""A traced network as an ONNX file, which other runtimes compute."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from alexrep.errors import AlexrepError, DataError, mismatch
from alexrep.runs.exported import Exported
from alexrep.weights.calls import IMAGES, first_line

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What is needed to write a file and to compute with it: the extra `export`."""
OUTPUT = "probabilities"


def require_packages() -> None:
    """Refuse to go on without what `PACKAGES` names.

    Raises:
        AlexrepError: If one is not installed.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        wanted, found = f"the packages {', '.join(PACKAGES)}", f"no {' and no '.join(missing)}"
        raise AlexrepError(mismatch("--onnx", wanted, found, "run ./install.sh export"))


def write(program: ExportedProgram, path: Path, config: Exported) -> None:
    """Write a network as ONNX: uint8 images (N, S, S, 3) in, float32 probabilities (N, K) out.

    Args:
        program: As `calls.trace` returns it.
        path: The file to write.
        config: What the network is; its classes go into the file.

    Raises:
        DataError: If ONNX lacks an operator that the network needs.
    """
    from onnx_ir import Shape, SymbolicDim  # noqa: PLC0415 (an optional package)
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass  # noqa: PLC0415 (the same)
    from torch.onnx.errors import OnnxExporterError  # noqa: PLC0415 (asks for the same)

    try:
        written = torch.onnx.export(
            program, input_names=[IMAGES], output_names=[OUTPUT], dynamo=True, verbose=False
        )
    except OnnxExporterError as error:
        wanted, advice = "operators that ONNX has", "leave --onnx out"
        where = f"network of {config.name}"
        raise DataError(mismatch(where, wanted, first_line(error), advice)) from None
    assert written is not None, "as dynamo is set"  # noqa: S101
    # Traces of the source, with the paths of this machine.
    model = ClearMetadataAndDocStringPass()(written.model).model
    computed = (out for node in model.graph.all_nodes() for out in node.outputs)
    for value in (*model.graph.inputs, *computed):
        if value.shape is not None:
            value.shape = Shape("N" if isinstance(dim, SymbolicDim) else dim for dim in value.shape)
    model.producer_name, model.producer_version = "alexrep", config.program
    model.metadata_props["classes"] = json.dumps([row["wnid"] for row in config.classes])
    written.save(path)


def run(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the probabilities of images (N, S, S, 3) by an ONNX file: (N, K)."""
    from onnxruntime import InferenceSession  # noqa: PLC0415 (an optional package)

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {IMAGES: images})[0])
