"""Padded chairs: dining, office, club and tub chairs."""

import numpy as np

from p2o_shapedb.procedural.chair_parts import Frame, back_panel, draw_frame, legs, star_base
from p2o_shapedb.procedural.palette import pick, shade
from p2o_shapedb.procedural.parts import Part, bar, cushion, lathe, leg, loft, plate, rounded_box
from points2objects.geometry import FloatArray


def parsons(rng: np.random.Generator) -> list[Part]:
    """Make an upholstered dining chair: a block seat, a thick back, short visible legs."""
    f, fabric = draw_frame(rng), pick(rng, "vivid", "neutral", "leather")
    drop = float(rng.uniform(0.07, 0.16))
    parts = [
        rounded_box(
            [-f.width, f.seat - drop, -f.depth], [f.width, f.seat + 0.02, f.depth], fabric, 0.025
        ),
        back_panel(rng, f, f.seat - drop, float(rng.uniform(0.03, 0.05)), fabric),
    ]
    return parts + legs(rng, f, pick(rng, "wood"))


def swivel(rng: np.random.Generator) -> list[Part]:
    """Make an office chair on a five-armed base, with or without arms and head rest."""
    f = draw_frame(rng)
    metal, fabric = pick(rng, "metal"), pick(rng, "neutral", "vivid", "leather")
    thick = float(rng.uniform(0.05, 0.11))
    low = [-f.width, f.seat - thick, -f.depth]
    parts = [*star_base(rng, float(rng.uniform(0.26, 0.33)), metal)]
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
    parts.append(back_panel(rng, f, start, float(rng.uniform(0.015, 0.045)), fabric))
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
        parts.append(back_panel(rng, head, f.top + 0.05, 0.03, fabric))
        parts.append(bar(f.back(0, f.top - 0.05), f.back(0, f.top + 0.1), 0.02, 0.008, metal))
    return parts


def club(rng: np.random.Generator) -> list[Part]:
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
        back_panel(rng, f, foot + 0.05, 0.06, fabric),
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


def tub(rng: np.random.Generator) -> list[Part]:
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
