"""What the readers of CAD files hand over: parts with colours, and notes about what was odd."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.fixed_order import transformed
from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray


@dataclass(frozen=True)
class MeshPart:
    """Triangles of one material, in the frame of the file.

    Attributes:
        vertices: (v, 3).
        faces: (f, 3), indices below v.
        colors: (v, 3) uint8 sRGB, or None where the file gives none.
    """

    vertices: FloatArray
    faces: IntArray
    colors: ByteArray | None

    def __post_init__(self) -> None:
        sizes = check_shape("vertices", self.vertices, "v 3")
        check_shape("faces", self.faces, "f 3")
        if self.colors is not None:
            check_shape("colors", self.colors, "v 3", sizes)
        if len(self.faces) and not 0 <= self.faces.min() <= self.faces.max() < sizes["v"]:
            raise InputError("has triangles that point at missing vertices")

    def moved(self, file_from_part: FloatArray) -> "MeshPart":
        """Return the part under a 4x4 transform."""
        linear, shift = file_from_part[:3, :3], file_from_part[:3, 3]
        # A mirroring transform turns the mesh inside out.
        with np.errstate(all="ignore"):  # overflow shows up as vertices that are not finite
            faces = self.faces[:, ::-1] if np.linalg.det(linear) < 0 else self.faces
            return MeshPart(transformed(self.vertices, linear) + shift, faces, self.colors)


@dataclass(frozen=True)
class MeshFile:
    """What a reader found in a file.

    Attributes:
        parts: Its parts, in the frame of the file.
        notes: What was left unread and why, one phrase each.
    """

    parts: tuple[MeshPart, ...]
    notes: tuple[str, ...]
