"""Find k-means clusters of signed distances, in memory or streamed from a file."""

import math

import numpy as np

from p2o_shapedb.clustering.exact import (
    inner_products,
    row_chunks,
    squared_between,
    squared_to_means,
    whole_steps,
)
from points2objects.geometry import FloatArray, IntArray

EPOCHS = 4
"""Passes of mini-batch k-means over the rows; further ones move the centres by little."""

_STARTS = 10
_SAMPLE_STARTS = 3
_ROUNDS = 300


def kmeans(products: FloatArray, k: int, seed: int, starts: int = _STARTS) -> IntArray:
    """Sort vectors into k clusters, none of them empty: the best of several k-means++ starts.

    Args:
        products: Their inner products, (n, n), as `inner_products` makes them.
        k: Number of clusters, at most n.
        seed: Of the starts.
        starts: How many.

    Returns:
        Cluster of each, (n,).
    """
    rng = np.random.default_rng(seed)
    if k == len(products):
        return np.arange(k)
    runs = [_lloyd(products, _plus_plus(products, k, rng), k) for _ in range(starts)]
    spreads = [math.fsum(least.tolist()) for _, least in runs]
    return runs[spreads.index(min(spreads))][0]


def streamed_centers(
    rows: FloatArray, which: IntArray, k: int, sample: int, seed: int
) -> FloatArray:
    """Find k-means centres of rows that stay in their file, (k, d), in whole steps.

    k-means++ chooses among an even sample, so that every start is as good as in memory;
    mini-batches of all the rows then move the centres (Sculley, 2010).

    Args:
        rows: (n, d), possibly mapped from a file.
        which: Rows to cluster.
        k: Number of centres.
        sample: Rows to start from.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    drawn = np.sort(_shuffled(rng, which)[:sample])
    start = np.asarray(rows[drawn])
    labels = kmeans(inner_products(start), k, seed, _SAMPLE_STARTS)
    centers = np.stack([whole_steps(start[labels == i]).mean(axis=0) for i in range(k)])
    counts = np.bincount(labels, minlength=k).astype(float)
    del start
    for _ in range(EPOCHS):
        for _, chunk in row_chunks(rows, _shuffled(rng, which)):
            centers, counts = _moved(centers, counts, chunk)
    return np.asarray(np.rint(centers))


def one_hot(labels: IntArray, k: int) -> FloatArray:
    """Return whether each of n things belongs to each of k groups, (k, n), 0 or 1."""
    return np.asarray(np.arange(k)[:, None] == labels, float)


def _shuffled(rng: np.random.Generator, which: IntArray) -> IntArray:
    # By sorting: how `Generator` shuffles may change with NumPy, how it draws numbers may not.
    return np.asarray(which[np.argsort(rng.random(len(which)), kind="stable")])


def _plus_plus(products: FloatArray, k: int, rng: np.random.Generator) -> IntArray:
    """Draw k-means++ seeds (the best of a few each time), and return whose is nearest, (n,)."""
    n, trials = len(products), 2 + int(math.log(k))
    own = np.diag(products)
    seeds = [int(rng.random() * n)]
    least = squared_between(products, np.array(seeds))[:, 0]
    for _ in range(k - 1):
        reached = np.cumsum(least)
        tried = np.searchsorted(reached, rng.random(trials) * reached[-1], side="right")
        tried = np.minimum(tried, n - 1)
        nearer = np.minimum(least, own + own[tried, None] - 2 * products[tried])
        best = int(nearer.sum(axis=1).argmin())
        seeds.append(int(tried[best]))
        least = nearer[best]
    return np.asarray(squared_between(products, np.array(seeds)).argmin(axis=1))


def _lloyd(products: FloatArray, labels: IntArray, k: int) -> tuple[IntArray, FloatArray]:
    """Move centres until no vector changes sides; return clusters and squared distances, (n,)."""
    everyone = np.arange(len(labels))
    labels = _filled(labels, np.diag(products), k)
    squared = squared_to_means(products, one_hot(labels, k))
    for _ in range(_ROUNDS):
        nearest = squared.argmin(axis=1)
        nearest = _filled(nearest, squared[everyone, nearest], k)
        if (nearest == labels).all():
            break
        labels = nearest
        squared = squared_to_means(products, one_hot(labels, k))
    return labels, np.asarray(squared[everyone, labels])


def _filled(labels: IntArray, squared: FloatArray, k: int) -> IntArray:
    """Give every empty cluster the vector that is farthest from its own centre."""
    labels, squared = labels.copy(), squared.copy()
    for empty in np.flatnonzero(np.bincount(labels, minlength=k) == 0):
        shared = np.bincount(labels, minlength=k)[labels] > 1
        farthest = int(np.where(shared, squared, -1.0).argmax())
        labels[farthest], squared[farthest] = empty, 0.0
    return labels


def _moved(
    centers: FloatArray, counts: FloatArray, chunk: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Move centres towards the vectors of a mini-batch that are nearest to them."""
    near = np.rint(centers)
    labels = ((near**2).sum(axis=1) - 2 * (chunk @ near.T)).argmin(axis=1)
    members = one_hot(labels, len(centers))
    counts = counts + members.sum(axis=1)
    pull = members @ chunk - members.sum(axis=1)[:, None] * centers
    return centers + pull / counts[:, None], counts
