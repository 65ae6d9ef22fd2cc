"""Closed building blocks of the procedural models: lofts, sweeps, boxes, cushions.

Everything is in metres, +y up, facing -z. Every part is watertight and turned outside out; parts
of one model may overlap, because the signed distance takes their union.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from points2objects.geometry import FloatArray, IntArray

Color = tuple[int, int, int]
Point = Sequence[float] | FloatArray


@dataclass(frozen=True)
class Part:
    """One watertight piece of a model.

    Attributes:
        vertices: (v, 3), metres.
        faces: (f, 3), counter-clockwise from outside.
        color: RGB, 0..255.
    """

    vertices: FloatArray
    faces: IntArray
    color: Color

    def moved(self, offset: Point) -> "Part":
        """Return the part shifted by an offset, (3,)."""
        return Part(self.vertices + np.asarray(offset, float), self.faces, self.color)

    def turned(self, angle: float) -> "Part":
        """Return the part turned about +y by an angle in radians."""
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
        return Part(self.vertices @ turn.T, self.faces, self.color)


def signed_volume(vertices: FloatArray, faces: IntArray) -> float:
    """Return the volume a closed mesh encloses, negative when it is inside out."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def loft(rings: FloatArray, color: Color, closed: bool = False) -> Part:
    """Skin a stack of rings; the ends get caps, or meet when `closed`.

    Args:
        rings: m rings of n points each, (m, n, 3), all running the same way.
        color: RGB.
        closed: Join the last ring to the first (a torus) instead of capping both.
    """
    rings = np.asarray(rings, float)
    m, n = rings.shape[:2]
    index = np.arange(m * n).reshape(m, n)
    below = index if closed else index[:-1]
    above = np.roll(index, -1, axis=0) if closed else index[1:]
    a, b = below, np.roll(below, -1, axis=1)
    c, d = np.roll(above, -1, axis=1), above
    faces = [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    vertices = [rings.reshape(-1, 3)]
    if not closed:
        vertices.append(rings[[0, -1]].mean(axis=1))
        first, last = index[0], index[-1]
        faces.append(np.stack([np.roll(first, -1), first, np.full(n, m * n)], -1))
        faces.append(np.stack([last, np.roll(last, -1), np.full(n, m * n + 1)], -1))
    points, triangles = np.concatenate(vertices), np.concatenate(faces)
    if signed_volume(points, triangles) < 0:
        triangles = triangles[:, ::-1]
    return Part(points, triangles, color)


def outline(half_x: float, half_z: float, exponent: float = 2.0, sides: int = 32) -> FloatArray:
    """Return a superellipse in the xz plane, (sides, 2): 2 is round, above 6 nearly a rectangle."""
    angle = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    c, s = np.cos(angle), np.sin(angle)
    radius = (np.abs(c) ** exponent + np.abs(s) ** exponent) ** (-1.0 / exponent)
    return np.stack([half_x * radius * c, half_z * radius * s], axis=-1)


def stack(
    shapes: Sequence[FloatArray], heights: Sequence[float] | FloatArray, color: Color
) -> Part:
    """Loft outlines in xz, each (n, 2), over their heights y, (m,)."""
    rings = [
        np.stack([shape[:, 0], np.full(len(shape), y), shape[:, 1]], -1)
        for shape, y in zip(shapes, heights, strict=True)
    ]
    return loft(np.stack(rings), color)


def lathe(profile: FloatArray, color: Color, exponent: float = 2.0, sides: int = 32) -> Part:
    """Turn a profile about the y axis.

    Args:
        profile: Radius and height, (m, 2), from one end on the axis to the other.
        color: RGB.
        exponent: 2 for circles, more for rounded squares.
        sides: Points around.
    """
    profile = np.asarray(profile, float)
    return stack(
        [outline(r, r, exponent, sides) for r in np.maximum(profile[:, 0], 2e-4)],
        profile[:, 1],
        color,
    )


def smooth(points: Sequence[Point], samples: int) -> FloatArray:
    """Run a curve without overshoot through control points, (m, d), and return (samples, d)."""
    control = np.asarray(points, float)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(control, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], samples)
    return np.asarray(PchipInterpolator(length, control)(at))


