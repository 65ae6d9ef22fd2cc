"""The wheel's promise: NumPy and a TFLite interpreter are all it needs."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys

class Blocked:
    names = {"cv2", "torch", "scipy", "PIL", "trimesh", "pygltflib", "tyro", "onnx", "matplotlib"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
import points2objects
heavy = {name.partition(".")[0] for name in sys.modules} & {"ai_edge_litert", "tflite_runtime"}
assert not heavy, f"the interpreter is imported before it is needed: {heavy}"

model = points2objects.Reconstructor.load(sys.argv[1])
camera = points2objects.Camera.from_fov(60, 640, 480).with_gravity(np.array([0, -0.9, -0.4]))
image = np.full((480, 640, 3), (124, 116, 104), np.uint8)
image[220:240, 300:320] = (255, 0, 0)
scene = model(image, camera)
print(*scene.labels, len(scene.to_glb()) > 1000)
"""


def test_the_runtime_works_with_nothing_else_installed(bundle_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(bundle_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["chair", "True"]


WITHOUT_INTERPRETER = """
import sys
sys.modules["ai_edge_litert"] = sys.modules["tflite_runtime"] = None
import points2objects
try:
    points2objects.Reconstructor.load(sys.argv[1])
except points2objects.Points2ObjectsError as error:
    print(error)
"""


def test_a_missing_interpreter_is_said_clearly(bundle_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_INTERPRETER, str(bundle_folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no TFLite interpreter is installed; run: pip install ai-edge-litert" in done.stdout


FALLBACK = """
import logging, sys, types
import ai_edge_litert.interpreter as real
package, module = types.ModuleType("tflite_runtime"), types.ModuleType("tflite_runtime.interpreter")
module.Interpreter = real.Interpreter
sys.modules["tflite_runtime"], sys.modules["tflite_runtime.interpreter"] = package, module
sys.modules["ai_edge_litert.interpreter"] = None
logging.basicConfig(format="%(levelname)s %(message)s")
import points2objects
points2objects.Reconstructor.load(sys.argv[1])
"""


def test_the_slow_interpreter_is_used_with_a_warning(bundle_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FALLBACK, str(bundle_folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WARNING running on tflite_runtime, which is about ten times slower" in done.stderr
