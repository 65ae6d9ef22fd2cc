import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.rendering.compose import Stock, compose
from p2o_train.rendering.drafts import draw_layout
from p2o_train.rendering.environment import map_directions, turn_about_y
from p2o_train.rendering.generate import SampleGenerator
from p2o_train.rendering.materials import Material
from p2o_train.rendering.pathtrace import PathTracer, PathTracerConfig, is_wall
from p2o_train.rendering.pathtrace_display import display, look_up, matching_gain, undisplay
from p2o_train.rendering.pathtrace_geometry import join, out_of_sight
from p2o_train.rendering.pathtrace_light import baked_light, irradiance_above
from p2o_train.rendering.pathtrace_setup import find_llvm, load_mitsuba
from p2o_train.rendering.renderer import Renderer, RendererConfig
from p2o_train.rendering.scene import RenderScene
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray

SIZE = 64
SMALL = RendererConfig(size_px=SIZE, lights=12, light_map_px=128, sun_map_px=256)


@pytest.fixture(scope="module")
def tracer(stock: Stock) -> Iterator[PathTracer]:
    try:
        load_mitsuba()
    except InputError as error:
        pytest.skip(str(error))
    made = PathTracer(PathTracerConfig(SMALL, samples=4, max_depth=4), stock.textures.layers)
    yield made
    made.release()


@pytest.fixture(scope="module")
def rasteriser(stock: Stock) -> Iterator[Renderer]:
    made = Renderer(SMALL, stock.textures.layers)
    yield made
    made.release()


def scene(stock: Stock, seed: int) -> RenderScene:
    """Draw a scene of opaque surfaces only: every other kind costs seconds of compilation."""
    rng = np.random.default_rng(seed)
    drawn = compose(rng, draw_layout(rng, stock.catalog), stock, SIZE)
    return replace(
        drawn,
        drawables=tuple(
            replace(d, material=replace(d.material, opacity=1.0, glow=0.0), catcher=False)
            for d in drawn.drawables
        ),
        photo_backdrop=False,
    )


def caught(whole: RenderScene, photo: ByteArray, material: Material) -> RenderScene:
    """Stand the objects, all of one look, on a photo."""
    ground = next(d for d in whole.drawables if not d.casts_shadow)
    things = (replace(d, material=material) for d in whole.objects)
    return replace(
        whole, drawables=(*things, replace(ground, catcher=True)), photo=photo, photo_backdrop=True
    )


def test_rays_meet_what_the_rasteriser_draws(
    stock: Stock, tracer: PathTracer, rasteriser: Renderer
) -> None:
    for seed in range(4):
        drawn = scene(stock, seed)
        labelled = [n for n, d in enumerate(drawn.drawables) if d.labelled]
        numbers, owner = tracer.numbers(drawn), rasteriser.render(drawn).owner
        assert numbers.shape == owner.shape == (SIZE, SIZE)
        for slot, number in enumerate(labelled):
            ours, theirs = numbers == number, owner == slot
            assert (ours & theirs).sum() >= 0.97 * (ours | theirs).sum()


def test_pictures_repeat_and_agree_with_the_rasterisers(
    stock: Stock, tracer: PathTracer, rasteriser: Renderer
) -> None:
    likeness = []
    for seed in range(3):
        drawn = scene(stock, seed)
        # Walls shade only the traced picture.
        drawn = replace(drawn, drawables=tuple(d for d in drawn.drawables if not is_wall(d)))
        traced, plain = tracer.render(drawn).image, rasteriser.render(drawn).image
        assert traced.mean() == pytest.approx(plain.mean(), rel=0.1)
        for channel in range(3):
            pair = traced[..., channel].ravel(), plain[..., channel].ravel()
            likeness.append(np.corrcoef(*pair)[0, 1])
        if seed == 2:
            np.testing.assert_array_equal(tracer.render(drawn).image, traced)
    assert min(likeness) > 0.6
    assert np.median(likeness) > 0.85


def test_glass_on_a_photo_shows_the_photo_and_shades_it(stock: Stock, tracer: PathTracer) -> None:
    photo = np.random.default_rng(0).integers(90, 200, (8, 8, 3), dtype=np.uint8)
    photo = np.repeat(np.repeat(photo, 32, 0), 32, 1)
    clear = Material(np.full((4, 3), 0.5), np.ones(3), roughness=0.2, opacity=0.05)
    picture = tracer.render(caught(scene(stock, 6), photo, clear))
    shown, small = picture.image.astype(int), photo[2::4, 2::4].astype(int)
    free = picture.owner < 0
    assert (np.abs(shown - small).max(-1) < 16)[free].mean() > 0.5
    through = ~free
    assert through.any()
    assert np.corrcoef(shown[through].ravel(), small[through].ravel())[0, 1] > 0.5


def flux(light: FloatArray) -> FloatArray:
    """Return the direction, (3,), that a map's grey light comes from, as long as it is strong."""
    directions, solid_angle = map_directions(light.shape[0])
    return np.asarray(np.einsum("hw,hwk,hw->k", light.mean(-1), directions, solid_angle))


