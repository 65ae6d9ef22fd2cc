"""Prove a dataset's labels by its masks, and draw them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tyro.conf import Positional

from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import ShapeDB
from p2o_train.data.contact_sheet import draw_labels, tiled
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import BoolArray, Sample
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, IntArray, transform_points

LEAST_COVERED = 0.99
"""Share of an object's visible mask that its box, drawn as a solid, must cover."""
LEAST_MATCHED = 0.995
"""Share of it that the labelled model, drawn there, must cover; of masks of at least 100 px."""
LEAST_FILLED = 0.95
"""Share of the drawn model that the mask must cover, where the object is not hidden."""
FARTHEST_CENTER = 0.25
"""Most that a mask's centroid may be off the middle of its box, in diagonals of the box's outline;
for objects that are not hidden."""

_WHOLE = 0.97
_LARGE_PX = 100


@dataclass(frozen=True)
class CheckConfig:
    """Options of `check_labels.py`."""

    dataset: Positional[Path]
    """Folder from make_dataset.py or import_dataset.py."""
    shapedb: Path = Path("shapedb")
    """Folder of the shape database it was made with."""
    out: Path = Path("sheet.png")
    """PNG to write: boxes, axes and the exemplars' silhouettes."""
    sheet_samples: int = 36
    """Samples on it, half of them from each split."""
    checked: int = 0
    """Samples of each split to prove, spread over it; 0: all."""
    overwrite: bool = False
    """Replace an existing sheet."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        if self.sheet_samples < 1:
            raise InputError(f"--sheet-samples must be at least 1, got {self.sheet_samples}")
        if self.checked < 0:
            raise InputError(f"--checked must be at least 0, got {self.checked}")


@dataclass(frozen=True)
class Proof:
    """How the label of one object agrees with its mask.

    Attributes:
        area_px: Of the mask.
        covered: Share of the mask in which a ray through the pixel meets the box.
        matched: Share of it that the labelled model covers, give or take a pixel.
        filled: Share of the labelled model's picture that the mask covers, give or take a pixel.
        off_center: From the mask's centroid to the middle of the box's outline, in diagonals of
            that.
        whole: Whether the object is neither hidden nor cut off.
    """

    area_px: int
    covered: float
    matched: float
    filled: float
    off_center: float
    whole: bool

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not agree, in words."""
        if self.area_px == 0:
            return ("its mask is empty",)
        found = []
        if self.covered < LEAST_COVERED:
            found.append(f"its box covers {100 * self.covered:.1f} % of the mask")
        if self.area_px >= _LARGE_PX and self.matched < LEAST_MATCHED:
            found.append(f"its model covers {100 * self.matched:.1f} % of the mask")
        if self.area_px >= _LARGE_PX and self.whole and self.filled < LEAST_FILLED:
            found.append(f"the mask covers {100 * self.filled:.1f} % of its model")
        if self.whole and self.off_center > FARTHEST_CENTER:
            found.append(f"the mask is {100 * self.off_center:.0f} % of the box off its middle")
        return tuple(found)


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        objects: How many were proved; none in a dataset without masks.
        samples: In how many samples.
        least_covered: Share of its mask that the worst box covers; 1 if nothing was proved.
        faults: One line for each label that does not agree with the picture.
    """

    objects: int
    samples: int
    least_covered: float
    faults: tuple[str, ...]


def check_labels(config: CheckConfig) -> Checked:
    """Draw the sheet, and prove the labels of both splits if the dataset has masks.

    Raises:
        InputError: The dataset cannot be read, or the sheet exists.
    """
    from PIL import Image

    shapedb = ShapeDB.load(config.shapedb)
    splits = {name: RenderedDataset(config.dataset, name, shapedb) for name in ("train", "val")}
    with atomic_path(config.out, config.overwrite) as temporary:
        Image.fromarray(label_sheet(splits, shapedb, config.sheet_samples)).save(temporary, "PNG")
    samples, covered, faults = 0, list[float](), list[str]()
    for name, dataset in splits.items():
        for index in _spread(len(dataset), config.checked) if dataset.has_masks else ():
            sample = dataset[index]
            samples += 1
            for number, proof in enumerate(prove(sample, dataset.masks(index), shapedb)):
                covered.append(proof.covered)
                what = shapedb.classes[int(sample.class_id[number])]
                faults += [f"{name} {index}: {what} {number}: {words}" for words in proof.faults]
    return Checked(len(covered), samples, min(covered, default=1.0), tuple(faults))


def label_sheet(splits: dict[str, RenderedDataset], shapedb: ShapeDB, samples: int) -> ByteArray:
    """Draw samples spread over all splits, with boxes, axes and exemplars."""
    pictures = []
    for dataset in splits.values():
        for index in _spread(len(dataset), -(-samples // len(splits))):
            sample = dataset[index]
            pictures.append(draw_silhouettes(draw_labels(sample, shapedb), sample, shapedb))
    return tiled(pictures)


def prove(sample: Sample, owner: IntArray, shapedb: ShapeDB) -> Iterator[Proof]:
    """Compare each label with the object's mask.

    Args:
        sample: The labels.
        owner: Which object each pixel shows, (s, s), -1 for none.
        shapedb: Database of the models.
    """
    rays = pixel_rays(sample.camera)
    for number in range(len(sample)):
        mask = owner == number
        area = int(mask.sum())
        if area == 0:
            yield Proof(0, 0.0, 0.0, 0.0, 0.0, whole=False)
            continue
        box = sample.boxes[number]
        solid = meets_box(rays, sample.camera.pose[:3, 3], box)
        mesh = shapedb.mesh(int(sample.model_index[number]))
        mirror = np.ones(3)
        if sample.mirrored[number]:
            mirror[shapedb.models[int(sample.model_index[number])].mirror_axis] = -1
        model = silhouette(mesh.vertices * mirror, mesh.faces, box, sample.camera)
        yield Proof(
            area_px=area,
            covered=float(solid[mask].mean()),
            matched=float(_grown(model)[mask].mean()),
            filled=float(_grown(mask)[model].mean()) if model.any() else 0.0,
            off_center=_off_center(mask, solid),
            whole=bool(sample.visible_fraction[number] >= _WHOLE),
        )


def pixel_rays(camera: Camera) -> FloatArray:
    """Return the direction through each pixel's centre, (h, w, 3), in the camera's world."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], -1)
    return np.asarray(pixels @ np.linalg.inv(camera.K).T @ camera.pose[:3, :3].T)


