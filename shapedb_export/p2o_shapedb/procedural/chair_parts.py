"""What chairs of several families share: measures, seats, legs, backs, arms and bases."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.procedural.palette import pick
from p2o_shapedb.procedural.parts import (
    Color,
    Part,
    bar,
    cushion,
    leg,
    loft,
    outline,
    plate,
    smooth,
    sweep,
)


@dataclass(frozen=True)
class Frame:
    """Main measures of a chair, metres.

    Attributes:
        width: Half width of the seat.
        depth: Half depth of the seat.
        seat: Height of the seat's top.
        top: Height of the back's top.
        lean: Run of the back per rise.
    """

    width: float
    depth: float
    seat: float
    top: float
    lean: float

    def back(self, x: float, height: float) -> list[float]:
        """Return the point of the back plane at a side position and a height."""
        return [x, height, self.depth - 0.02 + self.lean * max(height - self.seat, 0.0)]


def draw_frame(rng: np.random.Generator) -> Frame:
    """Draw the main measures of a chair."""
    seat = float(rng.uniform(0.42, 0.49))
    return Frame(
        width=float(rng.uniform(0.19, 0.26)),
        depth=float(rng.uniform(0.19, 0.25)),
        seat=seat,
        top=seat + float(rng.uniform(0.3, 0.62)),
        lean=float(rng.uniform(0.03, 0.28)),
    )


def board_seat(rng: np.random.Generator, f: Frame, wood: Color) -> list[Part]:
    """Make a flat seat: bare, with an apron or with a cushion."""
    thick = float(rng.uniform(0.02, 0.045))
    style = rng.integers(3)
    exponent = float(rng.choice([3.0, 5.0, 10.0, 14.0]))
    parts = [plate(f.width, f.depth, f.seat - thick, f.seat, wood, exponent, 0.006)]
    if style == 0:
        fabric = pick(rng, "vivid", "neutral", "leather")
        puff = float(rng.uniform(0.03, 0.07))
        low = [-f.width * 0.97, f.seat - 0.012, -f.depth * 0.97]
        parts.append(cushion(low, [f.width * 0.97, f.seat + puff, f.depth * 0.93], fabric, 6))
    elif style == 1:
        parts.append(
            plate(f.width * 0.9, f.depth * 0.9, f.seat - 0.07, f.seat - thick / 2, wood, 12)
        )
    return parts


def legs(rng: np.random.Generator, f: Frame, color: Color, rear: bool = True) -> list[Part]:
    """Make four legs (or the front two), with splay, taper and stretchers at random."""
    half = float(rng.uniform(0.011, 0.024))
    taper = float(rng.choice([1.0, 1.0, rng.uniform(0.45, 0.8)]))
    exponent = float(rng.choice([2.0, 9.0]))
    splay = float(rng.choice([0.0, rng.uniform(0.02, 0.07)]))
    x, z, top = f.width - half - 0.01, f.depth - half - 0.01, f.seat - 0.01
    rows = [(-1, splay)] + ([(1, splay)] if rear else [])
    parts = [
        leg(
            [s * x, top, r * z],
            [s * (x + out), 0, r * (z + out)],
            half,
            half * taper,
            color,
            exponent,
        )
        for s in (-1, 1)
        for r, out in rows
    ]
    if rng.uniform() < 0.45:
        y = f.seat * float(rng.uniform(0.25, 0.5))
        grow = splay * (1 - y / f.seat)
        sx, sz, t = x + grow, z + grow, half * 0.55
        parts += [bar([s * sx, y, -sz], [s * sx, y, sz], t, t, color) for s in (-1, 1)]
        parts.append(bar([-sx, y, 0], [sx, y, 0], t, t, color))
    return parts


def posts(rng: np.random.Generator, f: Frame, color: Color) -> list[Part]:
    """Make rear legs that run on into the back's posts."""
    half = float(rng.uniform(0.012, 0.02))
    kick = float(rng.uniform(0.0, 0.06))
    parts = []
    for s in (-1, 1):
        x = s * (f.width - half)
        foot = [x, 0.0, f.depth - 0.02 + kick]
        path = np.asarray([foot, f.back(x, f.seat), f.back(x, f.top)])
        parts.append(sweep(path, half, half * 1.2, color, (1, 0, 0), 8.0, 8))
    return parts


