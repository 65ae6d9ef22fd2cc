"""Procedural sofas: bases, seats, backs and arms; they face -z."""

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
    leg,
    plate,
    rounded_box,
    rounded_path,
    sweep,
)


@dataclass(frozen=True)
class Frame:
    """Main measures of a sofa, metres.

    Attributes:
        seats: Number of seat cushions.
        width: Half width without the arms.
        depth: Half depth.
        foot: Height of the underside.
        seat: Height of the seat's top.
        top: Height of the back's top.
        back: Thickness of the back.
        arm: Thickness of an arm.
        arm_top: Height of the arms.
        fabric: Colour of the upholstery.
        frame: Colour of legs and wood.
    """

    seats: int
    width: float
    depth: float
    foot: float
    seat: float
    top: float
    back: float
    arm: float
    arm_top: float
    fabric: Color
    frame: Color

    @property
    def outer(self) -> float:
        """Half width with the arms."""
        return self.width + self.arm


def _frame(rng: np.random.Generator, most: int = 3) -> Frame:
    seats = int(rng.integers(1, most + 1)) if rng.uniform() < 0.9 else most + 1
    seat = float(rng.uniform(0.38, 0.47))
    top = float(rng.uniform(0.68, 0.95))
    return Frame(
        seats=seats,
        width=seats * float(rng.uniform(0.29, 0.38)),
        depth=float(rng.uniform(0.39, 0.5)),
        foot=float(rng.choice([0.0, rng.uniform(0.04, 0.18)])),
        seat=seat,
        top=top,
        back=float(rng.uniform(0.12, 0.24)),
        arm=float(rng.uniform(0.09, 0.24)),
        arm_top=float(rng.uniform(seat + 0.08, min(seat + 0.28, top))),
        fabric=pick(rng, "vivid", "neutral", "neutral", "leather"),
        frame=pick(rng, "wood", "metal"),
    )


def _base(f: Frame, half_width: float, low: float | None = None) -> Part:
    bottom = f.foot if low is None else low
    return rounded_box(
        [-half_width, bottom, -f.depth + 0.02],
        [half_width, f.seat - 0.1, f.depth - 0.01],
        f.fabric,
        0.02,
    )


def _legs(rng: np.random.Generator, f: Frame, half_width: float) -> list[Part]:
    if f.foot < 0.02:
        return []
    half, round_ = float(rng.uniform(0.018, 0.04)), float(rng.choice([2.0, 9.0]))
    if rng.uniform() < 0.2:
        low, high = (
            [-half_width + 0.06, 0, -f.depth + 0.1],
            [half_width - 0.06, f.foot + 0.02, f.depth - 0.08],
        )
        return [box(low, high, f.frame)]
    xs = [-half_width + 0.08, half_width - 0.08] + ([0.0] if f.seats > 2 else [])
    return [
        leg(
            [x, f.foot + 0.03, z],
            [x, 0, z],
            half,
            half * float(rng.uniform(0.6, 1)),
            f.frame,
            round_,
        )
        for x in xs
        for z in (-f.depth + 0.09, f.depth - 0.08)
    ]


def _seat_cushions(
    rng: np.random.Generator, f: Frame, half_width: float, front: float
) -> list[Part]:
    count = f.seats if rng.uniform() < 0.75 else 1
    edges = np.linspace(-half_width, half_width, count + 1)
    exponent, color = float(rng.uniform(5, 12)), shade(f.fabric, float(rng.uniform(0.95, 1.1)))
    return [
        cushion(
            [a + 0.004, f.seat - 0.15, front],
            [b - 0.004, f.seat, f.depth - f.back * 0.7],
            color,
            exponent,
        )
        for a, b in pairwise(edges)
    ]


def _back(rng: np.random.Generator, f: Frame, half_width: float) -> list[Part]:
    """Make the back, plain or with loose cushions in front of it."""
    loose = rng.uniform() < 0.65
    top = f.top - (float(rng.uniform(0.02, 0.14)) if loose else 0.0)
    thick = f.back * (0.6 if loose else 1.0)
    low, high = [-half_width, f.foot, f.depth - thick], [half_width, top, f.depth]
    parts = [rounded_box(low, high, f.fabric, 0.04)]
    if loose:
        edges = np.linspace(-f.width, f.width, f.seats + 1)
        exponent, color = float(rng.uniform(3.5, 8)), shade(f.fabric, float(rng.uniform(0.92, 1.1)))
        parts += [
            cushion(
                [a + 0.005, f.seat - 0.03, f.depth - f.back - 0.06],
                [b - 0.005, f.top, f.depth - thick * 0.6],
                color,
                exponent,
            )
            for a, b in pairwise(edges)
        ]
    return parts


def _throws(rng: np.random.Generator, f: Frame) -> list[Part]:
    """Put a throw pillow into both corners, now and then into one."""
    parts = []
    lonely = int(rng.choice([-1, 1])) if rng.uniform() < 0.35 else 0
    for side in (-1, 1) if rng.uniform() < 0.3 else ():
        if side != lonely:
            half, x = float(rng.uniform(0.17, 0.23)), side * (f.width - 0.2)
            z = f.depth - f.back - 0.12
            parts.append(
                cushion(
                    [x - half, f.seat - 0.01, z - 0.07],
                    [x + half, f.seat + 1.7 * half, z + 0.07],
                    pick(rng, "vivid", "neutral"),
                    3.0,
                )
            )
    return parts


