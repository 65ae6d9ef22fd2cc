"""Photographs with rectangles: read with loud checks, drawn as the network sees them, kept true."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2o_train.data.photo_view import PhotoAugmentConfig, PhotoView, draw_view, photo_view
from p2o_train.data.photos2d import PhotoDataset, PhotoSample
from points2objects.errors import InputError
from points2objects.spec import ModelSpec

CLASSES = ("chair", "mug")
SPEC = ModelSpec("any", CLASSES, 1, "ab" * 32, input_size=128)
STILL = PhotoAugmentConfig(
    roll=0.0, pixels=replace(PhotoAugmentConfig().pixels, blur=0, color=0, tone=0, noise=0, jpeg=0)
)


def _entry(**changes: Any) -> dict[str, Any]:
    mug = {"class": "mug", "box_xyxy_px": [10, 20, 30, 50], "origin": "ground truth",
           "score": 1.0, "ignore": False}  # fmt: skip
    entry = {"file": "a.png", "width": 80, "height": 60, "source": "kitchen", "licence": "CC0",
             "exhaustive": ["mug"], "split": "train", "objects": [mug]}  # fmt: skip
    return entry | changes


def _write(folder: Path, *entries: dict[str, Any], classes: tuple[str, ...] = CLASSES) -> Path:
    if entries:
        Image.new("RGB", (80, 60), (9, 99, 199)).save(folder / "a.png")
    content = {"classes": list(classes), "photos": list(entries)}
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_labelled_photograph_is_read(tmp_path: Path) -> None:
    guess = {"class": "chair", "box_xyxy_px": [-1, 0, 81, 60], "origin": "teacher:a+b",
             "score": 0.4, "ignore": True, "borders_touched": 4}  # fmt: skip
    cat = {"class": "cat", "box_xyxy_px": [0, 0, 9, 9], "origin": "ground truth"}
    objects = [*_entry()["objects"], guess, cat]
    folder = _write(tmp_path, _entry(objects=objects, extra=1), classes=("cat", *CLASSES))
    for root in (folder, folder / "labels.json"):
        dataset = PhotoDataset(root, ("lamp", "mug", "chair"), "train")
        sample = dataset[0]
        assert (len(dataset), len(sample)) == (1, 2)
        assert sample.boxes.tolist() == [[10, 20, 30, 50], [0, 0, 80, 60]]
        assert sample.class_id.tolist() == [1, 2]
        assert sample.weight.tolist() == [1.0, 0.4]
        assert sample.ignore.tolist() == [False, True]
        # Nobody looked for lamps here.
        assert sample.exhaustive.tolist() == [False, True, False]
        assert sample.image[0, 0].tolist() == [9, 99, 199]
        assert (sample.source, sample.licence, sample.name) == ("kitchen", "CC0", "a.png")
        assert dataset.record["licences"] == ["kitchen: CC0"]


def _object(**changes: Any) -> dict[str, Any]:
    return _entry(objects=[_entry()["objects"][0] | changes])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (_object(box_xyxy_px=[10, 20, 10, 50]), r"a\.png: box_xyxy_px must be left < right"),
        (_object(box_xyxy_px=[10, 20, 30, float("nan")]), "box_xyxy_px must be"),
        (_object(box_xyxy_px=[10, 20, 90, 50]), "leaves the picture of 80x60 px"),
        (_object(box_xyxy_px=[10, 20, 30]), "a.png: not enough values"),
        (_object(**{"class": "lamp"}), 'class "lamp" is none of classes: chair, mug'),
        (_object(origin="somebody"), 'origin must be "ground truth" or "teacher:NAMES"'),
        (_object(score=1.5), r"score must be in 0\.\.1, got 1\.5"),
        (_object(ignore="no"), "ignore must be true or false"),
        (_entry(split="test"), 'split must be "train" or "val", got "test"'),
        (_entry(exhaustive="mug"), "exhaustive must be a list of classes"),
        (_entry(exhaustive=["lamp"]), 'class "lamp" is none of classes'),
        (_entry(file="../a.png"), "file must be a path below the folder"),
        (_entry(width=0), "width and height must be positive"),
        (_entry(file="b.png"), r"1 of 1 pictures are missing, like b\.png"),
        ({"file": "a.png"}, r"a\.png: 'width' is missing"),
    ],
)
def test_wrong_labels_are_named(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PhotoDataset(_write(tmp_path, entry), CLASSES, "train")


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.json: no such file; train/import_photos\.py"):
        PhotoDataset(tmp_path, CLASSES)
    _write(tmp_path, _entry(), _entry())
    with pytest.raises(InputError, match=r"a\.png is listed twice"):
        PhotoDataset(tmp_path, CLASSES)
    _write(tmp_path, _entry())
    with pytest.raises(InputError, match="none of the model's classes: lamp"):
        PhotoDataset(tmp_path, ("lamp",))
    with pytest.raises(InputError, match="holds no photograph of split val"):
        PhotoDataset(tmp_path, CLASSES, "val")
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"a\.png: not a picture that can be read"):
        PhotoDataset(tmp_path, CLASSES)[0]
    Image.new("RGB", (60, 80)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"is 60x80 px, but labels\.json says 80x60"):
        PhotoDataset(tmp_path, CLASSES)[0]
    (tmp_path / "labels.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r'expected \{"classes":'):
        PhotoDataset(tmp_path, CLASSES)


BACK, INK = 40, 220


def _sample(
    *boxes: tuple[float, float, float, float], size: tuple[int, int] = (300, 200)
) -> PhotoSample:
    """Make a picture in which the labelled rectangles, and nothing else, are bright."""
    image = np.full((size[1], size[0], 3), BACK, np.uint8)
    for left, top, right, bottom in boxes:
        image[int(top) : int(bottom), int(left) : int(right)] = INK
    n = len(boxes)
    return PhotoSample(
        image, np.array(boxes, dtype=float).reshape(-1, 4), np.zeros(n, np.int64), np.ones(n),
        np.zeros(n, bool), np.array([True, False]), "made", "CC0", "train", "x.png",
    )  # fmt: skip


def _bright(view: PhotoView) -> np.ndarray[Any, Any]:
    rows, columns = np.nonzero((view.image[..., 0] > (BACK + INK) / 2) & view.valid)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_rectangles_stay_about_what_they_are_of() -> None:
    sample, rng = _sample((120, 60, 170, 150)), np.random.default_rng(0)
    seen = 0
    for _ in range(60):
        view = photo_view(sample, rng, SPEC, STILL)
        if len(view):
            seen += 1
            # A pixel of the picture may be three of the view wide.
            np.testing.assert_allclose(view.boxes[0], _bright(view), atol=2.0)
    assert seen > 50


def test_turned_rectangles_lie_between_those_of_box_and_ellipse() -> None:
    sample = _sample((100, 60, 200, 140))
    angle = np.radians(4)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    around = np.array([[1, 0, 150], [0, 1, 100], [0, 0, 1.0]]) @ turn
    view = draw_view(sample, around @ np.array([[2, 0, -128], [0, 2, -128], [0, 0, 1.0]]), SPEC,
                     STILL)  # fmt: skip
    width, height = view.boxes[0, 2:] - view.boxes[0, :2]
    for side, own, other in ((width, 50, 40), (height, 40, 50)):
        assert np.hypot(own * cos, other * sin) < side < own * cos + other * sin
    np.testing.assert_allclose((view.boxes[0, :2] + view.boxes[0, 2:]) / 2, 64, atol=0.01)


@pytest.mark.parametrize("mirrored", [False, True])
def test_edges_that_picture_or_view_cut_off_are_marked(mirrored: bool) -> None:
    # The first reaches the picture's left border; the view ends within the second and the third.
    sample = _sample((0, 80, 40, 120), (180, 80, 260, 120), (60, 10, 100, 60))
    side = -1.0 if mirrored else 1.0
    across = [1.6 * side, 0, 102.4 - 1.6 * side * 64]
    picture_from_view = np.array([across, [0, 1.6, 37.6], [0, 0, 1]])
    view = draw_view(sample, picture_from_view, SPEC, STILL)
    left, right = (2, 0) if mirrored else (0, 2)
    expected = np.zeros((3, 4), dtype=bool)
    expected[0, left] = expected[1, right] = expected[2, 1] = True
    np.testing.assert_array_equal(view.at_border, expected)


def test_what_hardly_shows_is_ignored_and_what_does_not_is_gone() -> None:
    sample = _sample((0, 80, 100, 120), (150, 90, 154, 94), (250, 80, 290, 120))
    picture_from_view = np.array([[1.0, 0, 80], [0, 1, 40], [0, 0, 1]])
    view = draw_view(sample, picture_from_view, SPEC, STILL)
    # A fifth of the first shows, the second is too small, the third is out of the view.
    assert view.ignore.tolist() == [True, True]
    assert view.boxes.tolist() == [[0, 40, 20, 80], [70, 50, 74, 54]]


def test_padding_has_the_runtime_colour_and_is_not_valid() -> None:
    sample, rng = _sample(size=(60, 300)), np.random.default_rng(1)
    padding = np.rint(SPEC.mean).astype(np.uint8)
    padded = 0
    for _ in range(30):
        view = photo_view(sample, rng, SPEC, PhotoAugmentConfig())
        assert view.image.shape == (128, 128, 3)
        assert view.image.dtype == np.uint8
        assert (view.image[~view.valid] == padding).all()
        assert len(view) == 0
        padded += not view.valid.all()
    assert padded > 5


def test_objects_fill_little_and_all_of_the_view() -> None:
    sample, rng = _sample((120, 60, 180, 140)), np.random.default_rng(2)
    share = []
    for _ in range(300):
        view = photo_view(sample, rng, SPEC, PhotoAugmentConfig())
        share += ((view.boxes[:, 2:] - view.boxes[:, :2]).max(axis=1) / SPEC.input_size).tolist()
    assert np.percentile(share, 5) < 0.35
    assert np.percentile(share, 95) > 0.85


def test_the_same_seed_gives_the_same_view() -> None:
    sample = _sample((120, 60, 180, 140))
    first, second = (
        photo_view(sample, np.random.default_rng(3), SPEC, PhotoAugmentConfig()) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.boxes, second.boxes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flip": 2.0}, r"flip must be in 0\.\.1, got 2\.0"),
        ({"fov_deg": (80.0, 50.0)}, "fov_deg must be two angles"),
        ({"object_share": (0.0, 1.0)}, "object_share must be two shares"),
        ({"most_enlarged": 0.5}, "most_enlarged must be at least 1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PhotoAugmentConfig(**options)
