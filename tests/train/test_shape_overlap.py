"""Overlaps of solids with known volumes, and their way into a batch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from p2o_shapedb.database import CanonicalMesh, ShapeDB, mesh_path
from p2o_train.batches import BatchDataset, TrainingData
from p2o_train.config import TrainConfig
from p2o_train.metrics.solids import Solids
from p2o_train.shape_overlap import shape_overlaps
from points2objects.geometry import FloatArray
from points2objects.spec import ModelSpec

BALL = np.pi / 6
"""Volume of the ball that fills the canonical cube."""


@pytest.fixture
def balls_and_cubes(noise_data: TrainingData, tmp_path: Path) -> ShapeDB:
    """Models of even index are balls, the others cubes."""
    shapedb = replace(noise_data.shapedb, folder=tmp_path / "shapedb")
    for i, model in enumerate(shapedb.models):
        ball = trimesh.creation.icosphere(4, 0.5)
        shape = trimesh.creation.box((1, 1, 1)) if i % 2 else ball
        colors = np.full((len(shape.vertices), 3), 128, np.uint8)
        path = mesh_path(tmp_path / "shapedb", model.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        CanonicalMesh(np.array(shape.vertices), np.array(shape.faces), colors, False).save(path)
    return shapedb


def _expected(shapedb: ShapeDB) -> FloatArray:
    k, n = shapedb.exemplars_per_class, len(shapedb.models)
    own = np.array([[shapedb.class_id(i) * k + j for j in range(k)] for i in range(n)])
    return np.where(np.arange(n)[:, None] % 2 == own % 2, 1.0, BALL)


def test_overlaps_are_those_of_the_solids(balls_and_cubes: ShapeDB, tmp_path: Path) -> None:
    overlaps = shape_overlaps(balls_and_cubes, Solids(balls_and_cubes, tmp_path / "kept"))
    # What the surface touches counts as filled: a ball is half a cell larger all round.
    np.testing.assert_allclose(overlaps, _expected(balls_and_cubes), atol=0.03)
    assert overlaps.shape == balls_and_cubes.soft_labels.shape


def test_overlaps_are_kept_for_the_next_run(balls_and_cubes: ShapeDB, tmp_path: Path) -> None:
    solids = Solids(balls_and_cubes, tmp_path / "kept")
    first = shape_overlaps(balls_and_cubes, solids)
    for file in solids.folder.rglob("*.npz"):
        file.unlink()
    again = Solids(replace(balls_and_cubes, folder=None), tmp_path / "kept")
    np.testing.assert_array_equal(
        shape_overlaps(replace(balls_and_cubes, folder=None), again), first
    )


def test_a_batch_holds_the_labels_that_its_data_gives(noise_data: TrainingData) -> None:
    shapedb = noise_data.shapedb
    spec = ModelSpec("t", shapedb.classes, shapedb.exemplars_per_class, shapedb.digest)
    config = TrainConfig(batch=4, augment=False)
    labels = np.random.default_rng(0).uniform(size=shapedb.soft_labels.shape)
    plain = BatchDataset(noise_data, spec, config)[0]
    graded = BatchDataset(replace(noise_data, shape_labels=labels), spec, config)[0]
    own = graded.exemplar_id
    torch.testing.assert_close(graded.soft_labels, torch.from_numpy(labels).float()[own])
    torch.testing.assert_close(
        plain.soft_labels, torch.from_numpy(shapedb.soft_labels).float()[plain.exemplar_id]
    )
