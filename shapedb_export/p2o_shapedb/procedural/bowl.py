"""Procedural bowls: an outer wall, a rim, and the same wall again inside."""

from collections.abc import Callable, Mapping

import numpy as np

from p2o_shapedb.procedural.palette import pick, shade
from p2o_shapedb.procedural.parts import Part, lathe, outline, smooth, stack
from points2objects.geometry import FloatArray


def _hollow(outer: FloatArray, wall: float, floor: float) -> FloatArray:
    """Close an outer profile, (m, 2), by the inner one that keeps a wall and a floor."""
    inner = outer[::-1].copy()
    inner[:, 0] = np.maximum(inner[:, 0] - wall, 0.0)
    inner = inner[inner[:, 1] > floor]
    rim = np.array([[outer[-1, 0] - wall / 2, outer[-1, 1] + wall * 0.4]])
    first = np.array([[0.0, outer[0, 1]]])
    last = np.array([[max(inner[-1, 0] * 0.5, 1e-3), floor], [0.0, floor]])
    return np.concatenate([first, outer, rim, inner, last])


def _round(rng: np.random.Generator, control: list[list[float]]) -> list[Part]:
    outer = smooth(control, 14)
    wall = float(rng.uniform(0.003, 0.009))
    return [lathe(_hollow(outer, wall, outer[0, 1] + wall), pick(rng, "neutral", "vivid", "wood"))]


def _sphere(rng: np.random.Generator) -> list[Part]:
    r, depth = rng.uniform(0.06, 0.15), rng.uniform(0.65, 1.15)
    angle = np.linspace(0.25, rng.uniform(1.35, 1.6), 9)
    return _round(rng, [[r * np.sin(a), depth * r * (1 - np.cos(a))] for a in angle])


def _shallow(rng: np.random.Generator) -> list[Part]:
    r, h, base = rng.uniform(0.09, 0.17), rng.uniform(0.03, 0.06), rng.uniform(0.35, 0.6)
    mid = rng.uniform(0.75, 0.9)
    return _round(rng, [[r * base, 0], [r * mid, h * 0.3], [r * 0.96, h * 0.7], [r, h]])


def _cone(rng: np.random.Generator) -> list[Part]:
    r, h, base = rng.uniform(0.07, 0.14), rng.uniform(0.05, 0.11), rng.uniform(0.25, 0.45)
    bend = rng.uniform(-0.05, 0.1)
    return _round(rng, [[r * base, 0], [r * (base + 1) / 2 + bend * r, h / 2], [r, h]])


def _footed(rng: np.random.Generator) -> list[Part]:
    r, h = rng.uniform(0.06, 0.13), rng.uniform(0.05, 0.1)
    foot_r, foot_h = r * rng.uniform(0.35, 0.6), rng.uniform(0.008, 0.035)
    body = smooth([[r * 0.3, foot_h], [r * 0.8, foot_h + h * 0.3], [r, foot_h + h]], 12)
    wall, color = rng.uniform(0.003, 0.008), pick(rng, "neutral", "vivid")
    stem = [[0, 0], [foot_r, 0], [foot_r * rng.uniform(0.7, 0.98), foot_h * 1.2], [0, foot_h * 1.2]]
    return [
        lathe(_hollow(body, wall, foot_h + wall), color),
        lathe(np.asarray(stem), shade(color, rng.uniform(0.8, 1.0))),
    ]


def _rimmed(rng: np.random.Generator) -> list[Part]:
    r, h, flange = rng.uniform(0.07, 0.12), rng.uniform(0.03, 0.07), rng.uniform(0.015, 0.045)
    return _round(
        rng,
        [[r * 0.5, 0], [r * 0.9, h * 0.35], [r, h * 0.9], [r + flange, h * rng.uniform(1, 1.15)]],
    )


def _straight(rng: np.random.Generator) -> list[Part]:
    r, h = rng.uniform(0.06, 0.12), rng.uniform(0.05, 0.1)
    return _round(rng, [[r * 0.82, 0], [r * 0.96, h * 0.12], [r * 0.99, h * 0.5], [r, h]])


def _shaped(rng: np.random.Generator, radius: Callable[[float], FloatArray]) -> list[Part]:
    """Make a bowl whose rings are outlines, not circles: `radius(t)` for height t in 0..1."""
    h, wall = rng.uniform(0.05, 0.09), rng.uniform(0.004, 0.008)
    t = np.linspace(0, 1, 8)
    outer = [radius(float(v)) for v in t]
    size = np.abs(outer[-1]).max()
    shapes = [outer[0] * 0.02, *outer, *[o * (1 - wall / size) for o in outer[:0:-1]]]
    heights = [0.0, *(t * h), *(t[:0:-1] * h + wall * 0.2)]
    shapes.append(outer[0] * 0.02)
    heights.append(float(t[1] * h * 0.9))
    return [stack(shapes, heights, pick(rng, "neutral", "vivid", "wood"))]


def _square(rng: np.random.Generator) -> list[Part]:
    r, base, ratio = rng.uniform(0.06, 0.12), rng.uniform(0.45, 0.75), rng.uniform(0.65, 1.0)
    exponent = rng.uniform(3.5, 7)

    def ring(t: float) -> FloatArray:
        half = r * (base + (1 - base) * np.sin(t * np.pi / 2) ** 0.7)
        return outline(half, half * ratio, exponent, 40)

    return _shaped(rng, ring)


def _fluted(rng: np.random.Generator) -> list[Part]:
    r, base = rng.uniform(0.07, 0.13), rng.uniform(0.4, 0.6)
    lobes, wave = int(rng.integers(6, 13)), rng.uniform(0.03, 0.07)

    def ring(t: float) -> FloatArray:
        half = r * (base + (1 - base) * t**0.6)
        circle = outline(half, half, 2.0, 72)
        angle = np.arctan2(circle[:, 1], circle[:, 0])
        return np.asarray(circle * (1 + wave * t * np.cos(lobes * angle))[:, None])

    return _shaped(rng, ring)


FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "sphere": _sphere,
    "shallow": _shallow,
    "cone": _cone,
    "footed": _footed,
    "rimmed": _rimmed,
    "straight": _straight,
    "square": _square,
    "fluted": _fluted,
}
