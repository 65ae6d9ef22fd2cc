"""Measure a network with the exemplars it was made for, on a database that has others."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from p2o_shapedb.clustering.soft_labels import soft_labels, soft_radius
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.process import open_policy
from p2o_shapedb.progress import progress
from p2o_shapedb.solids.sdf import signed_distance
from points2objects.bundle import EXEMPLARS
from points2objects.errors import InputError
from points2objects.exemplars import ExemplarPack
from points2objects.geometry import FloatArray
from points2objects.spec import ModelSpec


def read_exemplars(path: Path, spec: ModelSpec) -> ExemplarPack:
    """Read the exemplars of a bundle's folder or of a GLB, and check that they are a network's.

    Raises:
        InputError: They are another database's, or the file is none.
    """
    file = path / EXEMPLARS if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"--exemplars {path}: expected a bundle or its {EXEMPLARS}")
    pack = ExemplarPack.load(file)
    if pack.digest != spec.shapedb_digest:
        raise InputError(
            f"--exemplars {path}: they are those of shape database {pack.digest[:8]}, the network "
            f"was made for {spec.shapedb_digest[:8]}; pass the bundle of this very network"
        )
    return pack


def with_exemplars(shapedb: ShapeDB, pack: ExemplarPack, split: str) -> ShapeDB:
    """Return a database with other exemplars; models of other splits get no nearest one.

    Shapes come from the meshes: those of the exemplars as they ship, those of the models as
    they are in the database's folder.

    Args:
        shapedb: Loaded from its folder.
        pack: Exemplars of the same classes.
        split: Whose models are compared with the exemplars.

    Raises:
        InputError: The classes differ.
    """
    if pack.classes != shapedb.classes:
        raise InputError(
            f"--exemplars: they are of {', '.join(pack.classes)}, the shape database of "
            f"{', '.join(shapedb.classes)}; pass a database of the same classes"
        )
    k = pack.exemplars_per_class
    sdf = np.stack(
        [
            _grid(mesh.vertices, mesh.faces, pack.classes[i // k])
            for i, mesh in enumerate(progress(pack.meshes, "solids", "exemplar"))
        ]
    )
    exemplar_id = np.zeros(len(shapedb.models), np.int32)
    labels = np.zeros((len(shapedb.models), k), np.float32)
    radii = np.zeros(len(shapedb.classes), np.float32)
    for class_id, name in enumerate(shapedb.classes):
        rows = [
            i
            for i, model in enumerate(shapedb.models)
            if model.class_name == name and model.split == split
        ]
        if not rows:
            continue
        own = sdf[class_id * k : (class_id + 1) * k]
        distances = np.stack(
            [_distances(shapedb, row, own) for row in progress(rows, name, "model")]
        )
        radii[class_id] = soft_radius(distances)
        exemplar_id[rows] = class_id * k + distances.argmin(axis=1)
        labels[rows] = soft_labels(distances, float(radii[class_id]))
    return replace(
        shapedb,
        exemplars_per_class=k,
        sdf=sdf,
        exemplar_id=exemplar_id,
        # The models behind them need not be in this database.
        exemplar_model=np.full(len(sdf), -1, np.int32),
        soft_labels=labels,
        soft_radius=radii,
    )


def _grid(vertices: FloatArray, faces: np.ndarray, class_name: str) -> FloatArray:
    return signed_distance(vertices, faces.astype(np.int64), open_policy(class_name)).grid


def _distances(shapedb: ShapeDB, index: int, exemplars: FloatArray) -> FloatArray:
    """Return the root-mean-square distances of a model's grid to some exemplars', (k,)."""
    mesh = shapedb.mesh(index)
    grid = _grid(mesh.vertices, mesh.faces, shapedb.models[index].class_name)
    return np.asarray(np.sqrt(((exemplars - grid) ** 2).mean(axis=(1, 2, 3))))
