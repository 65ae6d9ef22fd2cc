"""Label photographs with detectors of other people, by what they agree on."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from p2o_train.data.photo_labels import (
    LABELS,
    TEACHER,
    PhotoEntry,
    PhotoLabels,
    PhotoObject,
    entry_from_json,
    entry_json,
    labels_json,
)
from points2objects.errors import InputError
from points2objects.files import write_file

if TYPE_CHECKING:
    from p2o_train.yardsticks import Yardstick

PROGRESS = "labelled.jsonl"
SAME_OBJECT = 0.5
"""Boxes of two detectors that overlap this much are of one object."""
OTHER_CLASS = 0.7
"""Boxes of two classes that overlap this much are one object, of the surer class."""


@dataclass(frozen=True)
class PseudoLabelConfig:
    """Options of `pseudo_label.py`."""

    pictures: Annotated[Path, tyro.conf.Positional]
    """Folder of pictures, searched with its sub-folders."""
    teachers: Path
    """Folder of detectors: yolox_nano.onnx, picodet_s_416.onnx, nanodet-plus-m_416.bin (needs
    ncnn), ssd_oidv4.tflite."""
    licence: str
    """Licence of the photographs, for the model card."""
    names: tuple[str, ...] = ()
    """Detectors to ask; all that are there by default."""
    out: Path = Path("photos")
    """Folder to write: labels.json and the pictures. An unfinished one of the same options is
    continued."""
    source: str = ""
    """What to call where they are from; the folder's name by default."""
    classes: tuple[str, ...] = ("bottle", "bowl", "chair", "mug", "sofa", "table")
    """Classes to look for, of those that the detectors know."""
    agree: int = 2
    """So many detectors must see an object, or all that know its class if they are fewer."""
    accept: float = 0.35
    """Least mean score, over those that see it, of an object to learn from."""
    alone: float = 0.65
    """From this score on, one detector is believed by itself."""
    doubt: float = 0.25
    """What is seen with less than is needed, but at least so surely, is ignored."""
    unlike: tuple[Path, ...] = ()
    """Folders with labels.json: leave out what shows the same as a picture of theirs."""
    longest_side: int | None = None
    """Shrink pictures to this, px."""
    copy: bool = False
    """Copy pictures instead of linking them."""
    contact_sheet: Path | None = None
    """Also draw labelled pictures into this PNG."""
    sheet_samples: int = 36
    """Pictures on it."""
    overwrite: bool = False
    """Replace an existing folder."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        if not self.pictures.is_dir():
            raise InputError(f"{self.pictures}: no such folder")
        if self.agree < 1:
            raise InputError(f"--agree must be at least 1, got {self.agree}")
        if not 0 < self.doubt <= self.accept <= self.alone <= 1:
            raise InputError(
                "expected 0 < --doubt <= --accept <= --alone <= 1, got "
                f"{self.doubt}, {self.accept} and {self.alone}"
            )
        if self.sheet_samples < 1:
            raise InputError(f"--sheet-samples must be at least 1, got {self.sheet_samples}")


@dataclass(frozen=True)
class Sighting:
    """What one detector sees.

    Attributes:
        detector: Its name.
        class_id: Of the object.
        score: 0..1.
        box: Left, top, right, bottom, px.
    """

    detector: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]


def pseudo_label(config: PseudoLabelConfig) -> PhotoLabels:
    """Label the pictures of a folder with the detectors of another.

    Raises:
        InputError: There is no picture, one cannot be read, a detector is missing, or the folder
            holds a finished result or an unfinished one of other options.
    """
    from p2o_train.yardsticks import load_yardsticks

    return label_by(load_yardsticks(config.teachers, config.names), config)


def label_by(teachers: "Sequence[Yardstick]", config: PseudoLabelConfig) -> PhotoLabels:
    """Label the pictures of a folder by what these detectors see; raises what the above does."""
    from p2o_train.data.photo_folder import look_at, one_of_each, save_photo_sheet
    from p2o_train.data.photo_formats import PICTURES
    from p2o_train.data.photos2d import PhotoDataset

    found = sorted(p for p in config.pictures.rglob("*") if p.suffix.lower() in PICTURES)
    if not found:
        raise InputError(f"{config.pictures}: holds no pictures ({', '.join(PICTURES)})")
    done = _start(config, [teacher.name for teacher in teachers])
    looks = look_at(found)
    kept = one_of_each(looks, [0.0] * len(found), config.unlike)
    paths = [path for path, keep in zip(found, kept, strict=True) if keep]
    entries = tuple(_labelled(config, paths, teachers, done))
    labels = PhotoLabels(config.classes, entries)
    write_file(config.out / LABELS, labels_json(labels).encode())
    (config.out / PROGRESS).unlink()
    if config.contact_sheet is not None:
        dataset = PhotoDataset(config.out, config.classes)
        save_photo_sheet(dataset, config.contact_sheet, config.sheet_samples)
    return labels


def agreed(
    sightings: Sequence[Sighting], knowing: Sequence[int], config: PseudoLabelConfig
) -> list[PhotoObject]:
    """Merge what detectors see in a picture into labels.

    The box is their mean, weighted by score. The score is their mean, so that the label counts as
    much as they are sure.

    Args:
        sightings: Of all detectors.
        knowing: How many detectors know each class, (c,).
        config: Thresholds and classes.
    """
    groups = _grouped(sightings)
    groups.sort(key=_support, reverse=True)
    objects: list[PhotoObject] = []
    boxes: list[tuple[float, ...]] = []
    for group in groups:
        box, score = _fused(group)
        needed = min(config.agree, knowing[group[0].class_id])
        sure = max(each.score for each in group) >= config.alone
        taken = any(_iou(box, other) >= OTHER_CLASS for other in boxes)
        ignore = taken or not (sure or (len(group) >= needed and score >= config.accept))
        names = "+".join(sorted(each.detector for each in group))
        name = config.classes[group[0].class_id]
        objects.append(PhotoObject(name, box, TEACHER + names, round(score, 3), ignore))
        if not ignore:
            boxes.append(box)
    return objects


def _labelled(
    config: PseudoLabelConfig,
    paths: Sequence[Path],
    teachers: "Sequence[Yardstick]",
    done: Mapping[str, PhotoEntry],
) -> Iterator[PhotoEntry]:
    """Yield each picture's labels; new ones are put down at once, so that nothing is done twice."""
    from tqdm import tqdm

    from p2o_train.data.photo_folder import put_picture

    knowing = sum(np.array(teacher.knows(config.classes), dtype=int) for teacher in teachers)
    with (config.out / PROGRESS).open("a", encoding="utf-8") as progress:
        for path in tqdm(paths, unit="picture", desc="labelling", disable=None):
            name = path.relative_to(config.pictures).as_posix()
            if name in done:
                yield done[name]
                continue
            entry = _entry(config, path, name, teachers, np.asarray(knowing).tolist())
            target = config.out / entry.file
            target.unlink(missing_ok=True)
            entry = put_picture(path, entry, config.out, config.copy, config.longest_side)
            progress.write(json.dumps({"picture": name, "entry": entry_json(entry)}) + "\n")
            progress.flush()
            yield entry


