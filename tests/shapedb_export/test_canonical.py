from typing import Any

import numpy as np
import trimesh as trimesh_typed

from p2o_shapedb.cad.meshes import RawMesh
from p2o_shapedb.canonical import canonicalise, interpolate, sample_surface, surface_points
from p2o_shapedb.solids.sdf import OpenPolicy, signed_distance
from p2o_shapedb.solids.solid_columns import cell_centers

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def raw(mesh: Any) -> RawMesh:
    grey = np.full((len(mesh.vertices), 3), 128, np.uint8)
    return RawMesh(np.array(mesh.vertices), np.array(mesh.faces), grey, False)


def test_the_cube_is_filled_and_the_size_kept() -> None:
    box = trimesh.creation.box([2.0, 0.5, 1.0])
    box.apply_translation([7, 3, -4])
    found = canonicalise(raw(box), 0.0)
    np.testing.assert_allclose(found.mesh.vertices.min(axis=0), -0.5)
    np.testing.assert_allclose(found.mesh.vertices.max(axis=0), 0.5)
    np.testing.assert_allclose(found.extent_m, [2.0, 0.5, 1.0])


def test_a_model_that_faces_plus_z_comes_to_face_minus_z() -> None:
    base = trimesh.creation.box([1.0, 0.1, 1.0])
    nose = trimesh.creation.box([0.1, 0.1, 0.1])
    nose.apply_translation([0.2, 0.0, 0.8])
    found = canonicalise(raw(trimesh.util.concatenate([base, nose])), 180.0)
    tip = found.mesh.vertices[found.mesh.vertices[:, 2] < -0.49]
    assert (tip[:, 0] < 0).all()  # +x has gone to -x: a turn and no mirror


def test_a_quarter_turn_swaps_the_sides() -> None:
    found = canonicalise(raw(trimesh.creation.box([2.0, 0.5, 1.0])), 90.0)
    np.testing.assert_allclose(found.extent_m, [1.0, 0.5, 2.0])


def test_samples_lie_on_the_surface_in_proportion_to_area() -> None:
    box = trimesh.creation.box([1.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    points = sample_surface(np.array(box.vertices), np.array(box.faces), 6000, rng)
    np.testing.assert_allclose(np.abs(points).max(axis=1), 0.5)
    sides = np.abs(points).argmax(axis=1) * 2 + (points.sum(axis=1) > 0)
    assert np.bincount(np.abs(points).argmax(axis=1), minlength=3).tolist() == [2000] * 3
    assert len(np.unique(sides)) == 6


def test_points_of_a_part_inside_another_are_left_out() -> None:
    outer, inner = trimesh.creation.box([1, 1, 1]), trimesh.creation.box([0.5, 0.5, 0.5])
    found = canonicalise(raw(trimesh.util.concatenate([outer, inner])), 0.0)
    sdf = signed_distance(found.mesh.vertices, found.mesh.faces, OpenPolicy.FILL).grid
    # Even the exact distance knows the inner part's surface; the vote tells it is no surface.
    sdf = np.where(sdf < 0, np.abs(cell_centers(32)).max(axis=-1) - 0.5, sdf)
    points = surface_points(found, sdf, 512, np.random.default_rng(0))
    assert points.shape == (512, 3)
    assert np.abs(points).max(axis=1).min() > 0.49


def test_interpolation_is_exact_for_linear_functions() -> None:
    grid = cell_centers(8) @ np.array([1.0, -2.0, 0.5])
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3))
    np.testing.assert_allclose(interpolate(grid, points), points @ [1.0, -2.0, 0.5], atol=1e-12)
    assert interpolate(grid, np.zeros((0, 3))).shape == (0,)


def test_where_a_model_has_most_of_its_vertices_does_not_matter() -> None:
    """The middle of the box is centred, not that of the vertices: half of these lie in a corner."""
    box, corner = trimesh.creation.box([2.0, 2.0, 2.0]), trimesh.creation.icosphere(2, 0.2)
    corner.apply_translation([0.8, 0.8, 0.8])
    found = canonicalise(raw(trimesh.util.concatenate([box, corner])), 0.0)
    np.testing.assert_allclose(np.abs(found.mesh.vertices[:8]), 0.5, atol=1e-6)
    np.testing.assert_allclose(found.mesh.vertices[8:].mean(axis=0), 0.4, atol=1e-3)
