import numpy as np

from p2o_train.rendering.compose import Stock
from p2o_train.rendering.environment import (
    draw_lights,
    harmonics,
    irradiance_from_above,
    load_environments,
    map_directions,
    specular_levels,
)
from p2o_train.rendering.materials import draw_object_material, draw_surface_material
from p2o_train.rendering.meshes import corner_normals, part_of_vertex, primitive, simplify, weld
from p2o_train.rendering.textures import load_textures, spectrum_noise


def test_materials_stay_in_their_ranges(stock: Stock) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        for material in (
            draw_object_material(rng, stock.textures, 0.5, True, 0.2),
            draw_surface_material(rng, stock.textures, 0.8, 0.3),
        ):
            assert material.palette.shape == (4, 3)
            assert (material.palette >= 0).all()
            assert 0 <= material.roughness <= 1
            assert -1 <= material.layer < len(stock.textures.layers)
            assert material.repeats > 0


def test_patterns_come_without_an_assets_folder_and_tile() -> None:
    library = load_textures(None)
    assert library.patterns == len(library.layers) > 10
    noise = spectrum_noise(np.random.default_rng(0), 1.5)
    seam = np.abs(noise[0] - noise[-1]).mean()
    assert seam < 2 * np.abs(np.diff(noise, axis=0)).mean()


def test_carried_environments_light_a_white_floor_evenly() -> None:
    for environment in load_environments(None):
        up = irradiance_from_above(harmonics(environment.light, 0.4)).mean()
        np.testing.assert_allclose(up, np.pi, rtol=0.1)


def test_sampled_lights_carry_the_light_of_the_upper_half() -> None:
    environment = load_environments(None)[0]
    directions, solid_angle = map_directions(64)
    above = np.maximum(directions[..., 1], 0) * solid_angle
    whole = float((environment.light.mean(-1) * above).sum())
    lights = draw_lights(environment.light, 0.3, 4000, np.random.default_rng(0))
    sampled = float((lights.irradiance.mean(-1) * lights.directions[:, 1]).sum())
    np.testing.assert_allclose(sampled, whole, rtol=0.03)


def test_a_turned_map_has_turned_lights_and_harmonics() -> None:
    environment = load_environments(None)[1]
    flat = harmonics(environment.light, 0.0)
    turned = harmonics(environment.light, np.pi / 2)
    # Turning about y by a quarter brings what came from -z to -x.
    np.testing.assert_allclose(turned[3], flat[2], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(turned[1], flat[1], rtol=1e-4)


def test_rough_levels_are_smoother() -> None:
    levels = specular_levels(load_environments(None)[2].light)
    spread = [float(level.std() / level.mean()) for level in levels]
    assert spread == sorted(spread, reverse=True)


def test_primitives_are_closed_and_face_outwards() -> None:
    for kind in ("box", "cylinder", "cone", "ball"):
        mesh = primitive(kind)
        a, b, c = (mesh.positions[mesh.faces[:, i]] for i in range(3))
        volume = float((np.cross(a, b) * c).sum() / 6)
        low, high = {"box": (1, 1), "cylinder": (0.75, 0.79), "cone": (0.25, 0.28),
                     "ball": (0.48, 0.53)}[kind]  # fmt: skip
        assert low - 1e-6 <= volume <= high + 1e-6
        np.testing.assert_allclose(np.abs(mesh.positions).max(0), 0.5, atol=0.01)


def test_normals_are_smooth_on_a_ball_and_sharp_on_a_box() -> None:
    for kind, limit in (("ball", 0.985), ("box", 0.999)):
        mesh = primitive(kind)
        welded = weld(mesh.positions, mesh.faces)
        normals = corner_normals(welded.vertices, welded.faces)
        places = welded.vertices[welded.faces.ravel()]
        if kind == "box":
            assert (np.abs(normals).max(1) > limit).all()
        else:
            ring = np.abs(places[:, 1]) < 0.4
            cosine = (normals * places).sum(1) / np.linalg.norm(places, axis=1)
            assert cosine[ring].min() > limit


def test_pieces_of_equal_size_share_a_colour() -> None:
    box, ball = primitive("box"), primitive("ball")
    parts = [box.positions, box.positions + 3, ball.positions + 6]
    faces = [box.faces, box.faces + 36, ball.faces + 72]
    welded = weld(np.concatenate(parts), np.concatenate(faces))
    part = part_of_vertex(welded.faces, len(welded.vertices))
    x = welded.vertices[:, 0]
    assert set(part[x > 4.5]) == {0}
    assert set(part[x < 4.5]) == {1}


def test_simplification_reaches_its_target_and_keeps_the_size() -> None:
    ball = primitive("ball")
    welded = weld(ball.positions, ball.faces)
    faces = simplify(welded.vertices, welded.faces, 200)
    assert len(faces) <= 300
    assert np.ptp(welded.vertices[np.unique(faces)], axis=0).min() > 0.9
