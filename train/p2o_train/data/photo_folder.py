"""Make a folder of labelled photographs: which pictures, how stored, and a sheet to look at."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from p2o_train.data.contact_sheet import tiled
from p2o_train.data.near_duplicates import Looks, found_in, looks_of, repeats
from p2o_train.data.photo_labels import PhotoEntry, read_labels
from p2o_train.data.photos2d import BoolArray, PhotoDataset, PhotoSample, read_picture
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

SHEET_PX = 256
_COLORS = ("#ff4040", "#40c0ff", "#60ff60", "#ffd030", "#ff60ff", "#ff9040", "#a0a0ff")


def look_at(paths: Sequence[Path]) -> Looks:
    """Look at pictures from afar, with a progress bar."""
    from tqdm import tqdm

    return looks_of(tqdm(paths, unit="picture", desc="comparing", disable=None))


def one_of_each(looks: Looks, preferred: Sequence[float], unlike: Sequence[Path]) -> BoolArray:
    """Tell which of n pictures to keep, (n,): one of each that show the same.

    Args:
        looks: Of the pictures.
        preferred: Among repeats the one with the largest number is kept, (n,).
        unlike: Folders with labels; what shows the same as one of their photographs goes.

    Raises:
        InputError: Nothing is left.
    """
    kept = repeats(looks, preferred) == np.arange(len(looks))
    for folder in unlike:
        others = [folder / photo.file for photo in read_labels(folder).photos]
        kept &= ~found_in(looks, look_at(others))
    if not kept.any():
        raise InputError("each picture shows the same as one of --unlike; nothing is left")
    return np.asarray(kept)


def put_picture(
    path: Path, entry: PhotoEntry, folder: Path, copy: bool, longest_side: int | None = None
) -> PhotoEntry:
    """Put a picture into the folder and return its entry, in the size that it has there."""
    target = folder / entry.file
    target.parent.mkdir(parents=True, exist_ok=True)
    longest = max(entry.width, entry.height)
    if longest_side is not None and longest > longest_side:
        return _shrunk(path, entry, folder, longest_side / longest)
    if copy:
        shutil.copyfile(path, target)
    else:
        target.symlink_to(path.resolve())
    return entry


def save_photo_sheet(dataset: PhotoDataset, path: Path, count: int) -> None:
    """Draw photographs spread over a dataset with their rectangles; ignored ones are grey."""
    from PIL import Image

    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    tiles = [draw_rectangles(dataset[int(index)], dataset.classes) for index in chosen]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tiled(tiles)).save(path)


def draw_rectangles(sample: PhotoSample, classes: Sequence[str]) -> ByteArray:
    """Draw a photograph's rectangles, class and weight, (`SHEET_PX`, `SHEET_PX`, 3)."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(sample.image)
    factor = SHEET_PX / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    tile = Image.new("RGB", (SHEET_PX, SHEET_PX))
    tile.paste(picture.resize(size), (0, 0))
    draw = ImageDraw.Draw(tile)
    for i in np.argsort(~sample.ignore, kind="stable"):
        left, top, right, bottom = (factor * sample.boxes[i]).tolist()
        class_id = int(sample.class_id[i])
        color = "#808080" if sample.ignore[i] else _COLORS[class_id % len(_COLORS)]
        draw.rectangle((left, top, right, bottom), outline=color)
        draw.text((left + 2, top + 1), f"{classes[class_id]} {sample.weight[i]:.2f}", fill=color)
    return np.asarray(tile)


def _shrunk(path: Path, entry: PhotoEntry, folder: Path, factor: float) -> PhotoEntry:
    from PIL import Image

    width, height = (max(1, round(side * factor)) for side in (entry.width, entry.height))
    small = Image.fromarray(read_picture(path)).resize((width, height), Image.Resampling.LANCZOS)
    file = Path(entry.file).with_suffix(".jpg").as_posix()
    small.save(folder / file, "JPEG", quality=92)
    scale = np.array([width / entry.width, height / entry.height] * 2)
    objects = []
    for item in entry.objects:
        left, top, right, bottom = (np.array(item.box) * scale).tolist()
        objects.append(replace(item, box=(left, top, right, bottom)))
    return replace(entry, file=file, width=width, height=height, objects=tuple(objects))
