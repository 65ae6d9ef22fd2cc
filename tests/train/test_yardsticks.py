"""Other people's detectors: their classes become ours, their numbers boxes of the picture."""

from pathlib import Path

import numpy as np
import pytest

from p2o_train.yardstick_networks import COCO, OPEN_IMAGES, Places
from p2o_train.yardsticks import Yardstick, load_yardsticks
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

CLASSES = ("bottle", "bowl", "chair", "mug", "sofa", "table")
BLANK = np.zeros((100, 200, 3), np.uint8)


def _detector(*said: tuple[tuple[float, ...], str, float]) -> Yardstick:
    def places(image: ByteArray) -> Places:
        score = np.zeros((len(said), len(COCO)))
        for row, (_, name, value) in enumerate(said):
            score[row, COCO.index(name)] = value
        return Places(np.array([box for box, _, _ in said], dtype=float), score)

    return Yardstick("by hand", COCO, places)


def test_numbers_of_the_classes_are_those_of_coco() -> None:
    assert len(COCO) == len(set(COCO)) == 80
    # https://docs.ultralytics.com/datasets/detect/coco/ lists them by number.
    numbers = {"bottle": 39, "cup": 41, "bowl": 45, "chair": 56, "couch": 57, "dining table": 60}
    assert {name: COCO.index(name) for name in numbers} == numbers
    assert len(OPEN_IMAGES) == 24


def test_their_names_become_ours() -> None:
    box = (10.0, 10.0, 50.0, 50.0)
    names = [("cup", 3), ("couch", 4), ("dining table", 5), ("bottle", 0), ("person", None)]
    for theirs, ours in names:
        found = _detector((box, theirs, 0.9)).find(BLANK, CLASSES, 0.3)
        assert found.class_id.tolist() == ([] if ours is None else [ours])
    assert _detector((box, "cup", 0.9)).knows((*CLASSES, "lamp")).tolist() == [True] * 6 + [False]


def test_of_overlapping_places_the_surest_stays_and_boxes_end_at_the_picture() -> None:
    found = _detector(
        ((10, 10, 50, 50), "chair", 0.6),
        ((12, 10, 52, 50), "chair", 0.8),
        ((12, 10, 52, 50), "couch", 0.4),
        ((150, 60, 230, 130), "chair", 0.5),
        ((60, 10, 90, 50), "chair", 0.2),
    ).find(BLANK, CLASSES, 0.3)
    assert found.score.tolist() == [0.8, 0.5, 0.4]
    assert found.class_id.tolist() == [2, 2, 4]
    assert found.boxes[1].tolist() == [150, 60, 200, 100]


def test_missing_detectors_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder of detectors"):
        load_yardsticks(tmp_path / "none")
    with pytest.raises(InputError, match=r"none of yolox_nano\.onnx, picodet_s_416\.onnx"):
        load_yardsticks(tmp_path)
    with pytest.raises(InputError, match=r"yolox_nano\.onnx: no such file"):
        load_yardsticks(tmp_path, ["yolox_nano"])
    with pytest.raises(InputError, match="yolov9: no known detector; expected yolox_nano"):
        load_yardsticks(tmp_path, ["yolov9"])
