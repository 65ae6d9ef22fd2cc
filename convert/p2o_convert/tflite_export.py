"""ONNX to float32 TFLite, through onnx2tf's TensorFlow-free writer."""

import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from p2o_convert.errors import ConversionError
from p2o_convert.flatbuffer import check_interface, embed_spec, operators
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

TIMEOUT_S = 900


def export_tflite(onnx_path: Path, spec: ModelSpec) -> bytes:
    """Convert a checked ONNX file to float32 TFLite with our interface and metadata.

    The converter runs as a process of its own in a temporary folder, because it changes the file
    it reads, prints without end and writes more formats than asked for. It never needs the network:
    the two options switch off the steps that start other tools on the file.

    Raises:
        ConversionError: onnx2tf failed, or its outputs are not the spec's.
    """
    with tempfile.TemporaryDirectory(prefix="p2o-onnx2tf-") as folder:
        work = Path(folder)
        shutil.copyfile(onnx_path, work / "model.onnx")
        command = [sys.executable, "-m", "onnx2tf", "-i", "model.onnx", "-o", "out"]
        command += ["--tflite_backend", "flatbuffer_direct"]
        command += ["--copy_onnx_input_output_names_to_tflite", "--non_verbose"]
        command += ["--not_use_onnxsim", "--not_use_opname_auto_generate"]
        done = subprocess.run(
            command,
            cwd=work,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()
        log.debug("onnx2tf: %s", said)
        made = work / "out" / "model_float32.tflite"
        if done.returncode or not made.is_file():
            last = said.splitlines()[-1] if said else "no message"
            raise ConversionError(f"onnx2tf failed (exit code {done.returncode}): {last}")
        tflite = made.read_bytes()
    check_interface(tflite, spec)
    found = operators(tflite)
    if "TRANSPOSE" in found:
        log.warning(
            "the float model holds %d TRANSPOSE operators, each a copy at run time; "
            "see how the network reshapes its maps",
            found["TRANSPOSE"],
        )
    log.info("TFLite float32: %d operators", sum(found.values()))
    return embed_spec(tflite, spec)
