import numpy as np

from p2o_train.rendering.compose import Stock
from p2o_train.rendering.environment import (
    draw_lights,
    harmonics,
    irradiance_from_above,
    load_environments,
    map_directions,
    specular_levels,
    turn_about_y,
    turned_harmonics,
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
        up = irradiance_from_above(environment.harmonics).mean()
        np.testing.assert_allclose(up, np.pi, rtol=0.1)


def test_sampled_lights_carry_the_light_of_the_upper_half() -> None:
    environment = load_environments(None)[0]
    directions, solid_angle = map_directions(64)
    above = np.maximum(directions[..., 1], 0) * solid_angle
    whole = float((environment.light.mean(-1) * above).sum())
    lights = draw_lights(environment.pool, 0.3, 4000, np.random.default_rng(0))
    sampled = float((lights.irradiance.mean(-1) * lights.directions[:, 1]).sum())
    np.testing.assert_allclose(sampled, whole, rtol=0.03)


def test_turned_harmonics_are_those_of_the_turned_map() -> None:
    environment = load_environments(None)[1]
    quarter = turned_harmonics(environment.harmonics, np.pi / 2)
    # Columns turn towards +x, so a quarter turn about +y, which brings -z to -x, is a quarter map
    # to the left.
    rolled = harmonics(np.roll(environment.light, -environment.light.shape[1] // 4, axis=1))
    np.testing.assert_allclose(quarter, rolled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(turned_harmonics(quarter, -np.pi / 2), environment.harmonics,
                               rtol=1e-4, atol=1e-5)  # fmt: skip


def test_lights_turn_with_their_map() -> None:
    pool = load_environments(None)[1].pool
    plain, turned = (draw_lights(pool, t, 12, np.random.default_rng(3)) for t in (0.0, 0.7))
    np.testing.assert_allclose(turned.directions, turn_about_y(plain.directions, 0.7), atol=1e-6)
    np.testing.assert_array_equal(turned.irradiance, plain.irradiance)
    np.testing.assert_allclose(np.linalg.norm(plain.directions, axis=1), 1, atol=1e-5)


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
    count = len(box.positions)
    faces = [box.faces, box.faces + count, ball.faces + 2 * count]
    welded = weld(np.concatenate(parts), np.concatenate(faces))
    part = part_of_vertex(welded.faces, len(welded.vertices))
    x = welded.vertices[:, 0]
    assert set(part[x > 4.5]) == {0}
    assert set(part[x < 4.5]) == {1}


def test_outlines_are_the_same_triangles_over_fewer_vertices() -> None:
    for kind, places in (("box", 8), ("cylinder", 58)):
        mesh = primitive(kind)
        np.testing.assert_array_equal(mesh.positions[mesh.outline], mesh.positions[mesh.faces])
        assert len(np.unique(mesh.outline)) == places
        assert len(np.unique(mesh.faces)) == len(mesh.positions) > places


def test_shared_vertices_keep_sharp_edges() -> None:
    mesh = primitive("box")
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    for k in range(3):
        np.testing.assert_allclose(mesh.normals[mesh.faces[:, k]], flat, atol=1e-6)


def test_coarse_shadows_keep_the_outline() -> None:
    mesh = primitive("ball")
    assert len(mesh.coarse) < 0.7 * len(mesh.faces)
    assert np.ptp(mesh.positions[np.unique(mesh.coarse)], axis=0).min() > 0.96


def test_simplification_reaches_its_target_and_keeps_the_size() -> None:
    ball = primitive("ball")
    welded = weld(ball.positions, ball.faces)
    faces = simplify(welded.vertices, welded.faces, 200)
    assert len(faces) <= 300
    assert np.ptp(welded.vertices[np.unique(faces)], axis=0).min() > 0.9
