from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.simplify import simplify, weld, with_normals
from points2objects.errors import InputError

trimesh: Any = trimesh_typed  # half of its own annotations are missing


def test_a_sphere_keeps_its_shape_in_a_tenth_of_the_triangles() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    found = simplify(np.array(ball.vertices), np.array(ball.faces), 500)
    assert 400 < len(found.faces) <= 500
    assert found.error < 0.003
    radius = np.linalg.norm(found.vertices, axis=1)
    np.testing.assert_allclose(radius, 1.0, atol=0.02)
    np.testing.assert_allclose(found.normals, found.vertices / radius[:, None], atol=0.25)


def test_a_mesh_within_the_budget_is_untouched() -> None:
    box = trimesh.creation.box([1, 2, 3])
    found = simplify(np.array(box.vertices), np.array(box.faces), 12)
    assert len(found.faces) == 12
    assert found.error < 1e-12


def test_hard_edges_stay_hard_and_smooth_ones_share_vertices() -> None:
    box = trimesh.creation.box()
    vertices, normals, faces = with_normals(np.array(box.vertices), np.array(box.faces))
    assert len(vertices) == 24  # three normals at each of eight corners
    assert set(np.abs(normals).max(axis=1).round(6)) == {1.0}
    assert len(faces) == 12
    ball = trimesh.creation.icosphere(subdivisions=3)
    smooth, _, _ = with_normals(np.array(ball.vertices), np.array(ball.faces))
    assert len(smooth) == len(ball.vertices)


def test_normals_point_outwards() -> None:
    torus = trimesh.creation.torus(1.0, 0.3, 24, 12)
    vertices, normals, _ = with_normals(np.array(torus.vertices), np.array(torus.faces))
    ring = vertices * [1, 1, 0]
    ring /= np.linalg.norm(ring, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", normals, vertices - ring) > 0.25).all()


def test_many_small_pieces_still_meet_the_budget() -> None:
    boxes = []
    for i in range(200):
        box = trimesh.creation.box([0.1, 0.1, 0.1])
        box.apply_translation([i % 20, i // 20, 0])
        boxes.append(box)
    mesh = trimesh.util.concatenate(boxes)
    found = simplify(np.array(mesh.vertices), np.array(mesh.faces), 500)
    assert 0 < len(found.faces) <= 500


def test_open_sheets_are_simplified_too() -> None:
    ball = trimesh.creation.icosphere(5, 0.5)
    bowl = ball.submesh([np.flatnonzero(ball.triangles_center[:, 1] < 0)], append=True)
    found = simplify(np.array(bowl.vertices), np.array(bowl.faces), 300)
    assert len(found.faces) <= 300
    assert found.error < 0.01


def test_an_impossible_budget_is_refused() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    with pytest.raises(InputError, match=r"cannot be reduced to 2; raise --triangles"):
        simplify(np.array(ball.vertices), np.array(ball.faces), 2)


def test_weld_joins_seams_and_drops_what_collapses() -> None:
    box = trimesh.creation.box()
    soup = np.array(box.vertices)[box.faces].reshape(-1, 3)
    faces = np.concatenate([np.arange(36).reshape(-1, 3), [[0, 0, 1]]])
    vertices, welded = weld(soup, faces)
    assert len(vertices) == 8
    assert len(welded) == 12
