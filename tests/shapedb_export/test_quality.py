from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.clustering.cluster import ClassClusters, ClusterOptions, cluster_class
from p2o_shapedb.clustering.quality import measure_clusters, silhouette
from p2o_shapedb.database import CanonicalMesh, common_symmetry
from p2o_shapedb.reports.oracle import (
    SOLID_SIZE,
    SolidTask,
    enlarged,
    make_solid,
    overlap,
    read_solid,
)


def box_mesh(x: float = 0.5) -> CanonicalMesh:
    """A box that fills the cube up to `x`."""
    corners = np.array([[i, j, k] for i in (-0.5, x) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    grey = np.full((8, 3), 170, np.uint8)
    return CanonicalMesh(corners.astype(np.float32), np.array(faces, np.int32), grey, False)


def test_figures_of_two_clusters_worked_out_by_hand() -> None:
    # On a line: exemplars at 0 and 10; 1 and 3 belong to the first, 13 to the second.
    sdf = np.array([0.0, 1.0, 3.0, 10.0, 13.0, 4.0]).reshape(-1, 1, 1, 1)
    train = np.array([True, True, True, True, True, False])
    distances = np.abs(sdf.reshape(-1, 1) - np.array([[0.0, 10.0]]))
    clusters = ClassClusters(np.array([0, 3]), distances.argmin(axis=1), distances)
    found = measure_clusters(sdf, train, clusters, seed=0)
    assert found.cluster_sizes == (3, 2)
    assert found.mean_distance == pytest.approx((1 + 3 + 3) / 3)
    assert found.worst_distance == pytest.approx(3.0)
    assert found.worst_model == 2
    assert found.val_mean_distance == pytest.approx(4.0)
    a = [(1 + 3) / 2, (1 + 2) / 2, (3 + 2) / 2, 3.0, 3.0]
    b = [(10 + 13) / 2, (9 + 12) / 2, (7 + 10) / 2, (10 + 9 + 7) / 3, (13 + 12 + 10) / 3]
    want = np.mean([(y - x) / max(x, y) for x, y in zip(a, b, strict=True)])
    assert found.silhouette == pytest.approx(want, abs=1e-5)


def test_a_silhouette_needs_two_clusters_and_company() -> None:
    sdf = np.random.default_rng(0).normal(size=(4, 2, 2, 2))
    everyone = np.arange(4)
    assert silhouette(sdf, everyone, np.zeros(4, int), 0) is None
    assert silhouette(sdf, everyone, np.arange(4), 0) is None
    assert silhouette(sdf, everyone, np.array([0, 0, 1, 1]), 0) is not None


def test_a_class_of_exemplars_only_has_no_distances() -> None:
    sdf = np.random.default_rng(0).normal(size=(3, 2, 2, 2))
    every = np.ones(3, bool)
    clusters = cluster_class(sdf, every, every, ClusterOptions(3, 0, "mug"))
    found = measure_clusters(sdf, every, clusters, seed=0)
    assert found.cluster_sizes == (1, 1, 1)
    assert found.worst_model == -1
    assert found.mean_distance is found.worst_distance is found.val_mean_distance is None


def test_overlap_of_boxes_is_their_volumes_ratio(tmp_path: Path) -> None:
    solids = []
    for name, x in (("whole", 0.5), ("half", 0.0)):
        box_mesh(x).save(tmp_path / f"{name}.npz")
        out = tmp_path / f"{name}.solid.npz"
        make_solid(SolidTask(tmp_path / f"{name}.npz", tmp_path / "none.npy", "winding", out))
        solids.append(read_solid(out))
    whole, half = solids
    assert int(np.unpackbits(whole).sum()) == SOLID_SIZE**3
    assert overlap(whole, half) == pytest.approx(0.5)
    assert overlap(half, half) == 1.0
    assert overlap(np.zeros_like(half), np.zeros_like(half)) == 0.0


def test_an_open_meshs_solid_is_read_from_its_distances(tmp_path: Path) -> None:
    ticks = (np.arange(32) + 0.5) / 32 - 0.5
    x, y, z = np.meshgrid(ticks, ticks, ticks, indexing="ij")
    np.save(tmp_path / "ball.npy", (np.sqrt(x**2 + y**2 + z**2) - 0.4).astype(np.float32))
    out = tmp_path / "ball.npz"
    make_solid(SolidTask(tmp_path / "none.npz", tmp_path / "ball.npy", "fill", out))
    volume = np.unpackbits(read_solid(out)).mean()
    assert volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.01)


def test_enlarging_keeps_linear_functions() -> None:
    ticks, fine = (np.arange(4) + 0.5) / 4, (np.arange(12) + 0.5) / 12
    grid = ticks[:, None, None] + 2 * ticks[:, None] - 3 * ticks
    want = fine[:, None, None] + 2 * fine[:, None] - 3 * fine
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(enlarged(grid, 12)[inner], want[inner], atol=1e-12)


@pytest.mark.parametrize(
    ("orders", "common"),
    [
        ([1, 1, 1], 1),
        ([0, 0, 1], 0),
        ([4, 4, 0, 2, 1, 1], 4),
        ([2, 4, 0, 1, 2, 1], 2),
        ([2, 1, 1], 1),
        ([], 1),
    ],
)
def test_a_class_has_the_highest_symmetry_that_half_of_it_has(
    orders: list[int], common: int
) -> None:
    assert common_symmetry(orders) == common
