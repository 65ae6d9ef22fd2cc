"""From a random generator to a scene: layout, surroundings, materials and light."""

from dataclasses import dataclass, replace

import numpy as np

from p2o_train.rendering.catalog import Catalog, CatalogModel
from p2o_train.rendering.environment import Environment, harmonics
from p2o_train.rendering.layout import Arranger, Layout, Standing, draw_viewpoint
from p2o_train.rendering.materials import (
    Material,
    draw_color,
    draw_object_material,
    draw_surface_material,
)
from p2o_train.rendering.meshes import PALETTE_SIZE, primitive
from p2o_train.rendering.scene import Drawable, Lighting, RenderScene
from p2o_train.rendering.textures import TextureLibrary
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, rotation_about_y

PHOTO_CROP_PX = 256
TABLE_HEIGHT_M = 0.74
GLASS_CHANCE = {"bottle": 0.25, "bowl": 0.1, "mug": 0.04, "table": 0.03}
OBJECT_COUNT_CHANCES = (0.22, 0.28, 0.26, 0.2, 0.04)

_BOX = primitive("box")


@dataclass(frozen=True)
class Stock:
    """What scenes are made from."""

    catalog: Catalog
    textures: TextureLibrary
    environments: tuple[Environment, ...]


@dataclass(frozen=True)
class Draft:
    """A layout and the models behind its objects.

    Attributes:
        layout: Where everything stands, metres.
        model_index: (n,), the models behind `layout.objects`.
    """

    layout: Layout
    model_index: tuple[int, ...]


def draw_layout(rng: np.random.Generator, catalog: Catalog) -> Draft:
    """Draw a viewpoint and 1-5 objects, often near each other, and some clutter."""
    kind = str(rng.choice(catalog.kinds))
    if len(catalog.kinds) > 1 and rng.random() < 0.07:
        kind = "mixed"
    room_yaw = float(rng.uniform(-np.pi, np.pi))
    count = 1 + int(rng.choice(len(OBJECT_COUNT_CHANCES), p=OBJECT_COUNT_CHANCES))
    while True:
        viewpoint, target = draw_viewpoint(rng, kind)
        arranger = Arranger(rng, viewpoint, target, room_yaw)
        objects: list[Standing] = []
        models: list[int] = []
        for _ in range(count):
            drawn = catalog.draw_model(rng, kind)
            placed = _place_model(rng, arranger, catalog, drawn, objects)
            if placed is not None:
                objects.append(placed)
                models.append(drawn.index)
        if objects:
            break
    clutter = []
    small = kind if kind != "mixed" else str(rng.choice(["floor", "tabletop"]))
    for _ in range(int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))):
        placed = arranger.place(catalog.draw_clutter(rng, small), margin=-0.15, aligned=0.5)
        if placed is not None:
            clutter.append(placed)
    return Draft(Layout(kind, viewpoint, tuple(objects), tuple(clutter), room_yaw), tuple(models))


def _place_model(
    rng: np.random.Generator, arranger: Arranger, catalog: Catalog, drawn: CatalogModel,
    objects: list[Standing],
) -> Standing | None:  # fmt: skip
    tables = [o for o in objects if catalog.class_of(o.asset) == "table"]
    if tables and catalog.class_of(drawn.standing.asset) == "chair" and rng.random() < 0.6:
        return arranger.tuck(drawn.standing, tables[int(rng.integers(len(tables)))])
    margin = 0.06 if not objects else -0.03
    return arranger.place(drawn.standing, margin, aligned=0.4)


