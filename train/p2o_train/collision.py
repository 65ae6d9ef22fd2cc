"""The collision loss: no point of one object inside another (paper, section 3.4)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from p2o_train.geometry import BoxTensors


def collision_loss(boxes: BoxTensors, points: Tensor, sdf: Tensor, image: Tensor) -> Tensor:
    """Return the robust collision penalty of each object, (n,) (eq. 8-9).

    The text prints `phi~ = min(-phi, 0)`, but means positive inside and zero outside:
    `max(-phi, 0)`.

    Args:
        boxes: n predicted boxes, level frame; points move with all nine degrees of freedom.
        points: Canonical surface points of each object, (n, p, 3).
        sdf: Signed distances of each object's exemplar, (n, d, d, d), indexed [x, y, z], negative
            inside, at the cell centres of the canonical cube.
        image: Image that each object is in, (n,); only objects of one image can collide.
    """
    n = len(image)
    together = (image[:, None] == image[None]) & ~torch.eye(
        n, dtype=torch.bool, device=image.device
    )
    i, j = torch.nonzero(together, as_tuple=True)
    if not len(i):
        return boxes.translation.sum(dim=1) * 0
    level = (points * boxes.scale[:, None]) @ boxes.rotation.transpose(1, 2)
    level = level + boxes.translation[:, None]
    in_j = (level[i] - boxes.translation[j][:, None]) @ boxes.rotation[j] / boxes.scale[j][:, None]
    depth = sample_inside(sdf[j], in_j).sum(dim=1)
    total = torch.zeros(n, dtype=depth.dtype, device=depth.device).index_add(0, i, depth)
    return geman_mcclure(total)


def sample_inside(sdf: Tensor, points: Tensor) -> Tensor:
    """Interpolate `max(-sdf, 0)` trilinearly; zero outside the canonical cube.

    Args:
        sdf: (n, d, d, d), indexed [x, y, z], at the cell centres of the cube [-0.5, 0.5]^3.
        points: Canonical, (n, p, 3).

    Returns:
        Depths below the surface, (n, p), sides of the cube.
    """
    # grid_sample wants the last index first, and -1..1 from edge to edge of the volume.
    grid = (2 * points.flip(-1))[:, None, None]
    inside = (-sdf).clamp(min=0)[:, None]
    return F.grid_sample(inside, grid, padding_mode="zeros", align_corners=False)[:, 0, 0, 0]


def geman_mcclure(x: Tensor) -> Tensor:
    """Return `(x^2 / 2) / (1 + x^2)`: quadratic for small, 1/2 for large values (eq. 9)."""
    return (x**2 / 2) / (1 + x**2)
