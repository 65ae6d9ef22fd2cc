"""What each output should hold for a batch of samples, and what the losses need besides."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from p2o_shapedb.database import ShapeDB
from p2o_train.config import LossConfig
from p2o_train.data.sample import Sample
from p2o_train.geometry import BoxTensors, CellView
from p2o_train.network.heads import Cells
from points2objects.camera import Camera
from points2objects.geometry import Box9DoF, FloatArray, IntArray
from points2objects.place import encode_pose
from points2objects.spec import ModelSpec

T = TypeVar("T", float, FloatArray)

MIN_POSITIVE_SIGMA = 0.8
"""The weight of a positive cell falls with its distance from the centre's like the object's
Gaussian, or like one of this standard deviation, cells, if that is wider."""
MAX_POSITIVE_RADIUS = 4.0
"""No cell farther than this from the centre's is positive, however large the object."""
UP_LEVEL_CAMERA: FloatArray = np.array([0.0, -1.0, 0.0])
"""What the gravity head is relative to: up, seen by a camera that is held level."""


@dataclass(frozen=True)
class Targets:
    """A batch: b images, n objects whose centre is on the map, m >= n positive cells.

    Attributes:
        images: (b, s, s, 3) uint8 RGB.
        heatmap: (b, c, h, w), 0..1, 1 at centre cells only.
        gravity: Up in the camera minus `UP_LEVEL_CAMERA`, (b, 3).
        level_from_camera: (b, 3, 3).
        K: Intrinsics of all images, (3, 3).
        class_id: (n,).
        rotation: Level frame, (n, 3, 3).
        translation: Level frame, (n, 3).
        scale: (n, 3).
        symmetry: Order of the symmetry about y, (n,); 0: any angle.
        points: Canonical surface points, (n, p, 3).
        point_mean: Mean surface point at true scale, (n, 3).
        point_moment: Mean outer product of the surface points at true scale, (n, 3, 3).
        exemplar_id: Nearest exemplar, (n,), global.
        soft_labels: Graded towards the own class's exemplars, by eq. 5 or otherwise, (n, k).
        image: Image of each cell, (m,); the first n cells are the centres, in object order.
        row: (m,).
        column: (m,).
        object_id: Object of each cell, (m,).
        weight: Of each cell, (m,); an object's cells sum to 1.
        raw_translation: What the translation head should hold, (m, 3).
        raw_scale: What the scale head should hold, (m, 3).
    """

    images: Tensor
    heatmap: Tensor
    gravity: Tensor
    level_from_camera: Tensor
    K: Tensor
    class_id: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    symmetry: Tensor
    points: Tensor
    point_mean: Tensor
    point_moment: Tensor
    exemplar_id: Tensor
    soft_labels: Tensor
    image: Tensor
    row: Tensor
    column: Tensor
    object_id: Tensor
    weight: Tensor
    raw_translation: Tensor
    raw_scale: Tensor

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def cells(self) -> Cells:
        """Positive cells, m."""
        return Cells(self.image, self.row, self.column)

    @property
    def counts(self) -> Tensor:
        """Numbers that the losses divide by, (2,): centre cells of the heat-map, and objects."""
        centers = (self.heatmap == 1).sum()
        return torch.stack([centers, centers.new_tensor(len(self))]).float()

    @property
    def boxes(self) -> BoxTensors:
        """True boxes, n."""
        return BoxTensors(self.rotation, self.translation, self.scale)

    @property
    def cell_boxes(self) -> BoxTensors:
        """True box of each positive cell, m."""
        owner = self.object_id
        return BoxTensors(self.rotation[owner], self.translation[owner], self.scale[owner])

    def view(self, stride: int) -> CellView:
        """Return how the m positive cells look into the level frame."""
        center_px = (torch.stack([self.column, self.row], dim=1) + 0.5) * stride
        return CellView(
            center_px.to(self.K.dtype), self.level_from_camera[self.image], self.K, stride
        )

    def to(self, device: torch.device) -> "Targets":
        """Move everything to a device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return Targets(**moved)


def make_targets(
    samples: Sequence[Sample],
    shapedb: ShapeDB,
    spec: ModelSpec,
    config: LossConfig,
    rng: np.random.Generator,
    shape_labels: FloatArray | None = None,
) -> Targets:
    """Write the targets of a batch; objects whose centre is off the map are left out.

    Args:
        samples: b samples with one canonical camera (pitch and roll may differ).
        shapedb: The database that the samples' models index.
        spec: The model's contract.
        config: How many positive cells and surface points.
        rng: Picks the surface points.
        shape_labels: Graded targets of the database's models towards the exemplars of their class,
            (n, k); None: those of eq. 5.
    """
    size = spec.map_size
    heatmap = np.zeros((len(samples), len(spec.classes), size, size), np.float32)
    parts = [_object_part(sample, spec, config) for sample in samples]
    for i, part in enumerate(parts):
        for class_id, cell, radius in zip(part.class_id, part.center, part.radius, strict=True):
            splat(heatmap[i, class_id], cell, int(radius))

    first = np.cumsum([0] + [len(part.class_id) for part in parts])
    object_id = np.concatenate([part.object_id + first[i] for i, part in enumerate(parts)])
    image = np.concatenate([np.full(len(part.object_id), i) for i, part in enumerate(parts)])
    cells = np.concatenate([part.cells for part in parts])
    distance = np.concatenate([part.steps for part in parts])
    # Centres first: the losses that want one cell an object then take the first n.
    order = np.lexsort((object_id, distance > 0))
    radius = np.concatenate([part.radius for part in parts])
    weight = cell_weights(distance, radius, object_id)

    model = np.concatenate([part.model_index for part in parts])
    scale = np.concatenate([part.boxes.scale for part in parts])
    surface = shapedb.points[model].astype(np.float64) * scale[:, None]
    chosen = rng.permutation(shapedb.points.shape[1])[: config.point_count]
    cameras = [sample.camera for sample in samples]
    graded = shapedb.soft_labels if shape_labels is None else shape_labels
    return Targets(
        images=torch.from_numpy(np.stack([sample.image for sample in samples])),
        heatmap=torch.from_numpy(heatmap),
        gravity=_real([camera.up_camera - UP_LEVEL_CAMERA for camera in cameras]),
        level_from_camera=_real([camera.level_rotation() for camera in cameras]),
        K=_real(cameras[0].K),
        class_id=_whole(np.concatenate([part.class_id for part in parts])),
        rotation=_real(np.concatenate([part.boxes.rotation for part in parts])),
        translation=_real(np.concatenate([part.boxes.translation for part in parts])),
        scale=_real(scale),
        symmetry=_whole(np.array([shapedb.models[i].symmetry for i in model], dtype=np.int64)),
        points=_real(shapedb.points[model][:, chosen]),
        point_mean=_real(surface.mean(axis=1)),
        point_moment=_real(np.einsum("npi,npj->nij", surface, surface) / surface.shape[1]),
        exemplar_id=_whole(shapedb.exemplar_id[model]),
        soft_labels=_real(graded[model]),
        image=_whole(image[order]),
        row=_whole(cells[order, 0]),
        column=_whole(cells[order, 1]),
        object_id=_whole(object_id[order]),
        weight=_real(weight[order]),
        raw_translation=_real(np.concatenate([part.raw_translation for part in parts])[order]),
        raw_scale=_real(np.concatenate([part.raw_scale for part in parts])[order]),
    )


def splat(heatmap: FloatArray, center: IntArray, radius: int) -> None:
    """Raise a map, (h, w), in place to a Gaussian that is 1 at a cell (CenterNet's target).

    The one function here that edits its argument: maps of all objects are merged by maximum.
    """
    height, width = heatmap.shape
    row, column = int(center[0]), int(center[1])
    top, bottom = max(row - radius, 0), min(row + radius + 1, height)
    left, right = max(column - radius, 0), min(column + radius + 1, width)
    sigma = gaussian_sigma(radius)
    squared = (np.arange(top, bottom)[:, None] - row) ** 2
    squared = squared + (np.arange(left, right)[None] - column) ** 2
    window = heatmap[top:bottom, left:right]
    np.maximum(window, np.exp(-squared / (2 * sigma**2)), out=window, casting="same_kind")


def gaussian_sigma(radius: T) -> T:
    """Return the standard deviation of a Gaussian cut off at a radius, in cells (CenterNet)."""
    return (2 * radius + 1) / 6


def gaussian_radius(size: FloatArray, min_overlap: float) -> FloatArray:
    """Return how far a box's corners may move while its overlap stays `min_overlap` (CornerNet).

    The smallest of three cases: both corners move along, both inwards, both outwards.

    Args:
        size: Height and width of n boxes, cells, (n, 2).
        min_overlap: 0..1.

    Returns:
        Radii, (n,), cells.
    """
    total, area, o = size.sum(axis=1), size.prod(axis=1), min_overlap
    along = (total - np.sqrt(total**2 - 4 * area * (1 - o) / (1 + o))) / 2
    inwards = (total - np.sqrt(total**2 - 4 * area * (1 - o))) / 4
    outwards = (np.sqrt((o * total) ** 2 + 4 * o * (1 - o) * area) - o * total) / (4 * o)
    return np.asarray(np.minimum(np.minimum(along, inwards), outwards))


@dataclass(frozen=True)
class _ObjectPart:
    """One image's share of the targets: n objects, m positive cells."""

    boxes: Box9DoF
    class_id: IntArray
    model_index: IntArray
    center: IntArray
    radius: FloatArray
    object_id: IntArray
    cells: IntArray
    steps: FloatArray
    raw_translation: FloatArray
    raw_scale: FloatArray


def _object_part(sample: Sample, spec: ModelSpec, config: LossConfig) -> _ObjectPart:
    center_px = sample.camera.project(sample.boxes.translation)
    # NaN, behind the camera, compares false.
    inside = np.flatnonzero(
        ((center_px[:, :2] >= 0) & (center_px[:, :2] < spec.input_size)).all(axis=1)
    )
    boxes = sample.boxes[inside]
    center = np.floor(center_px[inside, 1::-1] / spec.stride).astype(np.int64)
    size = _projected_size(boxes, sample.camera) / spec.stride
    radius = np.floor(gaussian_radius(size, config.min_overlap))
    positive = positive_cells(center, radius, spec.map_size, config)
    object_id, cells = positive.object_id, positive.cells
    raw = encode_pose(boxes[object_id], cells.astype(float), sample.camera, spec)
    return _ObjectPart(
        boxes=boxes,
        class_id=sample.class_id[inside],
        model_index=sample.model_index[inside],
        center=center,
        radius=radius,
        object_id=object_id,
        cells=cells,
        steps=positive.steps,
        raw_translation=raw.translation,
        raw_scale=raw.scale,
    )


@dataclass(frozen=True)
class PositiveCells:
    """The m cells of one image at which its n objects are learned.

    Attributes:
        cells: Row and column, (m, 2).
        steps: How far each is from its object's centre cell, cells, (m,).
        object_id: (m,).
    """

    cells: IntArray
    steps: FloatArray
    object_id: IntArray


def positive_cells(
    center: IntArray, radius: FloatArray, map_size: int, config: LossConfig
) -> PositiveCells:
    """Find the cells at which objects are learned, given centre cells (n, 2) and radii (n,)."""
    step = _steps_within(max(config.positive_radius, MAX_POSITIVE_RADIUS))
    length = np.linalg.norm(step, axis=1)
    cells = center[:, None] + step
    on_map = ((cells >= 0) & (cells < map_size)).all(axis=2)
    object_id, which = np.nonzero(on_map & (length <= _positive_radius(radius, config)[:, None]))
    return PositiveCells(cells[object_id, which], length[which], object_id)


def cell_weights(steps: FloatArray, radius: FloatArray, object_id: IntArray) -> FloatArray:
    """Return what each positive cell counts, (m,): less far out, an object's cells sum to 1.

    Args:
        steps: Of m cells from their objects' centre cells, (m,).
        radius: Of the n objects' Gaussians, cells, (n,).
        object_id: Object of each cell, (m,).
    """
    sigma = gaussian_sigma(radius)[object_id]
    weight = np.exp(-0.5 * (steps / np.maximum(sigma, MIN_POSITIVE_SIGMA)) ** 2)
    return np.asarray(weight / np.bincount(object_id, weight, minlength=len(radius))[object_id])


def _positive_radius(radius: FloatArray, config: LossConfig) -> FloatArray:
    """Return how far positive cells reach, (n,), cells, for Gaussians of n radii."""
    if config.positive_radius == 0:
        return np.zeros(len(radius))
    spread = np.minimum(config.positive_spread * gaussian_sigma(radius), MAX_POSITIVE_RADIUS)
    return np.asarray(np.maximum(spread, config.positive_radius))


def _steps_within(radius: float) -> IntArray:
    reach = np.arange(-int(radius), int(radius) + 1)
    rows, columns = np.meshgrid(reach, reach, indexing="ij")
    steps = np.stack([rows.ravel(), columns.ravel()], axis=1)
    return np.asarray(steps[np.hypot(steps[:, 0], steps[:, 1]) <= radius])


def _projected_size(boxes: Box9DoF, camera: Camera) -> FloatArray:
    """Return height and width, px, (n, 2), of the boxes' outlines within the image.

    A corner behind the camera counts as the edge of the image.
    """
    corners = np.nan_to_num(camera.project(boxes.corners())[..., :2], nan=0.0)
    limit = np.array([camera.width, camera.height])
    low = np.clip(corners.min(axis=1, initial=np.inf), 0, limit)
    high = np.clip(corners.max(axis=1, initial=-np.inf), 0, limit)
    return np.asarray(np.maximum(high - low, 1.0)[:, ::-1])


def _real(values: object) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _whole(values: IntArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))
