"""Photographs labelled by other tools: each format gives the same folder, whatever its habits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2o_train.data.photo_import_config import ImportPhotosConfig
from p2o_train.data.photo_importing import import_photos
from p2o_train.data.photo_labels import PhotoEntry, read_labels
from p2o_train.data.photos2d import PhotoDataset
from points2objects.errors import InputError

ROOT = Path(__file__).parents[3]
CLASSES = ("bottle", "bowl", "chair", "mug", "sofa", "table")
BOX = (20.0, 30.0, 60.0, 90.0)


def _save(path: Path, seed: int, size: tuple[int, int] = (160, 120), exif: int = 1) -> Path:
    """Write a picture that looks like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    tags = picture.getexif()
    tags[0x0112] = exif
    picture.save(path, quality=95, exif=tags)
    return path


def write_coco(root: Path) -> Path:
    for index in range(3):
        _save(root / f"p{index}.jpg", index)
    left, top, right, bottom = BOX
    box = [left, top, right - left, bottom - top]
    content = {
        "licenses": [{"id": 4, "name": "CC-BY 2.0"}],
        "categories": [
            {"id": 47, "name": "cup"},
            {"id": 62, "name": "chair"},
            {"id": 1, "name": "cat"},
        ],
        "images": [
            {"id": i, "file_name": f"p{i}.jpg", "width": 160, "height": 120, "license": 4}
            for i in range(3)
        ],
        "annotations": [
            {"image_id": 0, "category_id": 47, "bbox": box, "iscrowd": 0},
            {"image_id": 0, "category_id": 62, "bbox": [0, 0, 160, 20], "iscrowd": 1},
            {"image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0},
        ],
    }  # fmt: skip
    (root / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    return root / "instances.json"


def write_yolo(root: Path) -> Path:
    for index in range(3):
        _save(root / "images" / f"p{index}.jpg", index)
    (root / "labels").mkdir()
    left, top, right, bottom = (v / s for v, s in zip(BOX, (160, 120, 160, 120), strict=True))
    box = f"{(left + right) / 2} {(top + bottom) / 2} {right - left} {bottom - top}"
    outline = f"{left} {top} {right} {top} {right} {bottom} {left} {bottom}"
    (root / "labels" / "p0.txt").write_text(f"1 {box}\n", encoding="utf-8")
    (root / "labels" / "p1.txt").write_text(f"0 {outline}\n\n", encoding="utf-8")
    (root / "classes.txt").write_text("cat\nCoffee_Cup\n", encoding="utf-8")
    return root


def write_voc(root: Path) -> Path:
    for index in range(3):
        _save(root / "JPEGImages" / f"p{index}.jpg", index)
        left, top, right, bottom = map(int, BOX)
        item = (
            "<object><name>{}</name><difficult>{}</difficult><part><name>leg</name><bndbox>"
            "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part><bndbox>"
            f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax>"
            "</bndbox></object>"
        )
        items = [item.format("cup", 0), item.format("chair", 1)] if index == 0 else []
        text = (
            f"<annotation><filename>p{index}.jpg</filename><size><width>160</width><height>120"
            f"</height><depth>3</depth></size>{''.join(items)}</annotation>"
        )
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"p{index}.xml").write_text(text, encoding="utf-8")
    return root


WRITERS: dict[str, Callable[[Path], Path]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
}


def _config(format_: str, root: Path, out: Path, **options: object) -> ImportPhotosConfig:
    return ImportPhotosConfig(format_, root, "CC0", out=out, **options)  # type: ignore[arg-type]


def _photos(out: Path) -> dict[str, PhotoEntry]:
    return {Path(photo.file).name: photo for photo in read_labels(out).photos}


@pytest.mark.parametrize("format_", WRITERS)
def test_each_format_gives_the_same_mug(tmp_path: Path, format_: str) -> None:
    root = WRITERS[format_](tmp_path / "theirs")
    made = import_photos(_config(format_, root, tmp_path / "out", exhaustive=("mug",)))
    photos = _photos(tmp_path / "out")
    assert set(photos) == {"p0.jpg", "p1.jpg", "p2.jpg"}
    mug = photos["p0.jpg"].objects[0]
    assert (mug.class_name, mug.origin, mug.score, mug.ignore) == (
        "mug",
        "ground truth",
        1.0,
        False,
    )
    np.testing.assert_allclose(mug.box, BOX, atol=0.01)
    # Cats are none of the classes, and pictures without any class are the true negatives.
    assert photos["p1.jpg"].objects == photos["p2.jpg"].objects == ()
    assert {photo.exhaustive for photo in photos.values()} == {("mug",)}
    assert {photo.split for photo in photos.values()} <= {"train", "val"}
    assert (made.repeated, made.missing, made.lost_boxes) == (0, 0, 0)
    assert (tmp_path / "out" / photos["p0.jpg"].file).is_symlink()


@pytest.mark.parametrize("format_", ["coco", "voc"])
def test_crowds_and_difficult_objects_are_ignored(tmp_path: Path, format_: str) -> None:
    import_photos(_config(format_, WRITERS[format_](tmp_path / "theirs"), tmp_path / "out"))
    chair = _photos(tmp_path / "out")["p0.jpg"].objects[1]
    assert (chair.class_name, chair.ignore) == ("chair", True)


def test_licence_of_each_picture_goes_before_that_of_all(tmp_path: Path) -> None:
    import_photos(_config("coco", write_coco(tmp_path / "a"), tmp_path / "out"))
    assert {photo.licence for photo in _photos(tmp_path / "out").values()} == {"CC-BY 2.0"}
    import_photos(_config("voc", write_voc(tmp_path / "b"), tmp_path / "out2"))
    assert {photo.licence for photo in _photos(tmp_path / "out2").values()} == {"CC0"}


@pytest.mark.parametrize(
    "names", ["[cat, Coffee Cup]", "{0: cat, 1: coffee_cup}", "\n  0: cat\n  1: coffee-cup"]
)
def test_names_and_folders_of_data_yaml(tmp_path: Path, names: str) -> None:
    pytest.importorskip("yaml")
    root = write_yolo(tmp_path / "theirs")
    (root / "classes.txt").unlink()
    # Exporters write paths as seen from one folder deeper.
    text = f"train: ../images  # all\nval: ../images\nnc: 2\nnames: {names}\n"
    (root / "data.yaml").write_text(text, encoding="utf-8")
    import_photos(_config("yolo", root / "data.yaml", tmp_path / "out"))
    assert len(_photos(tmp_path / "out")) == 3
    assert _photos(tmp_path / "out")["p0.jpg"].objects[0].class_name == "mug"


def test_repeats_count_once_and_scenes_stay_together(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "theirs")
    images = root / "images"
    with Image.open(images / "p0.jpg") as picture:
        picture.resize((80, 60)).save(images / "again.jpg", quality=60)
    for index in range(3, 40):
        _save(images / f"room{index % 4}" / f"{index}.jpg", index)
    made = import_photos(_config("yolo", root, tmp_path / "out", scene="room[0-9]", val_share=0.3))
    photos = read_labels(tmp_path / "out").photos
    names = {Path(photo.file).name for photo in photos}
    # The one with the label stays.
    assert made.repeated == 1
    assert "p0.jpg" in names
    assert "again.jpg" not in names
    for room in range(4):
        assert len({photo.split for photo in photos if f"room{room}" in photo.file}) == 1
    assert {photo.split for photo in photos} == {"train", "val"}


def test_photographs_that_results_are_stated_for_are_left_out(tmp_path: Path) -> None:
    import_photos(_config("coco", write_coco(tmp_path / "test"), tmp_path / "held", split="val"))
    root = write_yolo(tmp_path / "theirs")
    for index in range(3, 6):
        _save(root / "images" / f"p{index}.jpg", index)
    (root / "labels" / "p4.txt").write_text("1 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    made = import_photos(_config("yolo", root, tmp_path / "out", unlike=(tmp_path / "held",)))
    assert set(_photos(tmp_path / "out")) == {"p3.jpg", "p4.jpg", "p5.jpg"}
    assert made.repeated == 3


def test_shrunk_pictures_keep_their_boxes_in_place(tmp_path: Path) -> None:
    config = _config("coco", write_coco(tmp_path / "a"), tmp_path / "out", longest_side=80)
    import_photos(config)
    photo = _photos(tmp_path / "out")["p0.jpg"]
    assert (photo.width, photo.height) == (80, 60)
    np.testing.assert_allclose(photo.objects[0].box, np.array(BOX) / 2)
    assert PhotoDataset(tmp_path / "out", CLASSES)[0].image.shape == (60, 80, 3)


def test_pictures_are_as_a_viewer_shows_them(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "theirs")
    _save(root / "images" / "p0.jpg", 0, exif=6)
    import_photos(_config("yolo", root, tmp_path / "out"))
    photo = _photos(tmp_path / "out")["p0.jpg"]
    assert (photo.width, photo.height) == (120, 160)
    left, top, right, bottom = BOX
    upright = [left * 0.75, top / 0.75, right * 0.75, bottom / 0.75]
    np.testing.assert_allclose(photo.objects[0].box, upright, atol=0.01)


def test_labels_of_another_size_are_left_out_and_counted(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "a")
    _save(root.parent / "p1.jpg", 1, size=(320, 240))
    made = import_photos(_config("coco", root, tmp_path / "out"))
    assert made.resized == 1
    assert set(_photos(tmp_path / "out")) == {"p0.jpg", "p2.jpg"}


def _break_yolo(root: Path, line: str) -> Path:
    (write_yolo(root) / "labels" / "p0.txt").write_text(line, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 0.5 0.5 0.2", r"p0\.txt, line 1: .*3 numbers after the class"),
        ("1 0.5 0.5 0.2 0.2 0.9", "5 numbers after the class"),
        ("1 100 80 40 60", "not shares of the picture, but pixels"),
        ("7 0.5 0.5 0.2 0.2", "expected a class number"),
        ("mug 0.5 0.5 0.2 0.2", "expected a class number"),
    ],
)
def test_broken_yolo_lines_are_named(tmp_path: Path, line: str, words: str) -> None:
    root = _break_yolo(tmp_path / "theirs", line)
    with pytest.raises(InputError, match=words):
        import_photos(_config("yolo", root, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_bad_annotations_say_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(InputError, match="expected COCO's images, annotations and categories"):
        import_photos(_config("coco", tmp_path / "a.json", tmp_path / "out"))
    (tmp_path / "a.json").write_text('{"images": [{"id": 1}]}', encoding="utf-8")
    with pytest.raises(InputError, match="expected COCO's images"):
        import_photos(_config("coco", tmp_path / "a.json", tmp_path / "out"))
    (tmp_path / "a.xml").write_text("<annotation><size/>", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.xml: not a Pascal VOC annotation"):
        import_photos(_config("voc", tmp_path, tmp_path / "out"))
    with pytest.raises(InputError, match=r"no names of the classes; expected data\.yaml or"):
        import_photos(_config("yolo", tmp_path, tmp_path / "out"))


def test_missing_pictures_stop_the_import_unless_told_otherwise(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "a")
    (root.parent / "p2.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 3 pictures are not there.*--skip-missing"):
        import_photos(_config("coco", root, tmp_path / "out"))
    made = import_photos(_config("coco", root, tmp_path / "out", skip_missing=True))
    assert made.missing == 1


def test_nothing_of_the_classes_is_an_error_with_the_names_found(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "a")
    with pytest.raises(
        InputError, match=r"none of 3 pictures has a box of lamp \(names found: cup"
    ):
        import_photos(_config("coco", root, tmp_path / "out", classes=("lamp",)))
    import_photos(_config("coco", root, tmp_path / "out", classes=("lamp",), rename=("CUP=lamp",)))
    assert _photos(tmp_path / "out")["p0.jpg"].objects[0].class_name == "lamp"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"exhaustive": ("lamp",)}, '--exhaustive lamp: expected "all" or some of bottle'),
        ({"rename": ("cup",)}, '--rename "cup": expected "their name=our class"'),
        ({"rename": ("cup=lamp",)}, '--rename "cup=lamp": expected'),
        ({"val_share": 1.0}, r"--val-share must be in 0\.\.1"),
        ({"scene": "("}, "not a regular expression"),
        ({"longest_side": 10}, "--longest-side must be at least 64"),
        ({"images": Path("nowhere")}, "--images nowhere: no such folder"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _config("coco", tmp_path, tmp_path / "out", **options)


def test_command_says_what_it_wrote_and_refuses_to_overwrite(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "a")
    command = [sys.executable, str(ROOT / "train" / "import_photos.py"), "coco", str(root),
               "--licence", "CC0", "--out", str(tmp_path / "out"), "--split", "train"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "left out 1 boxes of other classes\nother classes: cat 1\n" in done.stdout
    assert "(3 photographs to train on, 0 held out)" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert "exists; add --overwrite" in again.stderr
