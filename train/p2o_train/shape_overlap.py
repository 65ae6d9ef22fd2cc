"""Grade exemplars by the volume that they share with a model, instead of by eq. 5."""

import numpy as np

from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.progress import progress
from p2o_shapedb.reports.oracle import overlap
from p2o_train.metrics.solids import Solids
from points2objects.geometry import ByteArray, FloatArray


def shape_overlaps(shapedb: ShapeDB, solids: Solids) -> FloatArray:
    """Return the volumetric IoU of every model with the exemplars of its class.

    Eq. 5 grades by distances of SDFs, which say little about how thin walls and legs coincide.
    This is what voxel IoU (tables 1 and 4) measures itself, in canonical pose. Computed once per
    database, minutes for hundreds of models, and kept beside the solids.

    Args:
        shapedb: n models of k exemplars a class.
        solids: The insides of its models.

    Returns:
        (n, k) float32, 0..1, like `ShapeDB.soft_labels`.
    """
    path = solids.folder / "overlaps.npy"
    if not path.is_file():
        overlaps = _measure(shapedb, solids)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
            np.save(file, overlaps)
    return np.asarray(np.load(path, allow_pickle=False))


def _measure(shapedb: ShapeDB, solids: Solids) -> FloatArray:
    k = shapedb.exemplars_per_class
    exemplars: dict[int, list[ByteArray]] = {}
    overlaps = np.zeros((len(shapedb.models), k), np.float32)
    for i in progress(range(len(overlaps)), "overlaps", "model"):
        own = shapedb.class_id(i)
        if own not in exemplars:
            exemplars[own] = [solids.of_exemplar(own * k + j).cells for j in range(k)]
        mine = solids.of_model(i).cells
        overlaps[i] = [overlap(mine, theirs) for theirs in exemplars[own]]
    return overlaps
