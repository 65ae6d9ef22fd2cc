"""Find k-means centres of signed distances, in memory or streamed from a file."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from points2objects.geometry import FloatArray, IntArray

CHUNK_ROWS = 1024
"""Rows of 32^3 numbers that are in memory at a time: 128 MB."""

EPOCHS = 4
"""Passes of mini-batch k-means over the rows; further ones move the centres by little."""


def row_chunks(rows: FloatArray, which: IntArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield some rows in pieces, each with the place of its first row in `which`."""
    for start in range(0, len(which), CHUNK_ROWS):
        yield start, np.asarray(rows[which[start : start + CHUNK_ROWS]])


def exact_coordinates(rows: FloatArray) -> FloatArray:
    """Express n vectors of d numbers, (n, d), in at most n coordinates with the same distances.

    k-means runs the same on them, and for n < d far faster.
    """
    centered = np.asarray(rows, np.float32) - np.asarray(rows.mean(axis=0), np.float32)
    if len(rows) >= rows.shape[1]:
        return centered.astype(float)
    values, vectors = np.linalg.eigh((centered @ centered.T).astype(float))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def exact_centers(members: FloatArray, k: int, seed: int) -> FloatArray:
    """Find k-means centres of rows in memory, (k, d)."""
    from sklearn.cluster import KMeans

    if k == len(members):
        return members
    settings: dict[str, Any] = {"init": "k-means++", "n_init": 10, "random_state": seed}
    return np.asarray(KMeans(k, **settings).fit(members).cluster_centers_)


def streamed_centers(
    rows: FloatArray, which: IntArray, k: int, sample: int, seed: int
) -> FloatArray:
    """Find k-means centres of rows that stay in their file, (k, d).

    k-means++ chooses among an even sample, so that every start is as good as in memory;
    mini-batches of all the rows then move the centres.

    Args:
        rows: (n, d), possibly mapped from a file.
        which: Rows to cluster.
        k: Number of centres.
        sample: Rows to start from.
        seed: Of everything random.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(which, min(sample, len(which)), replace=False))
    start = np.asarray(rows[drawn])
    settings: dict[str, Any] = {"init": "k-means++", "n_init": 3, "random_state": seed}
    labels = KMeans(k, **settings).fit(exact_coordinates(start)).labels_
    init = np.stack([start[labels == label].mean(axis=0) for label in range(k)])
    del start
    batches: dict[str, Any] = {"init": init, "n_init": 1, "batch_size": CHUNK_ROWS}
    fit = MiniBatchKMeans(k, random_state=seed, **batches)
    for _ in range(EPOCHS):
        for _, chunk in row_chunks(rows, rng.permutation(which)):
            fit.partial_fit(chunk)
    return np.asarray(fit.cluster_centers_)
