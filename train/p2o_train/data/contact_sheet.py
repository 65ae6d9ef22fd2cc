"""Labelled samples on one picture, to be looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from points2objects.geometry import BOX_EDGES, ByteArray, FloatArray

if TYPE_CHECKING:
    from PIL import ImageDraw

    from p2o_train.data.importing import ImportConfig
    from p2o_train.data.making import MakeConfig

COLUMNS = 6

_COLORS = ("#ff4040", "#40c0ff", "#60ff60", "#ffd030", "#ff60ff", "#ff9040", "#a0a0ff")
_AXES = (("#ff0000", 0), ("#00ff00", 1), ("#0060ff", 2))


def write_contact_sheet(config: "MakeConfig | ImportConfig") -> None:
    """Draw samples spread over both splits of a finished dataset."""
    from PIL import Image

    if config.contact_sheet is None:
        return
    shapedb = ShapeDB.load(config.shapedb)
    pictures: list[ByteArray] = []
    for split in ("train", "val"):
        dataset = RenderedDataset(config.out, split, shapedb)
        count = min(len(dataset), -(-config.sheet_samples // 2))
        for index in np.linspace(0, len(dataset) - 1, count).astype(int):
            pictures.append(draw_labels(dataset[int(index)], shapedb))
    path = Path(config.contact_sheet)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tiled(pictures)).save(path)


def tiled(pictures: Sequence[ByteArray]) -> ByteArray:
    """Lay pictures of one size, (s, s, 3), side by side in rows of six."""
    size = pictures[0].shape[0]
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.zeros((rows * size, COLUMNS * size, 3), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // COLUMNS * size, i % COLUMNS * size
        sheet[top : top + size, left : left + size] = picture
    return sheet


def draw_labels(sample: Sample, shapedb: ShapeDB) -> ByteArray:
    """Draw each object's box, its axes (x red, y green, the front blue) and its class."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(sample.image)
    draw = ImageDraw.Draw(image)
    for i in range(len(sample)):
        color = _COLORS[int(sample.class_id[i]) % len(_COLORS)]
        box = sample.boxes[i]
        corners = sample.camera.project(box.corners())
        for start, end in BOX_EDGES:
            _line(draw, corners[start], corners[end], color)
        axes = np.diag([0.5, 0.5, -0.5])
        tips = sample.camera.project(box.translation + (axes * box.scale) @ box.rotation.T)
        middle = sample.camera.project(box.translation)
        for axis_color, axis in _AXES:
            _line(draw, middle, tips[axis], axis_color)
        name = shapedb.classes[int(sample.class_id[i])]
        draw.text(
            (float(middle[0]), float(middle[1])),
            f"{name} {sample.visible_fraction[i]:.2f}", fill=color,
        )  # fmt: skip
    return np.asarray(image)


def _line(draw: "ImageDraw.ImageDraw", start: FloatArray, end: FloatArray, color: str) -> None:
    if np.isfinite(start).all() and np.isfinite(end).all():
        draw.line([*map(float, start[:2]), *map(float, end[:2])], fill=color)
