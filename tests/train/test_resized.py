"""Fewer pixels show the same scene."""

import numpy as np

from p2o_train.batches import TrainingData
from p2o_train.resized import at_size


def test_projections_shrink_with_the_picture(noise_data: TrainingData) -> None:
    sample = noise_data.train[0]
    small = at_size(sample, 128)
    assert small.image.shape == (128, 128, 3)
    before = sample.camera.project(sample.boxes.corners())[..., :2]
    after = small.camera.project(small.boxes.corners())[..., :2]
    np.testing.assert_allclose(after, before / 2, atol=1e-9)
    blocks = sample.image.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small.image, blocks, atol=0.5)


def test_a_picture_of_the_right_size_is_left_alone(noise_data: TrainingData) -> None:
    assert at_size(noise_data.train[0], 256) is noise_data.train[0]