def _box_arms(f: Frame, radius: float) -> list[Part]:
    parts = []
    for s in (-1, 1):
        a, b = sorted((s * f.width, s * f.outer))
        parts.append(rounded_box([a, f.foot, -f.depth], [b, f.arm_top, f.depth], f.fabric, radius))
    return parts


def _classic(rng: np.random.Generator) -> list[Part]:
    """Make box arms, loose cushions and short legs."""
    f = _frame(rng)
    parts = [_base(f, f.outer - 0.01), *_box_arms(f, float(rng.uniform(0.015, 0.09)))]
    parts += _seat_cushions(rng, f, f.width, -f.depth - float(rng.uniform(0, 0.03)))
    return parts + _back(rng, f, f.outer - 0.01) + _legs(rng, f, f.outer) + _throws(rng, f)


def _rolled(rng: np.random.Generator) -> list[Part]:
    """Make rolled arms: a cylinder on top of a panel; a chesterfield when the back is as low."""
    f = _frame(rng)
    chesterfield = rng.uniform() < 0.5
    roll = float(rng.uniform(0.06, 0.1))
    arm_top = f.top - 0.02 if chesterfield else f.arm_top
    parts = [_base(f, f.outer - 0.02), *_seat_cushions(rng, f, f.width, -f.depth - 0.01)]
    for s in (-1, 1):
        a, b = sorted((s * (f.width - 0.01), s * (f.outer - 0.02)))
        parts.append(
            rounded_box([a, f.foot, -f.depth + 0.01], [b, arm_top - roll, f.depth], f.fabric, 0.02)
        )
        x = s * (f.width + f.arm * 0.55)
        path = np.asarray([[x, arm_top - roll, -f.depth], [x, arm_top - roll, f.depth]])
        parts.append(sweep(path, roll * 1.1, roll, f.fabric, sides=16))
    if chesterfield:
        low, high = (
            [-f.outer + 0.02, f.foot, f.depth - f.back],
            [f.outer - 0.02, f.top - roll, f.depth],
        )
        parts.append(rounded_box(low, high, f.fabric, 0.03))
        path = np.asarray(
            [[-f.outer, f.top - roll, f.depth - roll], [f.outer, f.top - roll, f.depth - roll]]
        )
        parts.append(sweep(path, roll * 1.1, roll, f.fabric, (0, 0, 1), sides=16))
    else:
        parts += _back(rng, f, f.outer - 0.02)
    return parts + _legs(rng, f, f.outer - 0.03) + _throws(rng, f)


def _armless(rng: np.random.Generator) -> list[Part]:
    f = _frame(rng, 2)
    parts = [_base(f, f.width), *_seat_cushions(rng, f, f.width, -f.depth)]
    return parts + _back(rng, f, f.width) + _legs(rng, f, f.width) + _throws(rng, f)


def _corner(rng: np.random.Generator) -> list[Part]:
    """Make an L: a chaise or a second wing that comes forward on one side."""
    f = _frame(rng, 3)
    side = int(rng.choice([-1, 1]))
    long = float(rng.uniform(0.45, 1.0))
    wide = float(rng.uniform(0.34, 0.42))
    inner, outer = sorted((side * (f.width - 2 * wide), side * f.width))
    front = -f.depth - long
    parts = [_base(f, f.width), *_seat_cushions(rng, f, f.width, -f.depth), *_back(rng, f, f.width)]
    parts.append(rounded_box([inner, f.foot, front], [outer, f.seat - 0.1, 0], f.fabric, 0.02))
    parts.append(
        cushion(
            [inner, f.seat - 0.15, front],
            [outer, f.seat, f.depth - f.back],
            shade(f.fabric, 1.05),
            9,
        )
    )
    a, b = sorted((-side * f.width, -side * f.outer))
    if rng.uniform() < 0.8:
        parts.append(rounded_box([a, f.foot, -f.depth], [b, f.arm_top, f.depth], f.fabric, 0.04))
    c, d = sorted((side * f.width, side * f.outer))
    if rng.uniform() < 0.6:
        wing = front if rng.uniform() < 0.4 else -f.depth
        parts.append(rounded_box([c, f.foot, wing], [d, f.arm_top, f.depth], f.fabric, 0.04))
    if f.foot > 0.02:
        for x in (inner + 0.06, outer - 0.06):
            parts.append(
                leg([x, f.foot + 0.02, front + 0.06], [x, 0, front + 0.06], 0.025, 0.02, f.frame)
            )
    return parts + _legs(rng, f, f.width)


