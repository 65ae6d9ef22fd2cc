"""Which way a CAD file stands, and in what unit; turned into +y up, front +z, metres."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from points2objects.errors import InputError
from points2objects.geometry import FloatArray

Up = Literal["x", "y", "z", "-x", "-y", "-z"]
Front = Literal["auto", "x", "y", "z", "-x", "-y", "-z"]

_USUAL_FRONT: dict[str, Front] = {"y": "z", "z": "-y", "x": "z", "-x": "z", "-y": "z", "-z": "-y"}


@dataclass(frozen=True)
class Axes:
    """The frame of a CAD file.

    Attributes:
        up: The file's axis that points up.
        front: The file's axis that its front faces; "auto" is +z, or -y where z is vertical
            (glTF's and Blender's habits).
        unit_m: Metres per unit of the file: 0.001 for millimetres.
    """

    up: Up = "y"
    front: Front = "auto"
    unit_m: float = 1.0

    def __post_init__(self) -> None:
        if self.up not in _USUAL_FRONT:
            raise InputError(f"--up must be one of {', '.join(_USUAL_FRONT)}, got {self.up!r}")
        if self.front != "auto" and self.front not in _USUAL_FRONT:
            raise InputError(
                f"--front must be auto or one of {', '.join(_USUAL_FRONT)}, got {self.front!r}"
            )
        if self.front.lstrip("-") == self.up.lstrip("-"):
            raise InputError(
                f"--front {self.front} lies along --up {self.up}; name one of the other two axes"
            )
        if not (math.isfinite(self.unit_m) and self.unit_m > 0):
            raise InputError(f"unit_m must be a positive number of metres, got {self.unit_m}")

    def canonical_from_file(self) -> FloatArray:
        """Return the map to +y up, front +z, metres: a rotation times `unit_m`, (3, 3)."""
        up = _direction(self.up)
        front = _direction(_USUAL_FRONT[self.up] if self.front == "auto" else self.front)
        # Rows are the file's directions of our x, y and z; x = y cross z keeps it a rotation.
        return np.stack([np.cross(up, front), up, front]) * self.unit_m


def _direction(axis: str) -> FloatArray:
    vector = np.zeros(3)
    vector["xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    return vector
