"""Procedural chairs: seats, legs, backs and arms, combined in structural families.

The seat's centre lies on the y axis, the back at +z, so that the chair faces -z.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from p2o_shapedb.procedural.palette import pick, shade
from p2o_shapedb.procedural.parts import (
    Color,
    Part,
    bar,
    box,
    cushion,
    lathe,
    leg,
    loft,
    outline,
    plate,
    rounded_box,
    rounded_path,
    smooth,
    stack,
    sweep,
)
from points2objects.geometry import FloatArray


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


def _frame(rng: np.random.Generator) -> Frame:
    seat = float(rng.uniform(0.42, 0.49))
    return Frame(
        width=float(rng.uniform(0.19, 0.26)),
        depth=float(rng.uniform(0.19, 0.25)),
        seat=seat,
        top=seat + float(rng.uniform(0.3, 0.62)),
        lean=float(rng.uniform(0.03, 0.28)),
    )


def _seat(rng: np.random.Generator, f: Frame, wood: Color) -> list[Part]:
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


def _legs(rng: np.random.Generator, f: Frame, color: Color, rear: bool = True) -> list[Part]:
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


def _posts(rng: np.random.Generator, f: Frame, color: Color) -> list[Part]:
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


def _arms(rng: np.random.Generator, f: Frame, color: Color, chance: float) -> list[Part]:
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


def _rail(f: Frame, height: float, half_height: float, bend: float, color: Color) -> Part:
    """Make a rail across the back, bowed backwards in the middle."""
    x = np.linspace(-f.width, f.width, 9)
    path = np.asarray([f.back(float(v), height) for v in x])
    path[:, 2] += bend * (1 - (x / f.width) ** 2)
    return sweep(path, half_height, 0.009, color, (0.0, 1.0, 0.0), 8.0, 8)


def _ladder(rng: np.random.Generator) -> list[Part]:
    f, wood = _frame(rng), pick(rng, "wood", "metal")
    parts = _seat(rng, f, wood) + _legs(rng, f, wood, rear=False) + _posts(rng, f, wood)
    count = int(rng.integers(2, 6))
    half = min(float(rng.uniform(0.015, 0.04)), 0.35 * (f.top - f.seat) / count)
    bend = float(rng.uniform(0, 0.04))
    for y in np.linspace(f.seat + 0.12, f.top - half, count):
        parts.append(_rail(f, float(y), half, bend, wood))
    return parts + _arms(rng, f, wood, 0.3)


def _spindle(rng: np.random.Generator) -> list[Part]:
    f, wood = _frame(rng), pick(rng, "wood", "metal")
    parts = _seat(rng, f, wood) + _legs(rng, f, wood)
    count, thin = int(rng.integers(4, 9)), float(rng.uniform(0.006, 0.011))
    bow = rng.uniform() < 0.5
    spots = np.linspace(-0.85, 0.85, count)
    if bow:
        angle = np.linspace(0, np.pi, 21)
        rise = (f.top - f.seat) * np.sin(angle) ** 0.7
        arch = [
            f.back(f.width * 0.95 * np.cos(a), f.seat - 0.01 + r)
            for a, r in zip(angle, rise, strict=True)
        ]
        parts.append(sweep(np.asarray(arch), 0.013, 0.013, wood, (0, 0, 1)))
        tops = f.seat + (f.top - f.seat) * (1 - spots**2) ** 0.35
    else:
        parts.append(_rail(f, f.top, float(rng.uniform(0.02, 0.05)), 0.0, wood))
        tops = np.full(count, f.top)
        spots = np.linspace(-0.95, 0.95, count)
    for x, y in zip(spots * f.width * 0.95, tops, strict=True):
        parts.append(
            bar(
                f.back(float(x), f.seat - 0.015), f.back(float(x), float(y)), thin, thin, wood, True
            )
        )
    return parts + _arms(rng, f, wood, 0.3)


def _back_panel(rng: np.random.Generator, f: Frame, low: float, thick: float, color: Color) -> Part:
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


def _panel(rng: np.random.Generator) -> list[Part]:
    f, wood = _frame(rng), pick(rng, "wood", "metal", "neutral")
    parts = _seat(rng, f, wood) + _legs(rng, f, wood)
    low = f.seat + float(rng.choice([-0.02, rng.uniform(0.08, 0.2)]))
    color = wood if rng.uniform() < 0.4 else pick(rng, "vivid", "neutral", "leather")
    parts.append(_back_panel(rng, f, low, float(rng.uniform(0.008, 0.035)), color))
    if low > f.seat:
        for s in (-0.7, 0.7):
            x = s * f.width
            parts.append(bar(f.back(x, f.seat - 0.02), f.back(x, f.top - 0.06), 0.012, 0.008, wood))
    return parts + _arms(rng, f, wood, 0.25)


def _parsons(rng: np.random.Generator) -> list[Part]:
    """Make an upholstered dining chair: a block seat, a thick back, short visible legs."""
    f, fabric = _frame(rng), pick(rng, "vivid", "neutral", "leather")
    drop = float(rng.uniform(0.07, 0.16))
    parts = [
        rounded_box(
            [-f.width, f.seat - drop, -f.depth], [f.width, f.seat + 0.02, f.depth], fabric, 0.025
        ),
        _back_panel(rng, f, f.seat - drop, float(rng.uniform(0.03, 0.05)), fabric),
    ]
    return parts + _legs(rng, f, pick(rng, "wood"))


def _shell_surface(rng: np.random.Generator, f: Frame, color: Color) -> Part:
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


def _shell(rng: np.random.Generator) -> list[Part]:
    f, color = _frame(rng), pick(rng, "vivid", "neutral", "wood")
    parts = [_shell_surface(rng, f, color)]
    frame = pick(rng, "wood", "metal")
    half = float(rng.uniform(0.008, 0.016))
    out = float(rng.uniform(0.0, 0.06))
    x, z = f.width * 0.55, f.depth * 0.55
    for s in (-1, 1):
        for r in (-1, 1):
            foot = [s * (f.width * 0.85 + out), 0, r * (f.depth * 0.85 + out)]
            parts.append(leg([s * x, f.seat - 0.005, r * z], foot, half * 1.3, half, frame, 2.0))
    parts.append(box([-x, f.seat - 0.04, -z], [x, f.seat - 0.005, z], frame))
    return parts


def _cantilever(rng: np.random.Generator) -> list[Part]:
    f, metal = _frame(rng), pick(rng, "metal")
    tube = float(rng.uniform(0.009, 0.014))
    x, y = f.width - tube, f.seat - 0.03
    parts = []
    for s in (-1, 1):
        path = rounded_path(
            [
                f.back(s * x, f.top),
                [s * x, y, f.depth],
                [s * x, y, -f.depth],
                [s * x, tube, -f.depth - 0.01],
                [s * x, tube, f.depth],
            ],
            0.07,
        )
        parts.append(sweep(path, tube, tube, metal))
    parts.append(
        bar([-x, tube, f.depth - 0.02], [x, tube, f.depth - 0.02], tube, tube, metal, True)
    )
    color = pick(rng, "leather", "neutral", "vivid", "wood")
    parts.append(
        rounded_box([-f.width, y, -f.depth], [f.width, f.seat + 0.01, f.depth], color, 0.02)
    )
    low = f.seat + float(rng.uniform(0.08, 0.2))
    parts.append(_back_panel(rng, f, low, float(rng.uniform(0.008, 0.025)), color))
    return parts + (_arms(rng, f, metal, 0.4))


def _star(rng: np.random.Generator, radius: float, color: Color) -> list[Part]:
    """Make a five-armed base with castors or pads."""
    hub, pad = float(rng.uniform(0.07, 0.1)), float(rng.uniform(0.018, 0.03))
    parts = []
    for angle in np.arange(5) * 2 * np.pi / 5 + np.pi / 2:
        x, z = radius * np.cos(angle), radius * np.sin(angle)
        parts.append(bar([0, hub, 0], [x, pad * 2.1, z], 0.018, 0.013, color))
        parts.append(cushion([x - pad, 0, z - pad], [x + pad, 2 * pad, z + pad], (30, 30, 32), 3))
    return parts


def _swivel(rng: np.random.Generator) -> list[Part]:
    f = _frame(rng)
    metal, fabric = pick(rng, "metal"), pick(rng, "neutral", "vivid", "leather")
    thick = float(rng.uniform(0.05, 0.11))
    low = [-f.width, f.seat - thick, -f.depth]
    parts = [*_star(rng, float(rng.uniform(0.26, 0.33)), metal)]
    parts.append(
        lathe(
            np.asarray(
                [
                    [0, 0.06],
                    [0.028, 0.06],
                    [0.028, f.seat - thick + 0.01],
                    [0, f.seat - thick + 0.01],
                ]
            ),
            metal,
        )
    )
    parts.append(cushion(low, [f.width, f.seat, f.depth], fabric, 5))
    start = f.seat + float(rng.choice([-0.04, rng.uniform(0.06, 0.16)]))
    parts.append(_back_panel(rng, f, start, float(rng.uniform(0.015, 0.045)), fabric))
    parts.append(
        bar([0, f.seat - thick * 0.7, f.depth * 0.5], f.back(0, f.seat - 0.03), 0.03, 0.012, metal)
    )
    parts.append(bar(f.back(0, f.seat - 0.05), f.back(0, start + 0.12), 0.03, 0.014, metal))
    if rng.uniform() < 0.55:
        y = f.seat + float(rng.uniform(0.16, 0.23))
        for s in (-1, 1):
            x = s * (f.width + 0.03)
            parts.append(
                rounded_box(
                    [x - 0.03, y - 0.025, -f.depth * 0.5],
                    [x + 0.03, y, f.depth * 0.7],
                    (40, 40, 42),
                    0.012,
                )
            )
            parts.append(
                bar([x, y - 0.01, 0.05], [x, f.seat - thick * 0.6, 0.05], 0.018, 0.012, metal)
            )
            parts.append(
                bar(
                    [x, f.seat - thick * 0.6, 0.05],
                    [0, f.seat - thick * 0.6, 0.05],
                    0.018,
                    0.012,
                    metal,
                )
            )
    if rng.uniform() < 0.25:
        head = Frame(f.width * 0.55, f.depth, f.seat, f.top + 0.2, f.lean)
        parts.append(_back_panel(rng, head, f.top + 0.05, 0.03, fabric))
        parts.append(bar(f.back(0, f.top - 0.05), f.back(0, f.top + 0.1), 0.02, 0.008, metal))
    return parts


def _pedestal(rng: np.random.Generator) -> list[Part]:
    """Make a shell or padded seat on one column with a round foot."""
    f, metal = _frame(rng), pick(rng, "metal", "neutral")
    foot = float(rng.uniform(0.19, 0.27))
    column = smooth(
        [[foot, 0.0], [foot, 0.012], [0.05, 0.04], [0.03, f.seat * 0.5], [0.05, f.seat - 0.02]], 14
    )
    profile = np.concatenate([[[0, 0]], column, [[0, f.seat - 0.02]]])
    color = pick(rng, "vivid", "neutral", "leather")
    return [lathe(profile, metal), _shell_surface(rng, f, color)]


def _stool(rng: np.random.Generator) -> list[Part]:
    """Make a stool, low or of bar height, with a low back."""
    seat = float(rng.choice([rng.uniform(0.44, 0.5), rng.uniform(0.6, 0.76)]))
    r = float(rng.uniform(0.16, 0.2))
    f = Frame(r, r, seat, seat + float(rng.uniform(0.12, 0.28)), float(rng.uniform(0.05, 0.3)))
    frame = pick(rng, "wood", "metal")
    half, out = float(rng.uniform(0.01, 0.017)), float(rng.uniform(0.02, 0.08))
    fabric = pick(rng, "wood", "leather", "vivid")
    exponent = float(rng.choice([2.0, 5.0]))
    parts = [plate(r, r, seat - float(rng.uniform(0.03, 0.07)), seat, fabric, exponent, 0.012)]
    for s in (-1, 1):
        for t in (-1, 1):
            top, foot = (
                [s * r * 0.6, seat - 0.02, t * r * 0.6],
                [s * (r * 0.7 + out), 0, t * (r * 0.7 + out)],
            )
            parts.append(leg(top, foot, half, half, frame, 2.0 if exponent == 2 else 8.0))
    y = seat * float(rng.uniform(0.28, 0.45))
    reach = r * 0.6 + (r * 0.1 + out) * (1 - y / seat)
    corners = [
        [s, y, t] for s, t in ((-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach))
    ]
    parts += [
        bar(corners[i], corners[i - 1], half * 0.7, half * 0.7, frame, True) for i in range(4)
    ]
    angle = np.linspace(-0.9, 0.9, 9) * float(rng.uniform(0.6, 1.1))
    arc = np.stack(
        [r * np.sin(angle), np.full(9, f.top - 0.03), r * np.cos(angle) + f.lean * 0.1], -1
    )
    parts.append(sweep(arc, 0.03, 0.01, fabric if rng.uniform() < 0.5 else frame, (0, 1, 0), 6.0))
    for i in (1, 7):
        foot_z = 0.85 * r * np.cos(angle[i])
        parts.append(
            bar([arc[i, 0] * 0.9, seat - 0.02, foot_z], arc[i], half * 0.8, half * 0.8, frame, True)
        )
    return parts


def _club(rng: np.random.Generator) -> list[Part]:
    """Make an upholstered armchair on short legs, with or without wings."""
    w, d = float(rng.uniform(0.3, 0.37)), float(rng.uniform(0.3, 0.36))
    seat, top = float(rng.uniform(0.4, 0.46)), float(rng.uniform(0.72, 1.05))
    fabric, wood = pick(rng, "vivid", "neutral", "leather"), pick(rng, "wood")
    arm, foot = float(rng.uniform(0.06, 0.11)), float(rng.uniform(0.1, 0.2))
    arm_top = seat + float(rng.uniform(0.14, 0.24))
    f = Frame(w - arm * 0.4, d - 0.06, seat, top, float(rng.uniform(0.1, 0.25)))
    parts = [
        rounded_box([-w + 0.02, foot, -d + 0.03], [w - 0.02, seat - 0.08, d - 0.02], fabric, 0.03),
        cushion(
            [-w + arm, seat - 0.13, -d], [w - arm, seat + 0.02, d - 0.1], shade(fabric, 1.06), 6
        ),
        _back_panel(rng, f, foot + 0.05, 0.06, fabric),
    ]
    for s in (-1, 1):
        inner, outer = sorted((s * (w - arm), s * w))
        parts.append(
            rounded_box([inner, foot, -d + 0.02], [outer, arm_top, d - 0.03], fabric, arm * 0.4)
        )
        for t in (-1, 1):
            at = [s * (w - 0.05), foot + 0.02, t * (d - 0.07)]
            parts.append(
                leg(at, [at[0] + s * 0.015, 0, at[2] + t * 0.015], 0.024, 0.014, wood, 2.0)
            )
        if top > 0.92:
            parts.append(
                rounded_box([inner, arm_top - 0.05, d - 0.22], [outer, top - 0.06, d], fabric, 0.03)
            )
    return parts


def _tub(rng: np.random.Generator) -> list[Part]:
    """Make a chair whose back wraps around into the arms."""
    r, seat = float(rng.uniform(0.25, 0.33)), float(rng.uniform(0.4, 0.46))
    low, back, arm = (
        seat - 0.12,
        seat + float(rng.uniform(0.26, 0.42)),
        seat + float(rng.uniform(0.1, 0.24)),
    )
    thick, fabric = float(rng.uniform(0.02, 0.045)), pick(rng, "vivid", "neutral", "leather")
    angle = np.linspace(-2.25, 2.25, 31)
    top = arm + (back - arm) * (0.5 + 0.5 * np.cos(np.clip(np.abs(angle) * 1.4, 0, np.pi)))
    rings = []
    for a, y in zip(angle, top, strict=True):
        section: list[FloatArray] = []
        for radius, height in (
            (r, low),
            (r, y - 0.01),
            (r - thick, y),
            (r - 2 * thick, y - 0.01),
            (r - 2 * thick, low),
        ):
            section.append(np.array([radius * np.sin(a), height, radius * np.cos(a)]))
        rings.append(np.stack(section))
    wood = pick(rng, "wood", "metal")
    parts = [
        loft(np.stack(rings), fabric),
        plate(r * 0.97, r * 0.97, low, seat, shade(fabric, 1.08), 2.2, 0.02),
    ]
    for s in (-1, 1):
        for t in (-1, 1):
            parts.append(
                leg(
                    [s * r * 0.6, low + 0.02, t * r * 0.6],
                    [s * r * 0.72, 0, t * r * 0.72],
                    0.02,
                    0.012,
                    wood,
                    2.0,
                )
            )
    return parts


def _slat(rng: np.random.Generator) -> list[Part]:
    """Make a slatted or folding chair: flat boards for the seat and the back."""
    f, wood = _frame(rng), pick(rng, "wood", "vivid")
    count, t = int(rng.integers(4, 8)), 0.008
    edges = np.linspace(-f.depth, f.depth, count + 1)
    parts = [
        box([-f.width, f.seat - 2 * t, a + 0.005], [f.width, f.seat, b - 0.005], wood)
        for a, b in pairwise(edges)
    ]
    upright = rng.uniform() < 0.5
    for i, v in enumerate(np.linspace(-1, 1, count)):
        if upright:
            x = float(v) * (f.width - 0.03)
            parts.append(
                bar(f.back(x, f.seat + 0.08), f.back(x, f.top), 0.4 * f.width / count, t, wood)
            )
        elif i:
            parts.append(
                _rail(
                    f, f.seat + 0.06 + (f.top - f.seat - 0.08) * i / (count - 1), 0.022, 0.0, wood
                )
            )
    parts += [_rail(f, f.seat + 0.09, 0.015, 0, wood), _rail(f, f.top - 0.02, 0.02, 0, wood)]
    x = f.width - 0.015
    if rng.uniform() < 0.4:
        for s in (-1, 1):
            parts.append(bar(f.back(s * x, f.top), [s * x, 0, -f.depth * 1.05], 0.01, 0.016, wood))
            parts.append(
                bar(
                    [s * (x - 0.025), f.seat - 0.01, -f.depth],
                    [s * (x - 0.025), 0, f.depth * 1.2],
                    0.01,
                    0.016,
                    wood,
                )
            )
        return parts
    parts += [
        box([s * x - 0.01, f.seat - 0.05, -f.depth], [s * x + 0.01, f.seat - t, f.depth], wood)
        for s in (-1, 1)
    ]
    return parts + _posts(rng, f, wood) + _legs(rng, f, wood, rear=False) + _arms(rng, f, wood, 0.4)


def _bucket(rng: np.random.Generator) -> list[Part]:
    """Make a one-piece plastic or veneer seat with side legs of flat stock, plywood style."""
    f, wood = _frame(rng), pick(rng, "wood", "vivid")
    t = float(rng.uniform(0.008, 0.014))
    parts = [_shell_surface(rng, f, wood)]
    y = f.seat - 0.03
    for s in (-1, 1):
        x, z = s * f.width * 0.8, f.depth * 0.7
        bend = [[x, 0, -f.depth - 0.02], [x, y, -z], [x, y, z], [x, 0, f.depth + 0.04]]
        path = rounded_path(bend, 0.06)
        parts.append(sweep(path, 0.022, t, shade(wood, 0.85), (1, 0, 0), 8.0, 8))
    stretcher = [outline(f.width * 0.82, 0.05, 8.0), outline(f.width * 0.82, 0.05, 8.0)]
    parts.append(stack(stretcher, [y - t, f.seat - 0.004], shade(wood, 0.85)))
    return parts


FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "ladder": _ladder,
    "spindle": _spindle,
    "panel": _panel,
    "parsons": _parsons,
    "shell": _shell,
    "cantilever": _cantilever,
    "swivel": _swivel,
    "pedestal": _pedestal,
    "stool": _stool,
    "club": _club,
    "tub": _tub,
    "slat": _slat,
    "bucket": _bucket,
}
