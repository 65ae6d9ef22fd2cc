"""Drawing a scene over its frame: exemplar meshes, box edges, labels."""

import cv2
import numpy as np

from points2objects.camera import Camera
from points2objects.geometry import (
    BOX_EDGES,
    Box9DoF,
    ByteArray,
    FloatArray,
    IntArray,
    transform_points,
)
from points2objects.scene import Scene

PALETTE: ByteArray = np.array(
    [
        [230, 75, 53],
        [77, 187, 213],
        [0, 160, 135],
        [250, 190, 40],
        [140, 90, 200],
        [90, 140, 60],
        [240, 130, 180],
        [60, 84, 136],
    ],
    dtype=np.uint8,
)
"""RGB per class, (8, 3); further classes start again."""

MESH_OPACITY = 0.6

NEAR = 1e-2
"""Edges are cut at this depth before the camera, in the world's unit of length."""

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV's drawing functions take."""

LIMIT = 20000.0
"""Nothing is drawn farther than this from the first pixel, px: OpenCV's integers end there."""


def draw_scene(image: ByteArray, scene: Scene) -> ByteArray:
    """Return the frame, (h, w, 3) RGB, with its scene drawn over it, far objects first."""
    canvas = image.copy()
    order = np.argsort(-scene.distance())
    for index in order:
        canvas = _draw_mesh(canvas, scene, int(index))
        _draw_box(canvas, scene, int(index))
    for index in order:
        _draw_label(canvas, scene, int(index))
    return canvas


def class_color(scene: Scene, index: int) -> ByteArray:
    """Return the colour of an object's class, (3,) RGB."""
    return np.asarray(PALETTE[int(scene.detections.class_id[index]) % len(PALETTE)])


def label(scene: Scene, index: int) -> str:
    """Return the text beside an object: class, score, distance in m or camera heights (h)."""
    score, distance = scene.detections.score[index], scene.distance()[index]
    return f"{scene.labels[index]} {score:.2f} {distance:.1f}{' m' if scene.metric else 'h'}"


def _draw_mesh(canvas: ByteArray, scene: Scene, index: int) -> ByteArray:
    """Return the canvas with the mesh blended in: flat shaded, painted from back to front."""
    mesh = scene.mesh(index)
    seen = scene.camera.project(np.asarray(mesh.vertices, dtype=float))
    # Faces that pass the camera, or nearly so, are left out whole.
    drawable = (seen[:, 2] > NEAR) & (np.abs(seen[:, :2]) <= LIMIT).all(axis=1)
    faces = mesh.faces[drawable[mesh.faces].all(axis=1)]
    if len(faces) == 0:
        return canvas
    layer, mask = canvas.copy(), np.zeros(canvas.shape[:2], dtype=np.uint8)
    triangles = _fixed_point(seen[faces][..., :2])
    shade = _face_shade(np.asarray(mesh.vertices[faces], dtype=float), scene.camera.pose[:3, 3])
    color = class_color(scene, index)
    for face in np.argsort(-seen[faces][..., 2].mean(axis=1)):
        cv2.fillConvexPoly(layer, triangles[face], _rgb(color * shade[face]), cv2.LINE_8, SHIFT)
        cv2.fillConvexPoly(mask, triangles[face], (255,), cv2.LINE_8, SHIFT)
    blended = np.asarray(
        cv2.addWeighted(layer, MESH_OPACITY, canvas, 1 - MESH_OPACITY, 0), dtype=np.uint8
    )
    return np.where(mask[..., None] > 0, blended, canvas)


