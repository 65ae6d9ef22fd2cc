"""Pictures that show the same, whatever was done to the file, and pictures that do not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from p2o_train.data.near_duplicates import Looks, found_in, looks_of, repeats, same_scene
from points2objects.errors import InputError


def _scene(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    """Six scenes, then the first again: smaller, brighter, compressed."""
    pictures = [_scene(seed) for seed in range(6)]
    pictures += [_scene(0).resize((80, 60)), ImageEnhance.Brightness(_scene(0)).enhance(1.05)]
    paths = []
    for index, picture in enumerate(pictures):
        paths.append(tmp_path / f"{index}.jpg")
        picture.save(paths[-1], quality=40 if index > 5 else 95)
    return looks_of(paths)


def test_of_repeats_the_preferred_is_kept(looks: Looks) -> None:
    assert repeats(looks, [0] * 8).tolist() == [0, 1, 2, 3, 4, 5, 0, 0]
    assert repeats(looks, [0, 0, 0, 0, 0, 0, 0, 5]).tolist() == [7, 1, 2, 3, 4, 5, 7, 7]


def test_repeats_and_known_names_make_a_scene(looks: Looks) -> None:
    scene = same_scene(looks, ["", "a", "", "a", "", "", "", ""])
    assert scene[0] == scene[6] == scene[7]
    assert scene[1] == scene[3]
    assert len(set(scene.tolist())) == 5


def test_pictures_are_found_among_others(looks: Looks) -> None:
    some = Looks(looks.hashes[:2], looks.thumbnails[:2])
    assert found_in(looks, some).tolist() == [True, True, False, False, False, False, True, True]
    none = Looks(looks.hashes[:0], looks.thumbnails[:0])
    assert not found_in(looks, none).any()


def test_alike_in_shape_but_not_in_colour_is_no_repeat(tmp_path: Path) -> None:
    grey = np.asarray(_scene(0).convert("L"))
    for name, tint in (("red", (1.0, 0.4, 0.4)), ("blue", (0.4, 0.4, 1.0))):
        Image.fromarray((grey[..., None] * tint).astype(np.uint8)).save(tmp_path / f"{name}.png")
    both = looks_of([tmp_path / "red.png", tmp_path / "blue.png"])
    assert repeats(both, [0, 0]).tolist() == [0, 1]


def test_broken_pictures_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(InputError, match=r"a\.jpg: not a picture that can be read"):
        looks_of([tmp_path / "a.jpg"])
