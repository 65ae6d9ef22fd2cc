from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.procedural.parts import lathe
from p2o_shapedb.solids.sdf import OpenPolicy, find_solid, inside_by_method, signed_distance
from p2o_shapedb.solids.solid_columns import cell_centers, column_winding, inside_by_columns
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


def check_bar(grid: FloatArray, want: FloatArray) -> None:
    """Hold a grid to the project's bar: signs 99.9 % right, distances to a quarter of a cell."""
    cell = 1 / grid.shape[0]
    clear = np.abs(want) > cell / 2
    assert ((grid < 0) == (want < 0))[clear].mean() >= 0.999
    assert np.abs(np.abs(grid) - np.abs(want)).max() <= cell / 4


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


def two_boxes(points: FloatArray) -> tuple[Any, FloatArray]:
    """Return two boxes that overlap, and which points lie in their union."""
    boxes = [trimesh.creation.box([0.6, 0.5, 0.4]) for _ in range(2)]
    boxes[0].apply_translation([-0.15, 0.0, 0.0])
    boxes[1].apply_translation([0.15, 0.1, 0.05])
    inside = np.zeros(points.shape[:-1], bool)
    for shift in ([-0.15, 0.0, 0.0], [0.15, 0.1, 0.05]):
        inside |= (np.abs(points - shift) < [0.3, 0.25, 0.2]).all(axis=-1)
    return boxes, inside


@pytest.mark.parametrize("policy", OpenPolicy)
@pytest.mark.parametrize("flipped", [(), (0,), (1,), (0, 1)])
def test_overlapping_boxes_are_a_union_whichever_is_inside_out(
    flipped: tuple[int, ...], policy: OpenPolicy
) -> None:
    points = cell_centers(32)
    boxes, want = two_boxes(points)
    for number in flipped:
        boxes[number].invert()
    vertices, faces = arrays(trimesh.util.concatenate(boxes))
    assert (find_solid(vertices, faces, policy, 32).inside == want).all()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [32, 64])
def test_shapes_inside_out_are_solid_all_the_same(name: str, size: int) -> None:
    mesh, formula, _ = SHAPES[name]
    vertices, faces = arrays(mesh)
    found = signed_distance(vertices, faces[:, ::-1], OpenPolicy.SHELL, size)
    assert found.method == "winding"
    check_bar(found.grid, formula(cell_centers(size)))


@pytest.mark.parametrize("policy", OpenPolicy)
@pytest.mark.parametrize("name", SHAPES)
def test_a_skin_with_two_sides_is_solid(name: str, policy: OpenPolicy) -> None:
    mesh, formula, _ = SHAPES[name]
    vertices, faces = arrays(mesh)
    rng = np.random.default_rng(0)
    both = rng.permutation(np.concatenate([faces, faces[:, ::-1]]))
    found = signed_distance(vertices, both, policy)
    assert found.method == "winding"
    check_bar(found.grid, formula(cell_centers(32)))


@pytest.mark.parametrize("inside_out", [False, True])
def test_a_cavity_stays_empty(inside_out: bool) -> None:
    outer, inner = trimesh.creation.icosphere(4, 0.45), trimesh.creation.icosphere(4, 0.25)
    inner.invert()
    vertices, faces = arrays(trimesh.util.concatenate([outer, inner]))
    found = signed_distance(vertices, faces[:, ::-1] if inside_out else faces, OpenPolicy.FILL)
    radius = np.linalg.norm(cell_centers(32), axis=-1)
    check_bar(found.grid, np.maximum(radius - 0.45, 0.25 - radius))


def test_a_part_inside_another_changes_no_sign() -> None:
    parts = [trimesh.creation.icosphere(4, 0.45), trimesh.creation.box([0.3, 0.3, 0.3])]
    found = find_solid(*arrays(trimesh.util.concatenate(parts)), OpenPolicy.SHELL, 32)
    clear = np.abs(sphere_sdf(cell_centers(32))) > 2e-3
    assert (found.inside == (sphere_sdf(cell_centers(32)) < 0))[clear].all()


def test_a_loose_sheet_inside_and_outside_adds_no_volume() -> None:
    box = trimesh.creation.box([0.5, 0.5, 0.5])
    square = np.array([[-0.45, 0, -0.1], [0.45, 0, -0.1], [0.45, 0, 0.1], [-0.45, 0, 0.1]])
    sheet = np.array([[0, 1, 2], [0, 2, 3]]) + len(box.vertices)
    faces = np.concatenate([box.faces, sheet, sheet[:, ::-1]])
    found = find_solid(np.concatenate([box.vertices, square]), faces, OpenPolicy.FILL, 32)
    assert (found.inside == (np.abs(cell_centers(32)) < 0.25).all(axis=-1)).all()


