import logging
import os
from pathlib import Path

import pytest

from p2o_demo.listing import LeftOut, in_order_of_poses, list_pictures, natural_key
from points2objects.errors import InputError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    "names",
    [
        ["frame_1.jpg", "frame_2.jpg", "frame_9.jpg", "frame_10.jpg", "frame_20.jpg"],
        ["0.jpg", "1.jpg", "2.jpg", "10.jpg", "100.jpg"],
        ["IMG_9.JPG", "img_10.jpg", "IMG_11.JPG"],
        ["a.jpg", "a-2.jpg", "a-10.jpg", "b.jpg"],
        ["clip 1 frame 2.png", "clip 1 frame 10.png", "clip 2 frame 1.png"],
    ],
)
def test_numbers_in_names_count_as_numbers(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *reversed(names))
    assert [path.name for path in list_pictures(tmp_path)] == names


def test_keys_of_any_names_can_be_compared() -> None:
    names = ["", "1", "a", "1a", "a1", "1.5", "-", "²", "٣", "a1b2"]
    assert len(sorted(names, key=natural_key)) == len(names)


def test_pictures_are_listed_and_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "notes.txt", "._b.JPG", ".hidden.png", "c.HEIC", "d.avif")
    (tmp_path / "folder.jpg").mkdir()
    names = [path.name for path in list_pictures(tmp_path)]
    assert names == ["a.png", "b.JPG", "c.HEIC", "d.avif"]


def test_folder_without_pictures_names_the_sub_folders_that_hold_some(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no pictures \(\.avif, .*\.webp\)"):
        list_pictures(tmp_path)
    (tmp_path / "images").mkdir()
    touch(tmp_path / "images", "a.jpg")
    with pytest.raises(InputError, match=r"holds no pictures itself; pass .* sub-folders: images"):
        list_pictures(tmp_path)


@pytest.mark.parametrize(
    "others",
    [
        ["depth_00000.png", "conf_00000.png", "thumb_00.jpg"],
        ["frame-000000.depth.png", "frame-000001.depth.png"],
        ["0001_mask.png", "0001-normal.png"],
    ],
)
def test_what_scanners_write_beside_frames_is_no_frame(
    tmp_path: Path, others: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "frame_00000.jpg", "frame_00001.jpg", *others)
    names = [path.name for path in list_pictures(tmp_path)]
    assert names == ["frame_00000.jpg", "frame_00001.jpg"]
    (record,) = caplog.records
    assert f"{len(others)} pictures are no frames by their names" in record.getMessage()


@pytest.mark.parametrize("names", [["depth_1.jpg", "depth_2.jpg"], ["mask.jpg", "unmasked 7.jpg"]])
def test_pictures_are_not_left_out_for_a_word_alone(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    assert len(list_pictures(tmp_path)) == 2


@pytest.mark.parametrize(
    "names",
    [
        ["0.jpg", "1.jpg", "2.jpg", "10.jpg"],
        ["b.png", "c.jpg", "d.png"],
        ["13.175.png", "13.250.png", "14.500.png"],
        ["left_01.jpg", "left_02.jpg", "right_01.jpg"],
    ],
)
def test_order_of_poses_is_that_of_the_numbers(tmp_path: Path, names: list[str]) -> None:
    paths = [tmp_path / name for name in reversed(names)]
    assert [path.name for path in in_order_of_poses(paths)] == names


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.jpg", "01.jpg"], "have the same number"),
        (["0001.jpg", "0001.png"], "have the same number"),
        (["1.25.png", "1.5.png", "1.125.png"], "give their numbers the same width"),
        (["left_1.jpg", "left_10.jpg", "left_2.jpg", "right_1.jpg"], "is a guess"),
        (["a2.jpg", "a10.jpg", "b.jpg"], "is a guess"),
    ],
)
def test_an_order_that_is_a_guess_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        in_order_of_poses([tmp_path / name for name in names])


def test_frames_left_out_are_listed_up_to_a_number_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left_out = LeftOut()
    for index in range(50):
        left_out.add(InputError(f"frame {index}"))
    assert left_out.count == 50
    assert str(left_out.first) == "frame 0"
    assert len(caplog.records) == LeftOut.MOST_LINES + 1
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
def test_names_that_are_no_utf8_are_listed(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).touch()
    assert len(list_pictures(tmp_path)) == 1