def _entry(
    config: PseudoLabelConfig,
    path: Path,
    name: str,
    teachers: "Sequence[Yardstick]",
    knowing: Sequence[int],
) -> PhotoEntry:
    from p2o_train.data.photos2d import read_picture

    image = read_picture(path)
    height, width = image.shape[:2]
    sightings = []
    for teacher in teachers:
        seen = teacher.find(image, config.classes, config.doubt)
        for i in range(len(seen)):
            left, top, right, bottom = seen.boxes[i].tolist()
            if right - left >= 1 and bottom - top >= 1:
                box = (left, top, right, bottom)
                score = float(seen.score[i])
                sightings.append(Sighting(teacher.name, int(seen.class_id[i]), score, box))
    return PhotoEntry(
        file=name,
        width=width,
        height=height,
        objects=tuple(agreed(sightings, knowing, config)),
        exhaustive=(),
        source=config.source or config.pictures.resolve().name,
        licence=config.licence,
        split="train",
    )


def _grouped(sightings: Sequence[Sighting]) -> list[list[Sighting]]:
    """Group what several detectors see in one place; each detector is in a group once."""
    groups: list[list[Sighting]] = []
    for each in sorted(sightings, key=lambda item: -item.score):
        best, overlap = None, SAME_OBJECT
        for group in groups:
            other = any(member.detector == each.detector for member in group)
            iou = _iou(each.box, group[0].box)
            if group[0].class_id == each.class_id and not other and iou >= overlap:
                best, overlap = group, iou
        if best is None:
            groups.append([each])
        else:
            best.append(each)
    return groups


def _support(group: Sequence[Sighting]) -> float:
    return sum(each.score for each in group)


def _fused(group: Sequence[Sighting]) -> tuple[tuple[float, float, float, float], float]:
    score = np.array([each.score for each in group])
    boxes = np.array([each.box for each in group])
    left, top, right, bottom = (score @ boxes / score.sum()).tolist()
    return (left, top, right, bottom), float(score.mean())


def _iou(first: Sequence[float], second: Sequence[float]) -> float:
    from points2objects.scales import rectangle_iou

    return float(rectangle_iou(np.array([first]), np.array([second]))[0, 0])


def _start(config: PseudoLabelConfig, teachers: Sequence[str]) -> dict[str, PhotoEntry]:
    """Open the folder and return what an unfinished run of the same options did, by picture."""
    from p2o_shapedb.command import refuse_existing

    progress = config.out / PROGRESS
    plan = json.dumps({"teachers": list(teachers), "options": _options(config)})
    lines: list[str] = []
    if progress.is_file():
        # Whoever was killed may have left half a line.
        *lines, _ = progress.read_text(encoding="utf-8").split("\n")
    if lines and lines[0] == plan:
        write_file(progress, "".join(f"{line}\n" for line in lines).encode())
        entries = [json.loads(line) for line in lines[1:]]
        return {str(each["picture"]): entry_from_json(each["entry"]) for each in entries}
    if lines and not config.overwrite:
        raise InputError(
            f"{config.out}: holds an unfinished run of other options; repeat them to continue, add "
            "--overwrite to start anew, or choose another --out"
        )
    if config.out.exists() and any(config.out.iterdir()):
        refuse_existing(config.out, config.overwrite)
        if not lines and not (config.out / LABELS).is_file():
            raise InputError(f"{config.out}: not a folder that this command wrote; choose another")
        shutil.rmtree(config.out)
    config.out.mkdir(parents=True, exist_ok=True)
    write_file(progress, f"{plan}\n".encode())
    return {}


def _options(config: PseudoLabelConfig) -> dict[str, str]:
    """Return what decides about the labels."""
    about = ("out", "overwrite", "verbose", "contact_sheet", "sheet_samples")
    return {key: str(value) for key, value in asdict(config).items() if key not in about}
