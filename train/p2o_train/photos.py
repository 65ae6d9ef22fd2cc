"""Scenes of photographs against what a person sees in them: what is found, what is invented."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from p2o_train.metrics.box_ap import greedy_match
from p2o_train.scene_files import boxes_world, read_scenes
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import FloatArray
from points2objects.scales import rectangle_iou

MIN_IOU = 0.4
"""A detection is of an object if the rectangles about them overlap by this much: half, less
what a box in space adds to the outline of what is in it."""


@dataclass(frozen=True)
class PhotosConfig:
    """What to compare."""

    scenes: Annotated[Path, tyro.conf.Positional]
    """scenes.jsonl that demo/camera.py wrote for a folder of photographs."""
    labels: Path = Path(__file__).parents[1] / "open_photos.json"
    """What is in them: a JSON list, see `read_labels`."""
    verbose: bool = False
    """Show where a failure happened."""


@dataclass(frozen=True)
class SeenObject:
    """An object that a person sees in a photograph.

    Attributes:
        class_name: Its class.
        box_px: What shows of it: left, top, right, bottom, px.
        clear: Whether it is large, whole and uncovered enough to be expected. The others may be
            found, but need not.
    """

    class_name: str
    box_px: tuple[float, float, float, float]
    clear: bool


@dataclass(frozen=True)
class LabelledPhoto:
    """What a person sees in a photograph.

    Attributes:
        name: File name without folder and ending: the name of its frame.
        classes: Classes in it.
        objects: Its objects, all that anybody could name; None if only classes were noted.
    """

    name: str
    classes: tuple[str, ...]
    objects: tuple[SeenObject, ...] | None


@dataclass(frozen=True)
class PhotoScore:
    """What a scene has of a photograph.

    Attributes:
        name: Of the photograph.
        expected: Classes of what should be found: of each clear object, or each class once.
        found: Of each of these, whether it was.
        invented: Classes of the detections that nothing in the photograph accounts for.
    """

    name: str
    expected: tuple[str, ...]
    found: tuple[bool, ...]
    invented: tuple[str, ...]


def evaluate_photos(config: PhotosConfig) -> None:
    """Print a table with a row per photograph and one with a row per class."""
    photos, scenes = read_labels(config.labels), read_scenes(config.scenes)
    shown = [photo for photo in photos if photo.name in scenes]
    if not shown:
        raise InputError(f"{config.scenes}: holds none of the photographs of {config.labels}")
    scores = [score_photo(photo, scenes[photo.name]) for photo in shown]
    print("| photograph | to be found | found | invented |")
    print("|---|---|---|---|")
    for score in scores:
        found = [name for name, hit in zip(score.expected, score.found, strict=True) if hit]
        cells = (_listed(names) for names in (score.expected, found, score.invented))
        print(f"| {score.name} | {' | '.join(cells)} |")
    print("\n| class | to be found | found | | invented | per photograph |")
    print("|---|---:|---:|---:|---:|---:|")
    names = sorted({name for score in scores for name in (*score.expected, *score.invented)})
    for name in names:
        print(_total(name, [name], scores))
    print(_total("**chair and table**", ["chair", "table"], scores))
    print(_total("**all**", names, scores))
    missing = len(photos) - len(shown)
    print(
        f"\ncompared {len(shown)} photographs of {config.scenes} ({missing} labelled ones missing)"
    )


def score_photo(photo: LabelledPhoto, scene: dict[str, Any]) -> PhotoScore:
    """Compare a scene with what a person sees.

    With objects, each detection takes the free object of its class that it overlaps best in the
    picture, best score first; one that is left over is invented, though the class may be there.
    With classes alone, a class is found by any detection of it, and only other classes are
    invented, so this says less.
    """
    detected = [str(entry["class"]) for entry in scene["objects"]]
    if photo.objects is None:
        found = tuple(name in detected for name in photo.classes)
        invented = tuple(name for name in detected if name not in photo.classes)
        return PhotoScore(photo.name, photo.classes, found, invented)
    matched = _match(photo.objects, scene)
    clear = [i for i, item in enumerate(photo.objects) if item.clear]
    return PhotoScore(
        name=photo.name,
        expected=tuple(photo.objects[i].class_name for i in clear),
        found=tuple(i in matched for i in clear),
        invented=tuple(name for name, index in zip(detected, matched, strict=True) if index < 0),
    )


def read_labels(path: Path) -> tuple[LabelledPhoto, ...]:
    """Read a list of {"file", "objects": [{"class", "box_px", "clear"}]} or {"file", "classes"}.

    Raises:
        InputError: The file is missing or not as expected.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise TypeError(f"got {type(entries).__name__}")
        return tuple(_photo(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{path}: expected a list of {{"file", "objects"}} or {{"file", "classes"}} ({error})'
        ) from error


def _photo(entry: dict[str, Any]) -> LabelledPhoto:
    name = Path(entry["file"]).stem
    if "objects" not in entry:
        return LabelledPhoto(name, tuple(entry["classes"]), None)
    objects = []
    for item in entry["objects"]:
        left, top, right, bottom = map(float, item["box_px"])
        objects.append(SeenObject(item["class"], (left, top, right, bottom), bool(item["clear"])))
    return LabelledPhoto(name, tuple(sorted({o.class_name for o in objects})), tuple(objects))


def _match(objects: Sequence[SeenObject], scene: dict[str, Any]) -> list[int]:
    """Return the object that each detection is of; -1 for none."""
    detections = scene["objects"]
    if not detections or not objects:
        return [-1] * len(detections)
    iou = rectangle_iou(np.array([item.box_px for item in objects]), _rectangles(scene))
    same = np.array([[o.class_name == entry["class"] for entry in detections] for o in objects])
    score = np.array([entry["score"] for entry in detections], dtype=float)
    matched: list[int] = greedy_match(np.where(same, iou, 0.0), score, MIN_IOU).tolist()
    return matched


def _rectangles(scene: dict[str, Any]) -> FloatArray:
    """Return left, top, right, bottom of the m detections' boxes in the picture, (m, 4), px."""
    seen = scene["camera"]
    K, pose = np.array(seen["K"], dtype=float), np.array(seen["world_from_camera"], dtype=float)
    camera = Camera(K, seen["width"], seen["height"], pose)
    # A corner behind the camera has no pixel; the others then say where the box is.
    pixels = np.ma.masked_invalid(camera.project(boxes_world(scene["objects"]).corners())[..., :2])
    low, high = pixels.min(axis=1).filled(0.0), pixels.max(axis=1).filled(0.0)
    size = np.array([camera.width, camera.height])
    return np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)], axis=1)


def _listed(names: Sequence[str]) -> str:
    counts = {name: names.count(name) for name in sorted(set(names))}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "-"


def _total(title: str, names: Sequence[str], scores: Sequence[PhotoScore]) -> str:
    hits = [
        hit
        for score in scores
        for name, hit in zip(score.expected, score.found, strict=True)
        if name in names
    ]
    invented = sum(name in names for score in scores for name in score.invented)
    share = f"{100 * sum(hits) / len(hits):.0f} %" if hits else "-"
    rate = invented / len(scores)
    return f"| {title} | {len(hits)} | {sum(hits)} | {share} | {invented} | {rate:.2f} |"