def rounded_path(points: Sequence[Point], radius: float, steps: int = 5) -> FloatArray:
    """Replace the inner corners of a polyline, (m, 3), by quadratic arcs."""
    control = np.asarray(points, float)
    path = [control[0]]
    for before, corner, after in zip(control, control[1:], control[2:], strict=False):
        entry, leave = before - corner, after - corner
        cut = min(radius, 0.45 * np.linalg.norm(entry), 0.45 * np.linalg.norm(leave))
        start = corner + entry / np.linalg.norm(entry) * cut
        end = corner + leave / np.linalg.norm(leave) * cut
        t = np.linspace(0.0, 1.0, steps)[:, None]
        path += list((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return np.asarray([*path, control[-1]])


def sweep(
    path: FloatArray,
    half_width: float | FloatArray,
    half_height: float | FloatArray,
    color: Color,
    side: Point = (1.0, 0.0, 0.0),
    exponent: float = 2.0,
    sides: int = 10,
) -> Part:
    """Drag a superellipse along a path.

    Args:
        path: (m, 3).
        half_width: Half extent of the section along `side`, one or (m,).
        half_height: Half extent across both `side` and the path, one or (m,).
        color: RGB.
        side: Direction, (3,), that the section's width stays close to; not along the path.
        exponent: Shape of the section, see `outline`.
        sides: Points around the section.
    """
    path = np.asarray(path, float)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    across = np.asarray(side, float) - (tangent @ np.asarray(side, float))[:, None] * tangent
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    normal = np.cross(tangent, across)
    section = outline(1.0, 1.0, exponent, sides)
    wide = np.broadcast_to(half_width, len(path))[:, None, None] * across[:, None]
    high = np.broadcast_to(half_height, len(path))[:, None, None] * normal[:, None]
    return loft(path[:, None] + section[:, :1] * wide + section[:, 1:] * high, color)


def leg(
    top: Point, foot: Point, top_half: float, foot_half: float, color: Color, exponent: float = 8.0
) -> Part:
    """Make a post between two heights, cut level at both ends; `exponent` 2 is round."""
    ends = np.asarray([foot, top], float)
    sides = 12 if exponent < 4 else 8
    rings = []
    for center, half in zip(ends, (foot_half, top_half), strict=True):
        section = outline(half, half, exponent, sides)
        rings.append(
            np.stack(
                [
                    center[0] + section[:, 0],
                    np.full(sides, center[1]),
                    center[2] + section[:, 1],
                ],
                -1,
            )
        )
    return loft(np.stack(rings), color)


def bar(
    start: Point,
    end: Point,
    half_width: float,
    half_height: float,
    color: Color,
    round_: bool = False,
) -> Part:
    """Make a straight rail; its height points upwards as far as its direction allows."""
    ends = np.asarray([start, end], float)
    direction = ends[1] - ends[0]
    side = np.cross(direction, (0.0, 1.0, 0.0))
    if np.linalg.norm(side) < 1e-3 * np.linalg.norm(direction):
        side = np.array([1.0, 0.0, 0.0])
    return sweep(
        ends, half_width, half_height, color, side, 2.0 if round_ else 10.0, 10 if round_ else 8
    )


def box(low: Point, high: Point, color: Color) -> Part:
    """Make a box between two corners, (3,) each."""
    (x0, y0, z0), (x1, y1, z1) = np.asarray(low, float), np.asarray(high, float)
    ring = [[x0, z0], [x1, z0], [x1, z1], [x0, z1]]
    return stack([np.asarray(ring), np.asarray(ring)], [y0, y1], color)


def plate(
    half_x: float,
    half_z: float,
    bottom: float,
    top: float,
    color: Color,
    exponent: float = 2.0,
    bevel: float = 0.0,
) -> Part:
    """Make a level slab with a superellipse outline and edges broken by `bevel` metres."""
    bevel = min(bevel, 0.45 * (top - bottom))
    shrink = [bevel, 0.0, 0.0, bevel] if bevel else [0.0, 0.0]
    heights = [bottom, bottom + bevel, top - bevel, top] if bevel else [bottom, top]
    shapes = [outline(half_x - s, half_z - s, exponent, 40) for s in shrink]
    return stack(shapes, heights, color)


def cushion(low: Point, high: Point, color: Color, exponent: float = 5.0) -> Part:
    """Make a pillow that fills a box; higher exponents are boxier."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    directions, faces = _sphere_grid(6)
    radius = (np.abs(directions) ** exponent).sum(axis=1) ** (-1.0 / exponent)
    vertices = (low + high) / 2 + directions * radius[:, None] * (high - low) / 2
    return Part(vertices, faces, color)


def rounded_box(low: Point, high: Point, color: Color, radius: float) -> Part:
    """Make a box with edges rounded by `radius`."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    radius = float(min(radius, 0.49 * (high - low).min()))
    directions, faces = _sphere_grid(5)
    core = np.sign(directions) * ((high - low) / 2 - radius)
    return Part((low + high) / 2 + core + radius * directions, faces, color)


def _sphere_grid(cells: int) -> tuple[FloatArray, IntArray]:
    """Project the grids of a cube's six sides onto the unit sphere and weld them.

    Coordinates come in an even number per side, so that none is zero and each vertex belongs to
    one octant.
    """
    count = cells + 1 + (cells + 1) % 2
    ticks = np.tan(np.linspace(-np.pi / 4, np.pi / 4, count))
    u, v = (grid.ravel() for grid in np.meshgrid(ticks, ticks, indexing="ij"))
    index = np.arange(count * count).reshape(count, count)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    quads = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    points: list[FloatArray] = []
    faces: list[IntArray] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            side = np.zeros((count * count, 3))
            side[:, axis], side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = sign, u, v
            faces.append((quads if sign > 0 else quads[:, ::-1]) + len(points) * count * count)
            points.append(side)
    stacked = np.concatenate(points)
    _, first, inverse = np.unique(
        np.round(stacked, 6), axis=0, return_index=True, return_inverse=True
    )
    welded = stacked[first]
    return (
        welded / np.linalg.norm(welded, axis=1, keepdims=True),
        inverse.ravel()[np.concatenate(faces)],
    )
