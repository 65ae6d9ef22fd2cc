"""Photographs: scenes that hold what is seen, other things, the same thing twice, or nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_shapedb.database import CLASSES
from p2o_train.photos import (
    LabelledPhoto,
    PhotosConfig,
    SeenObject,
    evaluate_photos,
    read_labels,
    score_photo,
)
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF

ROOT = Path(__file__).parents[2]
CAMERA = Camera.from_fov(60, 400, 300).with_gravity(np.array([0.0, -1.0, 0.0]))
LEFT, RIGHT, BEHIND = (-0.5, 0.6, -2.0), (0.6, 0.6, -2.5), (0.0, 0.5, 1.0)
Entry = tuple[str, tuple[float, float, float], float]


def _scene(*objects: Entry) -> dict[str, Any]:
    return {
        "frame": "room.1",
        "unit": "camera height",
        "camera": {
            "K": CAMERA.K.tolist(),
            "width": 400,
            "height": 300,
            "world_from_camera": CAMERA.pose.tolist(),
        },
        "objects": [
            {
                "class": name,
                "score": score,
                "rotation": np.eye(3).tolist(),
                "translation": list(at),
                "scale": [0.4, 0.6, 0.4],
            }
            for name, at, score in objects
        ],
    }


def _seen(name: str, at: tuple[float, float, float], clear: bool = True) -> SeenObject:
    box = Box9DoF(np.eye(3), np.array(at), np.array([0.4, 0.6, 0.4]))
    pixels = CAMERA.project(box.corners())[:, :2]
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
    return SeenObject(name, (float(left), float(top), float(right), float(bottom)), clear)


def _photo(*objects: SeenObject) -> LabelledPhoto:
    return LabelledPhoto("room.1", tuple({o.class_name for o in objects}), objects)


BOTH = _photo(_seen("chair", LEFT), _seen("table", RIGHT))


def test_what_is_there_is_found() -> None:
    score = score_photo(BOTH, _scene(("table", RIGHT, 0.5), ("chair", LEFT, 0.4)))
    assert score.expected == ("chair", "table")
    assert score.found == (True, True)
    assert score.invented == ()


@pytest.mark.parametrize(
    ("objects", "found", "invented"),
    [
        ((), (False, False), ()),
        ((("table", LEFT, 0.5),), (False, False), ("table",)),
        ((("chair", RIGHT, 0.5),), (False, False), ("chair",)),
        ((("chair", LEFT, 0.5), ("chair", LEFT, 0.4)), (True, False), ("chair",)),
        ((("chair", LEFT, 0.5), ("mug", LEFT, 0.9)), (True, False), ("mug",)),
        ((("chair", BEHIND, 0.5), ("table", RIGHT, 0.4)), (False, True), ("chair",)),
    ],
)
def test_what_is_not_there_or_there_twice_is_invented(
    objects: tuple[Entry, ...], found: tuple[bool, ...], invented: tuple[str, ...]
) -> None:
    score = score_photo(BOTH, _scene(*objects))
    assert (score.found, score.invented) == (found, invented)


def test_what_is_hardly_seen_may_be_found_but_need_not() -> None:
    photo = _photo(_seen("chair", LEFT), _seen("mug", RIGHT, clear=False))
    without = score_photo(photo, _scene(("chair", LEFT, 0.5)))
    assert (without.expected, without.found, without.invented) == (("chair",), (True,), ())
    assert score_photo(photo, _scene(("mug", RIGHT, 0.5))).invented == ()


def test_a_photograph_of_nothing_has_only_inventions() -> None:
    score = score_photo(_photo(), _scene(("chair", LEFT, 0.5)))
    assert (score.expected, score.invented) == ((), ("chair",))


def test_with_classes_alone_any_detection_of_one_finds_it() -> None:
    photo = LabelledPhoto("room.1", ("bottle", "chair"), None)
    score = score_photo(
        photo, _scene(("chair", RIGHT, 0.5), ("chair", LEFT, 0.4), ("mug", LEFT, 0.3))
    )
    assert (score.expected, score.found) == (("bottle", "chair"), (False, True))
    assert score.invented == ("mug",)


def test_a_box_that_reaches_behind_the_camera_is_where_its_visible_corners_are() -> None:
    scene = _scene(("table", (0.0, 0.3, -0.6), 0.5))
    scene["objects"][0]["scale"] = [3.0, 0.6, 2.0]
    filling = SeenObject("table", (0.0, 150.0, 400.0, 300.0), True)
    assert score_photo(_photo(filling), scene).found == (True,)


def test_the_command_prints_rows_and_totals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = [
        {"class": o.class_name, "box_px": list(o.box_px), "clear": True} for o in BOTH.objects or ()
    ]
    labels = [
        {"file": "open/room.1.png", "objects": objects},
        {"file": "hall.jpg", "classes": ["sofa"]},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    scene = _scene(("chair", LEFT, 0.5), ("chair", RIGHT, 0.4), ("bowl", RIGHT, 0.4))
    (tmp_path / "scenes.jsonl").write_text(json.dumps(scene) + "\n")
    evaluate_photos(PhotosConfig(tmp_path / "scenes.jsonl", tmp_path / "labels.json"))
    printed = capsys.readouterr().out
    assert "| room.1 | 1 chair, 1 table | 1 chair | 1 bowl, 1 chair |" in printed
    assert "| **chair and table** | 2 | 1 | 50 % | 1 | 1.00 |" in printed
    assert "| **all** | 2 | 1 | 50 % | 2 | 2.00 |" in printed
    assert "compared 1 photographs" in printed
    assert "(1 labelled ones missing)" in printed


def test_the_labels_of_the_open_photographs_make_sense() -> None:
    photos = read_labels(PhotosConfig.labels)
    assert len({photo.name for photo in photos}) == len(photos) == 28
    objects = [item for photo in photos for item in photo.objects or ()]
    assert {item.class_name for item in objects} <= set(CLASSES)
    for item in objects:
        left, top, right, bottom = item.box_px
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 480
    assert sum(item.clear and item.class_name in ("chair", "table") for item in objects) == 55


NO_BOX = '[{"file": "a.png", "objects": [{"class": "mug", "clear": true}]}]'
SHORT_BOX = '[{"file": "a.png", "objects": [{"class": "mug", "box_px": [1, 2], "clear": true}]}]'


@pytest.mark.parametrize("text", ["", "{}", '[{"objects": []}]', NO_BOX, SHORT_BOX])
def test_labels_of_another_form_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(InputError, match="expected a list of"):
        read_labels(tmp_path / "labels.json")


def test_scenes_of_other_photographs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scenes.jsonl").write_text(json.dumps(_scene()) + "\n")
    with pytest.raises(InputError, match="holds none of the photographs"):
        evaluate_photos(PhotosConfig(tmp_path / "scenes.jsonl"))
    with pytest.raises(InputError, match=r"expected scenes\.jsonl of demo/camera\.py"):
        evaluate_photos(PhotosConfig(tmp_path / "none.jsonl"))


def test_the_script_answers_with_the_right_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train" / "evaluate_photos.py"), str(tmp_path / "no")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
