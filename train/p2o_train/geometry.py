"""Torch twins of `points2objects.geometry` and `points2objects.place`, with gradients.

Targets are made by the NumPy originals; only what a loss must differentiate is repeated here.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from points2objects.place import BIN_CENTERS, LOG_LIMIT
from points2objects.spec import ModelSpec, PoseEncoding, RotationEncoding

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
    rotation: Tensor, translation: Tensor, scale: Tensor, view: "CellView", spec: ModelSpec
) -> BoxTensors:
    """Read boxes in the level frame out of raw pose heads, like `points2objects.place.decode_pose`.

    Args:
        rotation: Raw, (n, 9); (n, 8) if the spec says bins.
        translation: Raw, (n, 3).
        scale: Raw, (n, 3).
        view: Where the n cells look.
        spec: The encodings.
    """
    turned = decode_rotation(rotation, spec.rotation)
    if spec.pose is PoseEncoding.DIRECT:
        return BoxTensors(turned, translation, scale.clamp(min=1e-3))
    pixels = view.center_px + translation[:, :2] * view.stride
    xy = (pixels - view.K[:2, 2]) / torch.stack([view.K[0, 0], view.K[1, 1]])
    rays_camera = torch.cat([xy, torch.ones_like(xy[:, :1])], dim=1)
    rays_camera = rays_camera / rays_camera.norm(dim=1, keepdim=True)
    rays_level = (view.level_from_camera @ rays_camera[:, :, None])[:, :, 0]
    distance = translation[:, 2:].clamp(-LOG_LIMIT, LOG_LIMIT).exp()
    camera = torch.tensor([0.0, 1.0, 0.0], dtype=rotation.dtype, device=rotation.device)
    return BoxTensors(
        rotation_about_y(ray_azimuth(rays_level)) @ turned,
        camera + distance * rays_level,
        distance * scale.clamp(-LOG_LIMIT, LOG_LIMIT).exp(),
    )


def raw_matrix(rotation: Tensor) -> Tensor:
    """Return the matrix, (n, 3, 3), that a raw rotation head, (n, 9), holds less the identity."""
    return rotation.reshape(-1, 3, 3) + torch.eye(3, dtype=rotation.dtype, device=rotation.device)


def decode_rotation(raw: Tensor, encoding: RotationEncoding) -> Tensor:
    """Read rotations, (n, 3, 3), like `points2objects.place.decode_rotation`."""
    if encoding is RotationEncoding.MATRIX:
        return project_to_so3(raw_matrix(raw))
    bins = raw.reshape(-1, 2, 4)
    best = (bins[:, :, 1] - bins[:, :, 0]).argmax(dim=1)
    _, _, sin, cos_less_one = bins[torch.arange(len(bins), device=raw.device), best].unbind(dim=1)
    middle = torch.tensor(BIN_CENTERS, dtype=raw.dtype, device=raw.device)[best]
    cosine = cos_less_one + 1
    # The gradient of atan2(0, 0) is no number; any angle will do there.
    cosine = torch.where((sin == 0) & (cosine == 0), 1.0, cosine)
    return rotation_about_y(torch.atan2(sin, cosine) + middle)


def ray_azimuth(rays_level: Tensor) -> Tensor:
    """Return the turn about +y, radians, (n,), that carries -z to each ray laid flat, (n, 3)."""
    return torch.atan2(-rays_level[:, 0], -rays_level[:, 2])


def turn_about_y(rotation: Tensor) -> Tensor:
    """Return the angle, (...), of the turn about +y that is nearest to rotations, (..., 3, 3)."""
    sine = rotation[..., 0, 2] - rotation[..., 2, 0]
    return torch.atan2(sine, rotation[..., 0, 0] + rotation[..., 2, 2])


def head_rotation(boxes: BoxTensors, pose: PoseEncoding) -> Tensor:
    """Return the rotations, (n, 3, 3), that the rotation head should mean for n boxes.

    In the level frame (DIRECT), or relative to the azimuth of the ray to the box (RAY).
    """
    if pose is PoseEncoding.DIRECT:
        return boxes.rotation
    camera = boxes.translation.new_tensor([0.0, 1.0, 0.0])
    return rotation_about_y(-ray_azimuth(boxes.translation - camera)) @ boxes.rotation


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
