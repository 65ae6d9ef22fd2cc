"""Run a .tflite and read every activation on the way, not only the outputs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_convert.quiet import quiet
from points2objects.geometry import ByteArray, FloatArray
from points2objects.interpreter import INPUT, apply_table, input_table
from points2objects.spec import ModelSpec


def normalise(image: ByteArray, spec: ModelSpec) -> FloatArray:
    """Make the network's input, (1, h, w, 3) float32, of an image (h, w, 3)."""
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    return np.asarray(((image.astype(np.float32) - mean) / std)[None], np.float32)


class ActivationReader:
    """An interpreter that keeps what every operator wrote.

    Attributes:
        names: Tensors that can be read: the input and the output of every operator, in order.
    """

    def __init__(self, tflite: bytes, spec: ModelSpec, threads: int = 1) -> None:
        """Load a model.

        Args:
            tflite: The file's bytes, float or quantised.
            spec: The model's contract.
            threads: CPU threads.
        """
        from ai_edge_litert.interpreter import Interpreter

        with quiet("interpreter"):
            self._interpreter = Interpreter(
                model_content=tflite, num_threads=threads, experimental_preserve_all_tensors=True
            )
            self._interpreter.allocate_tensors()
        self._spec = spec
        (self._input,) = self._interpreter.get_input_details()
        self._is_float = self._input["dtype"] == np.float32
        self._table = None if self._is_float else input_table(spec, self._input)
        by_index = {d["index"]: d for d in self._interpreter.get_tensor_details()}
        # Private, but the only way to tell activations from constants.
        operators = self._interpreter._get_ops_details()
        written = [int(i) for o in operators if o["op_name"] != "DELEGATE" for i in o["outputs"]]
        self._details = {INPUT: self._input}
        self._details |= {by_index[i]["name"]: by_index[i] for i in written}
        self.names = tuple(self._details)

    def run(self, image: ByteArray) -> None:
        """Run the network on one canonical image, (s, s, 3) uint8 RGB."""
        values = normalise(image, self._spec) if self._is_float else apply_table(self._table, image)
        self._interpreter.set_tensor(self._input["index"], values)
        self._interpreter.invoke()

    def read(self, name: str) -> FloatArray:
        """Return an activation of the last run, in real units."""
        details = self._details[name]
        return dequantise_values(self._interpreter.get_tensor(details["index"]), details)

    def step(self, name: str) -> float:
        """Return an activation's quantisation step; 0 when it is float."""
        return float(self._details[name]["quantization"][0])


def quantise_values(values: FloatArray, details: dict[str, Any]) -> npt.NDArray[Any]:
    """Turn real values into those of a tensor, which an interpreter's `details` describe."""
    dtype = np.dtype(details["dtype"])
    if dtype == np.float32:
        return values
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    steps = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return np.asarray(steps, dtype)


def dequantise_values(values: npt.NDArray[Any], details: dict[str, Any]) -> FloatArray:
    """Turn a tensor's values into real ones."""
    if np.issubdtype(values.dtype, np.floating):
        return np.asarray(values, np.float32)
    scale, zero_point = details["quantization"]
    return np.asarray((values.astype(np.float32) - zero_point) * scale, np.float32)
