"""Linear algebra that adds in one order, so that every processor gives the same bits.

`@` and `einsum` leave the order to the processor's own kernels. A last bit is enough to make
another shape database: its digest covers the sides of every model.
"""

from functools import reduce

import numpy as np

from points2objects.geometry import FloatArray, rotation_about_y

_DECIMALS = 12
"""Of the matrices of turns: sine and cosine differ between processors in the 16th."""


def transformed(vectors: FloatArray, linear: FloatArray) -> FloatArray:
    """Multiply vectors, (n, d), by a matrix, (m, d): `vectors @ linear.T`, (n, m)."""
    columns = [vectors[:, i, None] * linear[:, i] for i in range(vectors.shape[1])]
    return np.asarray(reduce(np.add, columns))


def dots(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the inner products of the rows of two arrays, (n,)."""
    return np.asarray(reduce(np.add, (a * b).T))


def turn_about_y(angle_deg: float) -> FloatArray:
    """Return the rotation about +y by an angle, (3, 3); whole numbers for quarter turns."""
    return np.round(rotation_about_y(np.radians(angle_deg)), _DECIMALS)


def rounded(vertices: FloatArray) -> FloatArray:
    """Round to 2^-24: next to zero the processors differ in more than the last bit of a float."""
    return np.asarray(np.rint(vertices * 2.0**24) / 2.0**24)
