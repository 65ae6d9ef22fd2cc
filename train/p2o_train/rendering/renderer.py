"""The rasteriser: moderngl on EGL, software or GPU.

Four passes: positions and normals; shadow maps of a sun and of sampled environment lights; light
per pixel, smoothed within surfaces; and the shaded picture with 4 samples per pixel. Masks count
what is visible of each object.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_train.rendering import shaders
from p2o_train.rendering.environment import draw_lights, harmonics, specular_levels
from p2o_train.rendering.materials import Material
from p2o_train.rendering.opengl import (
    UploadedMesh,
    bind,
    create_context,
    depth_texture,
    environment_texture,
    plain_texture,
    set_uniforms,
)
from p2o_train.rendering.projection import clip_from_level, looking_along, orthographic
from p2o_train.rendering.scene import Drawable, Reach, RenderScene, shadow_reach
from p2o_train.rendering.visibility import VisibilityCounter
from points2objects.geometry import ByteArray, FloatArray, IntArray

MESHES_KEPT = 700


@dataclass(frozen=True)
class RendererConfig:
    """Sizes of the renderer's buffers.

    Attributes:
        size_px: Side of the picture.
        lights: Environment lights with a shadow each.
        light_map_px: Side of each of their shadow maps.
        sun_map_px: Side of the sun's shadow map.
        samples: Samples per pixel.
    """

    size_px: int = 256
    lights: int = 16
    light_map_px: int = 192
    sun_map_px: int = 768
    samples: int = 4


@dataclass(frozen=True)
class Picture:
    """A rendered picture.

    Attributes:
        image: (s, s, 3), RGB.
        owner: (s, s), which labelled object covers each pixel's centre, -1 for none.
        visible_fraction: (n,), visible pixels of each labelled object over its pixels when it is
            alone, the part outside the frame included.
    """

    image: ByteArray
    owner: IntArray
    visible_fraction: FloatArray


class Renderer:
    """Owns one OpenGL context and the meshes and textures in it."""

    def __init__(self, config: RendererConfig, layers: ByteArray) -> None:
        self._config = config
        self._gl = create_context()
        self._meshes: OrderedDict[str, UploadedMesh] = OrderedDict()
        self._environments: dict[str, Any] = {}
        self._make_programs()
        self._make_buffers()
        self._make_textures(layers)

    def render(self, scene: RenderScene) -> Picture:
        """Draw a scene."""
        # A process may hold several contexts; only the current one obeys.
        with self._gl:
            return self._render(scene)

    def _render(self, scene: RenderScene) -> Picture:
        reach = shadow_reach(scene.drawables)
        eye = scene.camera.pose[:3, 3]
        owner = self._draw_geometry(scene, eye)
        self._draw_light(scene, reach, self._draw_shadows(scene, reach))
        image = self._draw_shaded(scene, eye)
        return Picture(image, owner, self._counter.visible_fraction(scene, owner))

    def release(self) -> None:
        """Free the context; the renderer is unusable afterwards."""
        self._gl.release()

    def _make_programs(self) -> None:
        gl, count = self._gl, str(max(self._config.lights, 1))
        light = shaders.LIGHT_FRAGMENT.replace("LIGHTS", count)
        self._geometry = gl.program(shaders.GEOMETRY_VERTEX, shaders.GEOMETRY_FRAGMENT)
        self._depth = gl.program(shaders.DEPTH_VERTEX, shaders.DEPTH_FRAGMENT)
        self._mask = gl.program(shaders.DEPTH_VERTEX, shaders.MASK_FRAGMENT)
        # Software rasterisers run both sides of an `if`: one program per kind of surface.
        self._shades = [
            gl.program(
                shaders.SHADE_VERTEX,
                shaders.SHADE_FRAGMENT.replace(
                    "#version 330", f"#version 330\n#define SURFACE {k}"
                ),
            )
            for k in range(4)
        ]
        self._light = gl.program(shaders.SCREEN_VERTEX, light)
        self._blur = gl.program(shaders.SCREEN_VERTEX, shaders.BLUR_FRAGMENT)
        self._backdrop = gl.program(shaders.SCREEN_VERTEX, shaders.BACKDROP_FRAGMENT)
        corners = gl.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self._screens = {
            program: gl.vertex_array(program, [(corners, "2f", "in_position")])
            for program in (self._light, self._blur, self._backdrop)
        }

    def _make_buffers(self) -> None:
        gl, config = self._gl, self._config
        size = (config.size_px, config.size_px)
        self._positions, self._normals = (plain_texture(gl, size, "f4") for _ in range(2))
        self._g_buffer = gl.framebuffer([self._positions, self._normals], gl.depth_texture(size))
        self._tiles = int(np.ceil(np.sqrt(max(config.lights, 1))))
        self._sun_depth = depth_texture(gl, config.sun_map_px)
        self._light_depths = depth_texture(gl, self._tiles * config.light_map_px)
        self._sun_buffer = gl.framebuffer([], self._sun_depth)
        self._lights_buffer = gl.framebuffer([], self._light_depths)
        self._lit = [
            (plain_texture(gl, size, "f2"), plain_texture(gl, size, "f1")) for _ in range(2)
        ]
        self._lit_buffers = [gl.framebuffer(list(pair)) for pair in self._lit]
        samples = min(config.samples, gl.max_samples)
        self._samples_buffer = gl.framebuffer(
            [gl.renderbuffer(size, 4, samples=samples)],
            gl.depth_renderbuffer(size, samples=samples),
        )
        self._picture_buffer = gl.framebuffer([gl.renderbuffer(size, 4)])
        self._counter = VisibilityCounter(gl, config.size_px, self._mask, self._uploaded)

    def _make_textures(self, layers: ByteArray) -> None:
        gl = self._gl
        count, height, width, _ = layers.shape
        self._layers = gl.texture_array((width, height, count), 3, layers.tobytes())
        self._layers.build_mipmaps()
        self._layers.filter = (gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR)
        order = np.random.default_rng(0).permutation(16).reshape(4, 4)
        noise = np.repeat(((order + 0.5) / 16)[..., None], 4, -1).astype("f4")
        self._noise = gl.texture((4, 4), 4, noise.tobytes(), dtype="f4")
        self._noise.filter = (gl.NEAREST, gl.NEAREST)
        self._photo = gl.texture((1, 1), 3, b"\x80\x80\x80")

    def _uploaded(self, drawable: Drawable) -> "UploadedMesh":
        found = self._meshes.pop(drawable.key, None)
        if found is None:
            programs = (self._geometry, self._depth, self._mask, *self._shades)
            found = UploadedMesh(self._gl, drawable.mesh, programs)
        self._meshes[drawable.key] = found
        if len(self._meshes) > MESHES_KEPT:
            self._meshes.popitem(last=False)[1].release()
        return found

    def _environment(self, scene: RenderScene) -> Any:
        environment = scene.lighting.environment
        if environment.name not in self._environments:
            levels = specular_levels(environment.light)
            light = environment_texture(self._gl, environment.light)
            for level, pixels in enumerate(levels):
                light.write(pixels.astype("f4").tobytes(), level=level)
            self._environments[environment.name] = (
                light, environment_texture(self._gl, environment.backdrop)
            )  # fmt: skip
        return self._environments[environment.name]

    def _draw_geometry(self, scene: RenderScene, eye: FloatArray) -> IntArray:
        gl, size = self._gl, self._config.size_px
        gl.enable(gl.DEPTH_TEST)
        gl.disable(gl.CULL_FACE | gl.BLEND)
        self._g_buffer.use()
        gl.viewport = (0, 0, size, size)
        self._g_buffer.clear(0, 0, 0, 0)
        project = clip_from_level(scene.camera)
        set_uniforms(self._geometry, eye=eye)
        for number, drawable in enumerate(scene.drawables, start=1):
            set_uniforms(self._geometry, surface_id=float(number), **_placed(drawable, project))
            self._uploaded(drawable).geometry.render()
        data = self._g_buffer.read(components=4, attachment=0, dtype="f4")
        numbers = np.frombuffer(data, "f4").reshape(size, size, 4)[::-1, :, 3].astype(int)
        slots = np.full(len(scene.drawables) + 1, -1)
        labelled = [n for n, d in enumerate(scene.drawables, start=1) if d.labelled]
        slots[labelled] = np.arange(len(labelled))
        return np.asarray(slots[numbers])

    def _draw_shadows(self, scene: RenderScene, reach: Reach) -> dict[str, object]:
        """Fill the shadow maps; returns the light pass's uniforms for them."""
        gl, config, lighting = self._gl, self._config, scene.lighting
        rng = np.random.default_rng(scene.seed)
        lights = draw_lights(lighting.environment.light, lighting.turn, config.lights, rng)
        casters = [d for d in scene.drawables if d.casts_shadow]
        sun = _light_view(lighting.sun_direction, reach)
        self._sun_buffer.use()
        gl.viewport = (0, 0, config.sun_map_px, config.sun_map_px)
        self._sun_buffer.clear(depth=1.0)
        set_uniforms(self._depth, clip_from_level=sun)
        for drawable in casters:
            set_uniforms(self._depth, level_from_mesh=drawable.box.matrix())
            self._uploaded(drawable).depth.render()
        views = [_light_view(direction, reach) for direction in lights.directions]
        side = config.light_map_px
        self._lights_buffer.use()
        gl.viewport = (0, 0, side * self._tiles, side * self._tiles)
        self._lights_buffer.clear(depth=1.0)
        for number, view in enumerate(views):
            gl.viewport = (number % self._tiles * side, number // self._tiles * side, side, side)
            set_uniforms(self._depth, clip_from_level=view)
            for drawable in casters:
                set_uniforms(self._depth, level_from_mesh=drawable.box.matrix())
                self._uploaded(drawable).depth.render()
        return {
            "lights": len(views),
            "tiles": self._tiles,
            "clip_from_level_sun": sun,
            "clip_from_level_lights": np.stack(views),
            "light_directions": lights.directions,
            "light_irradiance": lights.irradiance * lighting.strength,
        }

    def _draw_light(self, scene: RenderScene, reach: Reach, shadows: dict[str, object]) -> None:
        gl, config = self._gl, self._config
        gl.disable(gl.DEPTH_TEST)
        textures = {
            "positions": self._positions, "normals": self._normals, "noise": self._noise,
            "light_depths": self._light_depths, "sun_depth": self._sun_depth,
        }  # fmt: skip
        self._lit_buffers[0].use()
        gl.viewport = (0, 0, config.size_px, config.size_px)
        bind(self._light, textures)
        set_uniforms(
            self._light, **shadows, **_environment_uniforms(scene), reach=reach.radius,
            texel=1 / config.sun_map_px, softness=scene.lighting.sun_softness,
            sun_direction=scene.lighting.sun_direction, bounce=scene.lighting.bounce,
        )  # fmt: skip
        self._screens[self._light].render(vertices=3)
        self._lit_buffers[1].use()
        light, sun = self._lit[0]
        bind(self._blur, {"light": light, "sun": sun, **textures})
        set_uniforms(self._blur, reach=reach.radius)
        self._screens[self._blur].render(vertices=3)

    def _draw_shaded(self, scene: RenderScene, eye: FloatArray) -> ByteArray:
        gl, size = self._gl, self._config.size_px
        light_map, backdrop = self._environment(scene)
        self._set_photo(scene.photo)
        self._samples_buffer.use()
        gl.viewport = (0, 0, size, size)
        self._samples_buffer.clear(0, 0, 0, 1)
        gl.enable(gl.DEPTH_TEST)
        self._ready_shades(scene, eye, light_map)
        numbered = list(enumerate(scene.drawables, start=1))
        for number, drawable in numbered:
            if drawable.material.opacity == 1:
                self._draw_surface(scene, number, drawable)
        self._draw_backdrop(scene, eye, backdrop)
        gl.enable(gl.BLEND)
        gl.blend_func = gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA
        for number, drawable in numbered:
            if drawable.material.opacity < 1:
                self._draw_surface(scene, number, drawable)
        gl.disable(gl.BLEND)
        gl.copy_framebuffer(self._picture_buffer, self._samples_buffer)
        data = self._picture_buffer.read(components=3)
        return np.frombuffer(data, np.uint8).reshape(size, size, 3)[::-1].copy()

    def _ready_shades(self, scene: RenderScene, eye: FloatArray, light_map: Any) -> None:
        lighting, size = scene.lighting, self._config.size_px
        light, sun = self._lit[1]
        textures = {
            "layers": self._layers, "light": light, "sun": sun, "positions": self._positions,
            "photo": self._photo, "environment": light_map,
        }  # fmt: skip
        for program in self._shades:
            bind(program, textures)
            set_uniforms(
                program, exposure=scene.exposure, gamma=scene.gamma, eye=eye,
                bounce=lighting.bounce, strength=lighting.strength, screen=(size, size),
                sun_direction=lighting.sun_direction, sun_irradiance=lighting.sun_irradiance,
                **_environment_uniforms(scene),
            )  # fmt: skip

    def _draw_surface(self, scene: RenderScene, number: int, drawable: Drawable) -> None:
        material = drawable.material
        kind = 3 if drawable.catcher else 2 if material.photo else int(material.layer >= 0)
        # Surfaces are closed boxes; models may have open sheets that are seen from behind.
        (self._gl.disable if drawable.casts_shadow else self._gl.enable)(self._gl.CULL_FACE)
        set_uniforms(
            self._shades[kind], surface_id=float(number), extent=drawable.box.scale,
            **_placed(drawable, clip_from_level(scene.camera)), **_look(material),
        )  # fmt: skip
        self._uploaded(drawable).shades[kind].render()
        self._gl.disable(self._gl.CULL_FACE)

    def _draw_backdrop(self, scene: RenderScene, eye: FloatArray, backdrop: Any) -> None:
        """Fill what no surface covers."""
        self._gl.depth_func = "<="
        bind(self._backdrop, {"backdrop": backdrop, "photo": self._photo})
        set_uniforms(
            self._backdrop, level_from_clip=np.linalg.inv(clip_from_level(scene.camera)),
            blur=scene.backdrop_blur, photo_backdrop=float(scene.photo_backdrop), eye=eye,
            exposure=scene.exposure * scene.lighting.strength, gamma=scene.gamma,
            **_environment_uniforms(scene),
        )  # fmt: skip
        self._screens[self._backdrop].render(vertices=3)
        self._gl.depth_func = "<"

    def _set_photo(self, photo: ByteArray | None) -> None:
        if photo is None:
            return
        self._photo.release()
        height, width, _ = photo.shape
        flipped = np.ascontiguousarray(photo[::-1])
        self._photo = self._gl.texture((width, height), 3, flipped.tobytes(), alignment=1)
        self._photo.build_mipmaps()
        self._photo.repeat_x = self._photo.repeat_y = False


def _placed(drawable: Drawable, project: FloatArray) -> dict[str, object]:
    return {
        "level_from_mesh": drawable.box.matrix(),
        "clip_from_level": project,
        "normal_matrix": drawable.box.rotation / drawable.box.scale,
    }


def _look(material: Material) -> dict[str, object]:
    second = material.palette[0] if material.second is None else material.second
    return {
        "palette": material.palette, "tint": material.tint, "second": second,
        "own_color": material.own_color, "layer": float(material.layer),
        "repeats": material.repeats, "recolor": material.recolor,
        "roughness": material.roughness, "metallic": material.metallic,
        "opacity": material.opacity, "glow": material.glow,
    }  # fmt: skip


def _environment_uniforms(scene: RenderScene) -> dict[str, object]:
    lighting = scene.lighting
    values = harmonics(lighting.environment.light, lighting.turn) * lighting.strength
    return {"harmonics": values, "turn": float(lighting.turn)}


def _light_view(direction: FloatArray, reach: Reach) -> FloatArray:
    view = looking_along(-direction, reach.center + 2 * reach.radius * direction)
    return orthographic(reach.radius, 0.01 * reach.radius, 4 * reach.radius) @ view
