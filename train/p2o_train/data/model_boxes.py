"""Where a database's model lies in its own CAD file, and boxes out of 4x4 transforms.

A foreign label places the CAD file's coordinates; ours places the model's canonical cube. The box
of the cube in the file's frame leads from one to the other. It is measured, not derived from the
options of the build: the database kept the file's vertices in their order.
"""

import os
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.meshes import load_mesh
from p2o_shapedb.database import ShapeDB
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray, project_to_so3

SHEAR = 2e-3
"""Cosine between two sides of a box, which should be 0: transforms come in float32."""

FIT = 1e-4
"""Largest distance of a vertex from where the database has it, in diagonals of the file."""


class ModelBoxes:
    """Boxes of models in the frames of their files, worked out once per model."""

    def __init__(self, shapedb: ShapeDB, cache: Path | None = None) -> None:
        """Start without boxes.

        Args:
            shapedb: The database; it must have its meshes.
            cache: Folder that keeps boxes for other processes and later runs.
        """
        self._shapedb = shapedb
        self._cache = cache / shapedb.digest[:16] if cache is not None else None
        self._boxes: dict[int, Box9DoF] = {}

    def box(self, model_index: int, path: Path) -> Box9DoF:
        """Return the box of a model's canonical cube in the frame of its CAD file.

        Args:
            model_index: The model.
            path: The file that it was made from.

        Raises:
            InputError: The file cannot be read, or holds another mesh than the database.
        """
        if model_index not in self._boxes:
            self._boxes[model_index] = self._load(model_index, path)
        return self._boxes[model_index]

    def _load(self, model_index: int, path: Path) -> Box9DoF:
        model_id = self._shapedb.models[model_index].id
        kept = self._cache / f"{model_id}.npy" if self._cache is not None else None
        if kept is not None and kept.is_file():
            return box_from_matrix(np.load(kept, allow_pickle=False))
        unit = np.asarray(self._shapedb.mesh(model_index).vertices, dtype=float)
        try:
            matrix = fit_box(unit, load_mesh(path).vertices).matrix()
        except InputError as error:
            line = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
            raise InputError(
                f"{line}; model {model_id} of shape database {self._shapedb.digest[:8]} must have "
                "been built from this very file"
            ) from error
        if kept is not None:
            _save(kept, matrix)
        # Read as from the file, so that the last bit does not tell who was first.
        return box_from_matrix(matrix)


def fit_box(unit: FloatArray, vertices: FloatArray) -> Box9DoF:
    """Return the box that carries canonical vertices onto those of a file.

    Args:
        unit: (v, 3), in the canonical cube.
        vertices: (v, 3), the same ones in the file's frame.

    Raises:
        InputError: They are not the same mesh.
    """
    if unit.shape != vertices.shape:
        raise InputError(f"has {len(vertices)} vertices, expected {len(unit)}")
    homogeneous = np.concatenate([unit, np.ones((len(unit), 1))], axis=1)
    solution = np.linalg.lstsq(homogeneous, vertices, rcond=None)[0]
    error = np.abs(homogeneous @ solution - vertices).max()
    if error > FIT * np.linalg.norm(np.ptp(vertices, axis=0)):
        raise InputError("holds a mesh of another shape")
    matrix = np.eye(4)
    matrix[:3] = solution.T
    return box_from_matrix(matrix)


def box_from_matrix(frame_from_object: FloatArray) -> Box9DoF:
    """Read a box out of its transform; inverse of `Box9DoF.matrix`.

    A different scale along each of the object's own axes belongs to the box. Shear does not, and
    is refused rather than rounded away.

    Args:
        frame_from_object: (..., 4, 4), affine.

    Raises:
        InputError: The transform is sheared, mirrored or flat.
    """
    linear = frame_from_object[..., :3, :3]
    scale = np.linalg.norm(linear, axis=-2)
    if not (scale > 0).all():
        raise InputError("a transform makes the object flat")
    axes = linear / scale[..., None, :]
    cosines = np.swapaxes(axes, -1, -2) @ axes - np.eye(3)
    if np.abs(cosines).max() > SHEAR:
        raise InputError(
            "a transform shears the object (its sides meet at "
            f"{np.degrees(np.arccos(np.clip(np.abs(cosines).max(), 0, 1))):.1f} degrees); "
            "expected rotation, translation and a scale per axis of the object"
        )
    if (np.linalg.det(axes) <= 0).any():
        raise InputError("a transform mirrors the object (its determinant is negative)")
    return Box9DoF(project_to_so3(axes), frame_from_object[..., :3, 3], scale)


def _save(path: Path, matrix: FloatArray) -> None:
    """Write under a temporary name, then rename: several processes share the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npy")
    np.save(temporary, matrix)
    temporary.replace(path)
