"""Procedural tables, from coffee tables to desks; the long side runs along x."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from p2o_shapedb.procedural.palette import pick, shade
from p2o_shapedb.procedural.parts import (
    Color,
    Part,
    bar,
    box,
    lathe,
    leg,
    plate,
    rounded_path,
    smooth,
    sweep,
)


def _size(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw half width, half depth and height: dining or desk, side table, coffee table."""
    kind = rng.choice(3, p=[0.5, 0.2, 0.3])
    if kind == 0:
        return (
            float(rng.uniform(0.45, 1.0)),
            float(rng.uniform(0.35, 0.5)),
            float(rng.uniform(0.7, 0.78)),
        )
    if kind == 1:
        half = float(rng.uniform(0.2, 0.32))
        return half, half * float(rng.uniform(0.8, 1.0)), float(rng.uniform(0.42, 0.65))
    return (
        float(rng.uniform(0.4, 0.65)),
        float(rng.uniform(0.25, 0.4)),
        float(rng.uniform(0.32, 0.48)),
    )


def _top(
    rng: np.random.Generator, x: float, z: float, h: float, color: Color, exponent: float = 0.0
) -> tuple[Part, float]:
    """Return the top and the height of its underside."""
    thick = float(rng.uniform(0.015, 0.05))
    exponent = exponent or float(rng.choice([6.0, 16.0, 30.0, 30.0]))
    return plate(x, z, h - thick, h, color, exponent, float(rng.choice([0.0, 0.006]))), h - thick


def _colors(rng: np.random.Generator) -> tuple[Color, Color]:
    top = pick(rng, "wood", "wood", "neutral", "glass")
    return top, top if rng.uniform() < 0.5 else pick(rng, "wood", "metal", "neutral")


def _shelf(rng: np.random.Generator, x: float, z: float, h: float, color: Color) -> list[Part]:
    y = h * float(rng.uniform(0.15, 0.45))
    return [plate(x, z, y, y + 0.018, color, 30.0)]


def _four(rng: np.random.Generator) -> list[Part]:
    (x, z, h), (color, frame) = _size(rng), _colors(rng)
    top, under = _top(rng, x, z, h, color)
    half = float(rng.uniform(0.018, 0.045))
    inset = half + float(rng.choice([0.002, rng.uniform(0.02, 0.12)]))
    taper, exponent = (
        float(rng.choice([1.0, rng.uniform(0.4, 0.75)])),
        float(rng.choice([2.0, 9.0, 9.0])),
    )
    splay = float(rng.choice([0.0, 0.0, rng.uniform(0.02, 0.1)])) if inset > half + 0.01 else 0.0
    lx, lz = x - inset, z - inset
    parts = [top]
    for s in (-1, 1):
        for r in (-1, 1):
            foot = [s * (lx + splay), 0, r * (lz + splay)]
            parts.append(
                leg([s * lx, under + 0.005, r * lz], foot, half, half * taper, frame, exponent)
            )
    if rng.uniform() < 0.6:
        drop = under - float(rng.uniform(0.05, 0.11))
        parts += [
            box([-lx, drop, r * lz - 0.01], [lx, under + 0.003, r * lz + 0.01], frame)
            for r in (-1, 1)
        ]
        parts += [
            box([s * lx - 0.01, drop, -lz], [s * lx + 0.01, under + 0.003, lz], frame)
            for s in (-1, 1)
        ]
    if rng.uniform() < 0.3:
        parts += _shelf(rng, lx + half * 0.8, lz + half * 0.8, h, color)
    return parts


def _square(rng: np.random.Generator) -> list[Part]:
    x, _, h = _size(rng)
    x = min(x, float(rng.uniform(0.25, 0.6)))
    color, frame = _colors(rng)
    top, under = _top(rng, x, x, h, color)
    half = float(rng.uniform(0.02, 0.05))
    at = x - half - float(rng.choice([0.0, 0.04]))
    legs = [
        leg([s * at, under + 0.005, r * at], [s * at, 0, r * at], half, half, frame)
        for s in (-1, 1)
        for r in (-1, 1)
    ]
    return [top, *legs, *(_shelf(rng, at, at, h, color) if rng.uniform() < 0.3 else [])]


