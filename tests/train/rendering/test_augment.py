from dataclasses import replace

import numpy as np
import pytest

from p2o_shapedb.database import ModelEntry
from p2o_train.data.augment import AugmentConfig, augment, flip, roll, vary_pixels
from p2o_train.data.sample import Sample
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, project_to_so3, rotation_about_y, transform_points

OFF = AugmentConfig(flip=0, roll=0, letterbox=0, color=0, tone=0, blur=0, noise=0, jpeg=0, erase=0)


def model(axis: int) -> ModelEntry:
    return ModelEntry(
        "mug/a", "mug", "train", "test", "CC0-1.0", "", True, (0.1, 0.1, 0.1), 1, axis
    )


def sample_with(count: int = 2, spread: float = 0.3) -> Sample:
    rng = np.random.default_rng(1)
    camera = Camera.from_fov(60, 64, 64).with_gravity(np.array([0.1, -0.9, -0.4]))
    return Sample(
        image=rng.integers(0, 256, (64, 64, 3), dtype=np.uint8),
        camera=camera,
        boxes=Box9DoF(
            rotation_about_y(rng.uniform(-3, 3, count)),
            np.stack(
                [rng.uniform(-spread, spread, count), np.full(count, 0.2), np.full(count, -2.0)], -1
            ),
            rng.uniform(0.2, 0.5, (count, 3)),
        ),
        class_id=np.zeros(count, int),
        model_index=np.arange(count) % 2,
        visible_fraction=np.ones(count),
        mirrored=np.zeros(count, bool),
    )


@pytest.mark.parametrize("axes", [[0, 2], [2, 0], [0, 0]])
def test_a_flip_mirrors_every_point_of_the_mirrored_model(axes: list[int]) -> None:
    sample = sample_with()
    flipped = flip(sample, axes)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    for i, axis in enumerate(axes):
        own = points.copy()
        own[:, axis] *= -1
        before = sample.camera.project(transform_points(sample.boxes[i].matrix(), points))
        after = flipped.camera.project(transform_points(flipped.boxes[i].matrix(), own))
        np.testing.assert_allclose(after[:, 0], 64 - before[:, 0], atol=1e-9)
        np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-9)


def test_a_flip_keeps_rotations_proper_and_undoes_itself() -> None:
    sample = sample_with()
    flipped = flip(sample, [0, 2])
    np.testing.assert_allclose(
        project_to_so3(flipped.boxes.rotation), flipped.boxes.rotation, atol=1e-12
    )
    again = flip(flipped, [0, 2])
    np.testing.assert_allclose(again.boxes.rotation, sample.boxes.rotation, atol=1e-12)
    np.testing.assert_array_equal(again.image, sample.image)
    assert not again.mirrored.any()


def test_a_model_without_mirror_symmetry_is_never_flipped() -> None:
    sample = sample_with()
    config = replace(OFF, flip=1.0)
    kept = augment(sample, np.random.default_rng(0), config, [model(0), model(-1)])
    np.testing.assert_array_equal(kept.image, sample.image)
    turned = augment(sample, np.random.default_rng(0), config, [model(0), model(2)])
    assert turned.mirrored.all()


def test_everything_off_changes_nothing() -> None:
    sample = sample_with()
    same = augment(sample, np.random.default_rng(0), OFF, [model(0), model(0)])
    np.testing.assert_array_equal(same.image, sample.image)
    np.testing.assert_array_equal(same.boxes.translation, sample.boxes.translation)


def test_the_generator_decides_and_the_argument_is_left_alone() -> None:
    sample = sample_with()
    before = sample.image.copy()
    a, b = (
        augment(sample, np.random.default_rng(7), AugmentConfig(), [model(0), model(2)])
        for _ in range(2)
    )
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(sample.image, before)


def test_labels_always_stay_inside_the_picture_and_in_the_level_frame() -> None:
    sample = sample_with(5, spread=1.8)
    config = AugmentConfig(roll=1.0, roll_deg=20, letterbox=1.0)
    fewer = False
    for seed in range(60):
        varied = augment(sample, np.random.default_rng(seed), config, [model(0), model(2)])
        pixels = varied.camera.project(varied.boxes.translation)[:, :2]
        assert len(varied) > 0
        assert ((pixels >= 0) & (pixels < 64)).all()
        np.testing.assert_allclose(
            varied.camera.level_rotation(), varied.camera.pose[:3, :3], atol=1e-9
        )
        fewer |= len(varied) < 5
    assert fewer


def test_a_sample_without_objects_can_be_varied() -> None:
    sample = sample_with(0)
    varied = augment(sample, np.random.default_rng(0), AugmentConfig(), [model(0)])
    assert len(varied) == 0


def test_pixels_stay_bytes_of_the_same_shape() -> None:
    image = sample_with().image
    for seed in range(30):
        varied = vary_pixels(image, np.random.default_rng(seed), AugmentConfig())
        assert varied.shape == image.shape
        assert varied.dtype == np.uint8


def test_impossible_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"flip must be in 0\.\.1, got 2"):
        AugmentConfig(flip=2)


@pytest.mark.parametrize("degrees", [15.0, -15.0, 4.0])
def test_picture_and_label_roll_the_same_way(degrees: float) -> None:
    """A dot where the object's centre is seen stays there; so it does when mirrored."""
    camera = Camera.from_fov(60, 128, 128).with_gravity(np.array([0.1, -0.9, -0.4]))
    box = Box9DoF(np.eye(3)[None], np.array([[0.35, 0.2, -2.0]]), np.full((1, 3), 0.3))
    column, row = np.floor(camera.project(box.translation)[0, :2]).astype(int)
    image = np.zeros((128, 128, 3), np.uint8)
    image[row - 2 : row + 3, column - 2 : column + 3] = 255
    one = np.zeros(1, int)
    sample = Sample(image, camera, box, one, one, np.ones(1), np.zeros(1, bool))
    for varied in (roll(sample, np.radians(degrees), (0, 0, 0)), flip(sample, [0])):
        rows, columns = np.nonzero(varied.image[..., 0] > 100)
        dot = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
        label = varied.camera.project(varied.boxes.translation)[0, :2]
        assert np.linalg.norm(dot - label) < 1
    moved = roll(sample, np.radians(degrees), (0, 0, 0)).camera.project(box.translation)[0, :2]
    assert np.linalg.norm(moved - camera.project(box.translation)[0, :2]) > 1


def test_grey_pictures_have_equal_channels_and_keep_their_brightness() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    grey = vary_pixels(image, np.random.default_rng(1), replace(OFF, grey=1.0))
    assert (grey == grey[..., :1]).all()
    np.testing.assert_allclose(grey[..., 0], image @ [0.299, 0.587, 0.114], atol=0.51)


def test_stronger_blur_leaves_less_detail() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    def detail(blur_px: float) -> float:
        config = replace(OFF, blur=1.0, blur_px=blur_px)
        pictures = [vary_pixels(image, np.random.default_rng(seed), config) for seed in range(40)]
        return float(np.mean([picture.std() for picture in pictures]))

    assert detail(4.0) < 0.8 * detail(1.6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grey": 2.0}, r"grey must be in 0\.\.1"),
        ({"blur_px": 0.1}, r"blur_px must be at least 0\.3"),
        ({"jpeg_quality": 90}, r"jpeg_quality must be in 1\.\.89"),
    ],
)
def test_impossible_strengths_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(OFF, **options)  # type: ignore[arg-type]
