from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.clustering.cluster import ClassClusters, ClusterOptions, cluster_class
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray


def blobs(n: int, k: int, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """n noisy copies, (n, 4, 4, 4), of k well-separated grids, and which one each copies."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % k
    return rng.normal(size=(k, 4, 4, 4))[kind] + 0.01 * rng.normal(size=(n, 4, 4, 4)), kind


def everyone(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.ones(n, bool)


def test_clusters_are_found_and_models_belong_to_their_own() -> None:
    sdf, kind = blobs(30, 5)
    found = cluster_class(sdf, everyone(30), everyone(30), ClusterOptions(5, 0, "chair"))
    assert sorted(kind[found.exemplars]) == [0, 1, 2, 3, 4]
    assert (kind[found.exemplars[found.nearest]] == kind).all()


def test_an_exemplar_is_its_own_nearest_at_distance_zero() -> None:
    sdf, _ = blobs(12, 12)
    found = cluster_class(sdf, everyone(12), everyone(12), ClusterOptions(7, 0, "chair"))
    assert (found.nearest[found.exemplars] == np.arange(7)).all()
    assert (found.distances[found.exemplars, np.arange(7)] == 0).all()


def test_the_same_seed_gives_the_same_exemplars() -> None:
    sdf = np.random.default_rng(3).normal(size=(40, 4, 4, 4))
    runs = [
        cluster_class(sdf, everyone(40), everyone(40), ClusterOptions(6, 9, "chair"))
        for _ in range(2)
    ]
    assert (runs[0].exemplars == runs[1].exemplars).all()


def test_held_out_and_ineligible_models_are_never_exemplars() -> None:
    sdf, _ = blobs(40, 8)
    train, eligible = everyone(40), everyone(40)
    train[::3] = False
    eligible[1::4] = False
    found = cluster_class(sdf, train, eligible, ClusterOptions(8, 0, "chair"))
    assert len(set(found.exemplars.tolist())) == 8
    assert (train & eligible)[found.exemplars].all()


def test_fewer_models_than_exemplars_are_refused() -> None:
    sdf, _ = blobs(6, 6)
    eligible = everyone(6)
    eligible[2:] = False
    with pytest.raises(InputError, match="class mug: 2 models to choose 3 exemplars from"):
        cluster_class(sdf, everyone(6), eligible, ClusterOptions(3, 0, "mug"))


def test_distances_are_root_mean_squares_of_the_grids() -> None:
    sdf = np.random.default_rng(1).normal(size=(9, 4, 4, 4))
    found = cluster_class(sdf, everyone(9), everyone(9), ClusterOptions(3, 0, "chair"))
    want = np.sqrt(((sdf[:, None] - sdf[found.exemplars]) ** 2).mean(axis=(2, 3, 4)))
    np.testing.assert_allclose(found.distances, want, atol=1e-4)


def streamed(sdf: FloatArray, k: int, seed: int = 0) -> ClassClusters:
    options = ClusterOptions(k, seed, "chair", exact_up_to=4 * k)
    return cluster_class(sdf.astype(np.float32), everyone(len(sdf)), everyone(len(sdf)), options)


def test_streamed_clusters_are_as_good_as_those_in_memory() -> None:
    sdf, kind = blobs(600, 7, seed=5)
    found = streamed(sdf, 7)
    assert sorted(kind[found.exemplars]) == list(range(7))
    assert (kind[found.exemplars[found.nearest]] == kind).all()


def test_streaming_comes_close_on_shapes_without_clusters() -> None:
    sdf = np.random.default_rng(2).normal(size=(800, 3, 3, 3))
    exact = cluster_class(sdf, everyone(800), everyone(800), ClusterOptions(8, 0, "chair"))
    spread = streamed(sdf, 8).distances.min(axis=1)
    assert (spread**2).mean() < 1.05 * (exact.distances.min(axis=1) ** 2).mean()


def test_streaming_is_deterministic_and_reads_a_file(tmp_path: Path) -> None:
    sdf = np.random.default_rng(4).normal(size=(300, 4, 4, 4)).astype(np.float32)
    np.save(tmp_path / "sdf.npy", sdf)
    mapped = np.load(tmp_path / "sdf.npy", mmap_mode="r")
    runs = [streamed(sdf, 6), streamed(mapped, 6)]
    assert (runs[0].exemplars == runs[1].exemplars).all()
    np.testing.assert_array_equal(runs[0].distances, runs[1].distances)
