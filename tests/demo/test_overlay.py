from dataclasses import replace

import cv2
import numpy as np
import pytest

from p2o_demo.overlay import PALETTE, class_color, clip_edges, draw_scene, label, visible_edges
from points2objects.camera import Camera, level_from_up
from points2objects.geometry import (
    CORNER_SIGNS,
    Box9DoF,
    ByteArray,
    FloatArray,
    rigid,
    rotation_about_y,
)
from points2objects.glb import Mesh
from points2objects.scene import Detections, Scene

WIDTH, HEIGHT = 320, 240
QUADS = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


def cube() -> Mesh:
    """The unit cube as an exemplar."""
    vertices = CORNER_SIGNS.astype(np.float32)
    faces = [[a, b, c] for a, b, c, _ in QUADS] + [[a, c, d] for a, _, c, d in QUADS]
    normals = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return Mesh(vertices, normals, np.array(faces, np.uint32))


def camera(height: float = 1.5) -> Camera:
    """A camera at (0, height, 0) that looks along -z, a little down."""
    level_from_camera = level_from_up(np.array([0.0, -1.0, -0.3]))
    K = np.array([[260.0, 0, 160], [0, 260, 120], [0, 0, 1]])
    pose = rigid(level_from_camera, np.array([0.0, height, 0.0]))
    return Camera(K, WIDTH, HEIGHT, pose)


def scene(translation: FloatArray, metric: bool = True) -> Scene:
    """One turned box per row of `translation`, all of one class."""
    n = len(translation)
    boxes = Box9DoF(
        rotation_about_y(np.full(n, 0.5)), translation, np.tile([0.8, 0.9, 0.5], (n, 1))
    )
    ids = np.zeros(n, dtype=np.int64)
    found = Detections(boxes, ids, ids, np.full(n, 0.87), np.zeros((n, 2)))
    return Scene(found, ("chair",) * n, ids, camera(), [cube()], metric=metric)


def hull(one: Scene) -> ByteArray:
    """Mask of the box's projection, drawn by other means: the convex hull of its corners."""
    corners = one.camera.project(one.detections.boxes.corners()[0])[:, :2]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(corners - 0.5).astype(np.int32)), (255,))
    return mask


def test_cube_covers_its_projection_and_nothing_else_but_its_label() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    one = scene(np.array([[0.1, 0.45, -3.0]]))
    drawn = (draw_scene(image, one) != image).any(axis=2)
    expected = hull(one)
    top = int(np.flatnonzero(expected.any(axis=1))[0])
    inner = cv2.erode(expected, np.ones((3, 3))) > 0
    outer = cv2.dilate(expected, np.ones((5, 5))) > 0
    assert drawn[inner].all()
    assert not drawn[top:][~outer[top:]].any()


def test_frame_itself_is_left_alone() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    draw_scene(image, scene(np.array([[0.0, 0.45, -3.0]])))
    assert (image == 128).all()


def test_empty_scene_leaves_the_frame() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    np.testing.assert_array_equal(draw_scene(image, scene(np.zeros((0, 3)))), image)


@pytest.mark.parametrize("translation", [[0.0, 0.45, 3.0], [40.0, 0.45, -3.0], [0.0, 30.0, -3.0]])
def test_object_out_of_view_leaves_the_frame(translation: list[float]) -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    np.testing.assert_array_equal(draw_scene(image, scene(np.array([translation]))), image)


def test_nearer_object_hides_the_farther_one() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pair = scene(np.array([[0.0, 0.45, -2.5], [0.0, 0.45, -4.0]]))
    swapped = scene(np.array([[0.0, 0.45, -4.0], [0.0, 0.45, -2.5]]))
    np.testing.assert_array_equal(draw_scene(image, pair), draw_scene(image, swapped))


def test_edges_are_the_projected_corners() -> None:
    one = scene(np.array([[0.1, 0.45, -3.0]]))
    edges = visible_edges(one.detections.boxes[0], one.camera).reshape(-1, 2)
    corners = one.camera.project(one.detections.boxes.corners()[0])[:, :2]
    assert len(edges) == 24
    nearest = np.linalg.norm(edges[:, None] - corners, axis=2).min(axis=1)
    np.testing.assert_allclose(nearest, 0, atol=1e-9)


