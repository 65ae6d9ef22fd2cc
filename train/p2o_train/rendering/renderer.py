"""The rasteriser: moderngl on EGL, software or GPU.

Four passes: positions and normals; shadow maps of a sun and of sampled environment lights; light
per pixel, smoothed within surfaces; and the shaded picture with several samples per pixel. Masks
count what is visible of each object.
"""

from dataclasses import dataclass

import numpy as np

from p2o_train.rendering import shaders
from p2o_train.rendering.environment import turned_harmonics
from p2o_train.rendering.opengl import (
    MeshProgram,
    MeshStore,
    bind,
    create_context,
    plain_texture,
    set_uniforms,
)
from p2o_train.rendering.projection import clip_from_level
from p2o_train.rendering.scene import Reach, RenderScene, shadow_reach
from p2o_train.rendering.shading import LitPixels, ShadePass
from p2o_train.rendering.shadows import ShadowConfig, ShadowMaps
from p2o_train.rendering.visibility import VisibilityCounter
from points2objects.geometry import ByteArray, FloatArray, IntArray


@dataclass(frozen=True)
class RendererConfig(ShadowConfig):
    """Sizes of the renderer's buffers, those of its shadow maps included.

    Attributes:
        size_px: Side of the picture.
        samples: Samples per pixel.
    """

    size_px: int = 256
    samples: int = 4


@dataclass(frozen=True)
class Picture:
    """A rendered picture.

    Attributes:
        image: (s, s, 3), RGB.
        owner: (s, s), which labelled object covers each pixel's centre, -1 for none.
        depth: (s, s), distance of what is seen there along the optical axis, in the camera's unit
            (camera heights); 0 where no surface is.
        visible_fraction: (n,), visible pixels of each labelled object over its pixels when it is
            alone, the part outside the frame included.
    """

    image: ByteArray
    owner: IntArray
    depth: FloatArray
    visible_fraction: FloatArray


