"""Procedural mugs: a hollow body about the y axis and a handle on -x."""

from collections.abc import Callable, Mapping

import numpy as np

from p2o_shapedb.procedural.palette import pick
from p2o_shapedb.procedural.parts import Color, Part, lathe, rounded_path, smooth, sweep
from points2objects.geometry import FloatArray

HANDLES = ("c", "d", "ear", "square", "finger")


def _body(outer: FloatArray, wall: float, color: Color, exponent: float = 2.0) -> Part:
    floor = outer[0, 1] + 1.3 * wall
    inner = outer[::-1] - [wall, 0.0]
    inner = inner[inner[:, 1] > floor]
    rim = [[outer[-1, 0] - wall / 2, outer[-1, 1] + wall * 0.35]]
    ends = [[inner[-1, 0] * 0.97, floor], [0.0, floor]]
    profile = np.concatenate([[[0.0, outer[0, 1]]], outer, rim, inner, ends])
    return lathe(profile, color, exponent, 40)


def _handle(rng: np.random.Generator, outer: FloatArray, wall: float, color: Color) -> Part:
    """Sweep a handle between two heights of the wall; its ends stop inside the wall."""
    low, high = outer[0, 1], outer[-1, 1]
    h = high - low
    y0 = low + h * rng.uniform(0.1, 0.28)
    y1 = low + h * rng.uniform(0.72, 0.92)
    reach = float(np.clip(rng.uniform(0.35, 0.6) * h, 0.018, 0.05))
    x0, x1 = (-np.interp(y, outer[:, 1], outer[:, 0]) + 0.6 * wall for y in (y0, y1))
    far = min(x0, x1) - reach
    mid = (y0 + y1) / 2
    style = str(rng.choice(HANDLES))
    if style == "c":
        angle = np.linspace(-np.pi / 2, np.pi / 2, 15)
        bulge = np.stack(
            [-np.cos(angle) * reach, mid + np.sin(angle) * (y1 - y0) / 2, 0 * angle], -1
        )
        bulge[:, 0] += np.linspace(x0, x1, 15)
        path = bulge
    elif style == "d":
        path = rounded_path([[x1, y1, 0], [far, y1, 0], [far, y0, 0], [x0, y0, 0]], reach * 0.7, 6)
    elif style == "square":
        path = rounded_path([[x1, y1, 0], [far, y1, 0], [far, y0, 0], [x0, y0, 0]], reach * 0.2, 4)
    elif style == "finger":
        loop = [[x1, y1, 0], [far * 1.02, y1 + 0.002, 0], [far, mid, 0], [x0, mid - 0.1 * h, 0]]
        path = rounded_path(loop, reach * 0.6, 6)
    else:
        ear = [[x1, y1, 0], [far, y1 + 0.06 * h, 0], [far - 0.1 * reach, mid + 0.1 * h, 0]]
        path = smooth([*ear, [x0 - 0.35 * reach, y0 + 0.08 * h, 0], [x0, y0, 0]], 16)
    wide, thick = rng.uniform(0.004, 0.009), rng.uniform(0.003, 0.006)
    exponent = float(rng.choice([2.0, 2.0, 4.0, 8.0]))
    return sweep(path, wide, thick, color, (0.0, 0.0, 1.0), exponent, 12)


def _mug(rng: np.random.Generator, control: list[list[float]], exponent: float = 2.0) -> list[Part]:
    outer = smooth(control, 14)
    wall = float(rng.uniform(0.003, 0.0055))
    color = pick(rng, "neutral", "vivid")
    handle = color if rng.uniform() < 0.8 else pick(rng, "neutral", "vivid")
    return [_body(outer, wall, color, exponent), _handle(rng, outer, wall, handle)]


def _size(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(0.036, 0.048)), float(rng.uniform(0.078, 0.12))


def _straight(rng: np.random.Generator) -> list[Part]:
    r, h = _size(rng)
    foot = rng.uniform(0.86, 0.98)
    return _mug(rng, [[r * foot, 0], [r, h * rng.uniform(0.05, 0.12)], [r, h * 0.5], [r, h]])


def _tapered(rng: np.random.Generator) -> list[Part]:
    r, h = _size(rng)
    base = rng.uniform(0.62, 0.85)
    return _mug(rng, [[r * base, 0], [r * (base + 1) / 2, h / 2], [r, h]])


def _inverse(rng: np.random.Generator) -> list[Part]:
    r, h = _size(rng)
    top = rng.uniform(0.68, 0.88)
    return _mug(rng, [[r * 0.97, 0], [r, h * 0.08], [r * (1 + top) / 2, h * 0.5], [r * top, h]])


def _barrel(rng: np.random.Generator) -> list[Part]:
    r, h = _size(rng)
    base, top = rng.uniform(0.68, 0.85), rng.uniform(0.75, 0.95)
    belly = h * rng.uniform(0.35, 0.6)
    return _mug(rng, [[r * base, 0], [r * 0.95, belly * 0.5], [r, belly], [r * top, h]])


def _bell(rng: np.random.Generator) -> list[Part]:
    r, h = _size(rng)
    waist = rng.uniform(0.66, 0.82)
    return _mug(
        rng, [[r * 0.85, 0], [r * waist, h * 0.3], [r * (waist + 0.06), h * 0.6], [r * 1.05, h]]
    )


def _square(rng: np.random.Generator) -> list[Part]:
    r, h = _size(rng)
    exponent = float(rng.uniform(3.5, 7.0))
    return _mug(rng, [[r * 0.85, 0], [r * 0.93, h * 0.15], [r * 0.94, h]], exponent)


def _cup(rng: np.random.Generator) -> list[Part]:
    r, h = rng.uniform(0.042, 0.055), rng.uniform(0.052, 0.07)
    base = rng.uniform(0.4, 0.6)
    return _mug(rng, [[r * base, 0], [r * 0.85, h * 0.3], [r * 0.97, h * 0.7], [r, h]])


def _stein(rng: np.random.Generator) -> list[Part]:
    r, h = rng.uniform(0.04, 0.052), rng.uniform(0.125, 0.165)
    ring = rng.uniform(1.06, 1.15)
    return _mug(
        rng, [[r * ring, 0], [r * ring, h * 0.08], [r, h * 0.15], [r * 0.97, h * 0.6], [r, h]]
    )


FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "straight": _straight,
    "tapered": _tapered,
    "inverse": _inverse,
    "barrel": _barrel,
    "bell": _bell,
    "square": _square,
    "cup": _cup,
    "stein": _stein,
}
