"""Eq. 10: all terms of a batch, weighted and added."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from p2o_train.collision import collision_loss
from p2o_train.config import LossConfig, TrainConfig
from p2o_train.geometry import BoxTensors, decode_pose, head_rotation, raw_matrix, turn_about_y
from p2o_train.losses import (
    bin_loss,
    focal_loss,
    hard_shape_loss,
    huber_loss,
    l1_loss,
    point_loss,
    pooled_gravity_loss,
    rotation_loss,
    set_down,
    settled_loss,
    soft_choice_loss,
    soft_shape_loss,
)
from p2o_train.network.heads import GRAVITY_GRID
from p2o_train.symmetry import symmetry_turns
from p2o_train.targets import Targets
from points2objects.spec import ModelSpec, PoseEncoding


@dataclass(frozen=True)
class LossTerms:
    """Unweighted terms, scalars; the names are those of their weights in `LossConfig`.

    `offset`, `distance` (the RAY encoding's translation), `gravity` and `settled` are not in the
    paper, whose scene frame needs none of them. `translation` is its L_t.
    """

    key: Tensor
    points: Tensor
    scale: Tensor
    shape: Tensor
    collision: Tensor
    offset: Tensor
    distance: Tensor
    gravity: Tensor
    settled: Tensor
    translation: Tensor

    def total(self, config: LossConfig) -> Tensor:
        """Return the weighted sum (eq. 10)."""
        terms = [getattr(config, f.name) * getattr(self, f.name) for f in fields(self)]
        return torch.stack(terms).sum()

    def scaled(self, key: float, others: float) -> "LossTerms":
        """Return the terms with the heat-map's and the others' multiplied by a factor each."""
        factor = {"key": key}
        return LossTerms(
            **{f.name: getattr(self, f.name) * factor.get(f.name, others) for f in fields(self)}
        )

    def numbers(self) -> dict[str, float]:
        """Return name -> value, for the log."""
        return {f.name: getattr(self, f.name).item() for f in fields(self)}


def loss_terms(
    outputs: dict[str, Tensor],
    targets: Targets,
    exemplar_sdf: Tensor | None,
    spec: ModelSpec,
    config: TrainConfig,
) -> LossTerms:
    """Compare a batch's outputs with its targets.

    Args:
        outputs: Of `p2o_train.network.heads.Heads.at` with `targets.cells`: the heat-map's logits
            (b, c, h, w), everything else (m, channels) at the positive cells.
        targets: The batch.
        exemplar_sdf: `ShapeDB.sdf`, (K, d, d, d); None while collisions do not count.
        spec: The model's contract.
        config: Formulation of the box, and forms of the terms.
    """
    n = len(targets)

    def mean(per_cell: Tensor) -> Tensor:
        return (per_cell * targets.weight).sum() / max(n, 1)

    boxes = decode_pose(
        outputs["rotation"],
        outputs["translation"],
        outputs["scale"],
        targets.view(spec.stride),
        spec,
    )
    zero = outputs["heatmap"].sum() * 0
    raw = outputs["translation"]
    ray = spec.pose is PoseEncoding.RAY
    return LossTerms(
        key=focal_loss(outputs["heatmap"], targets.heatmap),
        points=mean(_rotation_term(outputs["rotation"], boxes, targets, spec, config)),
        scale=mean(l1_loss(outputs["scale"], targets.raw_scale)),
        shape=mean(_shape_term(outputs["exemplar"], targets, spec, config.loss)),
        collision=_collision_term(boxes, targets, exemplar_sdf, settled=ray) / max(n, 1),
        offset=mean(l1_loss(raw[:, :2], targets.raw_translation[:, :2])) if ray else zero,
        distance=mean(l1_loss(raw[:, 2:], targets.raw_translation[:, 2:])) if ray else zero,
        gravity=_gravity_term(outputs, targets, mean),
        settled=mean(settled_loss(boxes, targets.cell_boxes)) if ray else zero,
        translation=(
            zero
            if ray or config.rotation == "points"
            else mean(huber_loss(boxes.translation, targets.cell_boxes.translation))
        ),
    )


def _gravity_term(
    outputs: dict[str, Tensor], targets: Targets, mean: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the loss of the whole pictures' gravity if it is pooled, else of the objects'."""
    if GRAVITY_GRID in outputs:
        return pooled_gravity_loss(outputs[GRAVITY_GRID], targets.gravity).mean()
    return mean(l1_loss(outputs["gravity"][:, :3], targets.gravity[targets.image]))


def _rotation_term(
    raw: Tensor, boxes: BoxTensors, targets: Targets, spec: ModelSpec, config: TrainConfig
) -> Tensor:
    """Return the loss of each cell, (m,), that `config.rotation` names (table 2)."""
    owner = targets.object_id
    turns = symmetry_turns(targets.symmetry)[owner]
    if config.rotation == "points":
        return _point_term(boxes, targets, turns, config.loss)
    if config.rotation == "bins":
        seen = head_rotation(targets.boxes, spec.pose)[owner]
        return bin_loss(raw, turn_about_y(seen[:, None] @ turns))
    moment = targets.point_moment[owner]
    if config.loss.rotation_norm == "frobenius":
        moment = torch.eye(3, device=raw.device).expand_as(moment)
    if config.rotation == "matrix":
        seen = head_rotation(targets.boxes, spec.pose)[owner]
        return rotation_loss(raw_matrix(raw), seen, moment, turns)
    return rotation_loss(boxes.rotation, targets.rotation[owner], moment, turns)


def _point_term(boxes: BoxTensors, targets: Targets, turns: Tensor, config: LossConfig) -> Tensor:
    owner, true = targets.object_id, targets.cell_boxes
    mean, moment = targets.point_mean[owner], targets.point_moment[owner]
    squared = point_loss(boxes, true, mean, moment, turns)
    if not config.points_by_distance:
        return squared
    camera = squared.new_tensor([0.0, 1.0, 0.0])
    return squared / (true.translation - camera).square().sum(dim=1)


def _shape_term(logits: Tensor, targets: Targets, spec: ModelSpec, config: LossConfig) -> Tensor:
    owner = targets.object_id
    k = spec.exemplars_per_class
    first = targets.class_id[owner] * k
    own = logits.gather(1, first[:, None] + torch.arange(k, device=logits.device))
    if config.shape_labels == "hard":
        return hard_shape_loss(own, targets.exemplar_id[owner] - first)
    labels = targets.soft_labels[owner]
    if config.soft_temperature > 0:
        return soft_choice_loss(own, labels, config.soft_temperature)
    return soft_shape_loss(own, labels, config.literal_soft)


def _collision_term(
    boxes: BoxTensors, targets: Targets, exemplar_sdf: Tensor | None, settled: bool
) -> Tensor:
    if exemplar_sdf is None:
        return boxes.translation.sum() * 0
    n = len(targets)
    # The first n cells are the centres.
    centers = BoxTensors(boxes.rotation[:n], boxes.translation[:n], boxes.scale[:n])
    if settled:
        # Boxes collide, or not, where the runtime puts them.
        centers = set_down(centers, targets.boxes)
    sdf = exemplar_sdf[targets.exemplar_id]
    return collision_loss(centers, targets.points, sdf, targets.image[:n]).sum()
