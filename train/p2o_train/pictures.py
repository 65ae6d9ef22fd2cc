"""Pictures of predicted against true boxes, to look at after an evaluation."""

import colorsys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from p2o_train.data.sample import Sample
from p2o_train.predictors import SpecifiedPredictor
from p2o_train.resized import at_size
from p2o_train.scoring import Prediction, predict_level
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import BOX_EDGES, Box9DoF, ByteArray, FloatArray
from points2objects.spec import ModelSpec

ZOOM = 3
"""Canonical views are small; labels want room."""

_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)
_Color = tuple[int, int, int]


def save_pictures(
    predictor: SpecifiedPredictor, samples: Iterable[Sample], folder: Path
) -> list[Path]:
    """Draw samples with known gravity and write one PNG each into an existing folder.

    True boxes are white, predictions at the spec's score thresholds have their class's colour.
    """
    import cv2

    spec, paths = predictor.spec, []
    for index, sample in enumerate(at_size(sample, spec.input_size) for sample in samples):
        maps = predictor.predict(sample.image)
        predicted = predict_level(maps, spec, sample.camera)
        path = folder / f"{index:04d}.png"
        if not cv2.imwrite(str(path), draw(sample, predicted, spec)[:, :, ::-1]):
            raise InputError(f"{path}: cannot be written; is the folder there and writable?")
        paths.append(path)
    return paths


def draw(sample: Sample, predicted: Prediction, spec: ModelSpec) -> ByteArray:
    """Return the image, enlarged by `ZOOM`, with both sets of boxes, (h, w, 3) RGB."""
    import cv2

    height, width = sample.image.shape[:2]
    size = (ZOOM * width, ZOOM * height)
    canvas = np.array(cv2.resize(sample.image, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    _draw_boxes(canvas, sample.boxes, sample.camera, [_WHITE] * len(sample))
    colors = [class_color(int(i), len(spec.classes)) for i in predicted.peaks.class_id]
    _draw_boxes(canvas, predicted.boxes, predicted.camera, colors)
    centers = predicted.centers_px()
    for i, color in enumerate(colors):
        if np.isfinite(centers[i]).all():
            label = f"{spec.classes[predicted.peaks.class_id[i]]} {predicted.peaks.score[i]:.2f}"
            at = _pixel(centers[i])
            _write(canvas, label, at, color)
    return canvas


def _write(canvas: ByteArray, text: str, at: tuple[int, int], color: _Color) -> None:
    """Write onto the canvas, with a dark rim."""
    import cv2

    # Not one stroke of thrice the thickness: OpenCV 5 spaces thick letters wider.
    for dx, dy, ink in ((-1, 0, _BLACK), (1, 0, _BLACK), (0, -1, _BLACK), (0, 1, _BLACK),
                        (0, 0, color)):  # fmt: skip
        place = (at[0] + dx, at[1] + dy)
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)


def class_color(class_id: int, n_classes: int) -> _Color:
    """Return one of n colours that are far apart in hue, RGB 0..255."""
    red, green, blue = colorsys.hsv_to_rgb(class_id / n_classes, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_boxes(canvas: ByteArray, boxes: Box9DoF, camera: Camera, colors: list[_Color]) -> None:
    """Draw wire frames onto the canvas; edges that reach behind the camera are left out."""
    import cv2

    corners = camera.project(boxes.corners())[..., :2]
    for box, color in zip(corners, colors, strict=True):
        for start, end in box[BOX_EDGES]:
            if np.isfinite([start, end]).all():
                cv2.line(canvas, _pixel(start), _pixel(end), color, 2, cv2.LINE_AA)


def _pixel(point: FloatArray) -> tuple[int, int]:
    """Return an integer canvas pixel that OpenCV can hold, whatever the distance."""
    x, y = np.clip(np.rint(ZOOM * point), -10_000, 10_000).astype(int).tolist()
    return x, y
