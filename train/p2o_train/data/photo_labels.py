"""The labels of photographs: 2D boxes of the classes, one `labels.json` for a folder.

    {"schema": "...", "classes": ["bottle", ...], "photos": [{
        "file": "kitchen/0001.jpg", "width": 480, "height": 360, "split": "train",
        "source": "my-kitchen", "licence": "CC-BY 4.0", "exhaustive": ["bottle"],
        "objects": [{"class": "bottle", "box_xyxy_px": [10, 20, 60, 170],
                     "origin": "ground truth", "score": 1.0, "ignore": false}]}]}

Other keys may stand beside these and are left alone. Sizes and boxes are of the picture as a
viewer shows it, turned as its EXIF orientation says.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from points2objects.errors import InputError

LABELS = "labels.json"
SCHEMA = "points2objects photographs 1: docs/photographs.md"
GROUND_TRUTH = "ground truth"
TEACHER = "teacher:"
SPLITS = ("train", "val")

_SLACK_PX = 1.5
"""Labels may leave the picture by so much: some tools count pixels from 1, some round up."""


@dataclass(frozen=True)
class PhotoObject:
    """A labelled object of a photograph.

    Attributes:
        class_name: One of the folder's classes.
        box: Left, top, right, bottom, px.
        origin: "ground truth", or "teacher:" and the detectors that found it.
        score: How sure they were, 0..1; 1 for ground truth.
        ignore: Something may be here, but it is not to be learned or counted: a crowd, a difficult
            object, an unsure guess.
    """

    class_name: str
    box: tuple[float, float, float, float]
    origin: str = GROUND_TRUTH
    score: float = 1.0
    ignore: bool = False

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if not (all(map(math.isfinite, self.box)) and left < right and top < bottom):
            raise InputError(
                f"box_xyxy_px must be left < right and top < bottom, got {list(self.box)}"
            )
        if self.origin != GROUND_TRUTH and not self.origin.startswith(TEACHER):
            raise InputError(
                f'origin must be "{GROUND_TRUTH}" or "{TEACHER}NAMES", got "{self.origin}"'
            )
        if not 0 <= self.score <= 1:
            raise InputError(f"score must be in 0..1, got {self.score}")

    @property
    def weight(self) -> float:
        """How much the label counts, 0..1: a detector's box is right about as often as it says."""
        return 1.0 if self.origin == GROUND_TRUTH else self.score


@dataclass(frozen=True)
class PhotoEntry:
    """What a labels file says of a photograph.

    Attributes:
        file: Path below the folder, with forward slashes.
        width: Of the upright picture, px.
        height: The same.
        objects: What is labelled in it.
        exhaustive: Classes of which every visible object has a label; of the others there may be
            more in the picture.
        source: Where the photograph is from.
        licence: Of the photograph.
        split: "train" or "val".
    """

    file: str
    width: int
    height: int
    objects: tuple[PhotoObject, ...]
    exhaustive: tuple[str, ...]
    source: str
    licence: str
    split: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if not self.file or path.is_absolute() or ".." in path.parts:
            raise InputError(f'file must be a path below the folder, got "{self.file}"')
        if self.width < 1 or self.height < 1:
            raise InputError(f"width and height must be positive, got {self.width}x{self.height}")
        if self.split not in SPLITS:
            raise InputError(f'split must be "train" or "val", got "{self.split}"')
        for item in self.objects:
            left, top, right, bottom = item.box
            if (
                min(left, top) < -_SLACK_PX
                or right > self.width + _SLACK_PX
                or bottom > self.height + _SLACK_PX
            ):
                raise InputError(
                    f"box_xyxy_px {list(item.box)} leaves the picture of "
                    f"{self.width}x{self.height} px"
                )


@dataclass(frozen=True)
class PhotoLabels:
    """A whole labels file.

    Attributes:
        classes: Names that its objects have.
        photos: In the file's order.
    """

    classes: tuple[str, ...]
    photos: tuple[PhotoEntry, ...]

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes must be distinct names, got {list(self.classes)}")
        seen: set[str] = set()
        for photo in self.photos:
            if photo.file in seen:
                raise InputError(f"{photo.file} is listed twice")
            seen.add(photo.file)
            used = {item.class_name for item in photo.objects} | set(photo.exhaustive)
            for name in sorted(used - set(self.classes)):
                raise InputError(
                    f'{photo.file}: class "{name}" is none of classes: {", ".join(self.classes)}'
                )


def read_labels(folder: Path) -> PhotoLabels:
    """Read and check the labels of a folder of photographs.

    Raises:
        InputError: There are none, or something in them is not as the format says.
    """
    path = folder / LABELS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; train/import_photos.py and train/pseudo_label.py write it"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected JSON ({error})") from error
    try:
        photos = tuple(
            entry_from_json(item, f"photo {i}") for i, item in enumerate(content["photos"])
        )
        return PhotoLabels(tuple(map(str, content["classes"])), photos)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise InputError(
            f'{path}: expected {{"classes": [...], "photos": [...]}} ({error!r})'
        ) from error


def labels_json(labels: PhotoLabels) -> str:
    """Serialise; `read_labels` reads it back."""
    photos = [entry_json(photo) for photo in labels.photos]
    content = {"schema": SCHEMA, "classes": list(labels.classes), "photos": photos}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def entry_json(photo: PhotoEntry) -> dict[str, Any]:
    """Return a photograph's part of the file."""
    return {
        "file": photo.file,
        "width": photo.width,
        "height": photo.height,
        "source": photo.source,
        "licence": photo.licence,
        "exhaustive": list(photo.exhaustive),
        "split": photo.split,
        "objects": [
            {
                "class": item.class_name,
                "box_xyxy_px": [round(value, 2) for value in item.box],
                "origin": item.origin,
                "score": round(item.score, 4),
                "ignore": item.ignore,
            }
            for item in photo.objects
        ],
    }


def entry_from_json(item: dict[str, Any], name: str = "photo") -> PhotoEntry:
    """Read what `entry_json` returned.

    Args:
        item: A photograph's part of the file.
        name: What to call it while its file name is not known.

    Raises:
        InputError: Something is missing or not as the format says.
    """
    try:
        name = str(item["file"])
        return PhotoEntry(
            file=name,
            width=int(item["width"]),
            height=int(item["height"]),
            objects=tuple(_object(each) for each in item["objects"]),
            exhaustive=tuple(map(str, _listed(item["exhaustive"]))),
            source=str(item["source"]),
            licence=str(item["licence"]),
            split=str(item["split"]),
        )
    except KeyError as error:
        raise InputError(f"{name}: {error} is missing") from error
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error


def _object(item: dict[str, Any]) -> PhotoObject:
    left, top, right, bottom = map(float, item["box_xyxy_px"])
    ignore = item.get("ignore", False)
    if not isinstance(ignore, bool):
        raise InputError(f"ignore must be true or false, got {ignore!r}")
    return PhotoObject(
        class_name=str(item["class"]),
        box=(left, top, right, bottom),
        origin=str(item["origin"]),
        score=float(item.get("score", 1.0)),
        ignore=ignore,
    )


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InputError(f"exhaustive must be a list of classes, got {value!r}")
    return value
