"""Choose the exemplars of a class by k-means on signed distances."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from p2o_shapedb.clustering.exact import (
    STEP,
    inner_products,
    squared_between,
    squared_to_means,
    squared_to_points,
    whole_steps,
)
from p2o_shapedb.clustering.kmeans import kmeans, one_hot, streamed_centers
from points2objects.errors import InputError, check_shape
from points2objects.geometry import FloatArray, IntArray


@dataclass(frozen=True)
class ClusterOptions:
    """How to cluster a class.

    Attributes:
        k: Number of exemplars.
        seed: Of the k-means++ starts.
        name: Class, for messages.
        exact_up_to: Most models to cluster in memory; more are streamed in mini-batches.
    """

    k: int
    seed: int
    name: str
    exact_up_to: int = 3000


@dataclass(frozen=True)
class ClassClusters:
    """Exemplars of one class of n models; indices count within the class.

    Attributes:
        exemplars: Model behind each exemplar, (k,), distinct.
        nearest: Nearest exemplar of each model, (n,), 0..k-1.
        distances: Root-mean-square distance of each model's grid to each exemplar's, (n, k).
    """

    exemplars: IntArray
    nearest: IntArray
    distances: FloatArray


def cluster_class(
    sdf: FloatArray,
    train: npt.NDArray[np.bool_],
    eligible: npt.NDArray[np.bool_],
    options: ClusterOptions,
) -> ClassClusters:
    """Cluster the training models of a class and take the member nearest to each centre.

    Args:
        sdf: Signed distances of every model, (n, d, d, d); may be mapped from a file.
        train: Models that shape the clusters, (n,).
        eligible: Models that may become exemplars, (n,); only those in `train` count.
        options: Number of exemplars, seed and limits.

    Raises:
        InputError: Fewer than k models to choose from.
    """
    check_shape("sdf", sdf, "n d d d")
    k = options.k
    pool = np.flatnonzero(train & eligible)
    if len(pool) < k:
        raise InputError(f"class {options.name}: {len(pool)} models to choose {k} exemplars from")
    rows = sdf.reshape(len(sdf), -1)
    if len(rows) <= options.exact_up_to:
        products = inner_products(rows)
        cost = _squared_to_clusters(products, np.flatnonzero(train), options)[pool]
        exemplars = _one_to_one(cost, pool)
        squared = squared_between(products, exemplars)
    else:
        sample = options.exact_up_to
        centers = streamed_centers(rows, np.flatnonzero(train), k, sample, options.seed)
        exemplars = _one_to_one(squared_to_points(rows, pool, centers), pool)
        points = whole_steps(rows[exemplars])
        squared = squared_to_points(rows, np.arange(len(rows)), points)
    distances = STEP * np.sqrt(squared / sdf[0].size)
    return ClassClusters(exemplars, distances.argmin(axis=1), distances)


def _squared_to_clusters(
    products: FloatArray, train: IntArray, options: ClusterOptions
) -> FloatArray:
    """Cluster some models; return the squared distances of all to the centres, (n, k)."""
    labels = kmeans(products[np.ix_(train, train)], options.k, options.seed)
    members = np.zeros((options.k, len(products)))
    members[:, train] = one_hot(labels, options.k)
    return squared_to_means(products, members)


def _one_to_one(cost: FloatArray, pool: IntArray) -> IntArray:
    """Choose a model of the pool for each centre: two may share a nearest one, but not have it."""
    from scipy.optimize import linear_sum_assignment

    return np.sort(pool[linear_sum_assignment(cost.T)[1]])
