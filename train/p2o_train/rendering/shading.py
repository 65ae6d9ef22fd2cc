"""The last pass: materials in the light that the passes before it found."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_train.rendering import shaders
from p2o_train.rendering.environment import specular_levels
from p2o_train.rendering.materials import Material
from p2o_train.rendering.opengl import (
    MeshProgram,
    MeshStore,
    bind,
    environment_texture,
    picture_texture,
    set_uniforms,
    with_alpha,
)
from p2o_train.rendering.projection import clip_from_level
from p2o_train.rendering.scene import Drawable, RenderScene
from points2objects.geometry import ByteArray, FloatArray

PHOTO_PX = 256
_PLAIN, _TEXTURED, _PHOTO, _CATCHER = range(4)


@dataclass(frozen=True)
class LitPixels:
    """Textures of the passes before, one texel a pixel.

    Attributes:
        light: Light of the environment, and how open the place is.
        sun: How much of the sun is seen, and the number of the drawable, from 1.
    """

    light: Any
    sun: Any


class ShadePass:
    """Draws the picture with several samples per pixel."""

    def __init__(
        self, gl: Any, size_px: int, samples: int, layers: ByteArray, meshes: MeshStore
    ) -> None:
        self._gl = gl
        self._size = size_px
        self._meshes = meshes
        # Software rasterisers run both sides of an `if`: one program per kind of surface.
        self._ways = [MeshProgram(_shade_program(gl, kind), "full") for kind in range(4)]
        self._backdrop = gl.program(shaders.SCREEN_VERTEX, shaders.BACKDROP_FRAGMENT)
        corners = gl.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self._screen = gl.vertex_array(self._backdrop, [(corners, "2f", "in_position")])
        size, samples = (size_px, size_px), min(samples, gl.max_samples)
        self._samples_buffer = gl.framebuffer(
            [gl.renderbuffer(size, 4, samples=samples)],
            gl.depth_renderbuffer(size, samples=samples),
        )
        self._picture_buffer = gl.framebuffer([gl.renderbuffer(size, 4)])
        count, height, width, _ = layers.shape
        # The shader squares them, which is cheaper than a power of 2.2.
        rooted = (255 * (layers / np.float32(255)) ** np.float32(1.1) + 0.5).astype(np.uint8)
        texels = with_alpha(rooted, 255).tobytes()
        self._layers = gl.texture_array((width, height, count), 4, texels)
        self._layers.build_mipmaps()
        self._layers.filter = (gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR)
        self._photo = picture_texture(gl, (PHOTO_PX, PHOTO_PX))
        self._environments: dict[str, tuple[Any, Any]] = {}

    def draw(self, scene: RenderScene, lit: LitPixels, environment: dict[str, object]) -> ByteArray:
        """Draw the picture, (s, s, 3).

        Args:
            scene: The scene.
            lit: What the passes before drew of it.
            environment: Uniforms of its environment.
        """
        gl, size = self._gl, self._size
        eye = scene.camera.pose[:3, 3]
        light_map, backdrop = self._environment(scene)
        self._write_photo(scene.photo)
        self._samples_buffer.use()
        gl.viewport = (0, 0, size, size)
        self._samples_buffer.clear(0, 0, 0, 1)
        gl.enable(gl.DEPTH_TEST)
        self._ready(scene, eye, lit, light_map, environment)
        numbered = list(enumerate(scene.drawables, start=1))
        for number, drawable in numbered:
            if drawable.material.opacity == 1:
                self._draw_surface(number, drawable)
        self._draw_backdrop(scene, eye, backdrop, environment)
        gl.enable(gl.BLEND)
        gl.blend_func = gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA
        for number, drawable in numbered:
            if drawable.material.opacity < 1:
                self._draw_surface(number, drawable)
        gl.disable(gl.BLEND)
        gl.copy_framebuffer(self._picture_buffer, self._samples_buffer)
        data = self._picture_buffer.read(components=4)
        pixels = np.frombuffer(data, np.uint8).reshape(size, size, 4)[::-1, :, :3]
        return np.ascontiguousarray(pixels)

    def _ready(
        self, scene: RenderScene, eye: FloatArray, lit: LitPixels, light_map: Any,
        environment: dict[str, object],
    ) -> None:  # fmt: skip
        lighting = scene.lighting
        textures = {
            "layers": self._layers, "light": lit.light, "sun": lit.sun,
            "photo": self._photo, "environment": light_map,
        }  # fmt: skip
        project = clip_from_level(scene.camera)
        for kind in {_kind(drawable) for drawable in scene.drawables}:
            program = self._ways[kind].program
            bind(program, textures)
            set_uniforms(
                program, exposure=scene.exposure, gamma=scene.gamma, eye=eye,
                clip_from_level=project, bounce=lighting.bounce, strength=lighting.strength,
                screen=(self._size, self._size), sun_direction=lighting.sun_direction,
                sun_irradiance=lighting.sun_irradiance, neighbours=4,
                suns=int(lighting.sun_irradiance.any()), **environment,
            )  # fmt: skip

    def _draw_surface(self, number: int, drawable: Drawable) -> None:
        way = self._ways[_kind(drawable)]
        # Surfaces are closed boxes; models may have open sheets that are seen from behind.
        (self._gl.disable if drawable.casts_shadow else self._gl.enable)(self._gl.CULL_FACE)
        set_uniforms(
            way.program,
            level_from_mesh=drawable.box.matrix(),
            normal_matrix=drawable.box.rotation / drawable.box.scale,
            look=packed_look(drawable, number),
        )
        self._meshes(drawable).draw(way)
        self._gl.disable(self._gl.CULL_FACE)

    def _draw_backdrop(
        self, scene: RenderScene, eye: FloatArray, backdrop: Any, environment: dict[str, object]
    ) -> None:
        """Fill what no surface covers."""
        self._gl.depth_func = "<="
        bind(self._backdrop, {"backdrop": backdrop, "photo": self._photo})
        set_uniforms(
            self._backdrop, level_from_clip=np.linalg.inv(clip_from_level(scene.camera)),
            blur=scene.backdrop_blur, photo_backdrop=float(scene.photo_backdrop), eye=eye,
            exposure=scene.exposure * scene.lighting.strength, gamma=scene.gamma, **environment,
        )  # fmt: skip
        self._screen.render(vertices=3)
        self._gl.depth_func = "<"

    def _write_photo(self, photo: ByteArray | None) -> None:
        if photo is None:
            return
        if photo.shape[:2] != (self._photo.height, self._photo.width):
            self._photo.release()
            self._photo = picture_texture(self._gl, (photo.shape[1], photo.shape[0]))
        self._photo.write(with_alpha(photo[::-1], 255).tobytes())

    def _environment(self, scene: RenderScene) -> tuple[Any, Any]:
        """Return the textures of a scene's environment: for light, and for what lies behind."""
        environment = scene.lighting.environment
        if environment.name not in self._environments:
            light = environment_texture(self._gl, environment.light)
            for level, pixels in enumerate(specular_levels(environment.light)):
                light.write(with_alpha(pixels, 1.0).tobytes(), level=level)
            backdrop = environment_texture(self._gl, environment.backdrop)
            self._environments[environment.name] = (light, backdrop)
        return self._environments[environment.name]


def packed_look(drawable: Drawable, number: int) -> FloatArray:
    """Return what the shader needs of a surface as one array, (8, 4); `shaders.py` names parts."""
    material: Material = drawable.material
    second = material.palette[0] if material.second is None else material.second
    look = np.zeros((8, 4), np.float32)
    look[:4, :3] = material.palette
    look[4, :3], look[5, :3], look[6, :3] = material.tint, second, drawable.box.scale
    look[:7, 3] = (
        material.own_color, material.layer, material.repeats, material.recolor,
        material.roughness, material.metallic, material.opacity,
    )  # fmt: skip
    look[7, :2] = material.glow, number
    return look


def _kind(drawable: Drawable) -> int:
    if drawable.catcher:
        return _CATCHER
    if drawable.material.photo:
        return _PHOTO
    return _TEXTURED if drawable.material.layer >= 0 else _PLAIN


def _shade_program(gl: Any, kind: int) -> Any:
    fragment = shaders.SHADE_FRAGMENT.replace(
        "#version 330", f"#version 330\n#define SURFACE {kind}"
    )
    return gl.program(shaders.SHADE_VERTEX, fragment)
