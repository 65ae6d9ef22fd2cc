"""What the outputs should hold for photographs, of which only rectangles are known."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from p2o_train.config import LossConfig
from p2o_train.data.photo_view import PhotoView
from p2o_train.network.heads import Cells
from p2o_train.targets import cell_weights, gaussian_radius, positive_cells, splat
from points2objects.geometry import FloatArray
from points2objects.spec import ModelSpec


@dataclass(frozen=True)
class PhotoTargets:
    """A batch of b photographs, n labelled objects, m >= n positive cells.

    Attributes:
        images: (b, s, s, 3) uint8 RGB.
        heatmap: (b, c, h, w), 0..1, 1 at the middle of each rectangle.
        known: Weight of each cell in the heat-map's loss, (b, c, h, w): 0 where nobody knows what
            there is, 1 where it is known, the label's own weight at a rectangle's middle.
        class_id: (n,).
        rectangle: Left, top, right, bottom, px, (n, 4).
        cut: Which of these the picture cuts off, (n, 4): the object's own edge lies farther out.
        trust: What each label counts, (n,), 0..1.
        image: Image of each cell, (m,).
        row: (m,).
        column: (m,).
        object_id: Object of each cell, (m,).
        weight: Of each cell, (m,); an object's cells sum to 1.
    """

    images: Tensor
    heatmap: Tensor
    known: Tensor
    class_id: Tensor
    rectangle: Tensor
    cut: Tensor
    trust: Tensor
    image: Tensor
    row: Tensor
    column: Tensor
    object_id: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def cells(self) -> Cells:
        """Positive cells, m."""
        return Cells(self.image, self.row, self.column)

    def to(self, device: torch.device) -> "PhotoTargets":
        """Move everything to a device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return PhotoTargets(**moved)


def make_photo_targets(
    views: Sequence[PhotoView], spec: ModelSpec, config: LossConfig
) -> PhotoTargets:
    """Write the targets of a batch of photographs in the canonical view."""
    size, stride, n_classes = spec.map_size, spec.stride, len(spec.classes)
    heatmap = np.zeros((len(views), n_classes, size, size), np.float32)
    known = np.zeros((len(views), n_classes, size, size), np.float32)
    class_id, rectangle, cut, trust = [], [], [], []
    image, cells, steps, radii, object_id = [], [], [], [], []
    count = 0
    for i, view in enumerate(views):
        known[i] = np.asarray(view.exhaustive, np.float32)[:, None, None]
        for box, own in zip(view.boxes[view.ignore], view.class_id[view.ignore], strict=True):
            known[i, own][_cells_of(box, stride, size)] = 0.0
        kept = np.flatnonzero(~view.ignore)
        boxes = view.boxes[kept]
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        center = np.clip(np.floor(middle[:, ::-1] / stride), 0, size - 1).astype(np.int64)
        extent = (boxes[:, 2:] - boxes[:, :2])[:, ::-1] / stride
        radius = np.floor(gaussian_radius(extent, config.min_overlap))
        for j, own in enumerate(view.class_id[kept]):
            splat(heatmap[i, own], center[j], int(radius[j]))
            # What a label is worth counts at its own cells as well; around it nothing else is.
            inside = _cells_of(boxes[j], stride, size)
            known[i, own][inside] = np.maximum(known[i, own][inside], view.weight[kept[j]])
            known[i, own, center[j, 0], center[j, 1]] = view.weight[kept[j]]
        found = positive_cells(center, radius, size, config)
        cells.append(found.cells)
        steps.append(found.steps)
        radii.append(radius)
        object_id.append(found.object_id + count)
        image.append(np.full(len(found.cells), i))
        class_id.append(view.class_id[kept])
        rectangle.append(boxes)
        cut.append(view.at_border[kept])
        trust.append(view.weight[kept])
        count += len(kept)
    owner = np.concatenate(object_id)
    weight = cell_weights(np.concatenate(steps), np.concatenate(radii), owner)
    cell = np.concatenate(cells)
    return PhotoTargets(
        images=torch.from_numpy(np.stack([view.image for view in views])),
        heatmap=torch.from_numpy(heatmap),
        known=torch.from_numpy(known),
        class_id=torch.from_numpy(np.concatenate(class_id).astype(np.int64)),
        rectangle=torch.from_numpy(np.concatenate(rectangle).astype(np.float32)),
        cut=torch.from_numpy(np.concatenate(cut)),
        trust=torch.from_numpy(np.concatenate(trust).astype(np.float32)),
        image=torch.from_numpy(np.concatenate(image).astype(np.int64)),
        row=torch.from_numpy(cell[:, 0].astype(np.int64)),
        column=torch.from_numpy(cell[:, 1].astype(np.int64)),
        object_id=torch.from_numpy(owner.astype(np.int64)),
        weight=torch.from_numpy(weight.astype(np.float32)),
    )


def _cells_of(box: FloatArray, stride: int, size: int) -> tuple[slice, slice]:
    """Return the rows and columns of the map that a rectangle, px, reaches."""
    left, top = np.floor(np.clip(box[:2] / stride, 0, size)).astype(int)
    right, bottom = np.ceil(np.clip(box[2:] / stride, 0, size)).astype(int)
    return slice(top, bottom), slice(left, right)
