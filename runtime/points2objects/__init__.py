"""One camera frame in, a world-frame scene of CAD objects out."""

from points2objects.bundle import Bundle, write_bundle
from points2objects.camera import Camera
from points2objects.errors import BundleError, InputError, Points2ObjectsError
from points2objects.exemplars import ExemplarPack
from points2objects.geometry import Box9DoF
from points2objects.glb import Mesh
from points2objects.pipeline import ASSUMED_FOV_DEG, Reconstructor
from points2objects.scene import UNTRACKED, Detections, Scene
from points2objects.spec import ModelSpec, PoseEncoding

__version__ = "0.1.0"

__all__ = [
    "ASSUMED_FOV_DEG",
    "UNTRACKED",
    "Box9DoF",
    "Bundle",
    "BundleError",
    "Camera",
    "Detections",
    "ExemplarPack",
    "InputError",
    "Mesh",
    "ModelSpec",
    "Points2ObjectsError",
    "PoseEncoding",
    "Reconstructor",
    "Scene",
    "write_bundle",
]
