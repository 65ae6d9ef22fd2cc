"""Scenes of a posed clip against boxes measured by hand, in the metric frame of the measurement.

The scenes' world and the measurement's frame differ by a rigid transform; the camera's path, which
is known in both, says which.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from p2o_train.metrics.box_iou import symmetric_iou
from p2o_train.metrics.pair_errors import rotation_error_deg
from p2o_train.scene_files import boxes_world, read_scenes
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray, project_to_so3, rigid

FOUND_WITHIN = 0.5
"""A detection this near, in diagonals of the measured box, is a detection of that object."""
SYMMETRY = {"sofa": 1, "chair": 1, "mug": 1, "table": 2, "bowl": 0, "bottle": 0}
"""Order about the vertical of what carries a class name; a table looks the same from behind."""


@dataclass(frozen=True)
class ClipConfig:
    """What to compare."""

    scenes: Annotated[Path, tyro.conf.Positional]
    """scenes.jsonl that demo/camera.py wrote for the recording."""
    recording: Annotated[Path, tyro.conf.Positional]
    """The recording: a folder with images/, poses.txt, K.txt and gt_boxes.json."""
    max_distance: float = 4.0
    """Only frames that show the object's centre within so many metres count."""
    verbose: bool = False
    """Show where a failure happened."""

    def __post_init__(self) -> None:
        if not self.max_distance > 0:
            raise InputError(f"--max-distance must be positive, got {self.max_distance}")


@dataclass(frozen=True)
class MeasuredBox:
    """One object that somebody measured.

    Attributes:
        name: For people.
        label: Its class.
        box: Measurement's frame, m.
    """

    name: str
    label: str
    box: Box9DoF


@dataclass(frozen=True)
class Recording:
    """A clip with measured boxes.

    Attributes:
        boxes: The measured objects.
        K: Intrinsics of all frames, (3, 3).
        measured_from_camera: Camera poses, (f, 4, 4), OpenCV axes, m.
        frames: Name of each frame, f.
    """

    boxes: tuple[MeasuredBox, ...]
    K: FloatArray
    measured_from_camera: FloatArray
    frames: tuple[str, ...]


@dataclass(frozen=True)
class ObjectScore:
    """How one measured object fared.

    Attributes:
        name: Of the object.
        frames: Frames that show its centre near enough.
        center_error: Of each frame that found it, share of the distance.
        heading_deg: The same for the heading, over the class's symmetry.
        iou: The same for the overlap, 0..1.
    """

    name: str
    frames: int
    center_error: FloatArray
    heading_deg: FloatArray
    iou: FloatArray


def evaluate_clip(config: ClipConfig) -> None:
    """Print a table with a row per measured object."""
    recording = read_recording(config.recording)
    scenes = read_scenes(config.scenes)
    if any(scene["unit"] != "metre" for scene in scenes.values()):
        raise InputError(
            f"{config.scenes}: its scenes are not metric; run the demo on a posed recording"
        )
    print("| object | frames | found | centre error | heading error | IoU |")
    print("|---|---:|---:|---:|---:|---:|")
    for score in score_clip(recording, scenes, config.max_distance):
        found = len(score.iou)
        if not found:
            print(f"| {score.name} | {score.frames} | 0 % | - | - | - |")
            continue
        print(
            f"| {score.name} | {score.frames} | {100 * found / score.frames:.0f} % | "
            f"{100 * np.median(score.center_error):.1f} % of the distance | "
            f"{np.median(score.heading_deg):.1f} degrees | {np.median(score.iou):.2f} |"
        )
    print(f"compared {len(scenes)} scenes of {config.scenes} with {config.recording} (medians)")


