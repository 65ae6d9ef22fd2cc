"""Choose the exemplars of a class by k-means on signed distances."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from p2o_shapedb.clustering.kmeans import (
    exact_centers,
    exact_coordinates,
    row_chunks,
    streamed_centers,
)
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
    from scipy.optimize import linear_sum_assignment

    check_shape("sdf", sdf, "n d d d")
    k = options.k
    pool = np.flatnonzero(train & eligible)
    if len(pool) < k:
        other = np.count_nonzero(train) - len(pool)
        hint = ", or allow the rest with --exemplars any" if other else ""
        raise InputError(
            f"class {options.name}: {len(pool)} training models can become exemplars, fewer than "
            f"{k}; lower --exemplars-per-class, raise --procedural, or give more --cad{hint}"
        )
    if len(sdf) <= options.exact_up_to:
        coordinates = exact_coordinates(sdf.reshape(len(sdf), -1))
        centers = exact_centers(coordinates[train], k, options.seed)
    else:
        coordinates = sdf.reshape(len(sdf), -1)
        sample = options.exact_up_to
        centers = streamed_centers(coordinates, np.flatnonzero(train), k, sample, options.seed)
    # One to one: two centres may share a nearest eligible member, two exemplars may not.
    cost = _squared_distances(coordinates, pool, centers)
    exemplars = np.sort(pool[linear_sum_assignment(cost.T)[1]])
    everyone = np.arange(len(sdf))
    squared = _squared_distances(coordinates, everyone, np.asarray(coordinates[exemplars]))
    distances = np.sqrt(squared / sdf[0].size)
    distances[exemplars, np.arange(k)] = 0.0  # rid of rounding
    return ClassClusters(exemplars, distances.argmin(axis=1), distances)


def _squared_distances(rows: FloatArray, which: IntArray, others: FloatArray) -> FloatArray:
    """Return the squared distances of some rows to other vectors, (len(which), len(others))."""
    squared = np.zeros((len(which), len(others)))
    for start, chunk in row_chunks(rows, which):
        b = others.astype(chunk.dtype, copy=False)
        both = (chunk**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (chunk @ b.T)
        squared[start : start + len(chunk)] = np.maximum(both, 0.0)
    return squared