def meets_box(rays: FloatArray, eye: FloatArray, box: Box9DoF) -> BoolArray:
    """Tell which rays, (..., 3), from an eye, (3,), meet a box: its picture as a solid."""
    start = (eye - box.translation) @ box.rotation / box.scale
    step = rays @ box.rotation / box.scale
    step = np.where(np.abs(step) < 1e-12, 1e-12, step)
    # A millionth of slack: a mesh touches its own box.
    sides = np.stack([(side - start) / step for side in (-0.500001, 0.500001)])
    enters, leaves = sides.min(0).max(-1), sides.max(0).min(-1)
    return np.asarray((leaves >= enters) & (leaves > 0))


def silhouette(vertices: FloatArray, faces: IntArray, box: Box9DoF, camera: Camera) -> BoolArray:
    """Fill the picture of a mesh of the canonical cube stretched into a box, (h, w).

    Pixels that an edge passes count. Triangles that reach behind the camera are left out.
    """
    import cv2

    pixels = camera.project(transform_points(box.matrix(), np.asarray(vertices, float)))
    triangles = pixels[faces]
    seen = (triangles[..., 2] > 1e-3).all(1) & (np.abs(triangles[..., :2]) < 8000).all((1, 2))
    filled = np.zeros((camera.height, camera.width), np.uint8)
    # OpenCV's pixel (0, 0) is a centre; four fractional bits keep the edges in place.
    for corners in np.round((triangles[seen][..., :2] - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(filled, corners, 1, shift=4)
    return filled > 0


def _grown(mask: BoolArray) -> BoolArray:
    import cv2

    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def draw_silhouettes(picture: ByteArray, sample: Sample, shapedb: ShapeDB) -> ByteArray:
    """Draw the outline of each object's exemplar, stretched into its box, in white."""
    import cv2

    drawn = picture.copy()
    for number in range(len(sample)):
        exemplar = int(shapedb.exemplar_id[int(sample.model_index[number])])
        mesh = shapedb.mesh(int(shapedb.exemplar_model[exemplar]))
        filled = silhouette(mesh.vertices, mesh.faces, sample.boxes[number], sample.camera)
        outlines = cv2.findContours(
            filled.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]
        cv2.drawContours(drawn, outlines, -1, (255, 255, 255), 1)
    return drawn


def _off_center(mask: BoolArray, solid: BoolArray) -> float:
    if not solid.any():
        return float("inf")
    rows, columns = np.nonzero(solid)
    low, high = (np.array([f(columns), f(rows)], float) for f in (np.min, np.max))
    centroid = np.array([np.nonzero(mask)[1].mean(), np.nonzero(mask)[0].mean()])
    return float(np.linalg.norm(centroid - (low + high) / 2) / np.linalg.norm(high - low + 1))


def _spread(length: int, count: int) -> list[int]:
    """Return so many indices spread over a length; all of them for 0."""
    if count == 0 or count >= length:
        return list(range(length))
    return [int(i) for i in np.linspace(0, length - 1, count)]
