"""Read Pix3D (Sun et al. 2018, CC BY 4.0): photographs, each with one object's mesh and pose.

Frames. `rot_mat` and `trans_mat` carry the mesh's file to a camera with x left, y up, z into the
picture, as the authors' Blender script has it: right-handed like ours, so nothing is mirrored, and
a `rot_mat` that mirrors is an error. The optical axis is in the middle of the picture. An entry
whose mesh is not seen where its `bbox` says carries no label.

Gravity and plane. Pix3D knows neither. The object is taken to stand upright on the floor: its
mesh's +y is up, and the lowest point of its box is on the plane.

Visible share. 1 for an object that is neither truncated nor occluded, else the mask's share of the
mesh's silhouette; both times what the canonical view cuts off the mask counts as hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.data.level import LevelView, level_view, sample_of
from p2o_train.data.model_boxes import ModelBoxes, box_from_matrix
from p2o_train.data.pix3d_entry import (
    Pix3DEntry,
    Split,
    hash_share,
    is_val,
    read_entries,
    read_val_list,
)
from p2o_train.data.pix3d_models import cad_path
from p2o_train.data.sample import BoolArray, Sample
from points2objects.errors import InputError
from points2objects.geometry import (
    Box9DoF,
    ByteArray,
    FloatArray,
    IntArray,
    rigid,
    transform_points,
)
from points2objects.preprocess import map_pixels

CAMERA_FROM_BLENDER: FloatArray = np.diag([-1.0, -1.0, 1.0, 1.0])
"""(4, 4): from x left, y up, z forward to x right, y down, z forward. A half turn, no mirror."""

LEAST_OVERLAP = 0.5
"""Overlap (IoU) of the projected mesh's rectangle with `bbox`; below, the pose is not trusted."""

SILHOUETTE_PX = 512


@dataclass(frozen=True)
class Pix3DOptions:
    """How to read the pictures.

    Attributes:
        cad: Folder from `pix3d_models.link_models` that the database was built from.
        split: s1: pictures are held out at random; s2: models are.
        val_list: File that names the pictures that are held out instead.
        cache: Folder that keeps where each mesh's box is, for other processes.
    """

    cad: Path
    split: Split = "s1"
    val_list: Path | None = None
    cache: Path | None = None


class Pix3DDataset:
    """Photographs of one split as samples. Can be sent to other processes; opens files when needed.

    Categories that are no class of the database are left out. A sample without objects is a
    picture that cannot be labelled.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        shapedb: ShapeDB,
        options: Pix3DOptions,
        keys: Sequence[str] | None = None,
    ) -> None:
        """List the pictures of a split, in an order that mixes the categories.

        Args:
            root: Folder that holds `pix3d.json`.
            split: "train" or "val".
            shapedb: Database that has Pix3D's meshes.
            options: How to read them.
            keys: Pictures to take, as `img` names them; all of the split by default.

        Raises:
            InputError: A folder is missing, or `pix3d.json` or the list of the split is broken.
        """
        if split not in ("train", "val"):
            raise InputError(f"Pix3D: expected split 'train' or 'val', got {split!r}")
        self.folder = Path(root)
        self._shapedb = shapedb
        self._options = options
        self._boxes = ModelBoxes(shapedb, options.cache)
        self._ids = {model.id: i for i, model in enumerate(shapedb.models)}
        entries = read_entries(self.folder)
        known = [entry for entry in entries if entry.category in shapedb.classes]
        held_out = read_val_list(options.val_list) if options.val_list else None
        chosen = {
            entry.image: entry
            for entry in sorted(known, key=lambda entry: hash_share(entry.image))
            if is_val(entry, options.split, held_out) == (split == "val")
        }
        self.keys = tuple(keys) if keys is not None else tuple(chosen)
        self._entries = [chosen[key] for key in self.keys]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        entry = self._entries[index]
        model = self._ids.get(entry.model_id)
        if model is None:
            raise InputError(
                f"{entry.image}: shape database {self._shapedb.digest[:8]} has no model "
                f"{entry.model_id}; build it with Pix3D's meshes (see docs/datasets.md)"
            )
        image = read_image(self.folder / entry.image, entry.size)
        mask = read_image(self.folder / entry.mask, entry.size)[..., 0] > 127
        file = cad_path(self._options.cad, entry.category, entry.model)
        box = box_camera(entry, self._boxes.box(model, file))
        view = level_view(image, entry.intrinsics, box)
        if self._seen_elsewhere(entry, box, model):
            visible = 0.0
        else:
            visible = share_inside(mask, view)
            if entry.truncated or entry.occluded:
                visible *= self._share_of_silhouette(entry, box, model, mask)
        return sample_of(view, np.array([model]), np.array([visible]), self._shapedb)

    def missing(self, index: int) -> tuple[str, ...]:
        """Return the id of an entry's model if the database lacks it."""
        model_id = self._entries[index].model_id
        return () if model_id in self._ids else (model_id,)

    def _seen_elsewhere(self, entry: Pix3DEntry, box: Box9DoF, model: int) -> bool:
        """Tell whether the mesh is seen away from `bbox`; of a hidden object that is no fault."""
        points = transform_points(box.matrix()[0], self._shapedb.points[model].astype(float))
        return not entry.occluded and overlap(entry, points) < LEAST_OVERLAP

    def _share_of_silhouette(
        self, entry: Pix3DEntry, box: Box9DoF, model: int, mask: BoolArray
    ) -> float:
        mesh = self._shapedb.mesh(model)
        points = transform_points(box.matrix()[0], mesh.vertices.astype(float))
        area = silhouette_area(project(entry, points), mesh.faces)
        return float(min(1.0, mask.sum() / area)) if area else 0.0


