from dataclasses import replace

import numpy as np

from p2o_train.rendering.compose import Stock, compose
from p2o_train.rendering.drafts import draw_layout
from p2o_train.rendering.materials import Material
from p2o_train.rendering.renderer import Renderer
from p2o_train.rendering.scene import RenderScene

WHITE = Material(np.full((4, 3), 0.8), np.ones(3))


def scene(stock: Stock, seed: int) -> RenderScene:
    rng = np.random.default_rng(seed)
    return compose(rng, draw_layout(rng, stock.catalog), stock, 256)


def test_the_same_scene_gives_the_same_picture_whatever_was_drawn_before(
    stock: Stock, renderers: dict[int, Renderer]
) -> None:
    first = renderers[256].render(scene(stock, 1))
    renderers[256].render(scene(stock, 2))
    again = renderers[256].render(scene(stock, 1))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.visible_fraction, again.visible_fraction)


def test_pictures_are_neither_black_nor_white(stock: Stock, renderers: dict[int, Renderer]) -> None:
    means = [renderers[256].render(scene(stock, seed)).image.mean() for seed in range(12)]
    assert min(means) > 8
    assert max(means) < 250
    assert np.ptp(means) > 30


def test_the_ground_is_darker_where_an_object_meets_it(
    stock: Stock, renderers: dict[int, Renderer]
) -> None:
    whole = scene(stock, 4)
    ground = next(d for d in whole.drawables if not d.casts_shadow)
    alone = tuple(replace(d, material=WHITE) for d in (whole.objects[0], ground))
    sky = replace(whole.lighting, sun_irradiance=np.zeros(3))
    dim = replace(whole, drawables=alone, lighting=sky, exposure=0.4 * whole.exposure)
    picture = renderers[256].render(dim)
    rows, columns = np.nonzero(picture.owner == 0)
    around = np.zeros((256, 256), bool)
    around[rows.max() - 12 : rows.max() + 4, columns.min() - 4 : columns.max() + 5] = True
    near = picture.image[around & (picture.owner < 0)].mean(-1)
    far = picture.image[rows.max() : rows.max() + 20, :20].mean()
    assert np.percentile(near, 10) < 0.9 * far


def test_a_photo_stays_as_it_is_where_no_shadow_falls(
    stock: Stock, renderers: dict[int, Renderer]
) -> None:
    whole = scene(stock, 6)
    photo = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    photo = np.repeat(np.repeat(photo[::32, ::32], 32, 0), 32, 1)
    ground = next(d for d in whole.drawables if not d.casts_shadow)
    caught = (*whole.objects, replace(ground, catcher=True, material=WHITE))
    picture = renderers[256].render(
        replace(whole, drawables=caught, photo=photo, photo_backdrop=True)
    )
    free = picture.owner < 0
    same = np.abs(picture.image.astype(int) - photo).max(-1) < 12
    assert same[free].mean() > 0.35
    assert (picture.image[free].astype(int) <= photo[free].astype(int) + 12).mean() > 0.9
