"""Run a converted network with a TFLite interpreter."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import BundleError, Points2ObjectsError, check_shape
from points2objects.geometry import ByteArray, FloatArray
from points2objects.heads import FEATURES, HeadMap, graph_outputs, read_heads
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap, OutputMaps

log = logging.getLogger(__name__)

SIGNATURE, INPUT = "serving_default", "image"

HALF_STEP = 0.5 + 1e-3
"""A byte this near to a step is that step; the rest is for what float32 makes of a scale."""

_REFUSALS = (ValueError, RuntimeError, TypeError, LookupError, AttributeError, SystemError)
"""What the interpreter raises for a file that it cannot use."""


class Interpreter:
    """One loaded network; not safe to call from two threads at once."""

    def __init__(self, model: Path | str | bytes, spec: ModelSpec, threads: int = 1) -> None:
        """Load a .tflite and check it against the spec.

        Args:
            model: The file or its bytes: input `image`, float32 or integer, signature
                `serving_default`, outputs named as in `spec.outputs`. Of those whose heads it
                carries (`points2objects.heads`), it has their `features` instead.
            spec: The model's contract.
            threads: CPU threads.

        Raises:
            BundleError: Not a TFLite model, or its tensors are not those of the spec.
            Points2ObjectsError: No interpreter is installed.
        """
        data = model if isinstance(model, bytes) else _read_model(Path(model))
        factory = _interpreter_factory()
        try:
            self._interpreter = factory(model_content=data, num_threads=threads)
            runner = self._interpreter.get_signature_runner(SIGNATURE)
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
            del runner  # A live runner and invoke() on one interpreter disturb each other.
            self._interpreter.allocate_tensors()
        except _REFUSALS as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else "no reason"
            raise BundleError(
                f"model.tflite: the interpreter refuses it ({reason}); convert the checkpoint again"
            ) from error
        self._input = _check_input(inputs, spec)
        self._heads = read_heads(data, spec)
        self._names = tuple(spec.outputs)
        self._outputs = {
            name: _check_output(outputs, name, (spec.map_size, spec.map_size, channels))
            for name, channels in graph_outputs(spec, self._heads).items()
        }
        self._table = input_table(spec, self._input)
        self._size = spec.input_size

    @property
    def quantised(self) -> bool:
        """Whether the network takes integers."""
        return bool(self._input["dtype"] != np.float32)

    def run(self, image: ByteArray) -> OutputMaps:
        """Run the network on one canonical image, (s, s, 3) uint8 RGB.

        Returns:
            One map per name in `spec.outputs`, as the network made them: integers stay integers.
            Those with heads of their own are made where they are read. All are the caller's to
            keep.
        """
        check_shape("image", image, f"{self._size} {self._size} 3")
        try:
            self._interpreter.set_tensor(self._input["index"], apply_table(self._table, image))
            self._interpreter.invoke()
            made = {
                name: OutputMap(
                    self._interpreter.get_tensor(details["index"])[0], *_quantisation(details)
                )
                for name, details in self._outputs.items()
            }
        except _REFUSALS as error:
            raise BundleError(f"model.tflite: the network fails on an image ({error})") from error
        heads = self._heads
        return {
            name: HeadMap(heads[name], made[FEATURES]) if name in heads else made[name]
            for name in self._names
        }


def _read_model(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path}: no readable model; make one with convert/to_tflite.py"
        ) from error


def _interpreter_factory() -> Any:
    try:
        return import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        pass
    try:
        factory = import_module("tflite_runtime.interpreter").Interpreter
    except ImportError as error:
        raise Points2ObjectsError(
            "no TFLite interpreter is installed; run: pip install ai-edge-litert"
        ) from error
    log.warning(
        "running on tflite_runtime, which is about ten times slower on quantised models and "
        "needs NumPy 1; install ai-edge-litert where it has a wheel"
    )
    return factory


def _check_input(inputs: dict[str, Any], spec: ModelSpec) -> dict[str, Any]:
    expected = [1, spec.input_size, spec.input_size, 3]
    if list(inputs) != [INPUT] or inputs[INPUT]["shape"].tolist() != expected:
        got = {name: details["shape"].tolist() for name, details in inputs.items()}
        raise BundleError(
            f"model.tflite: expected one input {INPUT!r} of shape {expected}, got {got}; convert "
            "the checkpoint again"
        )
    details: dict[str, Any] = inputs[INPUT]
    if details["dtype"] not in (np.float32, np.int8, np.uint8):
        raise BundleError(
            f"model.tflite: its input must be float32, int8 or uint8, got "
            f"{np.dtype(details['dtype'])}; convert the checkpoint again"
        )
    return details


def _check_output(
    outputs: dict[str, Any], name: str, shape: tuple[int, int, int]
) -> dict[str, Any]:
    expected = [1, *shape]
    if name not in outputs or outputs[name]["shape"].tolist() != expected:
        got = {key: details["shape"].tolist() for key, details in outputs.items()}
        raise BundleError(
            f"model.tflite: expected an output {name!r} of shape {expected}, got {got}; it "
            "belongs to another spec, or its layout is not channels-last"
        )
    details: dict[str, Any] = outputs[name]
    if details["quantization_parameters"]["scales"].size > 1:
        raise BundleError(
            f"model.tflite: output {name!r} is quantised per channel; quantise it per tensor"
        )
    return details


def _quantisation(details: dict[str, Any]) -> tuple[float, int]:
    if np.issubdtype(details["dtype"], np.floating):
        return 1.0, 0
    scale, zero_point = details["quantization"]
    if not 0 < scale < np.inf:
        raise BundleError(f"model.tflite: {details['name']} is quantised with a step of {scale}")
    return float(scale), int(zero_point)


def byte_levels(spec: ModelSpec, scale: float, zero_point: int) -> FloatArray:
    """Return where each byte of each channel lies among the steps of a tensor, (3, 256)."""
    mean, std = np.array(spec.mean)[:, None], np.array(spec.std)[:, None]
    return np.asarray((np.arange(256) - mean) / std / scale + zero_point)


def takes_bytes(levels: FloatArray) -> bool:
    """Tell whether each byte is its own nearest step, counted from 0, so that it goes in as it is.

    So it is where mean and std are the same for all channels. A mean between two bytes costs half
    a grey level, the same for all bytes; rounding one by one would merge every other two.
    """
    return bool(np.abs(levels - np.arange(256)).max() < HALF_STEP)


def input_table(spec: ModelSpec, details: dict[str, Any]) -> npt.NDArray[Any] | None:
    """Return what each byte of each channel becomes at the input, (3, 256), the input's type.

    Args:
        spec: The model's contract.
        details: Of the input tensor, as an interpreter gives them.

    Returns:
        The table; None if bytes go in as they are.
    """
    dtype = np.dtype(details["dtype"])
    if dtype == np.float32:
        return np.asarray(byte_levels(spec, 1.0, 0), dtype=dtype)
    levels = byte_levels(spec, *_quantisation(details))
    limits = np.iinfo(dtype)
    if not takes_bytes(levels - limits.min):
        return np.asarray(np.clip(np.rint(levels), limits.min, limits.max), dtype=dtype)
    if dtype == np.uint8:
        return None
    return np.tile(np.arange(limits.min, limits.max + 1, dtype=dtype), (3, 1))


def apply_table(table: npt.NDArray[Any] | None, image: ByteArray) -> npt.NDArray[Any]:
    """Return the input tensor, (1, s, s, 3), of an image, (s, s, 3)."""
    if table is None:
        return np.ascontiguousarray(image)[None]
    values = np.zeros((1, *image.shape), dtype=table.dtype)
    for channel in range(3):
        values[0, :, :, channel] = table[channel][image[:, :, channel]]
    return values
