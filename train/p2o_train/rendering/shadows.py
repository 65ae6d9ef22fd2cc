"""Shadow maps of the sun and of lights that stand for the environment."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_train.rendering import shaders
from p2o_train.rendering.environment import draw_lights
from p2o_train.rendering.opengl import MeshProgram, MeshStore, depth_texture, set_uniforms
from p2o_train.rendering.projection import looking_along, orthographic
from p2o_train.rendering.scene import Reach, RenderScene
from points2objects.geometry import FloatArray


@dataclass(frozen=True)
class ShadowConfig:
    """Sizes of the shadow maps.

    Attributes:
        lights: Environment lights with a shadow each.
        light_map_px: Side of each of their shadow maps.
        light_taps: Looks into each of them per pixel.
        sun_map_px: Side of the sun's shadow map.
        sun_taps: Looks into it per pixel, to find what blocks and again for its soft edge.
    """

    lights: int = 12
    light_map_px: int = 192
    light_taps: int = 1
    sun_map_px: int = 768
    sun_taps: int = 14


class ShadowMaps:
    """Owns the shadow maps; those of the environment's lights are tiles of one texture."""

    def __init__(self, gl: Any, config: ShadowConfig, meshes: MeshStore) -> None:
        self._gl = gl
        self._config = config
        self._meshes = meshes
        self._tiles = int(np.ceil(np.sqrt(config.lights)))
        fragment = shaders.DEPTH_FRAGMENT
        all_lights = shaders.LIGHTS_DEPTH_VERTEX.replace("LIGHTS", str(config.lights))
        self._sun = MeshProgram(gl.program(shaders.DEPTH_VERTEX, fragment), "place")
        self._lights = MeshProgram(gl.program(all_lights, fragment), "coarse place")
        sizes = (config.sun_map_px, self._tiles * config.light_map_px)
        self.sun_depth, self.light_depths = (depth_texture(gl, side) for side in sizes)
        self._sun_buffer = gl.framebuffer([], self.sun_depth)
        self._lights_buffer = gl.framebuffer([], self.light_depths)

    def draw(self, scene: RenderScene, reach: Reach) -> dict[str, object]:
        """Fill the maps; returns the uniforms that a shader needs to read them."""
        config, lighting = self._config, scene.lighting
        self._gl.enable(self._gl.DEPTH_TEST)
        rng = np.random.default_rng(scene.seed)
        lights = draw_lights(lighting.environment.pool, lighting.turn, config.lights, rng)
        sun = _light_view(lighting.sun_direction, reach)
        views = np.stack([_light_view(direction, reach) for direction in lights.directions])
        shines = bool(lighting.sun_irradiance.any())
        if shines:
            self._fill(self._sun_buffer, self._sun, scene, clip_from_level=sun)
        self._fill(
            self._lights_buffer, self._lights, scene, config.lights,
            clip_from_level_lights=views, tiles=self._tiles,
        )  # fmt: skip
        return {
            "light_taps": config.light_taps,
            "sun_taps": config.sun_taps if shines else 0,
            "tiles": self._tiles,
            "texel": 1 / config.sun_map_px,
            "clip_from_level_sun": sun,
            "clip_from_level_lights": views,
            "light_directions": lights.directions,
            "light_irradiance": lights.irradiance * lighting.strength,
        }

    def _fill(
        self,
        buffer: Any,
        way: MeshProgram,
        scene: RenderScene,
        instances: int = 1,
        **uniforms: object,
    ) -> None:
        buffer.use()
        self._gl.viewport = (0, 0, *buffer.size)
        buffer.clear(depth=1.0)
        set_uniforms(way.program, **uniforms)
        for drawable in scene.drawables:
            if drawable.casts_shadow:
                set_uniforms(way.program, level_from_mesh=drawable.box.matrix())
                self._meshes(drawable).draw(way, instances)


def _light_view(direction: FloatArray, reach: Reach) -> FloatArray:
    view = looking_along(-direction, reach.center + 2 * reach.radius * direction)
    return orthographic(reach.radius, 0.01 * reach.radius, 4 * reach.radius) @ view
