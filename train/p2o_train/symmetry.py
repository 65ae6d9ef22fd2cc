"""Turns that leave a shape as it is: what no loss should punish."""

import math

import torch
from torch import Tensor

from p2o_train.geometry import rotation_about_y

CONTINUOUS_STEPS = 24
"""A solid of revolution is treated as this many turns, 15 degrees apart."""


def symmetry_turns(symmetry: Tensor) -> Tensor:
    """Return the turns about y of each object's symmetry group.

    The turns act on the metric shape (after the scale), so `x` and `z` sides must agree for orders
    4 and 0, as they do for such shapes.

    Args:
        symmetry: Order, (n,); 0 stands for a solid of revolution.

    Returns:
        Rotations, (n, g, 3, 3), g the largest order; smaller groups repeat themselves.
    """
    order = torch.where(symmetry == 0, CONTINUOUS_STEPS, symmetry)
    largest = int(order.max()) if len(order) else 1
    step = torch.arange(largest, device=symmetry.device)[None] % order[:, None]
    return rotation_about_y(step * (2 * math.pi) / order[:, None])
