"""What is around the objects: ground, table top, the walls of a room and what hangs on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from p2o_train.rendering.layout import Layout, Standing
from p2o_train.rendering.materials import Material, draw_color, draw_surface_material
from p2o_train.rendering.meshes import PALETTE_SIZE, primitive
from p2o_train.rendering.scene import Drawable
from p2o_train.rendering.textures import TextureLibrary
from points2objects.geometry import Box9DoF, FloatArray, rotation_about_y

TABLE_HEIGHT_M = 0.74
GROUND_SIZE = 80.0
THICKNESS = 0.02

_BOX = primitive("box")


@dataclass(frozen=True)
class Room:
    """A rectangular room; lengths in camera heights.

    Attributes:
        low: (2,), its lower corner along its own x and z axes.
        high: (2,), its upper corner.
        floor: Height of its floor.
        height: Height of its walls.
        yaw: Turn of its axes about +y, radians.
    """

    low: FloatArray
    high: FloatArray
    floor: float
    height: float
    yaw: float

    def in_level(self, place: FloatArray, height: float) -> FloatArray:
        """Return the point, (3,), at a place (x, z) along the room's axes."""
        x, z = from_room(place, self.yaw)
        return np.array([x, height, z])


def draw_room(rng: np.random.Generator, layout: Layout, floor: float) -> Room:
    """Draw a room around the camera and everything that stands in the scene."""
    low, high = room_bounds([*layout.objects, *layout.clutter], layout.room_yaw)
    low, high = np.minimum(low, -0.3), np.maximum(high, 0.3)
    reach = float(np.max(high - low))
    low = low - rng.exponential(0.35, 2) * reach - THICKNESS
    high = high + rng.exponential(0.35, 2) * reach + THICKNESS
    return Room(low, high, floor, rng.uniform(2.3, 3.2) * max(1.0, -floor), layout.room_yaw)


def ground(
    rng: np.random.Generator, textures: TextureLibrary, layout: Layout, height: float = 0.0
) -> Drawable:
    """Lay a wide textured floor whose surface is at a height."""
    material = draw_surface_material(rng, textures, period=0.8, plain=0.18)
    size = np.array([GROUND_SIZE, THICKNESS, GROUND_SIZE])
    return _board(np.array([0, height - THICKNESS / 2, 0]), size, layout.room_yaw, material)


def table_top(rng: np.random.Generator, textures: TextureLibrary, layout: Layout) -> list[Drawable]:
    """Lay a board under everything, and a floor a table's height below it."""
    low, high = room_bounds([*layout.objects, *layout.clutter], layout.room_yaw)
    low = low - rng.uniform(0.03, 0.8, 2) * layout.metre
    high = high + rng.uniform(0.03, 0.8, 2) * layout.metre
    missing = np.maximum(0.5 * layout.metre - (high - low), 0) / 2
    low, high = low - missing, high + missing
    thickness = rng.uniform(0.015, 0.06) * layout.metre
    material = draw_surface_material(rng, textures, period=0.8, plain=0.25)
    x, z = from_room((low + high) / 2, layout.room_yaw)
    size = np.array([high[0] - low[0], thickness, high[1] - low[1]])
    board = _board(np.array([x, -thickness / 2, z]), size, layout.room_yaw, material)
    return [board, ground(rng, textures, layout, -TABLE_HEIGHT_M * layout.metre)]


def walls(
    rng: np.random.Generator, textures: TextureLibrary, room: Room, hangings: bool
) -> list[Drawable]:
    """Build the room's four walls, some with skirting and hangings.

    Args:
        rng: Source of randomness.
        textures: Textures to choose from.
        room: The room.
        hangings: Whether posters and windows may hang there.
    """
    paint = draw_surface_material(rng, textures, period=1.5, plain=0.7)
    other = draw_surface_material(rng, textures, period=1.5, plain=0.8)
    trim = Material(np.tile(draw_color(rng), (PALETTE_SIZE, 1)), np.ones(3), roughness=0.5)
    skirting = rng.uniform(0.03, 0.09)
    span = room.high - room.low
    drawables = []
    for axis in (0, 1):
        for side in (-1, 1):
            place = (room.low + room.high) / 2
            place[axis] = (room.low, room.high)[side > 0][axis] + side * THICKNESS / 2
            size = np.array([span[0], room.height, span[1]])
            size[2 * axis] = THICKNESS
            material = paint if rng.random() < 0.8 else other
            center = room.in_level(place, room.floor + room.height / 2)
            drawables.append(_board(center, size, room.yaw, material))
            if rng.random() < 0.5:
                low = size.copy()
                low[1], low[2 * axis] = skirting, 2 * THICKNESS
                foot = room.in_level(place, room.floor + skirting / 2)
                drawables.append(_board(foot, low, room.yaw, trim))
            if rng.random() < 0.4 and hangings:
                drawables.append(_hanging(rng, room, axis, side, bool(textures.photos)))
    return drawables


def _hanging(rng: np.random.Generator, room: Room, axis: int, side: int, photo: bool) -> Drawable:
    """Hang a poster, window or panel on one wall."""
    span = room.high - room.low
    place = (room.low + room.high) / 2
    place[axis] = (room.low, room.high)[side > 0][axis] - side * THICKNESS / 2
    place[1 - axis] += rng.uniform(-0.4, 0.4) * span[1 - axis]
    glow = float(rng.random() < 0.25)
    color = np.full(3, rng.uniform(0.7, 1.0)) if glow else draw_color(rng)
    pasted = photo and not glow and rng.random() < 0.7
    material = Material(
        np.tile(color, (PALETTE_SIZE, 1)), np.ones(3), roughness=0.4, glow=glow, photo=pasted
    )
    height = room.floor + rng.uniform(0.6, 1.6) * max(1.0, -room.floor)
    size = np.array([*rng.uniform(0.25, 0.9, 2), THICKNESS])
    # The photo is pasted in the board's own x-y plane, so the board turns with the wall.
    turn = room.yaw + (np.pi / 2 if axis == 0 else 0.0)
    return _board(room.in_level(place, height), size, turn, material)


def room_bounds(things: Sequence[Standing], yaw: float) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest corner, (2,) each, of footprints along a room's axes."""
    corners = np.concatenate([thing.corners() for thing in things])
    cos, sin = np.cos(yaw), np.sin(yaw)
    in_room = corners @ np.array([[cos, sin], [-sin, cos]])
    return in_room.min(0), in_room.max(0)


def from_room(place: FloatArray, yaw: float) -> FloatArray:
    """Turn a place (x, z) along a room's axes into the level frame."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.asarray(place @ np.array([[cos, -sin], [sin, cos]]))


def catching(drawable: Drawable) -> Drawable:
    """Return a surface that shows the photo behind it and the shadows that fall on it."""
    return replace(drawable, catcher=True)


def _board(center: FloatArray, size: FloatArray, yaw: float, material: Material) -> Drawable:
    box = Box9DoF(rotation_about_y(yaw), np.asarray(center, float), np.asarray(size, float))
    return Drawable("box", _BOX, box, material, casts_shadow=False)
