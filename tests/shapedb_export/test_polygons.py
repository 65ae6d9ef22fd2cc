import numpy as np
import pytest

from p2o_shapedb.cad import polygons
from p2o_shapedb.cad.polygons import Polygons, triangulate
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray


def cut(outline: FloatArray) -> IntArray:
    """Cut one face, (n, 2) or (n, 3)."""
    points = np.pad(outline, ((0, 0), (0, 3 - outline.shape[1])))
    found = triangulate(points, Polygons(np.arange(len(points)), np.array([len(points)])))
    return np.asarray(found.corners)


def areas(points: FloatArray, triangles: IntArray) -> FloatArray:
    """Return signed areas of flat triangles, (t,)."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    return np.asarray(
        np.cross(np.pad(b - a, ((0, 0), (0, 1))), np.pad(c - a, ((0, 0), (0, 1))))[:, 2] / 2
    )


def shoelace(points: FloatArray) -> float:
    x, y = points[:, 0], points[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def star(corners: int, rng: np.random.Generator) -> FloatArray:
    """A simple outline around the origin, counter-clockwise, mostly concave."""
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(0.1, 0.9, corners)) / corners
    radii = rng.uniform(0.1, 1.0, corners)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


@pytest.mark.parametrize("corners", [5, 6, 7, 12, 40, 150])
def test_any_simple_outline_is_covered_once(corners: int) -> None:
    rng = np.random.default_rng(corners)
    for _ in range(20):
        outline = star(corners, rng)
        found = areas(outline, cut(outline))
        assert len(found) == corners - 2
        assert found.min() > -1e-12
        assert found.sum() == pytest.approx(shoelace(outline))


def test_a_turned_outline_is_cut_alike_wherever_it_lies() -> None:
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    outline = np.pad(star(30, rng), ((0, 0), (0, 1)))
    moved = outline @ rotation.T * 100 + [5, 6, 7]
    corners = moved[cut(moved)]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(cross, axis=1).sum() / 2 == pytest.approx(1e4 * shoelace(outline))
    # All triangles keep the side that the face shows.
    assert (cross @ cross[0] > 0).all()


def test_a_bracket_is_cut_around_its_corner() -> None:
    outline = np.array([[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4]], float)
    assert areas(outline, cut(outline)).min() > 0
    # From the far end, where a fan would leave the face.
    turned = np.roll(outline, 2, axis=0)
    assert areas(turned, cut(turned)).min() > 0
    assert areas(turned, cut(turned)).sum() == pytest.approx(7.0)


def test_a_concave_quad_takes_the_diagonal_inside() -> None:
    dart = np.array([[0, 0], [2, -1], [0.5, 0], [2, 1]], float)
    for turn in range(4):
        outline = np.roll(dart, turn, axis=0)
        assert areas(outline, cut(outline)).min() > 0


def test_a_hole_on_a_bridge_stays_open() -> None:
    outer = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
    inner = [[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]
    outline = np.array(outer + inner, float)
    found = areas(outline, cut(outline))
    assert found.min() >= 0
    assert found.sum() == pytest.approx(12.0)


def test_corners_on_a_straight_edge_are_kept() -> None:
    outline = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [1, 1], [0, 2], [0, 1]], float)
    triangles = cut(outline)
    assert set(triangles.flat) == set(range(8))
    assert areas(outline, triangles).sum() == pytest.approx(3.0)


def test_faces_of_all_sizes_keep_their_order() -> None:
    rng = np.random.default_rng(2)
    counts = np.array([5, 3, 2, 4, 8, 0, 3, 5])
    outlines = [star(n, rng) for n in counts if n]
    points = np.pad(np.concatenate(outlines), ((0, 0), (0, 1)))
    found = triangulate(points, Polygons(np.arange(len(points)), counts))
    assert found.faces.tolist() == np.repeat(np.arange(8), np.maximum(counts - 2, 0)).tolist()
    starts = np.cumsum(counts) - counts
    own = (found.corners >= starts[found.faces, None]) & (
        found.corners < (starts + counts)[found.faces, None]
    )
    assert own.all()


def test_nothing_gives_nothing() -> None:
    none = np.zeros(0, np.int64)
    found = triangulate(np.zeros((0, 3)), Polygons(none, none))
    assert found.corners.shape == (0, 3)


def test_a_face_that_crosses_itself_is_cut_somehow() -> None:
    angles = np.arange(5) * 4 * np.pi / 5
    assert len(cut(np.stack([np.cos(angles), np.sin(angles)], axis=1))) == 3
    assert len(cut(np.zeros((9, 2)))) == 7
    assert len(cut(np.full((6, 2), np.nan))) == 4


def test_missing_vertices_are_refused() -> None:
    with pytest.raises(InputError, match="point at missing vertices"):
        triangulate(np.zeros((3, 3)), Polygons(np.array([0, 1, 3]), np.array([3])))
    with pytest.raises(InputError, match="point at missing vertices"):
        triangulate(np.zeros((3, 3)), Polygons(np.array([0, 1, -1]), np.array([3])))


def test_more_corners_than_can_be_cut_in_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polygons, "MOST_CORNER_PAIRS", 1000)
    outline = star(40, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"1 concave faces of 40 corners, too many to cut"):
        cut(outline)
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    assert len(cut(np.stack([np.cos(angles), np.sin(angles)], axis=1))) == 398  # convex: a fan
