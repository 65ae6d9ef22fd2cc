from pathlib import Path

import cv2
import numpy as np
import pytest

from p2o_demo.output import OverlayWriter, fitted, output_folder
from points2objects.errors import InputError


def fill(folder: Path) -> None:
    (folder / "scenes.jsonl").write_text("{}\n", encoding="utf-8")


def fail_halfway(out: Path) -> None:
    with output_folder(out, False) as folder:
        fill(folder)
        raise RuntimeError


def test_output_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_halfway(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with output_folder(tmp_path / "out", False) as folder:
        fill(folder)
        assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scenes.jsonl"]


def test_earlier_output_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    fill(out)
    (out / "old.jpg").touch()
    with pytest.raises(InputError, match="add --overwrite"), output_folder(out, False):
        pass
    with output_folder(out, True) as folder:
        fill(folder)
    assert not (out / "old.jpg").exists()


def test_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    words = "not the output of an earlier run"
    with pytest.raises(InputError, match=words), output_folder(tmp_path, True):
        pass
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("name", ["file/x", "file/x/y", "n" * 300])
def test_output_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    words = "cannot write .*; choose (another --out|a shorter name)"
    with pytest.raises(InputError, match=words), output_folder(tmp_path / name, False):
        pytest.fail("the body must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_linked_output_is_replaced_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    fill(tmp_path / "disk" / "run")
    (tmp_path / "disk" / "run" / "old.jpg").touch()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "run")
    with output_folder(tmp_path / "out", True) as folder:
        fill(folder)
    assert (tmp_path / "out").is_symlink()
    assert [path.name for path in (tmp_path / "disk" / "run").iterdir()] == ["scenes.jsonl"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["run"]


def test_picture_that_cannot_be_written_ends_the_run_in_one_line(tmp_path: Path) -> None:
    words = r"cannot write .*out: No such file or directory; choose another --out"
    with pytest.raises(InputError, match=words), output_folder(tmp_path / "out", False) as folder:
        OverlayWriter(folder / "gone", None).write("a", np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_picture_too_large_for_a_jpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frame a: 70000x1 is too large for a JPEG"):
        OverlayWriter(tmp_path, None).write("a", np.zeros((1, 70000, 3), np.uint8))


def test_incomplete_video_is_noticed(tmp_path: Path) -> None:
    writer = OverlayWriter(tmp_path, 10.0)
    for index in range(4):
        writer.write(str(index), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "overlay.mp4").unlink()
    with pytest.raises(InputError, match=r"cannot write overlay\.mp4 whole; make room"):
        writer.close()


@pytest.mark.parametrize("fps", [0.1, 3.33, 23.976, 29.97, 59.94, 240.0])
def test_video_of_any_rate_is_whole(tmp_path: Path, fps: float) -> None:
    writer = OverlayWriter(tmp_path, fps)
    for index in range(5):
        writer.write(str(index), np.zeros((48, 64, 3), np.uint8))
    assert writer.close() == "overlay.mp4"
    assert writer.close() == "overlay.mp4"


def test_sequence_becomes_a_video_in_the_right_colours(tmp_path: Path) -> None:
    writer = OverlayWriter(tmp_path, 10.0)
    for index in range(4):
        writer.write(str(index), np.full((48, 64, 3), (200, 20, 20), np.uint8))
    assert writer.close() == "overlay.mp4"
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    _, frame = video.read()
    video.release()
    np.testing.assert_allclose(np.asarray(frame).mean(axis=(0, 1)), [20, 20, 200], atol=12)


def test_frame_of_another_size_is_fitted_into_the_video(tmp_path: Path) -> None:
    writer = OverlayWriter(tmp_path, 10.0)
    writer.write("0", np.zeros((48, 64, 3), np.uint8))
    writer.write("1", np.full((96, 64, 3), 250, np.uint8))
    writer.close()
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    video.read()
    _, second = video.read()
    video.release()
    bright = np.asarray(second).mean(axis=(0, 2)) > 128
    assert np.flatnonzero(bright).tolist() == list(range(16, 48))


@pytest.mark.parametrize(("shape", "size"), [((1, 900), (64, 48)), ((900, 1), (3, 3))])
def test_thinnest_pictures_are_fitted(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert fitted(np.zeros((*shape, 3), np.uint8), size).shape == (size[1], size[0], 3)


def test_pictures_of_the_same_name_are_all_kept(tmp_path: Path) -> None:
    writer = OverlayWriter(tmp_path, None)
    for _ in range(2):
        writer.write("a", np.zeros((4, 4, 3), np.uint8))
    assert writer.close() == "*.jpg"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.jpg", "a.jpg"]


def test_names_are_told_apart_on_file_systems_that_do_not(tmp_path: Path) -> None:
    writer = OverlayWriter(tmp_path, None)
    for name in ("A", "a", "e\u0301", "\u00e9", "n" * 250):
        writer.write(name, np.zeros((4, 4, 3), np.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["A.jpg", "a-2.jpg", "e\u0301.jpg", "\u00e9-2.jpg", "n" * 200 + ".jpg"]
    )