def score_clip(
    recording: Recording, scenes: dict[str, dict[str, Any]], max_distance: float
) -> list[ObjectScore]:
    """Compare scenes, by frame name, with the measured objects.

    Raises:
        InputError: The scenes are of other frames, or too few to tell how the frames lie.
    """
    rows = [i for i, name in enumerate(recording.frames) if name in scenes]
    if len(rows) < 3:
        raise InputError("evaluate_clip: the scenes share fewer than 3 frames with the recording")
    shown = [scenes[recording.frames[i]] for i in rows]
    cameras = recording.measured_from_camera[rows]
    scene_cameras = np.array([scene["camera"]["world_from_camera"] for scene in shown], dtype=float)
    measured_from_world = _rigid_fit(scene_cameras[:, :3, 3], cameras[:, :3, 3])
    size = [(scene["camera"]["width"], scene["camera"]["height"]) for scene in shown]
    scores = []
    for measured in recording.boxes:
        visible, errors = 0, []
        for scene, camera, limit in zip(shown, cameras, size, strict=True):
            distance = _visible_distance(measured.box.translation, camera, recording.K, limit)
            if distance <= max_distance:
                visible += 1
                errors += _nearest(measured, scene, measured_from_world, distance)
        table = np.array(errors).reshape(-1, 3)
        scores.append(ObjectScore(measured.name, visible, *table.T))
    return scores


def read_recording(folder: Path) -> Recording:
    """Read the poses and the measured boxes of a recording.

    Raises:
        InputError: A file is missing or not as expected.
    """
    try:
        truth = json.loads((folder / "gt_boxes.json").read_text(encoding="utf-8"))
        poses = np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4)
        images = sorted(path.stem for path in (folder / "images").iterdir())
        boxes = tuple(
            MeasuredBox(entry["name"], entry["cls"], _measured_box(entry))
            for entry in truth["boxes"]
        )
        measured_from_camera = np.array(truth["world_to_aligned"], dtype=float) @ poses
        K = np.array(truth["K"], dtype=float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: expected a recording with images/, poses.txt and gt_boxes.json ({error})"
        ) from error
    if len(images) != len(poses):
        raise InputError(f"{folder}: {len(images)} images but {len(poses)} poses")
    return Recording(boxes, K, measured_from_camera, tuple(images))


def _measured_box(entry: dict[str, Any]) -> Box9DoF:
    """Turn centre, size (width, depth, height) and yaw about +z into a box that faces -z."""
    yaw = np.radians(entry["yaw"])
    front, up = np.array([-np.sin(yaw), np.cos(yaw), 0.0]), np.array([0.0, 0.0, 1.0])
    rotation = np.stack([np.cross(up, -front), up, -front], axis=1)
    width, depth, height = entry["size"]
    return Box9DoF(
        rotation, np.array(entry["center"], dtype=float), np.array([width, height, depth])
    )


def _rigid_fit(source: FloatArray, target: FloatArray) -> FloatArray:
    """Return the rigid transform, (4, 4), that carries points (n, 3) best onto others (Kabsch)."""
    mine, theirs = source.mean(axis=0), target.mean(axis=0)
    rotation = project_to_so3((target - theirs).T @ (source - mine))
    return rigid(rotation, theirs - rotation @ mine)


def _visible_distance(
    center: FloatArray, camera: FloatArray, K: FloatArray, size: tuple[int, int]
) -> float:
    """Return how far a point in the measurement's frame is, m; infinite if it is not in view."""
    seen = np.linalg.inv(camera) @ np.append(center, 1.0)
    if seen[2] <= 0:
        return float("inf")
    pixel = (K @ seen[:3])[:2] / seen[2]
    inside = (pixel >= 0).all() and (pixel < size).all()
    return float(np.linalg.norm(seen[:3])) if inside else float("inf")


def _nearest(
    measured: MeasuredBox, scene: dict[str, Any], measured_from_world: FloatArray, distance: float
) -> list[list[float]]:
    """Return centre error, heading error and IoU of the nearest detection, if it is near enough."""
    same = [entry for entry in scene["objects"] if entry["class"] == measured.label]
    if not same:
        return []
    boxes = boxes_world(same).transformed(measured_from_world)
    away = np.linalg.norm(boxes.translation - measured.box.translation, axis=1)
    best = int(away.argmin())
    if away[best] > FOUND_WITHIN * float(np.linalg.norm(measured.box.scale)):
        return []
    truth = Box9DoF(
        measured.box.rotation[None], measured.box.translation[None], measured.box.scale[None]
    )
    found = boxes[best : best + 1]
    order = np.array([SYMMETRY.get(measured.label, 1)])
    heading = rotation_error_deg(truth, found, order)[0]
    return [[away[best] / distance, heading, symmetric_iou(truth, found, order)[0, 0]]]
