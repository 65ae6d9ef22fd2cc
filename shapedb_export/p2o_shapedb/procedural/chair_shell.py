"""Chairs of one bent piece: shells on legs, a column or plywood sides, and bent tubes."""

import numpy as np

from p2o_shapedb.procedural.chair_parts import arms, back_panel, draw_frame, shell_surface
from p2o_shapedb.procedural.palette import pick, shade
from p2o_shapedb.procedural.parts import (
    Part,
    bar,
    box,
    lathe,
    leg,
    outline,
    rounded_box,
    rounded_path,
    smooth,
    stack,
    sweep,
)


def shell(rng: np.random.Generator) -> list[Part]:
    """Make a one-piece shell on four legs."""
    f, color = draw_frame(rng), pick(rng, "vivid", "neutral", "wood")
    parts = [shell_surface(rng, f, color)]
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


def pedestal(rng: np.random.Generator) -> list[Part]:
    """Make a shell or padded seat on one column with a round foot."""
    f, metal = draw_frame(rng), pick(rng, "metal", "neutral")
    foot = float(rng.uniform(0.19, 0.27))
    column = smooth(
        [[foot, 0.0], [foot, 0.012], [0.05, 0.04], [0.03, f.seat * 0.5], [0.05, f.seat - 0.02]], 14
    )
    profile = np.concatenate([[[0, 0]], column, [[0, f.seat - 0.02]]])
    color = pick(rng, "vivid", "neutral", "leather")
    return [lathe(profile, metal), shell_surface(rng, f, color)]


def bucket(rng: np.random.Generator) -> list[Part]:
    """Make a one-piece plastic or veneer seat with side legs of flat stock, plywood style."""
    f, wood = draw_frame(rng), pick(rng, "wood", "vivid")
    t = float(rng.uniform(0.008, 0.014))
    parts = [shell_surface(rng, f, wood)]
    y = f.seat - 0.03
    for s in (-1, 1):
        x, z = s * f.width * 0.8, f.depth * 0.7
        bend = [[x, 0, -f.depth - 0.02], [x, y, -z], [x, y, z], [x, 0, f.depth + 0.04]]
        path = rounded_path(bend, 0.06)
        parts.append(sweep(path, 0.022, t, shade(wood, 0.85), (1, 0, 0), 8.0, 8))
    stretcher = [outline(f.width * 0.82, 0.05, 8.0), outline(f.width * 0.82, 0.05, 8.0)]
    parts.append(stack(stretcher, [y - t, f.seat - 0.004], shade(wood, 0.85)))
    return parts


def cantilever(rng: np.random.Generator) -> list[Part]:
    """Make a chair on two bent tubes without rear legs."""
    f, metal = draw_frame(rng), pick(rng, "metal")
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
    parts.append(back_panel(rng, f, low, float(rng.uniform(0.008, 0.025)), color))
    return parts + (arms(rng, f, metal, 0.4))