def star_base(rng: np.random.Generator, radius: float, color: Color) -> list[Part]:
    """Make a five-armed base with castors or pads."""
    hub, pad = float(rng.uniform(0.07, 0.1)), float(rng.uniform(0.018, 0.03))
    parts = []
    for angle in np.arange(5) * 2 * np.pi / 5 + np.pi / 2:
        x, z = radius * np.cos(angle), radius * np.sin(angle)
        parts.append(bar([0, hub, 0], [x, pad * 2.1, z], 0.018, 0.013, color))
        parts.append(cushion([x - pad, 0, z - pad], [x + pad, 2 * pad, z + pad], (30, 30, 32), 3))
    return parts


def arms(rng: np.random.Generator, f: Frame, color: Color, chance: float) -> list[Part]:
    """Make two arm rests on struts, or none."""
    if rng.uniform() > chance:
        return []
    y = f.seat + float(rng.uniform(0.17, 0.24))
    half, reach = float(rng.uniform(0.014, 0.03)), -f.depth * float(rng.uniform(0.5, 0.95))
    parts = []
    for s in (-1, 1):
        x = s * (f.width + 0.005)
        parts.append(bar(f.back(x, y), [x, y, reach], half, 0.012, color))
        parts.append(
            leg([x, y, reach + 0.03], [x, f.seat - 0.03, reach + 0.03], 0.012, 0.014, color)
        )
    return parts


def rail(f: Frame, height: float, half_height: float, bend: float, color: Color) -> Part:
    """Make a rail across the back, bowed backwards in the middle."""
    x = np.linspace(-f.width, f.width, 9)
    path = np.asarray([f.back(float(v), height) for v in x])
    path[:, 2] += bend * (1 - (x / f.width) ** 2)
    return sweep(path, half_height, 0.009, color, (0.0, 1.0, 0.0), 8.0, 8)


def back_panel(rng: np.random.Generator, f: Frame, low: float, thick: float, color: Color) -> Part:
    """Make a solid back with rounded corners, bent about the vertical."""
    exponent, bend = float(rng.choice([2.6, 4.0, 9.0])), float(rng.uniform(0, 0.07))
    narrow = float(rng.uniform(0.75, 1.02))
    shape = outline(f.width * narrow, (f.top - low) / 2, exponent, 36)
    center = (f.top + low) / 2
    rings = []
    for scale, side in ((0.02, -1), (0.97, -1), (1.0, -0.5), (1.0, 0.5), (0.97, 1), (0.02, 1)):
        x, y = shape[:, 0] * scale, center + shape[:, 1] * scale
        z = f.depth - 0.02 + f.lean * (y - f.seat) - bend * (x / f.width) ** 2 + side * thick
        rings.append(np.stack([x, y, z], -1))
    return loft(np.stack(rings), color)


def shell_surface(rng: np.random.Generator, f: Frame, color: Color) -> Part:
    """Bend one thin shell from the seat's front edge up to the back's top."""
    rise = f.top - f.seat
    spine = smooth(
        [
            [f.seat - 0.02, -f.depth - 0.02],
            [f.seat + 0.005, -f.depth * 0.7],
            [f.seat - 0.01, f.depth * 0.3],
            [f.seat + 0.05, f.depth * 0.85],
            [f.seat + 0.3 * rise, f.depth * 0.98 + 0.2 * f.lean * rise],
            [f.top, f.depth + f.lean * rise],
        ],
        16,
    )
    t = np.linspace(0, 1, 16)
    half = f.width * (0.9 + 0.14 * np.sin(np.pi * t)) * np.where(t > 0.85, 1 - 3 * (t - 0.85), 1.0)
    cup = float(rng.uniform(0.01, 0.05))
    tangent = np.gradient(spine, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], -1) * -1.0
    u = np.linspace(-1, 1, 11)
    across = np.concatenate([u, u[::-1]])
    side = np.concatenate([np.full(11, 0.008), np.full(11, -0.008)])
    rings = []
    for center, n, w in zip(spine, normal, half, strict=True):
        lift = side + cup * across**2
        y, z = center[0] + n[0] * lift, center[1] + n[1] * lift
        rings.append(np.stack([across * w, y, z], -1))
    return loft(np.stack(rings), color)