def _face_shade(triangles: FloatArray, eye: FloatArray) -> FloatArray:
    """Return a brightness for each triangle, (n, 3, 3) -> (n,): brightest facing the eye, (3,)."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    normal = np.cross(b - a, c - a)
    view = eye - (a + b + c) / 3
    scale = np.linalg.norm(normal, axis=1) * np.linalg.norm(view, axis=1)
    # Either side counts as the front: exemplars may be single sheets.
    facing = np.abs((normal * view).sum(axis=1)) / np.maximum(scale, 1e-12)
    return np.asarray(0.45 + 0.55 * facing)


def _draw_box(canvas: ByteArray, scene: Scene, index: int) -> None:
    thickness = max(1, round(max(canvas.shape) / 480))
    color = _rgb(class_color(scene, index))
    edges = visible_edges(scene.detections.boxes[index], scene.camera)
    for edge in _fixed_point(clip_edges(edges, LIMIT)):
        cv2.line(canvas, _xy(edge[0]), _xy(edge[1]), color, thickness, cv2.LINE_AA, SHIFT)


def visible_edges(box: Box9DoF, camera: Camera) -> FloatArray:
    """Return the box's edges in the image, (n, 2, 2) px, cut where they pass the camera."""
    camera_from_world = np.linalg.inv(camera.pose)
    edges = transform_points(camera_from_world, box.corners())[BOX_EDGES]
    edges = edges[(edges[..., 2] > NEAR).any(axis=1)]
    depth = edges[..., 2]
    behind = depth <= NEAR
    along = (NEAR - depth) / np.where(behind, depth[:, ::-1] - depth, 1.0)
    cut = edges + along[..., None] * (edges[:, ::-1] - edges)
    edges = np.where(behind[..., None], cut, edges)
    pixels = edges @ camera.K.T
    return np.asarray(pixels[..., :2] / pixels[..., 2:])


def clip_edges(edges: FloatArray, limit: float) -> FloatArray:
    """Cut edges, (n, 2, 2) px, to the square -limit..limit, each along its own line (Liang-Barsky).

    Returns:
        The parts inside, (m, 2, 2) px; edges that miss the square are gone.
    """
    start, step = edges[:, 0], edges[:, 1] - edges[:, 0]
    # An edge along an axis crosses that axis's two bounds at infinity, or nearly.
    safe = np.where(step == 0, 1e-12, step)
    crossings = (np.array([-limit, limit]) - start[..., None]) / safe[..., None]
    enter = crossings.min(axis=2).max(axis=1, initial=0.0)
    leave = crossings.max(axis=2).min(axis=1, initial=1.0)
    ends = start[:, None] + np.stack([enter, leave], axis=1)[..., None] * step[:, None]
    return np.asarray(ends[enter <= leave])


def _draw_label(canvas: ByteArray, scene: Scene, index: int) -> None:
    height, width = canvas.shape[:2]
    points = visible_edges(scene.detections.boxes[index], scene.camera).reshape(-1, 2)
    if not (
        (points.max(axis=0, initial=-1) >= 0).all() and (points < [width, height]).any(0).all()
    ):
        return
    text, font = label(scene, index), cv2.FONT_HERSHEY_SIMPLEX
    size = max(0.35, max(height, width) / 1600)
    (text_width, text_height), baseline = cv2.getTextSize(text, font, size, 1)
    # Above the box's middle, moved inside the picture.
    x = int(np.clip(points[:, 0].mean() - text_width / 2, 0, max(0, width - text_width - 4)))
    top = text_height + baseline + 4
    y = int(np.clip(points[:, 1].min() - 4, top, max(top, height - 4)))
    color = _rgb(class_color(scene, index))
    cv2.rectangle(canvas, (x, y - top), (x + text_width + 4, y), color, cv2.FILLED)
    white = (255, 255, 255)
    cv2.putText(canvas, text, (x + 2, y - baseline), font, size, white, 1, cv2.LINE_AA)


def _fixed_point(pixels: FloatArray) -> IntArray:
    """Turn pixels, (..., 2), into what OpenCV draws with: first centre at 0, `SHIFT` bits."""
    return np.asarray(np.round((pixels - 0.5) * 2**SHIFT), dtype=np.int32)


def _xy(point: IntArray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _rgb(color: ByteArray | FloatArray) -> tuple[int, int, int]:
    return int(color[0]), int(color[1]), int(color[2])
