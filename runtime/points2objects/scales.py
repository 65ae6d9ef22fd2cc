"""One picture looked at more than once, at several scales, as if it were one look.

What fills the view, or is a few cells wide, is often missed; of another distance the network finds
it. Every peak comes back as if it had been seen in the camera's own view: its pixel stays, and the
distance grows by as much as the look enlarged the picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from points2objects.camera import Camera
from points2objects.decode import Peaks, decode
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, IntArray, transform_points
from points2objects.place import peak_pixels, place_level
from points2objects.preprocess import preprocess
from points2objects.spec import ModelSpec, PoseEncoding
from points2objects.tensors import OutputMaps

SAME_RECTANGLE = 0.5
"""Two looks found one object if the rectangles about it overlap by this much."""
NESTED = 0.8
"""The same if so much of the smaller lies in the larger: a look saw a part for the whole."""

USUAL_SHARE = (0.75, 1.3)
"""Of the view a picture's longer side fills so much if its lens is a usual one."""
NEAREST = 0.02
"""Depth, in camera heights, that what is nearer or behind is drawn at."""

_UP: FloatArray = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Looked:
    """What the looks at one picture found.

    Attributes:
        peaks: n peaks of all looks, best first, as if seen in the first one.
        look: (n,), which look found each.
        camera: Canonical camera of the first look.
    """

    peaks: Peaks
    look: IntArray
    camera: Camera


def check_scales(scales: Sequence[float], spec: ModelSpec) -> tuple[float, ...]:
    """Return the scales as numbers.

    Raises:
        InputError: There are none, one is out of 0.2..5, or the model's pose knows no distance.
    """
    values = tuple(float(scale) for scale in scales)
    if not values or not all(0.2 <= scale <= 5 for scale in values):
        raise InputError(f"scales must be one or more numbers in 0.2..5, got {list(scales)}")
    if values != (1.0,) and spec.pose is PoseEncoding.DIRECT:
        raise InputError("scales need a model with the ray pose; this one has the direct pose")
    return values


def look(
    image: ByteArray,
    camera: Camera,
    spec: ModelSpec,
    run: Callable[[ByteArray], OutputMaps],
    least: FloatArray,
    scales: Sequence[float] = (1.0,),
) -> Looked:
    """Run the network on each look at a picture and read the peaks.

    Args:
        image: (h, w, 3) uint8 RGB.
        camera: Its camera.
        spec: The network's contract.
        run: The network.
        least: Least score of each class, (c,).
        scales: How much each look enlarges the picture. 1 is the camera's own; 2 sees the middle
            half of it, twice as large. Of a picture without a pose, and from a lens so long or so
            wide that it would be tiny or mostly out of the view, 1 shows the whole.
    """
    first = preprocess(image, camera, spec)
    fit = 1.0 if camera.world_from_camera is not None else fitting_scale(camera, spec)
    found: list[Peaks] = []
    for scale in (fit * each for each in scales):
        view = first if scale == 1 else preprocess(image, _with_shorter_lens(camera, scale), spec)
        found.append(_as_unscaled(decode(run(view.image), spec, least), scale, spec))
    owner = np.repeat(np.arange(len(found)), [len(peaks) for peaks in found])
    if len(found) == 1:
        return Looked(found[0], owner, first.camera)
    peaks = _joined(found)
    order = np.argsort(-peaks.score, kind="stable")
    return Looked(peaks[order], owner[order], first.camera)


def fitting_scale(camera: Camera, spec: ModelSpec) -> float:
    """Return by how much to enlarge a picture so that the view shows it well; mostly 1."""
    longer = max(camera.width / camera.K[0, 0], camera.height / camera.K[1, 1]) / 2
    share = longer / float(np.tan(np.radians(spec.fov_deg) / 2))
    usual = USUAL_SHARE[0] <= share <= USUAL_SHARE[1] or spec.pose is PoseEncoding.DIRECT
    return 1.0 if usual else 1.0 / share


