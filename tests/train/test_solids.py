"""Solids of real meshes: what is filled, and the folder that keeps them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import trimesh
from scipy import ndimage

from p2o_shapedb.database import CanonicalMesh, ShapeDB, mesh_path
from p2o_train.batches import TrainingData
from p2o_train.metrics.scene_voxels import PlacedSolid, SceneGrid, Solid, label_cells
from p2o_train.metrics.solids import Solids, filled_cells, solids_folder
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, project_to_so3


def _mesh(shape: trimesh.Trimesh) -> CanonicalMesh:
    colors = np.full((len(shape.vertices), 3), 128, np.uint8)
    return CanonicalMesh(np.array(shape.vertices), np.array(shape.faces), colors, False)


def _ball() -> CanonicalMesh:
    return _mesh(trimesh.creation.icosphere(3, 0.5))


def _radius() -> npt.NDArray[np.float64]:
    axis = (np.arange(128) + 0.5) / 128 - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.sqrt(x**2 + y**2 + z**2)


def test_solids_are_kept_beside_the_database_unless_told_otherwise() -> None:
    shapedb = Path("data/shapes")
    assert solids_folder(shapedb, None) == Path("data/shapes.cache/solids")
    assert solids_folder(shapedb, Path("kept")) == Path("kept")


def test_a_ball_is_filled_and_what_its_surface_touches_counts() -> None:
    filled, radius = filled_cells(_ball(), "chair"), _radius()
    assert filled[radius < 0.49].all()
    assert not filled[radius > 0.5 + np.sqrt(3) / 2 / 128].any()
    assert filled.sum() / 128**3 > np.pi / 6


def test_an_open_bowl_stays_hollow_and_its_wall_is_not_lost() -> None:
    ball = trimesh.creation.icosphere(3, 0.5)
    lower = np.asarray(ball.triangles_center)[:, 1] < 0
    half = trimesh.Trimesh(ball.vertices, np.asarray(ball.faces)[lower])
    filled, radius = filled_cells(_mesh(half), "bowl"), _radius()
    y = (np.arange(128) + 0.5) / 128 - 0.5
    assert not filled[radius < 0.47].any()
    from_above = np.asarray(filled[:, y < -0.1].any(axis=1))
    assert from_above[radius[:, 64] < 0.4].all()


def test_a_scene_is_voxelised_as_trimesh_does_it() -> None:
    ring = trimesh.creation.annulus(0.3, 0.5, 1.0, sections=48)
    box = Box9DoF(
        project_to_so3(np.array([[1.0, 0.2, 0.5], [-0.1, 1.0, 0.3], [-0.4, 0.1, 1.0]])),
        np.array([0.05, -0.1, 0.0]),
        np.array([1.2, 0.9, 0.5]),
    )
    size, side = 48, 1.6
    grid = SceneGrid(Box9DoF(np.eye(3), np.zeros(3), np.full(3, side)), size)
    solid = Solid.of(filled_cells(_mesh(ring), "chair"))
    labels = label_cells(grid, [PlacedSolid(1, box, solid)])

    # trimesh has cell centres at multiples of a cell's side, from 0.
    cell_from_object = np.linalg.inv(grid.frame_from_cell()) @ box.matrix()
    placed = ring.copy().apply_transform(cell_from_object)
    twin = trimesh.voxel.creation.voxelize(placed, 1.0)
    assert twin is not None
    cells = np.rint(twin.points).astype(int)
    theirs = np.zeros((size,) * 3, bool)
    theirs[tuple(cells.T)] = True
    theirs = np.asarray(ndimage.binary_fill_holes(theirs), bool)
    assert (theirs & (labels == 1)).sum() / (theirs | (labels == 1)).sum() > 0.9


@pytest.fixture
def database(noise_data: TrainingData, tmp_path: Path) -> ShapeDB:
    shapedb = replace(noise_data.shapedb, folder=tmp_path / "shapedb")
    path = mesh_path(tmp_path / "shapedb", shapedb.models[1].id)
    path.parent.mkdir(parents=True)
    _ball().save(path)
    return shapedb


def test_a_solid_is_made_once_and_kept(database: ShapeDB, tmp_path: Path) -> None:
    first = Solids(database, tmp_path / "kept").of_model(1)
    filled = filled_cells(database.mesh(1), "chair")
    np.testing.assert_array_equal(first.cells, np.packbits(filled))
    mesh_path(tmp_path / "shapedb", database.models[1].id).unlink()
    again = Solids(database, tmp_path / "kept").of_exemplar(1)
    np.testing.assert_array_equal(again.cells, first.cells)
    np.testing.assert_array_equal(again.rim, first.rim)
    with pytest.raises(InputError, match=r"the mesh of chair/ball-1 is missing.*--no-voxels"):
        Solids(database, tmp_path / "other").of_model(1)


def test_a_database_without_meshes_says_so(noise_data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no meshes"):
        Solids(noise_data.shapedb, tmp_path).of_model(0)
