"""Procedural bottles, jugs and dispensers: solid bodies with necks, caps and labels."""

from collections.abc import Callable, Mapping

import numpy as np

from p2o_shapedb.procedural.palette import pick
from p2o_shapedb.procedural.parts import (
    Color,
    Part,
    bar,
    lathe,
    outline,
    rounded_box,
    rounded_path,
    smooth,
    stack,
    sweep,
)


def _turned(rng: np.random.Generator, control: list[list[float]], color: Color) -> Part:
    body = smooth(control, 30)
    ends = [[0.0, control[0][1]]], [[0.0, control[-1][1]]]
    return lathe(np.concatenate([ends[0], body, ends[1]]), color)


def _ring(radius: float, low: float, high: float, color: Color) -> Part:
    """Make a disc: a cap, or a label just proud of the body."""
    return lathe(np.asarray([[0, low], [radius, low], [radius, high], [0, high]]), color)


def _label(rng: np.random.Generator, radius: float, low: float, high: float) -> list[Part]:
    if rng.uniform() < 0.25:
        return []
    a, b = sorted(rng.uniform(low, high, 2))
    return [_ring(radius * 1.012, a, max(b, a + 0.3 * (high - low)), pick(rng, "neutral", "vivid"))]


def _wine(rng: np.random.Generator) -> list[Part]:
    r, h, neck = rng.uniform(0.035, 0.041), rng.uniform(0.28, 0.33), rng.uniform(0.0125, 0.015)
    shoulder = h * rng.uniform(0.55, 0.66)
    color = pick(rng, "glass")
    body = [[r * 0.93, 0], [r, 0.008], [r, shoulder * 0.6], [r, shoulder]]
    body += [
        [r * 0.8, shoulder + 0.025],
        [neck * 1.15, shoulder + 0.05],
        [neck, h * 0.9],
        [neck, h],
    ]
    foil = _ring(neck * 1.15, h * rng.uniform(0.8, 0.94), h * 1.005, pick(rng, "vivid", "metal"))
    return [_turned(rng, body, color), foil, *_label(rng, r, shoulder * 0.2, shoulder * 0.9)]


def _burgundy(rng: np.random.Generator) -> list[Part]:
    r, h, neck = rng.uniform(0.038, 0.046), rng.uniform(0.27, 0.34), rng.uniform(0.012, 0.016)
    shoulder = h * rng.uniform(0.35, 0.5)
    body = [[r * 0.92, 0], [r, 0.01], [r, shoulder], [r * 0.62, h * 0.64]]
    body += [[neck * 1.2, h * 0.78], [neck, h * 0.9], [neck, h]]
    cap = _ring(neck * 1.2, h * rng.uniform(0.85, 0.95), h * 1.01, pick(rng, "vivid", "metal"))
    return [_turned(rng, body, pick(rng, "glass")), cap, *_label(rng, r, 0.02, shoulder)]


def _beer(rng: np.random.Generator) -> list[Part]:
    r, h, neck = rng.uniform(0.029, 0.034), rng.uniform(0.18, 0.25), rng.uniform(0.012, 0.0145)
    shoulder = h * rng.uniform(0.42, 0.6)
    rise = h * rng.uniform(0.1, 0.24)
    body = [[r * 0.93, 0], [r, 0.006], [r, shoulder], [neck * 1.3, shoulder + rise], [neck, h]]
    cap = _ring(neck * 1.18, h - 0.004, h + 0.004, pick(rng, "vivid", "metal"))
    return [_turned(rng, body, pick(rng, "glass")), cap, *_label(rng, r, 0.015, shoulder)]


def _water(rng: np.random.Generator) -> list[Part]:
    r, h, neck = rng.uniform(0.03, 0.045), rng.uniform(0.19, 0.32), rng.uniform(0.012, 0.015)
    y = np.linspace(0.012, h * 0.68, 22)
    ribs, waist = rng.uniform(0, 0.03), rng.uniform(0, 0.14)
    wave = 1 - ribs * (1 + np.cos(y / h * rng.integers(30, 60))) / 2
    wave -= waist * np.exp(-(((y / h - 0.4) / 0.1) ** 2))
    body = np.concatenate(
        [
            [[0, 0], [r * 0.85, 0]],
            np.stack([r * wave, y], -1),
            smooth([[r * wave[-1], h * 0.7], [r * 0.75, h * 0.82], [neck, h * 0.92], [neck, h]], 9),
            [[0, h]],
        ]
    )
    cap = _ring(neck * 1.25, h * 0.94, h * 1.02, pick(rng, "vivid", "neutral"))
    label = _ring(r * 1.01, h * 0.42, h * rng.uniform(0.52, 0.62), pick(rng, "vivid"))
    return [lathe(body, pick(rng, "glass", "vivid")), cap, label]