def each_once(looked: Looked, camera: Camera, spec: ModelSpec) -> Peaks:
    """Keep the better of two peaks of one class in which two looks saw the same object.

    Args:
        looked: What they found.
        camera: The first look's canonical camera, with a pose.
        spec: The network's contract.
    """
    peaks = looked.peaks
    boxes = rectangles(place_level(peaks, camera, spec), camera)
    alike = (rectangle_iou(boxes, boxes) >= SAME_RECTANGLE) | (_share_within(boxes) >= NESTED)
    alike &= peaks.class_id[:, None] == peaks.class_id
    alike &= looked.look[:, None] != looked.look
    kept: list[int] = []
    for index in range(len(peaks)):
        if not alike[index, kept].any():
            kept.append(index)
    return peaks[np.array(kept[: spec.max_objects], dtype=np.int64)]


def rectangles(boxes: Box9DoF, camera: Camera) -> FloatArray:
    """Return the rectangles about boxes in a camera's picture, clipped to it, (n, 4) px.

    Args:
        boxes: n boxes, world.
        camera: With a pose.

    Returns:
        Left, top, right, bottom.
    """
    return picture_rectangles(boxes.corners(), camera)


def picture_rectangles(points_world: FloatArray, camera: Camera) -> FloatArray:
    """Return the rectangle about each set of points, (n, m, 3) -> (n, 4), clipped to the picture.

    What is behind the camera counts as just before it, so that it lies far outside the picture, on
    its own side.
    """
    camera_from_world = np.linalg.inv(camera.pose)
    points = transform_points(camera_from_world, points_world)
    depth = np.maximum(points[..., 2:], NEAREST * camera.height_above_support)
    pixels = points[..., :2] / depth * camera.K[[0, 1], [0, 1]] + camera.K[:2, 2]
    size = np.array([camera.width, camera.height], dtype=float)
    low, high = pixels.min(axis=-2), pixels.max(axis=-2)
    return np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)], axis=-1)


def rectangle_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the IoU of each of n with each of m rectangles, (n, 4) and (m, 4) -> (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.maximum(high - low, 0.0).prod(axis=-1)
    area, other = ((box[:, 2:] - box[:, :2]).prod(axis=-1) for box in (first, second))
    return np.asarray(common / np.maximum(area[:, None] + other[None] - common, 1e-9))


def _share_within(boxes: FloatArray) -> FloatArray:
    """Return the part of the smaller of two rectangles that lies in the larger, (n, n)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.maximum(high - low, 0.0).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    return np.asarray(common / np.maximum(np.minimum(area[:, None], area), 1e-9))


def _with_shorter_lens(camera: Camera, scale: float) -> Camera:
    """Return the camera that would have to be there for the canonical view to be enlarged."""
    K = camera.K.copy()
    K[[0, 1], [0, 1]] /= scale
    return replace(camera, K=K)


def _as_unscaled(peaks: Peaks, scale: float, spec: ModelSpec) -> Peaks:
    """Return the peaks of an enlarged look as if seen in one of scale 1.

    What looked `scale` times as large is so much farther off. The horizon is nearer to the middle,
    so that up is steeper to the optical axis.
    """
    if scale == 1:
        return peaks
    middle = spec.input_size / 2
    cells = (middle + (peak_pixels(peaks, spec) - middle) / scale) / spec.stride
    row, column = (np.floor(cells[:, k]).astype(np.int64) for k in (1, 0))
    logs = np.full(len(peaks), np.log(scale))
    translation = np.stack(
        [cells[:, 0] - column - 0.5, cells[:, 1] - row - 0.5, peaks.translation[:, 2] + logs],
        axis=-1,
    )
    up = peaks.gravity + _UP
    turned = up * [scale, scale, 1.0]
    length, changed = (np.linalg.norm(each, axis=-1, keepdims=True) for each in (up, turned))
    return replace(
        peaks,
        row=row,
        column=column,
        translation=translation,
        scale=peaks.scale - logs[:, None],
        gravity=turned * length / np.maximum(changed, 1e-9) - _UP,
    )


def _joined(parts: Sequence[Peaks]) -> Peaks:
    return Peaks(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Peaks)}
    )
