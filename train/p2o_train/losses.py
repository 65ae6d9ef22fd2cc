"""The terms of eq. 10 as functions of predictions and targets, one value per object or cell.

Reductions are done once, in `total.py`; equations that the paper prints as sums over objects are
averaged there, so that a batch's size does not change the balance.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from p2o_train.geometry import BoxTensors
from points2objects.place import BIN_CENTERS, BIN_REACH

FOCAL_ALPHA = 2
FOCAL_BETA = 4
RMS_EPS = 1e-2
"""Rounds the tip of the root in `rotation_loss`, object sizes."""
SETTLED_EPS = 1e-2
"""The same in `settled_loss`."""
SETTLED_LEAST_DROP = 0.05
"""A box that reaches up to the camera's height cannot be set down: this stands for its drop."""
STANDING_GAP = 0.02
"""Objects whose lowest corner is nearer to the plane than this rest on it, camera heights."""


def focal_loss(logits: Tensor, target: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the penalty-reduced focal loss of a heat-map, divided by its objects (eq. 1).

    Args:
        logits: Before the sigmoid, (b, c, h, w).
        target: Gaussians, 1 at centres only, same shape.
        known: What each cell counts, 0..1, same shape; all alike when None.
    """
    score = torch.sigmoid(logits)
    center = target == 1
    hit = (1 - score) ** FOCAL_ALPHA * F.logsigmoid(logits)
    miss = (1 - target) ** FOCAL_BETA * score**FOCAL_ALPHA * F.logsigmoid(-logits)
    each = torch.where(center, hit, miss)
    if known is not None:
        each = each * known
    return -each.sum() / center.sum().clamp(min=1)


def hard_shape_loss(logits: Tensor, exemplar: Tensor) -> Tensor:
    """Return softmax cross-entropy against the nearest exemplar, (n,) (eq. 2-3).

    Args:
        logits: Of the own class's exemplars, (n, k). The paper's softmax runs over all classes;
            ours does not, because the decoder reads the detected class's exemplars only.
        exemplar: Index of the nearest within the class, (n,).
    """
    return F.cross_entropy(logits, exemplar, reduction="none")


def soft_shape_loss(logits: Tensor, similarity: Tensor, literal: bool = False) -> Tensor:
    """Return the soft-label loss, (n,) (eq. 4, with the targets of eq. 5).

    Eq. 4 as printed has only the positive term, which large logits everywhere minimise; unless
    `literal`, the full binary cross-entropy is taken.

    Args:
        logits: Of the own class's exemplars, (n, k).
        similarity: Targets, (n, k), 0..1.
        literal: Take eq. 4 as printed.
    """
    if literal:
        return -(similarity * F.logsigmoid(logits)).sum(dim=1)
    return F.binary_cross_entropy_with_logits(logits, similarity, reduction="none").sum(dim=1)


def soft_choice_loss(logits: Tensor, similarity: Tensor, temperature: float) -> Tensor:
    """Return softmax cross-entropy against a soft choice by the labels of eq. 5, (n,).

    Eq. 4 asks each exemplar alone how much it resembles the object, and most of that answer is the
    same for all objects of a class. Here the exemplars compete, as in eq. 3, and those that nearly
    resemble the object count too.

    Args:
        logits: Of the own class's exemplars, (n, k).
        similarity: Labels of eq. 5, (n, k), 0..1.
        temperature: Difference of two labels that makes the target e times as likely, above 0.
    """
    return F.cross_entropy(logits, F.softmax(similarity / temperature, dim=1), reduction="none")


def point_loss(
    predicted: BoxTensors, true: BoxTensors, mean: Tensor, moment: Tensor, turns: Tensor
) -> Tensor:
    """Return the mean squared distance of surface points under two poses, (n,) (eq. 7).

    Points are in canonical pose at true scale and enter by their moments: with
    `A = R - R^`, `b = t - t^`, the mean of `||A x + b||^2` is `tr(A C A^T) + 2 b.A mu + b.b`.
    The least value over the object's symmetry group counts.

    Args:
        predicted: n boxes.
        true: n boxes.
        mean: mu, mean surface point at true scale, (n, 3).
        moment: C, mean outer product, (n, 3, 3).
        turns: Symmetry group, (n, g, 3, 3).
    """
    A = predicted.rotation[:, None] - true.rotation[:, None] @ turns
    b = (predicted.translation - true.translation)[:, None]
    turned = ((A @ moment[:, None]) * A).sum(dim=(-1, -2))
    mixed = 2 * (b * (A @ mean[:, None, :, None])[..., 0]).sum(dim=-1)
    return (turned + mixed + (b * b).sum(dim=-1)).amin(dim=1)


def rotation_loss(predicted: Tensor, true: Tensor, moment: Tensor, turns: Tensor) -> Tensor:
    """Return the rotation part of eq. 7 as a length relative to the object, (n,) (L_R, L_M).

    For centred points eq. 7 is a sum of a rotation and a translation part. Here the former is
    taken alone, as the root mean square over the points' own: it then weighs a mug as much as a
    table, pulls as hard near the truth as far from it, and does not drown in depth errors. With
    the identity for a moment it is the Frobenius norm of the difference over sqrt(3).

    Args:
        predicted: Rotations (L_R), or matrices that are none yet (L_M), (n, 3, 3).
        true: Rotations, (n, 3, 3).
        moment: See `point_loss`.
        turns: Symmetry group, (n, g, 3, 3).
    """
    A = predicted[:, None] - true[:, None] @ turns
    size = moment.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    squared = ((A @ moment[:, None]) * A).sum(dim=(-1, -2)).amin(dim=1) / size
    return torch.sqrt(squared + RMS_EPS**2) - RMS_EPS


def bin_loss(raw: Tensor, angle: Tensor) -> Tensor:
    """Return CenterNet's loss of a heading in two bins, (n,) (the first row of table 2).

    Each bin is asked whether it holds the angle (cross-entropy of two scores), and those that do
    how far the angle is from their middle (Huber loss of its sine and cosine).

    Args:
        raw: Rotation head, (n, 8), in `points2objects.place.encode_rotation`'s order.
        angle: True turn about +y under each turn of the object's symmetry group, (n, g); the least
            value over the group counts.
    """
    bins = raw.reshape(-1, 1, 2, 4)
    offset = angle[:, :, None] - torch.tensor(BIN_CENTERS, dtype=raw.dtype, device=raw.device)
    sine, cosine = torch.sin(offset), torch.cos(offset)
    inside = cosine >= math.cos(BIN_REACH)
    margin = bins[..., 1] - bins[..., 0]
    classified = F.softplus(torch.where(inside, -margin, margin))
    wrong_sine = F.smooth_l1_loss(bins[..., 2].expand_as(sine), sine, reduction="none")
    wrong_cosine = F.smooth_l1_loss((bins[..., 3] + 1).expand_as(cosine), cosine, reduction="none")
    regressed = torch.where(inside, wrong_sine + wrong_cosine, torch.zeros_like(sine))
    return (classified + regressed).sum(dim=2).amin(dim=1)


def settled_loss(predicted: BoxTensors, true: BoxTensors) -> Tensor:
    """Return how far boxes that were set down lie from the truth, log(1 + sizes), (n,).

    The runtime moves a box along its ray until it rests on the support plane
    (`points2objects.settle.rest_on_support`), so what places it is its direction and its relative
    height, and their errors may cancel or add. Here they learn that together. Beyond an object's
    size an error is only ever a miss: the logarithm stops it from outweighing the rest. Objects
    that do not rest on the plane have no part in it.

    Args:
        predicted: n boxes, level frame.
        true: n boxes.
    """
    settled = set_down(predicted, true).translation
    size = true.scale.prod(dim=1) ** (1 / 3)
    squared = (settled - true.translation).square().sum(dim=1) / size**2
    off = torch.log1p(torch.sqrt(squared + SETTLED_EPS**2) - SETTLED_EPS)
    return torch.where(stands(true), off, torch.zeros_like(off))


def set_down(predicted: BoxTensors, true: BoxTensors) -> BoxTensors:
    """Move n boxes along their rays, and grow them alike, as the runtime will.

    The same as `points2objects.settle.rest_on_support`, but which objects rest on the plane is
    taken from the truth, so that no box jumps while it learns.
    """
    camera = true.translation.new_tensor([0.0, 1.0, 0.0])
    below_camera = (1 - lowest_corner(predicted)).clamp(min=SETTLED_LEAST_DROP)
    factor = torch.where(stands(true), 1 / below_camera, 1)[:, None]
    return BoxTensors(
        predicted.rotation,
        camera + factor * (predicted.translation - camera),
        factor * predicted.scale,
    )


def stands(boxes: BoxTensors) -> Tensor:
    """Tell which of n boxes rest on the support plane, (n,)."""
    return lowest_corner(boxes).abs() < STANDING_GAP


def lowest_corner(boxes: BoxTensors) -> Tensor:
    """Return the height of each box's lowest corner over the support plane, (n,)."""
    reach = (boxes.rotation[:, 1].abs() * boxes.scale).sum(dim=1) / 2
    return boxes.translation[:, 1] - reach


def huber_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the Huber loss of the distances between points, (n, 3): (n,) (L_t).

    Quadratic up to one camera height, then linear.
    """
    squared = (predicted - target).square().sum(dim=1)
    # Not of a plain norm, whose gradient at zero is no number.
    beyond = squared > 1
    return torch.where(beyond, torch.where(beyond, squared, 1).sqrt() - 0.5, squared / 2)


def pool_gravity(grid: Tensor) -> Tensor:
    """Return the mean raw gravity of (b, cells, 4) by confidence, (b, 3).

    The torch twin of `points2objects.decode.pooled_gravity`.
    """
    return (F.softmax(grid[..., 3], dim=1)[..., None] * grid[..., :3]).sum(dim=1)


def pooled_gravity_loss(grid: Tensor, target: Tensor) -> Tensor:
    """Return how far the picture's pooled up direction is off, and its cells by confidence, (b,).

    Args:
        grid: Raw gravity and log-confidence of cells all over each picture, (b, cells, 4).
        target: Up in the camera minus the level camera's, (b, 3).
    """
    weight = F.softmax(grid[..., 3], dim=1)
    each = (grid[..., :3] - target[:, None]).abs().sum(dim=2)
    return l1_loss(pool_gravity(grid), target) + (weight * each).sum(dim=1)


def l1_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the absolute differences summed over channels, (n,), of (n, c)."""
    return (predicted - target).abs().sum(dim=1)
