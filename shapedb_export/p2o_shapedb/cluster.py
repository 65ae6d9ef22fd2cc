"""Choose exemplars by k-means on signed distances, and grade resemblance (paper, eq. 5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.geometry import FloatArray, IntArray


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
    k: int,
    seed: int,
    name: str,
) -> ClassClusters:
    """Cluster the training models of a class and take the member nearest to each centre.

    Args:
        sdf: Signed distances of every model, (n, d, d, d).
        train: Models that shape the clusters, (n,).
        eligible: Models that may become exemplars, (n,); only those in `train` count.
        k: Number of exemplars.
        seed: Of the k-means++ starts.
        name: Class, for messages.

    Raises:
        InputError: Fewer than k models to choose from.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans

    check_shape("sdf", sdf, "n d d d")
    pool = np.flatnonzero(train & eligible)
    if len(pool) < k:
        raise InputError(
            f"class {name}: {len(pool)} training models can become exemplars, fewer than {k}; "
            "lower --exemplars-per-class, raise --procedural, or give more --cad"
        )
    coordinates = exact_coordinates(sdf.reshape(len(sdf), -1))
    members = coordinates[train]
    if k == len(members):
        centers = members
    else:
        options: dict[str, Any] = {"init": "k-means++", "n_init": 10, "random_state": seed}
        fit = KMeans(k, **options).fit(members)
        centers = np.asarray(fit.cluster_centers_)
    # One to one: two centres may share a nearest eligible member, two exemplars may not.
    cost = _squared_distances(centers, coordinates[pool])
    exemplars = np.sort(pool[linear_sum_assignment(cost)[1]])
    squared = _squared_distances(coordinates, coordinates[exemplars])
    distances = np.sqrt(squared / sdf[0].size)
    distances[exemplars, np.arange(k)] = 0.0  # rid of rounding
    return ClassClusters(exemplars, distances.argmin(axis=1), distances)


def exact_coordinates(rows: FloatArray) -> FloatArray:
    """Express n vectors of d numbers, (n, d), in at most n coordinates with the same distances.

    k-means runs the same on them, and for n < d far faster.
    """
    centered = np.asarray(rows, np.float32) - np.asarray(rows.mean(axis=0), np.float32)
    if len(rows) >= rows.shape[1]:
        return centered.astype(float)
    values, vectors = np.linalg.eigh((centered @ centered.T).astype(float))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def soft_radius(distances: FloatArray) -> float:
    """Choose the scale of eq. 5 for one class from its own distances.

    The paper leaves the norm's scale open: over 32^3 cells the plain norm makes nearly every
    target 0, the root mean square nearly every one 1. We divide the latter by the median
    distance between a model and the exemplars that are not its nearest, so that half of those
    get exactly 0 and resemblance is graded among the other half.

    Args:
        distances: Root-mean-square distance of n models to k exemplars, (n, k).

    Returns:
        Radius, in sides of the canonical cube, positive.
    """
    others = np.sort(distances, axis=1)[:, 1:]
    radius = float(np.median(others)) if others.size else 0.0
    return max(radius, 1e-3)


def soft_labels(distances: FloatArray, radius: float) -> FloatArray:
    """Grade resemblance, 0..1, of the same shape as the distances (paper, eq. 5)."""
    return np.asarray(np.maximum(0.0, 1.0 - distances / radius))


def _squared_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    product = a @ b.T
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * product
    return np.asarray(np.maximum(squared, 0.0))