def test_the_tone_curve_is_inverted() -> None:
    exposure, gamma = np.array([0.7, 1.0, 1.3]), 0.45
    radiance = np.random.default_rng(0).uniform(0, 3, (50, 3))
    shown = display(radiance, exposure, gamma)
    assert (shown < 1).all()
    np.testing.assert_allclose(undisplay(shown, exposure, gamma), radiance, rtol=1e-6, atol=1e-9)


def test_the_gain_undoes_a_lack_of_light(stock: Stock) -> None:
    drawn = scene(stock, 0)
    radiance = np.random.default_rng(0).uniform(0, 1, (200, 3)) / drawn.exposure
    reference = display(radiance, drawn.exposure, drawn.gamma)
    assert matching_gain(radiance / 3, reference, drawn) == pytest.approx(3, rel=0.01)
    assert matching_gain(radiance[:0], reference[:0], drawn) == 1


def test_maps_are_read_where_their_pixels_lie_and_turned_as_the_rasteriser_turns() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 1, (8, 16, 3))
    directions, _ = map_directions(8)
    np.testing.assert_allclose(look_up(pixels, directions), pixels, atol=1e-5)
    turned = turn_about_y(turn_about_y(directions, 0.7), -0.7)
    np.testing.assert_allclose(look_up(pixels, turned), pixels, atol=1e-5)


def test_the_baked_map_holds_the_environment_and_the_sun(stock: Stock) -> None:
    for seed in range(4):
        lighting = scene(stock, seed).lighting
        sun = lighting.sun_irradiance * lighting.sun_direction[1]
        above = irradiance_above(lighting.environment.light) * lighting.strength + sun
        baked = baked_light(lighting)
        np.testing.assert_allclose(irradiance_above(baked), above, rtol=0.02)
        sunless = baked_light(replace(lighting, sun_irradiance=np.zeros(3)))
        tinted = lighting.environment.light * lighting.strength
        turned = turn_about_y(flux(tinted), lighting.turn)
        np.testing.assert_allclose(flux(sunless), turned, atol=0.05)
        if sun.any():
            brightest = np.unravel_index(baked.mean(-1).argmax(), baked.shape[:2])
            direction = map_directions(baked.shape[0])[0][brightest]
            assert direction @ lighting.sun_direction > np.cos(0.15)


def test_joined_meshes_keep_places_normals_and_colours(stock: Stock) -> None:
    drawn = scene(stock, 1)
    numbers = list(range(len(drawn.drawables)))
    joined = join(drawn.drawables, numbers)
    assert len(joined.positions) == 3 * len(joined.slot) == len(joined.normals) == len(joined.uv)
    np.testing.assert_allclose(np.linalg.norm(joined.normals, axis=1), 1, atol=1e-5)
    for number in numbers:
        box = drawn.drawables[number].box
        own = joined.positions.reshape(-1, 3, 3)[joined.slot == number].reshape(-1, 3)
        inside = (own - box.translation) @ box.rotation / box.scale
        np.testing.assert_allclose(inside.max(0), 0.5, atol=1e-3)
        np.testing.assert_allclose(inside.min(0), -0.5, atol=1e-3)


def test_only_walls_beside_or_behind_the_camera_are_out_of_sight(stock: Stock) -> None:
    walls, hidden = 0, 0
    for seed in range(12):
        drawn = scene(stock, seed)
        for drawable in drawn.drawables:
            if is_wall(drawable) and out_of_sight(drawable, drawn.camera):
                hidden += 1
                seen = drawn.camera.project(drawable.box.corners())
                inside = (seen[:, 2] > 0) & (seen[:, :2] > 0).all(1) & (seen[:, :2] < SIZE).all(1)
                assert not inside.any()
            walls += is_wall(drawable)
            assert not (drawable.labelled and is_wall(drawable))
    assert 0 < hidden < walls


def test_the_newest_usable_llvm_is_found() -> None:
    old = ["/usr/lib/x86_64-linux-gnu/libLLVM-14.so", "/usr/lib/llvm-15/lib/libLLVM.so"]
    new = ["/usr/lib/x86_64-linux-gnu/libLLVM-19.so", "/usr/lib/x86_64-linux-gnu/libLLVM.so.18.1"]
    assert find_llvm(old + new) == new[0]
    with pytest.raises(InputError, match=r"apt-get install libllvm19.*found only LLVM 14, 15"):
        find_llvm(old)
    with pytest.raises(InputError, match="found no LLVM"):
        find_llvm([])


@pytest.mark.parametrize("name", ["mitsuba", "pyoidn"])
def test_a_missing_package_is_named_with_the_extra(
    solids: ShapeDB, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "/nowhere/libLLVM-19.so")
    for module in ("mitsuba", "drjit", "pyoidn"):
        monkeypatch.setitem(sys.modules, module, None if module == name else sys)
    with pytest.raises(InputError, match=rf"\.\[pathtrace\].*libllvm19 \(missing here: {name}\)"):
        SampleGenerator(solids, "train", 0, "path-traced", None)