def _pedestal(rng: np.random.Generator) -> list[Part]:
    """Make a round or oval top on one turned column."""
    x, _, h = _size(rng)
    r = float(min(max(x, 0.25), 0.65))
    oval = float(rng.choice([1.0, 1.0, 1.0, rng.uniform(0.65, 0.85)]))
    color, frame = _colors(rng)
    top, under = _top(rng, r, r * oval, h, color, 2.0)
    foot, waist = r * float(rng.uniform(0.4, 0.75)), float(rng.uniform(0.025, 0.07))
    style = rng.integers(3)
    if style == 0:
        control = [[foot, 0], [foot, 0.015], [waist * 1.5, 0.05], [waist, h * 0.4], [waist, under]]
    elif style == 1:
        control = [
            [foot, 0],
            [foot * 0.7, 0.1 * h],
            [waist, 0.45 * h],
            [waist * 1.6, 0.8 * h],
            [foot * 0.8, under],
        ]
    else:
        control = [
            [foot, 0],
            [foot, 0.03],
            [waist, 0.031],
            [waist * 1.8, 0.3 * h],
            [waist, 0.6 * h],
            [waist, under],
        ]
    profile = np.concatenate([[[0, 0]], smooth(control, 18), [[0, under + 0.004]]])
    return [top, lathe(profile, frame)]


def _claw(rng: np.random.Generator) -> list[Part]:
    """Make a round top on a column with three to five splayed feet."""
    x, _, h = _size(rng)
    r = float(min(max(x, 0.22), 0.6))
    color, frame = _colors(rng)
    top, under = _top(rng, r, r, h, color, float(rng.choice([2.0, 2.0, 20.0])))
    count, reach = int(rng.integers(3, 6)), r * float(rng.uniform(0.55, 0.9))
    column, t = float(rng.uniform(0.025, 0.045)), float(rng.uniform(0.014, 0.025))
    rise = h * float(rng.uniform(0.1, 0.3))
    profile = [[0, rise * 0.5], [column, rise * 0.5], [column, under + 0.004], [0, under + 0.004]]
    parts = [top, lathe(np.asarray(profile), frame)]
    for angle in np.arange(count) * 2 * np.pi / count - np.pi / 2:
        direction = np.array([np.cos(angle), 0.0, np.sin(angle)])
        path = smooth(
            [
                direction * 0.0 + [0, rise, 0],
                direction * reach * 0.5 + [0, rise * 0.8, 0],
                direction * reach + [0, t, 0],
            ],
            8,
        )
        parts.append(sweep(path, t, t, frame, np.cross(direction, (0.0, 1.0, 0.0))))
    return parts


def _round_legs(rng: np.random.Generator) -> list[Part]:
    x, _, h = _size(rng)
    r = float(min(max(x, 0.22), 0.65))
    color, frame = _colors(rng)
    top, under = _top(rng, r, r * float(rng.choice([1.0, 1.0, 0.7])), h, color, 2.0)
    depth = float(np.abs(top.vertices[:, 2]).max())
    count, half = int(rng.choice([3, 4, 4])), float(rng.uniform(0.012, 0.03))
    near, out = float(rng.uniform(0.5, 0.75)), float(rng.uniform(0.0, 0.25))
    parts = [top]
    for angle in (np.arange(count) + 0.5) * 2 * np.pi / count:
        spot = np.array([r * np.cos(angle), 0.0, depth * np.sin(angle)])
        foot = spot * (near + out)
        head = spot * near + [0, under + 0.004, 0]
        parts.append(leg(head, foot, half * 1.2, half * float(rng.uniform(0.6, 1)), frame, 2.0))
    if rng.uniform() < 0.25:
        y = h * 0.35
        inner = near + out * 0.6
        parts.append(plate(r * inner, depth * inner, y, y + 0.018, color, 2.0))
    return parts


def _drum(rng: np.random.Generator) -> list[Part]:
    """Make a solid round side table: drum, hourglass or cone."""
    r, h = float(rng.uniform(0.18, 0.4)), float(rng.uniform(0.3, 0.55))
    waist, foot = r * float(rng.uniform(0.5, 1.05)), r * float(rng.uniform(0.7, 1.0))
    body = smooth([[foot, 0], [waist, h * rng.uniform(0.4, 0.6)], [r * 0.95, h - 0.03]], 12)
    profile = np.concatenate([[[0, 0]], body, [[0, h - 0.03]]])
    return [
        lathe(profile, pick(rng, "wood", "metal", "neutral")),
        plate(r, r, h - 0.032, h, pick(rng, "wood", "neutral")),
    ]