def compose(rng: np.random.Generator, draft: Draft, stock: Stock, size_px: int) -> RenderScene:
    """Dress a layout: surroundings, materials, light. Lengths become camera heights."""
    layout = draft.layout.scaled(1 / draft.layout.viewpoint.height)
    drawables = [
        _dressed(rng, stock, standing, labelled=True) for standing in layout.objects
    ] + [_dressed(rng, stock, standing, labelled=False) for standing in layout.clutter]
    photo = _photo_crop(rng, stock.textures.photos)
    behind = str(rng.choice(["room", "environment", "photo"], p=[0.68, 0.16, 0.16]))
    if photo is None and behind == "photo":
        behind = "room"
    if behind == "photo":
        drawables += [_ground(rng, stock, layout, catcher=True)]
    elif layout.kind == "tabletop" and rng.random() < 0.6:
        drawables += _table_top(rng, stock, layout)
        if behind == "room":
            drawables += _walls(rng, stock, layout, -TABLE_HEIGHT_M * layout.metre, photo is not None)
    else:
        drawables += [_ground(rng, stock, layout, catcher=False)]
        if behind == "room":
            drawables += _walls(rng, stock, layout, 0.0, photo is not None)
    lighting = _draw_lighting(rng, stock.environments)
    up = harmonics(lighting.environment.light, lighting.turn) * lighting.strength
    total = float(up.mean(1)[0] * 0.886 + up.mean(1)[1] * 1.023) + float(
        lighting.sun_irradiance.mean() * max(lighting.sun_direction[1], 0.0)
    )
    white_balance = np.exp(rng.normal(0, 0.07, 3))
    exposure = rng.uniform(0.45, 1.15) * np.pi / max(total, 0.5) * white_balance
    return RenderScene(
        camera=layout.viewpoint.camera(size_px),
        drawables=tuple(drawables),
        lighting=lighting,
        exposure=np.asarray(exposure),
        gamma=float(rng.uniform(0.38, 0.52)),
        photo=photo,
        photo_backdrop=behind == "photo",
        backdrop_blur=float(rng.uniform(0.0, 3.0)),
        seed=int(rng.integers(2**31)),
    )


def _dressed(
    rng: np.random.Generator, stock: Stock, standing: Standing, labelled: bool
) -> Drawable:
    mesh = stock.catalog.mesh(standing.asset)
    glass = GLASS_CHANCE.get(stock.catalog.class_of(standing.asset), 0.0) if labelled else 0.0
    size = float(np.max(standing.extent))
    material = draw_object_material(rng, stock.textures, size, mesh.has_color, glass)
    return Drawable(standing.asset, mesh, standing.box(), material, labelled=labelled)


def _surface(center: FloatArray, size: FloatArray, yaw: float, material: Material) -> Drawable:
    box = Box9DoF(rotation_about_y(yaw), np.asarray(center, float), np.asarray(size, float))
    return Drawable("box", _BOX, box, material, casts_shadow=False)


def _ground(
    rng: np.random.Generator, stock: Stock, layout: Layout, catcher: bool
) -> Drawable:
    material = draw_surface_material(rng, stock.textures, period=0.8, plain=0.18)
    thickness = 0.02
    ground = _surface(
        np.array([0, -thickness / 2, 0]), np.array([80, thickness, 80]),
        layout.room_yaw, material,
    )  # fmt: skip
    return replace(ground, catcher=catcher)


def _table_top(rng: np.random.Generator, stock: Stock, layout: Layout) -> list[Drawable]:
    """A board under all objects, and a floor below it."""
    low, high = _bounds(layout, [*layout.objects, *layout.clutter])
    low = low - rng.uniform(0.03, 0.8, 2) * layout.metre
    high = high + rng.uniform(0.03, 0.8, 2) * layout.metre
    short = np.maximum(0.5 * layout.metre - (high - low), 0) / 2
    low, high = low - short, high + short
    thickness = rng.uniform(0.015, 0.06) * layout.metre
    material = draw_surface_material(rng, stock.textures, period=0.8, plain=0.25)
    middle = _from_room((low + high) / 2, layout.room_yaw)
    board = _surface(
        np.array([middle[0], -thickness / 2, middle[1]]),
        np.array([high[0] - low[0], thickness, high[1] - low[1]]), layout.room_yaw, material,
    )  # fmt: skip
    floor = _ground(rng, stock, layout, catcher=False)
    below = floor.box.translation - [0, TABLE_HEIGHT_M * layout.metre, 0]
    return [board, replace(floor, box=replace(floor.box, translation=below))]


