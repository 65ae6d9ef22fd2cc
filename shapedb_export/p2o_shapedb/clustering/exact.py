"""Inner products and distances of grids that come out the same on every processor.

The libraries behind `@` add in another order on each kind of processor and for each number of
threads. k-means enlarges such differences: one model that changes sides moves a centre, and in
the end other models are exemplars. Grids are therefore counted in whole steps, small enough for
a float64 to hold every sum of products without rounding; any order then gives the same.
"""

from collections.abc import Iterator

import numpy as np

from points2objects.geometry import FloatArray, IntArray

STEP = 2.0**-12
"""What grids are rounded to, sides of the cube: 1/128 of a cell. Products of grids of
32^3 cells within 2 sides stay below 2^41, their sums over 4096 models below 2^53."""

CHUNK_ROWS = 512
"""Rows of 32^3 numbers that are in memory at a time: 128 MB."""

_CHUNK_CELLS = 2048
"""Cells of all rows that are in memory at a time for inner products."""


def whole_steps(rows: FloatArray) -> FloatArray:
    """Count numbers in steps, rounded to whole ones; float64 of the same shape."""
    return np.rint(np.asarray(rows, float) / STEP)


def row_chunks(rows: FloatArray, which: IntArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield some rows in whole steps, in pieces, each with the place of its first in `which`."""
    for start in range(0, len(which), CHUNK_ROWS):
        yield start, whole_steps(rows[which[start : start + CHUNK_ROWS]])


def inner_products(rows: FloatArray) -> FloatArray:
    """Return the inner products of vectors about their mean, (n, n), in steps squared.

    Args:
        rows: (n, d).
    """
    products = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], _CHUNK_CELLS):
        part = whole_steps(rows[:, start : start + _CHUNK_CELLS])
        part -= np.rint(part.sum(axis=0) / len(part))
        products += part @ part.T
    return products


def squared_between(products: FloatArray, which: IntArray) -> FloatArray:
    """Return the squared distances of n vectors to some of them, (n, len(which)).

    Args:
        products: Their inner products, (n, n).
        which: Rows.
    """
    own = np.diag(products)
    return np.asarray(own[:, None] + own[which] - 2 * products[:, which])


def squared_to_means(products: FloatArray, members: FloatArray) -> FloatArray:
    """Return the squared distances of n vectors to the means of some of them, (n, k).

    Args:
        products: Their inner products, (n, n).
        members: Whether each of them belongs to each of k groups, (k, n), 0 or 1; none is empty.
    """
    sums, counts = members @ products, members.sum(axis=1)
    within = (sums * members).sum(axis=1) / counts**2
    return np.asarray(np.diag(products)[:, None] - 2 * sums.T / counts + within)


def squared_to_points(rows: FloatArray, which: IntArray, points: FloatArray) -> FloatArray:
    """Return the squared distances of some rows to other vectors, (len(which), k), steps squared.

    Args:
        rows: (n, d), possibly mapped from a file.
        which: Rows to take.
        points: (k, d), whole steps.
    """
    squared = np.zeros((len(which), len(points)))
    for start, chunk in row_chunks(rows, which):
        both = (chunk**2).sum(axis=1)[:, None] + (points**2).sum(axis=1) - 2 * (chunk @ points.T)
        squared[start : start + len(chunk)] = both
    return squared
