"""Draw how the targets of eq. 5 are distributed in each class."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2o_shapedb.database import ShapeDB
from points2objects.geometry import FloatArray, IntArray

if TYPE_CHECKING:
    from PIL import ImageDraw

COLUMNS = 3
BINS = 20
_WIDTH, _HEIGHT = 360, 250
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 58, 16, 34
_OTHERS, _NEAREST, _INK, _FAINT = "#7d8fa6", "#e0762f", "#222222", "#d8dce2"


def write_soft_plot(database: ShapeDB, path: Path) -> None:
    """Write one PNG: per class, shares of the targets of the nearest and of other exemplars."""
    from PIL import Image, ImageDraw

    rows = -(-len(database.classes) // COLUMNS)
    scale = 2  # drawn large and shrunk, because Pillow's lines have hard edges
    size = (COLUMNS * _WIDTH * scale, rows * _HEIGHT * scale)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for class_id in range(len(database.classes)):
        corner = (class_id % COLUMNS * _WIDTH, class_id // COLUMNS * _HEIGHT)
        _panel(draw, database, class_id, corner, scale)
    image.resize((size[0] // scale, size[1] // scale), Image.Resampling.LANCZOS).save(path)


def target_shares(database: ShapeDB, class_id: int) -> tuple[FloatArray, FloatArray]:
    """Return the shares of targets per bin of 1 / BINS: of other exemplars, of the nearest.

    Models that are exemplars themselves do not count: their nearest has the target 1.
    """
    name = database.classes[class_id]
    rows: IntArray = np.array(
        [i for i, model in enumerate(database.models) if model.class_name == name], int
    )
    rows = np.setdiff1d(rows, database.exemplar_model)
    labels = np.sort(database.soft_labels[rows], axis=1)
    return _shares(labels[:, :-1]), _shares(labels[:, -1:])


def _shares(labels: FloatArray) -> FloatArray:
    counts = np.histogram(labels, bins=BINS, range=(0.0, 1.0))[0]
    return np.asarray(counts / max(labels.size, 1))


def _panel(
    draw: "ImageDraw.ImageDraw",
    database: ShapeDB,
    class_id: int,
    corner: tuple[int, int],
    scale: int,
) -> None:
    from PIL import ImageFont

    def at(x: float, y: float) -> tuple[float, float]:
        return (corner[0] + x) * scale, (corner[1] + y) * scale

    def write(x: float, y: float, text: str, color: str, anchor: str, size: int) -> None:
        font = ImageFont.load_default(size=size * scale)
        draw.text(at(x, y), text, fill=color, font=font, anchor=anchor)

    others, nearest = target_shares(database, class_id)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + height * (1 - share)
        draw.line([at(_LEFT, y), at(_LEFT + width, y)], fill=_FAINT, width=scale)
        write(_LEFT - 6, y, f"{share:.0%}", _INK, "rm", 10)
        write(_LEFT + width * share, _TOP + height + 6, f"{share:g}", _INK, "mt", 10)
    for shares, color, shift in ((others, _OTHERS, 0.08), (nearest, _NEAREST, 0.5)):
        for i, share in enumerate(shares):
            left = _LEFT + width * (i + shift) / BINS
            right = left + width * 0.42 / BINS
            if share:
                corners = [at(left, _TOP + height * (1 - share)), at(right, _TOP + height)]
                draw.rectangle(corners, fill=color)
    radius = database.soft_radius[class_id]
    write(_LEFT, 10, database.classes[class_id], _INK, "lt", 14)
    write(_WIDTH - _RIGHT, 12, f"radius {radius:.4f}", _INK, "rt", 11)
    write(_LEFT, 34, "nearest exemplar", _NEAREST, "lt", 11)
    write(_WIDTH - _RIGHT, 34, f"other exemplars ({others[0]:.0%} below 0.05)", _OTHERS, "rt", 11)
    write(_LEFT + width / 2, _HEIGHT - 2, "target", _INK, "mb", 10)