def _square(rng: np.random.Generator) -> list[Part]:
    x, h = rng.uniform(0.03, 0.05), rng.uniform(0.14, 0.28)
    z, neck = x * rng.uniform(0.5, 1.0), rng.uniform(0.012, 0.018)
    shoulder, exponent = h * rng.uniform(0.6, 0.78), rng.uniform(4, 9)
    levels = [(0.0, 0.93), (0.006, 1.0), (shoulder, 1.0), (shoulder + 0.012, 0.8)]
    shapes = [outline(x * s, z * s, exponent) for _, s in levels]
    shapes += [outline(neck, neck), outline(neck, neck)]
    heights = [y for y, _ in levels] + [shoulder + rng.uniform(0.016, 0.03), h * 0.98]
    cap_r = neck * rng.uniform(1.15, 1.5)
    parts = [stack(shapes, heights, pick(rng, "glass", "vivid", "neutral"))]
    parts.append(_ring(cap_r, h * rng.uniform(0.86, 0.93), h, pick(rng, "metal", "vivid", "wood")))
    if rng.uniform() < 0.7:
        label = [outline(x * 1.012, z * 1.012, exponent)] * 2
        low, high = shoulder * rng.uniform(0.1, 0.3), shoulder * rng.uniform(0.6, 0.9)
        parts.append(stack(label, [low, high], pick(rng, "neutral", "vivid")))
    return parts


def _squeeze(rng: np.random.Generator) -> list[Part]:
    """Make a flat oval bottle: shampoo, ketchup, detergent."""
    x, h = rng.uniform(0.03, 0.05), rng.uniform(0.15, 0.26)
    z, cap_r = x * rng.uniform(0.45, 0.8), rng.uniform(0.014, 0.022)
    t = np.linspace(0, 1, 12)
    belly = smooth([[0.85, 0], [1, 0.12], [rng.uniform(0.8, 1), 0.5], [0.9, 0.8], [0.45, 1]], 12)
    shapes = [outline(x * b, z * b, 2.6) for b in belly[:, 0]]
    top = h * rng.uniform(0.75, 0.86)
    color = pick(rng, "vivid", "neutral")
    cone = np.asarray([[0, top - 0.01], [cap_r, top - 0.01], [cap_r, top + 0.2 * (h - top)]])
    tip = rng.uniform(0.25, 0.95) * cap_r
    cap = np.concatenate([cone, [[tip, h], [0, h]]])
    label = [outline(x * 1.008, z * 1.008, 2.6)] * 2
    parts = [stack(shapes, t * top, color), lathe(cap, pick(rng, "neutral", "vivid"))]
    if rng.uniform() < 0.6:
        parts.append(stack(label, [top * 0.2, top * rng.uniform(0.4, 0.6)], pick(rng, "neutral")))
    return parts


def _jug(rng: np.random.Generator) -> list[Part]:
    """Make a canister or carafe with a handle on -x."""
    r, h, neck = rng.uniform(0.05, 0.085), rng.uniform(0.2, 0.3), rng.uniform(0.018, 0.03)
    exponent = float(rng.choice([2.0, 2.0, 5.0]))
    shoulder = h * rng.uniform(0.5, 0.65)
    profile = smooth(
        [[r * 0.92, 0], [r, 0.02], [r, shoulder], [r * 0.6, h * 0.8], [neck, h * 0.93], [neck, h]],
        20,
    )
    body = lathe(
        np.concatenate([[[0, 0]], profile, [[0, h]]]),
        pick(rng, "vivid", "neutral", "glass"),
        exponent,
    )
    loop = [[-neck * 0.8, h * 0.93, 0], [-r * 0.98, h * 0.9, 0], [-r * 0.98, shoulder, 0]]
    path = rounded_path([*loop, [-r * 0.6, shoulder * 0.85, 0]], 0.03)
    thick = rng.uniform(0.006, 0.01)
    handle = sweep(path, thick * 1.2, thick, body.color, (0.0, 0.0, 1.0))
    return [body, handle, _ring(neck * 1.15, h * 0.95, h * 1.03, pick(rng, "vivid", "neutral"))]