def test_edges_past_the_camera_are_cut_not_mirrored() -> None:
    # A rod along the viewing direction, half of it behind the camera, 1 m below the axis.
    view = camera()
    forward = view.pose[:3, 2]
    rotation = view.pose[:3, :3] @ np.diag([1.0, -1, -1])
    box = Box9DoF(rotation, view.pose[:3, 3] + view.pose[:3, 1], np.array([0.1, 0.1, 8.0]))
    assert abs(forward @ rotation[:, 2]) == pytest.approx(1)
    edges = visible_edges(box, view)
    assert np.isfinite(edges).all()
    assert len(edges) == 8  # The far square, and the four long edges up to the camera.
    assert (edges[..., 1] > 120).all()


def test_clipped_edges_keep_their_line_and_the_part_inside() -> None:
    rng = np.random.default_rng(3)
    inside = rng.uniform(-90, 90, (200, 2))
    angle = rng.uniform(0, 2 * np.pi, 200)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    before, after = rng.uniform(300, 1e6, (2, 200, 1))
    edges = np.stack([inside - before * direction, inside + after * direction], axis=1)
    cut = clip_edges(edges, 100)
    assert cut.shape == edges.shape
    # Every end lies on the square's border, on the same line, and the direction is kept.
    np.testing.assert_allclose(np.abs(cut).max(axis=2), 100, atol=1e-6)
    offset = cut - inside[:, None]
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    np.testing.assert_allclose((offset * normal[:, None]).sum(axis=2), 0, atol=1e-6)
    assert ((cut[:, 1] - cut[:, 0]) * direction).sum(axis=1).min() > 0


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        ([[-5, 3], [5, 3]], [[-5, 3], [5, 3]]),
        ([[-50, 3], [5, 3]], [[-10, 3], [5, 3]]),
        ([[4, 30], [4, -30]], [[4, 10], [4, -10]]),
        ([[2, 2], [2, 2]], [[2, 2], [2, 2]]),
        ([[-50, 30], [50, 30]], None),
        ([[0, 21], [21, 0]], None),
        ([[20, 0], [40, 0]], None),
    ],
)
def test_edges_are_clipped_or_dropped(
    edge: list[list[float]], expected: list[list[float]] | None
) -> None:
    cut = clip_edges(np.array([edge], dtype=float), 10)
    np.testing.assert_allclose(cut, np.zeros((0, 2, 2)) if expected is None else [expected])


def test_no_edges_are_clipped_to_no_edges() -> None:
    assert clip_edges(np.zeros((0, 2, 2)), 10).shape == (0, 2, 2)


def test_label_says_class_score_distance_and_unit() -> None:
    place = np.array([[0.0, 0.45, -3.0]])
    assert label(scene(place), 0) == "chair 0.87 3.2 m"
    assert label(scene(place, metric=False), 0) == "chair 0.87 3.2h"


def test_classes_have_their_own_colours() -> None:
    one = scene(np.array([[0.0, 0.45, -3.0]]))
    assert class_color(one, 0).tolist() == [230, 75, 53]


@pytest.mark.parametrize("near_first", [True, False])
def test_the_nearer_of_two_classes_is_seen_where_they_overlap(near_first: bool) -> None:
    """A box three metres off stands before one five metres off; both are in one line of sight."""
    places = np.array([[0.0, 0.45, -3.0], [0.0, 0.45, -5.0]])
    both = scene(places if near_first else places[::-1])
    classes = np.array([0, 1]) if near_first else np.array([1, 0])
    both = replace(both, detections=replace(both.detections, class_id=classes))
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    drawn = draw_scene(image, both).astype(int)
    center = both.camera.project(np.array([[0.0, 0.6, -3.0]]))[0, :2].astype(int)
    # Near the box's middle, away from its edges: the mesh alone.
    patch = drawn[center[1] - 3 : center[1] + 3, center[0] + 8 : center[0] + 14].mean(axis=(0, 1))
    near, far = (PALETTE[k].astype(float) for k in (0, 1))
    assert (patch - 128) @ (near - far) > 0
