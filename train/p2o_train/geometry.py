"""Torch twins of `points2objects.geometry` and `points2objects.place`, with gradients.

Targets are made by the NumPy originals; only what a loss must differentiate is repeated here.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from points2objects.place import LOG_LIMIT
from points2objects.spec import PoseEncoding

GAP_EPS = 1e-3
"""Sums of singular values below this damp the gradient of eq. 6 instead of blowing it up."""


@dataclass(frozen=True)
class BoxTensors:
    """`Box9DoF` in torch, level frame, n boxes.

    Attributes:
        rotation: (n, 3, 3).
        translation: (n, 3).
        scale: (n, 3).
    """

    rotation: Tensor
    translation: Tensor
    scale: Tensor


class _ProjectToSO3(torch.autograd.Function):
    """Eq. 6 with the gradient of the polar decomposition instead of the SVD's.

    With `M = R P`, P symmetric with eigenvectors V and eigenvalues p (the singular values, the last
    with the sign of det M), a change dM turns R by `R V W V^T`, where
    `W_ij = (B_ij - B_ji) / (p_i + p_j)` and `B = V^T R^T dM V`. Coinciding singular values are no
    trouble, unlike in the gradients of U and V. What is left is true ambiguity (p_i + p_j = 0:
    rank 1, or det < 0 and two smallest singular values equal), where 1/x becomes x / (x^2 + eps^2).
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        U, S, Vt = torch.linalg.svd(matrix)
        sign = torch.ones_like(S)
        sign[..., 2] = torch.where(torch.linalg.det(U @ Vt) < 0, -1.0, 1.0)
        rotation: Tensor = (U * sign[..., None, :]) @ Vt
        ctx.save_for_backward(rotation, S * sign, Vt)
        return rotation

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> Tensor:
        (grad,) = grad_outputs
        rotation, p, Vt = ctx.saved_tensors
        V = Vt.transpose(-1, -2)
        H = Vt @ rotation.transpose(-1, -2) @ grad @ V
        gap = p[..., :, None] + p[..., None, :]
        Z = (H - H.transpose(-1, -2)) * gap / (gap**2 + GAP_EPS**2)
        result: Tensor = rotation @ V @ Z @ Vt
        return result


def project_to_so3(matrix: Tensor) -> Tensor:
    """Return the rotations nearest to matrices, (..., 3, 3), with finite gradients (eq. 6)."""
    rotation: Tensor = _ProjectToSO3.apply(matrix)  # type: ignore[no-untyped-call]
    return rotation


def rotation_about_y(angle: Tensor) -> Tensor:
    """Return rotations about +y, (..., 3, 3), by angles in radians; -z turns towards -x."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos, zero, sin, zero, one, zero, -sin, zero, cos]
    return torch.stack(rows, dim=-1).reshape(*angle.shape, 3, 3)


def decode_pose(
    rotation: Tensor,
    translation: Tensor,
    scale: Tensor,
    view: "CellView",
    pose: PoseEncoding,
) -> BoxTensors:
    """Read boxes in the level frame out of raw pose heads, like `points2objects.place.decode_pose`.

    Args:
        rotation: Raw, (n, 9).
        translation: Raw, (n, 3).
        scale: Raw, (n, 3).
        view: Where the n cells look.
        pose: The spec's encoding.
    """
    matrix = rotation.reshape(-1, 3, 3) + torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    projected = project_to_so3(matrix)
    if pose is PoseEncoding.DIRECT:
        return BoxTensors(projected, translation, scale.clamp(min=1e-3))
    pixels = view.center_px + translation[:, :2] * view.stride
    xy = (pixels - view.K[:2, 2]) / torch.stack([view.K[0, 0], view.K[1, 1]])
    rays_camera = torch.cat([xy, torch.ones_like(xy[:, :1])], dim=1)
    rays_camera = rays_camera / rays_camera.norm(dim=1, keepdim=True)
    rays_level = (view.level_from_camera @ rays_camera[:, :, None])[:, :, 0]
    azimuth = torch.atan2(-rays_level[:, 0], -rays_level[:, 2])
    distance = translation[:, 2:].clamp(-LOG_LIMIT, LOG_LIMIT).exp()
    camera = torch.tensor([0.0, 1.0, 0.0], dtype=rotation.dtype, device=rotation.device)
    return BoxTensors(
        rotation_about_y(azimuth) @ projected,
        camera + distance * rays_level,
        distance * scale.clamp(-LOG_LIMIT, LOG_LIMIT).exp(),
    )


@dataclass(frozen=True)
class CellView:
    """The pinhole view through n map cells.

    Attributes:
        center_px: Pixel at the middle of each cell, (n, 2).
        level_from_camera: Pitch and roll of each cell's image, (n, 3, 3).
        K: Intrinsics that all images share, (3, 3), px.
        stride: Pixels per cell.
    """

    center_px: Tensor
    level_from_camera: Tensor
    K: Tensor
    stride: int
