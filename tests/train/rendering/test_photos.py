"""Backgrounds cut out of photographs."""

import numpy as np
import pytest

from p2o_train.rendering.photos import CROP_PX, Photo, draw_crop, furniture_of
from points2objects.geometry import ByteArray, FloatArray


def _half_red(furniture: FloatArray | None) -> Photo:
    """Return a photograph whose lower half, the furniture, is red."""
    pixels = np.zeros((600, 400, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[300:] = [255, 0, 0]
    return Photo(pixels, furniture)


def _crops(photo: Photo, count: int = 20) -> list[ByteArray]:
    rng = np.random.default_rng(0)
    return [draw_crop(rng, photo) for _ in range(count)]


def test_crops_show_no_furniture_where_it_is_known() -> None:
    crops = _crops(_half_red(np.array([[0, 0.5, 1, 1]])))
    assert all(crop.shape == (CROP_PX, CROP_PX, 3) for crop in crops)
    assert max(int(crop[..., 0].max()) for crop in crops) == 0


def test_an_empty_list_clears_the_whole_photograph() -> None:
    crops = _crops(_half_red(np.zeros((0, 4))))
    assert any(crop[..., 0].max() == 255 and crop[..., 2].max() == 255 for crop in crops)


@pytest.mark.parametrize("furniture", [None, np.array([[0.0, 0.0, 1.0, 1.0]])])
def test_small_blurred_pieces_stand_in_for_what_nobody_cleared(
    furniture: FloatArray | None,
) -> None:
    rng = np.random.default_rng(0)
    noise = Photo(rng.integers(0, 256, (600, 400, 3), np.uint8), furniture)
    clear = Photo(noise.pixels, np.zeros((0, 4)))
    assert np.mean([c.std() for c in _crops(noise)]) < np.mean([c.std() for c in _crops(clear)])


def test_the_same_seed_gives_the_same_crop() -> None:
    photo = _half_red(np.zeros((0, 4)))
    first, second = (draw_crop(np.random.default_rng(3), photo) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_known_boxes_are_shares_of_the_picture() -> None:
    known, unknown = furniture_of(["pexels-2416933.jpg", "mine.jpg"])
    assert unknown is None
    assert known is not None
    assert ((known[:, :2] < known[:, 2:]) & (known >= 0)[:, :2] & (known <= 1)[:, 2:]).all()
