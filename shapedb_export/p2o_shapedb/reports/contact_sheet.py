"""Draw a page per class: each exemplar, the models it stands for, and which way they face."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2o_shapedb.database import CanonicalMesh, ShapeDB
from p2o_shapedb.progress import progress
from p2o_shapedb.reports.raster import Triangles, View, draw
from points2objects.geometry import ByteArray, FloatArray

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

COLUMNS = 5
LARGE_PX = 176
SMALL_PX = 56
MEMBERS = (3, 3)
"""Columns and rows of small pictures beside each exemplar."""

_GAP = 10
_TITLE = 64
_CELL = (LARGE_PX + MEMBERS[0] * SMALL_PX + 2 * _GAP, LARGE_PX + 30)
_FRONT = np.array([0.88, 0.25, 0.10])
_INK, _FAINT = "#222222", "#7a7f87"

# From in front, to the left and above: fronts point down to the left, and three sides show.
_DIRECTION = np.array([0.55, 0.5, -1.0]) / np.linalg.norm([0.55, 0.5, -1.0])


def write_contact_sheets(folder: Path, out: Path) -> None:
    """Write `<out>/<class>.png` for every class of a saved database."""
    database = ShapeDB.load(folder)
    out.mkdir(parents=True, exist_ok=True)
    for class_id in progress(range(len(database.classes)), "contact sheets", "page"):
        page(database, class_id).save(out / f"{database.classes[class_id]}.png")


def page(database: ShapeDB, class_id: int) -> "Image.Image":
    """Draw one class."""
    from PIL import Image, ImageDraw

    k = database.exemplars_per_class
    width = max(min(COLUMNS, k) * _CELL[0], 2 * _CELL[0]) + _GAP
    image = Image.new("RGB", (width, _TITLE + -(-k // COLUMNS) * _CELL[1] + _GAP), "white")
    pen = ImageDraw.Draw(image)
    _title(pen, database, class_id)
    for index in range(k):
        left = _GAP + index % COLUMNS * _CELL[0]
        top = _TITLE + index // COLUMNS * _CELL[1]
        _cell(image, pen, database, class_id * k + index, (left, top))
    return image


def picture(mesh: CanonicalMesh, extent_m: tuple[float, float, float], size: int) -> ByteArray:
    """Draw a mesh at its natural proportions on a floor whose arrow shows the front, -z.

    Args:
        mesh: The mesh, canonical.
        extent_m: Its sides; only their proportions matter.
        size: Side of the picture, pixels.
    """
    sides = np.asarray(extent_m) / max(extent_m)
    faces = np.asarray(mesh.faces)
    corners = mesh.vertices[faces] * sides
    colors = mesh.colors[faces].mean(axis=1) / 255.0
    # Black and white models would show no shape.
    body = Triangles(corners, 0.22 + 0.7 * colors, np.ones(len(faces), bool))
    scene = Triangles.join(body, _floor(sides))
    return draw(scene, View.around(scene.corners.reshape(-1, 3), _DIRECTION), size)


def _floor(sides: FloatArray) -> Triangles:
    """Return the outline of the base and an arrow from the middle of its front edge."""
    x, y, z = sides / 2
    y = -y - 0.004
    rim = 0.012
    arrow = 0.3
    quads = [
        [(-x - rim, -z - rim), (x + rim, -z - rim), (x + rim, -z), (-x - rim, -z)],
        [(-x - rim, z), (x + rim, z), (x + rim, z + rim), (-x - rim, z + rim)],
        [(-x - rim, -z), (-x, -z), (-x, z), (-x - rim, z)],
        [(x, -z), (x + rim, -z), (x + rim, z), (x, z)],
        [(-0.03, -z - arrow + 0.1), (0.03, -z - arrow + 0.1), (0.03, -z), (-0.03, -z)],
    ]
    tip = [(-0.09, -z - arrow + 0.12), (0.0, -z - arrow - 0.02), (0.09, -z - arrow + 0.12)]
    flat = [tip]
    for a, b, c, d in quads:
        flat += [[a, b, c], [a, c, d]]
    corners = np.array([[(u, y, v) for u, v in triangle] for triangle in flat])
    grey = np.full((len(flat), 3), 0.62)
    grey[0] = grey[-2:] = _FRONT
    return Triangles(corners, grey, np.zeros(len(flat), bool))


def _title(pen: "ImageDraw.ImageDraw", database: ShapeDB, class_id: int) -> None:
    from PIL import ImageFont

    name = database.classes[class_id]
    count = sum(model.class_name == name for model in database.models)
    told = f"{name}: {database.exemplars_per_class} exemplars for {count} models"
    pen.text((_GAP, 12), told, fill=_INK, font=ImageFont.load_default(size=22))
    hint = (
        "The red arrow points the way the model faces. Large: the exemplar; small: models it "
        f"stands for, farthest first. Database {database.digest[:8]}."
    )
    pen.text((_GAP, 40), hint, fill=_FAINT, font=ImageFont.load_default(size=13))


def _cell(
    image: "Image.Image",
    pen: "ImageDraw.ImageDraw",
    database: ShapeDB,
    exemplar_id: int,
    corner: tuple[int, int],
) -> None:
    from PIL import Image, ImageFont

    k = database.exemplars_per_class
    left, top = corner
    model = int(database.exemplar_model[exemplar_id])
    entry = database.models[model]
    large = picture(database.mesh(model), entry.extent_m, LARGE_PX)
    image.paste(Image.fromarray(large), (left, top))
    members = np.flatnonzero(database.exemplar_id == exemplar_id)
    members = members[members != model]
    # The worst matches tell most.
    members = members[np.argsort(database.soft_labels[members, exemplar_id % k], kind="stable")]
    room = MEMBERS[0] * MEMBERS[1]
    for place, member in enumerate(members[:room].tolist()):
        small = picture(database.mesh(member), database.models[member].extent_m, SMALL_PX)
        x = left + LARGE_PX + place % MEMBERS[0] * SMALL_PX
        image.paste(Image.fromarray(small), (x, top + place // MEMBERS[0] * SMALL_PX))
    font = ImageFont.load_default(size=11)
    more = f", {len(members)} more" if len(members) else ""
    name = entry.id.split("/")[1]
    name = name if len(name) <= 40 else name[:37] + "..."
    label = f"{entry.class_name}/{exemplar_id % k:02d}{more}"
    pen.text((left + 4, top + LARGE_PX), label, fill=_INK, font=font)
    pen.text((left + 4, top + LARGE_PX + 13), name, fill=_FAINT, font=font)
