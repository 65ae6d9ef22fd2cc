"""Photographs with 2D boxes and no 3D truth: what a folder of labelled pictures gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from p2o_train.data.photo_labels import LABELS, SPLITS, PhotoEntry, read_labels
from points2objects.errors import InputError, check_shape
from points2objects.files import sha256
from points2objects.geometry import ByteArray, FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PhotoSample:
    """A photograph and the n rectangles labelled in it.

    Attributes:
        image: (h, w, 3) RGB, upright.
        boxes: (n, 4), left, top, right, bottom, px of the image; inside it.
        class_id: (n,), indices into the classes asked for.
        weight: (n,), 0..1: 1 for ground truth, a detector's score for its boxes.
        ignore: (n,), not to be learned or counted.
        exhaustive: (c,), per class asked for: whether every visible object has a label.
        source: Where the photograph is from.
        licence: Of the photograph.
        split: "train" or "val".
        name: Path below the folder.
    """

    image: ByteArray
    boxes: FloatArray
    class_id: IntArray
    weight: FloatArray
    ignore: BoolArray
    exhaustive: BoolArray
    source: str
    licence: str
    split: str
    name: str

    def __post_init__(self) -> None:
        check_shape("image", self.image, "h w 3")
        if self.image.dtype != np.uint8:
            raise InputError(f"photo: expected a uint8 image, got {self.image.dtype}")
        n = check_shape("boxes", self.boxes, "n 4")
        for name in ("class_id", "weight", "ignore"):
            check_shape(name, getattr(self, name), "n", n)
        check_shape("exhaustive", self.exhaustive, "c")
        height, width = self.image.shape[:2]
        inside = (self.boxes >= 0) & (self.boxes <= [width, height, width, height])
        if not (inside.all() and (self.boxes[:, :2] < self.boxes[:, 2:]).all()):
            raise InputError(f"photo {self.name}: boxes must lie in the picture, got {self.boxes}")

    def __len__(self) -> int:
        return len(self.boxes)


class PhotoDataset:
    """The photographs of a folder with a labels file; pictures are read when asked for.

    Objects of classes that are not asked for are left out; a class that the folder does not know
    is exhaustive nowhere.
    """

    def __init__(self, root: Path, classes: Sequence[str], split: str | None = None) -> None:
        """Read and check the labels.

        Args:
            root: Folder that holds labels.json, or that file.
            classes: Names that `class_id` counts in: those of the model's spec.
            split: "train" or "val"; both when None.

        Raises:
            InputError: The labels are not as they should be, a picture is missing, no class is
                common, or the split is empty.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f'split must be "train" or "val", got "{split}"')
        root = root.parent if root.name == LABELS else root
        labels = read_labels(root)
        if not set(classes) & set(labels.classes):
            raise InputError(
                f"{root / LABELS}: labels {', '.join(labels.classes)}, none of the model's "
                f"classes: {', '.join(classes)}; rename them with import_photos.py --rename"
            )
        self.root = root
        self.classes = tuple(classes)
        self.entries = tuple(p for p in labels.photos if split in (None, p.split))
        if not self.entries:
            raise InputError(f"{root / LABELS}: holds no photograph of split {split or 'any'}")
        missing = [entry.file for entry in self.entries if not (root / entry.file).is_file()]
        if missing:
            raise InputError(
                f"{root}: {len(missing)} of {len(self.entries)} pictures are missing, like "
                f"{missing[0]}; import them again, or take them out of {LABELS}"
            )

    @property
    def record(self) -> dict[str, object]:
        """What a run notes down of the photographs it learned from."""
        return {
            "photos": len(self.entries),
            "licences": sorted({f"{entry.source}: {entry.licence}" for entry in self.entries}),
            "labels_sha256": sha256((self.root / LABELS).read_bytes()),
        }

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> PhotoSample:
        """Read a photograph.

        Raises:
            InputError: The picture cannot be read, or is of another size than its label says.
        """
        entry = self.entries[index]
        image = read_picture(self.root / entry.file)
        if image.shape[:2] != (entry.height, entry.width):
            raise InputError(
                f"{self.root / entry.file}: is {image.shape[1]}x{image.shape[0]} px, but "
                f"{LABELS} says {entry.width}x{entry.height}"
            )
        return _sample(entry, image, self.classes)


def read_picture(path: Path) -> ByteArray:
    """Read a picture as RGB, turned as its EXIF orientation says, (h, w, 3).

    Raises:
        InputError: It is none, or damaged.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a picture that can be read ({error})") from error


def _sample(entry: PhotoEntry, image: ByteArray, classes: tuple[str, ...]) -> PhotoSample:
    # What clipping to the picture leaves nothing of was within the slack beside its border.
    limit = np.array([entry.width, entry.height, entry.width, entry.height], dtype=float)
    kept = [
        (item, box)
        for item in entry.objects
        if item.class_name in classes
        for box in [np.clip(item.box, 0.0, limit)]
        if box[0] < box[2] and box[1] < box[3]
    ]
    return PhotoSample(
        image=image,
        boxes=np.array([box for _, box in kept], dtype=float).reshape(-1, 4),
        class_id=np.array([classes.index(item.class_name) for item, _ in kept], dtype=np.int64),
        weight=np.array([item.weight for item, _ in kept], dtype=float),
        ignore=np.array([item.ignore for item, _ in kept], dtype=bool),
        exhaustive=np.array([name in entry.exhaustive for name in classes], dtype=bool),
        source=entry.source,
        licence=entry.licence,
        split=entry.split,
        name=entry.file,
    )
