"""The inside of every CAD model on a fine grid, made when first needed and kept on disk."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import CanonicalMesh, ShapeDB
from p2o_shapedb.pipeline_version import code_only, pipeline_version
from p2o_shapedb.reports.oracle import SOLID_SIZE
from p2o_shapedb.solids.sdf import CHECK_SIZE, OPEN_POLICY, OpenPolicy, find_solid, inside_by_method
from p2o_shapedb.solids.surface_cells import touched_cells
from p2o_train.metrics.scene_voxels import Solid
from points2objects.errors import InputError
from points2objects.files import sha256


class SolidSource(Protocol):
    """Where solids come from; those of one source have one size."""

    def of_model(self, model_index: int) -> Solid:
        """Return the solid of a CAD model itself."""
        ...

    def of_exemplar(self, exemplar_id: int) -> Solid:
        """Return the solid of the CAD model behind an exemplar."""
        ...


class Solids:
    """Solids of a database's models, from their own meshes and not from the exemplars' SDFs.

    32 cells a side, as the SDFs have, lose legs and walls. Here a mesh has 128, and what its
    surface touches counts as filled. Only the inside of an open mesh, whose winding numbers take
    long, is found on 64.

    Attributes:
        folder: Where those of this database, found by this code, are kept.
    """

    def __init__(self, shapedb: ShapeDB, folder: Path) -> None:
        """Keep solids below a folder, apart from those of other databases and other code."""
        self._shapedb = shapedb
        own = code_only(Path(__file__).read_text("utf-8"))
        code = sha256((pipeline_version("solids.sdf") + own).encode())
        self.folder = folder / f"{shapedb.digest[:12]}-{code[:12]}"
        self._known: dict[int, Solid] = {}

    def of_model(self, model_index: int) -> Solid:
        """Return the solid of a CAD model.

        Raises:
            InputError: The database lacks the mesh, or the folder cannot be written.
        """
        if model_index not in self._known:
            entry = self._shapedb.models[model_index]
            path = self.folder / f"{entry.id}.npz"
            if not path.is_file():
                packed = np.packbits(filled_cells(self._mesh(model_index), entry.class_name))
                with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
                    np.savez_compressed(file, filled=packed)
            with np.load(path, allow_pickle=False) as data:
                filled = np.unpackbits(data["filled"]).reshape((SOLID_SIZE,) * 3)
            self._known[model_index] = Solid.of(filled.astype(bool))
        return self._known[model_index]

    def of_exemplar(self, exemplar_id: int) -> Solid:
        """Return the solid of the CAD model behind an exemplar; as `of_model`."""
        return self.of_model(int(self._shapedb.exemplar_model[exemplar_id]))

    def _mesh(self, model_index: int) -> CanonicalMesh:
        try:
            return self._shapedb.mesh(model_index)
        except FileNotFoundError as error:
            raise InputError(
                f"{self._shapedb.folder}: the mesh of {self._shapedb.models[model_index].id} is "
                "missing; copy the database again, or leave voxels out (--no-voxels)"
            ) from error


def solids_folder(shapedb: Path, chosen: Path | None) -> Path:
    """Return where the solids of the database in a folder are kept, unless another is chosen."""
    return chosen or shapedb.with_name(shapedb.name + ".cache") / "solids"


def filled_cells(mesh: CanonicalMesh, class_name: str) -> npt.NDArray[np.bool_]:
    """Tell which cells of the canonical cube lie in a mesh of a class, or touch it, (128,) * 3."""
    policy = OPEN_POLICY.get(class_name, OpenPolicy.FILL)
    coarse = find_solid(mesh.vertices, mesh.faces, policy, CHECK_SIZE)
    if coarse.method == "winding":
        inside = inside_by_method(coarse.method, mesh.vertices, mesh.faces, SOLID_SIZE)
    else:
        inside = np.kron(coarse.inside, np.ones((SOLID_SIZE // CHECK_SIZE,) * 3, bool))
    return inside | touched_cells(mesh.vertices, mesh.faces, SOLID_SIZE)
