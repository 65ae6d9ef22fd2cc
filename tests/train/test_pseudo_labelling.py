"""Labels by agreement: who sees what, where all agree, and a run that was interrupted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2o_train import pseudo_labelling
from p2o_train.data.photo_labels import entry_json, read_labels
from p2o_train.pseudo_labelling import (
    PROGRESS,
    PseudoLabelConfig,
    Sighting,
    agreed,
    label_by,
)
from p2o_train.yardstick_networks import COCO, Places
from p2o_train.yardsticks import Yardstick
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

CHAIR, SOFA = 2, 4
BOX = (10.0, 10.0, 50.0, 50.0)
KNOWING = [3] * 6


def _config(tmp_path: Path, **options: object) -> PseudoLabelConfig:
    return PseudoLabelConfig(tmp_path, tmp_path, "CC0", **options)  # type: ignore[arg-type]


def _seen(detector: str, score: float, class_id: int = CHAIR, shift: float = 0.0) -> Sighting:
    left, top, right, bottom = BOX
    return Sighting(detector, class_id, score, (left + shift, top, right + shift, bottom))


def test_what_two_see_is_one_label_between_their_boxes(tmp_path: Path) -> None:
    (label,) = agreed([_seen("b", 0.6), _seen("a", 0.4, shift=5)], KNOWING, _config(tmp_path))
    assert (label.class_name, label.origin, label.ignore) == ("chair", "teacher:a+b", False)
    assert label.score == label.weight == 0.5
    np.testing.assert_allclose(label.box, (12, 10, 52, 50))


def test_what_one_sees_is_ignored_unless_it_is_sure_or_alone_knows_the_class(
    tmp_path: Path,
) -> None:
    config = _config(tmp_path)
    assert agreed([_seen("a", 0.5)], KNOWING, config)[0].ignore
    assert not agreed([_seen("a", 0.7)], KNOWING, config)[0].ignore
    assert not agreed([_seen("a", 0.5)], [1] * 6, config)[0].ignore
    assert agreed([_seen("a", 0.3), _seen("b", 0.3)], KNOWING, config)[0].ignore


def test_one_detector_does_not_agree_with_itself(tmp_path: Path) -> None:
    labels = agreed([_seen("a", 0.5), _seen("a", 0.45, shift=8)], KNOWING, _config(tmp_path))
    assert [label.ignore for label in labels] == [True, True]


def test_of_two_classes_in_one_place_the_better_supported_stays(tmp_path: Path) -> None:
    seen = [_seen("a", 0.6), _seen("b", 0.5), _seen("a", 0.45, SOFA), _seen("c", 0.4, SOFA)]
    labels = agreed(seen, KNOWING, _config(tmp_path))
    assert [(label.class_name, label.ignore) for label in labels] == [
        ("chair", False),
        ("sofa", True),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"agree": 0}, "--agree must be at least 1"),
        ({"doubt": 0.5, "accept": 0.4}, "expected 0 < --doubt <= --accept <= --alone <= 1"),
        ({"sheet_samples": 0}, "--sheet-samples must be at least 1"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _config(tmp_path, **options)


class Brightness:
    """A detector of bright spots, which counts the pictures that it was asked about."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: ByteArray) -> Places:
        self.asked += 1
        rows, columns = np.nonzero(image[..., 0] > 250)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        score = np.zeros((1, len(COCO)))
        score[0, COCO.index("chair")] = 0.8
        return Places(np.array([box], dtype=float), score)


def _pictures(folder: Path, count: int) -> Path:
    for index in range(count):
        coarse = np.random.default_rng(index).integers(0, 200, (6, 8, 3), np.uint8)
        image = np.array(Image.fromarray(coarse).resize((160, 120), Image.Resampling.NEAREST))
        image[20:60, 30:90] = 255
        (folder / "in" / "deep").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "in" / "deep" / f"{index}.png")
    return folder / "in"


def test_a_folder_is_labelled_and_an_interrupted_run_continues(
    tmp_path: Path,
) -> None:
    brightness = Brightness()
    spots = [Yardstick("spot", COCO, brightness)]
    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    config = PseudoLabelConfig(
        _pictures(tmp_path, 3), tmp_path, "CC0", out=out, contact_sheet=sheet
    )
    labels = label_by(spots, config)
    assert brightness.asked == 3
    assert read_labels(out) == labels
    photo = labels.photos[0]
    assert (photo.file, photo.exhaustive, photo.licence) == ("deep/0.png", (), "CC0")
    assert photo.objects[0].box == (30, 20, 90, 60)
    assert photo.objects[0].origin == "teacher:spot"
    assert sheet.is_file()
    assert not (out / PROGRESS).exists()
    with pytest.raises(InputError, match="exists; add --overwrite"):
        label_by(spots, config)
    # As if it had been killed while it wrote down the third.
    plan = json.dumps({"teachers": ["spot"], "options": pseudo_labelling._options(config)})
    lines = [json.dumps({"picture": p.file, "entry": entry_json(p)}) for p in labels.photos]
    (out / "labels.json").unlink()
    (out / PROGRESS).write_text("\n".join([plan, *lines[:2], lines[2][:40]]), encoding="utf-8")
    assert label_by(spots, config) == labels
    assert brightness.asked == 4


def test_another_folder_is_never_cleared(tmp_path: Path) -> None:
    spots = [Yardstick("spot", COCO, Brightness())]
    pictures = _pictures(tmp_path, 1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear", encoding="utf-8")
    config = PseudoLabelConfig(pictures, tmp_path, "CC0", out=mine, overwrite=True)
    with pytest.raises(InputError, match="not a folder that this command wrote"):
        label_by(spots, config)
    assert (mine / "letter.txt").is_file()