def _trestle(rng: np.random.Generator) -> list[Part]:
    (x, z, h), (color, frame) = _size(rng), _colors(rng)
    x = max(x, 1.3 * z)
    top, under = _top(rng, x, z, h, color)
    half, at, spread = (
        float(rng.uniform(0.02, 0.04)),
        x * float(rng.uniform(0.6, 0.85)),
        z * float(rng.uniform(0.6, 0.9)),
    )
    a_frame = rng.uniform() < 0.5
    parts = [top]
    for s in (-at, at):
        if a_frame:
            parts += [
                leg([s, under, r * z * 0.15], [s, 0, r * spread], half, half, frame)
                for r in (-1, 1)
            ]
            y = h * 0.35
            reach = spread * (1 - y / under) + z * 0.15 * y / under
            parts.append(bar([s, y, -reach], [s, y, reach], half * 0.6, half * 0.7, frame))
        else:
            parts.append(box([s - half, 0, -spread], [s + half, half * 2, spread], frame))
            wide = float(rng.uniform(0.05, 0.12))
            parts.append(box([s - half, half, -wide], [s + half, under, wide], frame))
        parts.append(
            box([s - half, under - half * 1.6, -spread], [s + half, under + 0.003, spread], frame)
        )
    y = h * float(rng.uniform(0.2, 0.5))
    return [*parts, bar([-at, y, 0], [at, y, 0], half * 0.6, half, frame)]


def _cross(rng: np.random.Generator) -> list[Part]:
    """Make legs that cross like an X, at both ends or under the middle."""
    (x, z, h), (color, frame) = _size(rng), _colors(rng)
    top, under = _top(rng, x, z, h, color)
    half = float(rng.uniform(0.015, 0.035))
    parts = [top]
    if rng.uniform() < 0.6:
        at, reach = x * float(rng.uniform(0.65, 0.9)), z * float(rng.uniform(0.7, 0.95))
        for s in (-at, at):
            parts += [
                bar([s, under, r * reach], [s, half, -r * reach], half, half, frame)
                for r in (-1, 1)
            ]
            parts.append(
                box([s - half, under - 0.03, -reach], [s + half, under + 0.003, reach], frame)
            )
        parts.append(bar([-at, h / 2, 0], [at, h / 2, 0], half * 0.8, half * 0.8, frame))
    else:
        rx, rz = x * 0.8, z * 0.8
        for s in (-1, 1):
            parts.append(bar([s * rx, under, rz], [-s * rx, half, -rz], half, half, frame))
    return parts


def _parsons(rng: np.random.Generator) -> list[Part]:
    """Make thick legs flush with the top's edges, or closed side panels."""
    (x, z, h), (color, frame) = _size(rng), _colors(rng)
    t = float(rng.uniform(0.02, 0.09))
    parts = [box([-x, h - t, -z], [x, h, z], color)]
    style = rng.integers(3)
    if style == 0:
        for s in (-1, 1):
            for r in (-1, 1):
                a, b = sorted((s * (x - t), s * x)), sorted((r * (z - t), r * z))
                parts.append(box([a[0], 0, b[0]], [a[1], h - t / 2, b[1]], frame))
    else:
        for s in (-1, 1):
            a = sorted((s * (x - t), s * x))
            parts.append(box([a[0], 0, -z], [a[1], h - t / 2, z], color))
        if style == 2:
            y = h * float(rng.uniform(0.1, 0.5))
            parts.append(box([-x + t / 2, y, -z], [x - t / 2, y + t * 0.8, z], color))
    return parts