def _walls(
    rng: np.random.Generator, stock: Stock, layout: Layout, floor: float, photo: bool
) -> list[Drawable]:
    """The two or three walls of a room that encloses the scene and the camera, and what hangs."""
    low, high = _bounds(layout, [*layout.objects, *layout.clutter])
    low, high = np.minimum(low, -0.3), np.maximum(high, 0.3)
    reach = float(np.max(high - low))
    low = low - rng.exponential(0.35, 2) * reach - 0.02
    high = high + rng.exponential(0.35, 2) * reach + 0.02
    height = rng.uniform(2.3, 3.2) * max(1.0, -floor)
    paint = draw_surface_material(rng, stock.textures, period=1.5, plain=0.7)
    others = draw_surface_material(rng, stock.textures, period=1.5, plain=0.8)
    trim = Material(np.tile(draw_color(rng), (PALETTE_SIZE, 1)), np.ones(3), roughness=0.5)
    skirting, thick = rng.uniform(0.03, 0.09), 0.02
    middle, span = (low + high) / 2, high - low
    drawables = []
    pictures = 0
    for axis in (0, 1):
        for side, edge in ((-1, low[axis]), (1, high[axis])):
            center = middle.copy()
            center[axis] = edge + side * thick / 2
            size = np.array([span[0], height, span[1]])
            size[2 * axis] = thick
            x, z = _from_room(center, layout.room_yaw)
            material = paint if rng.random() < 0.8 else others
            middle_y = floor + height / 2
            drawables.append(_surface(np.array([x, middle_y, z]), size, layout.room_yaw, material))
            if rng.random() < 0.5:
                size = size * 1.0
                size[1], size[2 * axis] = skirting, 2 * thick
                foot = np.array([x, floor + skirting / 2, z])
                drawables.append(_surface(foot, size, layout.room_yaw, trim))
            if rng.random() < 0.5 and pictures < 3:
                pictures += 1
                drawables += _hangings(rng, center, axis, side, span, floor, layout, photo)
    return drawables


def _hangings(
    rng: np.random.Generator, center: FloatArray, axis: int, side: int, span: FloatArray,
    floor: float, layout: Layout, photo: bool,
) -> list[Drawable]:  # fmt: skip
    """A poster, window or cupboard front on one wall."""
    width, height = rng.uniform(0.25, 0.9), rng.uniform(0.25, 0.9)
    where = center.copy()
    where[axis] -= side * 0.02
    where[1 - axis] += rng.uniform(-0.4, 0.4) * span[1 - axis]
    x, z = _from_room(where, layout.room_yaw)
    # The photo is pasted in the box's own x-y plane, so the box turns with the wall.
    yaw = layout.room_yaw + (np.pi / 2 if axis == 0 else 0.0)
    glow = float(rng.choice([0.0, 0.0, 0.0, 1.0]))
    color = np.full(3, rng.uniform(0.7, 1.0)) if glow else draw_color(rng)
    material = Material(
        np.tile(color, (PALETTE_SIZE, 1)), np.ones(3), glow=glow,
        photo=photo and glow == 0 and rng.random() < 0.7, roughness=0.4,
    )  # fmt: skip
    middle = np.array([x, floor + rng.uniform(0.6, 1.6) * max(1.0, -floor), z])
    return [_surface(middle, np.array([width, height, 0.02]), yaw, material)]


def _bounds(layout: Layout, things: list[Standing]) -> tuple[FloatArray, FloatArray]:
    """Bounds of the footprints along the room's axes."""
    corners = np.concatenate([thing.corners() for thing in things])
    cos, sin = np.cos(layout.room_yaw), np.sin(layout.room_yaw)
    in_room = corners @ np.array([[cos, sin], [-sin, cos]])
    return in_room.min(0), in_room.max(0)


def _from_room(point: FloatArray, yaw: float) -> FloatArray:
    """Turn a point (x, z) of the room's axes into the level frame."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.asarray(point @ np.array([[cos, -sin], [sin, cos]]))


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


def _photo_crop(rng: np.random.Generator, photos: tuple[ByteArray, ...]) -> ByteArray | None:
    """Cut a small region of a photo and blur it: no whole piece of furniture is left in it."""
    if not photos:
        return None
    from PIL import Image, ImageFilter

    photo = photos[int(rng.integers(len(photos)))]
    side = int(min(photo.shape[:2]) * rng.uniform(0.15, 0.4))
    top, left = (int(rng.integers(s - side)) for s in photo.shape[:2])
    crop = Image.fromarray(np.ascontiguousarray(photo[top : top + side, left : left + side]))
    crop = crop.resize((PHOTO_CROP_PX, PHOTO_CROP_PX), Image.Resampling.BICUBIC)
    crop = crop.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, 5.0))))
    pixels = np.asarray(crop)
    return np.ascontiguousarray(pixels[:, ::-1] if rng.random() < 0.5 else pixels)
