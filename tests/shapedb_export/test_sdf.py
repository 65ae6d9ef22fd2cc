from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.procedural.parts import lathe
from p2o_shapedb.sdf import (
    OpenPolicy,
    cell_centers,
    column_winding,
    inside_by_columns,
    signed_distance,
)
from points2objects.geometry import FloatArray, IntArray

trimesh: Any = trimesh_typed  # half of its own annotations are missing


CELL = 1 / 32


def arrays(mesh: Any) -> tuple[FloatArray, IntArray]:
    return np.array(mesh.vertices), np.array(mesh.faces)


def sphere_sdf(points: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(points, axis=-1) - 0.45)


def box_sdf(points: FloatArray) -> FloatArray:
    q = np.abs(points) - [0.45, 0.2, 0.3]
    outside = np.linalg.norm(np.maximum(q, 0), axis=-1)
    return np.asarray(outside + np.minimum(q.max(axis=-1), 0))


def torus_sdf(points: FloatArray) -> FloatArray:
    ring = np.linalg.norm(points[..., :2], axis=-1) - 0.3
    return np.asarray(np.hypot(ring, points[..., 2]) - 0.12)


SHAPES: dict[str, tuple[Any, Callable[[FloatArray], FloatArray], float]] = {
    "sphere": (trimesh.creation.icosphere(subdivisions=4, radius=0.45), sphere_sdf, 2e-3),
    "box": (trimesh.creation.box([0.9, 0.4, 0.6]), box_sdf, 1e-6),
    "torus": (trimesh.creation.torus(0.3, 0.12, 96, 64), torus_sdf, 1e-3),
}


@pytest.mark.parametrize("policy", OpenPolicy)
@pytest.mark.parametrize("name", SHAPES)
def test_closed_shapes_match_their_formula(name: str, policy: OpenPolicy) -> None:
    mesh, formula, tolerance = SHAPES[name]
    found = signed_distance(*arrays(mesh), policy)
    assert found.method == "winding"
    np.testing.assert_allclose(found.grid, formula(cell_centers(32)), atol=tolerance)


def test_index_order_is_x_y_z() -> None:
    mesh = trimesh.creation.box([0.2, 0.2, 0.2])
    mesh.apply_translation([0.3, 0.0, -0.2])
    grid = signed_distance(*arrays(mesh), OpenPolicy.FILL).grid
    inside = cell_centers(32)[grid < 0].mean(axis=0)
    np.testing.assert_allclose(inside, [0.3, 0.0, -0.2], atol=CELL / 2)


def test_overlapping_parts_are_a_union() -> None:
    a, b = (trimesh.creation.icosphere(4, 0.3) for _ in range(2))
    a.apply_translation([-0.15, 0, 0])
    b.apply_translation([0.15, 0, 0])
    found = signed_distance(*arrays(trimesh.util.concatenate([a, b])), OpenPolicy.SHELL)
    points = cell_centers(32)
    inside = np.minimum(
        np.linalg.norm(points - np.array([-0.15, 0, 0]), axis=-1),
        np.linalg.norm(points - np.array([0.15, 0, 0]), axis=-1),
    )
    clear = np.abs(inside - 0.3) > 2e-3
    assert found.method == "winding"
    assert ((found.grid < 0) == (inside < 0.3))[clear].all()


def test_winding_counts_layers() -> None:
    boxes = [trimesh.creation.box([s, s, s]) for s in (0.8, 0.4)]
    vertices, faces = arrays(trimesh.util.concatenate(boxes))
    for axis in range(3):
        winding = column_winding(vertices, faces, 20, axis)
        assert winding[10, 10, 10] == 2
        assert winding[4, 10, 10] == 1
        assert winding[0, 0, 0] == 0


def test_the_axes_vote_over_one_wrong_column() -> None:
    mesh = trimesh.creation.box([0.8, 0.8, 0.8])
    kept = np.ones(len(mesh.faces), bool)
    kept[int(np.argmax(mesh.face_normals[:, 2]))] = False  # a hole that only z columns see
    inside = inside_by_columns(np.array(mesh.vertices), np.array(mesh.faces[kept]), 32)
    assert (inside == (np.abs(cell_centers(32)).max(axis=-1) < 0.4)).all()


def open_bowl() -> Any:
    """Half a sphere of radius 0.45 without thickness, open at the top."""
    ball = trimesh.creation.icosphere(5, 0.45)
    return ball.submesh([np.flatnonzero(ball.triangles_center[:, 1] < 0)], append=True)


def test_an_open_bowl_keeps_its_cavity_as_a_shell() -> None:
    found = signed_distance(*arrays(open_bowl()), OpenPolicy.SHELL)
    points = cell_centers(32)
    radius = np.linalg.norm(points, axis=-1)
    assert found.method == "shell"
    assert found.grid[16, 10, 16] > 0.1  # in the cavity, far from the sheet
    below = points[..., 1] < -CELL
    np.testing.assert_allclose(np.abs(found.grid)[below], np.abs(radius - 0.45)[below], atol=2e-3)
    assert (found.grid[below & (np.abs(radius - 0.45) > 2 * CELL)] > 0).all()


def test_an_open_bowl_is_solid_when_filled() -> None:
    found = signed_distance(*arrays(open_bowl()), OpenPolicy.FILL)
    assert found.method == "fill"
    assert found.grid[16, 6, 16] < 0


def test_fill_repairs_triangles_that_face_the_wrong_way() -> None:
    mesh = trimesh.creation.icosphere(4, 0.45)
    rng = np.random.default_rng(0)
    faces = np.array(mesh.faces)
    flipped = rng.uniform(size=len(faces)) < 0.3
    faces[flipped] = faces[flipped][:, ::-1]
    found = signed_distance(np.array(mesh.vertices), faces, OpenPolicy.FILL)
    want = sphere_sdf(cell_centers(32))
    clear = np.abs(want) > 0.01
    assert ((found.grid < 0) == (want < 0))[clear].all()


def test_a_walled_mug_with_a_hole_keeps_wall_and_cavity() -> None:
    profile = [[0, -0.45], [0.4, -0.45], [0.4, 0.45], [0.25, 0.45], [0.25, -0.3], [0, -0.3]]
    part = lathe(np.array(profile), (0, 0, 0), sides=64)
    triangles = part.vertices[part.faces]
    bottom = (triangles[:, :, 1] < -0.44).all(axis=1) & (triangles[:, :, 0] > 0).all(axis=1)
    faces = part.faces[~bottom]  # half of the underside is missing
    found = signed_distance(part.vertices, faces, OpenPolicy.SHELL)
    assert found.method == "shell"
    radius = np.linalg.norm(cell_centers(32)[:, 16, :][..., [0, 2]], axis=-1)
    middle = found.grid[:, 16, :]
    assert (middle[(radius < 0.23) | (radius > 0.42)] > 0).all()
    assert (middle < 0).any()
