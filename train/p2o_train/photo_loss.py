"""What photographs teach: where objects are, and how far each one's picture reaches.

Nobody knows the boxes of a photograph's objects, but their rectangles. So the exemplar that the
network chooses is placed as the network says and projected, and its rectangle is compared with the
label's. That teaches direction and apparent size, and distance, gravity and proportions weakly.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from p2o_train.config import LossConfig
from p2o_train.geometry import BoxTensors, CellView, decode_pose
from p2o_train.losses import focal_loss, pool_gravity
from p2o_train.network.heads import GRAVITY_GRID
from p2o_train.photo_targets import PhotoTargets
from points2objects.camera import Camera
from points2objects.spec import ModelSpec

NEAREST_DEPTH = 0.05
"""Points nearer than this, camera heights, or behind the camera, count as so near."""
EDGE_REACH = 2.0
"""An edge farther off than this, in sides, only ever misses: its pull stops growing."""


@dataclass(frozen=True)
class PhotoTerms:
    """Unweighted terms of a batch of photographs, scalars."""

    photo_key: Tensor
    photo_box: Tensor

    def total(self, config: LossConfig) -> Tensor:
        """Return the weighted sum."""
        return config.photo_key * self.photo_key + config.photo_box * self.photo_box

    def numbers(self) -> dict[str, float]:
        """Return name -> value, for the log."""
        return {f.name: getattr(self, f.name).item() for f in fields(self)}


def photo_terms(
    outputs: dict[str, Tensor], targets: PhotoTargets, exemplar_points: Tensor, spec: ModelSpec
) -> PhotoTerms:
    """Compare a batch's outputs with what is known of its photographs.

    Args:
        outputs: Of the heads at `targets.cells`, as for `loss_terms`.
        targets: The batch.
        exemplar_points: Surface points of the exemplars, canonical, (K, p, 3).
        spec: The model's contract.
    """
    key = focal_loss(outputs["heatmap"], targets.heatmap, targets.known)
    if not len(targets):
        return PhotoTerms(key, key * 0)
    owner = targets.object_id
    level_from_camera = level_rotations(_up(outputs[GRAVITY_GRID]))[targets.image]
    stride, K = (
        spec.stride,
        torch.from_numpy(Camera.from_fov(spec.fov_deg, spec.input_size, spec.input_size).K).to(
            outputs["heatmap"]
        ),
    )
    center_px = (torch.stack([targets.column, targets.row], dim=1) + 0.5) * stride
    view = CellView(center_px.to(K.dtype), level_from_camera, K, stride)
    boxes = decode_pose(outputs["rotation"], outputs["translation"], outputs["scale"], view, spec)
    points = exemplar_points[_best_exemplar(outputs["exemplar"], targets.class_id[owner], spec)]
    found = projected_rectangles(boxes, points, view, spec.input_size)
    off = rectangle_loss(found, targets.rectangle[owner], targets.cut[owner])
    weight = targets.weight * targets.trust[owner]
    return PhotoTerms(key, (off * weight).sum() / len(targets))


def projected_rectangles(boxes: BoxTensors, points: Tensor, view: CellView, size_px: int) -> Tensor:
    """Return left, top, right, bottom, px, (m, 4), of m placed shapes within the picture.

    Args:
        boxes: m boxes, level frame.
        points: Surface points of each shape, canonical, (m, p, 3).
        view: Of the m cells: gravity and intrinsics.
        size_px: Side of the picture.
    """
    camera = boxes.translation.new_tensor([0.0, 1.0, 0.0])
    placed = (points * boxes.scale[:, None]) @ boxes.rotation.transpose(1, 2)
    placed = placed + (boxes.translation - camera)[:, None]
    seen = placed @ view.level_from_camera
    depth = seen[..., 2].clamp(min=NEAREST_DEPTH)
    K = view.K
    x = seen[..., 0] / depth * K[0, 0] + K[0, 2]
    y = seen[..., 1] / depth * K[1, 1] + K[1, 2]
    edges = torch.stack([x.amin(dim=1), y.amin(dim=1), x.amax(dim=1), y.amax(dim=1)], dim=1)
    return edges.clamp(-size_px, 2 * size_px)


def rectangle_loss(found: Tensor, true: Tensor, cut: Tensor) -> Tensor:
    """Return how far the edges of m rectangles are off, in the true one's sides, (m,).

    Where the picture cuts an object off, its own edge lies anywhere beyond: only an edge that does
    not reach so far is off.

    Args:
        found: Left, top, right, bottom, px, (m, 4), of the whole object.
        true: The same, of what the picture shows.
        cut: Which edges of it the picture cuts off, (m, 4).
    """
    sides = (true[:, 2:] - true[:, :2]).clamp(min=4.0)
    size = sides.prod(dim=1, keepdim=True).sqrt()
    outwards = (found - true) * found.new_tensor([-1.0, -1.0, 1.0, 1.0])
    outwards = torch.where(cut, outwards.clamp(max=0.0), outwards) / size
    off = F.smooth_l1_loss(outwards, torch.zeros_like(outwards), reduction="none", beta=0.05)
    return off.clamp(max=EDGE_REACH).sum(dim=1)


def level_rotations(up: Tensor) -> Tensor:
    """Return `points2objects.camera.level_from_up` of unit vectors (b, 3), as (b, 3, 3)."""
    forward = up.new_tensor([0.0, 0.0, 1.0])
    back = up[:, 2:] * up - forward
    back = F.normalize(back, dim=1, eps=1e-6)
    return torch.stack([torch.linalg.cross(up, back), up, back], dim=1)


def _up(grid: Tensor) -> Tensor:
    """Return where the network sees up, (b, 3), as a fact that its boxes are read with."""
    pooled = pool_gravity(grid)
    return F.normalize(pooled + pooled.new_tensor([0.0, -1.0, 0.0]), dim=1).detach()


def _best_exemplar(logits: Tensor, class_id: Tensor, spec: ModelSpec) -> Tensor:
    k = spec.exemplars_per_class
    first = class_id * k
    own = logits.detach().gather(1, first[:, None] + torch.arange(k, device=logits.device))
    return first + own.argmax(dim=1)
