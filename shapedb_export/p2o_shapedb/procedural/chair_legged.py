"""Chairs whose legs carry a flat seat: ladder, spindle and panel backs, slats, stools."""

from itertools import pairwise

import numpy as np

from p2o_shapedb.procedural.chair_parts import (
    Frame,
    arms,
    back_panel,
    board_seat,
    draw_frame,
    legs,
    posts,
    rail,
)
from p2o_shapedb.procedural.palette import pick
from p2o_shapedb.procedural.parts import Part, bar, box, leg, plate, sweep


def ladder(rng: np.random.Generator) -> list[Part]:
    """Make a chair with horizontal rails between the posts of its back."""
    f, wood = draw_frame(rng), pick(rng, "wood", "metal")
    parts = board_seat(rng, f, wood) + legs(rng, f, wood, rear=False) + posts(rng, f, wood)
    count = int(rng.integers(2, 6))
    half = min(float(rng.uniform(0.015, 0.04)), 0.35 * (f.top - f.seat) / count)
    bend = float(rng.uniform(0, 0.04))
    for y in np.linspace(f.seat + 0.12, f.top - half, count):
        parts.append(rail(f, float(y), half, bend, wood))
    return parts + arms(rng, f, wood, 0.3)


def spindle(rng: np.random.Generator) -> list[Part]:
    """Make a chair with upright rods under a rail or a bow."""
    f, wood = draw_frame(rng), pick(rng, "wood", "metal")
    parts = board_seat(rng, f, wood) + legs(rng, f, wood)
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
        parts.append(rail(f, f.top, float(rng.uniform(0.02, 0.05)), 0.0, wood))
        tops = np.full(count, f.top)
        spots = np.linspace(-0.95, 0.95, count)
    for x, y in zip(spots * f.width * 0.95, tops, strict=True):
        parts.append(
            bar(
                f.back(float(x), f.seat - 0.015), f.back(float(x), float(y)), thin, thin, wood, True
            )
        )
    return parts + arms(rng, f, wood, 0.3)


def panel(rng: np.random.Generator) -> list[Part]:
    """Make a chair with a solid back, down to the seat or on two bars."""
    f, wood = draw_frame(rng), pick(rng, "wood", "metal", "neutral")
    parts = board_seat(rng, f, wood) + legs(rng, f, wood)
    low = f.seat + float(rng.choice([-0.02, rng.uniform(0.08, 0.2)]))
    color = wood if rng.uniform() < 0.4 else pick(rng, "vivid", "neutral", "leather")
    parts.append(back_panel(rng, f, low, float(rng.uniform(0.008, 0.035)), color))
    if low > f.seat:
        for s in (-0.7, 0.7):
            x = s * f.width
            parts.append(bar(f.back(x, f.seat - 0.02), f.back(x, f.top - 0.06), 0.012, 0.008, wood))
    return parts + arms(rng, f, wood, 0.25)


def slat(rng: np.random.Generator) -> list[Part]:
    """Make a slatted or folding chair: flat boards for the seat and the back."""
    f, wood = draw_frame(rng), pick(rng, "wood", "vivid")
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
                rail(f, f.seat + 0.06 + (f.top - f.seat - 0.08) * i / (count - 1), 0.022, 0.0, wood)
            )
    parts += [rail(f, f.seat + 0.09, 0.015, 0, wood), rail(f, f.top - 0.02, 0.02, 0, wood)]
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
    return parts + posts(rng, f, wood) + legs(rng, f, wood, rear=False) + arms(rng, f, wood, 0.4)


def stool(rng: np.random.Generator) -> list[Part]:
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