def bowl_distance(points: FloatArray) -> FloatArray:
    """Distance from the lower half of a sphere of radius 0.45: its surface, or its rim."""
    across = np.linalg.norm(points[..., [0, 2]], axis=-1)
    rim = np.hypot(across - 0.45, points[..., 1])
    surface = np.abs(np.linalg.norm(points, axis=-1) - 0.45)
    return np.asarray(np.where(points[..., 1] < 0, surface, rim))


def flat_open_bowl() -> Any:
    """Half a sphere cut exactly at its equator."""
    profile = [[0.45 * np.sin(t), -0.45 * np.cos(t)] for t in np.linspace(0, np.pi / 2, 49)]
    return trimesh.creation.revolve(np.array(profile)[:, [0, 1]], sections=128)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("inside_out", [False, True])
def test_an_open_bowl_has_no_inside_as_a_shell(size: int, inside_out: bool) -> None:
    vertices, faces = arrays(flat_open_bowl())
    vertices = vertices[:, [0, 2, 1]]  # revolve turns about z
    faces = faces[:, ::-1] if inside_out else faces
    found = signed_distance(vertices, faces, OpenPolicy.SHELL, size)
    assert found.method == "shell"
    check_bar(found.grid, bowl_distance(cell_centers(size)))


def tube_distance(points: FloatArray) -> FloatArray:
    """Distance from a cup without thickness: radius 0.3, from -0.45 to 0.45, open at the top."""
    across = np.linalg.norm(points[..., [0, 2]], axis=-1)
    y = points[..., 1]
    wall = np.hypot(across - 0.3, np.maximum(np.abs(y) - 0.45, 0))
    floor = np.hypot(np.maximum(across - 0.3, 0), y + 0.45)
    return np.asarray(np.minimum(wall, floor))


def test_a_thin_open_mug_keeps_its_cavity() -> None:
    part = lathe(np.array([[0.0, -0.45], [0.3, -0.45], [0.3, 0.45]]), (0, 0, 0), sides=128)
    top = (part.vertices[part.faces][:, :, 1] > 0.449).all(axis=1)
    found = signed_distance(part.vertices, part.faces[~top], OpenPolicy.SHELL)
    assert found.method == "shell"
    check_bar(found.grid, tube_distance(cell_centers(32)))


def mug_with_thin_wall() -> Any:
    """A closed mug whose wall is 0.02 thick, two thirds of a cell."""
    outline = [[0, -0.45], [0.3, -0.45], [0.3, 0.45], [0.28, 0.45], [0.28, -0.43], [0, -0.43]]
    return lathe(np.array(outline), (0, 0, 0), sides=128)


def test_a_mug_with_a_thin_wall_is_hollow_under_either_policy() -> None:
    part = mug_with_thin_wall()
    points = cell_centers(128)
    across = np.linalg.norm(points[..., [0, 2]], axis=-1)
    y = points[..., 1]
    cup = (across < 0.3) & (np.abs(y) < 0.45) & ~((across < 0.28) & (y > -0.43))
    for policy in OpenPolicy:
        found = find_solid(part.vertices, part.faces, policy, 128)
        assert found.method == "winding"
        assert (found.inside == cup).mean() > 0.999


def test_a_crack_in_a_thin_wall_does_not_make_it_a_sheet() -> None:
    part = mug_with_thin_wall()
    middle = part.vertices[part.faces].mean(axis=1)
    crack = (middle[:, 1] < -0.449) & (middle[:, 0] > 0) & (np.abs(middle[:, 2]) < 0.01)
    assert crack.any()
    found = find_solid(part.vertices, part.faces[~crack], OpenPolicy.SHELL, 64)
    whole = find_solid(part.vertices, part.faces, OpenPolicy.SHELL, 64)
    assert (found.inside & whole.inside).sum() > 0.97 * (found.inside | whole.inside).sum()


@pytest.mark.parametrize("method", ["winding", "fill", "shell"])
def test_every_method_agrees_on_a_closed_shape(method: str) -> None:
    mesh, formula, _ = SHAPES["torus"]
    want = formula(cell_centers(64))
    inside = inside_by_method(method, *arrays(mesh), 64)
    assert (inside == (want < 0))[np.abs(want) > 0.5 / 64].all()


@pytest.mark.slow
def test_a_soup_of_large_triangles_stays_within_memory() -> None:
    # All pairs of triangle and column at once would take 40 million rows.
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-0.5, 0.5, (3000, 3))
    faces = rng.integers(0, 3000, (10_000, 3))
    winding = column_winding(vertices, faces, 128, 2)
    some = column_winding(vertices, faces[:5000], 128, 2)
    rest = column_winding(vertices, faces[5000:], 128, 2)
    assert (winding == some + rest).all()