def _loop(rng: np.random.Generator) -> list[Part]:
    """Make metal loops: sled, trapezoid or hairpin legs."""
    (x, z, h), (color, _) = _size(rng), _colors(rng)
    top, under = _top(rng, x, z, h, color)
    metal, t = pick(rng, "metal"), float(rng.uniform(0.008, 0.025))
    parts = [top]
    if rng.uniform() < 0.5:
        at, lean = x * float(rng.uniform(0.7, 0.95)), float(rng.uniform(0.5, 1.0))
        for s in (-at, at):
            loop = [
                [s, under, -z * 0.92],
                [s, t, -z * 0.92 * lean],
                [s, t, z * 0.92 * lean],
                [s, under, z * 0.92],
            ]
            parts.append(sweep(rounded_path(loop, 0.02), t * 1.5, t, metal, (1, 0, 0), 10.0, 8))
        return parts
    wide = float(rng.uniform(0.04, 0.09))
    for s in (-1, 1):
        for r in (-1, 1):
            a, b = (
                [s * (x - 0.05), under, r * (z - 0.05 - wide)],
                [s * (x - 0.05 - wide), under, r * (z - 0.05)],
            )
            tip = [s * (x - 0.03), t * 0.5, r * (z - 0.03)]
            parts += [bar(p, tip, t * 0.6, t * 0.6, metal, True) for p in (a, b)]
    return parts


def _desk(rng: np.random.Generator) -> list[Part]:
    """Make a desk: side panels or drawers towards the user at -z, a back panel at +z."""
    x, z, h = (
        float(rng.uniform(0.5, 0.9)),
        float(rng.uniform(0.27, 0.42)),
        float(rng.uniform(0.71, 0.78)),
    )
    color, frame = _colors(rng)
    t = float(rng.uniform(0.018, 0.035))
    parts = [box([-x, h - t, -z], [x, h, z], color)]
    drawers = {-1: rng.uniform() < 0.6, 1: rng.uniform() < 0.5}
    for s, full in drawers.items():
        wide = float(rng.uniform(0.3, 0.42)) if full else t
        a = sorted((s * (x - 0.01 - wide), s * (x - 0.01)))
        low = float(rng.choice([0.0, 0.08])) if full else 0.0
        parts.append(box([a[0], low, -z + 0.02], [a[1], h - t / 2, z - 0.02], frame))
        if low:
            parts += [
                leg([px, low + 0.01, pz], [px, 0, pz], 0.015, 0.015, frame)
                for px in (a[0] + 0.02, a[1] - 0.02)
                for pz in (-z + 0.04, z - 0.04)
            ]
        if full:
            count = int(rng.integers(2, 5))
            edges = np.linspace(low + 0.02, h - t - 0.01, count + 1)
            for y0, y1 in pairwise(edges):
                parts.append(
                    box(
                        [a[0] + 0.01, y0 + 0.006, -z + 0.005],
                        [a[1] - 0.01, y1 - 0.006, -z + 0.025],
                        shade(frame, 1.12),
                    )
                )
                mid, y = (a[0] + a[1]) / 2, (y0 + y1) / 2
                parts.append(
                    box(
                        [mid - 0.05, y - 0.006, -z - 0.012],
                        [mid + 0.05, y + 0.006, -z + 0.01],
                        (60, 60, 60),
                    )
                )
    depth = float(rng.uniform(0.25, 0.6))
    parts.append(box([-x + 0.02, h - t - depth, z - 0.04], [x - 0.02, h - t / 2, z - 0.022], frame))
    return parts


def _nested(rng: np.random.Generator) -> list[Part]:
    """Make a table with an open shelf box below the top, or two levels of round tops."""
    (x, z, h), (color, frame) = _size(rng), _colors(rng)
    t = float(rng.uniform(0.016, 0.03))
    deck = h * float(rng.uniform(0.35, 0.6))
    parts = [box([-x, h - t, -z], [x, h, z], color), box([-x, deck, -z], [x, deck + t, z], color)]
    parts.append(box([-x, deck, z - t], [x, h - t / 2, z], frame))
    parts += [box([a, deck, -z], [b, h - t / 2, z], frame) for a, b in ((-x, -x + t), (x - t, x))]
    half = float(rng.uniform(0.015, 0.03))
    out = float(rng.uniform(0.0, 0.05))
    for s in (-1, 1):
        for r in (-1, 1):
            at = [s * (x - half - 0.02 - out), deck + t / 2, r * (z - half - 0.02 - out)]
            parts.append(
                leg(at, [at[0] + s * out, 0, at[2] + r * out], half, half * 0.7, frame, 2.0)
            )
    return parts


FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "four": _four,
    "square": _square,
    "pedestal": _pedestal,
    "claw": _claw,
    "roundlegs": _round_legs,
    "drum": _drum,
    "trestle": _trestle,
    "cross": _cross,
    "parsons": _parsons,
    "loop": _loop,
    "desk": _desk,
    "nested": _nested,
}
