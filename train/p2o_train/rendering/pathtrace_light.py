"""The light of a scene as one environment map: the scene's own, with the sun painted in."""

import numpy as np

from p2o_train.rendering.environment import map_directions, turn_about_y
from p2o_train.rendering.pathtrace_display import look_up
from p2o_train.rendering.scene import Lighting
from points2objects.geometry import FloatArray

MAP_HEIGHT_PX = 256
SUN_RADIUS_PER_SOFTNESS = 4.0
"""Radius in radians of the sun's disc whose shadows are as soft as `shaders.py` draws them.

There, an edge is 8 `softness` map sides wide per map depth, and a map is twice as deep as wide.
"""


def baked_light(lighting: Lighting) -> FloatArray:
    """Return the light from everywhere, level frame, (256, 512, 3) float32."""
    directions, solid_angle = map_directions(MAP_HEIGHT_PX)
    in_map = turn_about_y(directions, -lighting.turn)
    light = look_up(lighting.environment.light, in_map) * lighting.strength
    if lighting.sun_irradiance.any():
        light = light + _sun(lighting, directions, solid_angle)
    return np.asarray(light, np.float32)


def _sun(lighting: Lighting, directions: FloatArray, solid_angle: FloatArray) -> FloatArray:
    """Return the radiance of a disc that gives the sun's irradiance, (h, 2h, 3)."""
    pixel = np.pi / MAP_HEIGHT_PX
    radius = max(SUN_RADIUS_PER_SOFTNESS * lighting.sun_softness, 1.5 * pixel)
    cosine = np.clip(directions @ np.asarray(lighting.sun_direction), -1, 1)
    disc = np.clip((radius - np.arccos(cosine)) / pixel + 0.5, 0, 1)
    power = float((disc * cosine * solid_angle).sum())
    return np.asarray(disc[..., None] / power * lighting.sun_irradiance)


def irradiance_above(light: FloatArray) -> FloatArray:
    """Return the irradiance of an open horizontal surface, (3,), from a map (h, 2h, 3)."""
    directions, solid_angle = map_directions(light.shape[0])
    weight = np.maximum(directions[..., 1], 0) * solid_angle
    return np.asarray((light * weight[..., None]).sum((0, 1)))
