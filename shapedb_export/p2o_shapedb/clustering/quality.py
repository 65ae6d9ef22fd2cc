"""Measure how well the exemplars of a class stand for its models."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from p2o_shapedb.clustering.cluster import ClassClusters
from points2objects.geometry import FloatArray, IntArray

SILHOUETTE_MODELS = 1000
"""Most models that a silhouette is taken over: it needs the distances of all pairs."""


@dataclass(frozen=True)
class ClusterQuality:
    """Figures of one class; distances are root mean squares in sides of the canonical cube.

    Attributes:
        cluster_sizes: Training models per exemplar, itself included, (k,).
        silhouette: Mean silhouette of the training models, -1..1; None if it is not defined.
        mean_distance: From a training model that is no exemplar to its nearest; None without one.
        worst_distance: The largest of these.
        worst_model: Whose that is, index within the class; -1 without one.
        val_mean_distance: From a validation model to its nearest exemplar; None without one.
    """

    cluster_sizes: tuple[int, ...]
    silhouette: float | None
    mean_distance: float | None
    worst_distance: float | None
    worst_model: int
    val_mean_distance: float | None


def measure_clusters(
    sdf: FloatArray, train: npt.NDArray[np.bool_], clusters: ClassClusters, seed: int
) -> ClusterQuality:
    """Measure the clusters of one class of n models.

    Args:
        sdf: Signed distances of every model, (n, d, d, d); may be mapped from a file.
        train: Models that shaped the clusters, (n,).
        clusters: What was found.
        seed: Of the models drawn for the silhouette.
    """
    k = len(clusters.exemplars)
    least = clusters.distances.min(axis=1)
    rest = np.setdiff1d(np.flatnonzero(train), clusters.exemplars)
    return ClusterQuality(
        cluster_sizes=tuple(np.bincount(clusters.nearest[train], minlength=k).tolist()),
        silhouette=silhouette(sdf, np.flatnonzero(train), clusters.nearest, seed),
        mean_distance=float(least[rest].mean()) if len(rest) else None,
        worst_distance=float(least[rest].max()) if len(rest) else None,
        worst_model=int(rest[least[rest].argmax()]) if len(rest) else -1,
        val_mean_distance=float(least[~train].mean()) if not train.all() else None,
    )


def silhouette(sdf: FloatArray, which: IntArray, nearest: IntArray, seed: int) -> float | None:
    """Return the mean silhouette of some models, or None where all or no models share a cluster.

    Args:
        sdf: (n, d, d, d).
        which: Models to take it over; of many, a sample.
        nearest: Cluster of each of the n models.
        seed: Of the sample.
    """
    from sklearn.metrics import silhouette_score

    if len(which) > SILHOUETTE_MODELS:
        which = np.sort(np.random.default_rng(seed).choice(which, SILHOUETTE_MODELS, replace=False))
    labels = nearest[which]
    if not 2 <= len(set(labels.tolist())) < len(which):
        return None
    rows = np.asarray(sdf[which], np.float32).reshape(len(which), -1)
    rows = rows - rows.mean(axis=0)
    gram = (rows @ rows.T).astype(float)
    norms = np.diag(gram)
    distances = np.sqrt(np.maximum(norms[:, None] + norms - 2 * gram, 0.0))
    np.fill_diagonal(distances, 0.0)
    return float(silhouette_score(distances, labels, metric="precomputed"))
