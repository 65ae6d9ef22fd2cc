"""Grade how much a model resembles each exemplar of its class (paper, eq. 5)."""

import numpy as np

from points2objects.geometry import FloatArray


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
