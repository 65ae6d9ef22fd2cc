from dataclasses import replace

import numpy as np
import pytest

from p2o_shapedb.database import CanonicalMesh
from p2o_shapedb.reports.contact_sheet import page, picture
from p2o_shapedb.reports.raster import SUPERSAMPLING, Triangles, View, draw
from p2o_shapedb.reports.report import BuildReport
from points2objects.geometry import ByteArray, FloatArray

HEAD_ON = np.array([0.0, 0.0, -1.0])


def triangles(corners: list[list[tuple[float, float, float]]], *colors: FloatArray) -> Triangles:
    return Triangles(np.array(corners), np.array(colors), np.zeros(len(corners), bool))


RED, BLUE = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
FAR = [(-0.5, -0.5, 0.2), (0.5, -0.5, 0.2), (-0.5, 0.5, 0.2)]
NEAR = [(-0.5, -0.5, -0.2), (0.5, -0.5, -0.2), (-0.5, 0.5, -0.2)]


def is_color(
    image: ByteArray, color: FloatArray
) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return np.asarray((image == (color * 255).astype(np.uint8)).all(axis=-1))


def test_a_triangle_covers_its_area() -> None:
    image = draw(triangles([FAR], RED), View(HEAD_ON, np.zeros(3), 2.0), 64)
    covered = is_color(image, RED).sum() / 64**2
    assert covered == pytest.approx(0.5 / 4, abs=3 / 64)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_triangle_hides_the_other_in_any_order(order: tuple[int, int]) -> None:
    corners, colors = [FAR, NEAR], [RED, BLUE]
    scene = triangles([corners[i] for i in order], *(colors[i] for i in order))
    image = draw(scene, View(HEAD_ON, np.zeros(3), 2.0), 32)
    assert is_color(image, BLUE).any()
    assert not is_color(image, RED).any()


def test_seen_from_the_front_plus_x_is_on_the_left() -> None:
    view = View(HEAD_ON, np.zeros(3), 2.0)
    column, row, depth = view.project(np.array([0.5, 0.5, -0.3]), 100)
    assert (column, row, depth) == pytest.approx((25, 25, 0.3))


def test_around_shows_all_points() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)) + 7.0
    direction = np.array([0.6, 0.0, -0.8])
    seen = View.around(points, direction).project(points, 100)[:, :2]
    assert seen.min() > 0
    assert seen.max() < 100
    assert np.ptp(seen, axis=0).max() == pytest.approx(100 / 1.06)


def test_many_fragments_are_drawn_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = triangles([FAR, NEAR], RED, BLUE)
    view = View(HEAD_ON, np.zeros(3), 2.0)
    whole = draw(scene, view, 32)
    monkeypatch.setattr("p2o_shapedb.reports.raster._MOST_FRAGMENTS", 10 * SUPERSAMPLING)
    np.testing.assert_array_equal(draw(scene, view, 32), whole)


def wedge() -> CanonicalMesh:
    """A ramp that is high at the back, +z."""
    vertices = np.array(
        [[-0.5, -0.5, -0.5], [0.5, -0.5, -0.5], [-0.5, -0.5, 0.5], [0.5, -0.5, 0.5],
         [-0.5, 0.5, 0.5], [0.5, 0.5, 0.5]], np.float32,
    )  # fmt: skip
    faces = [(0, 1, 5), (0, 5, 4), (0, 2, 1), (1, 2, 3), (2, 4, 5), (2, 5, 3), (0, 4, 2), (1, 3, 5)]
    grey = np.full((6, 3), 120, np.uint8)
    return CanonicalMesh(vertices, np.array(faces, np.int32), grey, False)


def test_the_arrow_lies_in_front_of_the_model_and_is_red() -> None:
    image = picture(wedge(), (1.0, 1.0, 1.0), 160).astype(int)
    red = (image[..., 0] - image[..., 2]) > 120
    rows, columns = np.nonzero(red)
    assert red.sum() > 40
    assert rows.mean() > 100  # the front is turned towards the viewer, so it is low
    body = (image.max(axis=-1) - image.min(axis=-1) < 10) & (image.max(axis=-1) < 200)
    assert columns.mean() != pytest.approx(np.nonzero(body)[1].mean(), abs=3)


def test_a_page_holds_all_exemplars(small_build: BuildReport) -> None:
    database = small_build.database
    image = np.asarray(page(database, 2))
    ink = np.asarray((image < 250).any(axis=(0, 2)))
    assert ink[: ink.size // 2].sum() > 100
    assert ink[ink.size // 2 :].sum() > 100
    fewer = replace(
        database,
        exemplar_id=np.where(np.isin(np.arange(len(database.models)), database.exemplar_model),
                             database.exemplar_id, 0),
    )  # fmt: skip
    assert (np.asarray(page(fewer, 2)) < 250).sum() < (image < 250).sum()
