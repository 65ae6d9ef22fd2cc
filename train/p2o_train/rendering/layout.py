"""Where objects stand and where the camera looks from, in metres.

Everything is laid out in a frame whose origin lies on the support plane straight below the camera,
+y up, the camera heading along -z: the level frame, but in metres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from points2objects.camera import Camera
from points2objects.geometry import Box9DoF, FloatArray, rigid, rotation_about_y

CANONICAL_FOV_DEG = 60.0


@dataclass(frozen=True)
class Standing:
    """Something that stands on the support plane, or on something that does.

    Attributes:
        asset: Key of its mesh in the catalogue.
        extent: (3,), sides, m.
        yaw: Turn about +y, radians; at 0 it faces -z.
        x: Position of its centre, m.
        z: Position of its centre, m.
        y: Height of what it stands on, m.
        thing: What it is if it has no class, a key of `likeness.LOOKS_LIKE`; empty otherwise.
    """

    asset: str
    extent: FloatArray
    yaw: float = 0.0
    x: float = 0.0
    z: float = 0.0
    y: float = 0.0
    thing: str = ""

    def corners(self, gap: float = 0.0) -> FloatArray:
        """Return the corners of the footprint grown by a gap, (4, 2): x and z, in order."""
        half = self.extent[[0, 2]] / 2 + gap
        local = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        # The x-z part of a turn about +y.
        return np.asarray(local @ np.array([[cos, -sin], [sin, cos]]) + [self.x, self.z])

    def box(self) -> Box9DoF:
        """Return its box, standing on the plane or at its height, m."""
        center = np.array([self.x, self.y + self.extent[1] / 2, self.z])
        return Box9DoF(rotation_about_y(self.yaw), center, np.asarray(self.extent, float))


@dataclass(frozen=True)
class Viewpoint:
    """The canonical camera over the support plane.

    Attributes:
        height: Above the plane, m.
        pitch: Downwards, radians.
        roll: About the optical axis, radians; positive turns the picture clockwise.
    """

    height: float
    pitch: float
    roll: float

    def camera(self, size_px: int, unit: float = 1.0) -> Camera:
        """Return the camera, heading -z, in lengths of `unit` metres (its height: level frame)."""
        camera = Camera.from_fov(CANONICAL_FOV_DEG, size_px, size_px)
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        level = np.array([[1, 0, 0], [0, -cos, -sin], [0, sin, -cos]])
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]])
        pose = rigid(level @ turn, np.array([0, self.height / unit, 0]))
        return replace(camera, world_from_camera=pose, support_height=0.0)


@dataclass(frozen=True)
class Layout:
    """A viewpoint, the labelled objects and the clutter of no class.

    Attributes:
        kind: "floor", "tabletop" or "mixed".
        room_yaw: Direction that furniture and walls line up with, radians.
        metre: A metre in the layout's unit of length.
    """

    kind: str
    viewpoint: Viewpoint
    objects: tuple[Standing, ...]
    clutter: tuple[Standing, ...]
    room_yaw: float
    metre: float = 1.0

    def scaled(self, factor: float) -> "Layout":
        """Return the same scene `factor` times as large: the same picture and label."""

        def grow(things: tuple[Standing, ...]) -> tuple[Standing, ...]:
            return tuple(
                replace(s, extent=s.extent * factor, x=s.x * factor, y=s.y * factor, z=s.z * factor)
                for s in things
            )

        viewpoint = replace(self.viewpoint, height=self.viewpoint.height * factor)
        return replace(
            self, viewpoint=viewpoint, objects=grow(self.objects), clutter=grow(self.clutter),
            metre=self.metre * factor,
        )  # fmt: skip


def set_on(base: Standing, thing: Standing, place: FloatArray) -> Standing:
    """Return a thing at a place (x, y, z) in the axes of something that stands, turned with it.

    The place's origin is the middle of the base of what stands; the thing's yaw is relative to it.
    """
    x, y, z = (float(value) for value in place)
    cos, sin = math.cos(base.yaw), math.sin(base.yaw)
    return replace(
        thing, yaw=base.yaw + thing.yaw, y=base.y + y,
        x=base.x + cos * x + sin * z, z=base.z + cos * z - sin * x,
    )  # fmt: skip


def footprints_overlap(a: Standing, b: Standing, gap: float = 0.0) -> bool:
    """Tell whether two footprints come closer than `gap` along every separating axis."""
    ax, az, bx, bz = (float(side) / 2 + gap / 2 for side in (*a.extent[[0, 2]], *b.extent[[0, 2]]))
    x, z = b.x - a.x, b.z - a.z
    cos, sin = abs(math.cos(b.yaw - a.yaw)), abs(math.sin(b.yaw - a.yaw))
    a_cos, a_sin, b_cos, b_sin = math.cos(a.yaw), math.sin(a.yaw), math.cos(b.yaw), math.sin(b.yaw)
    return (
        abs(a_cos * x - a_sin * z) < ax + bx * cos + bz * sin
        and abs(a_sin * x + a_cos * z) < az + bx * sin + bz * cos
        and abs(b_cos * x - b_sin * z) < bx + ax * cos + az * sin
        and abs(b_sin * x + b_cos * z) < bz + ax * sin + az * cos
    )


def draw_viewpoint(rng: np.random.Generator, kind: str) -> tuple[Viewpoint, FloatArray]:
    """Draw a phone's viewpoint and the point on the plane it looks at, (x, z)."""
    spans = {
        "floor": ((0.9, 1.9), (5, 55), (1.2, 5.2), 0.35),
        "tabletop": ((0.15, 0.8), (8, 60), (0.2, 1.1), 0.06),
        "mixed": ((0.4, 1.3), (10, 55), (0.5, 2.4), 0.15),
    }
    (low, high), (flat, steep), (near, far), aim = spans[kind]
    while True:
        height = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        pitch = np.radians(rng.uniform(flat, steep))
        distance = (height - aim * min(1.0, height)) / np.tan(pitch)
        if near <= distance <= far:
            break
    pitch = float(np.clip(pitch + np.radians(rng.normal(0, 4)), np.radians(3), np.radians(62)))
    roll = float(np.radians(np.clip(rng.normal(0, 2.5), -8, 8)))
    aside = rng.normal(0, 0.12) * distance
    return Viewpoint(height, pitch, roll), np.array([aside, -distance])


