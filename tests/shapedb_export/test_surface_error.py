from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.packing.normals import crease_normals, fitted_normals
from p2o_shapedb.packing.refit import refit
from p2o_shapedb.packing.surface_error import Reference, SurfaceError, Tolerance, project
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def sphere(subdivisions: int, radius: float = 1.0) -> Any:
    return trimesh.creation.icosphere(subdivisions, radius)


def arrays(mesh: Any) -> tuple[Any, Any]:
    return np.array(mesh.vertices), np.array(mesh.faces)


def error_between(fine: Any, coarse: Any) -> SurfaceError:
    return Reference(*arrays(fine)).error(*crease_normals(*arrays(coarse)))


def test_a_mesh_is_no_distance_from_itself() -> None:
    error = error_between(sphere(3), sphere(3))
    assert error.worst < 1e-7
    assert error.normal_deg < 1e-3


def test_concentric_spheres_are_as_far_apart_as_their_radii() -> None:
    error = error_between(sphere(5), sphere(5, 1.1))
    diagonal = 2 * np.sqrt(3)
    np.testing.assert_allclose(error.mean, 0.1 / diagonal, rtol=0.01)
    np.testing.assert_allclose(error.tail, 0.1 / diagonal, rtol=0.02)


@pytest.mark.parametrize("lost", [True, False])
def test_what_is_lost_and_what_is_added_both_count(lost: bool) -> None:
    alone = sphere(3)
    speck = sphere(2, 0.1)
    speck.apply_translation([0, 1.5, 0])
    both = trimesh.util.concatenate([alone, speck])
    error = error_between(both, alone) if lost else error_between(alone, both)
    assert error.worst > 0.1
    assert error.tail > 0.1  # the speck has a hundredth of the surface
    assert error.mean < 0.01


def test_normals_of_a_turned_winding_count_as_the_same() -> None:
    turned = sphere(3)
    turned.invert()
    assert error_between(sphere(3), turned).normal_deg < 1e-3


def test_projection_gives_the_closest_point_of_the_face() -> None:
    vertices, faces = arrays(sphere(2))
    points = np.random.default_rng(0).normal(size=(200, 3))
    found = project(points, vertices, faces)
    closest, distance, _ = trimesh.proximity.closest_point_naive(sphere(2), points)
    on_face = np.einsum("nc,ncd->nd", found.weights, vertices[faces[found.face]])
    np.testing.assert_allclose(on_face, closest, atol=1e-7)
    np.testing.assert_allclose(found.distance, distance, atol=1e-7)


@pytest.mark.parametrize("too_small", ["mean", "tail", "worst", "normal_deg"])
def test_every_bound_of_a_tolerance_counts_and_is_inclusive(too_small: str) -> None:
    error = SurfaceError(mean=0.001, tail=0.01, worst=0.05, normal_deg=4.0)
    exact = Tolerance(mean=0.001, tail=0.01, worst=0.05, normal_deg=4.0)
    assert exact.accepts(error)
    below: dict[str, Any] = {too_small: 0.99 * getattr(exact, too_small)}
    assert not replace(exact, **below).accepts(error)
    zero: dict[str, Any] = {too_small: 0.0}
    with pytest.raises(InputError, match="must be positive"):
        replace(exact, **zero)


def test_hard_edges_stay_hard_and_smooth_ones_share_vertices() -> None:
    box = trimesh.creation.box()
    vertices, normals, faces = crease_normals(*arrays(box))
    assert len(vertices) == 24  # three normals at each of eight corners
    assert set(np.abs(normals).max(axis=1).round(6)) == {1.0}
    assert len(faces) == 12
    smooth, _, _ = crease_normals(*arrays(sphere(3)))
    assert len(smooth) == len(sphere(3).vertices)


def test_normals_point_outwards() -> None:
    torus = trimesh.creation.torus(1.0, 0.3, 24, 12)
    vertices, normals, _ = crease_normals(*arrays(torus))
    ring = vertices * [1, 1, 0]
    ring /= np.linalg.norm(ring, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", normals, vertices - ring) > 0.25).all()


def test_fitted_normals_smooth_a_coarse_cylinder_but_not_its_rims() -> None:
    """Six sides meet at 60 degrees, more than any crease angle, and must look round."""
    fine = Reference(*arrays(trimesh.creation.cylinder(1.0, 2.0, sections=96)))
    vertices, faces = arrays(trimesh.creation.cylinder(1.0, 2.0, sections=6))
    samples = fine.sample(seed=0)
    fall = project(samples.points, vertices, faces)
    split, normals, _ = fitted_normals(vertices, faces, fall.face, fall.weights, samples.normals)
    rim = np.hypot(split[:, 0], split[:, 1]) > 0.5
    side = rim & (np.abs(normals[:, 2]) < 0.5)
    cap = rim & ~side
    assert side.sum() == cap.sum() == 12  # each vertex of the two rims once for each
    outwards = split[side] * [1, 1, 0]
    assert (np.einsum("ij,ij->i", normals[side], outwards) > 0.97).all()
    assert (np.abs(normals[cap][:, 2]) > 0.97).all()


def test_fitted_normals_follow_the_winding_of_their_triangles() -> None:
    fine = Reference(*arrays(sphere(4)))
    coarse = sphere(2)
    coarse.invert()
    vertices, faces = arrays(coarse)
    samples = fine.sample(seed=0)
    fall = project(samples.points, vertices, faces)
    split, normals, _ = fitted_normals(vertices, faces, fall.face, fall.weights, samples.normals)
    assert (np.einsum("ij,ij->i", split, normals) < -0.9).all()


def test_refitting_a_coarse_sphere_halves_its_error_at_least() -> None:
    fine = Reference(*arrays(sphere(5)))
    vertices, faces = arrays(sphere(2))
    moved = refit(vertices, faces, fine.sample(seed=0))
    before = fine.error(*crease_normals(vertices, faces))
    after = fine.error(*crease_normals(moved, faces))
    assert after.mean < 0.5 * before.mean
    np.testing.assert_array_equal(vertices, sphere(2).vertices)  # the argument is left alone


def test_refitting_leaves_a_box_a_box() -> None:
    box = trimesh.creation.box([1, 2, 3])
    fine = Reference(*arrays(box))
    moved = refit(*arrays(box), fine.sample(seed=0))
    np.testing.assert_allclose(moved, box.vertices, atol=1e-9)
