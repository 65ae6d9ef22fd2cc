"""Align predicted boxes with true ones, to judge shapes apart from poses (paper, table 1)."""

import numpy as np

from points2objects.geometry import Box9DoF


def aligned(predicted: Box9DoF, truth: Box9DoF) -> Box9DoF:
    """Move each of p boxes by the similarity transform that brings its corners nearest the true.

    The paper does not say which points it aligns; corners, and with them the canonical pose, need
    no further choice. Their cross-covariance is `R S S' R'^T` with positive diagonal `S S'`, so the
    best rotation turns one box's axes into the other's, and one factor for all sides is left. A
    symmetric shape looks the same after any of its turns, so these do not matter.

    Args:
        predicted: p boxes.
        truth: The true box of each, in the same frame.

    Returns:
        p boxes in the true poses, with the predicted proportions.
    """
    product = (predicted.scale * truth.scale).sum(axis=-1, keepdims=True)
    factor = product / np.square(predicted.scale).sum(axis=-1, keepdims=True)
    return Box9DoF(truth.rotation, truth.translation, factor * predicted.scale)