def _wooden(rng: np.random.Generator) -> list[Part]:
    """Make an open wooden frame with cushions, as of mid-century sofas and futons."""
    f = _frame(rng)
    y, t, x = f.seat - 0.17, float(rng.uniform(0.018, 0.03)), f.width + 0.03
    parts = [box([-x, y - 0.05, -f.depth + 0.03], [x, y, f.depth - 0.06], f.frame)]
    parts += _seat_cushions(rng, f, f.width, -f.depth)
    for s in (-1, 1):
        front, rear = [s * x, f.arm_top, -f.depth + 0.06], [s * x, f.arm_top, f.depth - 0.06]
        parts.append(
            bar(
                [s * x, f.arm_top, -f.depth], [s * x, f.arm_top, f.depth], t * 1.6, t * 0.7, f.frame
            )
        )
        for p in (front, rear):
            parts.append(leg(p, [p[0], 0, p[2] * 1.04], t, t * 0.8, f.frame, 2.0))
    slats = int(rng.integers(4, 12))
    for x_slat in np.linspace(-f.width, f.width, slats):
        parts.append(
            bar(
                [x_slat, y - 0.03, f.depth - 0.1],
                [x_slat, f.top - 0.04, f.depth],
                0.014,
                0.01,
                f.frame,
            )
        )
    parts.append(
        bar([-x, f.top - 0.05, f.depth], [x, f.top - 0.05, f.depth], 0.014, 0.025, f.frame)
    )
    edges = np.linspace(-f.width, f.width, f.seats + 1)
    for a, b in pairwise(edges):
        low, high = (
            [a + 0.005, f.seat - 0.02, f.depth - f.back - 0.08],
            [b - 0.005, f.top, f.depth - 0.03],
        )
        parts.append(cushion(low, high, shade(f.fabric, 1.05), 5))
    return parts


def _block(rng: np.random.Generator) -> list[Part]:
    """Make a low modular block on a plinth, arms as high as the back."""
    f = _frame(rng)
    top, radius = float(rng.uniform(0.6, 0.74)), float(rng.uniform(0.01, 0.07))
    parts = [
        rounded_box([-f.outer, 0.03, -f.depth], [f.outer, f.seat - 0.08, f.depth], f.fabric, radius)
    ]
    parts.append(
        box([-f.outer + 0.03, 0, -f.depth + 0.03], [f.outer - 0.03, 0.06, f.depth - 0.03], f.frame)
    )
    parts += _seat_cushions(rng, f, f.width, -f.depth)
    parts.append(
        rounded_box([-f.outer, 0.05, f.depth - f.back], [f.outer, top, f.depth], f.fabric, radius)
    )
    for s in (-1, 1):
        if rng.uniform() < 0.85:
            a, b = sorted((s * f.width, s * f.outer))
            parts.append(rounded_box([a, 0.05, -f.depth], [b, top, f.depth], f.fabric, radius))
    return parts + _throws(rng, f)


def _tubular(rng: np.random.Generator) -> list[Part]:
    """Make a metal tube frame around a padded seat and back, as in waiting rooms."""
    f = _frame(rng)
    metal, t = pick(rng, "metal"), float(rng.uniform(0.014, 0.022))
    x, z = f.width + t, f.depth - 0.02
    parts = []
    for s in (-1, 1):
        loop = [[s * x, 0, -z], [s * x, f.arm_top, -z], [s * x, f.arm_top, z], [s * x, 0, z]]
        parts.append(sweep(rounded_path(loop, 0.1), t, t, metal))
    parts += [
        bar([-x, f.seat - 0.12, q], [x, f.seat - 0.12, q], t, t, metal, True)
        for q in (-z + 0.05, z - 0.05)
    ]
    parts.append(
        rounded_box(
            [-f.width, f.seat - 0.14, -f.depth], [f.width, f.seat, f.depth - 0.05], f.fabric, 0.04
        )
    )
    parts.append(
        rounded_box(
            [-f.width, f.seat - 0.05, f.depth - f.back], [f.width, f.top, f.depth], f.fabric, 0.04
        )
    )
    return parts


def _curved(rng: np.random.Generator) -> list[Part]:
    """Make a back that sweeps around the seat into the arms."""
    f = _frame(rng, 3)
    t = float(rng.uniform(0.06, 0.1))
    half, z = f.outer - t, f.depth - t
    corner = float(rng.uniform(0.25, 0.45))
    path = rounded_path([[-half, 0, -z], [-half, 0, z], [half, 0, z], [half, 0, -z]], corner, 9)
    middle = (f.top + f.foot) / 2
    path[:, 1] = middle
    parts = [sweep(path, (f.top - f.foot) / 2, t, f.fabric, (0.0, 1.0, 0.0), 5.0, 20)]
    parts.append(plate(half, f.depth - 0.02, f.foot, f.seat - 0.08, f.fabric, 5.0, 0.02))
    parts.append(
        plate(half, f.depth - 0.01, f.seat - 0.1, f.seat, shade(f.fabric, 1.06), 5.0, 0.03)
    )
    return parts + _legs(rng, f, half - 0.08)


FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "classic": _classic,
    "rolled": _rolled,
    "armless": _armless,
    "corner": _corner,
    "wooden": _wooden,
    "block": _block,
    "tubular": _tubular,
    "curved": _curved,
}
