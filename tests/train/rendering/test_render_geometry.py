"""Labels are proved by the pictures: what a label projects to is what the renderer drew."""

from dataclasses import replace

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.data.augment import flip, roll
from p2o_train.data.sample import Sample
from p2o_train.rendering.compose import Stock, compose
from p2o_train.rendering.drafts import Draft, draw_layout
from p2o_train.rendering.generate import labelled_objects, labelled_sample
from p2o_train.rendering.layout import Layout, Standing, Viewpoint
from p2o_train.rendering.renderer import Picture, Renderer
from points2objects.geometry import transform_points

VIEWS = [(1.5, 25, 0), (1.2, 50, 7), (1.8, 12, -8), (0.9, 35, 3)]


def one_seat(height: float, pitch_deg: float, roll_deg: float, yaw: float = 0.6) -> Draft:
    pitch = np.radians(pitch_deg)
    distance = min((height - 0.4) / np.tan(pitch), 4.0)
    seat = Standing("model:0", np.array([0.5, 0.9, 0.55]), yaw, 0.1, -distance)
    viewpoint = Viewpoint(height, float(pitch), float(np.radians(roll_deg)))
    return Draft(Layout("floor", viewpoint, (seat,), (), 0.3), (0,))


def rendered(
    draft: Draft, stock: Stock, renderer: Renderer, size: int, db: ShapeDB
) -> tuple[Sample, Picture]:
    scene = compose(np.random.default_rng(5), draft, stock, size)
    picture = renderer.render(scene)
    return labelled_sample(scene, picture, draft, db, labelled_objects(scene, picture)), picture


def filled(triangles: np.ndarray, size: int) -> np.ndarray:
    """Return the pixels, (size, size), whose centre lies in one of the triangles (t, 3, 2)."""
    center = np.arange(size) + 0.5
    x, y = np.meshgrid(center, center)
    mask = np.zeros((size, size), bool)
    for a, b, c in triangles:
        edges = [(a, b), (b, c), (c, a)]
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in edges]
        mask |= np.all([s >= 0 for s in sides], 0) | np.all([s <= 0 for s in sides], 0)
    return mask


def projected_mask(sample: Sample, db: ShapeDB, mirrored: bool = False) -> np.ndarray:
    """Fill the projection of the labelled mesh; `mirrored` applies the model's own mirror."""
    mesh = db.mesh(int(sample.model_index[0]))
    vertices = mesh.vertices.astype(float)
    if mirrored:
        vertices = vertices * [-1, 1, 1]
    level = transform_points(sample.boxes[0].matrix(), vertices)
    pixels = sample.camera.project(level)[:, :2]
    return filled(pixels[mesh.faces], sample.camera.width)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("view", VIEWS)
def test_the_projected_label_is_where_the_object_was_drawn(
    view: tuple[float, float, float], stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    sample, picture = rendered(one_seat(*view), stock, renderers[256], 256, solids)
    drawn = picture.owner == 0
    assert drawn.sum() > 300
    assert iou(drawn, projected_mask(sample, solids)) > 0.97


@pytest.mark.parametrize("view", VIEWS)
def test_the_object_lies_in_the_hull_of_its_box(
    view: tuple[float, float, float], stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    sample, picture = rendered(one_seat(*view), stock, renderers[256], 256, solids)
    corners = sample.camera.project(sample.boxes[0].corners())[:, :2]
    # All triangles between corners cover exactly their convex hull.
    triples = np.array([[i, j, k] for i in range(8) for j in range(i) for k in range(j)])
    hull = filled(corners[triples], 256)
    assert not ((picture.owner == 0) & ~hull).any()


def test_the_same_scene_at_twice_the_size_gives_the_same_label_and_picture(
    stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    draft = draw_layout(np.random.default_rng(11), stock.catalog)
    twice = replace(draft, layout=draft.layout.scaled(2.0))
    one, _ = rendered(draft, stock, renderers[256], 256, solids)
    two, _ = rendered(twice, stock, renderers[256], 256, solids)
    np.testing.assert_allclose(one.boxes.translation, two.boxes.translation, atol=1e-9)
    np.testing.assert_allclose(one.boxes.scale, two.boxes.scale, atol=1e-9)
    np.testing.assert_allclose(one.camera.pose, two.camera.pose, atol=1e-9)
    assert np.abs(one.image.astype(int) - two.image).mean() < 0.5


def test_a_picture_of_twice_the_pixels_shows_the_same(
    stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    draft = one_seat(1.5, 30, 4)
    small, _ = rendered(draft, stock, renderers[256], 256, solids)
    large, picture = rendered(draft, stock, renderers[512], 512, solids)
    np.testing.assert_allclose(small.boxes.translation, large.boxes.translation)
    shrunk = large.image.reshape(256, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(small.image - shrunk).mean() < 4
    assert iou(picture.owner == 0, projected_mask(large, solids)) > 0.98


def test_a_flipped_label_projects_to_the_mirrored_pixels(
    stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    sample, picture = rendered(one_seat(1.3, 30, 6), stock, renderers[256], 256, solids)
    flipped = flip(sample, [0])
    before = sample.camera.project(sample.boxes.corners())
    after = flipped.camera.project(flipped.boxes.corners())
    # Mirroring a box in x swaps its corners in pairs: the first four and the last four.
    np.testing.assert_allclose(after[:, [4, 5, 6, 7, 0, 1, 2, 3], 0], 256 - before[..., 0])
    np.testing.assert_allclose(after[:, [4, 5, 6, 7, 0, 1, 2, 3], 1:], before[..., 1:])
    mirrored_pixels = (picture.owner == 0)[:, ::-1]
    assert flipped.mirrored.all()
    assert iou(mirrored_pixels, projected_mask(flipped, solids, mirrored=True)) > 0.97
    # The seat equals its own mirror image, so its plain mesh lands there too.
    assert iou(mirrored_pixels, projected_mask(flipped, solids)) > 0.97


@pytest.mark.parametrize("angle", [0.15, -0.2])
def test_a_rolled_label_projects_to_the_rolled_pixels(
    angle: float, stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    sample, picture = rendered(one_seat(1.5, 30, 0), stock, renderers[256], 256, solids)
    mask = np.repeat(((picture.owner == 0) * 255).astype(np.uint8)[..., None], 3, -1)
    turned = roll(replace(sample, image=mask), angle, (0, 0, 0))
    assert iou(turned.image[..., 0] > 127, projected_mask(turned, solids)) > 0.96


def test_the_visible_share_is_one_alone_and_falls_behind_another_and_at_the_border(
    stock: Stock, renderers: dict[int, Renderer], solids: ShapeDB
) -> None:
    draft = one_seat(1.5, 25, 0, yaw=0.0)
    alone = draft.layout.objects[0]
    before = replace(alone, z=alone.z + 0.8)
    aside = replace(alone, x=alone.z * -np.tan(np.radians(30)))

    def shares(*objects: Standing) -> np.ndarray:
        many = Draft(replace(draft.layout, objects=objects), (0,) * len(objects))
        scene = compose(np.random.default_rng(5), many, stock, 256)
        return renderers[256].render(scene).visible_fraction

    assert shares(alone)[0] == 1.0
    hidden, front = shares(alone, before)
    assert front == 1.0
    assert 0.05 < hidden < 0.7
    assert 0.3 < shares(aside)[0] < 0.7
