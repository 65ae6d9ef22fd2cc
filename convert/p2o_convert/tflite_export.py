"""ONNX to float32 TFLite: onnx2tf's TensorFlow-free writer, or the archived onnx-tf."""

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from p2o_convert.config import Route
from p2o_convert.errors import ConversionError
from p2o_convert.flatbuffer import (
    check_interface,
    embed_spec,
    name_layers,
    operators,
    order_outputs,
)
from points2objects.errors import InputError
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

TIMEOUT_S = 900

ROOT = Path(__file__).resolve().parents[2]
ONNX_TF_PYTHON = Path(".venv-onnx-tf/bin/python")
"""Interpreter of the environment that `make onnx-tf` sets up, in the project's folder."""


def export_tflite(onnx_path: Path, spec: ModelSpec, via: Route = "onnx2tf") -> bytes:
    """Convert a checked ONNX file to float32 TFLite with our interface and metadata.

    The converter runs as a process of its own in a temporary folder, because it changes the file
    it reads, prints without end and writes more formats than asked for.

    Raises:
        InputError: The converter asked for is not installed.
        ConversionError: It failed, or its outputs are not the spec's.
    """
    with tempfile.TemporaryDirectory(prefix="p2o-tflite-") as folder:
        work = Path(folder)
        shutil.copyfile(onnx_path, work / "model.onnx")
        if via == "onnx-tf":
            command = _onnx_tf(work, spec)
            made = work / "model.tflite"
        else:
            command = _onnx2tf()
            made = work / "out" / "model_float32.tflite"
        _run(via, command, work)
        if not made.is_file():
            raise ConversionError(f"{via} wrote no {made.name}")
        tflite = order_outputs(made.read_bytes(), spec.outputs)
    check_interface(tflite, spec)
    found = operators(tflite)
    if "TRANSPOSE" in found:
        log.warning(
            "the float model holds %d TRANSPOSE operators, each a copy at run time; "
            "see how the network reshapes its maps, or what --via onnx2tf makes of it",
            found["TRANSPOSE"],
        )
    log.info("TFLite float32: %d operators", sum(found.values()))
    return embed_spec(name_layers(tflite), spec)


def _onnx2tf() -> list[str]:
    """Return the command; it never needs the network.

    The last options switch off the steps that start other tools on the file.
    """
    command = [sys.executable, "-m", "onnx2tf", "-i", "model.onnx", "-o", "out"]
    command += ["--tflite_backend", "flatbuffer_direct"]
    command += ["--copy_onnx_input_output_names_to_tflite", "--non_verbose"]
    return [*command, "--not_use_onnxsim", "--not_use_opname_auto_generate"]


def check_route(via: Route) -> None:
    """Check that a converter is installed, before any work.

    Raises:
        InputError: It is not.
    """
    if via == "onnx-tf" and not (ROOT / ONNX_TF_PYTHON).is_file():
        folder = ONNX_TF_PYTHON.parts[0]
        raise InputError(f"--via onnx-tf: its environment {folder} is missing; run make onnx-tf")


def _onnx_tf(work: Path, spec: ModelSpec) -> list[str]:
    """Return the command, and write the older ONNX that it reads."""
    from p2o_convert.onnx_export import downgrade

    check_route("onnx-tf")
    downgrade(work / "model.onnx")
    worker = ROOT / "convert" / "via_onnx_tf.py"
    return [str(ROOT / ONNX_TF_PYTHON), str(worker), "model.onnx", "model.tflite", *spec.outputs]


def _run(name: str, command: Sequence[str], work: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=work,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"{name} did not finish within {TIMEOUT_S} s") from error
    said = (done.stdout + done.stderr).strip()
    log.debug("%s: %s", name, said)
    if done.returncode:
        last = said.splitlines()[-1] if said else "no message"
        raise ConversionError(f"{name} failed (exit code {done.returncode}): {last}")
