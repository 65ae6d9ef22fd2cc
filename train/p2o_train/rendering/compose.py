"""From a random generator to a scene: layout, surroundings, materials and light."""

from dataclasses import dataclass

import numpy as np

from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.drafts import Draft
from p2o_train.rendering.environment import Environment, irradiance_from_above
from p2o_train.rendering.layout import Layout, Standing
from p2o_train.rendering.materials import draw_object_material
from p2o_train.rendering.photos import draw_crop
from p2o_train.rendering.scene import Drawable, Lighting, RenderScene
from p2o_train.rendering.surroundings import (
    TABLE_HEIGHT_M,
    catching,
    draw_room,
    ground,
    table_top,
    walls,
)
from p2o_train.rendering.textures import TextureLibrary
from points2objects.geometry import FloatArray

GLASS_CHANCE = {"bottle": 0.25, "bowl": 0.1, "mug": 0.04, "table": 0.03}


@dataclass(frozen=True)
class Stock:
    """What scenes are made from."""

    catalog: Catalog
    textures: TextureLibrary
    environments: tuple[Environment, ...]


def compose(rng: np.random.Generator, draft: Draft, stock: Stock, size_px: int) -> RenderScene:
    """Dress a layout: surroundings, materials, light. Lengths become camera heights."""
    layout = draft.layout.scaled(1 / draft.layout.viewpoint.height)
    things = [_dressed(rng, stock, standing, labelled=True) for standing in layout.objects]
    things += [_dressed(rng, stock, standing, labelled=False) for standing in layout.clutter]
    photos = stock.textures.photos
    behind = str(rng.choice(["room", "environment", "photo"], p=[0.52, 0.18, 0.3]))
    if not photos and behind == "photo":
        behind = "room"
    around = _surroundings(rng, stock, layout, behind)
    shown = behind == "photo" or any(drawable.material.photo for drawable in around)
    photo = draw_crop(rng, photos[int(rng.integers(len(photos)))]) if shown else None
    lighting = _draw_lighting(rng, stock.environments)
    return RenderScene(
        camera=layout.viewpoint.camera(size_px),
        drawables=(*things, *around),
        lighting=lighting,
        exposure=_draw_exposure(rng, lighting),
        gamma=float(rng.uniform(0.38, 0.52)),
        photo=photo,
        photo_backdrop=behind == "photo",
        backdrop_blur=float(rng.uniform(0.0, 3.0)),
        seed=int(rng.integers(2**31)),
    )


def _surroundings(
    rng: np.random.Generator, stock: Stock, layout: Layout, behind: str
) -> list[Drawable]:
    textures = stock.textures
    if behind == "photo":
        return [catching(ground(rng, textures, layout))]
    on_table = layout.kind == "tabletop" and rng.random() < 0.6
    around = table_top(rng, textures, layout) if on_table else [ground(rng, textures, layout)]
    if behind == "room":
        floor = -TABLE_HEIGHT_M * layout.metre if on_table else 0.0
        around += walls(
            rng, textures, draw_room(rng, layout, floor), stock.catalog.clutter.hangings
        )
    return around


def _draw_exposure(rng: np.random.Generator, lighting: Lighting) -> FloatArray:
    """Expose for a horizontal surface, give or take, with an imperfect white balance."""
    above = irradiance_from_above(lighting.environment.harmonics)
    direct = lighting.sun_irradiance * lighting.sun_direction[1]
    total = float((above * lighting.strength + direct).mean())
    white_balance = np.exp(rng.normal(0, 0.07, 3))
    return np.asarray(rng.uniform(0.45, 1.15) * np.pi / max(total, 0.5) * white_balance)


def _dressed(
    rng: np.random.Generator, stock: Stock, standing: Standing, labelled: bool
) -> Drawable:
    mesh = stock.catalog.mesh(standing.asset)
    glass = GLASS_CHANCE.get(stock.catalog.class_of(standing.asset), 0.0) if labelled else 0.0
    size = float(np.max(standing.extent))
    material = draw_object_material(rng, stock.textures, size, mesh.has_color, glass)
    return Drawable(standing.asset, mesh, standing.box(), material, labelled=labelled)


def _draw_lighting(rng: np.random.Generator, environments: tuple[Environment, ...]) -> Lighting:
    environment = environments[int(rng.integers(len(environments)))]
    turn = float(rng.uniform(-np.pi, np.pi))
    elevation, azimuth = np.radians(rng.uniform(25, 85)), rng.uniform(-np.pi, np.pi)
    flat = np.cos(elevation)
    sun = np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])
    warmth = rng.normal(0, 0.12)
    color = np.array([np.exp(warmth), 1.0, np.exp(-warmth)])
    power = float(rng.choice([0.0, rng.uniform(0.2, 1.2), rng.uniform(1.0, 4.0)],
                             p=[0.35, 0.45, 0.2]))  # fmt: skip
    tint = np.exp(rng.normal(0, 0.06, 3))
    ground = rng.uniform(0.1, 0.6) * np.exp(rng.normal(0, 0.08, 3))
    return Lighting(
        environment, turn, tint, sun, power * color * np.pi / 2,
        float(np.exp(rng.uniform(np.log(0.003), np.log(0.03)))), ground * np.pi * 0.8,
    )  # fmt: skip