def _spray(rng: np.random.Generator) -> list[Part]:
    """Make a trigger bottle; the nozzle points to -z."""
    x, h = rng.uniform(0.032, 0.045), rng.uniform(0.2, 0.28)
    z, body_h = x * rng.uniform(0.6, 1.0), h * rng.uniform(0.62, 0.72)
    neck = 0.013
    levels = [(0, 0.92), (0.01, 1.0), (0.55, rng.uniform(0.82, 1)), (0.75, rng.uniform(0.5, 0.95))]
    shapes = [outline(x * s, z * s, 3.0) for _, s in levels] + [outline(neck, neck)] * 2
    heights = [y * body_h if y > 0.02 else y for y, _ in levels] + [body_h * 0.92, body_h * 1.06]
    head, trim = pick(rng, "vivid", "neutral"), pick(rng, "vivid", "neutral")
    reach = rng.uniform(0.035, 0.055)
    return [
        stack(shapes, heights, pick(rng, "vivid", "neutral")),
        _ring(neck * 1.25, body_h * 0.96, body_h * 1.08, trim),
        rounded_box([-0.012, body_h * 1.06, -reach], [0.012, h, 0.022], head, 0.006),
        bar(
            [0, h - 0.012, -reach - 0.012], [0, h - 0.012, -reach + 0.01], 0.007, 0.007, trim, True
        ),
        bar([0, h - 0.02, -0.022], [0, body_h * 0.97, -reach * 0.9], 0.005, 0.004, trim),
    ]


def _pump(rng: np.random.Generator) -> list[Part]:
    """Make a soap dispenser; the spout points to -z."""
    r, h = rng.uniform(0.028, 0.04), rng.uniform(0.15, 0.2)
    body_h = h * rng.uniform(0.66, 0.76)
    exponent = float(rng.choice([2.0, 2.0, 5.0]))
    control = [[r * 0.95, 0], [r, 0.006], [r * rng.uniform(0.8, 1), body_h * 0.85], [0.014, body_h]]
    profile = np.concatenate([[[0, 0]], smooth(control, 16), [[0, body_h]]])
    metal = pick(rng, "metal", "neutral")
    return [
        lathe(profile, pick(rng, "vivid", "neutral", "glass"), exponent),
        _ring(0.015, body_h - 0.006, body_h + 0.012, metal),
        _ring(0.005, body_h, h - 0.004, metal),
        _ring(0.011, h - 0.012, h, metal),
        bar(
            [0, h - 0.006, 0], [0, h - 0.01, -rng.uniform(0.03, 0.045)], 0.0045, 0.004, metal, True
        ),
    ]


def _flask(rng: np.random.Generator) -> list[Part]:
    """Make a thermos or sports bottle: a straight body and a wide cap."""
    r, h = rng.uniform(0.03, 0.042), rng.uniform(0.19, 0.29)
    cap_h, cap_r = h * rng.uniform(0.12, 0.28), r * rng.uniform(0.65, 1.0)
    body = [[r * 0.94, 0], [r, 0.006], [r, h - cap_h - 0.02], [cap_r * 0.95, h - cap_h]]
    parts = [_turned(rng, body, pick(rng, "vivid", "metal", "neutral"))]
    cap = [
        [0, h - cap_h - 0.003],
        [cap_r, h - cap_h - 0.003],
        [cap_r, h * 0.985],
        [cap_r * 0.9, h],
        [0, h],
    ]
    parts.append(lathe(np.asarray(cap), pick(rng, "metal", "neutral", "vivid")))
    if rng.uniform() < 0.3:
        low, up, side = h - 0.01, h + 0.03, cap_r * 0.8
        path = rounded_path([[-side, low, 0], [-side, up, 0], [side, up, 0], [side, low, 0]], 0.02)
        parts.append(sweep(path, 0.006, 0.003, parts[-1].color, (0.0, 0.0, 1.0)))
    return parts


FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "wine": _wine,
    "burgundy": _burgundy,
    "beer": _beer,
    "water": _water,
    "square": _square,
    "squeeze": _squeeze,
    "jug": _jug,
    "spray": _spray,
    "pump": _pump,
    "flask": _flask,
}
