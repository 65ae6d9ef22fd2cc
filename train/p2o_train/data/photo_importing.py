"""Photographs that somebody labelled with another tool -> a folder as training reads it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from p2o_train.data.near_duplicates import same_scene
from p2o_train.data.photo_folder import look_at, one_of_each, put_picture
from p2o_train.data.photo_formats import SourcePhoto, read_coco, read_voc, read_yolo
from p2o_train.data.photo_import_config import ImportPhotosConfig, class_names, plain_name
from p2o_train.data.photo_labels import (
    LABELS,
    PhotoEntry,
    PhotoLabels,
    PhotoObject,
    labels_json,
)
from points2objects.errors import InputError
from points2objects.geometry import IntArray


@dataclass(frozen=True)
class ImportedPhotos:
    """What `import_photos` did.

    Attributes:
        labels: What was written.
        repeated: Pictures left out because another shows the same.
        missing: Pictures left out because they are not there.
        resized: Pictures left out because they are of another size than their boxes refer to.
        lost_boxes: Boxes left out because nothing of them is in the picture.
        unknown: Names of the boxes that are of none of the classes, with their number.
    """

    labels: PhotoLabels
    repeated: int
    missing: int
    resized: int
    lost_boxes: int
    unknown: Mapping[str, int]


def import_photos(config: ImportPhotosConfig) -> ImportedPhotos:
    """Write a folder of labelled photographs.

    Raises:
        InputError: The annotations are not what the format says, a picture is missing or broken,
            no box is of a class that was asked for, or the folder exists.
    """
    from p2o_shapedb.command import atomic_path, refuse_existing

    refuse_existing(config.out, config.overwrite)
    photos = _read(config)
    present = [photo for photo in photos if photo.path.is_file()]
    _refuse_missing(config, photos, present)
    names = class_names(config.classes, config.rename)
    unknown = Counter(
        item.label
        for photo in photos
        for item in photo.objects
        if plain_name(item.label) not in names
    )
    entries: list[tuple[SourcePhoto, PhotoEntry]] = []
    resized = lost = 0
    for photo in present:
        size = upright_size(photo.path)
        if photo.size not in (None, size):
            resized += 1
            continue
        entry, outside = _entry(photo, size, names, config)
        entries.append((photo, entry))
        lost += outside
    if not any(entry.objects for _, entry in entries):
        seen = ", ".join(name for name, _ in unknown.most_common(8)) or "none"
        raise InputError(
            f"{config.root}: none of {len(photos)} pictures has a box of "
            f"{', '.join(config.classes)} (names found: {seen}; {resized} pictures of another size "
            "than their label says); use --rename or --classes"
        )
    chosen, repeated = _one_of_each(config, entries)
    with atomic_path(config.out, config.overwrite) as folder:
        folder.mkdir()
        written = tuple(
            put_picture(photo.path, entry, folder, config.copy, config.longest_side)
            for photo, entry in chosen
        )
        labels = PhotoLabels(config.classes, written)
        (folder / LABELS).write_text(labels_json(labels), encoding="utf-8")
    missing = len(photos) - len(present)
    return ImportedPhotos(labels, repeated, missing, resized, lost, dict(unknown))


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture as a viewer shows it.

    Raises:
        InputError: It is none.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            size = picture.size
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a picture that can be read ({error})") from error
    return (size[1], size[0]) if turned else (size[0], size[1])


def _read(config: ImportPhotosConfig) -> list[SourcePhoto]:
    reader = {"coco": read_coco, "yolo": read_yolo, "voc": read_voc}[config.format]
    photos = reader(config.root, config.images)
    counts = Counter(photo.file for photo in photos)
    # Two folders may hold pictures of one name.
    return [
        photo if counts[photo.file] == 1 else replace(photo, file=f"{index:06d}_{photo.file}")
        for index, photo in enumerate(photos)
    ]


def _refuse_missing(
    config: ImportPhotosConfig, photos: Sequence[SourcePhoto], present: Sequence[SourcePhoto]
) -> None:
    missing = len(photos) - len(present)
    if missing and (not config.skip_missing or not present):
        first = next(photo.path for photo in photos if not photo.path.is_file())
        raise InputError(
            f"{config.root}: {missing} of {len(photos)} pictures are not there, like {first}; pass "
            "their folder as --images, or add --skip-missing"
        )


def _entry(
    photo: SourcePhoto, size: tuple[int, int], names: Mapping[str, str], config: ImportPhotosConfig
) -> tuple[PhotoEntry, int]:
    """Return a picture's labels in our form, and how many boxes are not in it."""
    width, height = size
    unit = np.array([width, height, width, height]) if photo.size is None else np.ones(4)
    objects: list[PhotoObject] = []
    lost = 0
    for item in photo.objects:
        name = names.get(plain_name(item.label))
        if name is None:
            continue
        box = np.clip(item.box * unit, 0.0, [width, height, width, height])
        if not (np.isfinite(box).all() and (box[2:] - box[:2] >= 1.0).all()):
            lost += 1
            continue
        left, top, right, bottom = box.tolist()
        objects.append(PhotoObject(name, (left, top, right, bottom), ignore=item.ignore))
    exhaustive = config.classes if "all" in config.exhaustive else config.exhaustive
    entry = PhotoEntry(
        file=photo.file,
        width=width,
        height=height,
        objects=tuple(objects),
        exhaustive=exhaustive,
        source=config.source or config.root.resolve().stem,
        licence=photo.licence or config.licence,
        split="val" if config.split == "val" else "train",
    )
    return entry, lost


def _one_of_each(
    config: ImportPhotosConfig, entries: Sequence[tuple[SourcePhoto, PhotoEntry]]
) -> tuple[list[tuple[SourcePhoto, PhotoEntry]], int]:
    """Leave out what shows the same as another picture, and hold scenes out."""
    looks = look_at([photo.path for photo, _ in entries])
    kept = one_of_each(looks, [len(entry.objects) for _, entry in entries], config.unlike)
    chosen = [each for each, keep in zip(entries, kept, strict=True) if keep]
    if config.split == "by-scene":
        matches = [re.search(config.scene, photo.file) for photo, _ in entries]
        known = [match.group(0) if match and config.scene else "" for match in matches]
        held_out = _held_out(same_scene(looks, known)[kept], config)
        chosen = [
            (photo, replace(entry, split="val" if out else "train"))
            for (photo, entry), out in zip(chosen, held_out, strict=True)
        ]
    return chosen, int((~kept).sum())


def _held_out(scene: IntArray, config: ImportPhotosConfig) -> list[bool]:
    """Draw whole scenes until the share is reached; a scene that would double it is left."""
    order = np.random.default_rng(config.seed).permutation(np.unique(scene))
    wanted = config.val_share * len(scene)
    taken: set[int] = set()
    count = 0
    for each in order.tolist():
        size = int((scene == each).sum())
        if count < wanted and count + size <= 2 * wanted + 1 and size < len(scene):
            taken.add(each)
            count += size
    return [int(each) in taken for each in scene]
