"""A clip whose scenes are the measured boxes themselves scores perfectly; a moved one does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_train.clip import ClipConfig, evaluate_clip, read_recording, score_clip
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, rigid, rotation_about_y

ALIGNED_FROM_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 1.5], [0, 0, 0, 1]])
K = [[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]
SOFA = {"cls": "sofa", "name": "big sofa", "center": [0.2, 3.0, 0.4], "size": [2, 0.9, 0.8]}


def _pose(step: int) -> FloatArray:
    """Look along -z (forward, in the world) from beside the origin, 1.5 m above the floor."""
    turned = rotation_about_y(0.02 * step) @ np.diag([1.0, -1, -1])
    return rigid(turned, np.array([0.1 * step, 0.02 * step**2, 0.05 * step]))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    (folder / "images").mkdir(parents=True)
    for step in range(5):
        (folder / "images" / f"{step:05d}.png").touch()
    np.savetxt(folder / "poses.txt", np.array([_pose(step).ravel() for step in range(5)]))
    truth = {
        "K": K,
        "world_to_aligned": ALIGNED_FROM_WORLD.tolist(),
        "boxes": [{**SOFA, "yaw": 30}],
    }
    (folder / "gt_boxes.json").write_text(json.dumps(truth))
    return folder


def _scenes(recording: Path, shift: float = 0.0, turn: float = 0.0) -> dict[str, dict[str, Any]]:
    """Write the measured sofa into every frame, in a session whose world is turned and moved."""
    session_from_aligned = rigid(
        rotation_about_y(0.7) @ np.linalg.inv(ALIGNED_FROM_WORLD)[:3, :3], np.array([4.0, 1, -2])
    )
    read = read_recording(recording)
    box = read.boxes[0].box.transformed(session_from_aligned)
    entry = {
        "class": "sofa",
        "rotation": (rotation_about_y(turn) @ box.rotation).tolist(),
        "translation": np.add(box.translation, [shift, 0, 0]).tolist(),
        "scale": box.scale.tolist(),
    }
    scenes = {}
    for name, pose in zip(read.frames, read.measured_from_camera, strict=True):
        camera = {"world_from_camera": (session_from_aligned @ pose).tolist()}
        camera |= {"width": 640, "height": 480}
        scenes[name] = {"frame": name, "unit": "metre", "camera": camera, "objects": [entry]}
    return scenes


def test_the_measured_boxes_themselves_score_perfectly(recording: Path) -> None:
    (score,) = score_clip(read_recording(recording), _scenes(recording), 4.0)
    assert (score.name, score.frames, len(score.iou)) == ("big sofa", 5, 5)
    np.testing.assert_allclose(score.center_error, 0, atol=1e-9)
    np.testing.assert_allclose(score.heading_deg, 0, atol=1e-5)
    np.testing.assert_allclose(score.iou, 1, atol=1e-9)


def test_errors_are_what_was_done(recording: Path) -> None:
    read = read_recording(recording)
    (score,) = score_clip(read, _scenes(recording, shift=0.3, turn=np.radians(10)), 4.0)
    eye = read.measured_from_camera[:, :3, 3]
    distance = np.linalg.norm(eye - read.boxes[0].box.translation, axis=1)
    np.testing.assert_allclose(score.center_error, 0.3 / distance)
    np.testing.assert_allclose(score.heading_deg, 10, atol=1e-5)
    assert (score.iou < 0.9).all()


def test_a_far_detection_is_none_and_a_far_object_does_not_count(recording: Path) -> None:
    (far,) = score_clip(read_recording(recording), _scenes(recording, shift=3.0), 4.0)
    assert (far.frames, len(far.iou)) == (5, 0)
    (out_of_reach,) = score_clip(read_recording(recording), _scenes(recording), 1.0)
    assert out_of_reach.frames == 0


def test_the_command_prints_a_row_per_object(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps(scene) for scene in _scenes(recording).values()]
    (tmp_path / "scenes.jsonl").write_text("\n".join(lines))
    evaluate_clip(ClipConfig(tmp_path / "scenes.jsonl", recording))
    assert "| big sofa | 5 | 100 % | 0.0 % of the distance | 0.0 degrees | 1.00 |" in (
        capsys.readouterr().out
    )


def test_what_does_not_belong_together_is_refused(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a recording with images/"):
        read_recording(tmp_path)
    others = {f"other-{name}": scene for name, scene in _scenes(recording).items()}
    with pytest.raises(InputError, match="fewer than 3 frames"):
        score_clip(read_recording(recording), others, 4.0)
    (tmp_path / "scenes.jsonl").write_text('{"frame": "a", "unit": "camera height"}\n')
    with pytest.raises(InputError, match="not metric"):
        evaluate_clip(ClipConfig(tmp_path / "scenes.jsonl", recording))
    with pytest.raises(InputError, match="--max-distance must be positive, got 0"):
        ClipConfig(tmp_path, recording, max_distance=0)
