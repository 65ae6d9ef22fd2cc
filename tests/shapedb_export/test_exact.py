from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans

from p2o_shapedb.clustering.exact import (
    STEP,
    inner_products,
    squared_between,
    squared_to_means,
    squared_to_points,
    whole_steps,
)
from p2o_shapedb.clustering.kmeans import kmeans, one_hot, streamed_centers
from p2o_shapedb.fixed_order import dots, rounded, transformed, turn_about_y
from points2objects.geometry import FloatArray


def grids(n: int, d: int = 4096, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(-0.4, 0.9, (n, d)).astype(np.float32)


def test_inner_products_do_not_depend_on_the_order_of_the_cells() -> None:
    rows = grids(40)
    products = inner_products(rows)
    order = np.random.default_rng(1).permutation(rows.shape[1])
    np.testing.assert_array_equal(products, inner_products(rows[:, order]))
    assert (products == np.rint(products)).all()
    # What one machine adds in float32 or in another order is not the same.
    assert (rows @ rows.T != rows[:, order] @ rows[:, order].T).any()


def test_distances_are_those_of_the_rounded_grids() -> None:
    rows = grids(12, 300)
    whole = whole_steps(rows)
    want = ((whole[:, None] - whole[[2, 5]]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(squared_between(inner_products(rows), np.array([2, 5])), want)
    np.testing.assert_array_equal(squared_to_points(rows, np.arange(12), whole[[2, 5]]), want)
    assert np.abs(whole * STEP - rows).max() <= STEP / 2


def test_distances_to_means_are_those_to_the_means() -> None:
    rows = grids(9, 300)
    members = one_hot(np.array([0, 1, 2, 0, 1, 2, 0, 0, 2]), 3)
    centers = np.stack([whole_steps(rows)[row > 0].mean(axis=0) for row in members])
    want = ((whole_steps(rows)[:, None] - centers) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_to_means(inner_products(rows), members), want, rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_clusters_are_as_tight_as_another_library_s(seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(90, 12)) / 4
    labels = kmeans(inner_products(rows), 15, seed)
    centers = np.stack([rows[labels == i].mean(axis=0) for i in range(15)])
    spread = ((rows - centers[labels]) ** 2).sum()
    settings: dict[str, Any] = {"n_init": 10, "random_state": seed}
    assert spread <= 1.03 * float(KMeans(15, **settings).fit(rows).inertia_ or 0.0)


def test_every_cluster_has_a_member_even_among_copies() -> None:
    rows = np.repeat(grids(3, 50), 4, axis=0)
    labels = kmeans(inner_products(rows), 7, 0)
    assert sorted(set(labels.tolist())) == list(range(7))


def test_as_many_clusters_as_rows_are_the_rows() -> None:
    assert kmeans(inner_products(grids(5, 50)), 5, 0).tolist() == [0, 1, 2, 3, 4]


def test_streamed_centres_are_whole_and_ignore_the_order_of_the_cells() -> None:
    rows = grids(60, 200)
    order = np.random.default_rng(2).permutation(200)
    centers = streamed_centers(rows, np.arange(60), 4, 20, 0)
    assert (centers == np.rint(centers)).all()
    other = streamed_centers(rows[:, order], np.arange(60), 4, 20, 0)
    np.testing.assert_array_equal(other, centers[:, order])


def test_a_product_in_one_order_is_the_product() -> None:
    rng = np.random.default_rng(0)
    points, matrix = rng.normal(size=(20, 3)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(transformed(points, matrix), points @ matrix.T, atol=1e-14)
    assert transformed(points[:0], matrix).shape == (0, 4)
    np.testing.assert_allclose(dots(points, points), (points**2).sum(axis=1), atol=1e-14)


def test_quarter_turns_are_whole_numbers() -> None:
    for quarter in range(-4, 5):
        turn = turn_about_y(90.0 * quarter)
        assert (turn == np.rint(turn)).all()


def test_rounding_hides_what_two_processors_see_next_to_zero() -> None:
    near = np.array([0.25, 0.0, -0.5])
    np.testing.assert_array_equal(rounded(near + np.array([1e-16, 6e-17, 1e-16])), near)
    assert np.abs(rounded(np.linspace(-1, 1, 999)) - np.linspace(-1, 1, 999)).max() <= 2.0**-25
