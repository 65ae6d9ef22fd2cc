"""The evaluation command's options, model loading and pictures."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_train.data.sample import Sample
from p2o_train.evaluate_command import EvaluateConfig
from p2o_train.pictures import ZOOM, class_color, save_pictures
from p2o_train.predictors import SpecifiedPredictor, load_predictor
from points2objects.camera import Camera
from points2objects.errors import BundleError, InputError
from points2objects.geometry import Box9DoF, rigid
from points2objects.place import encode_pose
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap

ROOT = Path(__file__).parents[2]
SPEC = ModelSpec("test", ("chair", "table"), 2, "0" * 64, score_threshold=0.4)


def _sample() -> Sample:
    pose = rigid(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 1.0, 0.0]))
    return Sample(
        image=np.zeros((256, 256, 3), np.uint8),
        camera=replace(Camera.from_fov(60, 256, 256), world_from_camera=pose),
        boxes=Box9DoF(np.eye(3)[None], np.array([[0.1, 0.8, -3]]), np.full((1, 3), 0.8)),
        class_id=np.array([1]),
        model_index=np.array([0]),
        visible_fraction=np.ones(1),
        mirrored=np.zeros(1, bool),
    )


def _predictor(sample: Sample) -> SpecifiedPredictor:
    """Sees the sample's box, half as large."""
    pixels = sample.camera.project(sample.boxes.translation)[:, :2]
    column, row = np.floor(pixels / SPEC.stride).astype(int).T
    smaller = replace(sample.boxes, scale=sample.boxes.scale / 2)
    raw = encode_pose(smaller, np.stack([row, column], axis=1).astype(float), sample.camera, SPEC)
    maps = {name: np.zeros((64, 64, c), np.float32) for name, c in SPEC.outputs.items()}
    maps["heatmap"][row, column, sample.class_id] = 0.9
    maps["rotation"][row, column] = raw.rotation
    maps["translation"][row, column] = raw.translation
    maps["scale"][row, column] = raw.scale
    return SpecifiedPredictor(lambda image: {n: OutputMap(v) for n, v in maps.items()}, SPEC)


def test_pictures_show_true_boxes_white_and_predicted_ones_in_their_class_colour(
    tmp_path: Path,
) -> None:
    sample = _sample()
    (path,) = save_pictures(_predictor(sample), [sample], tmp_path)
    picture = np.asarray(cv2.imread(str(path)))[:, :, ::-1]
    assert picture.shape == (256 * ZOOM, 256 * ZOOM, 3)

    def shows(color: tuple[int, int, int], boxes: Box9DoF) -> bool:
        corners = np.rint(ZOOM * sample.camera.project(boxes.corners()[0])[:, :2]).astype(int)
        return all(
            (picture[y - 2 : y + 3, x - 2 : x + 3] == color).all(axis=-1).any() for x, y in corners
        )

    smaller = replace(sample.boxes, scale=sample.boxes.scale / 2)
    assert shows((255, 255, 255), sample.boxes)
    assert shows(class_color(1, 2), smaller)
    assert not shows((255, 255, 255), smaller)


def test_pictures_need_their_folder(tmp_path: Path) -> None:
    sample = _sample()
    with pytest.raises(InputError, match="cannot be written"):
        save_pictures(_predictor(sample), [sample], tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "--limit must be at least 1, got 0"),
        ({"score": 1.0}, "--score must be in 0..1, got 1.0"),
        ({"threads": 0}, "--threads and --picture-count must be at least 1"),
        ({"voxel_size": 4}, r"--voxel-size must be in 8\.\.256, got 4"),
    ],
)
def test_options_out_of_range_name_their_flag(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EvaluateConfig(Path("run"), **options)  # type: ignore[arg-type]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of"):
        load_predictor(tmp_path / "missing")
    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="not a TFLite model"):
        load_predictor(tmp_path / "broken.tflite")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--help"], 0, "Score a training run"),
        (["run", "--limit", "0"], 2, "error: --limit must be at least 1"),
        (["run", "--shapedb", "missing-shapedb"], 2, "error: missing-shapedb is no shape database"),
    ],
)
def test_the_command_answers_with_the_right_exit_code(
    words: list[str], code: int, says: str
) -> None:
    command = [sys.executable, str(ROOT / "train" / "evaluate.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