def box_camera(entry: Pix3DEntry, box_file: Box9DoF) -> Box9DoF:
    """Return the object's box in the camera's frame, a batch of one; unit: the mesh's.

    Args:
        entry: The entry.
        box_file: Box of the mesh in the frame of its file.
    """
    camera_from_file = CAMERA_FROM_BLENDER @ rigid(entry.rotation, entry.translation)
    return box_from_matrix((camera_from_file @ box_file.matrix())[None])


def project(entry: Pix3DEntry, points_camera: FloatArray) -> FloatArray:
    """Return the pixels of points (n, 3), (n, 2); NaN for points that are not in front."""
    safe = np.where(points_camera[:, 2:] > 1e-6, points_camera, np.nan)
    pixels = safe @ entry.intrinsics.T
    return np.asarray(pixels[:, :2] / pixels[:, 2:])


def overlap(entry: Pix3DEntry, points_camera: FloatArray) -> float:
    """Return the IoU of `bbox` and the rectangle of an object's points inside the picture, 0..1.

    Args:
        entry: The entry.
        points_camera: Points of the object's surface, (n, 3).
    """
    pixels = project(entry, points_camera)
    if np.isnan(pixels).any():
        return 0.0
    frame = np.array(entry.size)
    low, high = (np.clip(edge, 0, frame) for edge in (pixels.min(axis=0), pixels.max(axis=0)))
    common = np.minimum(high, entry.bbox[2:]) - np.maximum(low, entry.bbox[:2])
    shared = float(common.clip(min=0).prod())
    union = float((high - low).prod() + (entry.bbox[2:] - entry.bbox[:2]).prod()) - shared
    return shared / union if union > 0 else 0.0


def share_inside(mask: BoolArray, view: LevelView) -> float:
    """Return the share of a mask, (h, w), that the canonical view shows, 0..1."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0.0
    pixels = map_pixels(view.view_from_frame, np.stack([columns, rows], axis=-1) + 0.5)
    size = [view.camera.width, view.camera.height]
    return float(((pixels > 0) & (pixels < size)).all(axis=1).mean())


def silhouette_area(pixels: FloatArray, faces: IntArray) -> float:
    """Return how many pixels a mesh covers, be they in the picture or not.

    Args:
        pixels: Its vertices, (v, 2); triangles with NaN are left out.
        faces: (f, 3).
    """
    import cv2

    corners = pixels[faces]
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    if not len(corners):
        return 0.0
    low = corners.min(axis=(0, 1))
    scale = SILHOUETTE_PX / max(float((corners.max(axis=(0, 1)) - low).max()), 1e-6)
    canvas = np.zeros((SILHOUETTE_PX + 2, SILHOUETTE_PX + 2), np.uint8)
    for triangle in np.rint((corners - low) * scale * 16).astype(np.int32):
        cv2.fillConvexPoly(canvas, triangle, 1, shift=4)
    return float(canvas.sum()) / scale**2


def read_image(path: Path, size: tuple[int, int]) -> ByteArray:
    """Read a picture or a mask as RGB, (h, w, 3).

    Raises:
        InputError: It is missing, broken, or not of the size that its entry says.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error})") from error
    if (pixels.shape[1], pixels.shape[0]) != size:
        raise InputError(
            f"{path}: expected {size[0]}x{size[1]} px (img_size), got "
            f"{pixels.shape[1]}x{pixels.shape[0]}"
        )
    return pixels
