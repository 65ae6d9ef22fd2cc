from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.packing.simplify import simplify, simplify_within, weld
from p2o_shapedb.packing.surface_error import Reference, Tolerance
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def reference(mesh: Any) -> Reference:
    return Reference(*weld(np.array(mesh.vertices), np.array(mesh.faces)), samples=4000)


def many_boxes() -> Any:
    boxes = []
    for i in range(200):
        box = trimesh.creation.box([0.1, 0.1, 0.1])
        box.apply_translation([i % 20, i // 20, 0])
        boxes.append(box)
    return trimesh.util.concatenate(boxes)


def test_a_sphere_keeps_its_shape_in_a_tenth_of_the_triangles() -> None:
    found = simplify(reference(trimesh.creation.icosphere(subdivisions=4)), 500)
    assert 400 < len(found.faces) <= 500
    assert found.error.mean < 0.001
    assert found.error.tail < 0.006
    radius = np.linalg.norm(found.vertices, axis=1)
    np.testing.assert_allclose(radius, 1.0, atol=0.02)
    np.testing.assert_allclose(found.normals, found.vertices / radius[:, None], atol=0.1)
    assert len(found.vertices) < 260  # no vertex is split on a smooth surface


def test_a_mesh_within_the_budget_is_untouched() -> None:
    box = trimesh.creation.box([1, 2, 3])
    found = simplify(reference(box), 12)
    assert len(found.faces) == 12
    assert found.error.worst < 1e-12


def test_the_simplified_mesh_fills_the_same_box() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=4)
    mesh.vertices *= [1.0, 0.4, 2.0]
    found = simplify(reference(mesh), 200)
    np.testing.assert_allclose(found.vertices.min(axis=0), mesh.vertices.min(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.vertices.max(axis=0), mesh.vertices.max(axis=0), atol=1e-9)


def test_a_tighter_tolerance_is_met_with_more_triangles() -> None:
    torus = trimesh.creation.torus(1.0, 0.3, 48, 24)
    counts = []
    for mean in (0.004, 0.0015):
        tolerance = Tolerance(mean=mean, tail=0.05, worst=0.1, normal_deg=30, triangles=4000)
        found = simplify_within(np.array(torus.vertices), np.array(torus.faces), tolerance)
        assert found.error.mean <= mean
        counts.append(len(found.faces))
    assert counts[0] < counts[1] < len(torus.faces) / 2


def test_the_tolerance_is_met_with_about_the_fewest_triangles() -> None:
    torus = trimesh.creation.torus(1.0, 0.3, 48, 24)
    tolerance = Tolerance(mean=0.002, tail=0.05, worst=0.1, normal_deg=30, triangles=4000)
    found = simplify_within(np.array(torus.vertices), np.array(torus.faces), tolerance)
    assert not tolerance.accepts(simplify(reference(torus), int(len(found.faces) / 1.3)).error)


def test_the_most_triangles_bound_what_no_tolerance_can() -> None:
    torus = trimesh.creation.torus(1.0, 0.3, 48, 24)
    tolerance = Tolerance(mean=1e-6, tail=1e-6, worst=1e-6, normal_deg=0.01, triangles=150)
    found = simplify_within(np.array(torus.vertices), np.array(torus.faces), tolerance)
    assert 100 < len(found.faces) <= 150
    assert not tolerance.accepts(found.error)


def test_thin_parts_stay() -> None:
    """A table top on legs as thin as a hundredth of its width."""
    parts = [trimesh.creation.box([2, 0.05, 1]).subdivide_loop(2)]
    for x in (-0.9, 0.9):
        for z in (-0.4, 0.4):
            leg = trimesh.creation.cylinder(0.01, 1.0, sections=24)
            leg.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
            leg.apply_translation([x, -0.5, z])
            parts.append(leg)
    mesh = trimesh.util.concatenate(parts)
    found = simplify_within(np.array(mesh.vertices), np.array(mesh.faces), Tolerance())
    low = found.vertices[found.vertices[:, 1] < -0.9]
    feet = {(round(x * 2) / 2, round(z * 2.5) / 2.5) for x, z in low[:, [0, 2]].tolist()}
    assert len(feet) == 4
    assert found.error.tail < 0.008


def test_many_small_pieces_still_meet_the_budget() -> None:
    found = simplify(reference(many_boxes()), 500)
    assert 0 < len(found.faces) <= 500


def test_open_sheets_are_simplified_too() -> None:
    ball = trimesh.creation.icosphere(5, 0.5)
    bowl = ball.submesh([np.flatnonzero(ball.triangles_center[:, 1] < 0)], append=True)
    found = simplify(reference(bowl), 300)
    assert len(found.faces) <= 300
    assert found.error.mean < 0.002
    assert found.error.worst < 0.02


def test_an_impossible_budget_is_refused() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    with pytest.raises(InputError, match=r"cannot be reduced to 2; raise --triangles"):
        simplify(reference(ball), 2)


def test_weld_joins_seams_and_drops_what_collapses() -> None:
    box = trimesh.creation.box()
    soup = np.array(box.vertices)[box.faces].reshape(-1, 3)
    faces = np.concatenate([np.arange(36).reshape(-1, 3), [[0, 0, 1]]])
    vertices, welded = weld(soup, faces)
    assert len(vertices) == 8
    assert len(welded) == 12