class Renderer:
    """Owns one OpenGL context and the meshes and textures in it."""

    def __init__(self, config: RendererConfig, layers: ByteArray) -> None:
        self._size = config.size_px
        self._gl = gl = create_context()
        self._meshes = MeshStore(gl)
        self._shadows = ShadowMaps(gl, config, self._meshes)
        self._shade = ShadePass(gl, config.size_px, config.samples, layers, self._meshes)
        self._counter = VisibilityCounter(gl, config.size_px, self._meshes)
        self._make_programs(config.lights)
        self._make_buffers()

    @property
    def driver(self) -> str:
        """What OpenGL runs on: a GPU's name, or a software rasteriser's."""
        with self._gl:
            return str(self._gl.info["GL_RENDERER"])

    def render(self, scene: RenderScene) -> Picture:
        """Draw a scene."""
        # A process may hold several contexts; only the current one obeys.
        with self._gl:
            return self._render(scene)

    def _render(self, scene: RenderScene) -> Picture:
        reach = shadow_reach(scene.drawables)
        seen = self._draw_geometry(scene)
        environment = _environment_uniforms(scene)
        self._draw_light(scene, reach, environment | self._shadows.draw(scene, reach))
        lit = LitPixels(*self._lit[0])
        image = self._shade.draw(scene, lit, environment)
        owner = _owner(scene, seen)
        return Picture(
            image, owner, _depth(scene, seen), self._counter.visible_fraction(scene, owner)
        )

    def release(self) -> None:
        """Free the context; the renderer is unusable afterwards."""
        self._gl.release()

    def _make_programs(self, lights: int) -> None:
        gl = self._gl
        geometry = gl.program(shaders.GEOMETRY_VERTEX, shaders.GEOMETRY_FRAGMENT)
        self._geometry = MeshProgram(geometry, "normal")
        self._light = gl.program(shaders.SCREEN_VERTEX, shaders.light_fragment(lights))
        self._blur = gl.program(shaders.SCREEN_VERTEX, shaders.BLUR_FRAGMENT)
        corners = gl.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self._screens = {
            program: gl.vertex_array(program, [(corners, "2f", "in_position")])
            for program in (self._light, self._blur)
        }

    def _make_buffers(self) -> None:
        gl, size = self._gl, (self._size, self._size)
        self._positions = plain_texture(gl, size, "f4")
        self._normals = plain_texture(gl, size, "f2")
        self._g_buffer = gl.framebuffer([self._positions, self._normals], gl.depth_texture(size))
        self._lit = [
            (plain_texture(gl, size, "f2"), plain_texture(gl, size, "f1")) for _ in range(2)
        ]
        self._lit_buffers = [gl.framebuffer(list(pair)) for pair in self._lit]
        order = np.random.default_rng(0).permuted(np.tile(np.arange(16), (4, 1)), axis=1)
        noise = ((order.T + 0.5) / 16).astype("f4")
        self._noise = gl.texture((4, 4), 4, noise.tobytes(), dtype="f4")
        self._noise.filter = (gl.NEAREST, gl.NEAREST)

    def _draw_geometry(self, scene: RenderScene) -> FloatArray:
        """Return position and number of the drawable, from 1, at each pixel's centre, (s, s, 4)."""
        gl, size, program = self._gl, self._size, self._geometry.program
        gl.enable(gl.DEPTH_TEST)
        gl.disable(gl.CULL_FACE | gl.BLEND)
        self._g_buffer.use()
        gl.viewport = (0, 0, size, size)
        self._g_buffer.clear(0, 0, 0, 0)
        project = clip_from_level(scene.camera)
        set_uniforms(program, eye=scene.camera.pose[:3, 3], clip_from_level=project)
        for number, drawable in enumerate(scene.drawables, start=1):
            set_uniforms(
                program,
                surface_id=float(number),
                level_from_mesh=drawable.box.matrix(),
                normal_matrix=drawable.box.rotation / drawable.box.scale,
            )
            self._meshes(drawable).draw(self._geometry)
        data = self._g_buffer.read(components=4, attachment=0, dtype="f4")
        return np.frombuffer(data, "f4").reshape(size, size, 4)[::-1]

    def _draw_light(self, scene: RenderScene, reach: Reach, uniforms: dict[str, object]) -> None:
        gl = self._gl
        gl.disable(gl.DEPTH_TEST)
        textures = {
            "positions": self._positions, "normals": self._normals, "noise": self._noise,
            "light_depths": self._shadows.light_depths, "sun_depth": self._shadows.sun_depth,
        }  # fmt: skip
        self._lit_buffers[0].use()
        gl.viewport = (0, 0, self._size, self._size)
        bind(self._light, textures)
        set_uniforms(
            self._light, **uniforms, reach=reach.radius, softness=scene.lighting.sun_softness,
            sun_direction=scene.lighting.sun_direction, bounce=scene.lighting.bounce,
        )  # fmt: skip
        self._screens[self._light].render(vertices=3)
        for source, along in ((0, (1, 0)), (1, (0, 1))):
            light, sun = self._lit[source]
            self._lit_buffers[1 - source].use()
            bind(self._blur, {"light": light, "sun": sun})
            set_uniforms(self._blur, along=along)
            self._screens[self._blur].render(vertices=3)


def _environment_uniforms(scene: RenderScene) -> dict[str, object]:
    lighting = scene.lighting
    values = turned_harmonics(lighting.environment.harmonics, lighting.turn) * lighting.strength
    return {"harmonics": values, "turn": float(lighting.turn)}


def _owner(scene: RenderScene, seen: FloatArray) -> IntArray:
    slots = np.full(len(scene.drawables) + 1, -1)
    labelled = [n for n, d in enumerate(scene.drawables, start=1) if d.labelled]
    slots[labelled] = np.arange(len(labelled))
    return np.asarray(slots[seen[..., 3].astype(np.int64)])


def _depth(scene: RenderScene, seen: FloatArray) -> FloatArray:
    pose = scene.camera.pose
    forward = pose[:3, 2].astype(np.float32)
    along = seen[..., :3] @ forward - np.float32(pose[:3, 3] @ pose[:3, 2])
    return np.asarray(np.where(seen[..., 3] > 0, along, np.float32(0)))