class Arranger:
    """Stands things on the plane one after the other, never into each other."""

    def __init__(
        self, rng: np.random.Generator, viewpoint: Viewpoint, target: FloatArray, room_yaw: float
    ) -> None:
        self._rng = rng
        self._camera = viewpoint.camera(256)
        self._height = viewpoint.height
        self._target = target
        self._room_yaw = room_yaw
        self.placed: list[Standing] = []

    def place(self, thing: Standing, margin: float, aligned: float) -> Standing | None:
        """Find a place for a thing, near the others as a rule.

        Args:
            thing: What to place; its pose is ignored.
            margin: Share of the picture around its border where its centre may not fall; negative
                allows centres outside.
            aligned: Chance that it lines up with the room.

        Returns:
            The thing in its place, or None when no free place was found.
        """
        for _ in range(24):
            yaw = float(self._rng.uniform(-np.pi, np.pi))
            if self._rng.random() < aligned:
                quarter = self._rng.integers(4) * np.pi / 2
                yaw = float(self._room_yaw + quarter + self._rng.normal(0, 0.05))
            turned = replace(thing, yaw=yaw)
            proposal = self._first(turned) if not self.placed else self._beside(turned)
            if self._fits(proposal, margin):
                self.placed.append(proposal)
                return proposal
        return None

    def tuck(self, chair: Standing, table: Standing) -> Standing | None:
        """Place a chair at one side of a table, facing it."""
        for side in self._rng.permutation(4):
            out = table.yaw + side * np.pi / 2
            depth = table.extent[2 if side % 2 == 0 else 0] / 2
            width = table.extent[0 if side % 2 == 0 else 2] / 2
            reach = depth + chair.extent[2] / 2 + abs(self._rng.normal(0, 0.08)) + 0.03
            along = self._rng.uniform(-0.5, 0.5) * width
            # At yaw 0 the chair faces -z, so it stands on the table's +z side.
            center = np.array([table.x, table.z])
            center = center + reach * np.array([np.sin(out), np.cos(out)])
            center = center + along * np.array([np.cos(out), -np.sin(out)])
            yaw = float(out + self._rng.normal(0, 0.15))
            proposal = replace(chair, yaw=yaw, x=float(center[0]), z=float(center[1]))
            if self._fits(proposal, 0.02):
                self.placed.append(proposal)
                return proposal
        return None

    def sees(self, thing: Standing, margin: float = 0.0) -> bool:
        """Tell whether a thing's centre falls into the picture, off a margin around its border."""
        x, y, depth = self._camera.project(thing.box().translation)
        low, high = 256 * margin, 256 * (1 - margin)
        return bool(depth > 0 and low < x < high and low < y < high)

    def _first(self, thing: Standing) -> Standing:
        x, z = self._target + self._rng.normal(0, 0.08, 2) * -self._target[1]
        return replace(thing, x=float(x), z=float(z))

    def _beside(self, thing: Standing) -> Standing:
        anchor = self.placed[int(self._rng.integers(len(self.placed)))]
        direction = self._rng.uniform(-np.pi, np.pi)
        step = np.array([np.sin(direction), np.cos(direction)])
        size = float(min(thing.extent[0], thing.extent[2]))
        gap = abs(self._rng.normal(0, 0.35)) * size
        reach = 0.3 * size
        while True:
            x, z = np.array([anchor.x, anchor.z]) + reach * step
            proposal = replace(thing, x=float(x), z=float(z))
            if not footprints_overlap(proposal, anchor, gap):
                return proposal
            reach += 0.2 * size

    def _fits(self, thing: Standing, margin: float) -> bool:
        near = 0.28 * self._height
        corners = thing.corners()
        if corners[:, 1].max() > -near or np.hypot(*corners.T).min() < 1.3 * near:
            return False
        gap = 0.01 * float(np.max(thing.extent))
        return self.sees(thing, margin) and not any(
            footprints_overlap(thing, other, gap) for other in self.placed
        )


def jittered_extent(
    rng: np.random.Generator, extent: Sequence[float] | FloatArray, round_shape: bool
) -> FloatArray:
    """Vary a natural size by up to 15 % overall and 6 % per axis; round shapes stay round."""
    axes = rng.uniform(0.94, 1.06, 3)
    if round_shape:
        axes[2] = axes[0]
    return np.asarray(extent, float) * rng.uniform(0.87, 1.13) * axes
