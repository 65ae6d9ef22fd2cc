"""Clusters are made once for what they depend on, and come back as they were."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.cache import Cache
from p2o_shapedb.clustering.cluster import ClusterOptions, cluster_class
from p2o_shapedb.clustering.cluster_cache import Clustered, ClusterJob, kept_clusters
from p2o_shapedb.clustering.quality import measure_clusters
from points2objects.errors import InputError

GRIDS = np.random.default_rng(0).normal(size=(8, 4, 4, 4)).astype(np.float32)
TRAIN = np.arange(8) < 7
JOB = ClusterJob(
    tuple("abcdefgh"), TRAIN, np.ones(8, dtype=bool), ClusterOptions(3, seed=1, name="mug")
)


class Maker:
    """Cluster the grids, and count how often that was asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Clustered:
        self.calls += 1
        found = cluster_class(GRIDS, JOB.train, JOB.eligible, JOB.options)
        return Clustered(found, measure_clusters(GRIDS, JOB.train, found, JOB.options.seed))


def test_the_second_time_nothing_is_clustered_and_all_is_the_same(tmp_path: Path) -> None:
    make, cache = Maker(), Cache(tmp_path)
    first, second = (kept_clusters(cache, JOB, make) for _ in range(2))
    assert make.calls == 1
    for name in ("exemplars", "nearest", "distances"):
        mine, theirs = getattr(first.clusters, name), getattr(second.clusters, name)
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    assert first.quality == second.quality


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, keys=tuple("abcdefgx")),
        replace(JOB, train=~JOB.train),
        replace(JOB, eligible=TRAIN),
        replace(JOB, options=replace(JOB.options, seed=2)),
        replace(JOB, options=replace(JOB.options, k=2)),
    ],
)
def test_whatever_matters_makes_them_anew(tmp_path: Path, other: ClusterJob) -> None:
    make, cache = Maker(), Cache(tmp_path)
    kept_clusters(cache, JOB, make)
    kept_clusters(cache, other, make)
    assert make.calls == 2


def test_damaged_clusters_are_named(tmp_path: Path) -> None:
    make, cache = Maker(), Cache(tmp_path)
    kept_clusters(cache, JOB, make)
    next(tmp_path.rglob("quality.json")).write_text("{")
    with pytest.raises(InputError, match=r"damaged .* delete it and run again"):
        kept_clusters(cache, JOB, make)
