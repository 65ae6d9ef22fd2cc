"""What the pose heads hold is what is read out of them, in every encoding."""

import json
from dataclasses import replace

import numpy as np
import pytest

from points2objects.camera import Camera
from points2objects.decode import Peaks
from points2objects.geometry import Box9DoF, project_to_so3, rotation_about_y
from points2objects.place import (
    BIN_CENTERS,
    BIN_REACH,
    LOG_LIMIT,
    RawPose,
    decode_pose,
    decode_rotation,
    encode_pose,
    encode_rotation,
    estimate_up,
    turn_about_y,
)
from points2objects.spec import ModelSpec, PoseEncoding, RotationEncoding

SPEC = ModelSpec("test", ("chair",), 1, "digest")
ANGLES = np.concatenate([np.linspace(-np.pi, np.pi, 73), BIN_CENTERS + BIN_REACH])


@pytest.mark.parametrize("pose", PoseEncoding)
@pytest.mark.parametrize("rotation", RotationEncoding)
@pytest.mark.parametrize("n", [0, 1, 20])
def test_upright_boxes_survive_every_encoding(
    pose: PoseEncoding, rotation: RotationEncoding, n: int
) -> None:
    rng = np.random.default_rng(0)
    spec = replace(SPEC, pose=pose, rotation=rotation)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0.1, -0.9, -0.4]))
    centers = rng.uniform([-1, 0, -4], [1, 1, -2], (n, 3))
    turns = rotation_about_y(rng.uniform(-np.pi, np.pi, n))
    boxes = Box9DoF(turns, centers, rng.uniform(0.1, 1, (n, 3)))
    cells = np.floor(camera.project(centers)[:, 1::-1] / spec.stride)
    raw = encode_pose(boxes, cells, camera, spec)
    assert raw.rotation.shape == (n, spec.outputs["rotation"])
    got = decode_pose(raw, cells, camera, spec)
    np.testing.assert_allclose(got.matrix(), boxes.matrix(), atol=1e-9)


def test_untrained_heads_are_proper_rotations() -> None:
    for encoding, channels in ((RotationEncoding.MATRIX, 9), (RotationEncoding.BINS, 8)):
        rotation = decode_rotation(np.zeros((2, channels)), encoding)
        np.testing.assert_allclose(rotation @ rotation.swapaxes(1, 2), [np.eye(3)] * 2, atol=1e-12)


def test_every_angle_lies_in_a_bin_and_both_bins_of_an_overlap_say_the_same() -> None:
    raw = encode_rotation(rotation_about_y(ANGLES), RotationEncoding.BINS).reshape(-1, 2, 4)
    inside = raw[:, :, 1] > raw[:, :, 0]
    assert inside.any(axis=1).all()
    assert inside.all(axis=1).any()
    for chosen in (0, 1):
        only = raw.copy()
        only[:, 1 - chosen, :2] = [9, -9]
        turned = decode_rotation(only.reshape(-1, 8), RotationEncoding.BINS)
        np.testing.assert_allclose(turned, rotation_about_y(ANGLES), atol=1e-9)


def test_bins_keep_the_heading_of_a_tilted_box() -> None:
    """The nearest turn about +y is nearer than any other of a fine grid."""
    tilted = project_to_so3(np.random.default_rng(1).normal(size=(5, 3, 3)))
    grid = rotation_about_y(np.linspace(-np.pi, np.pi, 3601))
    for rotation, angle in zip(tilted, turn_about_y(tilted), strict=True):
        distance = np.linalg.norm(rotation_about_y(angle) - rotation)
        assert distance <= np.linalg.norm(grid - rotation, axis=(1, 2)).min() + 1e-9


def test_a_spec_without_the_field_holds_a_matrix() -> None:
    values = json.loads(SPEC.to_json())
    del values["rotation"]
    assert ModelSpec.from_json(json.dumps(values)) == SPEC
    assert SPEC.outputs["rotation"] == 9
    bins = replace(SPEC, rotation=RotationEncoding.BINS)
    assert ModelSpec.from_json(bins.to_json()) == bins
    assert bins.outputs["rotation"] == 8


def test_raw_heads_come_as_float32_too() -> None:
    """What an interpreter gives."""
    raw = np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32)
    spec = replace(SPEC, rotation=RotationEncoding.BINS)
    zeros = np.zeros((3, 3), np.float32)
    cells = np.full((3, 2), 30.0)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0.0, -1.0, 0.0]))
    boxes = decode_pose(RawPose(raw, zeros, zeros), cells, camera, spec)
    assert boxes.rotation.shape == (3, 3, 3)


def test_up_is_what_peaks_agree_on_weighted_by_their_scores() -> None:
    n = 2
    gravity = np.array([[0.6, 0.2, 0.0], [-1.0, 1.0, 0.0]])  # less (0, -1, 0)
    none, zeros = np.zeros((n, 3)), np.zeros(n, dtype=np.int64)
    score = np.array([0.9, 0.3])
    peaks = Peaks(zeros, score, zeros, zeros, np.zeros((n, 9)), none, none, gravity, zeros)
    expected = 0.9 * np.array([0.6, -0.8, 0]) + 0.3 * np.array([-1.0, 0, 0])
    np.testing.assert_allclose(estimate_up(peaks), expected / np.linalg.norm(expected))


@pytest.mark.parametrize("sign", [1, -1])
def test_logs_beyond_all_sizes_and_distances_are_clipped(sign: int) -> None:
    spec = replace(SPEC, pose=PoseEncoding.RAY)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0, -0.9, -0.4]))
    cells = np.array([[32.0, 32.0]])
    channels = spec.outputs["rotation"]
    far = RawPose(
        np.zeros((1, channels)), np.array([[0, 0, sign * 50.0]]), np.full((1, 3), sign * 50.0)
    )
    box = decode_pose(far, cells, camera, spec)
    distance = np.linalg.norm(box.translation - [0, 1, 0])
    np.testing.assert_allclose(distance, np.exp(sign * LOG_LIMIT))
    np.testing.assert_allclose(box.scale, np.exp(2 * sign * LOG_LIMIT))
    assert LOG_LIMIT == 6.0
