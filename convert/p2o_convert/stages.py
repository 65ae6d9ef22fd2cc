"""Run an ONNX or TFLite form of the model on one canonical image."""

from pathlib import Path

import numpy as np

from p2o_convert.activations import normalise
from p2o_convert.flatbuffer import read_spec
from p2o_convert.onnx_export import load_onnx
from p2o_convert.quiet import quiet
from p2o_train.predictors import Predictor
from points2objects.bundle import MOST_MODEL_BYTES
from points2objects.errors import InputError
from points2objects.files import read_file
from points2objects.geometry import ByteArray
from points2objects.interpreter import INPUT, Interpreter
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap, OutputMaps
from points2objects.trial import try_model


def onnx_predictor(path: Path, spec: ModelSpec, threads: int = 0) -> Predictor:
    """Run an ONNX file in onnxruntime.

    Args:
        path: The file.
        spec: The model's contract.
        threads: CPU threads; all cores when 0.

    Raises:
        InputError: It is not readable, or its outputs are not the spec's.
    """
    import onnxruntime

    have = [output.name for output in load_onnx(path).graph.output]
    names = list(spec.outputs)
    if have != names:
        raise InputError(f"{path}: expected the outputs {names}, got {have}")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with quiet("onnxruntime"):
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def predict(image: ByteArray) -> OutputMaps:
        feed = {INPUT: normalise(image, spec).transpose(0, 3, 1, 2)}
        outputs = [np.asarray(output) for output in session.run(names, feed)]
        return {
            name: OutputMap(np.ascontiguousarray(output[0].transpose(1, 2, 0)))
            for name, output in zip(names, outputs, strict=True)
        }

    return predict


def tflite_predictor(tflite: bytes, spec: ModelSpec, threads: int) -> Predictor:
    """Run a .tflite file in the runtime's own interpreter."""
    with quiet("interpreter"):
        return Interpreter(tflite, spec, threads=threads).run


def file_predictor(path: Path, spec: ModelSpec, threads: int) -> Predictor:
    """Run an existing .onnx or .tflite file.

    Raises:
        InputError: It is missing, damaged, or made for another spec.
        BundleError: It failed its trial.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".onnx":
        return onnx_predictor(path, spec)
    if path.suffix != ".tflite":
        raise InputError(f"{path}: expected a bundle, a .tflite or an .onnx file")
    tflite = read_file(path, MOST_MODEL_BYTES)
    have = read_spec(tflite, str(path))
    if have.outputs != spec.outputs or have.shapedb_digest != spec.shapedb_digest:
        raise InputError(
            f"{path}: made for another model ({have.name!r}, shape database "
            f"{have.shapedb_digest[:8]}) than the run ({spec.name!r}, {spec.shapedb_digest[:8]})"
        )
    try_model(tflite, spec)
    return tflite_predictor(tflite, spec, threads)
