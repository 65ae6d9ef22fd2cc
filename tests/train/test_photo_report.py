"""The evaluation of photographs: the runtime's own way to see, told as a table and as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2o_train.photo_detector import PhotoDetector
from p2o_train.photo_report import EvaluatePhotosConfig, evaluate_photos, photo_camera
from points2objects.bundle import DEFAULT_BUNDLE, EXEMPLARS
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.pipeline import Reconstructor
from points2objects.scales import picture_rectangles

FRAMES = Path(__file__).parents[2] / "demo" / "frames"


@pytest.fixture(scope="module")
def detector() -> PhotoDetector:
    return PhotoDetector.load(DEFAULT_BUNDLE)


def _picture() -> Path:
    return sorted(p for p in FRAMES.rglob("*") if p.suffix in (".jpg", ".png"))[0]


def test_what_is_shown_is_what_the_runtime_shows(detector: PhotoDetector) -> None:
    image = np.array(Image.open(_picture()).convert("RGB"))
    camera = Camera.from_fov(65, image.shape[1], image.shape[0])
    seen = detector.find(image, camera)
    scene = Reconstructor.load(track=False)(image, camera)
    np.testing.assert_allclose(seen.shown.score, scene.detections.score)
    np.testing.assert_array_equal(seen.shown.class_id, scene.detections.class_id)
    boxes = scene.detections.boxes.matrix()
    for i, exemplar in enumerate(scene.detections.exemplar_id):
        points = scene.exemplars[exemplar].vertices @ boxes[i, :3, :3].T + boxes[i, :3, 3]
        np.testing.assert_allclose(
            seen.shown.boxes[i], picture_rectangles(points[None], scene.camera)[0], atol=1e-3
        )
    # Average precision sees at least as much.
    assert len(seen.ranked) >= len(seen.shown)


def _labelled(folder: Path, detector: PhotoDetector) -> Path:
    """Label a picture with just what the detector shows: then it must be perfect."""
    with Image.open(_picture()) as picture:
        image = np.array(picture.convert("RGB"))
    Image.fromarray(image).save(folder / "a.png")
    height, width = image.shape[:2]
    shown = detector.find(image, Camera.from_fov(65, width, height)).shown
    classes = detector.predictor.spec.classes
    objects = [
        {"class": classes[own], "box_xyxy_px": box, "origin": "ground truth"}
        for own, box in zip(shown.class_id, shown.boxes.tolist(), strict=True)
    ]
    assert objects
    photo = {"file": "a.png", "width": width, "height": height, "source": "demo", "licence": "CC0",
             "exhaustive": list(classes), "split": "val", "objects": objects}  # fmt: skip
    content = {"classes": list(classes), "photos": [photo]}
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_labels_that_say_what_is_shown_are_found_without_inventions(
    tmp_path: Path, detector: PhotoDetector, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    evaluate_photos(EvaluatePhotosConfig(photos=_labelled(tmp_path, detector), out=out))
    printed = capsys.readouterr().out
    assert "| points2objects | all (1) |" in printed or "| points2objects | demo (1) |" in printed
    scores = json.loads(out.read_text(encoding="utf-8"))["results"]["points2objects"]["all"]
    assert (scores["found"], scores["invented"]) == (100.0, 0.0)
    assert scores["mean_ap50"] > 99.9
    # Classes without ground truth have no figure.
    assert None in scores["ap50"].values()
    with pytest.raises(InputError, match="exists; add --overwrite"):
        evaluate_photos(EvaluatePhotosConfig(photos=tmp_path, out=out))


def test_a_photograph_has_the_lens_that_its_file_names(tmp_path: Path) -> None:
    picture = Image.new("RGB", (300, 200))
    picture.save(tmp_path / "plain.jpg")
    tags = picture.getexif()
    tags.get_ifd(0x8769)[0xA405] = 26
    picture.save(tmp_path / "told.jpg", exif=tags)
    image = np.array(picture)
    plain, told = (photo_camera(tmp_path / n, image, 65) for n in ("plain.jpg", "told.jpg"))
    assert plain.K[0, 0] == pytest.approx(150 / np.tan(np.radians(32.5)))
    assert told.K[0, 0] == pytest.approx(26 / 36 * 300)


def test_exemplars_of_another_database_are_refused(tmp_path: Path, detector: PhotoDetector) -> None:
    data, digest = (DEFAULT_BUNDLE / EXEMPLARS).read_bytes(), detector.shapes.digest.encode()
    assert digest in data
    (tmp_path / "other.glb").write_bytes(data.replace(digest, b"ab" * 32))
    with pytest.raises(InputError, match="the exemplars are of abababab; pass --exemplars"):
        PhotoDetector.load(DEFAULT_BUNDLE, tmp_path / "other.glb")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fov_deg": 0.5}, r"--fov-deg must be in 1\.\.179"),
        ({"least": 1.0}, r"--least must be in 0\.\.1"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"threads": 0}, "--threads must be at least 1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        EvaluatePhotosConfig(**options)
